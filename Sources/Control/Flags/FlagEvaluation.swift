import Kernel

/// What somebody gets of a flag, and why.
public struct FlagDecision: Sendable, Equatable {
    public enum Reason: String, Sendable, CaseIterable {
        /// Everybody gets it, whoever they are.
        case fixed = "STATIC"
        case targetingMatch = "TARGETING_MATCH"
        case split = "SPLIT"
        case disabled = "DISABLED"
    }

    public let flag: FeatureFlag
    public let variant: String
    public let value: JSONValue
    public let reason: Reason
    /// The rule or the schedule that decided.
    public var rule: String?
    /// Whether it is what the session began with.
    public var isPinned = false
}

/// What a session got of a flag when it first asked.
public struct FlagPin: Sendable, Equatable {
    let flag: String
    let variant: String
    /// Kept with the pin: a variant whose value is edited stays what it was for sessions that have it.
    let value: JSONValue
    let reason: FlagDecision.Reason
    let rule: String?
    let pinnedAt: Timestamp

    /// Whether it is of this flag, and not of one that was deleted or had another type.
    func fits(_ flag: FeatureFlag) -> Bool { pinnedAt >= flag.createdAt && flag.definition.kind.fits(value) }
}

/// Works out what a context gets. Pure: all that it knows is here.
public struct FlagEvaluator: Sendable {
    /// Prerequisites of prerequisites.
    static let depthMax = 10

    let flags: [String: FeatureFlag]
    let context: FlagContext
    let now: Timestamp
    /// What the context's session has, by flag.
    var pins: [String: FlagPin] = [:]

    func decide(_ key: String) throws(FlagFailure) -> FlagDecision {
        guard let flag = flags[key] else {
            throw FlagFailure(.flagNotFound, "There is no flag \"\(key.prefix(FeatureFlag.nameMax))\".")
        }
        return try decide(flag, depth: 0)
    }

    func decide(_ flag: FeatureFlag, depth: Int) throws(FlagFailure) -> FlagDecision {
        let definition = flag.definition
        // A pin holds against a switch too: what must end at once is what `live` is for.
        if definition.mode == .pinned, let pin = pins[flag.key], pin.fits(flag) {
            return FlagDecision(
                flag: flag, variant: pin.variant, value: pin.value, reason: pin.reason, rule: pin.rule, isPinned: true)
        }
        guard definition.isEnabled, try hasPrerequisites(definition, depth: depth) else {
            return try decision(flag, definition.offVariant ?? definition.defaultVariant, .disabled)
        }
        for rule in definition.rules where rule.conditions.allSatisfy({ $0.holds(context.value($0.attribute)) }) {
            return try outcome(rule.outcome, of: flag, rule.id, .targetingMatch)
        }
        if let schedule = definition.schedules.first(where: { $0.isInForce(at: now) }) {
            return try outcome(schedule.outcome, of: flag, schedule.id, .fixed)
        }
        return try decision(flag, definition.defaultVariant, .fixed)
    }

    private func hasPrerequisites(_ definition: FlagDefinition, depth: Int) throws(FlagFailure) -> Bool {
        for prerequisite in definition.prerequisites {
            // One that is gone, or a circle that two changes at once made, is not met.
            guard depth < Self.depthMax, let flag = flags[prerequisite.flag] else { return false }
            guard prerequisite.variants.contains(try decide(flag, depth: depth + 1).variant) else { return false }
        }
        return true
    }

    private func outcome(
        _ outcome: FlagDefinition.Outcome, of flag: FeatureFlag, _ id: String, _ reason: FlagDecision.Reason
    ) throws(FlagFailure) -> FlagDecision {
        switch outcome {
        case .variant(let name): return try decision(flag, name, reason, rule: id)
        case .split(let wishes):
            guard let targetingKey = context.targetingKey else {
                throw FlagFailure(
                    .targetingKeyMissing,
                    "\"\(flag.key)\" is split by \"\(id)\", so the context needs a targetingKey: whom the share is of.")
            }
            let bucket = FlagBucket.of(
                salt: flag.definition.salt, flag: flag.key, targetingKey: targetingKey)
            let shares = flag.shares[id] ?? FlagShares(wishes)
            let variant = shares.variant(at: bucket) ?? flag.definition.defaultVariant
            return try decision(flag, variant, .split, rule: id)
        }
    }

    private func decision(
        _ flag: FeatureFlag, _ variant: String, _ reason: FlagDecision.Reason, rule: String? = nil
    ) throws(FlagFailure) -> FlagDecision {
        guard let value = flag.definition.value(of: variant) else {
            throw FlagFailure(.general, "\"\(flag.key)\" names a variant that it has not.")
        }
        return FlagDecision(flag: flag, variant: variant, value: value, reason: reason, rule: rule)
    }
}
