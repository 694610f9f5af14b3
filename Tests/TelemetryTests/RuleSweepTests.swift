import Kernel
import Testing

@testable import Telemetry

@Suite("Rules over many moments at a time")
struct RuleSweepTests {
    /// Rules that ask for what those before them made, that fail now and then, and that tell of alerts.
    private static let rules = """
        groups:
        - name: one
          rules:
          - {record: "job:rate", expr: "sum by (job) (rate(calls_total[5m]))", labels: {kind: recorded}}
          - {record: "job:share", expr: 'job:rate / ignoring (kind) (sum by (job) (up) > 0)'}
          - {record: "often:wrong", expr: "calls_total / ignoring (n) up"}
          - {alert: Down, expr: "up == 0", for: 2m, labels: {level: '{{ if gt $value 1.0 }}a{{ else }}b{{ end }}'}}
          - {alert: Kept, expr: "up < 0.5", keep_firing_for: 3m, annotations: {text: "{{ $value }} {{ $labels.job }}"}}
          - {alert: Twice, expr: "sum by (job) (up) < 2 or sum(up) < 3", labels: {job: x}}
        - name: two
          limit: 1
          rules:
          - {alert: Limited, expr: "up == 0"}
          - {record: "limited", expr: "up == 1"}
        - name: three
          rules:
          - {record: "alerts:firing", expr: 'count by (alertname) (ALERTS{alertstate="firing"})'}
          - {record: "alerts:since", expr: "time() - max by (alertname) (ALERTS_FOR_STATE)"}
        """

    private static func bench(seed: UInt64, minutes: Int) -> SeriesBench {
        var random = SplitMix64(seed)
        let bench = SeriesBench()
        for (job, number) in [("x", 0), ("x", 1), ("y", 0), ("y", 1)] {
            let labels = [("job", job), ("n", "\(number)")]
            var total = 0.0
            for index in 0..<minutes where Int.random(in: 0..<12, using: &random) > 0 {
                let (time, isEnd) = (Int64(index) * 60_000, Int.random(in: 0..<40, using: &random) == 0)
                let up = isEnd ? Sample.stale : Double((index / 7 + number) % 3)
                bench.add(LabelSet(labels + [("__name__", "up")]), time, up)
                total = Int.random(in: 0..<50, using: &random) == 0 ? 0 : total + Double(index % 9)
                bench.add(LabelSet(labels + [("__name__", "calls_total")]), time, total)
            }
        }
        return bench
    }

    /// All series with the bits of their samples, the alerts, and what went wrong.
    private static func outcome(_ bench: SeriesBench, _ firing: [String], _ faults: [String]) -> [String] {
        bench.all.map { one in
            let samples = zip(one.times, one.values).map { "\($0):\(String($1.bitPattern, radix: 16))" }
            return "\(one.labels) \(samples)"
        }.sorted() + firing.sorted() + faults.sorted()
    }

    @Test("They come to what one moment after the other comes to", arguments: [UInt64(1), 2, 3])
    func same(seed: UInt64) throws {
        let groups = try RuleReader.read(Self.rules).groups
        #expect(!groups.flatMap(\.rules).isStepwise(withAlerts: true))
        let minutes = 240
        func told(_ alert: AlertInstance, _ time: Int64) -> String {
            "\(time) \(alert.labels) \(alert.annotations) \(alert.value) \(alert.state) \(alert.activeAt)"
        }
        let single = Self.bench(seed: seed, minutes: minutes)
        var (runner, firing, faults) = (RuleRunner(), [String](), [String]())
        for time in stride(from: Int64(0), to: Int64(minutes) * 60_000, by: 60_000) {
            for (number, group) in groups.enumerated() {
                let outcome = runner.evaluate(group, number: number, by: RuleEvaluation(reader: single), at: time) {
                    single.add($0, time, $1)
                }
                faults += outcome.faults.map { "\(time) \(group.name) \($0.rule) \($0.reason)" }
            }
            firing += runner.firing.map { told($0, time) }
        }
        let many = Self.bench(seed: seed, minutes: minutes)
        var (sweeper, found, wrong) = (RuleRunner(), [String](), [String]())
        // Of uneven lengths, so that what holds on goes from one to the next.
        for (first, count) in [(0, 1), (1, 70), (71, 100), (171, 69)] {
            let grid = QueryGrid(start: Int64(first) * 60_000, step: 60_000, count: count)
            wrong += try sweeper.sweep(groups, by: RuleEvaluation(reader: many), over: grid) {
                many.add($0, $1, $2)
            } look: { _, time, alerts in
                found += alerts.filter { $0.state == .firing }.map { told($0, time) }
            }.map { "\($0.time) \($0.group) \($0.rule) \($0.reason)" }
        }
        #expect(!firing.isEmpty && !faults.isEmpty)
        let (left, right) = (Self.outcome(many, found, wrong), Self.outcome(single, firing, faults))
        let difference = Set(left).symmetricDifference(right).sorted()
        #expect(difference.isEmpty && left.count == right.count, "\(difference.prefix(2))")
    }

    @Test(
        "Rules that need what the step before came to are known",
        arguments: [
            ("{record: a, expr: up}, {record: b, expr: a}", false),
            ("{record: b, expr: a}, {record: a, expr: up}", true),
            ("{record: a, expr: a offset 1m}", true), ("{record: a, expr: up @ end()}", true),
            ("{record: a, expr: up}, {record: b, expr: a offset -1m}", true),
            ("{record: a, expr: up}, {record: b, expr: up offset -1m}", false),
            ("{record: a, expr: up}, {record: b, expr: a @ 60}", true),
            ("{record: a, expr: up}, {record: b, expr: 'max_over_time(a[5m:1m] offset -1m)'}", true),
            ("{alert: A, expr: up}, {record: a, expr: ALERTS}", false),
            ("{record: a, expr: ALERTS}, {alert: A, expr: up}", true),
            ("{alert: A, expr: 'ALERTS_FOR_STATE > 0'}", true), ("{alert: A, expr: '{job=\"x\"} > 0'}", true),
            ("{alert: A, expr: up, annotations: {a: '{{ query \"up\" }}'}}", true),
            ("{alert: A, expr: up, annotations: {a: 'the query {{ $value }}'}}", true),
            ("{alert: A, expr: up, annotations: {a: 'a query'}}", false),
            ("{record: a, expr: up > 0}, {record: a, expr: 'down unless up > 0'}", true),
            ("{alert: A, expr: up}, {alert: A, expr: down}", false),
            ("{alert: A, expr: up}, {alert: A, expr: down}, {record: a, expr: ALERTS}", true),
        ])
    func stepwise(rules: String, isStepwise: Bool) throws {
        let program = try RuleReader.read("groups: [{name: g, rules: [\(rules)]}]")
        #expect(program.rules.isStepwise(withAlerts: true) == isStepwise)
    }
}
