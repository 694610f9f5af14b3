/// How good, and how dear, a model is: what a type of task asks for instead of a model's name.
public enum ModelTier: String, Sendable, CaseIterable {
    case cheap, standard, premium

    /// What a tier's name may begin with, so that it cannot be taken for a model's.
    public static let prefix = "tier:"

    /// As callers and tasks name it where a model's name may stand: `tier:cheap`.
    public var name: String { Self.prefix + rawValue }

    /// The tier that a caller names, as `cheap` or as `tier:cheap`.
    public init?(name: String) {
        self.init(rawValue: name.hasPrefix(Self.prefix) ? String(name.dropFirst(Self.prefix.count)) : name)
    }
}

/// What tasks, and types and queues of tasks, say of the model that they ask for.
public enum ModelWish {
    public static let charactersMax = 200

    /// Reads `model` (a model's name, or a tier's as `tier:cheap`) or `tier` (`cheap`), of which one may be given.
    ///
    /// - Returns: The name under which a caller of the gateway asks for it; `nil` where there is none.
    public static func read(_ fields: Fields) throws -> String? {
        let tier = try fields.optionalChoice("tier", ModelTier.self)?.name
        guard let model = try fields.optionalString("model", max: charactersMax) else { return tier }
        let path = fields.path("model")
        guard tier == nil else {
            throw Problem.invalid(path, "a task asks for a model or for a tier, not for both")
        }
        if let tier = ModelTier(name: model) { return tier.name }
        guard !model.hasPrefix(ModelTier.prefix) else {
            let tiers = ModelTier.allCases.map(\.name).joined(separator: ", ")
            throw Problem.invalid(path, "there is no tier \"\(model)\"; there are \(tiers)")
        }
        let isClean = model.unicodeScalars.allSatisfy { scalar in
            !scalar.properties.isWhitespace && scalar.properties.generalCategory != .control
                && scalar.properties.generalCategory != .format
        }
        guard !model.isEmpty, isClean else {
            throw Problem.invalid(path, "a model's name has no spaces or control characters, and is not empty")
        }
        return model
    }

    /// The tier's own name of a wish for one: `cheap` of `tier:cheap`.
    public static func tier(of model: String?) -> String? {
        guard let model, model.hasPrefix(ModelTier.prefix) else { return nil }
        return ModelTier(name: model)?.rawValue
    }
}
