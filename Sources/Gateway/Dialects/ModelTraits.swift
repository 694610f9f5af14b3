/// What has to be known of a model to write a request that it accepts, guessed from its name. Names that say nothing
/// get what most models take.
struct ModelTraits: Sendable, Equatable {
    /// OpenAI's reasoning models (o1 and later, GPT-5 and later): `max_completion_tokens`, no sampling parameters.
    let isOpenAIReasoning: Bool
    /// Whether `reasoning_effort` may be sent.
    let takesEffort: Bool
    /// Whether thinking is asked for as `adaptive` with an effort (Claude 4.6 and later) rather than as a budget.
    let thinksAdaptively: Bool
    /// Whether `temperature`, `top_p` and `top_k` may be sent (Claude before 4.7).
    let takesSampling: Bool
    /// Whether schemas may be sent for text and tools (Claude 4.5 and later).
    let takesSchemas: Bool

    init(_ name: String) {
        let name = name.lowercased().split(separator: "/").last.map(String.init) ?? ""
        let words = name.split(whereSeparator: { "-.@:_".contains($0) }).map(String.init)
        let generation = Self.gptGeneration(words)
        isOpenAIReasoning = generation.map { $0 >= 5 } ?? Self.isOSeries(words)
        takesEffort = generation.map { $0 >= 5 } ?? true
        let claude = Self.claudeVersion(words)
        let isClaude = words.contains("claude")
        thinksAdaptively = claude.map { $0 >= (4, 6) } ?? false
        takesSampling = claude.map { $0 < (4, 7) } ?? true
        takesSchemas = claude.map { $0 >= (4, 5) } ?? !isClaude
    }

    private static func gptGeneration(_ words: [String]) -> Int? {
        guard let index = words.firstIndex(of: "gpt"), index + 1 < words.count else {
            return words.first == "chatgpt" ? 4 : nil
        }
        return Int(words[index + 1].prefix { $0.isASCII && $0.isNumber }.prefix(3))
    }

    private static func isOSeries(_ words: [String]) -> Bool {
        guard let first = words.first, first.count == 2, first.first == "o" else { return false }
        return first.last.map { ("1"..."9").contains($0) } ?? false
    }

    /// The version in `claude-opus-4-7`, `claude-haiku-4-5-20251001` or `claude-3-5-sonnet-20241022`; a date is none.
    private static func claudeVersion(_ words: [String]) -> (Int, Int)? {
        guard let start = words.firstIndex(of: "claude") else { return nil }
        let numbers = words[(start + 1)...].drop { Int($0) == nil }.prefix { $0.count <= 2 && Int($0) != nil }
            .compactMap { Int($0) }
        guard let major = numbers.first else { return nil }
        return (major, numbers.dropFirst().first ?? 0)
    }
}
