import Kernel
import Testing

@testable import Telemetry

@Suite("Backtests of rules")
struct RuleBacktestTests {
    private static let minute: Int64 = 60_000

    // MARK: The same as step by step

    /// Rules that depend on each other in every way that rules do.
    private static let rules = """
        groups:
        - name: one
          rules:
          - {record: "job:up", expr: "sum by (job) (up)"}
          - {record: "job:rate", expr: "sum by (job) (rate(calls_total[5m]))", labels: {kind: recorded}}
          - {record: "job:share", expr: 'job:rate{kind="recorded"} / ignoring (kind) (job:up > 0)'}
          - {record: "often:wrong", expr: "calls_total / ignoring (n) up"}
          - {record: "self", expr: "count(up > 0) + (self offset 1m or vector(0))"}
          - {alert: Down, expr: "up == 0", for: 2m, labels: {level: '{{ if gt $value 1.0 }}a{{ else }}b{{ end }}'}}
          - {alert: Kept, expr: "up < 0.5", keep_firing_for: 3m}
          - {alert: Share, expr: "job:share > 0.5 and job:up > 0", for: 1m}
          - {alert: Usual, expr: "job:rate > 1.2 * avg_over_time(job:rate[20m] offset 5m)"}
          - {alert: Wrong, expr: "often:wrong > 3"}
          - {alert: Twice, expr: "sum by (job) (up) < 2 or sum(up) < 3", labels: {job: x}}
          - {alert: Self, expr: "self > 10"}
          - {alert: Missing, expr: 'absent(up{job="x"})'}
          - {alert: Ends, expr: "up @ end() == 0 and up offset 1m == 0"}
        - name: two
          limit: 1
          rules:
          - {alert: Limited, expr: "up == 0"}
          - {record: "limited", expr: "up == 1"}
          - {alert: OfLimited, expr: "limited == 1"}
        """

    /// Counters with resets, gauges of small numbers, samples that are missing, series that end.
    private static func bench(_ random: inout SplitMix64, minutes: Int) -> SeriesBench {
        let bench = SeriesBench()
        for job in ["x", "y"] {
            for number in 0..<2 {
                let labels = [("job", job), ("n", "\(number)")]
                var total = 0.0
                for index in 0..<minutes where Int.random(in: 0..<12, using: &random) > 0 {
                    let time = Int64(index) * minute
                    let up =
                        Int.random(in: 0..<40, using: &random) == 0 ? Sample.stale : Double((index / 7 + number) % 3)
                    bench.add(LabelSet(labels + [("__name__", "up")]), time, up)
                    total =
                        Int.random(in: 0..<50, using: &random) == 0
                        ? 0 : total + Double.random(in: 0..<90, using: &random)
                    bench.add(LabelSet(labels + [("__name__", "calls_total")]), time, total)
                }
            }
        }
        return bench
    }

    private struct Course: Equatable, CustomStringConvertible {
        var episodes: [String] = []
        var faults = 0
        var description: String { "\(faults) faults\n\(episodes.sorted().joined(separator: "\n"))" }
    }

    /// What ``RuleRunner`` comes to for one alert and what it depends on.
    private static func stepByStep(
        _ backtest: RuleBacktest, _ bench: SeriesBench, from: Int64, through: Int64
    ) -> Course {
        // Recordings of groups with limits stand in groups of their own.
        let groups =
            backtest.recordings.map { RuleProgram.Group(name: "", interval: nil, limit: $0.limit, rules: [$0.rule]) }
            + [RuleProgram.Group(name: "", interval: nil, limit: backtest.limit, rules: [backtest.alert])]
        let evaluation = RuleEvaluation(reader: bench)
        var runner = RuleRunner()
        var course = Course()
        var open: [LabelSet: Int64] = [:]
        for time in stride(from: from, through: through, by: Int64.Stride(minute)) {
            for (number, group) in groups.enumerated() {
                let outcome = runner.evaluate(group, number: number, by: evaluation, at: time) {
                    bench.add($0, time, $1)
                }
                course.faults += outcome.faults.count
                for (_, change) in outcome.changes {
                    switch change {
                    case .fired(let alert): open[alert.labels] = time
                    case .resolved(let alert):
                        if let start = open.removeValue(forKey: alert.labels) {
                            course.episodes.append("\(alert.labels) \(start) \(time)")
                        }
                    }
                }
            }
            // What a limit cleared ended as well.
            let firing = Set(runner.firing.map(\.labels))
            for labels in open.keys where !firing.contains(labels) {
                if let start = open.removeValue(forKey: labels) { course.episodes.append("\(labels) \(start) \(time)") }
            }
        }
        for (labels, start) in open { course.episodes.append("\(labels) \(start) -") }
        return course
    }

    @Test("What it says is what the evaluation comes to step by step", arguments: 1...3 as ClosedRange<UInt64>)
    func sameAsRunner(_ seed: UInt64) throws {
        let program = try RuleReader.read(Self.rules)
        let minutes = 240
        for name in RuleBacktest.names(in: [program]) {
            let backtest = try #require(RuleBacktest(name, in: [program]))
            let from = (backtest.lead + Self.minute - 1) / Self.minute * Self.minute
            let through = Int64(minutes) * Self.minute
            var random = SplitMix64(seed)
            let report = try backtest.run(
                over: Self.bench(&random, minutes: minutes), from: from, through: through, step: Self.minute)
            random = SplitMix64(seed)
            let expected = Self.stepByStep(backtest, Self.bench(&random, minutes: minutes), from: 0, through: through)
            var course = Course(faults: report.faults)
            course.episodes = report.episodes.map { one in
                "\(one.labels) \(one.start) \(one.end.map(String.init) ?? "-")"
            }
            // What ended before the period is not told.
            var wanted = expected
            wanted.episodes = expected.episodes.filter { text in
                text.split(separator: " ").last.flatMap { Int64($0) }.map { $0 > from } ?? true
            }
            #expect(course.description == wanted.description, "\(name), seed \(seed)")
        }
    }

    // MARK: The report

    private static let labels = LabelSet([("__name__", "up"), ("job", "x")])

    private static func program(_ text: String) throws -> [RuleProgram] { [try RuleReader.read(text)] }

    private static func rule(_ expression: String, _ more: String = "") throws -> RuleBacktest {
        let text = "groups: [{name: g, rules: [{alert: A, expr: \"\(expression)\"\(more)}]}]"
        return try #require(RuleBacktest("A", in: program(text)))
    }

    @Test("An episode has its ends, its peak and its time; what there is no sample of is named")
    func report() throws {
        let bench = SeriesBench()
        for (index, value) in [1.0, 0.4, 0.2, 0.3, 1, 1, 0.1, 0.1].enumerated() {
            bench.add(Self.labels, Int64(index) * Self.minute, value)
        }
        let report = try Self.rule("up < 0.5 or nothing > 1", ", for: 1m")
            .run(over: bench, from: 0, through: 19 * Self.minute, step: Self.minute)
        let alert = LabelSet([("alertname", "A"), ("job", "x")])
        // The last sample is still the series' value for 5 minutes.
        #expect(
            report.episodes == [
                .init(labels: alert, activeAt: Self.minute, start: 2 * Self.minute, end: 4 * Self.minute, peak: 0.2),
                .init(
                    labels: alert, activeAt: 6 * Self.minute, start: 7 * Self.minute, end: 13 * Self.minute, peak: 0.1),
            ])
        #expect(report.count == 2 && report.evaluations == 20 && report.firing == 8 * Self.minute)
        #expect(report.absent == ["nothing"])
        #expect(report.withoutData == 7.0 / 20)
        #expect(abs(report.perWeek - 2 * 7 * 1_440 / 19.0) < 1e-9)
    }

    @Test("One that fires to the end has none")
    func open() throws {
        let bench = SeriesBench()
        for index in 0..<10 { bench.add(Self.labels, Int64(index) * Self.minute, Double(index)) }
        let report = try Self.rule("up > 4").run(over: bench, from: 0, through: 9 * Self.minute, step: Self.minute)
        #expect(report.episodes.map(\.start) == [5 * Self.minute] && report.episodes.map(\.end) == [nil])
        #expect(report.episodes.map(\.peak) == [9])
    }

    @Test("It is known at the beginning of the period what has been pending before")
    func lead() throws {
        let bench = SeriesBench()
        for index in 0..<60 { bench.add(Self.labels, Int64(index) * Self.minute, 0) }
        let report = try Self.rule("up == 0", ", for: 10m")
            .run(over: bench, from: 30 * Self.minute, through: 40 * Self.minute, step: Self.minute)
        #expect(report.episodes.map(\.start) == [30 * Self.minute] && report.evaluations == 11)
    }

    @Test("More evaluations than may be are refused with what to do")
    func bound() throws {
        let backtest = try Self.rule("up == 0")
        let steps = Int64(RuleBacktest.stepsMax)
        #expect(throws: QueryFault.self) {
            try backtest.run(over: SeriesBench(), from: 0, through: steps * 1_000, step: 1_000)
        }
        let report = try backtest.run(over: SeriesBench(), from: 0, through: (steps - 1) * 1_000, step: 1_000)
        #expect(report.evaluations == RuleBacktest.stepsMax && report.withoutData == 1 && report.absent == ["up"])
    }

    @Test("It ends when its time has run out")
    func timeout() throws {
        let backtest = try Self.rule("up == 0")
        #expect(throws: QueryFault.self) {
            try backtest.run(over: SeriesBench(), from: 0, through: Self.minute, step: Self.minute) { true }
        }
    }

    @Test("No more episodes are listed than may be, and all are counted")
    func episodes() throws {
        let bench = SeriesBench()
        let count = 2 * RuleBacktest.episodesMax + 100
        for index in 0..<2 * count { bench.add(Self.labels, Int64(index) * 1_000, Double(index % 2)) }
        let report = try Self.rule("up == 0").run(
            over: bench, from: 0, through: Int64(2 * count - 1) * 1_000, step: 1_000)
        #expect(report.count == count && report.episodes.count == RuleBacktest.episodesMax)
        #expect(report.episodes.first?.start == 0)
    }

    @Test("Shipped rules can be tried, each by its name")
    func shipped() throws {
        let programs = try ShippedRules.programs().map(\.program)
        for name in RuleBacktest.names(in: programs) {
            let backtest = try #require(RuleBacktest(name, in: programs))
            let report = try backtest.run(
                over: SeriesBench(), from: 0, through: 10 * Self.minute, step: 5 * Self.minute)
            #expect(report.count == (name == "Watchdog" ? 1 : 0) && report.faults == 0, "\(name)")
        }
    }
}
