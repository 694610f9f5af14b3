/// The store of what agents remember.
enum MemoryRules {
    static let entry = ShippedRules.Entry(
        file: RuleFile(
            name: "memory",
            groups: [
                RuleGroup(name: "reeve.memory", rules: [.recording(latency), .alert(memoryStoreSlow)]),
                RuleGroup(
                    name: "reeve.memory.failures",
                    rules: failureGuard.rules(
                        part: "sum by (agent, operation) "
                            + #"(increase(agent_memory_operations_total{status="failure"}[10m]))"#,
                        whole: "sum by (agent, operation) (increase(agent_memory_operations_total[10m]))")
                        + [.alert(memoryErrors)]),
            ]),
        cases: latencyCases + failureCases)

    private static let latency = RecordingRule(
        name: "operation:agent_memory_operation_duration_seconds:p99_10m",
        expression: "histogram_quantile(0.99, "
            + "sum by (le, operation) (rate(agent_memory_operation_duration_seconds_bucket[10m])))")

    static let memoryStoreSlow = AlertRule(
        name: "MemoryStoreSlow", severity: .warning, nature: .infrastructure,
        expression: "\(latency.name) > 0.5 "
            + "and sum by (operation) (increase(agent_memory_operation_duration_seconds_count[10m])) > 20 "
            // One slow operation in a quiet hour is no slow store.
            + "and sum by (operation) (increase(agent_memory_operation_duration_seconds_count[10m])) "
            + "- sum by (operation) (increase(agent_memory_operation_duration_seconds_bucket{le=\"0.5\"}[10m])) > 3",
        holdsFor: "5m",
        summary: "The memory store is slow to {{ $labels.operation }}",
        detail: "One in a hundred operations of the last 10 minutes took {{ $value | humanizeDuration }} or more; "
            + "half a "
            + "second is what agents are to wait at most.",
        action: "Look at the store's size and its disk, and at what the agents search for: the row Memory "
            + "Performance of "
            + "the dashboard has all three.")

    private static let failureGuard = RatioGuard(
        part: "agent_operation:agent_memory_operations_failed", whole: "agent_operation:agent_memory_operations",
        window: "10m")

    /// What is wrong in a memory and can yet be read is not seen by this.
    static let memoryErrors = AlertRule(
        name: "MemoryErrors", severity: .critical, nature: .infrastructure, mode: .memoryCorruption,
        expression: failureGuard.condition(above: 0.1, eventsOfPart: 5), holdsFor: "5m",
        summary: "The memory of agent {{ $labels.agent }} fails to {{ $labels.operation }}",
        detail:
            "{{ $value | humanizePercentage }} of these operations of the last 10 minutes failed, more than 5: what "
            + "the agent remembers may be damaged.",
        action: "Let nobody write to it until it is known what is wrong; a copy from before can be restored.")

    private static func took(_ bound: String) -> String {
        "agent_memory_operation_duration_seconds_bucket{operation=\"search\",le=\"\(bound)\"}"
    }

    private static let count = #"agent_memory_operation_duration_seconds_count{operation="search"}"#

    private static let latencyCases: [RuleCase] = [
        RuleCase(
            title: "a tenth takes a second", alert: "MemoryStoreSlow",
            series: [
                (took("0.1"), "0+9x30"), (took("0.5"), "0+9x30"), (took("1"), "0+10x30"), (took("+Inf"), "0+10x30"),
                (count, "0+10x30"),
            ], at: "20m", firing: [.init(labels: [("operation", "search")], shown: ["950ms"])]),
        RuleCase(
            title: "all is fast", alert: "MemoryStoreSlow",
            series: [
                (took("0.1"), "0+10x30"), (took("0.5"), "0+10x30"), (took("1"), "0+10x30"), (took("+Inf"), "0+10x30"),
                (count, "0+10x30"),
            ], at: "20m"),
    ]

    private static func operations(_ status: String) -> String {
        "agent_memory_operations_total{agent=\"ann\",operation=\"read\",status=\"\(status)\"}"
    }

    private static let failureCases: [RuleCase] = [
        RuleCase(
            title: "a quarter of the reads fails", alert: "MemoryErrors",
            series: [(operations("success"), "0+9x30"), (operations("failure"), "0+3x30")], at: "20m",
            firing: [.init(labels: [("agent", "ann"), ("operation", "read")], shown: ["25%"])]),
        RuleCase(
            title: "one in a hundred fails", alert: "MemoryErrors",
            series: [(operations("success"), "0+99x30"), (operations("failure"), "0+1x30")], at: "20m"),
    ]
}
