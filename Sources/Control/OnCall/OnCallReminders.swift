import Kernel

/// Reminders: said once, by the ways of the people whom they concern, and tried again until they arrived.
///
/// A reminder is an escalation that was over when it began. So it is sent, kept, listed and forgotten as any other.
extension OnCallService {
    /// What stands for the chain of a reminder.
    static let reminderChain = "reminder:postmortem"
    /// How bad a reminder is: nobody is woken.
    static let reminderSeverity = "info"

    /// Reminds who answered for an incident: whoever acknowledged it, else whoever was told of it last, else whom the
    /// first step of its chain means now. Without any of them the receiver hears of it that hears of all alerts.
    public func remind(
        incident: String, title: String, severity: String, path: OnCallPlan.Path, in transaction: Transaction
    ) throws {
        let now = world.now
        let ways = try recipients(ofIncident: incident, severity: severity, path: path, in: transaction)
        guard !ways.isEmpty else { return }
        let escalation = Escalation.reminder(
            id: Identifier(world), incident: incident, title: String(title.prefix(Escalation.titleMax)), path: path,
            at: now)
        try store.insert(escalation, in: transaction)
        for notice in OnCallNotice.reminding(escalation, ways, at: now) {
            try store.insert(notice, in: transaction)
        }
        let people = Set(ways.compactMap { $0.person ?? $0.channel.shown }).sorted()
        try tell("oncall.reminded", escalation, [.init(name: "to", value: .list(people))], in: transaction)
    }

    private func recipients(
        ofIncident incident: String, severity: String, path: OnCallPlan.Path, in transaction: Transaction
    ) throws -> [(person: String?, channel: OnCallChannel)] {
        let owners = [
            try store.acknowledger(ofIncident: incident, in: transaction).map(Self.name),
            try store.lastTold(ofIncident: incident, in: transaction),
        ]
        if let owner = owners.compactMap(\.self).lazy.compactMap({ plan?.person($0) }).first {
            return owner.channels.map { (owner.name, $0) }
        }
        let now = world.now
        let made = try overrides(in: now..<now + Span(microseconds: 1), transaction)
        for step in plan?.chain(for: path, severity: severity)?.steps ?? [] {
            guard case .notify(let target) = step,
                let found = plan?.recipients(of: target, at: now, overrides: made), !found.isEmpty
            else { continue }
            return found
        }
        return notifier.general.map { [(nil, $0)] } ?? []
    }

    /// Of `operator:ada` the name that a person has in the file.
    private static func name(_ actor: String) -> String {
        actor.split(separator: ":", maxSplits: 1).last.map(String.init) ?? actor
    }

    /// What was not sent is not sent any more, and who keeps a reminder open hears that it is done.
    public func remindNoMore(incident: String, in transaction: Transaction) throws {
        for escalation in try store.reminders(ofIncident: incident, limit: Self.remindersMax, in: transaction) {
            try conclude(escalation, .resolve, in: transaction)
        }
    }

    /// Reminders of one incident that are concluded.
    private static let remindersMax = 20
}
