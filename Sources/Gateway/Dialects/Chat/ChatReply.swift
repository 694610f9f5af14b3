import Kernel

/// Whole answers of OpenAI's Chat Completions (OpenAI API reference, The chat completion object).
enum ChatReply {
    /// Throws ``DialectError`` where it is no such answer.
    static func read(_ document: JSONValue) throws -> ModelReply {
        let body = LocatedJSON(document)
        var reply = ModelReply(
            id: try body.optional("id")?.string ?? "", model: try body.optional("model")?.string ?? "")
        let choices = try body.required("choices")
        guard let choice = try choices.array(max: ModelRequest.itemsMax).first else {
            throw choices.wrong("must hold at least one choice")
        }
        let message = try choice.required("message")
        if let thought = try message.optional("reasoning_content") ?? message.optional("reasoning") {
            let text = try thought.string
            if !text.isEmpty { reply.parts.append(.reasoning(Reasoning(text: text))) }
        }
        reply.parts += try content(message)
        if let refusal = try message.optional("refusal") { reply.parts.append(.refusal(try refusal.string)) }
        for (index, call) in try (message.optional("tool_calls")?.array(max: ModelRequest.itemsMax) ?? []).enumerated()
        {
            reply.parts.append(.toolCall(try self.call(call, index, of: reply.id)))
        }
        reply.stop = StopReason(chat: try choice.optional("finish_reason")?.string ?? "stop")
        if reply.stop == .endTurn, reply.hasCalls { reply.stop = .toolUse }
        if reply.stop == .endTurn, reply.refusal != nil { reply.stop = .refusal }
        reply.usage = try body.optional("usage").map { try DialectUsage(openAI: $0) }
        return reply
    }

    private static func content(_ message: LocatedJSON) throws -> [ModelReply.Part] {
        guard let content = try message.optional("content") else { return [] }
        var parts: [ModelReply.Part] = []
        if case .array = content.value {
            for piece in try content.array(max: ModelRequest.itemsMax) {
                if let (text, isThought) = try ChatReply.piece(piece) {
                    parts.append(isThought ? .reasoning(Reasoning(text: text)) : .text(text, citations: []))
                }
            }
            return parts
        }
        let text = try content.string
        let citations = try message.optional("annotations")?.array(max: ModelRequest.itemsMax).compactMap { note in
            try note.optional("url_citation").map {
                ModelReply.Citation(url: try $0.required("url").string, title: try $0.optional("title")?.string ?? "")
            }
        }
        return text.isEmpty ? [] : [.text(text, citations: citations ?? [])]
    }

    /// A part of content that comes as a list, as some servers send it: its text, and whether that is thought. `nil`
    /// for what is neither.
    static func piece(_ piece: LocatedJSON) throws -> (String, isThought: Bool)? {
        switch try piece.type {
        case "text": return (try piece.required("text").string, false)
        case "thinking":
            let inner = try piece.required("thinking")
            if case .string(let text) = inner.value { return (text, true) }
            return (
                try inner.array(max: ModelRequest.itemsMax).map { try $0.optional("text")?.string ?? "" }.joined(),
                true
            )
        default: return nil
        }
    }

    /// Servers that imitate OpenAI leave ids out; their place makes one that stands only once.
    private static func call(_ call: LocatedJSON, _ index: Int, of reply: String) throws -> ToolCall {
        let function = try call.required("function")
        let arguments = try function.optional("arguments")
        let text: String
        // Some send the object itself.
        if case .object? = arguments?.value {
            text = arguments?.value.text ?? ""
        } else {
            text = try arguments?.string ?? ""
        }
        return ToolCall(
            id: try call.optional("id")?.string ?? madeID(index, of: reply),
            name: try function.required("name").string, arguments: text)
    }

    static func madeID(_ index: Int, of reply: String) -> String {
        "call_\(Dialect.identifier(String(reply.suffix(20))))_\(index)"
    }

    // MARK: Writing

    static func write(_ reply: ModelReply, _ context: ReplyContext) -> JSONValue {
        var object = JSONObject([
            .init(name: "id", value: .string(Dialect.chat.id(from: reply.id))),
            .init(name: "object", value: "chat.completion"), .init(name: "created", value: .int(context.createdAt)),
            .init(name: "model", value: .string(context.model ?? reply.model)),
        ])
        object.append(
            "choices",
            [
                [
                    "index": 0, "message": message(reply), "logprobs": .null,
                    "finish_reason": .string(reply.stop.chat),
                ]
            ])
        if let usage = reply.usage { object.append("usage", usage.chat) }
        return .object(object)
    }

    private static func message(_ reply: ModelReply) -> JSONValue {
        var text = ""
        var annotations: [JSONValue] = []
        var thought = ""
        var calls: [JSONValue] = []
        for part in reply.parts {
            switch part {
            case .text(let more, let citations):
                annotations += citations.map { annotation($0, from: text.count, to: text.count + more.count) }
                text += more
            case .reasoning(let reasoning): thought += reasoning.text
            case .toolCall(let call):
                calls.append([
                    "id": .string(call.id), "type": "function",
                    "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
                ])
            case .refusal, .webSearch: break
            }
        }
        var refusal = reply.refusal
        if refusal == nil, reply.stop == .refusal {
            // What was said of a refused answer is the refusal, as OpenAI has it.
            refusal = text.isEmpty ? refusalText : text
            text = ""
        }
        var message = JSONObject([
            .init(name: "role", value: "assistant"),
            .init(
                name: "content",
                value: text.isEmpty && (!calls.isEmpty || refusal != nil) ? .null : .string(text)),
            .init(name: "refusal", value: .of(refusal)),
        ])
        if !annotations.isEmpty { message.append("annotations", .array(annotations)) }
        if !thought.isEmpty { message.append("reasoning_content", .string(thought)) }
        if !calls.isEmpty { message.append("tool_calls", .array(calls)) }
        return .object(message)
    }

    /// Said where a model refuses without a word.
    static let refusalText = "The model declined to answer."

    private static func annotation(_ citation: ModelReply.Citation, from start: Int, to end: Int) -> JSONValue {
        [
            "type": "url_citation",
            "url_citation": [
                "start_index": start.json, "end_index": end.json, "url": .string(citation.url),
                "title": .string(citation.title),
            ],
        ]
    }
}
