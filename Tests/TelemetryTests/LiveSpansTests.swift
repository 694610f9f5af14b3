import Kernel
import Testing

@testable import Telemetry

@Suite("Spans that run")
struct LiveSpansTests {
    private static let clock = Clock()

    /// A clock that stands still until it is moved.
    private final class Clock: TimeSource {
        var now: Timestamp { Timestamp(microseconds: 1_700_000_000_000_000) }
        func sleep(for: Span) async throws {}
    }

    private struct Fixed: Entropy {
        func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 7, count: count) }
    }

    private static let world = World(time: clock, entropy: Fixed())
    private static let trace = TraceID(high: 0x4BF9_2F35_77B3_4DA6, low: 0xA3CE_929D_0E0E_4736)

    /// Takes a span as it would come by OTLP; the answer is whether it only said that it had begun.
    @discardableResult
    private static func take(
        _ live: LiveSpans, _ id: String, _ name: String = "work", state: String? = "pending", parent: String? = nil,
        at time: Int64 = 0
    ) throws -> Bool {
        var more = JSONObject()
        more["startTimeUnixNano"] = .string(String(1_700_000_000_000_000_000 + time))
        more["endTimeUnixNano"] = .string(String(1_700_000_000_000_000_000 + time))
        if let parent { more["parentSpanId"] = .string(parent) }
        let attributes: [(String, JSONValue)] = state.map { [("reeve.span.state", .string($0))] } ?? []
        let document = SpanSamples.request([
            SpanSamples.span(id, name, attributes: attributes + [("step", 1)], more: .object(more))
        ])
        let bytes = try OTLPJSON.traces(document) { _ in }
        let item = try #require(ReceivedSpans(bytes).items.first)
        return bytes.withUnsafeBytes { live.take(item, of: $0, arrivedAt: world.now) }
    }

    private static func lost(_ live: LiveSpans, _ text: String = "gone", isCertain: Bool = true) -> [LiveSpans.Loss] {
        live.lost(max: 100) { _ in (text, isCertain) }
    }

    private static let first = "00000000000000a1"
    private static let second = "00000000000000a2"
    private static let third = "00000000000000a3"

    @Test("a span runs from its beginning to its end, and only its end is kept")
    func life() throws {
        let live = LiveSpans(world: Self.world)
        #expect(try Self.take(live, Self.first))
        #expect(try Self.take(live, Self.first), "said once more, it is the same")
        #expect(live.heads(of: Self.trace).map(\.state) == [.running])
        #expect(try Self.take(live, Self.first, state: nil) == false)
        #expect(live.heads(of: Self.trace).isEmpty && live.counts.running == 0)
    }

    @Test("an end that came first is not undone by a beginning on its way")
    func lateBeginning() throws {
        let live = LiveSpans(world: Self.world)
        #expect(try Self.take(live, Self.first, state: nil) == false)
        #expect(try Self.take(live, Self.first))
        live.saw(Self.trace, try #require(SpanID(Self.first)), "still here", at: 0)
        #expect(live.counts.running == 0)
    }

    @Test("what is lost says what was last heard of below it")
    func lastStep() throws {
        let live = LiveSpans(world: Self.world)
        try Self.take(live, Self.first, "run")
        try Self.take(live, Self.second, "plan", parent: Self.first, at: 10)
        try Self.take(live, Self.second, "plan", state: nil, parent: Self.first, at: 10)
        try Self.take(live, Self.third, "search", parent: Self.first, at: 20)
        var told: [String: (step: String?, state: SpanHead.State, status: SpanHead.Status)] = [:]
        for loss in Self.lost(live) {
            let request = try #require(loss.request)
            let item = try #require(ReceivedSpans(request).items.first)
            let detail = try request.withUnsafeBytes { bytes in
                try SpanDetail(
                    item.head, resource: UnsafeRawBufferPointer(rebasing: bytes[item.resource]),
                    scope: UnsafeRawBufferPointer(rebasing: bytes[item.scope]),
                    span: UnsafeRawBufferPointer(rebasing: bytes[item.span]))
            }
            #expect(detail.attributes.filter { $0.name == OwnNames.state }.map(\.value) == [.string("lost")])
            #expect(detail.attributes["step"] == .int(1) && detail.scopeName == "tests")
            #expect(detail.statusMessage?.contains("gone") == true)
            told[item.head.name] = (
                detail.attributes[OwnNames.lastStep]?.string, item.head.state, item.head.status
            )
            live.settled(loss)
        }
        #expect(told["run"]?.step == "search" && told["search"]?.step == "search" && told["plan"] == nil)
        #expect(told.values.allSatisfy { $0.state == .lost && $0.status == .error })
        #expect(live.counts.running == 0)
    }

    @Test("a log line makes a span be seen; only where its agent's end is certain is it kept as lost")
    func inferred() throws {
        let live = LiveSpans(world: Self.world)
        let span = try #require(SpanID(Self.first))
        live.saw(Self.trace, span, "looked it up", at: 5, agent: "clerk")
        #expect(live.heads(of: Self.trace).map(\.name) == ["looked it up"])
        #expect(live.agents == ["clerk"])
        #expect(Self.lost(live, isCertain: false).map { $0.request == nil } == [true])
        #expect(Self.lost(live, isCertain: true).map { $0.request == nil } == [false])
        try Self.take(live, Self.first, "work")
        #expect(live.heads(of: Self.trace).map(\.name) == ["work"], "what it says itself is better")
        #expect(live.counts.running == 1)
    }

    @Test("what runs is taken up again as it was, and what only a log line named is not")
    func restart() throws {
        let live = LiveSpans(world: Self.world)
        try Self.take(live, Self.first, "run")
        try Self.take(live, Self.second, "plan", parent: Self.first, at: 10)
        live.saw(Self.trace, try #require(SpanID(Self.third)), "line", at: 0)
        let bytes = try #require(live.changed())
        #expect(live.changed() == nil, "nothing changed since")
        let again = LiveSpans(world: Self.world)
        try again.restore(bytes)
        #expect(again.heads(of: Self.trace).map(\.name).sorted() == ["plan", "run"])
        let requests = Self.lost(again).compactMap(\.request)
        #expect(requests.count == 2)
        #expect(throws: (any Error).self) { try again.restore([0xFF, 0xFF, 0x7F]) }
    }

    @Test("beyond so many the trace goes that was silent for longest")
    func bound() throws {
        let live = LiveSpans(world: Self.world, spansMax: 40)
        for number in 1...60 {
            try Self.take(live, "00000000000000" + (number < 16 ? "0" : "") + String(number, radix: 16))
        }
        #expect(live.counts.running <= 40 && live.counts.evicted >= 20)
        let small = LiveSpans(world: Self.world, spansMax: 40, bytesMax: 3_000)
        for number in 1...9 { try Self.take(small, "000000000000000" + String(number)) }
        #expect((1...5).contains(small.counts.running), "nor beyond so many bytes")
    }

    @Test("an end is shown before a loss, and a loss before a beginning; the newest step is the current one")
    func merging() throws {
        func head(_ id: UInt64, _ state: SpanHead.State, at time: Int64 = 0) -> SpanHead {
            var head = SpanHead(Self.trace, SpanID(value: id))
            head.state = state
            head.startedAt = time
            return head
        }
        let kept = [head(1, .lost), head(1, .ended), head(2, .lost, at: 1), head(3, .ended, at: 2)]
        let merged = TraceHeads.merged(kept, [head(2, .running, at: 1), head(4, .running, at: 3)])
        #expect(merged.map(\.state) == [.ended, .lost, .ended, .running])
        #expect(TraceHeads.state(of: merged) == .running)
        #expect(TraceHeads.current(of: merged)?.spanID.value == 4)
        #expect(TraceHeads.state(of: Array(merged.prefix(3))) == .lost)
        #expect(TraceHeads.current(of: [merged[0]]) == nil)
        #expect(head(1, .lost).identity != head(1, .ended).identity)
    }
}
