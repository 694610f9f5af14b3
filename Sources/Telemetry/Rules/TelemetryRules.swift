/// What watches the watching.
enum TelemetryRules {
    static let entry = ShippedRules.Entry(
        file: RuleFile(
            name: "telemetry",
            groups: [RuleGroup(name: "reeve.telemetry", rules: [.alert(loss), .alert(unkept), .alert(watchdog)])]),
        cases: cases)

    private static let lost =
        #"sum by (signal, outcome) (increase(reeve_telemetry_records_total{outcome=~"rejected|shed"}[5m]))"#

    /// Now and then a record cannot be read, or a burst is shed; what outlasts the window is no accident.
    static let loss = AlertRule(
        name: "TelemetryLoss", severity: .warning, nature: .infrastructure,
        expression: "\(lost) > 3 and \(lost) / on (signal) group_left () "
            + "sum by (signal) (increase(reeve_telemetry_records_total[5m])) > 0.01",
        holdsFor: "5m",
        summary: "Telemetry is lost: {{ $labels.signal }} {{ $labels.outcome }}",
        detail: "{{ $value | humanize }} records of the last 5 minutes were {{ $labels.outcome }}, more than one in a "
            + "hundred, and it goes on. SDKs do not say so to anybody.",
        action: "The ledger of telemetry names the reasons: records that cannot be read are the sender's to mend, "
            + "shed "
            + "ones want more room.")

    static let unkept = AlertRule(
        name: "TracesNotKept", severity: .warning, nature: .infrastructure,
        expression: "increase(reeve_telemetry_unkept_traces_total[1d]) > 0",
        summary: "Traces with an error are not kept for longer",
        detail: "{{ $value | humanize }} traces of the last day went with their day's file: kept traces take all of "
            + "telemetry.keptTracesBytes.",
        action: "Raise telemetry.keptTracesBytes, lower telemetry.keptTracesDays, or label the traces that matter: "
            + "those are kept whatever there is room for.")

    /// Always fires. Whoever hears nothing of it knows that the way of alerts is broken.
    static let watchdog = AlertRule(
        name: "Watchdog", severity: .none, nature: .infrastructure, expression: "vector(1)",
        summary: "Alerts come through",
        detail: "This alert always fires. Send it to something that calls when it stops (a dead man's switch).",
        action: "Nothing.")

    private static func records(_ outcome: String) -> String {
        "reeve_telemetry_records_total{signal=\"traces\",outcome=\"\(outcome)\"}"
    }

    private static let cases: [RuleCase] = [
        RuleCase(
            title: "records are rejected", alert: "TelemetryLoss",
            series: [(records("stored"), "0+10x20"), (records("rejected"), "0+1x20")], at: "15m",
            firing: [.init(labels: [("signal", "traces"), ("outcome", "rejected")], shown: ["5"])]),
        RuleCase(
            title: "a batch is rejected, and a burst is shed", alert: "TelemetryLoss",
            series: [
                (records("stored"), "0+10x20"), (records("rejected"), "0x8 90x12"), (records("shed"), "0x8 500x12"),
            ], at: "13m"),
        RuleCase(
            title: "all is kept", alert: "TelemetryLoss",
            series: [(records("stored"), "0+10x20"), (records("rejected"), "3x20"), (records("duplicate"), "0+1x20")],
            at: "15m"),
        RuleCase(
            title: "there was no room for some", alert: "TracesNotKept",
            series: [("reeve_telemetry_unkept_traces_total", "0x60 12x60")], at: "2h",
            firing: [.init(labels: [], shown: ["12"])]),
        RuleCase(
            title: "all that failed were kept", alert: "TracesNotKept",
            series: [("reeve_telemetry_unkept_traces_total", "3x120")], at: "2h"),
        RuleCase(title: "it always fires", alert: "Watchdog", series: [], at: "0m", firing: [.init()]),
        RuleCase(title: "it does so at any time", alert: "Watchdog", series: [], at: "100h", firing: [.init()]),
    ]
}
