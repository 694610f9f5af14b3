import Kernel

/// Flags as a layer of agents' configuration: one with a `configKey` says what that key is.
extension FlagService: FlagValues {
    /// Splits go by the user where there is one, else by the agent: a user is served alike by all agents. A flag that
    /// is switched off says nothing, unless it names a variant for that.
    public func value(of key: String, agent: String, user: String?) -> ConfigLayerValue? {
        let about: JSONValue = ["targetingKey": .string(user ?? agent), "user": .of(user)]
        guard let context = try? FlagContext(about, agent: agent),
            let decision = decision(ofConfigKey: key, for: context),
            decision.reason != .disabled || decision.flag.definition.offVariant != nil
        else { return nil }
        return ConfigLayerValue(
            .flag, decision.value, version: String(decision.flag.version), author: decision.flag.updatedBy,
            flag: decision.flag.key, rule: decision.rule)
    }
}
