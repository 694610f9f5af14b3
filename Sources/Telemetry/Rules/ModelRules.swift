/// Calls to models, as agents see them, and exchanges with providers behind them.
enum ModelRules {
    static let entry = ShippedRules.Entry(
        file: RuleFile(
            name: "models",
            groups: [
                RuleGroup(
                    name: "reeve.models.agents",
                    rules: agentGuard.rules(
                        part: #"sum by (agent) (increase(reeve_model_calls_total{status="failed"}[10m]))"#,
                        whole: "sum by (agent) (increase(reeve_model_calls_total[10m]))") + [.alert(highErrorRate)]),
                RuleGroup(
                    name: "reeve.models.errors",
                    rules: modelGuard.rules(
                        part: #"sum by (model) (increase(reeve_model_calls_total{status="failed"}[10m]))"#,
                        whole: "sum by (model) (increase(reeve_model_calls_total[10m]))")
                        + [.recording(usualErrors), .alert(errorRateSpike)]),
                RuleGroup(
                    name: "reeve.models.providers",
                    rules: [.recording(lanes), .alert(providerOutage)]
                        + providerGuard.rules(
                            part: byProvider(#"increase(reeve_model_attempts_total{result=~"silent|stalled"}[5m])"#),
                            whole: byProvider("increase(reeve_model_attempts_total[5m])"))
                        + [.recording(usualTimeouts), .alert(modelTimeouts)]),
            ]),
        cases: agentCases + spikeCases + outageCases + timeoutCases)

    private static let agentGuard = RatioGuard(
        part: "agent:reeve_model_calls_failed", whole: "agent:reeve_model_calls", window: "10m")
    private static let modelGuard = RatioGuard(
        part: "model:reeve_model_calls_failed", whole: "model:reeve_model_calls", window: "10m")
    private static let providerGuard = RatioGuard(
        part: "provider:reeve_model_timeouts", whole: "provider:reeve_model_attempts", window: "5m")

    /// A target is `provider/model`.
    private static func byProvider(_ expression: String) -> String {
        #"sum by (provider) (label_replace(\#(expression), "provider", "$1", "target", "([^/]+)/.*"))"#
    }

    static let highErrorRate = AlertRule(
        name: "HighErrorRate", severity: .critical, nature: .infrastructure, mode: .llmOutage,
        expression: agentGuard.condition(above: 0.2, events: 20),
        holdsFor: "5m",
        summary: "Model calls of agent {{ $labels.agent }} fail",
        detail: "{{ $value | humanizePercentage }} of the agent's calls of the last 10 minutes failed, of more "
            + "than 20; "
            + "more than 20 % is too much.",
        action: "Look at the agent's failed calls: the class of their errors says whether it is the provider, a "
            + "limit, "
            + "a budget or the agent's own requests. Pause the agent if they cost money for nothing.")

    private static let usualErrors = RecordingRule(
        name: "model:reeve_model_calls_failed:ratio1d",
        expression: """
            (sum by (model) (increase(reeve_model_calls_total{status="failed"}[1d] offset 10m)) \
            or 0 * sum by (model) (increase(reeve_model_calls_total[1d] offset 10m))) \
            / (sum by (model) (increase(reeve_model_calls_total[1d] offset 10m)) > 0)
            """)

    static let errorRateSpike = AlertRule(
        name: "ErrorRateSpike", severity: .critical, nature: .infrastructure, mode: .modelDegradation,
        expression: "\(modelGuard.lower) > 0.05 and \(modelGuard.lower) > 3 * \(usualErrors.name) "
            + "and model:reeve_model_calls:increase10m > 20",
        holdsFor: "5m",
        summary: "Calls to model {{ $labels.model }} fail much more often than usual",
        detail: "At least {{ $value | humanizePercentage }} of the calls of the last 10 minutes failed (the lower "
            + "end of "
            + "the 95 % interval): more than 5 %, and more than three times the share of the day before.",
        action: "Look at the page of models: an open breaker names the target. If there is none, look at what was "
            + "deployed last.")

    /// A breaker that lets a call through to see, and opens again, was never closed. One that opens for less than a
    /// minute is seen for two. Of several replicas the one that sees it open counts: another that nobody asks goes on
    /// to think that all is well.
    private static let lanes = RecordingRule(
        name: "model_target:reeve_model_breaker_state:max1m",
        expression: "max by (model, target) (max_over_time(reeve_model_breaker_state[1m]))")

    /// A breaker is closed before it was ever tried, so a closed one that nobody asked proves nothing.
    private static let tried =
        "\(lanes.name) > 0 or (\(lanes.name) "
        + "and on (target) sum by (target) (increase(reeve_model_attempts_total[10m])) > 0 "
        + "and on (model) sum by (model) (increase(reeve_model_calls_total[10m])) > 0)"

    static let providerOutage = AlertRule(
        name: "ProviderOutage", severity: .critical, nature: .infrastructure, mode: .llmOutage,
        expression: "min by (provider) (label_replace(\(tried), "
            + #""provider", "$1", "target", "([^/]+)/.*")) == 2"#,
        holdsFor: "2m",
        summary: "Provider {{ $labels.provider }} is out",
        detail: "The breakers of all its targets that were asked are open. Calls go to other targets where a model "
            + "has some; tasks that ask for a model without any wait and spend no attempts.",
        action: "Look at the provider's own status page. Add a target of another provider if this lasts.")

    private static let usualTimeouts = RecordingRule(
        name: "provider:reeve_model_timeouts:ratio6h",
        expression: """
            (\(byProvider(#"increase(reeve_model_attempts_total{result=~"silent|stalled"}[6h] offset 5m)"#)) \
            or 0 * \(byProvider("increase(reeve_model_attempts_total[6h] offset 5m)"))) \
            / (\(byProvider("increase(reeve_model_attempts_total[6h] offset 5m)")) > 0)
            """)

    static let modelTimeouts = AlertRule(
        name: "ModelTimeouts", severity: .warning, nature: .infrastructure, mode: .modelDegradation,
        expression: "\(providerGuard.lower) > 3 * \(usualTimeouts.name) "
            + "and provider:reeve_model_timeouts:increase5m > 5",
        keepsFiringFor: "10m",
        summary: "Provider {{ $labels.provider }} keeps calls waiting",
        detail: "At least {{ $value | humanizePercentage }} of the exchanges of the last 5 minutes brought "
            + "nothing in time "
            + "(the lower end of the 95 % interval): more than three times the share of the last 6 hours.",
        action: "Look at the latency of its targets on the page of models; lower their share or their deadline.")
}

// MARK: Histories

extension ModelRules {
    private static func calls(_ labels: String, _ status: String) -> String {
        "reeve_model_calls_total{\(labels),status=\"\(status)\"}"
    }

    private static let agentCases: [RuleCase] = [
        RuleCase(
            title: "three of ten calls fail", alert: "HighErrorRate",
            series: [
                (calls(#"agent="ann",model="m""#, "done"), "0+7x30"),
                (calls(#"agent="ann",model="m""#, "failed"), "0+3x30"),
                (calls(#"agent="bob",model="m""#, "done"), "0+10x30"),
            ], at: "20m", firing: [.init(labels: [("agent", "ann")], shown: ["30%"])]),
        RuleCase(
            title: "all calls fail, but there are few", alert: "HighErrorRate",
            series: [(calls(#"agent="ann",model="m""#, "failed"), "0+1x3 3x30")], at: "9m"),
        RuleCase(
            title: "one in ten fails", alert: "HighErrorRate",
            series: [
                (calls(#"agent="ann",model="m""#, "done"), "0+9x30"),
                (calls(#"agent="ann",model="m""#, "failed"), "0+1x30"),
            ], at: "20m"),
    ]

    private static let spikeCases: [RuleCase] = [
        RuleCase(
            title: "a third fails where nothing failed", alert: "ErrorRateSpike",
            series: [
                (calls(#"agent="ann",model="m""#, "done"), "0+10x150"),
                (calls(#"agent="ann",model="m""#, "failed"), "0x100 0+5x50"),
            ], at: "120m", firing: [.init(labels: [("model", "m")], shown: ["26.29%"])]),
        RuleCase(
            title: "a third fails, as always", alert: "ErrorRateSpike",
            series: [
                (calls(#"agent="ann",model="m""#, "done"), "0+10x150"),
                (calls(#"agent="ann",model="m""#, "failed"), "0+5x150"),
            ], at: "120m"),
    ]

    private static func breaker(_ target: String, at replica: String? = nil) -> String {
        let instance = replica.map { ",instance=\"\($0)\"" } ?? ""
        return "reeve_model_breaker_state{model=\"m\",target=\"\(target)\"\(instance)}"
    }

    private static func answered(_ target: String) -> String {
        "reeve_model_attempts_total{target=\"\(target)\",result=\"ok\"}"
    }

    private static let outageCases: [RuleCase] = [
        RuleCase(
            title: "all targets of a provider are out", alert: "ProviderOutage",
            series: [
                (breaker("main/large"), "2x5"), (breaker("main/small"), "2x5"), (breaker("backup/large"), "0x5"),
            ], at: "3m", firing: [.init(labels: [("provider", "main")])]),
        RuleCase(
            title: "it is tried now and then, and is still out", alert: "ProviderOutage", interval: "30s",
            series: [(breaker("main/large"), "2 2 1 2 2 1 2 2 1 2 2")], at: "3m",
            firing: [.init(labels: [("provider", "main")])]),
        RuleCase(
            title: "another replica, which nobody asks, has it closed", alert: "ProviderOutage",
            series: [(breaker("main/large", at: "a"), "2x5"), (breaker("main/large", at: "b"), "0x5")], at: "3m",
            firing: [.init(labels: [("provider", "main")])]),
        RuleCase(
            title: "of its two targets one is out, and nobody asks the other", alert: "ProviderOutage",
            series: [
                (breaker("main/large"), "0x10 2x5"), (breaker("main/small"), "0x15"),
                (answered("main/large"), "0+1x10 10x5"), (answered("main/small"), "5x15"),
                (calls(#"agent="ann",model="m""#, "done"), "0+1x15"),
            ], at: "14m", firing: [.init(labels: [("provider", "main")])]),
        RuleCase(
            title: "of its two targets one is out, and the other answers", alert: "ProviderOutage",
            series: [
                (breaker("main/large"), "0x10 2x5"), (breaker("main/small"), "0x15"),
                (answered("main/large"), "0+1x10 10x5"), (answered("main/small"), "0+1x15"),
                (calls(#"agent="ann",model="m""#, "done"), "0+1x15"),
            ], at: "14m"),
        RuleCase(
            title: "its only target is out for a moment", alert: "ProviderOutage",
            series: [(breaker("backup/large"), "0 0 0 2 0x9")], at: "4m"),
        RuleCase(
            title: "one target of two is out", alert: "ProviderOutage",
            series: [(breaker("main/large"), "2x5"), (breaker("main/small"), "1x5")], at: "5m"),
    ]

    private static func attempts(_ result: String) -> String {
        "reeve_model_attempts_total{target=\"main/large\",result=\"\(result)\"}"
    }

    private static let timeoutCases: [RuleCase] = [
        RuleCase(
            title: "half of the exchanges bring nothing in time", alert: "ModelTimeouts",
            series: [(attempts("ok"), "0+10x130"), (attempts("silent"), "0x120 0+10x10")], at: "125m",
            firing: [.init(labels: [("provider", "main")], shown: ["34.62%"])]),
        RuleCase(
            title: "it goes on for a while after the last of them", alert: "ModelTimeouts",
            series: [(attempts("ok"), "0+10x150"), (attempts("silent"), "0x120 0+10x5 50x25")], at: "135m",
            firing: [.init(labels: [("provider", "main")], shown: ["9.313%"])]),
        RuleCase(
            title: "three timeouts are no trend", alert: "ModelTimeouts",
            series: [(attempts("ok"), "0+10x130"), (attempts("silent"), "0x120 0+1x3 3x7")], at: "125m"),
    ]
}
