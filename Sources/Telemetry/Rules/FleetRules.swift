/// Agents, tasks and queues. What the control plane knows of them is the same on each replica: `max`, never `sum`.
enum FleetRules {
    static let entry = ShippedRules.Entry(
        file: RuleFile(
            name: "fleet",
            groups: [
                RuleGroup(name: "reeve.fleet", rules: [agentDown, taskStuck, queueBackup, fleetPaused].map(Rule.alert))
            ]),
        cases: agentCases + taskCases + queueCases + pauseCases)

    /// The series stays after the agent's death, as the control plane keeps it: no need for `absent()`.
    static let agentDown = AlertRule(
        name: "AgentDown", severity: .critical, nature: .infrastructure,
        expression: "time() - max by (agent_type, agent) (agent_last_heartbeat_timestamp_seconds) > 1800",
        summary: "Agent {{ $labels.agent }} is silent",
        detail: "Nothing was heard of {{ $labels.agent }} for {{ $value | humanizeDuration }}; after 30 minutes an "
            + "agent counts as down. Its tasks are claimed anew by others once their leases ran out.",
        action: "Look at the agent's page and its host; start it again, or remove it if it is not to come back.")

    static let taskStuck = AlertRule(
        name: "TaskStuck", severity: .warning, nature: .behavioural, mode: .infiniteLoop,
        expression: "max by (task_type, agent) (agent_task_in_progress_seconds) > 14400 "
            + "or on (task_type) max by (task_type) (agent_task_oldest_in_progress_seconds) > 14400",
        summary: "A task of the type {{ $labels.task_type }} is in progress for more than 4 hours",
        detail: "It has been under way for {{ $value | humanizeDuration }}. The label agent, where it is there, "
            + "names who had it in hand all that time.",
        action: "Open the task: its heartbeats, its trace and its model calls say whether it moves. Hold it or "
            + "retry it.")

    static let queueBackup = AlertRule(
        name: "QueueBackup", severity: .warning, nature: .infrastructure,
        expression: #"max by (queue) (agent_queue_depth{state="unassigned"}) > 10"#, holdsFor: "1h",
        summary: "Queue {{ $labels.queue }} piles up",
        detail: "More than 10 tasks of {{ $labels.queue }} have waited unassigned for an hour; now it is "
            + "{{ $value | humanize }}.",
        action: "`reeve tasks explain` of one of them says why nobody takes it: too few agents, a pause, a "
            + "capability.")

    static let fleetPaused = AlertRule(
        name: "FleetPaused", severity: .none, nature: .infrastructure,
        expression: #"max(reeve_agents{status="paused"}) > 0 unless on () "#
            + #"sum(max by (status) (reeve_agents{status=~"idle|busy|waiting"})) > 0"#,
        summary: "All of the fleet is paused",
        detail: "Somebody paused every agent, so that none of them is expected to say anything. It keeps "
            + "AgentDown quiet.",
        action: "Nothing, if the pause is meant.")

    private static let agentCases: [RuleCase] = [
        RuleCase(
            title: "an agent that fell silent", alert: "AgentDown",
            series: [
                (#"agent_last_heartbeat_timestamp_seconds{agent="ann",agent_type="writer"}"#, "0x60"),
                (#"agent_last_heartbeat_timestamp_seconds{agent="bob",agent_type="writer"}"#, "0+60x60"),
            ], at: "31m",
            firing: [.init(labels: [("agent", "ann"), ("agent_type", "writer")], shown: ["31m 0s"])]),
        RuleCase(
            title: "an agent that another replica heard of", alert: "AgentDown",
            series: [
                (#"agent_last_heartbeat_timestamp_seconds{agent="ann",agent_type="writer",instance="a"}"#, "0x60"),
                (#"agent_last_heartbeat_timestamp_seconds{agent="ann",agent_type="writer",instance="b"}"#, "0+60x60"),
            ], at: "45m"),
        RuleCase(
            title: "half an hour is not more than half an hour", alert: "AgentDown",
            series: [(#"agent_last_heartbeat_timestamp_seconds{agent="ann",agent_type="writer"}"#, "0x60")], at: "30m"),
    ]

    private static let taskCases: [RuleCase] = [
        RuleCase(
            title: "a task that does not end", alert: "TaskStuck",
            series: [
                (oldest("ann"), "14000+60x10"), (oldest("bob"), "0+60x10"),
                (#"agent_task_oldest_in_progress_seconds{task_type="report"}"#, "14000+60x10"),
            ], at: "10m",
            firing: [.init(labels: [("agent", "ann"), ("task_type", "report")], shown: ["4h 3m 20s"])]),
        RuleCase(
            title: "a long task that ends", alert: "TaskStuck",
            series: [(oldest("ann"), "14000+60x6 0x4")], at: "10m"),
    ]

    private static func oldest(_ agent: String) -> String {
        "agent_task_in_progress_seconds{agent=\"\(agent)\",task_type=\"report\"}"
    }

    private static let queueCases: [RuleCase] = [
        RuleCase(
            title: "a queue that nobody works on", alert: "QueueBackup",
            series: [(#"agent_queue_depth{queue="inbox",state="unassigned"}"#, "11x70")], at: "61m",
            firing: [.init(labels: [("queue", "inbox")], shown: ["11"])]),
        RuleCase(
            title: "a queue that is worked off, and one with many tasks in hands", alert: "QueueBackup",
            series: [
                (#"agent_queue_depth{queue="inbox",state="unassigned"}"#, "200x50 3x20"),
                (#"agent_queue_depth{queue="inbox",state="leased"}"#, "200x70"),
            ], at: "70m"),
    ]

    private static let pauseCases: [RuleCase] = [
        RuleCase(
            title: "everybody is paused", alert: "FleetPaused",
            series: [(#"reeve_agents{status="paused"}"#, "3x5"), (#"reeve_agents{status="busy"}"#, "0x5")], at: "5m",
            firing: [.init()]),
        RuleCase(
            title: "one works on", alert: "FleetPaused",
            series: [(#"reeve_agents{status="paused"}"#, "3x5"), (#"reeve_agents{status="busy"}"#, "1x5")], at: "5m"),
    ]
}
