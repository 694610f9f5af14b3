import Kernel

/// What is set for agents and their users, as this process knows it, for those who ask with each call: bundles, layers
/// and flags together, without a question to the store.
///
/// What this process changes it knows at once, what other replicas change within ``interval``: the event log says whose
/// values are read anew. Flags have their own book.
public final class CallerBook: Sendable {
    /// Agents at hand; those that come back are read again.
    static let agentsMax = 20_000
    /// Users of one agent at hand.
    static let usersMax = 1_000
    /// Versions of one agent at hand besides what it is to run with: a roll-out has one, its predecessors' tasks a few.
    static let versionsMax = 8
    /// After which an agent is read anew, whatever the events said.
    static let lifetime = Span.minutes(1)
    /// After which an agent is read again of which nothing could be read.
    static let patience = Span.seconds(1)
    static let interval = Span.milliseconds(200)

    /// The keys of a version that tasks run with. `version` is `nil` where the agent has no such version.
    private struct HeldVersion {
        let schema: ConfigSchema
        let version: BundleVersion?
    }

    private struct Held {
        var facts: ConfigSubject
        var schema: ConfigSchema
        var version: BundleVersion?
        /// By their names; what a version says never changes.
        var others: [String: HeldVersion] = [:]
        /// What operators set for the agent, by key.
        var own: [String: [ConfigLayerValue]] = [:]
        /// Those for whom anything is set: nobody else is looked for.
        var users: Set<String> = []
        /// With the agent's own.
        var ofUsers: [String: [String: [ConfigLayerValue]]] = [:]
        var until: Timestamp
        /// Whether the store could not be read.
        var isPartial = false

        func knows(_ bundle: String?) -> Bool {
            guard let bundle else { return true }
            return bundle == version?.version || others[bundle] != nil
        }
    }

    private struct State {
        var agents: [String: Held] = [:]
        /// Counts what was taken out, so that nothing is kept that was read before.
        var changes: Int64 = 0

        mutating func follow(_ event: Event) {
            guard let agent = event.agent, CallerBook.concerns(event.type) else { return }
            agents[agent] = nil
            changes += 1
        }
    }

    private let values: ConfigValueService
    private let flags: FlagService
    private let storage: any Storage
    private let world: World
    /// The type of the tasks that an agent works on; empty where it is not known.
    private let types: @Sendable (String) -> String
    private let state: LogFollower<State>

    public init(
        values: ConfigValueService, flags: FlagService, events: Events, storage: any Storage, world: World,
        types: @escaping @Sendable (String) -> String = { _ in "" }
    ) {
        self.values = values
        self.flags = flags
        self.storage = storage
        self.world = world
        self.types = types
        state = LogFollower(State(), events: events, storage: storage) { $0.follow($1) }
    }

    /// Whether an event says that what holds for its agent may be otherwise.
    static func concerns(_ type: String) -> Bool {
        type.hasPrefix("bundle.") || type == "agent.updated" || type == "agent.registered" || type == "agent.deleted"
    }

    // MARK: Asking

    /// From memory; `nil` where the store has to be asked first.
    public func known(_ subject: ConfigSubject, _ question: CallerRules.Question) -> CallerRules? {
        guard let held = held(subject, question.bundle) else { return nil }
        let edition = flags.book.edition
        var pins: [String: FlagPin] = [:]
        let keeps = subject.session != nil && edition.hasPinnedConfiguration
        if keeps, let session = subject.session {
            guard let known = flags.pins.known(session) else { return nil }
            pins = known
        }
        var sight = sight(edition, subject, held, pins)
        var rules = rules(question, subject, held, &sight)
        rules.isPartial = held.isPartial
        if keeps, !sight.unpinned.isEmpty { return nil }
        count(sight)
        return rules
    }

    /// What can be found. Where the store cannot be read, flags alone are asked, and what a session began with is what
    /// it gets now; ``CallerRules/isPartial`` says so.
    public func find(_ subject: ConfigSubject, _ question: CallerRules.Question) async -> CallerRules {
        let held = await read(subject, question.bundle)
        let edition = flags.book.edition
        var (pins, isPartial): ([String: FlagPin], Bool) = ([:], held.isPartial)
        if let session = subject.session, edition.hasPinnedConfiguration {
            do { pins = try await flags.pins.pins(of: session) } catch { isPartial = true }
        }
        var sight = sight(edition, subject, held, pins)
        var rules = rules(question, subject, held, &sight)
        let new = sight.unpinned
        if let session = subject.session, !new.isEmpty, !isPartial {
            do {
                // Another replica may have been quicker: what it kept holds.
                pins = try await flags.pins.pin(new, to: session)
                sight = self.sight(edition, subject, held, pins)
                rules = self.rules(question, subject, held, &sight)
            } catch { isPartial = true }
        }
        count(sight)
        rules.isPartial = isPartial
        return rules
    }

    /// Whether the agent may keep what it learns, for whoever keeps it.
    public func memory(_ subject: ConfigSubject) async -> CallerRules {
        let question = CallerRules.Question(model: nil, isModel: false)
        if let known = known(subject, question) { return known }
        return await find(subject, question)
    }

    private func sight(
        _ edition: FlagBook.Edition, _ subject: ConfigSubject, _ held: Held, _ pins: [String: FlagPin]
    ) -> FlagSight {
        var about = held.facts
        (about.user, about.session) = (subject.user, subject.session)
        if about.type == nil, let agent = subject.agent, !edition.configured.isEmpty {
            let type = types(agent)
            about.type = type.isEmpty ? nil : type
        }
        // All parts of it are bounded where they come in, so it cannot be refused.
        return FlagSight(edition, (try? FlagContext(about)) ?? .empty, pins: pins, at: world.now)
    }

    private func rules(
        _ question: CallerRules.Question, _ subject: ConfigSubject, _ held: Held, _ sight: inout FlagSight
    ) -> CallerRules {
        let above = subject.user.flatMap { held.ofUsers[$0] } ?? held.own
        // What cannot be read, or is not there, leaves what the agent is to run with.
        guard let bundle = question.bundle, let other = held.others[bundle], other.version != nil else {
            return CallerRules(question, held.schema, version: held.version, above: above, &sight)
        }
        return CallerRules(question, other.schema, version: other.version, above: above, &sight)
    }

    private func count(_ sight: FlagSight) {
        flags.meters.count(sight.results.map { ($0.key, $0.value) })
    }

    // MARK: What is held

    private static let nobody = ConfigSchema(nil)

    private func held(_ subject: ConfigSubject, _ bundle: String?) -> Held? {
        guard let agent = subject.agent else {
            return Held(facts: ConfigSubject(agent: nil), schema: Self.nobody, until: world.now)
        }
        let now = world.now
        return state.withState { state in
            guard let held = state.agents[agent], held.until > now else { return nil }
            // Read, but not of this user.
            if let user = subject.user, held.users.contains(user), held.ofUsers[user] == nil { return nil }
            return held.isPartial || held.knows(bundle) ? held : nil
        }
    }

    private func read(_ subject: ConfigSubject, _ bundle: String?) async -> Held {
        guard let agent = subject.agent else { return Held(facts: subject, schema: Self.nobody, until: world.now) }
        let (changes, old) = state.withState { ($0.changes, $0.agents[agent]) }
        var held: Held
        do {
            held = try await fetch(agent, user: subject.user, bundle)
        } catch {
            // What was known last is nearer to the truth than nothing.
            held = old ?? Held(facts: ConfigSubject(agent: agent), schema: Self.nobody, until: world.now)
            held.until = world.now + Self.patience
            held.isPartial = true
        }
        let found = held
        state.withState { state in
            guard state.changes == changes || found.isPartial else { return }
            if state.agents.count >= Self.agentsMax, state.agents[agent] == nil { state.agents = [:] }
            state.agents[agent] = found
        }
        return found
    }

    /// `nil` where there is no such agent, or it has no such version.
    private func base(_ agent: String, version: String? = nil) async throws -> ConfigValueService.Base? {
        do {
            return try await values.base(agent, version: version, storage)
        } catch let problem as Problem where problem.code == .notFound {
            return nil
        }
    }

    private func fetch(_ agent: String, user: String?, _ bundle: String?) async throws -> Held {
        let now = world.now
        // A key may be bound to an agent that nobody has registered.
        guard let base = try await base(agent) else {
            let others = bundle.map { [$0: HeldVersion(schema: Self.nobody, version: nil)] } ?? [:]
            return Held(
                facts: ConfigSubject(agent: agent), schema: Self.nobody, others: others, until: now + Self.lifetime)
        }
        var held = Held(
            facts: base.facts, schema: base.schema, version: base.version, until: now + Self.lifetime)
        let (before, others) = state.withState { state in
            let old = state.agents[agent]
            return (old.flatMap { $0.until > now && !$0.isPartial ? $0.ofUsers : nil } ?? [:], old?.others ?? [:])
        }
        if others.count < Self.versionsMax { held.others = others }
        if let bundle, !held.knows(bundle) {
            let other = try await self.base(agent, version: bundle)
            held.others[bundle] = HeldVersion(schema: other?.schema ?? Self.nobody, version: other?.version)
        }
        let (own, users, ofUser) = try await storage.read { [values] transaction in
            let users = try values.store.users(
                of: agent, limit: ConfigValueService.valuesMax, in: transaction)
            let isKnown = user.map { users.contains($0) } ?? false
            return (
                try values.above(agent, user: nil, in: transaction), users,
                isKnown ? try values.above(agent, user: user, in: transaction) : nil
            )
        }
        (held.own, held.users) = (own, users)
        // Those of other users were read before this agent's values changed, or they would not be here any more.
        if before.count < Self.usersMax { held.ofUsers = before }
        if let user, let ofUser { held.ofUsers[user] = ofUser }
        return held
    }

    // MARK: Following

    /// What was read before the log is followed may be old.
    @Sendable private static func forget(_ state: inout State) {
        state.agents = [:]
        state.changes += 1
    }

    public var loops: [Loop] { [Loop("config.callers", every: Self.interval) { try await self.look() }] }

    /// Follows the log to its end, from the store where this process does not have it at hand.
    public func look() async throws {
        try await state.look { _ in Self.forget }
    }
}

/// Whether something may be kept in the memory of agents, and why not.
public struct MemoryPermission: Sendable {
    public let isAllowed: Bool
    /// The value that decided; `nil` where nobody said anything, or it is not known.
    public let value: EffectiveValue?
    /// For whoever is refused.
    public let words: String
}

/// What whoever keeps agents' memory asks before each write, besides what containments hold (``MemoryDoor``).
public protocol MemoryGuard: Sendable {
    func permission(agent: String, user: String?, session: String?) async -> MemoryPermission
}

extension CallerBook: MemoryGuard {
    /// `memory.write` for the agent, its user and its session. Where that cannot be found out, nothing is kept: what
    /// was not written can be written later, and what was written by mistake is read for long.
    public func permission(agent: String, user: String?, session: String?) async -> MemoryPermission {
        let rules = await memory(ConfigSubject(agent: agent, user: user, session: session))
        guard !rules.isPartial else {
            return MemoryPermission(
                isAllowed: false, value: nil,
                words: "What is set for the agent \"\(agent)\" cannot be read now, so nothing is written. Try again.")
        }
        let isAllowed = rules.memory?.winner.value.bool ?? true
        let flag = rules.memory?.winner.flag.map { " by the flag \"\($0)\"" } ?? ""
        return MemoryPermission(
            isAllowed: isAllowed, value: rules.memory,
            words: isAllowed
                ? "It may be written."
                : "\(CallerRules.memoryWrite) is false for the agent \"\(agent)\"\(flag): nothing was written.")
    }
}
