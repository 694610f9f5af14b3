import Kernel
import Testing

@testable import Telemetry

@Suite("Metric queries of logs")
struct LogMetricTests {
    private static let second: Int64 = 1_000_000_000
    private static let base = 1_800_000_000 * second

    // MARK: language

    @Test(
        "what is answered",
        arguments: [
            #"count_over_time({app="x"}[1m])"#,
            #"rate({app="x"} |= "a" != "b" |~ "c|d" | json | n="7" [5m])"#,
            #"sum by (level, detected_level) (count_over_time({app="x"} |= "y" | drop __error__[1m]))"#,
            #"sum(bytes_over_time({app="x"}[1h30m])) by (level)"#,
            #"topk(3, sum by (service_name) (bytes_rate({app=~"x.+"}[30s] offset 1d)))"#,
            #"max without (level) (rate({app="x"}[1m])) > bool 0.5"#,
            #"(avg(count_over_time({app="x"}[1m])) >= -2) < 1e3"#,
            #"min(count by (level) (rate({app="x"}[1m])))"#,
            "vector(1)+vector(1)",
        ])
    func answered(_ text: String) throws {
        #expect(try LogQL.metric(text) != nil)
    }

    @Test(
        "what is not answered is refused with its place",
        arguments: [
            (#"quantile_over_time(0.9, {app="x"} | unwrap n [1m])"#, 1, "quantile_over_time"),
            (#"sum(count_over_time({app="x"} | logfmt [1m]))"#, 33, "logfmt"),
            (#"count_over_time({app="x"})"#, 26, "stage"),
            (#"count_over_time({app="x"}[soon])"#, 27, "length of time"),
            (#"count_over_time({app="x"}[0s])"#, 27, "length of time"),
            (#"count_over_time({app="x"}[366d])"#, 27, "length of time"),
            (#"count_over_time({app=~".*"}[1m])"#, 28, "empty text"),
            (#"sum by (my-label) (rate({app="x"}[1m]))"#, 11, "`,` or `)`"),
            (#"topk(0, rate({app="x"}[1m]))"#, 6, "whole number"),
            (#"topk(2.5, rate({app="x"}[1m]))"#, 6, "whole number"),
            (#"rate({app="x"}[1m]) / rate({app="y"}[1m])"#, 21, "arithmetic"),
            (#"rate({app="x"}[1m]) > rate({app="y"}[1m])"#, 23, "number"),
            (#"rate({app="x"}[1m]) rate"#, 21, "end of the query"),
            (#"sum(vector(1))"#, 14, "range of lines"),
            (#"sum({app="x"})"#, 5, "selector or a function"),
            ("1 + 1", 1, "`1`"),
        ])
    func refused(_ text: String, _ place: Int, _ reason: String) {
        do {
            _ = try LogQL.metric(text)
            Issue.record("\(text) is answered")
        } catch {
            #expect(error.offset + 1 == place, "\(text): \(error.reason)")
            #expect(error.reason.contains(reason), "\(error.reason)")
        }
    }

    @Test("levels have a bound") func levels() {
        let deep = String(repeating: "sum(", count: 30) + #"rate({app="x"}[1m])"# + String(repeating: ")", count: 30)
        #expect(throws: LogQL.Failure.self) { try LogQL.metric(deep) }
    }

    @Test("a log query is none") func none() throws {
        #expect(try LogQL.metric(#" {app="x"} |= "sum(" "#) == nil)
        #expect(try LogQL(#"{app="x"} | json | drop n, __error__"#).dropped == ["n", "__error__"])
    }

    // MARK: moments

    @Test("a time counts for the moments in whose range it lies")
    func moments() {
        var random = SplitMix(seed: 7)
        for _ in 0..<300 {
            let grid = LogGrid(
                start: Int64(random.next() % 50), step: 1 + Int64(random.next() % 9), count: 1 + Int(random.next() % 9))
            let (time, range) = (Int64(random.next() % 140) - 20, 1 + Int64(random.next() % 30))
            let expected = (0..<grid.count).filter { place in
                let moment = grid.start + Int64(place) * grid.step
                return moment - range < time && time <= moment
            }
            #expect(Array(grid.places(of: time, range: range)) == expected)
        }
    }

    // MARK: answers

    private static func records() -> [LogRecord] {
        var random = SplitMix(seed: 3)
        return (0..<400).map { number in
            var record = LogRecord(at: base + Int64(random.next() % 600) * second + Int64(random.next() % 3))
            record.message = String(repeating: "é", count: Int(random.next() % 20)) + (number % 3 == 0 ? " late" : "")
            record.level = ["info", "error", "debug"][Int(random.next() % 3)]
            record.service = ["writer", "reader"][Int(random.next() % 2)]
            record.category = random.next() % 4 == 0 ? .tool : .system
            record.labels = LogLabels([(name: "app", value: random.next() % 5 == 0 ? "other" : "x")])
            if number % 2 == 0 { record.attributes = JSONObject([.init(name: "n", value: .int(Int64(number % 4)))]) }
            return record
        }
    }

    /// What a query answers, as texts that can be compared.
    private static func answer(_ text: String, _ grid: LogGrid, _ ingest: TelemetryIngest) async throws -> [String:
        [Double]]
    {
        let metric = try #require(try LogQL.metric(text))
        let tally = try await ingest.tally(try #require(metric.tally(grid)))
        let series = metric.series(of: tally, count: grid.count).map { one in
            (
                one.labels.pairs.map { "\($0.name)=\($0.value)" }.joined(separator: ","),
                one.values.map { $0.isNaN ? -1 : $0 }
            )
        }
        return Dictionary(uniqueKeysWithValues: series.filter { $0.1.contains { $0 >= 0 } })
    }

    /// The same, worked out record by record.
    private static func expected(
        _ grid: LogGrid, range: Int64, of records: [LogRecord], by labels: (LogRecord) -> String,
        _ value: ([LogRecord]) -> Double
    ) -> [String: [Double]] {
        Dictionary(grouping: records, by: labels).mapValues { records in
            (0..<grid.count).map { place in
                let moment = grid.start + Int64(place) * grid.step
                let within = records.filter { moment - range < $0.time && $0.time <= moment }
                return within.isEmpty ? -1 : value(within)
            }
        }.filter { $0.value.contains { $0 >= 0 } }
    }

    @Test("answers are those of a look at every record", arguments: TestStore.available)
    func answers(_ store: TestStore) async throws {
        let records = Self.records()
        try await store.withFolder { folder in
            let ingest = try store.ingest(folder, quota: 16 << 20, world: .live)
            for start in stride(from: 0, to: records.count, by: 40) {
                try await ingest.take(
                    records[start..<start + 40].reduce(into: LogRows()) { $0.append(LogRow.encode($1)) }, refused: [:])
                try await ingest.flush()
            }
            let grid = LogGrid(start: Self.base + 30 * Self.second, step: 45 * Self.second, count: 12)
            let minute = 60 * Self.second
            let x = records.filter { $0.labels["app"] == "x" }
            let late = x.filter { $0.message.contains("late") }
            #expect(
                try await Self.answer(#"sum by (level, detected_level) (count_over_time({app="x"}[1m]))"#, grid, ingest)
                    == Self.expected(grid, range: minute, of: x, by: { "level=\($0.level)" }) { Double($0.count) })
            #expect(
                try await Self.answer(#"rate({app="x"} |= "late" [1m])"#, grid, ingest)
                    == Self.expected(
                        grid, range: minute, of: late,
                        by: { "app=x,level=\($0.level),service_name=\($0.service)" }
                    ) { Double($0.count) / 60 })
            #expect(
                try await Self.answer(#"sum by (category) (bytes_over_time({app="x"}[10s]))"#, grid, ingest)
                    == Self.expected(
                        grid, range: 10 * Self.second, of: x, by: { "category=\($0.category.rawValue)" }
                    ) { Double($0.reduce(0) { $0 + $1.message.utf8.count }) })
            #expect(
                try await Self.answer(#"sum by (n) (count_over_time({app="x"} | json [1m]))"#, grid, ingest)
                    == Self.expected(
                        grid, range: minute, of: x, by: { $0.attributes["n"].map { "n=\($0.text)" } ?? "" }
                    ) { Double($0.count) })
            #expect(
                try await Self.answer(
                    #"sum without (level, app) (count_over_time({app=~".+"} | service="writer" [1m]))"#, grid, ingest)
                    == Self.expected(
                        grid, range: minute, of: records.filter { $0.service == "writer" },
                        by: { "service_name=\($0.service)" }
                    ) { Double($0.count) })
            #expect(
                try await Self.answer(#"sum(count_over_time({app="x"}[1m] offset 45s)) > 20"#, grid, ingest)
                    == Self.expected(
                        LogGrid(start: grid.start - 45 * Self.second, step: grid.step, count: grid.count),
                        range: minute, of: x, by: { _ in "" }
                    ) { $0.count > 20 ? Double($0.count) : -1 })
            let byLevel = Self.expected(grid, range: minute, of: x, by: { "level=\($0.level)" }) { Double($0.count) }
            for (name, fold) in [
                ("max", { $0.max() ?? -1 }), ("min", { $0.min() ?? -1 }),
                ("avg", { $0.reduce(0, +) / Double($0.count) }), ("count", { Double($0.count) }),
            ] as [(String, ([Double]) -> Double)] {
                let values = (0..<grid.count).map { place in
                    let present = byLevel.values.map { $0[place] }.filter { $0 >= 0 }
                    return present.isEmpty ? -1 : fold(present)
                }
                let text = "\(name)(sum by (level) (count_over_time({app=\"x\"}[1m])))"
                #expect(try await Self.answer(text, grid, ingest) == ["": values], "\(name)")
            }
            let top = try await Self.answer(
                #"topk(1, sum by (level) (count_over_time({app="x"}[1m])))"#, grid, ingest)
            for place in 0..<grid.count {
                let most = byLevel.values.map { $0[place] }.max() ?? -1
                #expect(top.values.map { $0[place] }.filter { $0 >= 0 } == (most >= 0 ? [most] : []))
            }
            try await ingest.close()
        }
    }

    // MARK: bounds

    @Test("series have a bound, alone and with their moments")
    func series() {
        func tally(count: Int) -> LogTally {
            LogTally(
                LogTallyQuery(
                    conditions: [], grid: LogGrid(start: 0, step: 1, count: count), range: 1, grouping: .all))
        }
        func fill(_ tally: inout LogTally) -> Int {
            (0..<1_000).count { tally.place(of: LogLabels([(name: "n", value: "\($0)")])) != nil }
        }
        var few = tally(count: 10)
        #expect(fill(&few) == LogTally.seriesMax)
        #expect(few.isFull)
        var long = tally(count: 10_000)
        #expect(fill(&long) == LogTally.cellsMax / 10_000)
        #expect(long.place(of: LogLabels([(name: "n", value: "3")])) == 3)
    }

    @Test("a search that takes too long, or has too many series, says so", arguments: TestStore.available)
    func faults(_ store: TestStore) async throws {
        try await store.withFolder { folder in
            let ingest = try store.ingest(folder, quota: 16 << 20, world: .live)
            var rows = LogRows()
            for number in 0...LogTally.seriesMax {
                var record = LogRecord(at: Self.base)
                record.message = "m"
                record.session = "s-\(number)"
                rows.append(LogRow.encode(record))
            }
            try await ingest.take(rows, refused: [:])
            try await ingest.flush()
            let grid = LogGrid(start: Self.base, step: 1, count: 1)
            let many = try #require(
                try LogQL.metric(#"sum by (session_id) (count_over_time({level="info"}[1m]))"#)?.tally(grid))
            await #expect(throws: LogTally.Fault.series) { try await ingest.tally(many) }
            let one = try #require(try LogQL.metric(#"sum(count_over_time({level="info"}[1m]))"#)?.tally(grid))
            #expect(try await ingest.tally(one).series.map { $0.sums[0].count } == [Int64(LogTally.seriesMax + 1)])
            await #expect(throws: LogTally.Fault.time) { try await ingest.store.tally(one, longest: .zero) }
            try await ingest.close()
        }
    }
}
