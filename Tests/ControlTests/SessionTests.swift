import Kernel
import Testing

@testable import Control
@testable import Telemetry

/// Sessions from spans: each thing that was done is one step, however many tell of it.
@Suite struct SessionTests {
    private static let first = TraceID(high: 1, low: 1)
    private static let second = TraceID(high: 2, low: 2)
    private static let millisecond: Int64 = 1_000_000

    private static func span(
        _ id: UInt64, under parent: UInt64? = nil, _ operation: SpanOperation, at: Int64, took: Int64 = 10,
        of trace: TraceID = first, by service: String = "writer", tokens: Int64? = nil, session: String? = "s"
    ) -> SpanHead {
        var span = SpanHead(trace, SpanID(value: id))
        span.parentID = parent.map { SpanID(value: $0) }
        span.operation = operation
        span.name = "\(operation)"
        (span.startedAt, span.endedAt) = (at * millisecond, (at + took) * millisecond)
        (span.service, span.agent, span.session, span.model) = (service, "scribe", session, "mini")
        if let tokens {
            span.usage = SpanUsage(inputTotal: tokens, cacheRead: 0, cacheWrite: 0, outputTotal: 1, reasoning: 0)
        }
        return span
    }

    private static let prices = Session.Prices(
        price: { model, usage, _ in model == "mini" ? usage.total * 10 : nil }, window: { _ in 1_000 })

    private static func session(_ heads: [[SpanHead]], _ prices: Session.Prices = prices, isTrace: Bool = false)
        -> Session
    {
        let traces = heads.compactMap(\.first?.traceID)
        return Session(SessionTraces(id: "s", isTrace: isTrace, traces: traces), heads, prices)
    }

    @Test func whatLiesBeneathAModelsCallIsTheSameCall() {
        var prices = Self.prices
        prices.calls = [SpanID(value: 3): 700, SpanID(value: 4): 7]
        let session = Self.session(
            [
                [
                    Self.span(1, .agent, at: 0, took: 100),
                    Self.span(2, under: 1, .model, at: 10, took: 40, tokens: 99),
                    Self.span(3, under: 2, .model, at: 12, by: "reeve", tokens: 99),
                    Self.span(4, under: 2, .model, at: 30, by: "reeve", tokens: 99),
                    Self.span(5, under: 1, .tool, at: 60), Self.span(6, under: 5, .model, at: 61, tokens: 9),
                ]
            ], prices)
        #expect(session.steps.map(\.span.spanID.value) == [2, 5, 6])
        #expect(session.steps.map(\.turn) == [1, 1, 2])
        // Both tries were paid.
        #expect(session.steps.map(\.cost?.nanoUSD) == [707, nil, 100])
        #expect(session.steps.map(\.cost?.source) == [.calls, nil, .prices])
        #expect((session.turns, session.tools, session.nanoUSD, session.unpriced) == (2, 1, 807, 0))
        #expect(session.steps[0].contextUtilization == 0.099)
    }

    @Test func aCallWhoseTraceWasNotPassedOnIsOneStepToo() {
        var prices = Self.prices
        prices.calls = [SpanID(value: 9): 5, SpanID(value: 10): 6]
        let theirs = [Self.span(1, .agent, at: 0, took: 90), Self.span(2, under: 1, .model, at: 10, tokens: 99)]
        let own = [Self.span(9, .model, at: 12, of: Self.second, by: "reeve", tokens: 99)]
        #expect(Self.session([theirs, own], prices).steps.map(\.cost?.nanoUSD) == [5])
        // Another call: other tokens, or long after.
        for other in [
            Self.span(10, .model, at: 12, of: Self.second, by: "reeve", tokens: 98),
            Self.span(10, .model, at: 60_000, of: Self.second, by: "reeve", tokens: 99),
        ] {
            #expect(Self.session([theirs, [other]], prices).steps.count == 2)
        }
    }

    @Test func aTraceMayHaveSpansOfOthers() {
        let spans = [
            Self.span(1, .agent, at: 0, session: nil), Self.span(2, under: 1, .model, at: 1, tokens: 5),
            Self.span(3, under: 1, .model, at: 2, tokens: 5, session: "another"),
        ]
        #expect(Self.session([spans]).turns == 1)
        #expect(Self.session([spans], isTrace: true).turns == 2)
    }

    @Test func aFailureIsCountedOnce() {
        var spans = [
            Self.span(1, .agent, at: 0), Self.span(2, under: 1, .tool, at: 1), Self.span(3, under: 2, .other, at: 2),
        ]
        for index in spans.indices { spans[index].status = .error }
        let session = Self.session([spans])
        #expect(session.errors == 1)
        #expect(session.steps.count == 1)
    }

    @Test func whereNobodySaysWhatSpansAreEachIsAStep() {
        let session = Self.session([[Self.span(1, .other, at: 0), Self.span(2, under: 1, .other, at: 1)]])
        #expect(session.steps.count == 2 && session.turns == 0 && session.steps[0].turn == 1)
        #expect(Self.session([[]]).steps.isEmpty)
    }

    @Test func stepsAreBounded() {
        let spans = (0...UInt64(Session.stepsMax)).map { Self.span($0 + 1, .tool, at: Int64($0)) }
        let session = Self.session([spans])
        #expect((session.steps.count, session.isWhole) == (Session.stepsMax, false))
    }

    @Test func noMoreSpansAreLookedAtThanFit() async throws {
        let traces = (UInt64(1)...9).map { TraceID(high: $0, low: 1) }
        let many = Array(repeating: Self.span(1, .tool, at: 0), count: SessionService.spansMax / 2)
        let cut = try await SessionService.gather(traces) { _ in many }
        #expect((cut.heads.count, cut.isWhole) == (2, false))
        let all = try await SessionService.gather(traces) { _ in [] }
        #expect((all.heads.count, all.isWhole) == (9, true))
    }

    @Test(arguments: [("talk 1", "talk%201"), ("a/b?c#d", "a%2Fb%3Fc%23d"), ("ä", "%C3%A4"), ("A-z_9", "A-z_9")])
    func anIDIsAStepOfAPath(_ id: String, _ path: String) {
        #expect(id.asPath == path)
    }
}
