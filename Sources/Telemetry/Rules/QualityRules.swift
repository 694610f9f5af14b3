/// Models that still answer, and not as well as they did: more slowly, after more tries, or worse.
enum QualityRules {
    static let entry = ShippedRules.Entry(
        file: RuleFile(
            name: "quality",
            groups: [
                RuleGroup(
                    name: "reeve.quality.latency",
                    rules: [.recording(latency), .recording(usualLatency), .alert(modelSlow), .alert(breakerFlapping)]),
                RuleGroup(
                    name: "reeve.quality.scores", intervalSeconds: 300,
                    rules: [.recording(count), .recording(score), .recording(usualScore), .alert(answerQualityDrop)]),
            ]),
        cases: latencyCases + breakerCases + scoreCases)

    private static func p95(_ range: String) -> String {
        "histogram_quantile(0.95, sum by (le, model) "
            + "(rate(reeve_model_call_duration_seconds_bucket{status=\"done\"}\(range))))"
    }

    private static let latency = RecordingRule(
        name: "model:reeve_model_call_duration_seconds:p95_10m", expression: p95("[10m]"))
    private static let usualLatency = RecordingRule(
        name: "model:reeve_model_call_duration_seconds:p95_1d", expression: p95("[1d] offset 10m"))

    /// Below five seconds nobody waits who does not wait anyhow.
    static let modelSlow = AlertRule(
        name: "ModelSlow", severity: .warning, nature: .infrastructure, mode: .modelDegradation,
        expression: "\(latency.name) > 3 * \(usualLatency.name) and \(latency.name) > 5 and sum by (model) "
            + "(increase(reeve_model_call_duration_seconds_count{status=\"done\"}[10m])) > 20 and sum by (model) "
            + "(increase(reeve_model_call_duration_seconds_count{status=\"done\"}[1d] offset 10m)) > 200",
        holdsFor: "5m",
        summary: "Model {{ $labels.model }} takes much longer than usual",
        detail: "One in twenty of its calls of the last 10 minutes took more than {{ $value | humanizeDuration }}: "
            + "more than three times what it was on the day before, and more than 5 s.",
        action: "Look at the latency of its targets on the page of models; give another target the larger share.")

    static let breakerFlapping = AlertRule(
        name: "BreakerFlapping", severity: .warning, nature: .infrastructure, mode: .modelDegradation,
        expression: "sum by (model, target) (increase(reeve_model_breaker_openings_total[1h])) > 3.5",
        summary: "Target {{ $labels.target }} of {{ $labels.model }} fails again and again",
        detail: "Its breaker opened {{ $value | humanize }} times in the last hour: it comes back and does not last.",
        action: "Take the target out, or lower its share, until its provider says that it is well.")

    private static let count = RecordingRule(
        name: "model:reeve_gateway_judge_score:count6h",
        expression: "sum by (model) (increase(reeve_gateway_judge_score_count[6h]))")
    private static let score = RecordingRule(
        name: "model:reeve_gateway_judge_score:mean6h",
        expression: "sum by (model) (increase(reeve_gateway_judge_score_sum[6h])) / (\(count.name) > 0)")
    private static let usualScore = RecordingRule(
        name: "model:reeve_gateway_judge_score:mean7d",
        expression: "sum by (model) (increase(reeve_gateway_judge_score_sum[7d] offset 6h)) "
            + "/ (sum by (model) (increase(reeve_gateway_judge_score_count[7d] offset 6h)) > 100)")

    /// Scores lie between 0 and 1, so their deviation is 0.5 at most and that of a mean of n is 0.5 / √n: a drop of
    /// twice that is more than chance, whatever the judge.
    static let answerQualityDrop = AlertRule(
        name: "AnswerQualityDrop", severity: .warning, nature: .behavioural, mode: .silentDrift,
        expression: "\(usualScore.name) - \(score.name) > 0.1 "
            + "and \(usualScore.name) - \(score.name) > 1 / sqrt(\(count.name)) and \(count.name) > 30",
        summary: "Answers of model {{ $labels.model }} are worse than they were",
        detail:
            "Judges scored the answers of the last 6 hours {{ $value | printf \"%.2f\" }} lower than those of the 7 "
            + "days before, on a scale from 0 to 1.",
        action: "Run the golden set against the model. If the provider changed it, pin the version that you had.")
}

// MARK: Histories

extension QualityRules {
    private static func took(_ bound: String) -> String {
        "reeve_model_call_duration_seconds_bucket{model=\"m\",status=\"done\",le=\"\(bound)\"}"
    }

    private static let tookCount = #"reeve_model_call_duration_seconds_count{model="m",status="done"}"#

    private static let latencyCases: [RuleCase] = [
        RuleCase(
            title: "calls of ten seconds where one was usual", alert: "ModelSlow",
            series: [
                (took("1"), "0+10x120 1200x20"), (took("10"), "0+10x120 1200+5x20"), (took("20"), "0+10x140"),
                (took("+Inf"), "0+10x140"), (tookCount, "0+10x140"),
            ], at: "138m", firing: [.init(labels: [("model", "m")], shown: ["19s"])]),
        RuleCase(
            title: "calls of ten seconds, as always", alert: "ModelSlow",
            series: [
                (took("1"), "0x140"), (took("10"), "0+5x140"), (took("20"), "0+10x140"), (took("+Inf"), "0+10x140"),
                (tookCount, "0+10x140"),
            ], at: "138m"),
    ]

    private static let openings = #"reeve_model_breaker_openings_total{model="m",target="main/large"}"#

    private static let breakerCases: [RuleCase] = [
        RuleCase(
            title: "it opens every ten minutes", alert: "BreakerFlapping",
            series: [(openings, "0x9 1x9 2x9 3x9 4x9 5x9 6x9")],
            at: "65m", firing: [.init(labels: [("model", "m"), ("target", "main/large")], shown: ["6"])]),
        RuleCase(
            title: "it opened once", alert: "BreakerFlapping", series: [(openings, "0x9 1x59")], at: "65m"),
    ]

    private static func scored(_ what: String) -> String { "reeve_gateway_judge_score_\(what){model=\"m\"}" }

    /// Two answers in five minutes, for two days.
    private static let scoreCases: [RuleCase] = [
        RuleCase(
            title: "answers that were good are middling", alert: "AnswerQualityDrop", interval: "5m",
            series: [(scored("count"), "0+2x648"), (scored("sum"), "0+1.8x576 1036.8+1x72")], at: "54h",
            firing: [.init(labels: [("model", "m")], shown: ["0.41"])]),
        RuleCase(
            title: "answers that are as they were", alert: "AnswerQualityDrop", interval: "5m",
            series: [(scored("count"), "0+2x648"), (scored("sum"), "0+1.2x648")], at: "54h"),
        RuleCase(
            title: "a few bad answers after a rest", alert: "AnswerQualityDrop", interval: "5m",
            series: [
                (scored("count"), "0+2x576 1152x60 1153+1x11"), (scored("sum"), "0+1.8x576 1036.8x72"),
            ], at: "54h"),
    ]
}
