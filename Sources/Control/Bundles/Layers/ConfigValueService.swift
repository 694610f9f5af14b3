import Kernel

/// The rules of layers: what holds for an agent and a user, where it comes from, and what may be set.
public struct ConfigValueService: Sendable {
    /// Values that are set for one agent and its users.
    public static let valuesMax: Int64 = 10_000
    public static let valueBytesMax = 16 << 10
    public static let userCharactersMax = 200
    public static let reasonMax = 500

    let store = ConfigValueStore()
    let bundles: BundleService
    let flags: any FlagValues
    private let events: Events
    private let audit: AuditService
    private let world: World

    public init(
        bundles: BundleService, flags: any FlagValues = NoFlagValues(), events: Events, audit: AuditService,
        world: World
    ) {
        self.bundles = bundles
        self.flags = flags
        self.events = events
        self.audit = audit
        self.world = world
    }

    /// An agent's keys as its bundle has them now.
    struct Base: Sendable {
        let agent: String
        let version: BundleVersion?
        /// Counts what was set for the agent.
        let revision: Int64
        let schema: ConfigSchema
        /// What flags may ask about it.
        var facts: ConfigSubject

        func subject(user: String?, session: String?) -> ConfigSubject {
            var subject = facts
            (subject.user, subject.session) = (user, session)
            return subject
        }
    }

    /// Read before the transaction, as the bundle's contents are files.
    ///
    /// - Parameter named: One of the agent's versions; what it is to run with, if not given.
    func base(_ agent: String, version named: String? = nil, _ storage: any Storage) async throws -> Base {
        let (version, revision, facts) = try await storage.read { transaction -> (BundleVersion?, Int64, Agent) in
            guard let known = try bundles.agents.agent(named: agent, in: transaction) else {
                throw Problem.notFound("agent", agent)
            }
            if let named {
                return (try bundles.version(named, of: agent, in: transaction), known.configRevision, known)
            }
            guard let desired = known.configDesired,
                let version = try bundles.store.version(desired, of: agent, in: transaction),
                version.version == desired
            else { return (nil, known.configRevision, known) }
            return (version, known.configRevision, known)
        }
        let subject = ConfigSubject(facts)
        guard let version else {
            return Base(agent: agent, version: nil, revision: revision, schema: ConfigSchema(nil), facts: subject)
        }
        let bundle = try await bundles.bundle(version.version, storage)
        let manifest = BundleManifest(bundle[AgentBundle.manifestPath]?.content ?? "")
        return Base(
            agent: agent, version: version, revision: revision,
            schema: ConfigSchema(manifest, toolNames: BundleTool.names(manifest, bundle)), facts: subject)
    }

    /// What holds of one key, and why.
    ///
    /// - Parameter session: One whose pinned flags hold; it keeps nothing new by that.
    func explain(
        _ key: String, _ base: Base, user: String?, session: String? = nil, in transaction: Transaction
    ) throws -> EffectiveValue {
        let rule = try base.schema.rule(key)
        let set = try store.values(of: key, agent: base.agent, user: user, in: transaction)
        let pins = try session.map { try flags.pins(of: $0, in: transaction) } ?? [:]
        return effective(rule, base, set[key] ?? [], base.subject(user: user, session: session), pins)
    }

    /// What holds of every key.
    func all(
        _ base: Base, user: String?, session: String? = nil, in transaction: Transaction
    ) throws -> [EffectiveValue] {
        let set = try store.values(of: nil, agent: base.agent, user: user, in: transaction)
        let pins = try session.map { try flags.pins(of: $0, in: transaction) } ?? [:]
        let subject = base.subject(user: user, session: session)
        return try base.schema.keys.map { key in
            effective(try base.schema.rule(key), base, set[key] ?? [], subject, pins)
        }
    }

    /// What holds for the agent itself, by key. Flags reach it by their own way, at once, so they are not in it.
    func standing(_ base: Base, in transaction: Transaction) throws -> JSONValue {
        let set = try store.values(of: nil, agent: base.agent, user: nil, in: transaction)
        var object = JSONObject()
        for key in base.schema.keys {
            let rule = try base.schema.rule(key)
            let said = [ConfigLayerValue(.bundle, rule.value ?? .null)] + (set[key] ?? [])
            let value = EffectiveValue(rule, said).winner.value
            if !value.isNull { object.append(key, value) }
        }
        return .object(object)
    }

    private func effective(
        _ rule: ConfigRule, _ base: Base, _ set: [ConfigLayerValue], _ subject: ConfigSubject,
        _ pins: [String: FlagPin]
    ) -> EffectiveValue {
        var said = [
            ConfigLayerValue(
                .bundle, rule.value ?? .null, version: base.version?.version, author: base.version?.author)
        ]
        said += set
        if let flag = flags.value(of: rule.key, for: subject, pins: pins) { said.append(flag) }
        return EffectiveValue(rule, said)
    }

    /// What stands above an agent's bundle, by key: of the agent itself, or of one of its users.
    func above(
        _ agent: String, user: String?, in transaction: Transaction
    ) throws -> [String: [ConfigLayerValue]] {
        try store.values(of: nil, agent: agent, user: user, in: transaction)
    }

    /// Sets a key in a layer, or takes the layer's word on it back where `value` is `nil`.
    ///
    /// - Parameter ifMatch: The tag of what held, for the same user, when it was read.
    func set(
        _ key: String, _ value: JSONValue?, in layer: ConfigLayer, user: String?, _ base: Base, reason: String? = nil,
        ifMatch: String? = nil, by principal: Principal, in transaction: Transaction
    ) throws -> EffectiveValue {
        let rule = try base.schema.rule(key)
        guard layer == .environment || layer == .user else {
            throw Problem.invalid(
                "layer", "environment or user is expected",
                hint: "Push a bundle to change the default; flags are set through /api/v1/flags.")
        }
        guard (layer == .user) == (user != nil) else {
            throw Problem.invalid("user", layer == .user ? "it is missing" : "only the layer user has one")
        }
        let held = try explain(key, base, user: user, in: transaction)
        try EntityTag.check(ifMatch, against: held.etag, of: "the value of \(key)")
        if let value {
            try rule.check(value, in: layer, lint: bundles.lint)
            guard value.bytes.count <= Self.valueBytesMax else {
                throw Problem.invalid("value", "at most \(Self.valueBytesMax) bytes are allowed")
            }
            guard try store.count(of: base.agent, in: transaction) < Self.valuesMax else {
                throw Problem.invalid("key", "\(Self.valuesMax) values are set for this agent, and no more may be")
            }
            try store.put(
                ConfigLayerValue(layer, value, author: principal.actor), of: key, agent: base.agent,
                subject: user ?? "", at: world.now, in: transaction)
        } else {
            guard try store.remove(layer, of: key, agent: base.agent, subject: user ?? "", in: transaction) else {
                return held
            }
        }
        if layer == .environment { try bundles.agents.configRevised(base.agent, in: transaction) }
        try note(key, value, in: layer, user: user, agent: base.agent, reason: reason, by: principal, transaction)
        return try explain(key, base, user: user, in: transaction)
    }

    private func note(
        _ key: String, _ value: JSONValue?, in layer: ConfigLayer, user: String?, agent: String, reason: String?,
        by principal: Principal, _ transaction: Transaction
    ) throws {
        var object = JSONObject()
        object["key"] = .string(key)
        object["layer"] = .string(layer.rawValue)
        object["user"] = .of(user)
        object["value"] = value ?? .null
        if let reason { object["reason"] = .string(reason) }
        let data = JSONValue.object(object)
        let type = value == nil ? "bundle.value_removed" : "bundle.value_set"
        try events.append(EventDraft(type, actor: principal.actor, agent: agent, data: data), in: transaction)
        try audit.record(type, by: principal, target: "agent:\(agent)", detail: data, in: transaction)
    }
}
