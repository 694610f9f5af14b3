import Kernel

/// What came of a drill.
public struct DrillReport: Sendable {
    public let drill: String
    public var alert = ""
    public var incident = ""
    /// Seconds from the fault on within which each step is to be reached.
    public var bounds: (detect: Int64, contain: Int64, recover: Int64) = (0, 0, 0)
    /// Seconds from the fault on; `nil` where it was not reached.
    public var detectedAfter: Double?
    public var containedAfter: Double?
    /// Who let act what contained it; `nil` where nothing did.
    public var containedBy: Decider?
    public var recoveredAfter: Double?
    public var hasPostmortem = false
    public var faulty: [String] = []
    public var healthy: [String] = []
    /// Agents that were touched, of all that there are but the faulty ones; and queues and budgets of others.
    public var touched: [String] = []

    /// Whether its seconds are a clock's that was moved on.
    public var isVirtual = false

    /// Who says yes to what is done.
    public enum Decider: String, Sendable {
        /// Reeve, as the settings or the drill let it.
        case policy
        /// A person, in whose stead the drill's command answers.
        case person
    }

    init(drill: String) { self.drill = drill }

    init(drill: String, terms: DrillTerms, prefix: String, faulty: [String], healthy: [String]) {
        self.drill = drill
        (alert, bounds, isVirtual) = (terms.alert, terms.bounds, terms.isVirtual)
        self.faulty = faulty.map { prefix + $0 }
        self.healthy = healthy.map { prefix + $0 }
    }

    /// Whether each step was reached in its time, and nobody else was touched.
    public var isPassed: Bool {
        func isIn(_ seconds: Double?, _ bound: Int64) -> Bool { seconds.map { $0 <= Double(bound) } ?? false }
        return isIn(detectedAfter, bounds.detect) && isIn(containedAfter, bounds.contain)
            && isIn(recoveredAfter, bounds.recover) && hasPostmortem && touched.isEmpty
    }
}

extension DrillReport: JSONConvertible {
    public var json: JSONValue {
        func seconds(_ value: Double?) -> JSONValue { value.map { .double(($0 * 1_000).rounded() / 1_000) } ?? .null }
        return [
            "drill": .string(drill), "alert": .string(alert), "incident": .string(incident),
            "bounds": [
                "detectSeconds": .int(bounds.detect), "containSeconds": .int(bounds.contain),
                "recoverSeconds": .int(bounds.recover),
            ],
            "detected": .bool(detectedAfter != nil), "detectedAfterSeconds": seconds(detectedAfter),
            "contained": .bool(containedAfter != nil), "containedAfterSeconds": seconds(containedAfter),
            "containedBy": .of(containedBy?.rawValue),
            "recovered": .bool(recoveredAfter != nil), "recoveredAfterSeconds": seconds(recoveredAfter),
            "postmortem": .bool(hasPostmortem),
            "agents": ["faulty": .list(faulty), "healthy": .list(healthy), "touched": .list(touched)],
            "virtualTime": .bool(isVirtual),
        ]
    }
}
