import Kernel

/// What a model's input is checked for before it is sent.
struct InputGuardSettings: Sendable, Equatable {
    /// Bodies to 32 MB, nesting to 128.
    static let bodyBytesMax: Int64 = 32 << 20
    static let depthMax: Int64 = 128

    var bodyBytes = Int(Self.bodyBytesMax)
    var depth = Int(Self.depthMax)
    /// Patterns (ECMA-262 in the bounded form of JSON Schema's `pattern`) of which none may be found in a text.
    var refuse: [String] = []

    init() {}

    init(_ fields: Fields) throws {
        try fields.refuseOthers(than: ["bodyBytes", "depth", "refuse"])
        bodyBytes = Int(try fields.optionalInt("bodyBytes", in: 1...Self.bodyBytesMax) ?? Self.bodyBytesMax)
        depth = Int(try fields.optionalInt("depth", in: 1...Self.depthMax) ?? Self.depthMax)
        refuse = try Self.patterns(fields, "refuse")
    }

    static func patterns(_ fields: Fields, _ name: String) throws -> [String] {
        let items = try fields.optionalArray(name, max: GatewayLimits.patternsPerModel) ?? []
        return try items.enumerated().map { index, item in
            let path = "\(fields.path(name))/\(index)"
            guard let text = item.string, !text.isEmpty else { throw Problem.invalid(path, "a pattern is expected") }
            do {
                return try BoundedPattern(text).text
            } catch let failure as BoundedPattern.Failure {
                throw Problem.invalid(path, "the pattern cannot be used: \(failure.reason)")
            }
        }
    }
}

/// What is taken out of a model's output. Off by default, as it changes what the provider said.
struct OutputGuardSettings: Sendable, Equatable {
    /// Keys and tokens in the known forms.
    var redactsSecrets = false
    /// Addresses, numbers of cards and telephones.
    var redactsPersonalData = false

    var isOff: Bool { !redactsSecrets && !redactsPersonalData }

    init() {}

    init(_ fields: Fields) throws {
        try fields.refuseOthers(than: ["secrets", "personalData"])
        redactsSecrets = try fields.optionalBool("secrets") ?? false
        redactsPersonalData = try fields.optionalBool("personalData") ?? false
    }
}
