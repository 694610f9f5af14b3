import Kernel
import Synchronization

/// How far the tasks of each model are handed out, by what this process knows of the model's targets.
///
/// While all models are well a question costs two loads. A breaker that opens or closes raises ``BreakerSignal``, so
/// that the very next question sees an outage.
public final class DispatchRamps: Sendable {
    /// What a model's outage is told as, once it began and once it ended.
    public struct Change: Sendable, Equatable {
        public let model: String
        public let began: Bool
        public let at: Timestamp
        /// When the outage began that ended; `nil` where one began.
        public let since: Timestamp?
        /// What its targets are called.
        public let targets: [String]
    }

    /// How the dispatch of one model stands.
    public struct Standing: Sendable, Equatable {
        public enum State: String, Sendable { case normal, outage, ramping }

        public let model: String
        public let state: State
        public let share: Double
        public let since: Timestamp?
    }

    struct Entry: Sendable {
        let targets: [TargetState]
        var ramp: TaskRamp
        /// The outage that was told of and has not ended since.
        var toldSince: Timestamp?
        /// What waiting claims were last woken for.
        var woken = Woken.nothing
    }

    /// What is worth another look of a claim that waits.
    enum Woken: Sendable, Equatable {
        case nothing, probe, step(Int), normal
    }

    private struct State: Sendable {
        var entries: [String: Entry] = [:]
        /// Those that are not normal, or whose end is not told yet.
        var unwell: Set<String> = []
    }

    /// What was ordered beside what breakers say.
    public let orders = ModelOrders()
    let signal = BreakerSignal()
    private let world: World
    /// In the settings' order.
    private let models: [String]
    /// The model that a tier stands for, by the tier's name with its prefix; and the other way round.
    private let byTier: [String: String]
    private let tiers: [String: String]
    private let state = Mutex(State())
    private let isHolding = Atomic(false)
    /// The signal at the last look at all models.
    private let seen = Atomic(0)

    public init(_ settings: GatewaySettings, world: World) {
        self.world = world
        models = settings.every.map(\.name)
        var byTier: [String: String] = [:]
        for tier in ModelTier.allCases { byTier[tier.name] = settings.models(of: tier).first?.name }
        self.byTier = byTier
        tiers = Dictionary(byTier.map { ($0.value, $0.key) }) { first, _ in first }
    }

    /// The targets whose breakers decide, once they are made.
    func watch(_ model: ModelSettings, _ targets: [TargetState]) {
        var rules = Ramp.Rules()
        rules.period = model.breaker.ramp
        state.withLock { $0.entries[model.name] = Entry(targets: targets, ramp: TaskRamp(rules)) }
    }

    // MARK: Questions of claims

    /// Whether the tasks of any model are held back, wholly or in part.
    public var isHoldingBack: Bool {
        if seen.load(ordering: .acquiring) != signal.count { look() }
        return isHolding.load(ordering: .relaxed)
    }

    /// The models, and the tiers that stand for them, of which nothing may go now.
    public func heldBack() -> [String] {
        guard isHoldingBack else { return [] }
        let now = world.now
        return state.withLock { state in
            state.unwell.sorted().flatMap { name -> [String] in
                guard let health = Self.update(name, &state, at: now), let entry = state.entries[name],
                    entry.ramp.holdsAll(health)
                else { return [] }
                return [name] + [tiers[name]].compactMap(\.self)
            }
        }
    }

    /// Asks for so many tasks of a model or a tier: how many may go, and whether that is a probe.
    public func admit(_ name: String, count: Int) -> (count: Int, isProbe: Bool) {
        guard isHoldingBack else { return (count, false) }
        let now = world.now
        let model = byTier[name] ?? name
        return state.withLock { state in
            guard state.unwell.contains(model), let health = Self.update(model, &state, at: now) else {
                return (count, false)
            }
            switch state.entries[model]?.ramp.admit(count, health, at: now) {
            case .probe: return (1, true)
            case .tasks(let count): return (count, false)
            case nil: return (count, false)
            }
        }
    }

    /// The model's own name, where a tier's is given; and the tier that stands for it.
    public func model(_ name: String) -> String { byTier[name] ?? name }
    public func tier(of model: String) -> String? { tiers[model] }

    /// The probe's claim was kept.
    public func probeLeft(_ name: String) {
        let now = world.now
        state.withLock { $0.entries[byTier[name] ?? name]?.ramp.probeLeft(at: now) }
    }

    /// How a model's dispatch stands, or that of the model that a tier stands for.
    public func standing(of name: String) -> Standing? {
        let now = world.now
        let model = byTier[name] ?? name
        let mayBeUnwell = isHoldingBack
        return state.withLock { state in
            if mayBeUnwell, state.unwell.contains(model) { _ = Self.update(model, &state, at: now) }
            return state.entries[model].map { Self.standing(model, $0.ramp) }
        }
    }

    private static func standing(_ model: String, _ ramp: TaskRamp) -> Standing {
        let state: Standing.State =
            switch ramp.mode {
            case .normal: .normal
            case .outage: .outage
            case .ramping: .ramping
            }
        return Standing(model: model, state: state, share: ramp.share, since: ramp.since)
    }

    // MARK: Looking

    /// Looks at all models: what opened or closed since?
    private func look() {
        let now = world.now
        state.withLock { state in
            let count = signal.count
            for name in models where Self.update(name, &state, at: now) != nil {
                if state.entries[name]?.ramp.isNormal == false { state.unwell.insert(name) }
            }
            isHolding.store(!state.unwell.isEmpty, ordering: .relaxed)
            seen.store(count, ordering: .releasing)
        }
    }

    private static func update(_ name: String, _ state: inout State, at now: Timestamp) -> TaskRamp.Health? {
        guard let targets = state.entries[name]?.targets else { return nil }
        let health = TargetState.health(targets, at: now)
        state.entries[name]?.ramp.update(health, at: now)
        return health
    }

    /// By the clock: takes the next step of each ramp. Returns whether claims that wait should look again.
    public func takeSteps() -> Bool {
        guard isHoldingBack else { return false }
        let now = world.now
        return state.withLock { state in
            var isWorthALook = false
            for name in state.unwell {
                guard let health = Self.update(name, &state, at: now), var entry = state.entries[name] else { continue }
                let woken = Self.woken(entry.ramp, health)
                isWorthALook = isWorthALook || (woken != entry.woken && woken != .nothing)
                entry.woken = woken
                state.entries[name] = entry
                if entry.ramp.isNormal, entry.toldSince == nil { state.unwell.remove(name) }
            }
            isHolding.store(!state.unwell.isEmpty, ordering: .relaxed)
            return isWorthALook
        }
    }

    private static func woken(_ ramp: TaskRamp, _ health: TaskRamp.Health) -> Woken {
        switch ramp.mode {
        case .normal: .normal
        case .outage: ramp.holdsAll(health) ? .nothing : .probe
        case .ramping(let step, _): .step(step)
        }
    }

    // MARK: Orders

    /// Holds the breakers of these targets open, in all models that have them, until they are released.
    public func holdBreakers(of targets: Set<String>) { each(targets) { $0.hold(at: world.now) } }

    /// Lets single calls find out whether these targets are well.
    public func releaseBreakers(of targets: Set<String>) { each(targets) { $0.release(at: world.now) } }

    private func each(_ labels: Set<String>, _ body: (TargetState) -> Void) {
        guard !labels.isEmpty else { return }
        let all = state.withLock { state in models.compactMap { state.entries[$0]?.targets }.flatMap(\.self) }
        for target in all where labels.contains(target.target.label) { body(target) }
    }

    // MARK: Telling

    /// The outages that began and ended since they were told last.
    ///
    /// - Parameter tell: Where it fails, the same changes come again the next time.
    public func tellOutages(_ tell: ([Change]) async throws -> Void) async throws {
        guard isHoldingBack else { return }
        let now = world.now
        let changes = state.withLock { state in
            models.filter(state.unwell.contains).compactMap { name -> Change? in
                guard let entry = state.entries[name] else { return nil }
                let targets = entry.targets.map(\.target.label)
                switch (entry.ramp.mode, entry.toldSince) {
                case (.outage(let since), nil):
                    return Change(model: name, began: true, at: since, since: nil, targets: targets)
                case (.ramping(_, let at), let since?):
                    return Change(model: name, began: false, at: at, since: since, targets: targets)
                case (.normal, let since?):
                    return Change(model: name, began: false, at: now, since: since, targets: targets)
                default: return nil
                }
            }
        }
        guard !changes.isEmpty else { return }
        try await tell(changes)
        state.withLock { state in
            for change in changes { state.entries[change.model]?.toldSince = change.began ? change.at : nil }
        }
    }

    /// After a new start: these models were out when the last process ended. Their targets are asked by single calls
    /// until one answers, as they would have been without the start.
    public func resume(_ outages: [(model: String, since: Timestamp)]) {
        let now = world.now
        for (model, since) in outages {
            guard let targets = state.withLock({ $0.entries[model]?.targets }) else { continue }
            for target in targets { target.suspect(at: now) }
            state.withLock { state in
                _ = Self.update(model, &state, at: now)
                guard state.entries[model]?.ramp.isNormal == false else { return }
                state.entries[model]?.toldSince = since
                state.unwell.insert(model)
            }
        }
        look()
    }
}

/// Raised whenever any breaker opens or closes.
final class BreakerSignal: Sendable {
    private let changes = Atomic(1)

    var count: Int { changes.load(ordering: .acquiring) }
    func raise() { changes.add(1, ordering: .releasing) }
}

extension TargetState {
    /// How a model's targets stand together.
    static func health(_ targets: [TargetState], at now: Timestamp) -> TaskRamp.Health {
        var health = Ramp.Health(closed: 0, probing: 0, total: targets.count)
        var openings = 0
        for target in targets {
            let (isClosed, openUntil, count) = target.standing.withLock {
                ($0.breaker.isClosed, $0.breaker.openUntil(at: now), $0.breaker.openings)
            }
            openings += count
            if isClosed { health.closed += 1 } else if openUntil == nil { health.probing += 1 }
        }
        return TaskRamp.Health(targets: health, openings: openings)
    }

    /// Changes the breaker, and says so where it opened or closed by that.
    func changeBreaker(_ change: (inout Standing) -> Void) {
        let isOther = standing.withLock { standing in
            let wasClosed = standing.breaker.isClosed
            change(&standing)
            return standing.breaker.isClosed != wasClosed
        }
        if isOther { signal.raise() }
    }

    /// Left alone by order, or let go again: then asked by single calls until one answers.
    func hold(at now: Timestamp) { changeBreaker { $0.breaker.hold(at: now) } }
    func release(at now: Timestamp) { changeBreaker { $0.breaker.release(at: now) } }

    /// It was ill before this process began: asked by single calls until one answers.
    func suspect(at now: Timestamp) { changeBreaker { $0.breaker.suspect(at: now) } }
}
