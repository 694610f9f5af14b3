import Kernel

/// The tokens of one call in disjoint buckets: no token stands in two, so that none is priced or counted twice.
struct TokenBuckets: Sendable, Equatable {
    private var counts = [Int64](repeating: 0, count: TokenKind.allCases.count)
    var toolUses: [ToolUse: Int64] = [:]
    /// The tier that served the call, where its prices differ; `nil` is standard.
    var serviceTier: ServiceTier?
    /// How long the provider keeps a cache write whose time it does not state (Anthropic 5 minutes, OpenAI 30).
    var defaultLifetime: CacheLifetime

    init(_ counts: KeyValuePairs<TokenKind, Int64> = [:], defaultLifetime: CacheLifetime = .thirtyMinutes) {
        self.defaultLifetime = defaultLifetime
        for (kind, count) in counts { self[kind] = count }
    }

    /// Between nothing and ``UsageCounts/tokensMax``; what lies outside is moved to the nearer end.
    subscript(kind: TokenKind) -> Int64 {
        get { counts[kind.index] }
        set { counts[kind.index] = min(max(0, newValue), UsageCounts.tokensMax) }
    }

    /// All input with what came from a cache, as `gen_ai.usage.input_tokens` wants it (OpenTelemetry GenAI).
    var inputTotal: Int64 { total { $0.isInput } }
    /// All output with reasoning.
    var outputTotal: Int64 { total { !$0.isInput } }
    var total: Int64 { total { _ in true } }
    var cacheWriteTotal: Int64 { total { $0.label == TokenKind.cacheWrite.label } }
    var isEmpty: Bool { counts.allSatisfy { $0 == 0 } }

    // Thirteen counts of at most 2^40 cannot overflow.
    private func total(_ isWanted: (TokenKind) -> Bool) -> Int64 {
        TokenKind.allCases.reduce(0) { isWanted($1) ? $0 + self[$1] : $0 }
    }

    /// The counts for a counter with the label `type`: each token once, kinds without any left out.
    var byType: [(type: String, tokens: Int64)] {
        var types: [(type: String, tokens: Int64)] = []
        for kind in TokenKind.allCases where self[kind] > 0 {
            if let index = types.firstIndex(where: { $0.type == kind.label }) {
                types[index].tokens += self[kind]
            } else {
                types.append((kind.label, self[kind]))
            }
        }
        return types
    }
}

extension TokenKind {
    var index: Int {
        switch self {
        case .input: 0
        case .cacheRead: 1
        case .cacheWrite: 2
        case .cacheWrite5m: 3
        case .cacheWrite30m: 4
        case .cacheWrite1h: 5
        case .cacheWrite12h: 6
        case .audioInput: 7
        case .imageInput: 8
        case .output: 9
        case .reasoning: 10
        case .audioOutput: 11
        case .imageOutput: 12
        }
    }
}

extension TokenBuckets: JSONConvertible {
    /// `input`, `cacheRead`, `cacheWrite`, `output` and `reasoning` always, the others where they have tokens;
    /// `cacheWrite` holds only what has no stated lifetime.
    var json: JSONValue {
        var object = JSONObject()
        let always: [TokenKind] = [.input, .cacheRead, .cacheWrite, .output, .reasoning]
        for kind in TokenKind.allCases where self[kind] > 0 || always.contains(kind) {
            object.append(kind.rawValue, .int(self[kind]))
        }
        if !toolUses.isEmpty {
            var uses = JSONObject()
            for use in ToolUse.allCases { if let count = toolUses[use] { uses.append(use.rawValue, .int(count)) } }
            object.append("toolUses", .object(uses))
        }
        if let serviceTier { object.append("serviceTier", .string(serviceTier.rawValue)) }
        if defaultLifetime != .thirtyMinutes {
            object.append("defaultLifetime", .string(defaultLifetime.rawValue))
        }
        return .object(object)
    }

    /// Reads back what ``json`` wrote, for pricing a ledger's rows anew; what is absent or odd counts nothing.
    init(json: JSONValue) {
        self.init(defaultLifetime: CacheLifetime(rawValue: Self.text(json, "defaultLifetime")) ?? .thirtyMinutes)
        for kind in TokenKind.allCases { self[kind] = json.object?[kind.rawValue]?.int ?? 0 }
        for use in ToolUse.allCases {
            guard let count = json.object?["toolUses"]?.object?[use.rawValue]?.int, count > 0 else { continue }
            toolUses[use] = min(count, UsageCounts.usesMax)
        }
        serviceTier = ServiceTier(rawValue: Self.text(json, "serviceTier"))
    }

    private static func text(_ json: JSONValue, _ name: String) -> String { json.object?[name]?.string ?? "" }
}
