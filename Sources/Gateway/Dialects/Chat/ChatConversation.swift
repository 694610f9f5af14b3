import Kernel

/// Puts a conversation into the messages of Chat Completions.
struct ChatConversation {
    private(set) var messages: [JSONValue] = []
    private(set) var dropped: [String] = []
    private let isFromChat: Bool

    init(isFromChat: Bool) {
        self.isFromChat = isFromChat
    }

    mutating func write(_ request: ModelRequest) throws {
        try instruct(request.system)
        for message in request.messages {
            switch message.role {
            case .system: try instruct(message.parts)
            case .user: try say(message)
            case .assistant: try answer(message)
            }
        }
    }

    private mutating func instruct(_ parts: [ModelPart]) throws {
        let texts = try parts.map { part in
            guard let text = part.text else { throw unsupported(part) }
            return text
        }
        guard !texts.isEmpty else { return }
        dropMarks(parts)
        messages.append(["role": "system", "content": .string(texts.joined(separator: "\n\n"))])
    }

    /// Marks cross to nobody: OpenAI caches by itself, and its imitators do not know them.
    private mutating func dropMarks(_ parts: [ModelPart]) {
        dropped += parts.compactMap(\.cache?.path)
    }

    private func unsupported(_ part: ModelPart) -> DialectError {
        .unsupported(part.path, "'\(part.path)' has no like for this model.")
    }

    // MARK: What the user says

    private mutating func say(_ message: ModelMessage) throws {
        var content: [JSONValue] = []
        var shown: [JSONValue] = []
        var hasResult = false
        for part in message.parts {
            if case .toolResult(let result) = part.kind {
                hasResult = true
                shown += try bring(result)
            } else if let piece = try piece(part) {
                content.append(piece)
            }
        }
        dropMarks(message.parts)
        content = shown + content
        guard !content.isEmpty || !hasResult else { return }
        var object = JSONObject([.init(name: "role", value: "user")])
        object.append("content", Self.plain(content))
        if let name = message.name { object.append("name", .string(name)) }
        messages.append(.object(object))
    }

    /// One text alone is written as such, which every server understands.
    private static func plain(_ content: [JSONValue]) -> JSONValue {
        if content.isEmpty { return "" }
        if content.count == 1, let text = content[0]["text"] { return text }
        return .array(content)
    }

    /// Writes the message of the tool. Only text can stand there, so what it shows is returned, to follow as the
    /// user's.
    private mutating func bring(_ result: ToolResult) throws -> [JSONValue] {
        var texts: [String] = []
        var shown: [JSONValue] = []
        for part in result.parts {
            guard let piece = try piece(part) else { continue }
            if let text = piece["text"]?.string {
                texts.append(text)
            } else {
                shown.append(piece)
            }
        }
        dropMarks(result.parts)
        if !shown.isEmpty {
            texts.append("[What this tool shows follows in the next message.]")
            shown.insert(["type": "text", "text": .string("[Shown by the tool call \(result.callID):]")], at: 0)
        }
        let text = (result.isError ? "Error: " : "") + texts.joined(separator: "\n")
        messages.append(["role": "tool", "tool_call_id": .string(result.callID), "content": .string(text)])
        return shown
    }

    /// A part of the user's content; `nil` where it is dropped.
    private mutating func piece(_ part: ModelPart) throws -> JSONValue? {
        switch part.kind {
        case .text(let text), .refusal(let text): return ["type": "text", "text": .string(text)]
        case .image(let file, let detail):
            guard let address = file.address else { throw unsupported(part) }
            var image = JSONObject([.init(name: "url", value: .string(address))])
            if let detail { image.append("detail", .string(detail)) }
            return ["type": "image_url", "image_url": .object(image)]
        case .document(.text(let text), let title):
            return ["type": "text", "text": .string([title, text].compactMap(\.self).joined(separator: "\n"))]
        case .document(let file, let title):
            if case .id(let id) = file, isFromChat { return ["type": "file", "file": ["file_id": .string(id)]] }
            guard case .base64 = file, let address = file.address else { throw unsupported(part) }
            return [
                "type": "file",
                "file": ["filename": .string(title ?? "document.pdf"), "file_data": .string(address)],
            ]
        case .foreign(let value) where isFromChat: return value
        case .trace, .reasoning:
            dropped.append(part.path)
            return nil
        case .foreign, .toolCall, .toolResult: throw unsupported(part)
        }
    }

    // MARK: What the model said

    private mutating func answer(_ message: ModelMessage) throws {
        var text: String?
        var refusal: String?
        var thought: String?
        var calls: [JSONValue] = []
        for part in message.parts {
            switch part.kind {
            case .text(let more): text = (text ?? "") + more
            case .refusal(let more): refusal = (refusal ?? "") + more
            case .reasoning(let reasoning) where isFromChat: thought = (thought ?? "") + reasoning.text
            case .reasoning, .trace: dropped.append(part.path)
            case .toolCall(let call):
                calls.append([
                    "id": .string(call.id), "type": "function",
                    "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
                ])
            case .image, .document, .toolResult, .foreign: throw unsupported(part)
            }
        }
        dropMarks(message.parts)
        var object = JSONObject([.init(name: "role", value: "assistant")])
        object.append("content", text.map(JSONValue.string) ?? (calls.isEmpty && refusal == nil ? "" : .null))
        if let refusal { object.append("refusal", .string(refusal)) }
        if let thought { object.append("reasoning_content", .string(thought)) }
        if !calls.isEmpty { object.append("tool_calls", .array(calls)) }
        messages.append(.object(object))
    }
}
