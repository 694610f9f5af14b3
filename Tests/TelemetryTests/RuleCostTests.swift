import Kernel
import Synchronization
import Testing

@testable import Telemetry

/// What a round of many rules asks for, counted: `script/bench rules` says what that takes.
@Suite("The cost of a round of rules")
struct RuleCostTests {
    /// Counts what is asked of series in memory, those that are looked through to find the ones that match included.
    private final class Counter: SeriesReader {
        struct Work {
            var calls = 0
            var candidates = 0
            var samples = 0
        }

        private let memory: SeriesMemory
        let work = Mutex(Work())

        init(_ memory: SeriesMemory) { self.memory = memory }

        func series(
            _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
        ) throws -> [SeriesSamples] {
            let candidates = memory.candidates(matchers)
            let found = candidates.filter { matchers.match($0.labels) }.map { one in
                var samples = SeriesSamples(one.labels)
                one.read(in: times, to: &samples)
                return samples
            }
            work.withLock {
                $0.calls += 1
                $0.candidates += candidates.count
                $0.samples += found.reduce(0) { $0 + $1.times.count }
            }
            return found
        }

        func labelSets(
            _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, isOver: () -> Bool
        ) throws -> Set<LabelSet> { [] }
    }

    private static let agents = 200

    private static func memory() -> SeriesMemory {
        var memory = SeriesMemory(seriesMax: 100_000)
        for agent in 0..<agents {
            for (name, status) in [
                ("agent_last_heartbeat_timestamp_seconds", ""), ("agent_cost_usd_total", ""),
                ("agent_tool_calls_total", "success"), ("agent_tool_calls_total", "failure"),
            ] {
                let labels = LabelSet([("__name__", name), ("agent", "agent-\(agent)"), ("status", status)])
                for minute in Int64(0)...12 {
                    _ = memory.append(labels, Sample(minute * 60_000, Double(minute * 3 + Int64(agent))))
                }
            }
        }
        return memory
    }

    /// As `Benchmarks/rules` has them: shares of an agent's calls, its gauges and costs; one in a hundred is of all.
    private static func rule(_ number: Int) -> String {
        let agent = "agent=\"agent-\(number % agents)\""
        let calls = "agent_tool_calls_total{\(agent)"
        return switch number % 10 {
        case 0...3: "sum(rate(\(calls),status=\"failure\"}[5m])) / sum(rate(\(calls)}[5m])) > 0.\(20 + number % 70)"
        case 4...6: "time() - agent_last_heartbeat_timestamp_seconds{\(agent)} > \(number)"
        case 9 where number % 100 == 9: "sum by (agent) (increase(agent_tool_calls_total[10m])) > \(1_000 + number)"
        default: "increase(agent_cost_usd_total{\(agent)}[10m]) > \(100 + number)"
        }
    }

    private static func work(rules: Int, over memory: SeriesMemory) throws -> Counter.Work {
        let counter = Counter(memory)
        var runner = RuleRunner()
        for first in stride(from: 0, to: rules, by: 100) {
            let alerts = try (first..<min(first + 100, rules)).map { number in
                RuleProgram.Rule(
                    name: "Rule\(number)", query: try PromQLQuery(rule(number)), labels: [],
                    alert: .init(holdsFor: 0, keepsFiringFor: 0, annotations: []), line: 1)
            }
            let group = RuleProgram.Group(name: "\(first)", interval: nil, limit: 0, rules: alerts)
            let outcome = runner.evaluate(
                group, number: first, by: RuleEvaluation(reader: counter), at: 720_000, store: { _, _ in })
            #expect(outcome.faults.isEmpty)
        }
        return counter.work.withLock { $0 }
    }

    @Test("It grows as the rules do, and a rule of one agent looks at that agent alone")
    func linear() throws {
        let memory = Self.memory()
        let one = try Self.work(rules: 1_000, over: memory)
        let two = try Self.work(rules: 2_000, over: memory)
        #expect(one.calls > 1_000 && one.samples > 10_000)
        for (some, double) in [
            (one.calls, two.calls), (one.candidates, two.candidates), (one.samples, two.samples),
        ] {
            #expect(double <= 2 * some, "\(one) \(two)")
        }
        // Four series of an agent for each call, and all of a metric for one rule in a hundred.
        #expect(one.candidates <= 4 * one.calls + 1_000 / 100 * 2 * Self.agents, "\(one)")
    }

    @Test("Parts of expressions that rules of a group share are asked for once")
    func shared() throws {
        let counter = Counter(Self.memory())
        let rules = try (0..<100).map { number in
            RuleProgram.Rule(
                name: "r", query: try PromQLQuery("sum(rate(agent_tool_calls_total[5m])) > \(number)"), labels: [],
                alert: .init(holdsFor: 0, keepsFiringFor: 0, annotations: []), line: 1)
        }
        var runner = RuleRunner()
        _ = runner.evaluate(
            .init(name: "g", interval: nil, limit: 0, rules: rules), number: 0, by: RuleEvaluation(reader: counter),
            at: 720_000, store: { _, _ in })
        #expect(counter.work.withLock { $0.calls } == 1)
    }
}
