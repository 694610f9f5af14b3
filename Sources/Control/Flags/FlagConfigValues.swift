import Kernel

/// Flags as a layer of agents' configuration: one with a `configKey` says what that key is.
extension FlagService: FlagValues {
    public func value(of key: String, for subject: ConfigSubject, pins: [String: FlagPin]) -> ConfigLayerValue? {
        guard let context = try? FlagContext(subject),
            let decision = decision(ofConfigKey: key, for: context, pins: pins)
        else { return nil }
        return ConfigLayerValue(decision)
    }

    public func pins(of session: String, in transaction: Transaction) throws -> [String: FlagPin] {
        let found = try pins.store.pins(of: session, in: transaction)
        return Dictionary(found.map { ($0.flag, $0) }) { first, _ in first }
    }
}

extension FlagContext {
    /// Splits go by the user where there is one, else by the agent: a user is served alike by all agents.
    init(_ subject: ConfigSubject) throws(FlagFailure) {
        var about = JSONObject()
        func add(_ name: String, _ text: String?) { if let text { about.append(name, .string(text)) } }
        add("targetingKey", subject.user ?? subject.agent ?? subject.session)
        add("user", subject.user)
        add("sessionId", subject.session)
        add("project", subject.project)
        add("release", subject.release)
        add("type", subject.labels["type"] ?? subject.type)
        add("environment", subject.labels["environment"])
        if !subject.labels.isEmpty {
            let labels = subject.labels.sorted { $0.key < $1.key }
            about.append("labels", .object(JSONObject(labels.map { .init(name: $0.key, value: .string($0.value)) })))
        }
        try self.init(.object(about), agent: subject.agent)
    }
}

extension ConfigLayerValue {
    /// `nil` for a flag that is switched off: it says nothing, unless it names a variant for that.
    init?(_ decision: FlagDecision) {
        guard decision.reason != .disabled || decision.flag.definition.offVariant != nil else { return nil }
        self.init(
            .flag, decision.value, version: String(decision.flag.version), author: decision.flag.updatedBy,
            flag: decision.flag.key, variant: decision.variant, rule: decision.rule,
            isPinned: decision.isPinned)
    }
}

/// What the flags of the configuration's keys say for one caller at one moment, with what that leaves behind: counts,
/// and what its session has to keep.
struct FlagSight {
    private let edition: FlagBook.Edition
    private var evaluator: FlagEvaluator
    /// What was evaluated, each flag once.
    private(set) var results: [String: Result<FlagDecision, FlagFailure>] = [:]

    /// - Parameter pins: What the caller's session has.
    init(_ edition: FlagBook.Edition, _ context: FlagContext, pins: [String: FlagPin], at now: Timestamp) {
        self.edition = edition
        evaluator = FlagEvaluator(flags: edition.flags, context: context, now: now)
        evaluator.pins = pins
    }

    /// Keys that flags stand for, of one part of the configuration.
    func keys(_ prefix: String) -> [String] { edition.configuredKeys.filter { $0.hasPrefix(prefix) } }

    func flags(of key: String) -> [FeatureFlag] { edition.configured[key] ?? [] }

    /// Of several flags of a key the first by name decides that can be evaluated.
    mutating func value(of key: String) -> ConfigLayerValue? {
        for flag in flags(of: key) {
            let result = results[flag.key] ?? Result { () throws(FlagFailure) in try evaluator.decide(flag, depth: 0) }
            results[flag.key] = result
            if case .success(let decision) = result { return ConfigLayerValue(decision) }
        }
        return nil
    }

    /// What a session gets for the first time, and keeps.
    var unpinned: [FlagDecision] {
        results.values.compactMap { try? $0.get() }.filter { $0.flag.definition.mode == .pinned && !$0.isPinned }
    }
}
