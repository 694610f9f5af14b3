import Kernel

/// Whole answers of Anthropic's Messages (Anthropic API reference, The message object).
enum MessagesReply {
    /// Throws ``DialectError`` where it is no such answer.
    static func read(_ document: JSONValue) throws -> ModelReply {
        let body = LocatedJSON(document)
        var reply = ModelReply(
            id: try body.optional("id")?.string ?? "", model: try body.optional("model")?.string ?? "")
        for block in try body.required("content").array(max: ModelRequest.itemsMax) {
            if let part = try part(block) { reply.parts.append(part) }
        }
        reply.stop = StopReason(messages: try body.optional("stop_reason")?.string ?? "end_turn")
        reply.stopSequence = try body.optional("stop_sequence")?.string
        if reply.stop == .refusal, let explanation = try explanation(body) { reply.parts.append(.refusal(explanation)) }
        reply.usage = try body.optional("usage").map { try DialectUsage(messages: $0) }
        return reply
    }

    /// Why the model refused, where it says so.
    static func explanation(_ body: LocatedJSON) throws -> String? {
        try body.optional("stop_details")?.optional("explanation")?.string
    }

    private static func part(_ block: LocatedJSON) throws -> ModelReply.Part? {
        switch try block.type {
        case "text":
            let citations = try block.optional("citations")?.array(max: ModelRequest.itemsMax).compactMap {
                try citation($0)
            }
            return .text(try block.required("text").string, citations: citations ?? [])
        case "thinking":
            return .reasoning(
                Reasoning(
                    text: try block.required("thinking").string, signature: try block.optional("signature")?.string))
        case "redacted_thinking":
            return .reasoning(Reasoning(text: "", sealed: try block.required("data").string))
        case "tool_use":
            return .toolCall(
                ToolCall(
                    id: try block.required("id").string, name: try block.required("name").string,
                    arguments: JSONValue.object(try block.required("input").object).text))
        case "server_tool_use" where block.value["name"]?.string == "web_search":
            return .webSearch(
                id: try block.required("id").string, query: block.value["input"]?["query"]?.string ?? "")
        // Results and what else is new: what came of it stands in the text.
        default: return nil
        }
    }

    /// A source on the web; `nil` for a place in a document, which no other dialect names.
    static func citation(_ citation: LocatedJSON) throws -> ModelReply.Citation? {
        guard try citation.type == "web_search_result_location" else { return nil }
        return ModelReply.Citation(
            url: try citation.required("url").string, title: try citation.optional("title")?.string ?? "")
    }

    // MARK: Writing

    static func write(_ reply: ModelReply, _ context: ReplyContext) -> JSONValue {
        var stop = reply.stop
        if reply.refusal != nil, stop == .endTurn { stop = .refusal }
        var object = JSONObject([
            .init(name: "id", value: .string(Dialect.messages.id(from: reply.id))),
            .init(name: "type", value: "message"), .init(name: "role", value: "assistant"),
            .init(name: "model", value: .string(context.model ?? reply.model)),
            .init(name: "content", value: .array(reply.parts.compactMap(block))),
            .init(name: "stop_reason", value: .string(stop.messages)),
            .init(name: "stop_sequence", value: .of(stop == .stopSequence ? reply.stopSequence : nil)),
        ])
        if stop == .refusal || stop == .contentFilter {
            object.append("stop_details", stopDetails(reply.refusal))
        }
        object.append("usage", (reply.usage ?? DialectUsage()).messages)
        return .object(object)
    }

    static func stopDetails(_ explanation: String?) -> JSONValue {
        ["type": "refusal", "category": .null, "explanation": .of(explanation)]
    }

    private static func block(_ part: ModelReply.Part) -> JSONValue? {
        switch part {
        case .text(let text, _), .refusal(let text):
            return text.isEmpty ? nil : ["type": "text", "text": .string(text)]
        case .reasoning(let reasoning):
            if let sealed = reasoning.sealed { return ["type": "redacted_thinking", "data": .string(sealed)] }
            return [
                "type": "thinking", "thinking": .string(reasoning.text),
                "signature": .string(reasoning.signature ?? ""),
            ]
        case .toolCall(let call):
            return [
                "type": "tool_use", "id": .string(Dialect.identifier(call.id)), "name": .string(call.name),
                "input": call.input.value,
            ]
        // Its results could not follow: they are the provider's own.
        case .webSearch: return nil
        }
    }
}
