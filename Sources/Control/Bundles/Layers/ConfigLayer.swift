import Kernel

/// Who says what a key's value is. Each overrides those before it, as far as the key lets it.
public enum ConfigLayer: String, Sendable, CaseIterable, Comparable {
    /// The agent's bundle, or what Reeve takes where the bundle is silent.
    case bundle = "default"
    /// What an operator set for the agent, here.
    case environment
    case flag
    /// What holds for one user alone.
    case user

    public static func < (left: Self, right: Self) -> Bool {
        (allCases.firstIndex(of: left) ?? 0) < (allCases.firstIndex(of: right) ?? 0)
    }
}

/// How a key's values are put together.
public struct ConfigRule: Sendable, Equatable {
    public enum Merge: String, Sendable {
        case replace
        /// A user's value holds only where it is lower: nobody grants themselves more.
        case minimum
    }

    public let key: String
    let kind: BundleKeys.Kind
    /// The uppermost layer that may say anything.
    public let highest: ConfigLayer
    public let merge: Merge
    /// What the bundle says; `nil` where it is silent.
    public let value: JSONValue?
    /// What a value is measured by besides its kind.
    let form: Form

    enum Form: Sendable, Equatable {
        case plain
        case model
        case secret
        /// Of the type that it has in the bundle.
        case like(String)
    }

    /// One sentence for `explain`.
    var words: String {
        let top = "up to the layer \(highest.rawValue)"
        return merge == .minimum
            ? "each layer replaces the one before, \(top); a user may only lower it"
            : "each layer replaces the one before, \(top)"
    }

    /// Throws `invalid` where the value may not stand in the layer.
    func check(_ value: JSONValue, in layer: ConfigLayer, lint: BundleLint) throws {
        guard layer <= highest else {
            throw Problem.invalid(
                "layer", "\(key) may be set up to the layer \(highest.rawValue), not in \(layer.rawValue)")
        }
        guard kind.admits(value) else { throw Problem.invalid("value", "\(key): \(kind.words)") }
        switch form {
        case .plain: break
        case .model:
            if let fault = value.string.flatMap(lint.modelFault) { throw Problem.invalid("value", "\(key): \(fault)") }
        case .secret:
            guard value.string.flatMap(SecretReference.init) != nil else {
                throw Problem.invalid(
                    "value", "\(key): a reference is expected, secret://scope/owner/name, never a value")
            }
        case .like(let type):
            guard Self.type(value) == type else {
                throw Problem.invalid("value", "\(key): a \(type) is expected, as in the bundle")
            }
        }
        if form != .secret, let text = value.string, let name = SecretShape.first(in: text) {
            throw Problem.invalid(
                "value", "\(key): this looks like a secret (\(name)): keep it as a secret, and refer to it")
        }
    }

    /// JSON does not tell integers from reals.
    static func type(_ value: JSONValue) -> String { value.double == nil ? value.typeName : "number" }
}

/// The keys that an agent has: those of its bundle, and those that Reeve knows though the bundle is silent on them.
public struct ConfigSchema: Sendable {
    private let rules: [String: ConfigRule]
    /// Keys by the spelling that Reeve knows, where the bundle has another.
    private let spelled: [String: String]
    /// The roles that the bundle names models for, by name.
    let roles: [ConfigRule]
    /// How models see the bundle's tools, by the bundle's names, where that is otherwise.
    private let toolNames: [String: String]

    /// - Parameter toolNames: What tools' files call them (``BundleTool/names(_:_:)``).
    public init(_ manifest: BundleManifest?, toolNames: [String: String] = [:]) {
        self.toolNames = toolNames
        var rules: [String: ConfigRule] = [:]
        var spelled: [String: String] = [:]
        let known: [(BundleKeys.Section, [(name: String, kind: BundleKeys.Kind)])] = [
            (.parameters, BundleKeys.parameters), (.limits, BundleKeys.limits), (.memory, BundleKeys.memory),
        ]
        for (section, names) in known {
            for (name, kind) in names { Self.add(section, name, nil, kind: kind, to: &rules) }
        }
        for section in BundleKeys.Section.allCases {
            for entry in manifest?[section] ?? [] {
                let names = known.first { $0.0 == section }?.1 ?? []
                let same = names.first { NearestKey.isSame($0.name, entry.name) }
                // One key under one name: the bundle's spelling.
                if let same, same.name != entry.name {
                    rules["\(section.rawValue).\(same.name)"] = nil
                    spelled["\(section.rawValue).\(same.name)"] = "\(section.rawValue).\(entry.name)"
                }
                Self.add(section, entry.name, entry.value, kind: same?.kind, to: &rules)
            }
        }
        self.rules = rules
        self.spelled = spelled
        let models = "\(BundleKeys.Section.models.rawValue)."
        roles = rules.values.filter { $0.key.hasPrefix(models) && $0.value != nil }.sorted { $0.key < $1.key }
    }

    private static func add(
        _ section: BundleKeys.Section, _ name: String, _ value: JSONValue?, kind: BundleKeys.Kind?,
        to rules: inout [String: ConfigRule]
    ) {
        let key = "\(section.rawValue).\(name)"
        func rule(
            _ kind: BundleKeys.Kind, to highest: ConfigLayer, _ merge: ConfigRule.Merge = .replace,
            value: JSONValue?, _ form: ConfigRule.Form = .plain
        ) {
            rules[key] = ConfigRule(
                key: key, kind: kind, highest: highest, merge: merge, value: value, form: form)
        }
        switch section {
        case .models: rule(.text, to: .user, value: value, .model)
        case .prompts: rule(.text, to: .flag, value: value)
        // Whether the agent may use the tool; what the tool is, only the bundle says.
        case .tools: rule(.flag, to: .user, value: true)
        case .parameters:
            rule(kind ?? .any, to: .user, value: value, kind == nil ? .like(value.map(ConfigRule.type) ?? "") : .plain)
        case .limits: rule(kind ?? BundleKeys.amount, to: .user, .minimum, value: value)
        case .secrets: rule(.text, to: .environment, value: value, .secret)
        case .memory: rule(kind ?? .flag, to: .user, value: value)
        }
    }

    public var keys: [String] { rules.keys.sorted() }

    /// What models may call a tool of this name in the bundle: what its file says, and what the bundle says, unless
    /// another tool's file says that.
    func namesForModels(ofTool name: String) -> [String] {
        guard let seen = toolNames[name] else { return [name] }
        return toolNames.values.contains(name) ? [seen] : [seen, name]
    }

    /// The rule of a key that the agent has under this name or in another spelling; else the rule that it would have,
    /// where the bundle is silent. `nil` for what is no key.
    func ruleOrSilence(_ key: String) -> ConfigRule? {
        if let rule = rules[key] ?? spelled[key].flatMap({ rules[$0] }) { return rule }
        let parts = key.split(separator: ".", maxSplits: 1).map(String.init)
        guard parts.count == 2, !parts[1].isEmpty, let section = BundleKeys.Section(rawValue: parts[0]) else {
            return nil
        }
        var silent: [String: ConfigRule] = [:]
        Self.add(section, parts[1], nil, kind: nil, to: &silent)
        return silent[key]
    }

    /// Throws `not_found` for a key that the agent has not, with the one that was likely meant.
    public func rule(_ key: String) throws -> ConfigRule {
        if let rule = rules[key] { return rule }
        let near = NearestKey.of(key, among: keys, strict: false)
        throw Problem(
            .notFound, "There is no key \"\(key.prefix(120))\" in this agent's configuration.",
            hint: near.map { "Did you mean \"\($0)\"?" }
                ?? "The keys are those of its bundle, such as models.main and limits.maxTokens.")
    }
}

/// What one layer says of a key, and who said it.
public struct ConfigLayerValue: Sendable, Equatable {
    public let layer: ConfigLayer
    public let value: JSONValue
    /// The bundle's version, the flag's, or how often the value was set.
    public let version: String?
    public let author: String?
    public let flag: String?
    /// What the flag serves here.
    public let variant: String?
    /// The flag's rule that led here.
    public let rule: String?
    /// Whether the session that it is asked for keeps it, whatever the flag says now.
    public let isPinned: Bool

    public init(
        _ layer: ConfigLayer, _ value: JSONValue, version: String? = nil, author: String? = nil, flag: String? = nil,
        variant: String? = nil, rule: String? = nil, isPinned: Bool = false
    ) {
        self.layer = layer
        self.value = value
        self.version = version
        self.author = author
        self.flag = flag
        self.variant = variant
        self.rule = rule
        self.isPinned = isPinned
    }
}

/// The value that holds, and why.
public struct EffectiveValue: Sendable, Equatable {
    public let rule: ConfigRule
    public let winner: ConfigLayerValue
    /// What each layer says, the lowest first; what may not say anything is left out.
    public let layers: [ConfigLayerValue]

    /// Pure: what holds of what layers say.
    public init(_ rule: ConfigRule, _ said: [ConfigLayerValue]) {
        let layers = said.filter { $0.layer <= rule.highest && ($0.layer == .bundle || rule.kind.admits($0.value)) }
            .sorted { $0.layer < $1.layer }
        var winner = layers.first ?? ConfigLayerValue(.bundle, .null)
        for candidate in layers.dropFirst() {
            if rule.merge == .minimum, candidate.layer == .user, let value = candidate.value.double,
                let below = winner.value.double, value >= below
            {
                continue
            }
            winner = candidate
        }
        self.rule = rule
        self.winner = winner
        self.layers = layers
    }
}

extension EffectiveValue: JSONConvertible {
    /// Another one as soon as any layer says something else, or another layer decides.
    public var etag: String { "\"\(Digest.sha256(json.text).prefix(20))\"" }

    public var json: JSONValue {
        [
            "key": .string(rule.key), "value": winner.value, "layer": .string(winner.layer.rawValue),
            "version": .of(winner.version), "author": .of(winner.author), "flag": .of(winner.flag),
            "variant": .of(winner.variant), "pinned": .bool(winner.isPinned),
            "rule": .string(winner.rule ?? rule.merge.rawValue),
            "explanation": .string(rule.words),
            "merge": .string(rule.merge.rawValue),
            "highest": .string(rule.highest.rawValue),
            "layers": .array(
                layers.map {
                    [
                        "layer": .string($0.layer.rawValue), "value": $0.value, "version": .of($0.version),
                        "author": .of($0.author), "flag": .of($0.flag), "variant": .of($0.variant),
                        "pinned": .bool($0.isPinned),
                    ]
                }),
        ]
    }
}

/// Whom a key's value is asked for. What is not known of somebody is left out.
public struct ConfigSubject: Sendable, Equatable {
    public var agent: String?
    public var user: String?
    /// A run of the agent, which keeps what pinned flags served it first.
    public var session: String?
    public var project: String?
    /// The version of the agent's program.
    public var release: String?
    /// The type of the tasks that the agent works on, where its label `type` names no other.
    public var type: String?
    public var labels: [String: String] = [:]

    public init(agent: String?, user: String? = nil, session: String? = nil) {
        self.agent = agent
        self.user = user
        self.session = session
    }

    init(_ agent: Agent, user: String? = nil, session: String? = nil) {
        self.init(agent: agent.name, user: user, session: session)
        (project, release, labels) = (agent.project, agent.release, agent.labels)
    }
}

/// What flags say of keys. Asked within transactions, so it answers from memory.
public protocol FlagValues: Sendable {
    /// What the flag for a key says for an agent, and for a user where there is one; `nil` where no flag is for it.
    ///
    /// - Parameter pins: What the subject's session keeps, by flag.
    func value(of key: String, for subject: ConfigSubject, pins: [String: FlagPin]) -> ConfigLayerValue?
    /// What a session keeps of flags, by flag; nothing is pinned by asking.
    func pins(of session: String, in transaction: Transaction) throws -> [String: FlagPin]
}

extension FlagValues {
    public func value(of key: String, for subject: ConfigSubject) -> ConfigLayerValue? {
        value(of: key, for: subject, pins: [:])
    }

    public func pins(of session: String, in transaction: Transaction) throws -> [String: FlagPin] { [:] }
}

/// There are no flags.
public struct NoFlagValues: FlagValues {
    public init() {}

    public func value(of key: String, for subject: ConfigSubject, pins: [String: FlagPin]) -> ConfigLayerValue? {
        nil
    }
}
