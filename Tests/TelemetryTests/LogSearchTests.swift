import Foundation
import Kernel
import Testing

@testable import Telemetry

@Suite("Logs from their request to what is found")
struct LogSearchTests {
    private static let base: Int64 = 1_800_000_000_000_000_000
    private static let origin = LogOrigin(arrival: base)

    private static func rows(_ records: [LogRecord]) -> LogRows {
        records.reduce(into: LogRows()) { $0.append(LogRow.encode($1)) }
    }

    private static func record(_ number: Int, _ message: String, _ change: (inout LogRecord) -> Void = { _ in })
        -> LogRecord
    {
        var record = LogRecord(at: base + Int64(number))
        record.message = message
        change(&record)
        return record
    }

    private static func query(_ change: (inout LogQuery) -> Void = { _ in }) -> LogQuery {
        var query = LogQuery()
        change(&query)
        return query
    }

    @Test("a record is found as it came, whatever it holds", arguments: TestStore.available)
    func whole(_ store: TestStore) async throws {
        let record = Self.record(1, "Größe \"7\"\nzweite Zeile") {
            $0.level = "WARNING"
            $0.service = "writer"
            $0.logger = "app.db"
            $0.correlationID = "c-1"
            $0.agent = "scribe"
            $0.session = "s-1"
            $0.turn = -3
            $0.tool = "search"
            $0.durationMs = 12.5
            $0.traceID = SpanSamples.traceID
            $0.spanID = "00f067aa0ba902b7"
            $0.category = .tool
            $0.attributes = JSONObject([.init(name: "k", value: ["a": [1, 2.5, "x"]])])
            $0.labels = LogLabels([(name: "app", value: "x:1"), (name: "env", value: "")])
        }
        #expect(try LogRow.encode(record).withUnsafeBytes { try LogRow.decode($0) } == record)
        try await store.withFolder { folder in
            let ingest = try store.ingest(folder, quota: 1 << 20, world: .live)
            try await ingest.take(Self.rows([record, Self.record(2, "bare")]), refused: [.noMessage: 1])
            try await ingest.flush()
            let found = try await ingest.logs(Self.query())
            #expect(found.records == [Self.record(2, "bare"), record])
            #expect(found.isComplete)
            #expect(found.next == nil)
            let ledger = ingest.ledgers[.logs]
            #expect((ledger.received, ledger.stored, ledger.rejected) == (3, 2, 1))
            #expect(try await ingest.logLabels()["app"] == ["x:1"])
            try await ingest.close()
        }
    }

    /// A few hundred records that differ in all that is asked for, in some dozen blocks.
    private static func sample(_ random: inout SplitMix) -> [LogRecord] {
        let words = ["alpha", "Beta", "gamma", "timeout", "retry", "déjà", "x"]
        return (0..<600).map { number in
            record(Int(random.next() % 400), "") {
                $0.message = (0..<3).map { _ in words[Int(random.next() % 7)] }.joined(separator: " ") + " \(number)"
                $0.level = ["info", "ERROR", "debug"][Int(random.next() % 3)]
                $0.service = ["writer", "reader"][Int(random.next() % 2)]
                $0.correlationID = random.next() % 3 == 0 ? "c-\(random.next() % 5)" : nil
                $0.traceID = random.next() % 4 == 0 ? "000000000000000000000000000000a\(random.next() % 3)" : nil
                $0.tool = random.next() % 5 == 0 ? "search" : nil
                $0.category = $0.derivedCategory
                $0.labels =
                    random.next() % 2 == 0 ? LogLabels([(name: "app", value: "a\(random.next() % 2)")]) : LogLabels()
                if random.next() % 3 == 0 {
                    $0.attributes = JSONObject([.init(name: "n", value: .int(Int64(random.next() % 3)))])
                }
            }
        }
    }

    /// Patterns that Foundation reads as RE2 does.
    private static let patterns: [BoundedPattern] = [
        "(?i)TIMEOUT .* \\d+$", "gam{2}a (x|retry)", "^Beta", "retry|x 1", "[^a-z]5\\b", "d\\p{L}j",
    ].compactMap { try? BoundedPattern($0, syntax: .re2) }

    private static func randomQuery(_ random: inout SplitMix) -> LogQuery {
        query { query in
            let pattern = patterns[Int(random.next() % UInt64(patterns.count))]
            query.isNewestFirst = random.next() % 2 == 0
            query.limit = 20 + Int(random.next() % 100)
            if random.next() % 3 == 0 { query.id = random.next() % 2 == 0 ? "c-2" : "000000000000000000000000000000A1" }
            if random.next() % 3 == 0 { query.times = base + 50..<base + 300 }
            let conditions: [LogCondition] = [
                .words("TIME"), .words("beta"), .words("déjà"), .words("nowhere"), .words("x"),
                .field("service", .equal("writer")), .field("app", .equal("a1")), .field("app", .equal("")),
                .field("n", .equal("2")), .field("category", .equal("error")),
                .field("tool", .equal("", isNegated: true)),
                .line(.contains("retry")), .line(.contains("x", isNegated: true)),
                .severity(atLeast: .info), .severity(atLeast: .error), .field("level", .equal("ERROR")),
                .line(.contains("it's 'quoted' \\")), .line(.finds(pattern)), .line(.finds(pattern, isNegated: true)),
                .field("app", .matches(pattern, isNegated: true)),
            ]
            for _ in 0..<Int(random.next() % 3) {
                query.conditions.append(conditions[Int(random.next() % UInt64(conditions.count))])
            }
        }
    }

    /// What a query means, told in the simplest way.
    private static func isMeant(_ record: LogRecord, _ query: LogQuery) -> Bool {
        guard query.times.contains(record.time) else { return false }
        if let id = query.id, record.correlationID != id, record.traceID != id.lowercased() { return false }
        let texts = [
            record.message, record.attributes.isEmpty ? "" : JSONValue.object(record.attributes).text, record.level,
            record.service, record.correlationID ?? "", record.traceID ?? "", record.tool ?? "",
        ]
        return query.conditions.allSatisfy { condition in
            switch condition {
            case .severity(let least): return record.severity >= least
            case .words(let word):
                return texts.contains { $0.lowercased().contains(word.lowercased()) }
            case .line(let matcher): return texts.contains { isMet(matcher.isPositive, $0) } != matcher.isNegated
            case .field(let name, let matcher):
                let text: String? =
                    switch name {
                    case "service": record.service
                    case "level": record.level
                    case "category": record.category.rawValue
                    case "tool": record.tool
                    default: record.labels[name] ?? record.attributes[name].map { $0.string ?? $0.text }
                    }
                return isMet(matcher, text ?? "")
            }
        }
    }

    private static func isMet(_ matcher: LogMatcher, _ text: String) -> Bool {
        let isFound =
            switch matcher.kind {
            case .equal(let meant): text == meant
            case .contains(let part): text.contains(part.text)
            case .finds(let pattern, _): text.range(of: pattern.text, options: .regularExpression) != nil
            case .matches(let pattern):
                text.range(of: "^(?:\(pattern.text))$", options: .regularExpression) != nil
            }
        return isFound != matcher.isNegated
    }

    @Test(
        "random queries find what the simplest reading of them finds, page after page",
        arguments: TestStore.available, [1, 2, 3] as [UInt64])
    func differential(_ store: TestStore, seed: UInt64) async throws {
        var random = SplitMix(seed: seed)
        let records = Self.sample(&random)
        try await store.withFolder { [random] folder in
            var random = random
            let ingest = try store.ingest(folder, quota: 1 << 24, world: .live)
            var rest = records[...]
            while !rest.isEmpty {
                let piece = rest.prefix(1 + Int(random.next() % 60))
                rest = rest.dropFirst(piece.count)
                try await ingest.take(Self.rows(Array(piece)), refused: [:])
                if random.next() % 2 == 0 { try await ingest.flush() }
            }
            try await ingest.flush()
            for _ in 0..<25 {
                var query = Self.randomQuery(&random)
                let meant = records.filter { Self.isMeant($0, query) }
                var shown: [LogRecord] = []
                for _ in 0..<700 {
                    let found = try await ingest.logs(query)
                    #expect(found.records.count <= query.limit)
                    shown += found.records
                    query.after = found.next
                    if found.next == nil { break }
                }
                #expect(query.after == nil)
                #expect(shown.map(\.time) == meant.map(\.time).sorted { query.isNewestFirst == ($0 > $1) })
                #expect(Set(shown.map(\.message)) == Set(meant.map(\.message)), "\(query)")
            }
            try await ingest.close()
        }
    }

    @Test(
        "what was acknowledged is there once, after a process that ended without a word",
        arguments: TestStore.available)
    func crash(_ store: TestStore) async throws {
        try await store.withFolder { folder in
            let first = try store.ingest(folder, quota: 1 << 20, world: .live)
            for number in 0..<40 {
                let record = Self.record(number, "line \(number)") { $0.category = number % 2 == 0 ? .system : .error }
                try await first.take(Self.rows([record]), refused: [:])
                if number == 19 { try await first.flush() }
            }
            // Nothing is closed and half of it not flushed.
            for _ in 0..<2 {
                let next = try store.ingest(folder, quota: 1 << 20, world: .live)
                try await next.flush()
                let found = try await next.logs(Self.query { $0.isNewestFirst = false })
                #expect(found.records.map(\.message) == (0..<40).map { "line \($0)" })
                try await next.close()
            }
        }
    }

    @Test("a record that JSON cannot have keeps no other from being found")
    func hostileAttributes() async throws {
        var deep = JSONValue.int(1)
        for _ in 0..<200 { deep = .array([deep]) }
        let values: [JSONValue] = ["a\u{0}b\\u0000", deep, "fine"]
        let records = values.enumerated().map { number, value in
            Self.record(number, "line \(number)") {
                $0.attributes = JSONObject([.init(name: "k", value: value), .init(name: "n", value: 1)])
            }
        }
        try await withTelemetryFolder { folder in
            let ingest = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live) { Issue.record("\($0)") }
            try await ingest.take(Self.rows(records), refused: [:])
            try await ingest.flush()
            let found = try await ingest.logs(Self.query { $0.isNewestFirst = false }).records
            #expect(found.map(\.message) == ["line 0", "line 1", "line 2"])
            #expect(found[0].attributes["k"]?.string == "a\u{FFFD}b\\u0000")
            #expect(found[1].attributes["attributes"]?.string?.hasPrefix("{\"k\":[[[") == true)
            #expect(found[2] == records[2])
            let meant = try await ingest.logs(Self.query { $0.conditions = [.field("n", .equal("1"))] })
            #expect(meant.records.map(\.message) == ["line 2", "line 0"])
            try await ingest.close()
        }
    }

    @Test("a search that takes too long says so, and where to go on")
    func tooLong() async throws {
        try await withTelemetryFolder { folder in
            let archive = try Archive(folder: folder, entropy: World.live.entropy) { _ in }
            let part = ArchivePart(.logs, .system, day: 1)
            for number in 0..<4 {
                var builder = LogBlockBuilder()
                try LogRow.encode(Self.record(number, "line")).withUnsafeBytes { try builder.add($0) }
                let block = try #require(builder.finish())
                try archive.append([ArchiveBlock(block, key: archive.key)], to: part, through: Int64(number + 1))
            }
            var asked = 0
            let found = LogSearch(archive: archive, query: Self.query()) {
                asked += 1
                return asked > 2
            }.run()
            #expect(found.records.map(\.time) == [Self.base + 3, Self.base + 2])
            #expect(!found.isComplete)
            let rest = LogSearch(archive: archive, query: Self.query { $0.after = found.next }) { false }.run()
            #expect(rest.records.map(\.time) == [Self.base + 1, Self.base])
            #expect(rest.isComplete)
            try archive.close()
        }
    }

    @Test("a disk that is full sheds by category, says so, and never errors or audits")
    func shedding() async throws {
        let quota = DiskQuota(quota: 1_000)
        #expect(quota.shed(at: 999).isEmpty)
        #expect(quota.shed(at: 1_000) == [.reasoning])
        #expect(quota.shed(at: 1_050) == [.reasoning, .tool])
        #expect(quota.shed(at: .max) == [.reasoning, .tool, .model, .system])
        try await withTelemetryFolder { folder in
            let ingest = try TelemetryIngest(folder: folder, quota: 1 << 20, diskQuota: 1, world: .live)
            let records = TelemetryCategory.allCases.map { category in
                Self.record(1, category.rawValue) { $0.category = category }
            }
            let span = SpanSamples.span("00f067aa0ba902b7", attributes: [("gen_ai.operation.name", "chat")])
            let spans = try OTLPJSON.traces(SpanSamples.request([span])) { _ in }
            try await ingest.take(Self.rows(records), refused: [:])
            try await ingest.flush()
            try await ingest.measure()
            let refused = try await ingest.take(Self.rows(records), refused: [.noMessage: 1])
            #expect(refused == [.shed: 4, .noMessage: 1])
            #expect(try await ingest.take(spans, agent: nil) == [.shed: 1])
            try await ingest.flush()
            let kept = try await ingest.logs(Self.query()).records.map(\.message)
            #expect(kept.count { $0 == "error" } == 2)
            #expect(kept.count { $0 == "audit" } == 2)
            #expect(kept.count == 8)
            let ledger = ingest.ledgers[.logs]
            #expect(ledger.received == ledger.stored + ledger.rejected + ledger.shed)
            #expect(ledger.shedByCategory == [.reasoning: 1, .tool: 1, .model: 1, .system: 1])
            #expect(ingest.ledgers[.traces].shedByCategory == [.model: 1])
            try await ingest.close()
        }
    }

    @Test("what was shed of a request stays away after a process that ended without a word")
    func shedAndCrash() async throws {
        try await withTelemetryFolder { folder in
            let first = try TelemetryIngest(folder: folder, quota: 1 << 20, diskQuota: 1, world: .live)
            let record = Self.record(1, "there") { $0.category = .error }
            try await first.take(Self.rows([record]), refused: [:])
            try await first.flush()
            try await first.measure()
            let spans = [
                SpanSamples.span("00f067aa0ba902b7", attributes: [("gen_ai.operation.name", "chat")]),
                SpanSamples.span("00f067aa0ba902b8", more: ["status": ["code": 2]]),
            ]
            let request = try OTLPJSON.traces(SpanSamples.request(spans)) { _ in }
            #expect(try await first.take(request, agent: "writer") == [.shed: 1])
            // Nothing is closed, and the spans not flushed.
            let next = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live)
            try await next.flush()
            let heads = try await next.trace(try #require(TraceID(SpanSamples.traceID)))
            #expect(heads.map(\.spanID.description) == ["00f067aa0ba902b8"])
            #expect(heads.map(\.agent) == ["writer"])
            try await next.close()
        }
    }
}
