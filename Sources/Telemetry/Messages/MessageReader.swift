import Kernel

/// Reads messages out of JSON in the shapes that instrumentations write: OpenTelemetry's parts, the requests and
/// answers of OpenAI, Anthropic and Gemini, LangChain's messages. Takes what it knows and keeps the rest as it is: what
/// comes is hostile, and none of it is an error.
struct MessageReader {
    /// Messages of one side of a span that are told; those behind them are not.
    static let messagesMax = 10_000
    /// Parts of all of them together.
    static let partsMax = 50_000
    /// Levels of lists within lists that are looked through for messages.
    static let depthMax = 8

    private(set) var messages: [SpanMessage] = []
    private(set) var finishReasons: [String] = []
    /// Whether all were taken.
    private(set) var isWhole = true
    private var partsLeft = MessageReader.partsMax

    mutating func add(_ message: SpanMessage) {
        guard messages.count < Self.messagesMax, message.parts.count <= partsLeft else {
            isWhole = false
            return
        }
        partsLeft -= message.parts.count
        messages.append(message)
    }

    /// Whether something was there, even if nothing of it could be taken.
    var isEmpty: Bool { messages.isEmpty && isWhole }

    /// Adds what a value says: messages where it has any, else all of it as a text.
    ///
    /// - Parameter role: Whose it is where it does not say so.
    mutating func read(_ value: JSONValue, role: String) {
        let value = Self.lifted(value)
        if take(value, role: role, depth: 0) { return }
        let text = value.string ?? value.text
        if !value.isNull, !text.isEmpty { add(SpanMessage(role, [.text(text)])) }
    }

    /// - Returns: Whether it was of a shape that has messages.
    private mutating func take(_ value: JSONValue, role: String, depth: Int) -> Bool {
        guard depth < Self.depthMax else { return false }
        switch value {
        case .array(let items): return take(items, role: role, depth: depth)
        case .object(let object): return take(object, role: role, depth: depth)
        default: return false
        }
    }

    private mutating func take(_ items: [JSONValue], role: String, depth: Int) -> Bool {
        guard !items.isEmpty else { return true }
        // A list of OpenTelemetry's holds nothing but primitives, so each message is a text of its own.
        let items = items.first?.string?.utf8.first == UInt8(ascii: "{") ? items.map(Self.lifted) : items
        guard items.allSatisfy({ $0.object != nil || $0.array != nil || $0.string != nil }) else { return false }
        let objects = items.compactMap(\.object)
        if objects.count == items.count, objects.allSatisfy(PartReader.isPart) {
            add(SpanMessage(role, objects.flatMap { PartReader.parts(.object($0)) }))
            return true
        }
        guard !objects.isEmpty || items.contains(where: { $0.array != nil }) else { return false }
        let before = self
        for item in items {
            if let text = item.string {
                add(SpanMessage(role, [.text(text)]))
            } else if !take(item, role: role, depth: depth + 1) {
                self = before
                return false
            }
        }
        return true
    }

    /// An envelope around messages, or one message.
    private mutating func take(_ object: JSONObject, role: String, depth: Int) -> Bool {
        if let choices = object["choices"]?.array {
            for choice in choices { takeChoice(choice.object ?? JSONObject(), role: role, depth: depth) }
            return true
        }
        for (name, instructions) in Self.envelopes {
            guard let inner = object[name], inner.array != nil || inner.string != nil else { continue }
            if object["role"] != nil || object["type"]?.string == "function_call_output" { break }
            for instruction in instructions {
                if let text = object[instruction], !text.isNull { read(text, role: SpanMessage.system) }
            }
            if let text = inner.string {
                if name == "messages" { return false }
                add(SpanMessage(role, [.text(text)]))
                return true
            }
            return take(inner, role: role, depth: depth + 1)
        }
        guard let message = Self.message(object, role: role) else { return false }
        note(object["finish_reason"] ?? object["stop_reason"])
        add(message)
        return true
    }

    /// Members that hold messages, with those beside them that hold the system's instructions: OpenAI's chat and
    /// Anthropic's requests, Gemini's, answers of OpenAI's Responses API, its requests, old completions.
    private static let envelopes = [
        ("messages", ["system"]), ("contents", ["system_instruction", "systemInstruction"]), ("output", []),
        ("input", ["instructions"]), ("prompt", ["system"]),
    ]

    private mutating func takeChoice(_ choice: JSONObject, role: String, depth: Int) {
        note(choice["finish_reason"])
        if let message = choice["message"] ?? choice["delta"] {
            _ = take(Self.lifted(message), role: role, depth: depth + 1)
        } else if let text = choice["text"]?.string {
            add(SpanMessage(role, [.text(text)]))
        }
    }

    mutating func note(_ reason: JSONValue?) {
        guard finishReasons.count < Self.messagesMax, let reason = reason?.string.flatMap(FinishReason.read) else {
            return
        }
        finishReasons.append(reason)
    }

    /// JSON that was written as text, where it is an object or a list; all else as it is.
    static func lifted(_ value: JSONValue) -> JSONValue {
        guard let text = value.string, let first = text.utf8.first(where: { !PartReader.isSpace($0) }),
            first == UInt8(ascii: "{") || first == UInt8(ascii: "["),
            let parsed = try? JSONParser.parse(text, depthMax: AttributeValue.depthMax)
        else { return value }
        return parsed
    }
}

extension MessageReader {
    /// One message, in any of the shapes; `nil` for an object that is none.
    static func message(_ outer: JSONObject, role: String) -> SpanMessage? {
        // OpenInference's flattened names say in each list what its elements are; LangChain packs messages twice.
        var object = outer["message"].map(lifted)?.object ?? outer["kwargs"]?.object ?? outer
        if let data = object["data"]?.object, data["content"] != nil, let type = object["type"] {
            object = data
            object["type"] = object["type"] ?? type
        }
        let type = object["type"]?.string
        switch type {
        case "function_call", "custom_tool_call", "reasoning":
            return SpanMessage(SpanMessage.assistant, PartReader.parts(.object(object)))
        case "function_call_output", "custom_tool_call_output":
            return SpanMessage(SpanMessage.tool, PartReader.parts(.object(object)))
        default: break
        }
        let named = object["role"]?.string ?? outer["role"]?.string ?? typedRole(type)
        guard named != nil || bodies.contains(where: { object[$0] != nil }) else { return nil }
        return SpanMessage(named ?? role, name: object["name"]?.string, parts(of: object, role: named ?? role))
    }

    /// Members of which a message has at least one, where it names no role.
    private static let bodies = [
        "content", "contents", "parts", "tool_calls", "function_call_name", "prompt", "completion",
    ]

    private static func typedRole(_ type: String?) -> String? {
        switch type?.lowercased() {
        case "human", "ai", "system", "tool", "user", "assistant": type
        default: nil
        }
    }

    private static func parts(of message: JSONObject, role: String) -> [SpanMessage.Part] {
        var parts: [SpanMessage.Part] = []
        for name in ["reasoning_content", "reasoning"] {
            if let text = message[name]?.string, !text.isEmpty { parts.append(.reasoning(text)) }
        }
        let id = message["tool_call_id"]?.string
        let content = message["content"]
        if let content = id == nil ? nil : content ?? message["contents"] {
            parts.append(.toolResponse(id: id, response: PartReader.response(content)))
        } else if let id, message["parts"] == nil {
            parts.append(.toolResponse(id: id, response: .null))
        } else {
            for body in [content.map(typedList), message["contents"], message["parts"], message["prompt"]] {
                if let body { parts += PartReader.parts(lists: body) }
            }
            if let text = message["completion"] { parts += PartReader.parts(lists: text) }
        }
        if let refusal = message["refusal"]?.string, !refusal.isEmpty { parts.append(.refusal(refusal)) }
        for call in message["tool_calls"].map(lifted)?.array ?? [] {
            if let call = call.object { parts.append(PartReader.toolCall(call["tool_call"]?.object ?? call)) }
        }
        if let call = message["function_call"].map(lifted)?.object, !call.isEmpty {
            parts.append(PartReader.toolCall(call))
        }
        if let name = message["function_call_name"]?.string {
            let arguments = message["function_call_arguments_json"] ?? .null
            parts.append(.toolCall(id: nil, name: name, arguments: lifted(arguments)))
        }
        return parts
    }

    /// A text that is a list of typed parts; any other text is what was said, also where it is JSON.
    private static func typedList(_ content: JSONValue) -> JSONValue {
        guard content.string?.utf8.first == UInt8(ascii: "["), let items = lifted(content).array, !items.isEmpty,
            items.allSatisfy({ $0.object.map(PartReader.isPart) ?? false })
        else { return content }
        return .array(items)
    }
}
