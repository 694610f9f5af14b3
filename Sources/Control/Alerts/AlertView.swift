import Kernel
import Telemetry

/// An alert as people and programs see it.
struct AlertView: Sendable {
    enum State: String, Sendable, CaseIterable {
        /// Its condition holds, but not for long enough yet.
        case pending
        case firing
        /// It fires, and nobody is told.
        case suppressed
        case resolved
    }

    let state: State
    let labels: LabelSet
    let annotations: [String: String]
    let value: Double?
    let activeAt: Timestamp
    /// The one that fires or fired; `nil` for one that is pending.
    let alert: Alert?
    var quiet = AlertStanding()

    init(_ alert: Alert, _ quiet: AlertStanding = AlertStanding()) {
        state = alert.isFiring ? quiet.isSuppressed ? .suppressed : .firing : .resolved
        (labels, annotations, value) = (alert.labels, alert.annotations, alert.value)
        activeAt = alert.activeAt
        self.alert = alert
        self.quiet = quiet
    }

    init(_ pending: PendingAlert) {
        state = .pending
        (labels, annotations, value) = (pending.labels, pending.annotations, pending.value)
        activeAt = pending.activeAt
        alert = nil
    }
}

/// Who knows which alerts are kept quiet.
public protocol AlertQuieting: Sendable {
    /// - Returns: Those that are quiet among alerts that fire.
    func quiet(among firing: [Alert], in transaction: Transaction) throws -> [Identifier<Alert>: AlertStanding]
}

extension AlertView: JSONConvertible {
    /// JSON has no word for infinities and for what is no number.
    static func json(_ value: Double?) -> JSONValue {
        value.map { $0.isFinite ? .double($0) : .string("\($0)") } ?? .null
    }

    var json: JSONValue {
        var object = JSONObject()
        object["id"] = .of(alert?.id)
        object["fingerprint"] = .string(labels.fingerprintText)
        object["labels"] = labels.object
        object["annotations"] = annotations.sortedObject
        object["state"] = .string(state.rawValue)
        object["origin"] = .string((alert?.origin ?? .rule).rawValue)
        object["activeAt"] = activeAt.json
        object["startsAt"] = .of(alert?.startsAt)
        object["endsAt"] = .of(alert?.endsAt)
        object["value"] = Self.json(value)
        object["incident"] = .of(alert?.incidentID)
        object["silencedBy"] = .list(quiet.silencedBy)
        object["inhibitedBy"] = .list(quiet.inhibitedBy)
        object["because"] = .list(quiet.because)
        object["generatorURL"] = .string(alert?.generatorURL ?? "")
        return .object(object)
    }
}
