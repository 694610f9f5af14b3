import Kernel
import Telemetry

/// The catalogue of the gateway: providers, and the models that agents may ask for. Made from the sections
/// ``sections`` of the settings file; read-only from then on.
public struct GatewaySettings: Sendable, Equatable {
    /// The sections of the settings file that are read here.
    public static let sections = Settings.Catalogue.sections

    /// In the file's order.
    private(set) var providers: [ProviderSettings]
    /// In the file's order.
    let models: [ModelSettings]
    /// The model of drills, which is in no list; see ``DrillModel``.
    private(set) var drill: ModelSettings?
    /// What holds a run that goes in circles; `nil` for nothing.
    let loops: LoopGuard.Rules?
    /// What the tasks of a type ask for, as callers name it: a model, or a tier as `tier:cheap`.
    public let taskTypes: [String: String]

    private let providersByName: [String: Int]
    private let modelsByName: [String: Int]

    /// A gateway without a single model.
    public init() {
        self.init(providers: [], models: [], loops: LoopGuard.Rules(), taskTypes: [:])
    }

    private init(
        providers: [ProviderSettings], models: [ModelSettings], loops: LoopGuard.Rules?, taskTypes: [String: String]
    ) {
        self.taskTypes = taskTypes
        self.providers = providers
        self.models = models
        self.loops = loops
        providersByName = Dictionary(uniqueKeysWithValues: providers.enumerated().map { ($0.element.name, $0.offset) })
        modelsByName = Dictionary(uniqueKeysWithValues: models.enumerated().map { ($0.element.name, $0.offset) })
    }

    /// Reads `{providers: {NAME: …}, models: {NAME: …}, allowFloating: [NAME, …], loops: {…}}`; any may be missing.
    /// Throws ``Problem`` `invalid` with the path of what is wrong, such as `models/gpt-4o-mini/targets/0/provider`.
    public init(_ document: JSONValue) throws {
        guard !document.isNull else {
            self.init()
            return
        }
        guard let object = document.object else {
            throw Problem.invalid("", "an object with `providers` and `models` is expected, not \(document.typeName)")
        }
        let fields = Fields(object, limits: Limits())
        try fields.refuseOthers(than: Self.sections)
        let floating = try Self.floatingNames(fields)
        let providers = try Self.entries(fields, "providers", max: GatewayLimits.providers).map { name, entry in
            try ProviderSettings(name: name, entry)
        }
        let names = providers.map(\.name)
        let models = try Self.entries(fields, "models", max: GatewayLimits.models).map { name, entry in
            guard ModelTier(rawValue: name) == nil, !name.hasPrefix(ModelTier.prefix) else {
                throw Problem.invalid("models/\(name)", "a model may not have the name of a tier")
            }
            return try ModelSettings(name: name, entry, providers: names, floating: floating)
        }
        try Self.checkHelpers(models)
        let isOff = fields.value("loops")?.bool == false
        let loops = try isOff ? nil : fields.optionalFields("loops").map(LoopGuard.Rules.init) ?? LoopGuard.Rules()
        self.init(
            providers: providers, models: models, loops: loops, taskTypes: try Self.taskTypes(fields, models))
    }

    /// `{TYPE: {model: NAME}}` or `{TYPE: {tier: cheap}}`.
    private static func taskTypes(_ fields: Fields, _ models: [ModelSettings]) throws -> [String: String] {
        guard let group = try fields.optionalFields("taskTypes") else { return [:] }
        guard group.object.count <= GatewayLimits.taskTypes else {
            throw Problem.invalid("taskTypes", "at most \(GatewayLimits.taskTypes) are allowed")
        }
        var types: [String: String] = [:]
        for member in group.object.members {
            let path = group.path(member.name)
            _ = try Fields.checkedName(member.name, path: path, limits: fields.limits)
            guard let object = member.value.object else {
                throw Problem.invalid(path, "{model: NAME} or {tier: cheap} is expected, not \(member.value.typeName)")
            }
            let type = Fields(object, limits: fields.limits, path: path)
            try type.refuseOthers(than: ["model", "tier"])
            guard let wish = try ModelWish.read(type) else {
                throw Problem.invalid(path, "it names no model and no tier")
            }
            let isThere = models.contains { $0.name == wish || $0.tier?.name == wish }
            guard isThere else { throw Problem.invalid(path, "there is no model \"\(wish)\" for its tasks") }
            guard types.updateValue(wish, forKey: member.name) == nil else {
                throw Problem.invalid(path, "it stands twice")
            }
        }
        return types
    }

    /// Models that help others are models of this file.
    private static func checkHelpers(_ models: [ModelSettings]) throws {
        let names = Set(models.map(\.name))
        for model in models {
            let helpers = [
                ("quality/judge", model.quality?.judge?.model), ("cache/semantic", model.cache?.semantic?.model),
            ]
            for (path, name) in helpers {
                guard let name, !names.contains(name) else { continue }
                throw Problem.invalid(
                    "models/\(model.name)/\(path)/model", "there is no model \"\(name)\"",
                    hint: "Name one of `models`.")
            }
        }
    }

    private static func floatingNames(_ fields: Fields) throws -> Set<String> {
        let items = try fields.optionalArray("allowFloating", max: GatewayLimits.floatingNames) ?? []
        return Set(
            try items.enumerated().map { index, item in
                let path = "allowFloating/\(index)"
                guard let name = item.string else {
                    throw Problem.invalid(path, "a model's name is expected, not \(item.typeName)")
                }
                try check(name: name, path: path)
                return name
            })
    }

    /// The members of a section, each an object with a name of its own.
    private static func entries(_ fields: Fields, _ section: String, max: Int) throws -> [(String, Fields)] {
        guard let group = try fields.optionalFields(section) else { return [] }
        guard group.object.count <= max else {
            throw Problem.invalid(section, "at most \(max) are allowed")
        }
        var seen: Set<String> = []
        return try group.object.members.map { member in
            let path = group.path(member.name)
            try check(name: member.name, path: path)
            guard seen.insert(member.name).inserted else { throw Problem.invalid(path, "it stands twice") }
            guard let object = member.value.object else {
                throw Problem.invalid(path, "an object is expected, not \(member.value.typeName)")
            }
            return (member.name, Fields(object, limits: Limits(), path: path))
        }
    }

    /// Names of providers and models: slashes, colons and the like are common in them, spaces and what hides are not.
    static func check(name: String, path: String) throws {
        guard (1...GatewayLimits.nameCharacters).contains(name.unicodeScalars.count) else {
            throw Problem.invalid(path, "1 to \(GatewayLimits.nameCharacters) characters are allowed in a name")
        }
        let isClean = name.unicodeScalars.allSatisfy { scalar in
            !scalar.properties.isWhitespace && scalar.properties.generalCategory != .control
                && scalar.properties.generalCategory != .format
        }
        guard isClean else { throw Problem.invalid(path, "a name may not contain spaces or control characters") }
    }

    /// The same, with these addresses of providers.
    func located(_ addresses: [String: BaseURL]) -> GatewaySettings {
        var settings = self
        for (name, address) in addresses {
            guard let index = providersByName[name] else { continue }
            settings.providers[index].baseURL = address
        }
        return settings
    }

    func provider(_ name: String) -> ProviderSettings? { providersByName[name].map { providers[$0] } }

    /// Whether a caller of this name would get a model. Where there are none at all, nothing is known of any.
    public func has(_ asked: String) -> Bool { models.isEmpty || resolve(asked) != nil }

    /// Whether it is a tier's name and no model's.
    public func isTier(_ name: String) -> Bool { model(name) == nil && ModelTier(name: name) != nil }

    /// Whether a model of this name is one version for good, wherever it is had.
    public func isPinned(_ name: String) -> Bool {
        model(name)?.targets.allSatisfy { PinnedModel.isPinned($0.model) } ?? false
    }

    /// Tokens that a model's context holds, by its name here or by its provider's; `nil` where nothing is said of it.
    public func contextTokens(of name: String) -> Int64? {
        if let model = model(name) { return model.contextTokens }
        return models.first { $0.contextTokens != nil && $0.targets.contains { $0.model == name } }?.contextTokens
    }

    /// What tokens of a model cost, by its name here or by its provider's; `nil` where no price is known.
    public func cost(of name: String, _ usage: SpanUsage, at time: Timestamp) -> NanoDollars? {
        let buckets = TokenBuckets([
            .input: usage.input, .cacheRead: usage.cacheRead, .cacheWrite: usage.cacheWrite, .output: usage.output,
            .reasoning: usage.reasoning,
        ])
        let own = model(name)
        if let own, let target = own.targets.first { return own.price(of: target)?.cost(of: buckets, at: time) }
        for model in models {
            guard let target = model.targets.first(where: { $0.model == name }) else { continue }
            if let price = model.price(of: target) { return price.cost(of: buckets, at: time) }
        }
        return nil
    }

    /// All models that calls may go to.
    var every: [ModelSettings] { models + (drill.map { [$0] } ?? []) }

    /// The same, with the model of drills, unless its name is in use.
    public func withDrill() throws -> GatewaySettings {
        let name = DrillModel.name
        guard provider(name) == nil, model(name) == nil else { return self }
        let own = try GatewaySettings(DrillModel.document)
        var settings = GatewaySettings(
            providers: providers + own.providers, models: models, loops: loops, taskTypes: taskTypes)
        settings.drill = own.models.first
        return settings
    }

    func model(_ name: String) -> ModelSettings? {
        modelsByName[name].map { models[$0] } ?? (name == drill?.name ? drill : nil)
    }

    /// The models of a tier, in the file's order: the first is the one that the tier stands for.
    func models(of tier: ModelTier) -> [ModelSettings] { models.filter { $0.tier == tier } }

    /// What a caller means: the model of that name, or the first of the tier of that name (`cheap`, `tier:cheap`).
    func resolve(_ asked: String) -> ModelSettings? {
        if let model = model(asked) { return model }
        return ModelTier(name: asked).flatMap { tier in models.first { $0.tier == tier } }
    }
}
