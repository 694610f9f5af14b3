import Foundation
import Synchronization
import Testing

@testable import Telemetry

/// Series that stand in a table.
struct TableReader: SeriesReader {
    let series: [SeriesSamples]

    func series(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [SeriesSamples] {
        let found = series.filter { matchers.match($0.labels) }.map { one in
            let kept = one.times.indices.filter { times.contains(one.times[$0]) }
            return SeriesSamples(one.labels, times: kept.map { one.times[$0] }, values: kept.map { one.values[$0] })
        }.filter { !$0.times.isEmpty }
        guard found.reduce(0, { $0 + $1.times.count }) <= samplesMax else { throw TooManySamples() }
        return found
    }

    func labelSets(_ matchers: [LabelMatcher], in _: ClosedRange<Int64>, isOver _: () -> Bool) -> Set<LabelSet> {
        Set(series.map(\.labels).filter(matchers.match))
    }

    /// A minute apart, from the first minute on.
    init(_ table: [(String, [(String, String)], [Double])]) {
        series = table.map { name, labels, values in
            SeriesSamples(
                LabelSet(labels + [(LabelSet.metricName, name)]), times: values.indices.map { Int64($0) * 60_000 },
                values: values)
        }
    }
}

@Suite("PromQL is worked out")
struct PromQLQueryTests {
    static let reader = TableReader([
        ("a_total", [("job", "x")], [0, 10, 20, 30, 5, 15]), ("a_total", [("job", "y")], [1, 1, 1, 1, 1, 1]),
        ("g", [("job", "x")], [1, 2, 3, 4, 5, 6]), ("g", [("job", "y")], [6, 5, 4, 3, 2, Sample.stale]),
        ("h_bucket", [("le", "1")], [0, 1, 2, 3, 4, 5]), ("h_bucket", [("le", "2")], [0, 2, 4, 6, 8, 10]),
        ("h_bucket", [("le", "+Inf")], [0, 2, 4, 6, 8, 10]),
    ])

    struct Row: CustomTestStringConvertible, Sendable {
        let text: String
        let answer: [String]
        var testDescription: String { text }

        init(_ text: String, _ answer: String...) {
            self.text = text
            self.answer = answer
        }
    }

    /// At the fifth minute.
    static let rows: [Row] = [
        Row("1 + 1", "2"), Row("'t'", "t"), Row("g", #"g{job="x"} 6"#),
        Row("g offset 1m", #"g{job="x"} 5"#, #"g{job="y"} 2"#),
        Row("g @ 60", #"g{job="x"} 2"#, #"g{job="y"} 5"#), Row("nothing"), Row("absent(nothing{a='b'})", #"{a="b"} 1"#),
        Row("a_total > 1", #"a_total{job="x"} 15"#), Row("a_total > bool 1", #"{job="x"} 1"#, #"{job="y"} 0"#),
        Row("increase(a_total{job='x'}[5m])", #"{job="x"} 45"#), Row("rate(a_total{job='y'}[5m])", #"{job="y"} 0"#),
        Row("resets(a_total[5m])", #"{job="x"} 1"#, #"{job="y"} 0"#), Row("sum(a_total)", "{} 16"),
        Row("sum by (job) (a_total) / on () group_left sum(a_total)", #"{job="x"} 0.9375"#, #"{job="y"} 0.0625"#),
        Row("histogram_quantile(0.75, h_bucket)", "{} 1.5"), Row("topk(1, a_total)", #"a_total{job="x"} 15"#),
        Row("sort_desc(a_total)", #"a_total{job="x"} 15"#, #"a_total{job="y"} 1"#),
        Row("avg_over_time(g{job='x'}[2m])", #"{job="x"} 5"#),
        Row("max_over_time(g[2m:1m])", #"{job="x"} 6"#, #"{job="y"} 3"#),
        Row("count_values('v', a_total)", #"{v="15"} 1"#, #"{v="1"} 1"#),
        Row("timestamp(g offset 3m)", #"{job="x"} 120"#, #"{job="y"} 120"#),
        Row("label_replace(sum(g), 'a', '$1', '', '()')", "{} 6"), Row("scalar(sum(g)) * 2", "12"),
        Row("g or a_total unless g{job='x'}", #"g{job="x"} 6"#, #"a_total{job="y"} 1"#), Row("time()", "300"),
        Row("month(vector(0)) + year(vector(0))", "{} 1971"), Row("0 / 0", "NaN"), Row("-1 / 0", "-Inf"),
    ]

    @Test("each expression at a moment", arguments: rows)
    func answers(_ row: Row) throws {
        let answer = try PromQLQuery(row.text).answer(at: 300_000, from: Self.reader)
        #expect(Self.text(answer) == row.answer)
    }

    static func text(_ answer: PromQLQuery.Answer) -> [String] {
        switch answer {
        case .scalar(let sample): [QueryText.number(sample.value)]
        case .string(let text, _): [text]
        case .vector(let series), .matrix(let series):
            series.map { "\($0.labels) \($0.samples.map { QueryText.number($0.value) }.joined(separator: " "))" }
        }
    }

    @Test("over a range, with steps at which there is nothing left out")
    func range() throws {
        let series = try PromQLQuery("g{job='y'} < 5").answer(
            from: 0, through: 360_000, step: 60_000, from: Self.reader)
        #expect(series.map(\.samples) == [[Sample(120_000, 4), Sample(180_000, 3), Sample(240_000, 2)]])
    }

    @Test(
        "what cannot be answered says why",
        arguments: [
            ("g + on () g", "many-to-many"), ("g + on () group_left a_total", "many-to-many"),
            ("{__name__=~'g|a_total'} + 1", "same labelset"), ("label_replace(g, 'job', 'z', '', '')", "same labelset"),
            ("label_replace(g, '1', 'z', '', '')", "invalid destination label"), ("topk(1e30, g)", "overflows"),
        ])
    func faults(_ text: String, _ word: String) throws {
        let query = try PromQLQuery(text)
        let fault = #expect(throws: QueryFault.self) { try query.answer(at: 240_000, from: Self.reader) }
        #expect(fault?.description.contains(word) == true)
    }

    @Test("a query is bounded in samples, in steps and in time")
    func bounds() throws {
        let small = try PromQLQuery("sum(g) + sum(a_total)", samplesMax: 30)
        _ = try small.answer(at: 300_000, from: Self.reader)
        for text in ["g[5m]", "sum_over_time(vector(1)[1h:1s])", "count_values('v', time() + g)"] {
            let query = try PromQLQuery(text, samplesMax: 11)
            let fault = #expect(throws: QueryFault.self) {
                if query.expression.type == .range {
                    _ = try query.answer(at: 300_000, from: Self.reader)
                } else {
                    _ = try query.answer(from: 0, through: 300_000, step: 15_000, from: Self.reader)
                }
            }
            #expect(fault?.description.contains("too many samples") == true, "\(text)")
        }
        var text = "g"
        for _ in 0..<20 { text = "label_replace(\(text), 'a', 'xx$1$1', 'a', '(.*)')" }
        let growing = try PromQLQuery(text)
        let tooLong = #expect(throws: QueryFault.self) { try growing.answer(at: 300_000, from: Self.reader) }
        #expect(tooLong?.description.contains("\(QueryLimits.labelBytes) bytes") == true)
        let query = try PromQLQuery("g")
        #expect(throws: QueryFault.self) {
            try query.answer(
                from: 0, through: Int64(QueryLimits.pointsMax + 1) * 1_000, step: 1_000, from: Self.reader)
        }
        let asked = Mutex(0)
        let endless = try PromQLQuery("sum_over_time(vector(1)[1d:1s])")
        let fault = #expect(throws: QueryFault.self) {
            try endless.answer(from: 0, through: 8_640_000, step: 1_000, from: Self.reader) {
                asked.withLock { $0 += 1 }
                return asked.withLock { $0 } > 3
            }
        }
        #expect(fault?.description.contains("timed out") == true)
        #expect(asked.withLock { $0 } == 4)
    }

    private final class Door: Sendable {
        let gate = DispatchSemaphore(value: 0)
        let started = Mutex(0)
    }

    @Test("so many queries are worked on at a time, and no more; one that ends makes room")
    func runner() async throws {
        let runner = QueryRunner()
        let door = Door()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<QueryLimits.queriesMax {
                group.addTask {
                    try await runner.run { _ in
                        door.started.withLock { $0 += 1 }
                        door.gate.wait()
                    }
                }
            }
            while door.started.withLock({ $0 }) < QueryLimits.queriesMax { await Task.yield() }
            await #expect(throws: QueryRunner.Busy.self) { try await runner.run { _ in } }
            door.gate.signal()
            try await group.next()
            #expect(try await runner.run(for: .zero) { isOver in isOver() })
            #expect(try await !runner.run { isOver in isOver() })
            for _ in 1..<QueryLimits.queriesMax { door.gate.signal() }
            try await group.waitForAll()
        }
    }

    @Test(
        "numbers are written as Go does",
        arguments: [
            (0.0, "0"), (-0.0, "-0"), (1.5, "1.5"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-07"), (0.1, "0.1"), (-123.456, "-123.456"), (1e300, "1e+300"), (5e-324, "5e-324"),
            (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (9_007_199_254_740_993, "9007199254740992"),
        ])
    func numbers(_ value: Double, _ text: String) { #expect(QueryText.number(value) == text) }

    @Test("a number in a label has no exponent")
    func plainNumbers() {
        #expect(QueryText.number(1e22, isPlain: true) == "10000000000000000000000")
        #expect(QueryText.number(1.5e-7, isPlain: true) == "0.00000015")
    }
}
