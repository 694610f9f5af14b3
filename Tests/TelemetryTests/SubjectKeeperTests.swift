import Foundation
import Kernel
import Testing

@testable import Telemetry

@Suite("A subject is erased from what is beside the archive")
struct SubjectKeeperTests {
    private static let subject = "ada.lovelace@example.org"

    private static func order(_ isDryRun: Bool = false, isAnywhere: Bool = false, holds: [TelemetryHold] = [])
        -> ErasureOrder
    {
        ErasureOrder(SubjectMatch(subject, isAnywhere: isAnywhere), isDryRun: isDryRun, holds: holds)
    }

    @Test("a trace's binding to it is gone from memory, from its file, and after a start")
    func bindings() async throws {
        try await withRetentionBench { bench in
            let (hers, held, other) = (RetentionBench.trace(1), RetentionBench.trace(2), RetentionBench.trace(3))
            bench.ingest.bindings.bind(hers, to: Self.subject)
            bench.ingest.bindings.bind(other, to: "order-3")
            try await bench.ingest.settle()
            #expect(try bench.places(of: Self.subject) == ["bindings"])
            let dry = try await bench.ingest.erase(Self.order(true))
            #expect(dry.files == [ErasureReport.File(name: "bindings", found: 1)])
            #expect(try bench.places(of: Self.subject) == ["bindings"])
            let report = try await bench.ingest.erase(Self.order())
            #expect(report.files == [ErasureReport.File(name: "bindings", found: 1, removed: 1, remaining: 0)])
            #expect(report.placesSearched == ["live", "bindings", "labels"])
            #expect(try bench.places(of: Self.subject) == [])
            try bench.startAnew()
            #expect(bench.ingest.bindings.correlationID(of: hers) == nil)
            #expect(bench.ingest.bindings.correlationID(of: other) == "order-3")
            // One under a hold stays.
            bench.ingest.bindings.bind(held, to: Self.subject)
            let hold = TelemetryHold(id: "hold_1", target: .trace(held))
            let kept = try await bench.ingest.erase(Self.order(holds: [hold]))
            #expect(kept.files == [ErasureReport.File(name: "bindings", found: 1, held: 1, remaining: 0)])
            #expect(kept.holds == ["hold_1"])
            #expect(bench.ingest.bindings.correlationID(of: held) == Self.subject)
        }
    }

    @Test("what labels of streams are known in memory, by value and by name")
    func labels() async throws {
        let streams = StreamLabels(["user": [Self.subject, "bob"], "of-\(Self.subject)": ["x"]])
        #expect(streams.erase(Self.order(true)).found == 1)
        #expect(streams.erase(Self.order()).found == 1)
        #expect(streams.erase(Self.order()).found == 0)
        #expect(streams.erase(Self.order(isAnywhere: true)).found == 1)
        #expect(streams.erase(Self.order(isAnywhere: true)).found == 0)
    }

    @Test("labels of a file go also where an erasure that was cut short took their records before")
    func labelsUnsettled() async throws {
        try await withRetentionBench { bench in
            bench.merges = false
            for _ in 1...SubjectErasure.blocksPerWord {
                try await bench.log("hers") { $0.labels = LogLabels([(name: "user", value: Self.subject)]) }
            }
            await #expect(throws: SubjectErasure.Stopped.self) {
                try await bench.ingest.erase(Self.order()) { _ in false }
            }
            #expect(try await bench.messages() == [])
            #expect(try await bench.ingest.logLabels()["user"] == [Self.subject])
            try bench.startAnew()
            let report = try await bench.ingest.erase(Self.order())
            #expect(report.files.map(\.name) == ["labels"])
            #expect(try await bench.ingest.logLabels()["user"] ?? [] == [])
            #expect(try bench.places(of: Self.subject) == [])
        }
    }

    @Test("the last step of a span that runs goes, and the span stays")
    func steps() async throws {
        try await withRetentionBench { bench in
            try await bench.span(1, of: 1, isPending: true)
            let step = "mail to \(Self.subject)"
            bench.ingest.live.saw(RetentionBench.trace(1), SpanID(value: 1), step, at: .max)
            try await bench.ingest.settle()
            let report = try await bench.ingest.erase(Self.order(isAnywhere: true))
            #expect(report.files == [ErasureReport.File(name: "live", found: 1, removed: 1, remaining: 0)])
            #expect(try bench.places(of: Self.subject) == [])
            #expect(try await bench.spans(1) == 1)
        }
    }

    @Test("what a process that was killed left half written goes with the next start")
    func leftovers() async throws {
        try await withRetentionBench { bench in
            let path = "\(bench.folder)/live.7.0011223344556677.part"
            try Data(Self.subject.utf8).write(to: URL(fileURLWithPath: path))
            try bench.startAnew()
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test("an order that is under way is read again until it is forgotten")
    func pending() async throws {
        try await withRetentionBench { bench in
            let file = bench.ingest.erasureFile
            #expect(file.load() == nil)
            try file.clear()
            let pending = PendingErasure(
                id: "erase_1", subject: SubjectMatch(Self.subject, isAnywhere: true), starts: 3)
            try file.keep(pending)
            #expect(file.load() == pending)
            try file.clear()
            #expect(file.load() == nil)
            #expect(try bench.places(of: Self.subject) == [])
        }
    }

    // MARK: Kafka

    private static func row(_ number: Int, user: String) -> LogRows {
        var record = LogRecord(at: 1_800_000_000_000_000_000 + Int64(number))
        (record.message, record.session) = ("line \(number)", user)
        var rows = LogRows()
        rows.append(LogRow.encode(record))
        return rows
    }

    @Test("it leaves the queue that waits for Kafka, all others stay in it, also over a start")
    func kafka() async throws {
        try await withTelemetryFolder { folder in
            // Nobody is there.
            let address = try KafkaAddress("kafka://127.0.0.1:1/logs")
            let outlet = try KafkaOutlet(address, folder: folder, quota: 1 << 20)
            let ingest = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live, kafka: outlet)
            for number in 0..<9 {
                try await ingest.take(Self.row(number, user: number % 3 == 0 ? Self.subject : "bob"), refused: [:])
            }
            try await ingest.flush()
            // Some are on their way.
            try await outlet.send()
            #expect(outlet.counts.waiting == 9)
            let dry = try await ingest.erase(Self.order(true))
            #expect(dry.files.first { $0.name == "kafka" }?.found == 3)
            #expect(outlet.counts.waiting == 9)
            let report = try await ingest.erase(Self.order())
            #expect(
                report.files.first { $0.name == "kafka" }
                    == ErasureReport.File(name: "kafka", found: 3, removed: 3, remaining: 0))
            #expect(report.placesSearched.contains("kafka"))
            #expect(outlet.counts.waiting == 6)
            for name in try FileManager.default.contentsOfDirectory(atPath: "\(folder)/kafka") {
                let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/kafka/\(name)"))
                #expect(bytes.range(of: Data(Self.subject.utf8)) == nil, "\(name)")
                #expect(bytes.range(of: Data("bob".utf8)) != nil, "\(name)")
            }
            // It goes on, and a start finds as many.
            try await outlet.send()
            try await ingest.take(Self.row(9, user: "bob"), refused: [:])
            try await ingest.flush()
            #expect(outlet.counts.waiting == 7)
            let again = try KafkaOutlet(address, folder: folder, quota: 1 << 20)
            #expect(again.counts.waiting == 7)
            #expect(try await again.erase(Self.order(true)).found == 0)
            try await again.close()
            try await ingest.close()
        }
    }

    // MARK: Metrics

    @Test("agents' sessions, calls and series have it no more, and others' go on")
    func agents() throws {
        let bench = AgentMetersTests.Bench()
        for session in [Self.subject, "bob"] {
            bench.meters.observe([AgentMetersTests.call { $0.session = session }])
            bench.meters.observe([AgentMetersTests.call { ($0.agent, $0.contextTokens) = (session, 1_000) }])
        }
        #expect(bench.lines("agent_sessions_open") == ["agent_sessions_open 2"])
        let found = bench.meters.erase(Self.order(true)).found
        // A session and its call; the agent's call and context; its series: tokens of two types, contexts.
        #expect(found == 7)
        #expect(bench.meters.erase(Self.order()).found == found)
        #expect(bench.meters.erase(Self.order(true)).found == 0)
        #expect(bench.lines("agent_sessions_open") == ["agent_sessions_open 1"])
        #expect(!bench.lines("agent_").contains { $0.contains(Self.subject) })
        bench.meters.observe([AgentMetersTests.call { $0.agent = "bob" }])
        #expect(
            bench.lines("agent_tokens_consumed_total").contains {
                $0.contains(#"agent="bob""#) && $0.contains(#"type="input""#) && $0.hasSuffix(" 200")
            })
    }

    @Test("what came to series while they were erased is in no file, and a start finds none of it")
    func series() async throws {
        try await withTelemetryFolder { folder in
            let world = World(time: SetTime(RetentionBench.begun), entropy: World.live.entropy)
            func open() throws -> SeriesStore {
                try SeriesStore(folder: folder, quota: 1 << 20, days: 30, world: world)
            }
            func batch(_ user: String) -> SampleBatch {
                var batch = SampleBatch()
                batch.append(
                    LabelSet([("__name__", "requests"), ("user", user)]),
                    Sample(RetentionBench.begun.microseconds / 1_000, 1))
                return batch
            }
            let store = try open()
            try await store.keep(batch(Self.subject))
            try await store.keep(batch("bob"))
            #expect(try await store.erase(Self.order()).map(\.remaining) == [0])
            let paths = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
            for path in paths {
                let bytes = FileManager.default.contents(atPath: "\(folder)/\(path)") ?? Data()
                #expect(bytes.range(of: Data(Self.subject.utf8)) == nil, "\(path)")
            }
            // Nothing of it is in the spool of one that ends without a word.
            let left = try open().labelSets([], in: 0...Int64.max, isOver: { false })
            #expect(left.map { $0["user"] } == ["bob"])
            try await store.close()
        }
    }
}
