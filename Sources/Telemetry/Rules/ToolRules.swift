/// The servers behind the tools that agents call.
enum ToolRules {
    static let entry = ShippedRules.Entry(
        file: RuleFile(
            name: "tools",
            groups: [
                RuleGroup(
                    name: "reeve.tools",
                    rules: timeoutGuard.rules(
                        part: #"sum by (tool) (increase(agent_tool_calls_total{status="timeout"}[10m]))"#,
                        whole: "sum by (tool) (increase(agent_tool_calls_total[10m]))") + [.alert(toolTimeouts)])
            ]),
        cases: timeoutCases)

    private static let timeoutGuard = RatioGuard(
        part: "tool:agent_tool_timeouts", whole: "tool:agent_tool_calls", window: "10m")

    /// Whoever calls it: one server stands behind all of them.
    static let toolTimeouts = AlertRule(
        name: "ToolTimeouts", severity: .warning, nature: .infrastructure,
        expression: timeoutGuard.condition(above: 0.2, eventsOfPart: 5), holdsFor: "2m",
        summary: "Tool {{ $labels.tool }} does not answer",
        detail: "{{ $value | humanizePercentage }} of its calls of the last 10 minutes ran out of time, more than 5; "
            + "agents wait for it, or go on without what they asked.",
        action: "Look at the tool's server. Pause the agents that cannot work without it until it answers again.")

    private static func calls(_ agent: String, _ status: String) -> String {
        "agent_tool_calls_total{agent=\"\(agent)\",tool=\"search\",status=\"\(status)\"}"
    }

    private static let timeoutCases: [RuleCase] = [
        RuleCase(
            title: "half of two agents' calls run out of time", alert: "ToolTimeouts",
            series: [
                (calls("ann", "success"), "0+1x20"), (calls("ann", "timeout"), "0+1x20"),
                (calls("bob", "success"), "0+1x20"), (calls("bob", "timeout"), "0+1x20"),
            ], at: "15m", firing: [.init(labels: [("tool", "search")], shown: ["50%"])]),
        RuleCase(
            title: "one of ten runs out of time", alert: "ToolTimeouts",
            series: [(calls("ann", "success"), "0+9x20"), (calls("ann", "timeout"), "0+1x20")], at: "15m"),
        RuleCase(
            title: "all calls run out of time, and there are few", alert: "ToolTimeouts",
            series: [(calls("ann", "timeout"), "0+1x4 4x16")], at: "15m"),
    ]
}
