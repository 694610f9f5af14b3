import Kernel

/// One thing that somebody has to acknowledge, and how far its chain has come.
///
/// A wait counts from the moment on at which the steps before it were carried out: after hours in which nobody could
/// carry them out, each step still comes, in its order and with its wait, and none comes twice.
public struct Escalation: Sendable, Equatable, Identified {
    public static let idPrefix = "esc"
    /// How long the last ones who were told have, where a chain does not say.
    static let lastWait = Span.minutes(5)
    static let titleMax = 500
    static let severityMax = 50

    public enum State: String, Sendable, CaseIterable {
        case open
        case acknowledged
        /// All were told, and nobody acknowledged.
        case exhausted
        /// What it was about is over.
        case ended
    }

    public let id: Identifier<Escalation>
    public let incident: String
    public let title: String
    /// The worst so far.
    public internal(set) var severity: String
    public let path: OnCallPlan.Path
    public let chain: String
    /// As the chain was when it began: a plan that changes meanwhile is for the next one.
    let steps: [OnCallPlan.Step]
    let repeats: Int
    public let startedAt: Timestamp
    public internal(set) var state = State.open
    /// From 0.
    public internal(set) var round = 0
    /// The next step, from 0.
    public internal(set) var step = 0
    /// When the next step is due; `nil` where none is to come.
    public internal(set) var nextAt: Timestamp?
    public internal(set) var acknowledgedAt: Timestamp?
    public internal(set) var acknowledgedBy: String?
    public internal(set) var endedAt: Timestamp?

    /// Begins with a chain's first step, which is due at once.
    init(
        id: Identifier<Escalation>, incident: String, title: String, severity: String, path: OnCallPlan.Path,
        chain: OnCallPlan.Chain, at now: Timestamp
    ) {
        (self.id, self.incident, self.title, self.severity, self.path) = (id, incident, title, severity, path)
        (self.chain, repeats, startedAt, nextAt) = (chain.name, chain.repeats, now, now)
        if case .wait = chain.steps.last {
            steps = chain.steps
        } else {
            steps = chain.steps + [.wait(Self.lastWait)]
        }
    }

    /// From the store.
    init(
        id: Identifier<Escalation>, incident: String, title: String, severity: String, path: OnCallPlan.Path,
        chain: String, steps: [OnCallPlan.Step], repeats: Int, startedAt: Timestamp
    ) {
        (self.id, self.incident, self.title, self.severity, self.path) = (id, incident, title, severity, path)
        (self.chain, self.steps, self.repeats, self.startedAt) = (chain, steps, repeats, startedAt)
    }

    /// A reminder, which is over as it begins.
    static func reminder(
        id: Identifier<Escalation>, incident: String, title: String, path: OnCallPlan.Path, at now: Timestamp
    ) -> Escalation {
        var escalation = Escalation(
            id: id, incident: incident, title: title, severity: OnCallService.reminderSeverity, path: path,
            chain: OnCallService.reminderChain, steps: [], repeats: 0, startedAt: now)
        (escalation.state, escalation.endedAt) = (.ended, now)
        return escalation
    }

    /// Whether a severity is worse than another one; what is none that Reeve knows is worse than nothing.
    static func isWorse(_ severity: String, than other: String) -> Bool {
        guard let one = Incident.Severity(rawValue: severity) else { return false }
        guard let other = Incident.Severity(rawValue: other) else { return true }
        return one > other
    }

    /// Whether somebody may still acknowledge it.
    public var isWaiting: Bool { state == .open || state == .exhausted }

    /// Carries out what is due: the notices of the steps up to the next wait, whose end is then ``nextAt``.
    ///
    /// Where a step reaches nobody there is nobody to wait for: the next one comes at once, if the round has another.
    ///
    /// - Parameter recipients: The ways to whom a target means now, with the person.
    mutating func due(
        at now: Timestamp, _ recipients: (OnCallPlan.Target) -> [(person: String?, channel: OnCallChannel)]
    ) -> [OnCallNotice] {
        guard state == .open, let due = nextAt, due <= now else { return [] }
        var notices: [OnCallNotice] = []
        var hasReached = false
        while true {
            if step == steps.count {
                guard round < repeats else {
                    (state, nextAt) = (.exhausted, nil)
                    return notices
                }
                (round, step) = (round + 1, 0)
            }
            let index = step
            step += 1
            switch steps[index] {
            case .notify(let target):
                let found = recipients(target)
                hasReached = hasReached || !found.isEmpty
                notices += OnCallNotice.of(self, step: index, target, found, at: now)
            case .wait(let span):
                let hasMore = steps[step...].contains { if case .notify = $0 { true } else { false } }
                if !hasReached, hasMore { continue }
                nextAt = now + span
                return notices
            }
        }
    }

    /// Says whether it changed anything.
    mutating func acknowledge(by actor: String, at now: Timestamp) -> Bool {
        guard isWaiting else { return false }
        (state, nextAt, acknowledgedAt, acknowledgedBy) = (.acknowledged, nil, now, actor)
        return true
    }

    /// Says whether it changed anything.
    mutating func end(at now: Timestamp) -> Bool {
        guard state != .ended else { return false }
        (state, nextAt, endedAt) = (.ended, nil, now)
        return true
    }
}

/// One message to one way to somebody.
public struct OnCallNotice: Sendable, Equatable {
    public enum State: String, Sendable, CaseIterable {
        case pending
        case sent
        /// Tried as often as may be.
        case failed
        /// Somebody acknowledged first.
        case dropped
        /// Nobody was on call.
        case nobody
    }

    /// What it says.
    public enum Action: String, Sendable, CaseIterable {
        /// Somebody is to see to it.
        case page
        /// Somebody does.
        case acknowledge
        /// It is over.
        case resolve
    }

    /// The same however often it is sent: who gets it twice can tell by this. It names the escalation, the round, the
    /// step, and the way.
    public let key: String
    public let escalation: Identifier<Escalation>
    public let incident: String
    public let title: String
    public let severity: String
    public let path: OnCallPlan.Path
    public let round: Int
    public let step: Int
    /// Whom the step names: `schedule`, `person` or `receiver`, and its name.
    public let target: (kind: String, name: String)
    /// Who was meant; `nil` for a receiver that is nobody's own.
    public let person: String?
    /// `nil` where nobody was on call.
    public let channel: OnCallChannel?
    public let createdAt: Timestamp
    public var action = Action.page
    public internal(set) var state: State
    /// Times that it was tried, the present one among them.
    public internal(set) var attempts = 0
    /// What went wrong the last time.
    public internal(set) var error: String?
    public internal(set) var endedAt: Timestamp?

    fileprivate static func of(
        _ escalation: Escalation, step: Int, _ target: OnCallPlan.Target,
        _ found: [(person: String?, channel: OnCallChannel)], at now: Timestamp
    ) -> [OnCallNotice] {
        let ways: [(person: String?, channel: OnCallChannel?)] =
            found.isEmpty ? [(nil, nil)] : found.map { ($0.person, $0.channel) }
        return ways.enumerated().map { number, way in
            OnCallNotice(
                key: "\(escalation.id.text).\(escalation.round).\(step).\(number)", escalation: escalation.id,
                incident: escalation.incident, title: escalation.title, severity: escalation.severity,
                path: escalation.path, round: escalation.round, step: step, target: (target.kind, target.name),
                person: way.person, channel: way.channel, createdAt: now,
                state: way.channel == nil ? .nobody : .pending, endedAt: way.channel == nil ? now : nil)
        }
    }

    private static let reminderMark = ".reminder."
    /// Whether nothing has to be done at once.
    var isReminder: Bool { key.contains(Self.reminderMark) }

    /// One message to each of these ways.
    static func reminding(
        _ escalation: Escalation, _ ways: [(person: String?, channel: OnCallChannel)], at now: Timestamp
    ) -> [OnCallNotice] {
        ways.enumerated().map { number, way in
            OnCallNotice(
                key: "\(escalation.id.text)\(reminderMark)\(number)", escalation: escalation.id,
                incident: escalation.incident, title: escalation.title, severity: escalation.severity,
                path: escalation.path, round: 0, step: 0,
                target: (way.person == nil ? "receiver" : "person", way.person ?? way.channel.shown),
                person: way.person, channel: way.channel, createdAt: now, state: .pending)
        }
    }

    /// Says to one who was told what became of it.
    static func concluding(
        _ escalation: Escalation, _ action: Action, _ person: String?, _ channel: OnCallChannel, number: Int,
        at time: Timestamp
    ) -> OnCallNotice {
        OnCallNotice(
            key: "\(escalation.id.text).\(action.rawValue).\(number)", escalation: escalation.id,
            incident: escalation.incident, title: escalation.title, severity: escalation.severity,
            path: escalation.path, round: escalation.round, step: escalation.step,
            target: (channel.kind, channel.shown), person: person, channel: channel, createdAt: time, action: action,
            state: .pending)
    }

    public static func == (left: OnCallNotice, right: OnCallNotice) -> Bool {
        (left.key, left.state, left.attempts, left.error) == (right.key, right.state, right.attempts, right.error)
    }
}

/// What brings a notice to somebody.
public protocol OnCallNotifying: Sendable {
    /// Returns once it has arrived. After an error it comes again under the same ``OnCallNotice/key``, as it does where
    /// the server ended before it could write down that it had arrived.
    func notify(_ notice: OnCallNotice) async throws
    /// Whether what is told there stays open until it is told that somebody has it, or that it is over.
    func keepsOpen(_ channel: OnCallChannel) -> Bool
    /// Where to tell of what is nobody's; `nil` for nowhere.
    var general: OnCallChannel? { get }
}

extension OnCallNotifying {
    public var general: OnCallChannel? { nil }
    public func keepsOpen(_ channel: OnCallChannel) -> Bool { false }
}

/// Who hears that somebody has it, in the same transaction: incidents.
public protocol OnCallFollowing: Sendable {
    func acknowledged(incident: String, by principal: Principal, in transaction: Transaction) throws
}

/// For a Reeve whose notices have no way out: each is recorded as failed, with the reason.
public struct NoOnCallReceivers: OnCallNotifying {
    public init() {}

    public func notify(_ notice: OnCallNotice) async throws {
        throw Problem(
            .notFound, "There is no receiver \(notice.channel?.address ?? "").",
            hint: "Nothing of this Reeve sends notices of on-call.")
    }
}
