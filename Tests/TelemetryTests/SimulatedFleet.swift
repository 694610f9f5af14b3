import Foundation

@testable import Telemetry

/// The series of a small fleet over days, sampled each minute: busy agents and idle ones, days and nights, weekends,
/// bursts, deploys with their errors, restarts after which counters begin anew, samples that are missing. All of it is
/// healthy but for the faults that are planted.
///
/// What is usual is chosen as fleets have it: one to five of a hundred calls fail, one in ten tool calls repeats an
/// earlier one, one in five deliverables is sent back.
final class SimulatedFleet {
    /// A fault of the kind that an alert detects, in minutes from the beginning.
    struct Fault {
        let alert: String
        let minutes: Range<Int>
    }

    /// A Monday at midnight.
    static let start: Int64 = 20_003 * 86_400_000
    static let minute: Int64 = 60_000
    private static let day = 1_440

    private struct Agent {
        let name: String
        let type: String
        let model: String
        /// Calls a minute at the busiest time of a day.
        let pace: Double
        let failing: Double
        var restsAtWeekends = false
        /// Whether its metrics say of which type it is.
        var isTyped = true
    }

    private static let agents = [
        Agent(name: "ann", type: "writer", model: "large", pace: 6, failing: 0.02),
        Agent(name: "bob", type: "writer", model: "large", pace: 1.5, failing: 0.03),
        Agent(name: "cat", type: "coder", model: "small", pace: 1.5, failing: 0.02),
        Agent(name: "dan", type: "coder", model: "small", pace: 5, failing: 0.01, isTyped: false),
        Agent(name: "eve", type: "clerk", model: "small", pace: 0.07, failing: 0.05),
        Agent(name: "fay", type: "clerk", model: "large", pace: 1, failing: 0.03, restsAtWeekends: true),
    ]
    private static let targets = [("large", "main/large"), ("small", "main/small"), ("large", "backup/large")]

    let bench = SeriesBench()
    private let days: Int
    private let faults: [Fault]
    private var random: SplitMix64
    /// In the order in which each minute comes to them.
    private var lines: [Line] = []
    private var series: [LabelSet: Line] = [:]
    private var place = 0
    private var now = 0
    private var depth = 4.0
    private var busy: [String: Double] = [:]
    private var left = 1.0
    private var signs: [String: [Int]] = [:]

    /// One series under way.
    private final class Line {
        let labels: LabelSet
        var times: [Int64] = []
        var values: [Double] = []
        var value = 0.0
        let isCounter: Bool

        init(_ labels: LabelSet, isCounter: Bool) { (self.labels, self.isCounter) = (labels, isCounter) }
    }

    init(seed: UInt64, days: Int, faults: [Fault] = []) {
        (self.days, self.faults) = (days, faults)
        random = SplitMix64(seed)
        run()
    }

    // MARK: Chance

    private func chance() -> Double { Double.random(in: 0..<1, using: &random) }

    private func normal() -> Double { (-2 * log(1 - chance())).squareRoot() * cos(2 * .pi * chance()) }

    /// How many events there are in a minute where so many are usual.
    private func events(_ mean: Double) -> Int {
        guard mean > 0 else { return 0 }
        if mean > 12 { return max(0, Int((mean + mean.squareRoot() * normal()).rounded())) }
        var (count, product, end) = (0, chance(), exp(-mean))
        while product > end {
            count += 1
            product *= chance()
        }
        return count
    }

    private func share(_ count: Int, _ share: Double) -> Int { (0..<count).count { _ in chance() < share } }

    // MARK: Series

    private func line(_ name: String, _ labels: [(String, String)], isCounter: Bool) -> Line {
        defer { place += 1 }
        if place < lines.count { return lines[place] }
        let labels = LabelSet(labels + [(LabelSet.metricName, name)])
        // Several agents add to some series.
        let line = series[labels] ?? Line(labels, isCounter: isCounter)
        series[labels] = line
        lines.append(line)
        return line
    }

    private func add(_ name: String, _ labels: [(String, String)], _ count: Double) {
        line(name, labels, isCounter: true).value += count
    }

    /// - Parameter value: `nil` for what it was.
    private func set(_ name: String, _ labels: [(String, String)], _ value: Double?) {
        let line = line(name, labels, isCounter: false)
        line.value = value ?? line.value
    }

    private func observe(_ name: String, _ labels: [(String, String)], _ bounds: [Double], _ values: [Double]) {
        for bound in bounds + [.infinity] {
            let text = bound == .infinity ? "+Inf" : "\(bound)"
            add("\(name)_bucket", labels + [("le", text)], Double(values.count { $0 <= bound }))
        }
        add("\(name)_count", labels, Double(values.count))
        add("\(name)_sum", labels, values.reduce(0, +))
    }

    // MARK: Time

    private func isOn(_ alert: String) -> Bool { faults.contains { $0.alert == alert && $0.minutes.contains(now) } }

    private func since(_ alert: String) -> Int? {
        faults.first { $0.alert == alert && $0.minutes.contains(now) }.map { now - $0.minutes.lowerBound }
    }

    private var isWeekend: Bool { now / Self.day % 7 >= 5 }

    /// From a fifth at night to all of it at two in the afternoon; a third of that at weekends.
    private var load: Double {
        let hour = Double(now % Self.day) / 60
        return (0.2 + 0.8 * pow(max(0, sin((hour - 8) / 12 * .pi)), 0.7)) * (isWeekend ? 0.35 : 1)
    }

    /// Twice a week at ten in the morning, with ten minutes of errors behind it.
    private var isDeploying: Bool {
        let day = now / Self.day % 7
        return (day == 1 || day == 3) && (600..<610).contains(now % Self.day)
    }

    private func run() {
        for minute in 0..<days * Self.day {
            now = minute
            // A server that is started anew counts from zero, after a while without samples.
            if isDeploying, now % Self.day == 600 { for line in lines where line.isCounter { line.value = 0 } }
            place = 0
            Self.agents.forEach(step)
            models()
            house()
            memory()
            let isMissing = isDeploying && now % Self.day < 602 || chance() < 0.002
            guard !isMissing else { continue }
            let time = Self.start + Int64(now) * Self.minute
            for line in series.values {
                line.times.append(time)
                line.values.append(line.value)
            }
        }
        for line in series.values { bench.add(line.labels, line.times, line.values) }
    }
}

// MARK: What happens

extension SimulatedFleet {
    private func step(_ agent: Agent) {
        let name = [("agent", agent.name)]
        let typed = name + (agent.isTyped ? [("agent_type", agent.type)] : [])
        let seconds = Double(Self.start / 1_000) + Double(now * 60)
        let isSilent = agent.name == "eve" && isOn("AgentDown") || isDeploying
        set("agent_last_heartbeat_timestamp_seconds", typed, isSilent ? nil : seconds - 30 * chance())
        // A burst is four times as much for up to an hour, every other day.
        if chance() < 1 / 2_880.0 { busy[agent.name] = Double(now) + 10 + 50 * chance() }
        let burst = (busy[agent.name] ?? 0) > Double(now) ? 4.0 : 1
        let rest = agent.restsAtWeekends && isWeekend ? 0.0 : 1
        let calls = events(agent.pace * load * burst * rest)
        var failing = agent.failing + (isDeploying ? 0.06 : 0)
        if agent.name == "ann", isOn("HighErrorRate") { failing = 0.5 }
        if agent.model == "small", isOn("ErrorRateSpike") { failing = 0.4 }
        let failed = share(calls, failing)
        for (status, count) in [("done", calls - failed), ("failed", failed)] {
            let labels = name + [("model", agent.model), ("door", "openai"), ("status", status)]
            add("reeve_model_calls_total", labels, Double(count))
        }
        let price = (agent.model == "large" ? 0.02 : 0.004) * (agent.type == "writer" && isOn("CostSpike") ? 8 : 1)
        let cost = (0..<calls).reduce(0.0) { sum, _ in sum + price * exp(0.6 * normal()) }
        add("agent_cost_usd_total", typed + [("model", agent.model)], cost)
        tools(agent, calls)
        inputs(agent)
        let isFull = agent.name == "bob" && isOn("ContextExhaustion")
        observe(
            "agent_context_utilization_distribution", name + [("model", agent.model)], [0.5, 0.75, 0.9, 1],
            (0..<calls).map { _ in min(1, max(0.01, (isFull ? 0.95 : 0.45) + (isFull ? 0.03 : 0.17) * normal())) })
        let isLong = agent.name == "cat" && isOn("SessionAbnormal")
        observe(
            "agent_session_duration_seconds", name, [60, 120, 300, 600, 1_800, 3_600, 7_200],
            (0..<events(agent.pace * load * rest / 12)).map { _ in exp(5 + 0.7 * normal()) * (isLong ? 12 : 1) })
        results(agent, rest)
    }

    private func tools(_ agent: Agent, _ calls: Int) {
        let isStorm = agent.name == "dan" && isOn("ToolStorm")
        let tools = isStorm ? 25 : events(Double(calls) * 1.5)
        let labels = [("agent", agent.name), ("tool", "search")]
        let failed = share(tools, 0.03)
        let late = isOn("ToolTimeouts") ? (tools - failed) / 2 : 0
        add("agent_tool_calls_total", labels + [("status", "success")], Double(tools - failed - late))
        add("agent_tool_calls_total", labels + [("status", "timeout")], Double(late))
        add("agent_tool_calls_total", labels + [("status", "failure")], Double(failed))
        add("agent_tool_repeat_calls_total", labels, Double(share(tools, isStorm ? 0.9 : 0.1)))
    }

    /// Once in two days a tool reads a page that speaks to models.
    private func inputs(_ agent: Agent) {
        let isPoisoned = agent.name == "dan" && isOn("ContextPoisoning")
        if isPoisoned || chance() < 1 / 2_880.0 { signs[agent.name, default: []].append(now) }
        signs[agent.name] = signs[agent.name]?.filter { now - $0 < 60 }
        let labels = [("agent", agent.name), ("session", "s")]
        set("agent_session_injection_signs", labels, Double(signs[agent.name]?.count ?? 0))
    }

    private func results(_ agent: Agent, _ rest: Double) {
        let isCascading = isOn("CascadingFailure") && agent.type != "clerk"
        for type in ["draft", "review"] where (type == "draft") == (agent.type == "writer") {
            let ended = events(agent.pace * load * rest / 15 + (isCascading ? 0.3 : 0))
            let failed = share(ended, isCascading ? 0.8 : isDeploying ? 0.15 : 0.04)
            for (status, count) in [("done", ended - failed), ("failed", failed)] {
                let labels = [("agent", agent.name), ("task_type", type), ("status", status)]
                add("agent_tasks_finished_total", labels, Double(count))
            }
            // Reviews begin from drafts of another agent.
            if type == "review" {
                add("agent_downstream_failures_total", [("agent", "ann"), ("task_type", "draft")], Double(failed))
            }
        }
        let isRejected = agent.name == "fay" && isOn("DeliverablesRejected")
        let verdicts = events(agent.pace * load * rest / 20 + (isRejected ? 0.1 : 0))
        let against = share(verdicts, isRejected ? 0.9 : 0.2)
        add("agent_reviews_total", [("agent", agent.name), ("verdict", "approve")], Double(verdicts - against))
        add("agent_reviews_total", [("agent", agent.name), ("verdict", "changes")], Double(against))
    }

    private func models() {
        for (model, target) in Self.targets {
            let calls = events((target.hasPrefix("main") ? 8 : 0.8) * load)
            let isSlow = target.hasPrefix("main") && isOn("ModelTimeouts")
            let silent = share(calls, isSlow ? 0.3 : 0.006)
            for (result, count) in [("ok", calls - silent), ("silent", silent)] {
                add("reeve_model_attempts_total", [("target", target), ("result", result)], Double(count))
            }
            let labels = [("model", model), ("target", target)]
            // A breaker opens for less than a minute once in four days.
            let isFlapping = target == "main/small" && (since("BreakerFlapping").map { $0 % 8 == 0 } ?? false)
            let isBlip = chance() < 1 / 5_760.0 || isFlapping
            add("reeve_model_breaker_openings_total", labels, isBlip ? 1 : 0)
            let isOut = target.hasPrefix("main") && isOn("ProviderOutage")
            set("reeve_model_breaker_state", labels, isOut || isBlip ? 2 : 0)
        }
        for model in ["large", "small"] {
            let isSlow = model == "large" && isOn("ModelSlow")
            let durations = (0..<events(8 * load)).map { _ in
                exp(0.7 + 0.6 * normal()) * (1 + 0.3 * load) * (isSlow ? 8 : 1)
            }
            observe(
                "reeve_model_call_duration_seconds", [("model", model), ("status", "done")],
                [0.5, 1, 2, 4, 8, 16, 32, 64], durations)
            let isWorse = model == "small" && isOn("AnswerQualityDrop")
            let scores = (0..<events(0.4 * load)).map { _ in
                min(1, max(0, (isWorse ? 0.5 : 0.8) + 0.15 * normal()))
            }
            add("reeve_gateway_judge_score_count", [("model", model)], Double(scores.count))
            add("reeve_gateway_judge_score_sum", [("model", model)], scores.reduce(0, +))
        }
    }

    private func house() {
        // Mornings pile up for half an hour; at other times there are a few.
        let morning = (540..<570).contains(now % Self.day) && !isWeekend ? 10.0 : 0
        depth = max(0, depth + (4 + morning - depth) / 10 + 1.5 * normal())
        let piled = isOn("QueueBackup") ? 30.0 : 0
        set("agent_queue_depth", [("queue", "inbox"), ("state", "unassigned")], (depth + piled).rounded())
        for (type, length) in [("draft", 130), ("review", 45)] {
            let stuck = type == "draft" ? since("TaskStuck").map { Double($0 * 60) } ?? 0 : 0
            let seconds = max(stuck, Double(now % length * 60))
            set("agent_task_oldest_in_progress_seconds", [("task_type", type)], seconds)
            let agent = ("agent", type == "draft" ? "bob" : "dan")
            set("agent_task_in_progress_seconds", [agent, ("task_type", type)], seconds)
        }
        if now % Self.day == 0 { left = 1 }
        left = max(0, left - load * (isWeekend ? 0.0006 : 0.0011) * (0.5 + chance()))
        if let since = since("BudgetRunaway") { left = min(left, max(0, 0.8 - Double(since) * 0.012)) }
        // On a Wednesday somebody halves the limit for the rest of the day.
        let limit = now / Self.day % 7 == 2 && now % Self.day > 720 ? 50.0 : 100
        let budget = [("scope", "project:alpha"), ("unit", "usd")]
        set("reeve_budget_spent", budget, 100 * (1 - left))
        set("reeve_budget_limit", budget, limit)
        let isPaused = isOn("FleetPaused")
        set("reeve_agents", [("status", "paused")], isPaused ? 6 : 0)
        set("reeve_agents", [("status", "idle")], isPaused ? 0 : 6)
        telemetry()
        add("reeve_telemetry_unkept_traces_total", [], isOn("TracesNotKept") ? 1 : 0)
        set("reeve_incident_postmortems_overdue", [], isOn("PostmortemOverdue") ? 1 : 0)
    }

    /// One record in ten thousand cannot be read; once in four days a whole batch cannot, and once a week a burst is
    /// shed: all of it is over within a minute, as it is where SDKs and collectors are as they should be.
    private func telemetry() {
        for (signal, pace) in [("traces", 60.0), ("metrics", 200.0)] {
            let count = events(pace * load)
            let batch = chance() < 1 / 5_760.0 ? 20 + Int(180 * chance()) : 0
            let burst = chance() < 1 / 10_080.0 ? 50 + Int(450 * chance()) : 0
            let fault = signal == "traces" && isOn("TelemetryLoss") ? 2 : 0
            for (outcome, count) in [
                ("stored", count), ("rejected", share(count, 0.0001) + batch + fault), ("shed", burst),
            ] {
                add("reeve_telemetry_records_total", [("signal", signal), ("outcome", outcome)], Double(count))
            }
        }
    }

    private func memory() {
        let count = events(4 * load)
        let took = (0..<count).map { _ in
            exp(-3.5 + 0.7 * normal()) + (isOn("MemoryStoreSlow") && chance() < 0.3 ? 0.8 : 0)
        }
        let labels = [("agent", "ann"), ("operation", "search")]
        observe("agent_memory_operation_duration_seconds", labels, [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5], took)
        let failed = share(count, isOn("MemoryErrors") ? 0.4 : 0.005)
        for (status, count) in [("success", count - failed), ("failure", failed)] {
            add("agent_memory_operations_total", labels + [("status", status)], Double(count))
        }
    }
}
