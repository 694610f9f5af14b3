import Foundation
import Kernel
import Server
import Synchronization
import Testing

@testable import Telemetry

/// A way to ClickHouse on which requests get lost, come twice, or arrive without anybody hearing of it.
private final class FaultyTransport: ClickHouseTransport {
    enum Fault: Sendable { case none, lost, unheard, twice }

    private let real = HTTPClickHouse()
    private let next: Mutex<@Sendable () -> Fault>

    init(_ next: @escaping @Sendable () -> Fault) { self.next = Mutex(next) }

    func set(_ next: @escaping @Sendable () -> Fault) { self.next.withLock { $0 = next } }

    func post(_ request: ClickHouseRequest) async throws(ClickHouseFault) -> ClickHouseReply {
        switch next.withLock({ $0 })() {
        case .none: return try await real.post(request)
        case .lost: throw .away("lost on the way")
        case .unheard:
            _ = try await real.post(request)
            throw .away("lost on the way back")
        case .twice:
            _ = try await real.post(request)
            return try await real.post(request)
        }
    }
}

@Suite("Telemetry in ClickHouse", .enabled(if: TestStore.address != nil, "REEVE_TEST_CLICKHOUSE is not set"))
struct ClickHouseStoreTests {
    private static let store = TestStore.clickHouse

    private static func hex(_ number: Int, _ digits: Int) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: digits - text.count) + text
    }

    private static func spans(_ numbers: Range<Int>, traces: Int = 3) throws -> [UInt8] {
        let spans = numbers.map { number in
            SpanSamples.span(
                hex(number + 1, 16), "step \(number)",
                attributes: number % 3 == 0 ? [("gen_ai.operation.name", "chat")] : [],
                more: ["traceId": .string(hex(number % traces + 1, 32))])
        }
        return try OTLPJSON.traces(SpanSamples.request(spans)) { _ in }
    }

    private static func logs(_ numbers: Range<Int>) -> LogRows {
        numbers.reduce(into: LogRows()) { rows, number in
            var record = LogRecord(at: 1_800_000_000_000_000_000 + Int64(number))
            record.message = "line \(number)"
            record.category = number % 2 == 0 ? .system : .error
            rows.append(LogRow.encode(record))
        }
    }

    private static func messages(_ ingest: TelemetryIngest) async throws -> [String] {
        var query = LogQuery()
        (query.limit, query.isNewestFirst) = (1_000, false)
        return try await ingest.logs(query).records.map(\.message)
    }

    private static func names(_ ingest: TelemetryIngest, traces: Int = 3) async throws -> [String] {
        var names: [String] = []
        for trace in 1...traces {
            let id = try #require(TraceID(hex(trace, 32)))
            names += try await ingest.trace(id).map(\.name)
        }
        return names.sorted()
    }

    @Test("while ClickHouse is away records are taken in, and are there once it is back")
    func away() async throws {
        try await Self.store.withFolder { folder in
            let way = FaultyTransport { .lost }
            let ingest = try Self.store.ingest(folder, quota: 1 << 20, world: .live, transport: way)
            #expect(ingest.storeFault == nil)
            for number in 0..<5 {
                _ = try await ingest.take(try Self.spans(number..<number + 1), agent: nil)
                try await ingest.take(Self.logs(number..<number + 1), refused: [:])
                await #expect(throws: ClickHouseFault.self) { try await ingest.flush() }
            }
            #expect(ingest.storeFault?.contains("does not answer") == true)
            let fault = await #expect(throws: Problem.self) { try await Self.messages(ingest) }
            #expect(fault?.code == .storageUnavailable)
            way.set { .none }
            try await ingest.flush()
            #expect(ingest.storeFault == nil)
            #expect(try await Self.messages(ingest) == (0..<5).map { "line \($0)" })
            #expect(try await Self.names(ingest).count == 5)
            #expect(ingest.ledgers[.traces].stored == 5)
            #expect(ingest.ledgers[.logs].stored == 5)
            try await ingest.close()
        }
    }

    @Test("what memory has no room for waits in the spool, until that is full")
    func spilled() async throws {
        try await Self.store.withFolder { folder in
            let way = FaultyTransport { .lost }
            func start() throws -> TelemetryIngest {
                try Self.store.ingest(folder, quota: 30_000, world: .live, transport: way, waitingBytesMax: 2_000)
            }
            var ingest = try start()
            var taken = 0
            while taken < 1_000 {
                do {
                    _ = try await ingest.take(try Self.spans(taken..<taken + 1), agent: nil)
                    try await ingest.take(Self.logs(taken..<taken + 1), refused: [:])
                } catch {
                    #expect(error as? TelemetryIngest.Fault == .overloaded)
                    break
                }
                taken += 1
                if taken % 10 == 0 { try? await ingest.flush() }
            }
            // Many times what memory takes, and no more than the spool does.
            #expect((20..<1_000).contains(taken))
            ingest = try start()
            try? await ingest.flush()
            way.set { .none }
            try await ingest.flush()
            #expect(try await Self.messages(ingest) == (0..<taken).map { "line \($0)" })
            #expect(try await Self.names(ingest).count >= taken)
            let ledgers = ingest.ledgers
            for signal in [TelemetrySignal.traces, .logs] {
                #expect(ledgers[signal].received == ledgers[signal].stored)
            }
            try await ingest.take(Self.logs(taken..<taken + 1), refused: [:])
            try await ingest.flush()
            #expect(try await Self.messages(ingest).count == taken + 1)
            try await ingest.close()
        }
    }

    @Test(
        "each record is there once, and told of once, whatever gets lost on the way",
        arguments: [1, 2, 3, 4] as [UInt64])
    func faults(seed: UInt64) async throws {
        try await Self.store.withFolder { folder in
            let random = Mutex(SplitMix(seed: seed))
            let draw: @Sendable () -> FaultyTransport.Fault = {
                switch random.withLock({ $0.next() % 8 }) {
                case 0: .lost
                case 1, 2: .unheard
                case 3: .twice
                default: .none
                }
            }
            let way = FaultyTransport(draw)
            let told = Mutex<[SpanID]>([])
            func start() throws -> TelemetryIngest {
                let ingest = try Self.store.ingest(folder, quota: 1 << 24, world: .live, transport: way)
                ingest.tell { spans in told.withLock { $0 += spans.map(\.head.spanID) } }
                return ingest
            }
            var ingest = try start()
            for step in 0..<24 {
                let numbers = step * 5..<step * 5 + 5
                _ = try await ingest.take(try Self.spans(numbers), agent: nil)
                try await ingest.take(Self.logs(numbers), refused: [:])
                try? await ingest.flush()
                // A process that ends without a word, and may have left an insert of which nobody heard.
                if seed > 2, step % 7 == 6 { ingest = try start() }
            }
            way.set { .none }
            try await ingest.flush()
            #expect(try await Self.messages(ingest) == (0..<120).map { "line \($0)" })
            #expect(try await Self.names(ingest) == (0..<120).map { "step \($0)" }.sorted())
            let ledgers = ingest.ledgers
            for signal in [TelemetrySignal.traces, .logs] {
                #expect(ledgers[signal].received == ledgers[signal].stored + ledgers[signal].duplicate)
            }
            if seed <= 2 {
                #expect(ledgers[.traces].stored == 120)
                #expect(ledgers[.logs].stored == 120)
                let heard = told.withLock { $0 }
                #expect((heard.count, Set(heard).count) == (120, 120))
            }
            try await ingest.close()
        }
    }

    @Test("a list of traces is the same as that of the files")
    func traceLists() async throws {
        try await Self.store.withFolder { folder in
            let world = World(time: SetTime(World.live.now), entropy: World.live.entropy)
            let ingest = try Self.store.ingest(folder, quota: 1 << 24, world: world)
            let files = try TestStore.files.ingest("\(folder)-files", quota: 1 << 24, world: world)
            defer { try? FileManager.default.removeItem(atPath: "\(folder)-files") }
            for (number, service) in ["writer", "reader", "it's \"odd\"\u{0}\n"].enumerated() {
                let spans = (0..<6).map { span in
                    let failed: JSONValue = ["code": .int(span == 5 && number == 1 ? 2 : 0)]
                    return SpanSamples.span(
                        Self.hex(100 * number + span + 1, 16), "step \(span)",
                        attributes: [
                            ("gen_ai.agent.name", .string("agent \(span % 2)")),
                            ("correlation_id", .string("c-\(number)'")), ("session.id", .string("s\(span % 3)")),
                        ],
                        more: [
                            "traceId": .string(Self.hex(number * 2 + span % 2 + 1, 32)), "status": failed,
                            "endTimeUnixNano": .string("17000000002500000\(10 + number * 10 + span)"),
                        ])
                }
                let body = try OTLPJSON.traces(SpanSamples.request(spans, service: service)) { _ in }
                for one in [ingest, files] {
                    _ = try await one.take(body, agent: nil)
                    try await one.flush()
                }
            }
            let changes: [@Sendable (inout TraceQuery) -> Void] = [
                { _ in }, { $0.service = "it's \"odd\"\u{0}\n" }, { $0.service = "nobody" }, { $0.agent = "agent 1" },
                { $0.session = "s2" }, { $0.id = "c-1'" }, { $0.id = Self.hex(2, 32) }, { $0.isFailed = true },
                { $0.limit = 2 }, { $0.times = 0..<1 },
                {
                    $0.agent = "agent 1"
                    $0.isFailed = true
                },
            ]
            for (number, change) in changes.enumerated() {
                var query = TraceQuery()
                change(&query)
                let (found, meant) = (try await ingest.traces(query), try await files.traces(query))
                #expect(found.isComplete)
                #expect(Set(found.traces.map(\.id)) == Set(meant.traces.map(\.id)), "query \(number)")
                if query.limit > 10 { #expect(found.traces == meant.traces, "query \(number)") }
            }
            for trace in 1...6 {
                let id = try #require(TraceID(Self.hex(trace, 32)))
                #expect(try await ingest.trace(id) == files.trace(id))
                #expect(try await ingest.hasTrace(id))
                for head in try await files.trace(id) {
                    #expect(try await ingest.span(head.spanID, of: id) == files.span(head.spanID, of: id))
                }
            }
            #expect(try await !ingest.hasTrace(TraceID(high: 9, low: 9)))
            try await files.close()
            try await ingest.close()
        }
    }

    /// A way to ClickHouse that remembers what was asked.
    private final class Overheard: ClickHouseTransport {
        private let real = HTTPClickHouse()
        private let asked = Mutex<[String]>([])

        func post(_ request: ClickHouseRequest) async throws(ClickHouseFault) -> ClickHouseReply {
            asked.withLock { $0.append(String(decoding: request.body, as: UTF8.self)) }
            return try await real.post(request)
        }

        /// The days since which a list of traces was looked for.
        func days() -> [String] {
            asked.withLock { asked in
                defer { asked = [] }
                return asked.filter { $0.contains("GROUP BY trace_id") }.compactMap { text in
                    text.firstMatch(of: /\d{4}-\d\d-\d\d/).map { String($0.output) }
                }
            }
        }
    }

    @Test("a list of traces is looked for in the latest days, and further back where those have too few")
    func traceListDays() async throws {
        try await Self.store.withFolder { folder in
            let begun = try #require(Timestamp(rfc3339: "2026-03-10T12:00:00Z"))
            let time = SetTime(begun)
            let way = Overheard()
            let ingest = try Self.store.ingest(
                folder, quota: 1 << 20, world: World(time: time, entropy: World.live.entropy), transport: way)
            for day in [0, 20, 39, 40] {
                time.set(begun + .hours(24 * Int64(day)))
                let end = String(time.now.microseconds * 1_000)
                let span = SpanSamples.span(
                    Self.hex(day + 1, 16),
                    more: [
                        "traceId": .string(Self.hex(day + 1, 32)), "startTimeUnixNano": .string(end),
                        "endTimeUnixNano": .string(end),
                    ])
                _ = try await ingest.take(try OTLPJSON.traces(SpanSamples.request([span])) { _ in }, agent: nil)
                try await ingest.flush()
            }
            func found(_ limit: Int, since day: Int? = nil) async throws -> [Int] {
                var query = TraceQuery()
                query.limit = limit
                if let day { query.times = (begun + .hours(24 * Int64(day))).microseconds * 1_000..<Int64.max }
                return try await ingest.traces(query).traces.map { Int($0.id.low) - 1 }
            }
            #expect(try await found(2) == [40, 39])
            #expect(way.days() == ["2026-04-18"])
            #expect(try await found(3) == [40, 39, 20])
            #expect(way.days() == ["2026-04-18", "2026-04-12", "2026-03-20"])
            #expect(try await found(50) == [40, 39, 20, 0])
            #expect(way.days() == ["2026-04-18", "2026-04-12", "2026-03-20", "1970-01-01"])
            // Nothing before is meant, less a day for clocks that are wrong.
            #expect(try await found(50, since: 39) == [40, 39])
            #expect(way.days() == ["2026-04-18", "2026-04-17"])
            try await ingest.close()
        }
    }

    @Test("labels tell streams apart again after a start, whatever they hold")
    func labels() async throws {
        try await Self.store.withFolder { folder in
            let odd = "a'b\\c\n\u{0}, DROP TABLE reeve_logs"
            let first = try Self.store.ingest(folder, quota: 1 << 20, world: .live)
            var record = LogRecord(at: 1_800_000_000_000_000_000)
            record.labels = LogLabels([(name: "app", value: odd)])
            (record.message, record.service, record.correlationID) = (odd, odd, odd)
            var rows = LogRows()
            rows.append(LogRow.encode(record))
            try await first.take(rows, refused: [:])
            try await first.flush()
            #expect(try await first.logLabels() == ["app": [odd], "service_name": [odd], "level": ["info"]])
            var query = LogQuery()
            query.conditions = [
                .field("app", .equal(odd)), .field("service", .equal(odd)), .words(odd.uppercased()),
                .line(.contains(odd)),
            ]
            query.id = odd
            #expect(try await first.logs(query).records == [record])
            try await first.close()
            let second = try Self.store.ingest(folder, quota: 1 << 20, world: .live)
            try await second.flush()
            for number in 1..<StreamLabels.valuesMax {
                #expect(second.streams.divide([(name: "app", value: "v\(number)")]).metadata.isEmpty)
            }
            #expect(second.streams.divide([(name: "app", value: "one more")]).labels.isEmpty)
            try await second.close()
        }
    }

    @Test("retention goes through so many partitions at a time, and a crash in its midst loses and doubles nothing")
    func retentionSteps() async throws {
        try await withRetentionBench(.clickHouse) { bench in
            try await bench.span(1, of: 1, [("gen_ai.operation.name", "invoke_agent")])
            try await bench.span(2, of: 1, isFailed: true)
            try await bench.log("with it") { $0.traceID = RetentionBench.trace(1).description }
            try await bench.log("nobody's")
            let store = try #require(bench.ingest.store as? ClickHouseStore)
            bench.pass(to: 31)
            // As after an end between copying and dropping.
            let part = ClickHousePart(category: .system, day: ArchivePart.day(of: RetentionBench.begun))
            let condition: ClickHouseQuery = "trace_id != ''"
            for _ in 0..<2 { try await store.stores.keeping.carry(part, .logs, condition) }
            #expect(try await bench.messages() == ["nobody's", "with it"])
            var rounds = 0
            var dropped: Set<ClickHousePart> = []
            while rounds < 10 {
                var work = ClickHouseRetention(
                    TelemetryRetention(Settings.Telemetry()), RetentionEvidence(), store.stores, now: bench.time.now,
                    partsMax: 1)
                try await work.run {}
                #expect(work.dropped.count <= 1)
                guard !work.dropped.isEmpty else { break }
                dropped.formUnion(work.dropped)
                rounds += 1
                #expect(try await bench.spans(1) == 2)
            }
            #expect(dropped.count == 2 && rounds == 2)
            #expect(try await bench.messages() == ["with it"])
            #expect(try await bench.ingest.logLabels().isEmpty == false)
            bench.pass(to: 91)
            try await bench.ingest.forget(TelemetryRetention(Settings.Telemetry()))
            #expect(try await bench.ingest.isEmpty())
        }
    }

    @Test("days go as their category says, with all that finds their records")
    func retention() async throws {
        try await Self.store.withFolder { folder in
            let begun = Timestamp(microseconds: 1_700_000_000_000_000)
            let time = SetTime(begun)
            let world = World(time: time, entropy: World.live.entropy)
            let ingest = try Self.store.ingest(folder, quota: 1 << 20, world: world)
            _ = try await ingest.take(try Self.spans(0..<6), agent: nil)
            try await ingest.take(Self.logs(0..<6), refused: [:])
            try await ingest.flush()
            let retention = TelemetryRetention(Settings.Telemetry())
            time.set(begun + .hours(24 * 30))
            #expect(try await ingest.forget(retention) == 0)
            time.set(begun)
            try await ingest.take(Self.logs(6..<7), refused: [:])
            time.set(begun + .hours(24 * 31))
            #expect(try await ingest.forget(retention) == 2)
            // What waited goes with its day as well.
            try await ingest.flush()
            #expect(try await Self.messages(ingest) == ["line 1", "line 3", "line 5"])
            #expect(try await Self.names(ingest) == [])
            #expect(try await ingest.traces(TraceQuery()).traces.isEmpty)
            time.set(begun + .hours(24 * 91))
            #expect(try await ingest.forget(retention) == 1)
            #expect(try await ingest.logLabels().isEmpty)
            try await ingest.close()
        }
    }
}
