import Kernel

/// How the tasks of one model are handed out: all of them, none but single probes, or a share that rises. Pure.
///
/// Beside what ``Ramp`` says it keeps probes to one at a time: a task takes a while until it asks its model.
struct TaskRamp: Sendable {
    /// How its targets stand, and how often they opened in all.
    struct Health: Sendable, Equatable {
        var targets: Ramp.Health
        var openings: Int
    }

    enum Admission: Sendable, Equatable {
        case tasks(Int)
        case probe
    }

    /// How long a probe's task has until another one goes: an agent that died, or that never asks, holds up nothing.
    static let probeSpan = Span.seconds(30)
    /// How long a probe counts whose claim was not kept yet: one that is undone holds up nothing either.
    static let claimSpan = Span.seconds(5)

    private struct Probe: Sendable {
        var begunAt: Timestamp
        var until: Timestamp
        let openings: Int
    }

    private(set) var ramp: Ramp
    private var probe: Probe?

    init(_ rules: Ramp.Rules = Ramp.Rules()) { ramp = Ramp(rules) }

    var mode: Ramp.Mode { ramp.mode }
    var share: Double { ramp.share }
    var isNormal: Bool { ramp.mode == .normal }

    var since: Timestamp? {
        switch ramp.mode {
        case .normal: nil
        case .outage(let since), .ramping(_, let since): since
        }
    }

    private var isOut: Bool { if case .outage = ramp.mode { true } else { false } }

    mutating func update(_ health: Health, at now: Timestamp) {
        ramp.update(health.targets, at: now)
        guard let probe else { return }
        // Its call is under way, or told how it went, or its time is over. A clock that was set back ends it too.
        let isOver = health.targets.probing == 0 || health.openings != probe.openings
        if !isOut || isOver || now >= probe.until || now < probe.begunAt { self.probe = nil }
    }

    /// Whether nothing may go at all now.
    func holdsAll(_ health: Health) -> Bool { isOut && (health.targets.probing == 0 || probe != nil) }

    /// Asks for so many tasks.
    mutating func admit(_ count: Int, _ health: Health, at now: Timestamp) -> Admission {
        update(health, at: now)
        guard !isNormal else { return .tasks(count) }
        guard !isOut else {
            guard count > 0, !holdsAll(health) else { return .tasks(0) }
            probe = Probe(begunAt: now, until: now + Self.claimSpan, openings: health.openings)
            return .probe
        }
        var admitted = 0
        for _ in 0..<max(0, count) where ramp.admit(health.targets, at: now) == .admit { admitted += 1 }
        return .tasks(admitted)
    }

    /// The claim of the probe was kept.
    mutating func probeLeft(at now: Timestamp) { probe?.until = now + Self.probeSpan }
}
