import Kernel

/// Rules by which answers are judged after the fact (`quality`).
struct QualitySettings: Sendable, Equatable {
    enum Rule: String, Sendable, CaseIterable {
        /// Neither text nor a call of a tool.
        case empty
        case refusal
        /// No JSON although JSON was asked for.
        case invalidJSON = "invalid_json"
        /// Cut at the bound of tokens.
        case truncated
    }

    var rules: Set<Rule> = []
    /// Characters that a text must have, unless a tool is called.
    var charactersMin = 0
    /// A target's breaker opens where fewer of its last answers pass; `nil` for never.
    var opensBelow: Double?
    /// A model that scores some of the answers; `nil` for none.
    var judge: JudgeSettings?

    init(_ fields: Fields) throws {
        try fields.refuseOthers(than: ["rules", "minCharacters", "openBelow", "judge"])
        for (index, item) in (try fields.optionalArray("rules", max: Rule.allCases.count) ?? []).enumerated() {
            guard let rule = item.string.flatMap(Rule.init(rawValue:)) else {
                throw Problem.invalid(
                    "\(fields.path("rules"))/\(index)",
                    "one of \(Rule.allCases.map(\.rawValue).joined(separator: ", ")) is expected")
            }
            rules.insert(rule)
        }
        charactersMin = Int(try fields.optionalInt("minCharacters", in: 1...1_000_000) ?? 0)
        opensBelow = try fields.optionalDouble("openBelow", in: 0.01...1)
        judge = try fields.optionalFields("judge").map(JudgeSettings.init)
        guard hasRules || judge != nil else {
            throw Problem.invalid(
                fields.path("rules"), "no rule is given",
                hint: "Write rules: [empty, refusal, invalid_json, truncated], minCharacters, or judge: {model}.")
        }
    }

    /// Whether anything is looked for in every answer.
    var hasRules: Bool { !rules.isEmpty || charactersMin > 0 }

    /// What an answer fails, by name and in order; empty for a good one.
    func failures(_ said: SaidAnswer, asksForJSON: Bool) -> [String] {
        var failed: [String] = []
        let text = said.text.utf8.drop { $0 <= 0x20 }
        let isRefused = !said.refusal.isEmpty || said.stop == .refusal || said.stop == .contentFilter
        if rules.contains(.empty), text.isEmpty, said.calls.isEmpty, !isRefused { failed.append(Rule.empty.rawValue) }
        if rules.contains(.refusal), isRefused { failed.append(Rule.refusal.rawValue) }
        if rules.contains(.invalidJSON), asksForJSON, said.calls.isEmpty,
            (try? JSONParser.parse(Array(said.text.utf8), depthMax: TopLevelScan.depthMax)) == nil
        {
            failed.append(Rule.invalidJSON.rawValue)
        }
        if rules.contains(.truncated), said.stop == .maxTokens { failed.append(Rule.truncated.rawValue) }
        if said.calls.isEmpty, charactersMin > 0, said.text.count < charactersMin { failed.append("min_characters") }
        return failed
    }

    /// Whether a request wants JSON (OpenAI API reference, `response_format` and `text.format`; Anthropic API
    /// reference, `output_config.format`).
    static func asksForJSON(_ document: JSONValue) -> Bool {
        let formats = [
            document["response_format"], document["text"]?["format"], document["output_config"]?["format"],
            document["output_format"],
        ]
        return formats.contains { ["json_object", "json_schema"].contains($0?["type"]?.string ?? "") }
    }
}
