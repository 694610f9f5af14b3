import Kernel
import Testing

@testable import Gateway

/// How another target's answer is followed behind what was delivered.
@Suite struct ReplayCursorTests {
    private static func delivered(_ events: [StreamEvent]) -> DeliveredAnswer {
        let answer = DeliveredAnswer(.chat, ReplyContext(createdAt: 1))
        var output: [UInt8] = []
        for event in events { answer.write(event, to: &output) }
        return answer
    }

    private static let begun: [StreamEvent] = [
        .start(id: "a", model: "m"), .reasoningDelta("hm"), .textDelta("one "), .textDelta("two"),
    ]

    private static let called: [StreamEvent] = [
        .start(id: "a", model: "m"), .textDelta("so"), .toolCallStart(index: 0, id: "c", name: "look_up"),
        .argumentsDelta(index: 0, #"{"a":"#),
    ]

    /// What passes of an answer behind a beginning; `nil` where it is another one.
    private static func rest(_ events: [StreamEvent], behind begun: [StreamEvent]) -> [StreamEvent]? {
        var cursor = ReplayCursor(delivered(begun))
        do { return try events.compactMap { try cursor.take($0) } } catch { return nil }
    }

    @Test(
        "the same answer goes on behind what was delivered, however it is cut",
        arguments: [
            (["hm"], ["one two three"], " three"), (["h", "m"], ["one", " ", "two th", "ree"], " three"),
            (["hm"], ["one two"], ""), (["hm"], ["one two", ""], ""),
        ])
    func goesOn(thoughts: [String], words: [String], expected: String) throws {
        let events =
            [.start(id: "b", model: "n")] + thoughts.map { StreamEvent.reasoningDelta($0) }
            + words.map { StreamEvent.textDelta($0) } + [.stop(.endTurn, sequence: nil), .end]
        let rest = try #require(Self.rest(events, behind: Self.begun))
        let text = rest.reduce(into: "") { all, event in if case .textDelta(let text) = event { all += text } }
        #expect(text == expected)
        #expect(rest.suffix(2) == [.stop(.endTurn, sequence: nil), .end])
        #expect(!rest.contains { if case .reasoningDelta = $0 { true } else { false } })
    }

    @Test(
        "another answer is noticed at its first difference",
        arguments: [
            [.textDelta("one two")], [.reasoningDelta("hm, well"), .textDelta("one two")],
            [.reasoningDelta("hm"), .textDelta("one twx")], [.reasoningDelta("hm"), .textDelta("one"), .end],
            [.reasoningDelta("hm"), .stop(.endTurn, sequence: nil)],
        ] as [[StreamEvent]])
    func diverges(_ events: [StreamEvent]) {
        #expect(Self.rest(events, behind: Self.begun) == nil)
    }

    @Test func arguments() throws {
        let same: [StreamEvent] = [
            .textDelta("so"), .toolCallStart(index: 0, id: "other", name: "look_up"),
            .argumentsDelta(index: 0, #"{"a":1"#), .argumentsDelta(index: 0, "}"), .toolCallEnd(index: 0),
            .toolCallStart(index: 1, id: "d", name: "second"),
        ]
        #expect(
            Self.rest(same, behind: Self.called) == [
                .argumentsDelta(index: 0, "1"), .argumentsDelta(index: 0, "}"), .toolCallEnd(index: 0),
                .toolCallStart(index: 1, id: "d", name: "second"),
            ])
        let named: [StreamEvent] = [.textDelta("so"), .toolCallStart(index: 0, id: "c", name: "other")]
        #expect(Self.rest(named, behind: Self.called) == nil)
        let short: [StreamEvent] = [
            .textDelta("so"), .toolCallStart(index: 0, id: "c", name: "look_up"), .toolCallEnd(index: 0),
        ]
        #expect(Self.rest(short, behind: Self.called) == nil)
    }

    @Test func whatWasGivenComesWithoutItsSpaces() throws {
        var cursor = ReplayCursor(behind: "\n ")
        #expect(try cursor.take(.textDelta("\n")) == nil)
        #expect(try cursor.take(.textDelta(" and")) == .textDelta("and"))
        #expect(try cursor.take(.textDelta("\n on")) == .textDelta("\n on"))
        #expect(cursor.isThrough)
    }

    @Test func tooMuchOrWhatNobodyRepeatsIsNotContinued() {
        #expect(Self.delivered(Self.begun).canGoOn)
        #expect(!Self.delivered(Self.begun + [.stop(.endTurn, sequence: nil)]).canGoOn)
        #expect(!Self.delivered([.webSearch(id: "w", query: "q")]).canGoOn)
        #expect(DeliveredAnswer.bytesMax == 8_388_608)
        let much = String(repeating: "x", count: DeliveredAnswer.bytesMax)
        #expect(!Self.delivered([.textDelta(much), .textDelta("y")]).canGoOn)
    }
}
