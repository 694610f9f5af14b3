import Kernel
import Telemetry

/// An event as PagerDuty's Events API v2 takes it: something begins, somebody looks after it, or it is over.
struct AlertEvent: Sendable {
    /// An event that nobody resolves counts as over after so long.
    static let lastsAtMost = Span.hours(30 * 24)
    static let dedupKeyMax = 255
    static let summaryMax = 1_024

    enum Action: String, Sendable, CaseIterable {
        case trigger, acknowledge, resolve
    }

    enum Severity: String, Sendable, CaseIterable {
        case critical, error, warning, info
    }

    let action: Action
    /// `nil` where one is to be made.
    let dedupKey: String?
    /// Without `dedup_key`; none where nothing begins.
    var labels: [(String, String)] = []
    var annotations: [String: String] = [:]
    var startsAt: Timestamp?
    var link = ""

    /// Reads the body of a request.
    ///
    /// - Throws: ``Problem`` `invalid`.
    init(_ fields: Fields) throws {
        action = try fields.choice("event_action", Action.self)
        let key = try fields.optionalString("dedup_key", max: Self.dedupKeyMax)
        dedupKey = key.flatMap { $0.isEmpty ? nil : $0 }
        guard action == .trigger else {
            guard dedupKey != nil else { throw Problem.invalid("dedup_key", "it is missing") }
            return
        }
        guard let payload = try fields.optionalFields("payload") else {
            throw Problem.invalid("payload", "it is missing")
        }
        let summary = try payload.string("summary", max: Alert.annotationMax)
        let source = try payload.string("source", max: Alert.labelMax)
        let severity = try payload.choice("severity", Severity.self)
        guard !summary.isEmpty, !source.isEmpty else {
            throw Problem.invalid("payload", "summary and source are expected")
        }
        labels = [("severity", severity.rawValue), ("source", source)]
        for name in ["component", "group", "class"] {
            if let text = try payload.optionalString(name, max: Alert.labelMax) { labels.append((name, text)) }
        }
        let kind = try payload.optionalString("class", max: Alert.labelMax) ?? ""
        labels.append(("alertname", kind.isEmpty ? "Event" : kind))
        annotations["summary"] = String(summary.prefix(Self.summaryMax))
        if let details = payload.value("custom_details") {
            annotations["details"] = String((details.string ?? details.text).prefix(Alert.annotationMax))
        }
        // PagerDuty takes times without a zone as well; what cannot be read is the time at which it came.
        if let text = try payload.optionalString("timestamp", max: 100) { startsAt = Timestamp(rfc3339: text) }
        _ = try fields.optionalString("client", max: Alert.annotationMax)
        link = String((try fields.optionalString("client_url", max: Alert.annotationMax) ?? "").prefix(2_048))
    }
}
