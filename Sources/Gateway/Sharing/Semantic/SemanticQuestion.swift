import Kernel

/// What is compared of a call, and what has to be the same: everything but its last user message. Pure.
struct SemanticQuestion: Sendable, Equatable {
    let text: String
    /// The request without that text.
    let rest: JSONValue

    /// `nil` where another call's answer must not do: there are tools' calls or results in it, something other than
    /// text is asked, or it wants an answer of its own each time.
    init?(_ request: DoorRequest, _ settings: SemanticSettings) {
        guard let name = Self.conversation(of: request.door),
            let document = try? JSONParser.parse(request.body, depthMax: TopLevelScan.depthMax),
            var body = document.object, (body["temperature"]?.double ?? 1) <= settings.temperatureMax
        else { return nil }
        var text: String?
        if request.door == .responses, let question = body[name]?.string {
            text = question
            body[name] = .null
        } else if var turns = body[name]?.array, let last = turns.last, last["role"]?.string == "user",
            !turns.contains(where: Self.usesTools)
        {
            text = last["content"].flatMap(Self.text)
            var emptied = last.object
            emptied?["content"] = .null
            turns[turns.count - 1] = emptied.map { .object($0) } ?? .null
            body[name] = .array(turns)
        }
        guard let text, (1...SemanticSettings.questionBytesMax).contains(text.utf8.count) else { return nil }
        self.text = text
        rest = .object(body)
    }

    /// Where a conversation stands (OpenAI API reference, Chat Completions and Responses; Anthropic API reference,
    /// Messages).
    private static func conversation(of door: ModelDoor) -> String? {
        switch door {
        case .chat, .messages: "messages"
        case .responses: "input"
        case .embeddings, .countTokens: nil
        }
    }

    /// A text, or parts of which each is one.
    private static func text(_ content: JSONValue) -> String? {
        if let text = content.string { return text }
        guard let parts = content.array, !parts.isEmpty else { return nil }
        var texts: [String] = []
        for part in parts {
            guard ["text", "input_text"].contains(part["type"]?.string ?? ""), let text = part["text"]?.string else {
                return nil
            }
            texts.append(text)
        }
        return texts.joined(separator: "\n")
    }

    /// Whether a turn is anything but somebody's words.
    private static func usesTools(_ turn: JSONValue) -> Bool {
        guard let role = turn["role"]?.string, ["system", "developer", "user", "assistant"].contains(role) else {
            return true
        }
        if turn["tool_calls"]?.isNull == false || turn["function_call"]?.isNull == false { return true }
        return (turn["content"]?.array ?? []).contains { part in
            let type = part["type"]?.string ?? ""
            return type.contains("tool") || type.contains("function")
        }
    }
}

/// The direction of a text's meaning, of length 1.
struct SemanticVector: Sendable, Equatable {
    let numbers: [Float]

    /// `nil` where there is no direction: nothing, all zero, or no numbers.
    init?(_ numbers: [Double]) {
        guard (1...SemanticSettings.dimensionsMax).contains(numbers.count) else { return nil }
        let length = numbers.reduce(0) { $0 + $1 * $1 }.squareRoot()
        guard length.isFinite, length > 1e-12 else { return nil }
        self.numbers = numbers.map { Float($0 / length) }
    }

    /// From an answer of Embeddings (OpenAI API reference).
    init?(reply: JSONValue) {
        guard let items = reply["data"]?.array, items.count == 1, let values = items[0]["embedding"]?.array else {
            return nil
        }
        let numbers = values.compactMap(\.double)
        guard numbers.count == values.count else { return nil }
        self.init(numbers)
    }

    /// The cosine of the angle between two; `nil` where they are of different models.
    func cosine(_ other: SemanticVector) -> Double? {
        guard numbers.count == other.numbers.count else { return nil }
        var sum: Float = 0
        for index in numbers.indices { sum += numbers[index] * other.numbers[index] }
        return Double(sum)
    }
}
