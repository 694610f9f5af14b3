import Kernel
import Telemetry

/// A rule's condition that holds, and has not for long enough.
public struct PendingAlert: Sendable {
    public let labels: LabelSet
    public var annotations: [String: String]
    /// What the expression gave at last; that of when it began where another replica evaluates it.
    public var value: Double?
    public let activeAt: Timestamp

    public init(labels: LabelSet, annotations: [String: String], value: Double? = nil, activeAt: Timestamp) {
        (self.labels, self.annotations, self.value, self.activeAt) = (labels, annotations, value, activeAt)
    }
}

/// Who knows what is about to fire.
public protocol PendingAlerts: Sendable {
    /// Each set of labels once, the oldest first.
    func pending(in transaction: Transaction) throws -> [PendingAlert]
}

extension AlertService: PendingAlerts {
    /// Pending alerts that are shown.
    static let pendingMax = 10_000
    /// What a replica waits for that did not look for so long is nobody's any more.
    static let replicaSilentAfter = Span.minutes(10)

    public func pending(in transaction: Transaction) throws -> [PendingAlert] {
        let since = now - Self.replicaSilentAfter
        var seen: Set<LabelSet> = []
        return try AlertRuleStateStore().pending(since: since, limit: Self.pendingMax, in: transaction)
            .filter { seen.insert($0.labels).inserted }
    }
}
