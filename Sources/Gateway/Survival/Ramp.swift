import Kernel

/// How much of a model's work is let through after an outage. When no target of a model takes calls there is an
/// outage: nothing is dispatched that needs it, and no attempt of a task is spent. When one is well again the share of
/// work that is let through rises in steps, so that the herd that gathered does not fell it again. Pure.
struct Ramp: Sendable {
    struct Rules: Sendable, Equatable {
        /// The shares of work, one after the other; the end of the last one is normal operation.
        var shares = [0.1, 0.25, 0.5]
        /// How long all of them take together, in equal parts.
        var period = Span.seconds(60)
    }

    enum Mode: Sendable, Equatable {
        case normal
        case outage(since: Timestamp)
        /// `step` counts from 0 up to the last of ``Rules/shares``.
        case ramping(step: Int, since: Timestamp)
    }

    /// How the targets of a model stand.
    struct Health: Sendable, Equatable {
        /// Targets whose breaker is closed.
        var closed: Int
        /// Targets that would take a probe now.
        var probing: Int
        var total: Int
    }

    enum Admission: Sendable, Equatable {
        case admit
        /// One call may go, to find out whether a target is well again.
        case probe
        /// Not now; ask again in a while.
        case hold(Span)
    }

    static let sharesMax = 16
    /// While there is an outage, work asks again so often.
    static let outageRetry = Span.seconds(5)

    let rules: Rules
    private(set) var mode = Mode.normal
    /// Work that the share has granted and nobody has taken yet: 1 is one call.
    private var credit = 0.0

    init(_ rules: Rules = Rules()) {
        var rules = rules
        rules.shares = rules.shares.prefix(Self.sharesMax).filter { $0 > 0 && $0 < 1 }
        self.rules = rules
    }

    /// Tells how the targets stand; to be called whenever a breaker changes, and before a question.
    mutating func update(_ health: Health, at now: Timestamp) {
        switch mode {
        case .normal: if health.total > 0, health.closed == 0 { mode = .outage(since: now) }
        case .outage: if health.closed > 0 { begin(at: now) }
        case .ramping(_, let since):
            if health.total > 0, health.closed == 0 {
                mode = .outage(since: now)
            } else {
                mode = step(since: since, at: now)
            }
        }
    }

    private mutating func begin(at now: Timestamp) {
        mode = rules.shares.isEmpty || rules.period <= .zero ? .normal : .ramping(step: 0, since: now)
        // The first call after an outage is let through, whatever the share.
        credit = 1 - share
    }

    private var stepLength: Span {
        Span(microseconds: max(1, rules.period.microseconds / Int64(max(1, rules.shares.count))))
    }

    private func step(since: Timestamp, at now: Timestamp) -> Mode {
        // A clock that was set back begins the ramp anew.
        guard now >= since else { return .ramping(step: 0, since: now) }
        let step = (now - since).microseconds / stepLength.microseconds
        return step < Int64(rules.shares.count) ? .ramping(step: Int(step), since: since) : .normal
    }

    /// The share of work that is let through now: 0 in an outage, 1 in normal operation.
    var share: Double {
        switch mode {
        case .normal: 1
        case .outage: 0
        case .ramping(let step, _): rules.shares[min(step, rules.shares.count - 1)]
        }
    }

    /// Asks for one piece of work. Of n questions during a step, share × n are admitted, evenly spread.
    mutating func admit(_ health: Health, at now: Timestamp) -> Admission {
        update(health, at: now)
        switch mode {
        case .normal: return .admit
        case .outage: return health.probing > 0 ? .probe : .hold(Self.outageRetry)
        case .ramping:
            credit += share
            guard credit >= 1 - 1e-9 else { return .hold(min(Self.outageRetry, stepLength)) }
            credit -= 1
            return .admit
        }
    }
}
