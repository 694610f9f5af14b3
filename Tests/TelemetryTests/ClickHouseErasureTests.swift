import Foundation
import Kernel
import Server
import Synchronization
import Testing

@testable import Telemetry

extension ErasureReport {
    /// What was found, removed, held, and left; all that was found where there was no second search.
    fileprivate var counts: [Int] { [found, removed, held, remaining ?? found] }
}

@Suite(
    "A subject is erased from ClickHouse", .enabled(if: TestStore.address != nil, "REEVE_TEST_CLICKHOUSE is not set"))
struct ClickHouseErasureTests {
    private static let subject = "Ada.Lovelace@example.org"

    private static func order(
        _ text: String = subject, isAnywhere: Bool = false, isDryRun: Bool = false, holds: [TelemetryHold] = []
    ) -> ErasureOrder {
        ErasureOrder(SubjectMatch(text, isAnywhere: isAnywhere), isDryRun: isDryRun, holds: holds)
    }

    /// Asks the test's own database.
    private static func count(
        _ bench: RetentionBench, _ table: String, _ condition: ClickHouseQuery
    ) async throws -> Int64 {
        let connection = ClickHouseConnection(
            try TestStore.clickHouse(bench.folder), transport: HTTPClickHouse(), entropy: World.live.entropy)
        let rows = try await connection.ask(
            "SELECT count() FROM \(schema: table) WHERE \(condition) FORMAT RowBinary", longest: .seconds(10))
        return try ColumnReader.rows(rows) { try $0.int() }.first ?? -1
    }

    private static func fill(_ bench: RetentionBench) async throws {
        for number in 1...12 as ClosedRange<UInt64> {
            let user: JSONValue = number % 4 == 0 ? .string(subject) : "somebody"
            try await bench.span(number, of: 1, [("user.id", user), ("text", .string("of \(number)"))])
        }
        try await bench.span(50, of: 2, resource: [("user.id", .string(subject))])
        try await bench.span(51, of: 2, [("correlation_id", .string(subject))], isFailed: true)
        try await bench.span(52, of: 3, [("user.id", .string(subject))], isPending: true)
        try await bench.log("hers") { $0.session = subject }
        try await bench.log("hers too") { $0.labels = LogLabels([(name: "user", value: subject)]) }
        try await bench.log("hers as well") { $0.correlationID = subject }
        try await bench.log("and hers") {
            $0.attributes["who"] = JSONValue.object(JSONObject([.init(name: "name", value: .string(subject))]))
        }
        try await bench.log("another's") { $0.correlationID = subject.lowercased() }
    }

    @Test("nothing of it is left in any table, and all else is")
    func everywhere() async throws {
        try await withRetentionBench(.clickHouse) { bench in
            try await Self.fill(bench)
            let look = try await bench.ingest.erase(Self.order(isDryRun: true))
            #expect(look.counts == [10, 0, 0, 10])
            #expect(try await bench.spans(1) == 12)
            let report = try await bench.ingest.erase(Self.order())
            // Partitions have a path for a name, and what is known in memory has none.
            let found = report.files.count { $0.name.contains("/") }
            #expect(found > 0 && report.filesSearched >= found)
            #expect(report.counts == [10, 10, 0, 0])
            #expect(report.places == look.places)
            #expect(report.places["user.id"] == 4)
            #expect(report.blocksRead == report.blocks)
            for file in report.files where file.name != "live" { #expect(file.sha256?.count == 64, "\(file.name)") }
            #expect([try await bench.spans(1), try await bench.spans(2), try await bench.spans(3)] == [9, 0, 0])
            #expect(try await bench.messages() == ["another's"])
            // By its id in other letters another's record is still found.
            var query = LogQuery()
            query.id = Self.subject.lowercased()
            #expect(try await bench.ingest.logs(query).records.map(\.message) == ["another's"])
            #expect(try await bench.ingest.logLabels()["user"] == nil)
            for (table, column) in [
                ("reeve_span_ids", "id"), ("reeve_failed", "correlation_id"), ("reeve_log_labels", "value"),
                ("reeve_spans", "body"), ("reeve_logs", "attributes"), ("reeve_removing", "key"),
            ] {
                let has: ClickHouseQuery = "position(\(schema: column), \(Self.subject)) > 0"
                #expect(try await Self.count(bench, table, has) == 0, "\(table)")
            }
            // Ingest goes on, and a start finds the same.
            try await bench.span(90, of: 1)
            try bench.startAnew()
            #expect(try await bench.spans(1) == 10)
            let again = try await bench.ingest.erase(Self.order())
            #expect(again.files.isEmpty)
            #expect(again.digest == report.digest)
        }
    }

    @Test("what is the subject's is known as in the files", arguments: SubjectErasureTests.attributes.indices)
    func matches(_ index: Int) async throws {
        let row = SubjectErasureTests.attributes[index]
        try await withRetentionBench(.clickHouse) { bench in
            try await bench.span(1, of: 1, [(row.name, row.value)])
            try await bench.log("one") { log in
                log.attributes[row.name] = row.value.object == nil ? row.value : .string(row.subject)
            }
            let whole = row.value.object == nil ? row.whole : true
            for (isAnywhere, span, log) in [(false, row.whole, whole), (true, row.anywhere, true)] {
                let report = try await bench.ingest.erase(
                    Self.order(row.subject, isAnywhere: isAnywhere, isDryRun: true))
                func found(_ table: String) -> Int {
                    report.files.filter { $0.name.hasPrefix(table) }.reduce(0) { $0 + $1.found }
                }
                #expect(found("reeve_spans") == (span ? 1 : 0), "\(isAnywhere)")
                if row.anywhere { #expect(found("reeve_logs") == (log ? 1 : 0), "\(isAnywhere)") }
            }
        }
    }

    @Test(
        "texts that SQL or JSON write otherwise are found as they are",
        arguments: [
            "it's", "a\"b\\c", "a/b/c", "ä€😀", "\u{FFFD}\u{FFFD}\u{FFFD}", "tab\tnew\nline", "%d{}'); --", "-42",
            "4711",
        ])
    func odd(_ text: String) async throws {
        try await withRetentionBench(.clickHouse) { bench in
            try await bench.span(1, of: 1, [("user.id", .string(text))])
            try await bench.span(2, of: 1, [("user.id", "somebody")])
            try await bench.log("hers") { $0.attributes["user"] = .string(text) }
            try await bench.log("hers by label") { $0.labels = LogLabels([(name: "user", value: text)]) }
            try await bench.log("another's") { $0.attributes["user"] = "somebody" }
            let report = try await bench.ingest.erase(Self.order(text))
            #expect(report.counts == [3, 3, 0, 0])
            #expect(try await bench.spans(1) == 1)
            #expect(try await bench.messages() == ["another's"])
        }
    }

    @Test("what was carried over is erased as well, and what is under a hold stays and is found")
    func keptAndHeld() async throws {
        try await withRetentionBench(.clickHouse) { bench in
            try await Self.fill(bench)
            var marks = RetentionEvidence()
            marks.traces = [RetentionBench.trace(1)]
            marks.holds = [TelemetryHold(id: "hold_1", target: .trace(RetentionBench.trace(2)))]
            bench.pass(to: 31)
            try await bench.ingest.forget(TelemetryRetention(Settings.Telemetry()), marks)
            #expect([try await bench.spans(1), try await bench.spans(2)] == [12, 2])
            let report = try await bench.ingest.erase(Self.order(holds: marks.holds))
            #expect(report.files.contains { $0.name.hasSuffix("-kept") && $0.removed == 3 && $0.held == 1 })
            #expect(report.holds == ["hold_1"])
            #expect(report.remaining == 0)
            #expect([try await bench.spans(1), try await bench.spans(2)] == [9, 2])
            var query = TraceQuery()
            query.id = Self.subject
            #expect(try await bench.ingest.traces(query).traces.map(\.id) == [RetentionBench.trace(2)])
            #expect(try await bench.ingest.erase(Self.order()).removed == 2)
            #expect(try await bench.ingest.traces(query).traces.isEmpty)
        }
    }

    @Test("an erasure that ends in the middle is done by the next one")
    func interrupted() async throws {
        try await withRetentionBench(.clickHouse) { bench in
            try await Self.fill(bench)
            // It ends behind every word in turn, also while ClickHouse works.
            for words in 0..<6 {
                let left = Mutex(words)
                await #expect(throws: SubjectErasure.Stopped.self) {
                    try await bench.ingest.erase(Self.order()) { _ in
                        left.withLock { left in
                            left -= 1
                            return left >= 0
                        }
                    }
                }
                try bench.startAnew()
            }
            let report = try await bench.ingest.erase(Self.order())
            #expect(report.remaining ?? 0 == 0)
            #expect([try await bench.spans(1), try await bench.spans(2)] == [9, 0])
            #expect(try await bench.messages() == ["another's"])
            #expect(try await Self.count(bench, "reeve_removing", "1") == 0)
            #expect(try await Self.count(bench, "reeve_span_ids", "id = \(Self.subject)") == 0)
        }
    }

    @Test("more rows than are read at a time are each looked at, and one that came twice once")
    func pages() async throws {
        try await withRetentionBench(.clickHouse) { bench in
            var rows = LogRows()
            for number in 0..<4_500 {
                var record = LogRecord(at: Int64(number / 3))
                record.attributes["user"] = .string(number % 2 == 0 ? Self.subject : "x\(Self.subject)")
                record.category = .tool
                rows.append(LogRow.encode(record))
            }
            try await bench.ingest.take(rows, refused: [:])
            try await bench.ingest.flush()
            let report = try await bench.ingest.erase(Self.order())
            #expect(report.counts == [2_250, 2_250, 0, 0])
            #expect(try await Self.count(bench, "reeve_logs", "1") == 2_250)
        }
    }
}
