import Kernel

/// The keys that a bundle may state, with what each may be: of `agent.yaml`, and of the layers above it.
public enum BundleKeys {
    /// The members of `agent.yaml`.
    public enum Section: String, Sendable, CaseIterable {
        case models, prompts, tools, parameters, limits, secrets, memory
    }

    /// What a value may be.
    public enum Kind: Sendable, Equatable {
        case text
        case flag
        case number(ClosedRange<Double>)
        case whole(ClosedRange<Int64>)
        /// Of a parameter that Reeve does not know: whatever it is, it stays of the type it has in the bundle.
        case any

        /// What a value of the kind is called; for refusals.
        var words: String {
            switch self {
            case .text: "a text is expected"
            case .flag: "true or false is expected"
            case .number(let range) where range.upperBound < 1e9:
                "a number from \(range.lowerBound.plain) to \(range.upperBound.plain) is expected"
            case .number(let range): "a number of \(range.lowerBound.plain) or more is expected"
            case .whole(let range) where range.upperBound < 1 << 40:
                "a whole number from \(range.lowerBound) to \(range.upperBound) is expected"
            case .whole(let range): "a whole number of \(range.lowerBound) or more is expected"
            case .any: "a value is expected"
            }
        }

        func admits(_ value: JSONValue) -> Bool {
            switch self {
            case .text: value.string != nil
            case .flag: value.bool != nil
            case .number(let range): value.double.map { range.contains($0) } ?? false
            case .whole(let range): value.int.map { range.contains($0) } ?? false
            case .any: !value.isNull
            }
        }
    }

    /// A penny and a token are counted in numbers far below.
    static let amount = Kind.number(0...1e15)
    private static let count = Kind.whole(0...(1 << 53))

    public static let parameters: [(name: String, kind: Kind)] = [
        ("temperature", .number(0...2)), ("topP", .number(0...1)), ("topK", .whole(0...1_000_000)),
        ("maxTokens", .whole(1...(1 << 53))), ("seed", .whole(Int64.min...Int64.max)), ("stop", .any),
        ("frequencyPenalty", .number(-2...2)), ("presencePenalty", .number(-2...2)), ("reasoningEffort", .text),
        ("timeoutSeconds", .number(0...86_400)), ("language", .text),
    ]

    public static let limits: [(name: String, kind: Kind)] = [
        ("maxTokens", count), ("inputTokens", count), ("maxTokensPerCall", count), ("maxTokensPerSession", count),
        ("maxTokensPerDay", count),
        ("maxSteps", count), ("maxToolCalls", count), ("maxSeconds", amount), ("maxCostUSD", amount),
        ("dailyBudgetUSD", amount), ("sessionBudgetUSD", amount), ("concurrency", count),
    ]

    public static let memory: [(name: String, kind: Kind)] = [("write", .flag)]

    static func kind(of name: String, among known: [(name: String, kind: Kind)]) -> Kind? {
        known.first { NearestKey.isSame($0.name, name) }?.kind
    }
}

extension Double {
    /// Without a fraction where it has none.
    fileprivate var plain: String { self == rounded() && abs(self) < 1e15 ? String(Int64(self)) : String(self) }
}
