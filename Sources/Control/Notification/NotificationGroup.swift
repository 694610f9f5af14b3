import Kernel
import Telemetry

/// Alerts that a receiver is told of together, and what it was told of them at last.
struct NotificationGroup: Sendable {
    /// Groups of one receiver, at most: what would make more is not told, and is counted.
    static let groupsMax = 10_000

    let receiver: String
    let key: String
    let routeKey: String
    let labels: LabelSet
    let createdAt: Timestamp
    /// When it is looked at next.
    var nextAt: Timestamp
    /// When it was looked at before; `nil` for never.
    var flushedAt: Timestamp?
    /// When it was told of before.
    var noticedAt: Timestamp?
    /// Alerts that it was told of as firing: fingerprints, and the ids of the episodes.
    var told: [UInt64: String] = [:]
    /// Alerts whose end it was told of.
    var resolved: Set<UInt64> = []
    /// Attempts since the last that went well.
    var attempts = 0
    /// Counts changes: who changes it says which one was seen.
    var version: Int64 = 0
    var claimedUntil: Timestamp?

    var notice: AlertNotice? {
        noticedAt.map { AlertNotice(firing: Set(told.keys), resolved: resolved, at: $0) }
    }

    /// The same for each attempt to tell the same: a receiver that heard of it before a crash knows it again.
    var messageID: String {
        "msg_" + String(Digest.sha256("\(receiver)\n\(key)\n\(noticedAt?.microseconds ?? 0)").prefix(32))
    }
}

/// Something to be told now.
struct NotificationJob: Sendable {
    var group: NotificationGroup
    let reason: AlertNotice.Reason
    /// Those that fire first.
    let items: [AlertBundle.Item]
    /// What the group is once this was told.
    var after: NotificationGroup
    /// How long the group waits where it is refused for good.
    let groupInterval: Span
}

/// What a round of a receiver has to do.
struct NotificationPlan: Sendable {
    var added: [NotificationGroup] = []
    var removed: [NotificationGroup] = []
    /// Groups in which there is nothing to tell.
    var passed: [NotificationGroup] = []
    var jobs: [NotificationJob] = []
    /// Alerts that no group could be made for.
    var crowded = 0

    func isLonger(than max: Int) -> Bool { [added.count, removed.count, passed.count].contains { $0 > max } }

    /// At most so many changes of each kind. Groups that are told of are there already, or are among those added.
    func cut(to max: Int) -> NotificationPlan {
        guard isLonger(than: max) else { return self }
        var plan = self
        (plan.added, plan.removed) = (Array(added.prefix(max)), Array(removed.prefix(max)))
        plan.passed = Array(passed.prefix(max))
        return plan
    }
}
