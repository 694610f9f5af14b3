import Kernel
import Telemetry
import TestSupport

@testable import Control
@testable import Telemetry

/// Series of a test in memory, which answer questions as Reeve's own interface would; and lists that know two agents,
/// two models and some types of tasks.
final class FaultyFleet: RunbookReading {
    let bench: SeriesBench
    /// The moment that is asked about, in milliseconds.
    let now: Int64
    private let tasks: @Sendable (String) async throws -> JSONValue

    init(
        _ bench: SeriesBench, at now: Int64,
        tasks: @escaping @Sendable (String) async throws -> JSONValue = { ["id": .string($0)] }
    ) {
        (self.bench, self.now, self.tasks) = (bench, now, tasks)
    }

    /// Series in the notation of rule tests, from 1970 on.
    static func series(
        _ series: [(name: String, values: String)], every interval: String = "1m"
    ) throws -> RuleTestFile.Test {
        let inputs = series.map { ["series": .string($0.name), "values": .string($0.values)] as JSONValue }
        let document: JSONValue = ["tests": [["interval": .string(interval), "input_series": .array(inputs)]]]
        guard let test = try RuleTestFile(YAMLDocument.text(document)).tests.first else {
            throw Problem.invalid("series", "there are none")
        }
        return test
    }

    /// As they stand at the last sample.
    convenience init(_ series: [(name: String, values: String)], every interval: String = "1m") throws {
        let test = try Self.series(series, every: interval)
        let bench = SeriesBench()
        var end: Int64 = 0
        for (labels, values) in test.series {
            for (place, value) in values.enumerated() {
                guard let value else { continue }
                bench.add(labels, Int64(place) * test.interval, value)
                end = max(end, Int64(place) * test.interval)
            }
        }
        self.init(bench, at: end)
    }

    func get(_ path: String) async throws -> JSONValue {
        let parts = path.split(separator: "?", maxSplits: 1).map(String.init)
        let pairs = PercentCoding.pairs(Array((parts.count > 1 ? parts[1] : "").utf8)) ?? []
        let query = Dictionary(pairs.map { ($0.name, $0.value) }) { first, _ in first }
        if let text = query["query"] { return try answer(text) }
        let known = [
            "agent": ["ann", "bob"], "type": ["report", "draft"], "queue": ["inbox"], "session": ["s1"],
        ]
        // The types of events are others than those of tasks.
        for (kind, names) in known where parts[0] != "/api/v1/events" {
            if let name = query[kind], !names.contains(name) { return ["items": []] }
        }
        let names = parts[0].split(separator: "/").map(String.init)
        if names.count == 4, names[2] == "tasks" { return try await tasks(names[3]) }
        guard names.count == 4 else { return ["items": [["id": "one"]]] }
        guard ["agents": ["ann", "bob"], "models": ["m", "n"]][names[2]]?.contains(names[3]) ?? true else {
            throw Problem.notFound(names[2], names[3])
        }
        return ["name": .string(names[3])]
    }

    private func answer(_ text: String) throws -> JSONValue {
        func sample(_ value: Double) -> JSONValue { .array([.int(now / 1_000), .string("\(value)")]) }
        switch try PromQLQuery(text).answer(at: now, from: bench) {
        case .scalar(let value): return ["data": ["resultType": "scalar", "result": sample(value.value)]]
        case .vector(let series):
            let found = series.compactMap { one in
                one.samples.last.map { ["metric": one.labels.json, "value": sample($0.value)] as JSONValue }
            }
            return ["data": ["resultType": "vector", "result": .array(found)]]
        case .string, .matrix: throw Problem.invalid("query", "it gives no vector")
        }
    }
}

extension FaultyFleet {
    /// What a shipped rule makes of its own history, and that history beside the other series of a fleet.
    static func firing(
        _ example: RuleCase, tasks: @escaping @Sendable (String) async throws -> JSONValue
    ) throws -> (fleet: FaultyFleet, alerts: [AlertInstance]) {
        let test = try series(example.series, every: example.interval)
        guard let entry = ShippedRules.entries.first(where: { $0.cases.contains { $0.alert == example.alert } }),
            let end = PromQLDuration.milliseconds(example.at)
        else { throw Problem.notFound("rule", example.alert) }
        let bench = SeriesBench()
        for (labels, values) in test.series {
            for (place, value) in values.enumerated() {
                guard let value else { continue }
                bench.add(labels, Int64(place) * test.interval, value)
            }
        }
        let groups = try RuleReader.read(YAMLDocument.text(entry.file.json)).groups
            .filter { $0.rules.contains { $0.name == example.alert } }
        var runner = RuleRunner()
        let evaluation = RuleEvaluation(reader: bench)
        // No rule waits for longer; those by the hour look back at what they recorded.
        let begin = test.interval < 3_600_000 ? max(end % test.interval, end - 15 * 300_000) : end % test.interval
        for time in stride(from: begin, through: end, by: Int64.Stride(test.interval)) {
            for (number, group) in groups.enumerated() {
                _ = runner.evaluate(group, number: number, by: evaluation, at: time) { bench.add($0, time, $1) }
            }
        }
        let known = Set(test.series.map(\.labels))
        let step: Int64 = 60_000
        let first = max(end % step, end - 130 * step)
        for (labels, values) in try series(others).series where !known.contains(labels) {
            for (place, time) in stride(from: first, through: end, by: Int64.Stride(step)).enumerated() {
                guard let value = values[place] else { continue }
                bench.add(labels, time, value)
            }
        }
        return (
            FaultyFleet(bench, at: end, tasks: tasks), runner.firing.filter { $0.labels["alertname"] == example.alert }
        )
    }

    /// What a fleet has beside the fault: for as long as diagnosis looks back.
    private static let others: [(name: String, values: String)] = [
        (#"reeve_agents{status="busy"}"#, "2x200"),
        (#"agent_last_heartbeat_timestamp_seconds{agent="bob",agent_type="writer"}"#, "0x200"),
        (#"agent_queue_depth{queue="inbox",state="unassigned"}"#, "2x200"),
        (#"agent_task_duration_seconds_bucket{task_type="report",le="60"}"#, "0+1x200"),
        (#"agent_task_duration_seconds_bucket{task_type="report",le="+Inf"}"#, "0+1x200"),
        (#"reeve_model_calls_total{agent="ann",model="m",status="done"}"#, "0+3x200"),
        (#"reeve_model_call_errors_total{class="timeout"}"#, "0+1x200"),
        (#"reeve_model_attempts_total{target="main/large",result="silent"}"#, "0+1x200"),
        (#"reeve_model_attempts_total{target="backup/large",result="ok"}"#, "0+1x200"),
        (#"reeve_model_breaker_state{model="m",target="main/large"}"#, "2x200"),
        (#"reeve_model_call_duration_seconds_bucket{model="m",status="done",le="1"}"#, "0+1x200"),
        (#"reeve_model_call_duration_seconds_bucket{model="m",status="done",le="+Inf"}"#, "0+1x200"),
        (#"agent_cost_usd_total{agent="ann",agent_type="writer",model="m"}"#, "0+1x200"),
        (#"agent_tokens_consumed_total{agent="ann",model="m",type="input"}"#, "0+9x200"),
        (#"agent_tool_repeat_calls_total{agent="ann",tool="search"}"#, "0+1x200"),
        (#"agent_tool_calls_total{agent="ann",tool="search",status="success"}"#, "0+1x200"),
        (#"agent_context_utilization_ratio{agent="ann",model="m"}"#, "0.95x200"),
        (#"agent_turns_per_session_bucket{agent="ann",le="10"}"#, "0+1x200"),
        (#"agent_turns_per_session_bucket{agent="ann",le="+Inf"}"#, "0+1x200"),
        (#"agent_session_duration_seconds_bucket{agent="ann",le="60"}"#, "0+1x200"),
        (#"agent_session_duration_seconds_bucket{agent="ann",le="+Inf"}"#, "0+1x200"),
        (#"agent_session_injection_signs{agent="ann",session="s1"}"#, "3x200"),
        (#"agent_memory_operation_duration_seconds_bucket{operation="search",le="1"}"#, "0+1x200"),
        (#"agent_memory_operation_duration_seconds_bucket{operation="search",le="+Inf"}"#, "0+1x200"),
        (#"agent_memory_operations_total{agent="ann",operation="write",status="failure"}"#, "0+1x200"),
        (#"agent_reviews_total{agent="ann",verdict="reject"}"#, "0+1x200"),
        (#"reeve_gateway_judge_score_bucket{model="m",le="0.5"}"#, "0+1x200"),
        (#"reeve_gateway_judge_score_bucket{model="m",le="+Inf"}"#, "0+1x200"),
        (#"reeve_telemetry_records_total{signal="traces",outcome="stored"}"#, "0+1x200"),
        (#"reeve_budget_remaining_ratio{scope="agent:ann"}"#, "0.3x200"),
    ]
}
