import Kernel

/// What holds for one caller of what the gateway and the memory enforce: the effective values of a few keys, worked
/// out of all layers. Pure.
public struct CallerRules: Sendable {
    /// Tokens of one answer, of what is sent, and of both.
    public static let outputLimit = "limits.maxTokens"
    public static let inputLimit = "limits.inputTokens"
    public static let callLimit = "limits.maxTokensPerCall"
    /// Of all calls of a session.
    public static let sessionLimit = "limits.maxTokensPerSession"
    /// Whether what the agent learns may be kept.
    public static let memoryWrite = "memory.write"
    /// Before a role's name, and before a tool's.
    public static let models = "models."
    public static let tools = "tools."

    /// Who asks for which model.
    public struct Question: Sendable, Equatable {
        /// A model's name, or a role's; `nil` where no model is asked.
        public var model: String?
        /// Whether that is a name that the gateway knows by itself.
        public var isModel: Bool
        /// The version of the agent's bundle that holds; `nil` for what the agent is to run with.
        public var bundle: String?

        public init(model: String?, isModel: Bool, bundle: String? = nil) {
            self.model = model
            self.isModel = isModel
            self.bundle = bundle
        }
    }

    /// What is said of the model that is asked for; `nil` where nothing is.
    public internal(set) var model: EffectiveValue?
    /// Tools that may not be used, by the names that models see.
    public internal(set) var deniedTools: [String: EffectiveValue] = [:]
    /// By key; only those that are numbers.
    public internal(set) var limits: [String: EffectiveValue] = [:]
    public internal(set) var memory: EffectiveValue?
    /// Whether what was set for the agent is not known at this moment, so that flags alone were asked.
    public internal(set) var isPartial = false

    public var mayWriteMemory: Bool { memory?.winner.value.bool ?? true }

    /// - Parameters:
    ///   - schema: The keys of the agent's bundle.
    ///   - above: What operators set for the agent and for its user, by key.
    ///   - sight: What flags say; told of what was asked.
    init(
        _ question: Question, _ schema: ConfigSchema, version: BundleVersion?, above: [String: [ConfigLayerValue]],
        _ sight: inout FlagSight
    ) {
        let reader = LayerReader(schema: schema, version: version, above: above)
        if let asked = question.model { model = reader.model(asked, isModel: question.isModel, &sight) }
        let prefix = Self.tools
        // Where nobody set anything every tool may be used.
        for key in sight.keys(prefix) + above.keys.filter({ $0.hasPrefix(prefix) }) {
            guard let value = reader.effective(key, &sight), value.winner.value.bool == false else { continue }
            for name in schema.namesForModels(ofTool: String(key.dropFirst(prefix.count))) {
                deniedTools[name] = deniedTools[name] ?? value
            }
        }
        for key in [Self.outputLimit, Self.inputLimit, Self.callLimit, Self.sessionLimit] {
            guard let value = reader.effective(key, &sight), value.winner.value.double != nil else { continue }
            limits[key] = value
        }
        memory = reader.effective(Self.memoryWrite, &sight)
    }
}

/// Reads effective values of one caller.
private struct LayerReader {
    let schema: ConfigSchema
    let version: BundleVersion?
    let above: [String: [ConfigLayerValue]]

    func effective(_ key: String, _ sight: inout FlagSight) -> EffectiveValue? {
        guard let rule = schema.ruleOrSilence(key) else { return nil }
        var said = [
            ConfigLayerValue(.bundle, rule.value ?? .null, version: version?.version, author: version?.author)
        ]
        said += above[rule.key] ?? []
        // A flag may have the key in the bundle's spelling or in Reeve's.
        if let flag = sight.value(of: rule.key) ?? (rule.key == key ? nil : sight.value(of: key)) { said.append(flag) }
        return EffectiveValue(rule, said)
    }

    /// What the lower layers say, which the agent's program has.
    private func standing(_ rule: ConfigRule) -> JSONValue? {
        above[rule.key]?.first { $0.layer == .environment }?.value ?? rule.value
    }

    /// Whose model is asked for: the role of that name; else one whose model it is by the agent's bundle; else, where
    /// the bundle says nothing of the role, one whose flag chooses among models of which it is one.
    func model(_ asked: String, isModel: Bool, _ sight: inout FlagSight) -> EffectiveValue? {
        if let named = effective(CallerRules.models + asked, &sight), !named.winner.value.isNull {
            // What the gateway knows by the name is that, unless somebody says otherwise of this very key.
            if named.winner.layer != .bundle || !isModel { return named }
        }
        for isStanding in [true, false] {
            let roles = schema.roles.filter { ((isStanding ? standing($0) : $0.value)?.string) == asked }
            let values = roles.compactMap { effective($0.key, &sight) }
            if let other = values.first(where: { $0.winner.value.string != asked }) { return other }
            if let same = values.first { return same.winner.layer == .bundle ? nil : same }
        }
        for key in sight.keys(CallerRules.models) {
            guard !schema.roles.contains(where: { $0.key == key }) else { continue }
            let isChoice = sight.flags(of: key).contains { flag in
                flag.definition.variants.contains { $0.value.string == asked }
            }
            guard isChoice, let value = effective(key, &sight), value.winner.layer == .flag else { continue }
            return value
        }
        return nil
    }
}
