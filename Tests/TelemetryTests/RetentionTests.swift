import Foundation
import Kernel
import Testing

@testable import Telemetry

@Suite("What is kept longer than its day")
struct RetentionTests {
    private static let plan: [(String, JSONValue)] = [("gen_ai.operation.name", "invoke_agent")]
    private static let chat: [(String, JSONValue)] = [("gen_ai.operation.name", "chat")]
    private static let settings = TelemetryRetention(Settings.Telemetry())

    /// A run whose last step failed, one that went well, and their logs.
    private static func fill(_ bench: RetentionBench) async throws {
        try await bench.span(1, of: 1, plan + [("correlation_id", "order-1")])
        try await bench.span(2, of: 1, chat)
        try await bench.span(3, of: 1, [("correlation_id", "order-1")], isFailed: true)
        try await bench.span(4, of: 2, plan)
        try await bench.span(5, of: 2, chat)
        try await bench.log("by trace") { $0.traceID = RetentionBench.trace(1).description }
        try await bench.log("by correlation") { $0.correlationID = "order-1" }
        try await bench.log("of the other") { $0.traceID = RetentionBench.trace(2).description }
        try await bench.log("of nobody")
    }

    @Test(
        "a trace that failed is kept with its logs, and one that went well is not", arguments: TestStore.available)
    func failed(_ store: TestStore) async throws {
        try await withRetentionBench(store) { bench in
            try await Self.fill(bench)
            var left: [Int: [Int]] = [:]
            for day in [7, 8, 31, 90, 91] {
                bench.pass(to: day)
                try await bench.ingest.forget(Self.settings)
                left[day] = [try await bench.spans(1), try await bench.spans(2), try await bench.messages().count]
            }
            let meant = [7: [3, 2, 4], 8: [3, 1, 4], 31: [3, 0, 2], 90: [3, 0, 2], 91: [0, 0, 0]]
            #expect(left == meant)
            #expect(try await bench.ingest.isEmpty())
        }
    }

    @Test(
        "what a step that failed keeps is all of it, as it was sent", arguments: TestStore.available)
    func whole(_ store: TestStore) async throws {
        try await withRetentionBench(store) { bench in
            try await bench.span(1, of: 1, Self.plan + [("input.value", "what is asked")], resource: [("host", "a")])
            try await bench.span(2, of: 1, isFailed: true)
            let before = try await bench.ingest.span(SpanID(value: 1), of: RetentionBench.trace(1))
            bench.pass(to: 8)
            #expect(try await bench.ingest.forget(Self.settings) == 1)
            let after = try await bench.ingest.span(SpanID(value: 1), of: RetentionBench.trace(1))
            #expect(after == before)
            #expect(after?.attributes["input.value"]?.string == "what is asked")
        }
    }

    @Test(
        "the failure counts on whatever day and in whatever category it came", arguments: TestStore.available)
    func elsewhere(_ store: TestStore) async throws {
        try await withRetentionBench(store) { bench in
            try await bench.span(1, of: 1, Self.plan)
            bench.pass(to: 3)
            try await bench.span(2, of: 1, [("reeve.category", "tool")], isFailed: true)
            bench.pass(to: 8)
            try await bench.ingest.forget(Self.settings)
            #expect(try await bench.spans(1) == 2)
        }
    }

    @Test(
        "a label keeps, and once it is gone before its time it does not", arguments: TestStore.available)
    func labelled(_ store: TestStore) async throws {
        for isKept in [true, false] {
            try await withRetentionBench(store) { bench in
                try await bench.span(1, of: 2, Self.plan)
                var marks = RetentionEvidence()
                if isKept { marks.traces = [RetentionBench.trace(2)] }
                bench.pass(to: 8)
                try await bench.ingest.forget(Self.settings, marks)
                #expect(try await bench.spans(2) == (isKept ? 1 : 0))
            }
        }
    }

    @Test("an end between carrying over and dropping loses nothing, and nothing is there twice", arguments: [1, 3])
    func crash(_ times: Int) async throws {
        try await withRetentionBench { bench in
            try await Self.fill(bench)
            bench.pass(to: 31)
            for _ in 0..<times {
                let over = try bench.ingest.carry(Self.settings, RetentionEvidence())
                #expect(over.count == 3)
                #expect(try await bench.spans(1) == 3)
                #expect(try await bench.messages().count == 4)
                try bench.startAnew()
            }
            try await bench.ingest.forget(Self.settings)
            #expect(try await bench.spans(1) == 3)
            #expect(try await bench.messages() == ["by correlation", "by trace"])
            try await bench.ingest.forget(Self.settings)
            #expect(try await bench.spans(1) == 3)
        }
    }

    @Test("a failure is known though its block was put together with others before anybody looked")
    func merged() async throws {
        try await withRetentionBench { bench in
            // Some blocks are looked at before, and become one with those that are not.
            for number in 1...40 as ClosedRange<UInt64> { try await bench.span(number, of: number, Self.plan) }
            _ = try bench.ingest.carry(Self.settings, RetentionEvidence())
            for number in 41...70 as ClosedRange<UInt64> { try await bench.span(number, of: number, Self.plan) }
            try await bench.span(71, of: 71, Self.plan, isFailed: true)
            for number in 72...200 as ClosedRange<UInt64> { try await bench.span(number, of: 71, Self.plan) }
            #expect(try await bench.ingest.blocks(of: .spans) < 100)
            bench.pass(to: 8)
            try await bench.ingest.forget(Self.settings)
            #expect(try await bench.spans(71) == 130)
            #expect(try await bench.spans(1) == 0)
        }
    }

    @Test("work stops where it was told to, and goes on behind it the next time")
    func bounded() async throws {
        try await withRetentionBench { bench in
            for number in 1...6 { try await bench.span(UInt64(number), of: 1, Self.plan) }
            try await bench.span(7, of: 1, isFailed: true)
            bench.pass(to: 8)
            var rounds = 0
            while try bench.ingest.carry(Self.settings, RetentionEvidence(), blocksMax: 2).isEmpty, rounds < 20 {
                rounds += 1
                #expect(try await bench.spans(1) == 7)
            }
            // Four for seven heads, and three for six blocks, of which the last had room beside the seventh head.
            #expect((5...8).contains(rounds))
            try await bench.ingest.forget(Self.settings)
            #expect(try await bench.spans(1) == 7)
        }
    }

    @Test(
        "where kept traces have no more room, labels keep and errors do not", arguments: TestStore.available)
    func full(_ store: TestStore) async throws {
        try await withRetentionBench(store) { bench in
            var settings = Settings.Telemetry()
            settings.keptTracesBytes = 1
            let retention = TelemetryRetention(settings)
            try await bench.span(1, of: 1, Self.plan)
            try await bench.span(2, of: 1, isFailed: true)
            bench.pass(to: 8)
            try await bench.ingest.forget(retention)
            // Nothing was kept before.
            #expect(try await bench.spans(1) == 2)
            try await bench.span(3, of: 2, Self.plan)
            try await bench.span(4, of: 2, isFailed: true)
            try await bench.span(5, of: 3, Self.plan)
            // One with a label is kept for that, and one in several blocks counts once.
            try await bench.span(6, of: 3, Self.plan, isFailed: true)
            try await bench.ingest.settle()
            try await bench.span(7, of: 2, Self.plan)
            bench.pass(to: 16)
            var marks = RetentionEvidence()
            marks.traces = [RetentionBench.trace(3)]
            try await bench.ingest.forget(retention, marks)
            #expect(try await bench.spans(2) == 1)
            #expect(try await bench.spans(3) == 2)
            #expect(bench.ingest.unkeptTraces == 1)
            var page = MetricPage()
            LedgerMetrics(bench.ingest, metrics: nil).collect(into: &page)
            let lines = String(decoding: MetricText.bytes(of: page), as: UTF8.self).split(separator: "\n")
            #expect(lines.contains("reeve_telemetry_unkept_traces_total 1"))
        }
    }

    static let holds: [(TelemetryHold.Target, spans: [Int], logs: Int)] = [
        (.trace(RetentionBench.trace(2)), [0, 2], 1),
        (.correlation("order-1"), [2, 0], 1),
        (.correlation(RetentionBench.trace(2).description), [0, 2], 1),
        (.agent("scribe"), [0, 1], 1),
        (.subject("ada"), [0, 1], 1),
        (.subject("ad"), [0, 0], 0),
        (.times(1_600_000_000_000_000_000..<1_800_000_000_000_000_000), [2, 2], 4),
        (.times(0..<1), [0, 0], 0),
    ]

    @Test(
        "a hold keeps what it is on past every other time, until it is lifted", arguments: TestStore.available,
        holds.indices)
    func held(_ store: TestStore, _ index: Int) async throws {
        let (target, spans, logs) = Self.holds[index]
        try await withRetentionBench(store) { bench in
            try await bench.span(1, of: 1, Self.plan + [("correlation_id", "order-1")])
            try await bench.span(2, of: 1, Self.chat + [("correlation_id", "order-1")])
            try await bench.span(3, of: 2, Self.plan + [("agent_id", "scribe")])
            try await bench.span(4, of: 2, Self.chat + [("user.id", "ada")])
            try await bench.log("one") { $0.traceID = RetentionBench.trace(2).description }
            try await bench.log("two") { $0.correlationID = "order-1" }
            try await bench.log("three") { $0.agent = "scribe" }
            try await bench.log("four") { $0.attributes["user"] = "ada" }
            var marks = RetentionEvidence()
            marks.holds = [TelemetryHold(id: "hold_1", target: target)]
            for day in [31, 100, 400] {
                bench.pass(to: day)
                try await bench.ingest.forget(Self.settings, marks)
                #expect([try await bench.spans(1), try await bench.spans(2)] == spans)
                #expect(try await bench.messages().count == logs)
                // A start forgets nothing.
                try bench.startAnew()
            }
            try await bench.ingest.forget(Self.settings)
            #expect([try await bench.spans(1), try await bench.spans(2)] == [0, 0])
            #expect(try await bench.ingest.isEmpty())
        }
    }

    @Test(
        "a hold that is lifted lets go of what it alone kept, and leaves what failed", arguments: TestStore.available)
    func lifted(_ store: TestStore) async throws {
        try await withRetentionBench(store) { bench in
            try await Self.fill(bench)
            var marks = RetentionEvidence()
            marks.holds = [TelemetryHold(id: "hold_1", target: .trace(RetentionBench.trace(2)))]
            bench.pass(to: 40)
            try await bench.ingest.forget(Self.settings, marks)
            #expect([try await bench.spans(1), try await bench.spans(2)] == [3, 2])
            try await bench.ingest.forget(Self.settings)
            #expect([try await bench.spans(1), try await bench.spans(2)] == [3, 0])
            #expect(try await bench.messages() == ["by correlation", "by trace"])
        }
    }

    @Test(
        "a file's name says what it is of",
        arguments: [
            ("error-20000.db", ArchivePart.Tier.ordinary), ("error-20000-logs.db", .ordinary),
            ("error-20000-kept.db", .kept), ("error-20000-logs-kept.db", .kept),
        ])
    func names(_ name: String, _ tier: ArchivePart.Tier) throws {
        let part = try #require(ArchivePart(fileName: name))
        #expect(part.tier == tier)
        #expect(part.fileName == name)
        for wrong in ["kept.db", "error-kept.db", "error-20000-kept-logs.db", "error-20000-logs-kept-kept.db"] {
            #expect(ArchivePart(fileName: wrong) == nil)
        }
    }
}
