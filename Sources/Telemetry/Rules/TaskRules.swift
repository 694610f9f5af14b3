/// What becomes of tasks and of what they bring: whether one agent's fault is another's.
enum TaskRules {
    static let entry = ShippedRules.Entry(
        file: RuleFile(
            name: "tasks",
            groups: [
                RuleGroup(
                    name: "reeve.tasks.ends",
                    rules: endGuard.rules(
                        part: #"sum(increase(agent_tasks_finished_total{status=~"failed|skipped"}[15m]))"#,
                        whole: #"sum(increase(agent_tasks_finished_total{status!="canceled"}[15m]))"#)
                        + [.alert(cascadingFailure)]),
                RuleGroup(
                    name: "reeve.tasks.reviews",
                    rules: reviewGuard.rules(
                        part: #"sum by (agent) (increase(agent_reviews_total{verdict=~"changes|reject"}[1h]))"#,
                        whole: "sum by (agent) (increase(agent_reviews_total[1h]))")
                        + [.alert(deliverablesRejected)]),
            ]),
        cases: endCases + reviewCases)

    private static let endGuard = RatioGuard(
        part: "fleet:agent_tasks_failed", whole: "fleet:agent_tasks_finished", window: "15m")
    private static let reviewGuard = RatioGuard(
        part: "agent:agent_reviews_against", whole: "agent:agent_reviews", window: "1h")

    /// One type that fails is that type's own matter; what depends on it is of another.
    private static let spread =
        "count(sum by (task_type) (increase(agent_tasks_finished_total{status=~\"failed|skipped\"}[15m])) > 1.5) > 1 "
        + "and " + endGuard.condition(above: 0.4, eventsOfPart: 5)

    /// Whose work those began from that went wrong, where they say what they depend on.
    private static let roots = "sum by (agent, task_type) (increase(agent_downstream_failures_total[15m])) > 2.5"

    /// With the labels of the root; without any where none is known.
    static let cascadingFailure = AlertRule(
        name: "CascadingFailure", severity: .critical, nature: .behavioural, mode: .cascadingFailure,
        expression: "0 * (\(roots)) + on () group_left () (\(spread)) or on () (\(spread))",
        summary: "Tasks of {{ $value }} types fail one after the other",
        detail: "More than 40 % of the tasks that ended in the last 15 minutes failed, or were skipped as what they "
            + "depended on failed, and they are of {{ $value }} types: one bad result may be what the others fail on. "
            + "They began from what agent \"{{ $labels.agent }}\" made in tasks of the type "
            + "\"{{ $labels.task_type }}\"; nothing stands there where they depend on nothing.",
        action: "Open the task that failed first: its deliverable is what the others began from. Hold what depends on "
            + "it, and pause the agent that made it.")

    /// One in five is sent back where all is well, so that some hours have five of seven: it is asked for more.
    static let deliverablesRejected = AlertRule(
        name: "DeliverablesRejected", severity: .warning, nature: .behavioural, mode: .cascadingFailure,
        expression: reviewGuard.condition(above: 0.5, eventsOfPart: 5, surely: 0.4),
        summary: "What agent {{ $labels.agent }} hands in is sent back",
        detail: "{{ $value | humanizePercentage }} of the verdicts of the last hour on its deliverables were against "
            + "them, more than 5.",
        action: "Look at what the reviewers wrote, and hold the tasks that build upon what it had approved lately.")

    // MARK: Histories

    private static func ended(_ type: String, _ status: String) -> String {
        "agent_tasks_finished_total{agent=\"ann\",task_type=\"\(type)\",status=\"\(status)\"}"
    }

    private static let spoilt = #"agent_downstream_failures_total{agent="ann",task_type="draft"}"#

    private static let endCases: [RuleCase] = [
        RuleCase(
            title: "a draft fails, and what depends on it", alert: "CascadingFailure",
            series: [
                (ended("draft", "done"), "0+1x20 20x10"), (ended("draft", "failed"), "0x20 0+1x10"),
                (ended("review", "skipped"), "0x20 0+1x10"), (ended("print", "done"), "0+1x20 20x10"),
                (spoilt, "0x20 0+1x10"),
            ], at: "30m", firing: [.init(labels: [("agent", "ann"), ("task_type", "draft")], shown: ["2", "2"])]),
        RuleCase(
            title: "what fails depends on nothing", alert: "CascadingFailure",
            series: [
                (ended("draft", "failed"), "0x20 0+1x10"), (ended("review", "failed"), "0x20 0+1x10"),
                (ended("print", "done"), "0+1x20 20x10"),
            ], at: "30m", firing: [.init(labels: [], shown: ["2", "2"])]),
        RuleCase(
            title: "one type fails alone", alert: "CascadingFailure",
            series: [
                (ended("draft", "done"), "0+1x20 20x10"), (ended("draft", "failed"), "0x20 0+1x10"),
                (ended("print", "done"), "0+1x30"),
            ], at: "30m"),
        RuleCase(
            title: "some of each type fail", alert: "CascadingFailure",
            series: [
                (ended("draft", "done"), "0+3x30"), (ended("draft", "failed"), "0+1x30"),
                (ended("print", "done"), "0+3x30"), (ended("print", "failed"), "0+1x30"),
            ], at: "30m"),
    ]

    private static func verdicts(_ verdict: String) -> String {
        "agent_reviews_total{agent=\"ann\",verdict=\"\(verdict)\"}"
    }

    private static let reviewCases: [RuleCase] = [
        RuleCase(
            title: "three of four are sent back", alert: "DeliverablesRejected", interval: "5m",
            series: [
                (verdicts("approve"), "0+1x24"), (verdicts("changes"), "0+2x24"), (verdicts("reject"), "0+1x24"),
            ], at: "90m", firing: [.init(labels: [("agent", "ann")], shown: ["75%"])]),
        RuleCase(
            title: "a third is sent back", alert: "DeliverablesRejected", interval: "5m",
            series: [(verdicts("approve"), "0+2x24"), (verdicts("changes"), "0+1x24")], at: "90m"),
        RuleCase(
            title: "two of two are no habit", alert: "DeliverablesRejected", interval: "5m",
            series: [(verdicts("changes"), "0x12 1x3 2x9")], at: "90m"),
    ]
}
