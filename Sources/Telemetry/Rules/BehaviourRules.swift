/// What agents do that servers do not: fill their context, run in circles, call tools in a storm.
enum BehaviourRules {
    static let entry = ShippedRules.Entry(
        file: RuleFile(
            name: "behaviour",
            groups: [
                RuleGroup(
                    name: "reeve.behaviour.contexts", rules: [.recording(contexts), .alert(contextExhaustion)]),
                RuleGroup(
                    name: "reeve.behaviour.tools",
                    rules: toolGuard.rules(
                        part: "sum by (agent) (increase(agent_tool_repeat_calls_total[5m]))",
                        whole: "sum by (agent) (increase(agent_tool_calls_total[5m]))") + [.alert(toolStorm)]),
                RuleGroup(
                    name: "reeve.behaviour.sessions", intervalSeconds: 300,
                    rules: [
                        .recording(sessions), .recording(manySessions), .recording(usualSessions),
                        .alert(sessionAbnormal),
                    ]),
                RuleGroup(name: "reeve.behaviour.inputs", rules: [.alert(contextPoisoning)]),
            ]),
        cases: contextCases + toolCases + sessionCases + inputCases)

    private static let contexts = RecordingRule(
        name: "agent_model:agent_context_utilization:p95_10m",
        expression: "histogram_quantile(0.95, "
            + "sum by (le, agent, model) (rate(agent_context_utilization_distribution_bucket[10m])))")

    /// Of ten calls one is more than one in twenty: so there must be some that are nearly full.
    static let contextExhaustion = AlertRule(
        name: "ContextExhaustion", severity: .warning, nature: .behavioural, mode: .staleContext,
        expression: "\(contexts.name) > 0.9 "
            + "and sum by (agent, model) (increase(agent_context_utilization_distribution_count[10m])) "
            + "- sum by (agent, model) (increase(agent_context_utilization_distribution_bucket{le=\"0.9\"}[10m])) > 3",
        holdsFor: "5m",
        summary: "Agent {{ $labels.agent }} runs out of context",
        detail: "One in twenty of its calls to {{ $labels.model }} fills more than {{ $value | humanizePercentage "
            + "}} of the "
            + "model's context window; above 90 % answers get worse or stop.",
        action: "Let the agent sum up or forget earlier turns, split its task, or give it a model with a larger "
            + "window.")

    private static let toolGuard = RatioGuard(
        part: "agent:agent_tool_repeat_calls", whole: "agent:agent_tool_calls", window: "5m")

    static let toolStorm = AlertRule(
        name: "ToolStorm", severity: .critical, nature: .behavioural, mode: .infiniteLoop,
        expression: toolGuard.condition(above: 0.5, eventsOfPart: 30),
        summary: "Agent {{ $labels.agent }} calls the same tools again and again",
        detail: "{{ $value | humanizePercentage }} of its tool calls of the last 5 minutes repeated an earlier "
            + "one with "
            + "the same arguments, more than 30 times.",
        action: "Pause the agent and look at the last trace: what does the tool answer that it asks again?")

    private static let sessions = RecordingRule(
        name: "agent:agent_session_duration_seconds:p95_1h",
        expression: "histogram_quantile(0.95, "
            + "sum by (le, agent) (rate(agent_session_duration_seconds_bucket[1h])))")
    private static let manySessions = RecordingRule(
        name: "agent:agent_session_duration_seconds:p75_1h",
        expression: "histogram_quantile(0.75, "
            + "sum by (le, agent) (rate(agent_session_duration_seconds_bucket[1h])))")
    private static let usualSessions = RecordingRule(
        name: "agent:agent_session_duration_seconds:p95_7d",
        expression: "histogram_quantile(0.95, "
            + "sum by (le, agent) (rate(agent_session_duration_seconds_bucket[7d])))")

    static let sessionAbnormal = AlertRule(
        name: "SessionAbnormal", severity: .warning, nature: .behavioural, mode: .infiniteLoop,
        expression: "\(sessions.name) > 3 * \(usualSessions.name) "
            // Of few sessions one that is long is the longest twentieth.
            + "and \(manySessions.name) > \(usualSessions.name) "
            + "and sum by (agent) (increase(agent_session_duration_seconds_count[1h])) > 5 "
            + "and sum by (agent) (increase(agent_session_duration_seconds_count[7d])) > 50",
        holdsFor: "15m",
        summary: "Sessions of agent {{ $labels.agent }} last much longer than usual",
        detail: "One in twenty sessions of the last hour lasted more than {{ $value | humanizeDuration }}: more "
            + "than three times what it was over the last 7 days; and a quarter of them lasted longer than one in "
            + "twenty did then.",
        action: "Open a trace of a long session. Many turns of the same kind are a loop; few long ones are a slow "
            + "tool or "
            + "model.")
}

// MARK: Inputs

extension BehaviourRules {
    /// A page that speaks to models is read now and then, and one call that is refused is put in other words: what
    /// stays in a conversation comes again with each call.
    static let contextPoisoning = AlertRule(
        name: "ContextPoisoning", severity: .warning, nature: .behavioural, mode: .contextPoisoning,
        expression: "max by (agent, session) (agent_session_injection_signs) > 2",
        summary: "Something gives orders to a session of agent {{ $labels.agent }}",
        detail: "{{ $value | humanize }} times within an hour a tool told the model to leave its instructions, or an "
            + "input guard refused a call, in the session {{ $labels.session }}: all that follows may be spoilt.",
        action: "Read the session from the first such result on, set it apart, and close the door that it came through."
    )

    private static func signs(_ session: String) -> String {
        "agent_session_injection_signs{agent=\"ann\",session=\"\(session)\"}"
    }

    private static let inputCases: [RuleCase] = [
        RuleCase(
            title: "each result speaks to the model", alert: "ContextPoisoning",
            series: [(signs("s1"), "0+1x10"), (signs("s2"), "1x10")], at: "5m",
            firing: [.init(labels: [("agent", "ann"), ("session", "s1")], shown: ["5"])]),
        RuleCase(
            title: "two in an hour", alert: "ContextPoisoning", series: [(signs("s1"), "1x30 2x30")], at: "45m"),
    ]
}

// MARK: Histories

extension BehaviourRules {
    private static func filled(_ bound: String) -> String {
        "agent_context_utilization_distribution_bucket{agent=\"ann\",model=\"m\",le=\"\(bound)\"}"
    }

    private static let filledCount = #"agent_context_utilization_distribution_count{agent="ann",model="m"}"#

    private static let contextCases: [RuleCase] = [
        RuleCase(
            title: "a fifth of the calls is nearly full", alert: "ContextExhaustion",
            series: [
                (filled("0.5"), "0+8x30"), (filled("0.9"), "0+8x30"), (filled("1"), "0+10x30"),
                (filled("+Inf"), "0+10x30"), (filledCount, "0+10x30"),
            ], at: "20m", firing: [.init(labels: [("agent", "ann"), ("model", "m")], shown: ["97.5%"])]),
        RuleCase(
            title: "half full", alert: "ContextExhaustion",
            series: [
                (filled("0.5"), "0+9x30"), (filled("0.9"), "0+10x30"), (filled("1"), "0+10x30"),
                (filled("+Inf"), "0+10x30"), (filledCount, "0+10x30"),
            ], at: "20m"),
    ]

    private static let toolCases: [RuleCase] = [
        RuleCase(
            title: "nine of ten calls are repeated", alert: "ToolStorm",
            series: [
                (#"agent_tool_calls_total{agent="ann",tool="search",status="success"}"#, "0+10x10"),
                (#"agent_tool_repeat_calls_total{agent="ann",tool="search"}"#, "0+9x10"),
            ], at: "8m", firing: [.init(labels: [("agent", "ann")], shown: ["90%"])]),
        RuleCase(
            title: "many calls, all of them new; and few repeated", alert: "ToolStorm",
            series: [
                (#"agent_tool_calls_total{agent="ann",tool="search",status="success"}"#, "0+100x10"),
                (#"agent_tool_calls_total{agent="bob",tool="search",status="success"}"#, "0+1x10"),
                (#"agent_tool_repeat_calls_total{agent="bob",tool="search"}"#, "0+1x10"),
            ], at: "8m"),
    ]

    private static func lasted(_ bound: String) -> String {
        "agent_session_duration_seconds_bucket{agent=\"ann\",le=\"\(bound)\"}"
    }

    private static let lastedCount = #"agent_session_duration_seconds_count{agent="ann"}"#

    /// Two sessions in five minutes: for two days of up to a minute, then for two hours of up to an hour.
    private static let sessionCases: [RuleCase] = [
        RuleCase(
            title: "sessions of an hour where a minute was usual", alert: "SessionAbnormal", interval: "5m",
            series: [
                (lasted("60"), "0+2x576 1152x24"), (lasted("600"), "0+2x576 1152x24"), (lasted("3600"), "0+2x600"),
                (lasted("+Inf"), "0+2x600"), (lastedCount, "0+2x600"),
            ], at: "50h", firing: [.init(labels: [("agent", "ann")], shown: ["57m 30s"])]),
        RuleCase(
            title: "sessions of an hour, as always", alert: "SessionAbnormal", interval: "5m",
            series: [
                (lasted("60"), "0x600"), (lasted("600"), "0x600"), (lasted("3600"), "0+2x600"),
                (lasted("+Inf"), "0+2x600"), (lastedCount, "0+2x600"),
            ], at: "50h"),
    ]
}
