import Kernel

/// Whole answers of OpenAI's Responses (OpenAI API reference, The response object).
enum ResponsesReply {
    /// Throws ``DialectError`` where it is no such answer, or one that tells of a failure.
    static func read(_ document: JSONValue) throws -> ModelReply {
        let body = LocatedJSON(document)
        if let error = try body.optional("error") { throw DialectError(reading: error.value, status: 500) }
        var reply = ModelReply(
            id: try body.optional("id")?.string ?? "", model: try body.optional("model")?.string ?? "")
        for item in try body.required("output").array(max: ModelRequest.itemsMax) { reply.parts += try parts(item) }
        reply.stop = try stop(body)
        if reply.stop == .endTurn, reply.hasCalls { reply.stop = .toolUse }
        if reply.stop == .endTurn, reply.refusal != nil { reply.stop = .refusal }
        reply.usage = try body.optional("usage").map { try DialectUsage(openAI: $0) }
        return reply
    }

    static func stop(_ body: LocatedJSON) throws -> StopReason {
        switch try body.optional("incomplete_details")?.optional("reason")?.string {
        case "content_filter": .contentFilter
        case .some: .maxTokens
        case nil: .endTurn
        }
    }

    private static func parts(_ item: LocatedJSON) throws -> [ModelReply.Part] {
        switch try item.type {
        case "message":
            return try item.required("content").array(max: ModelRequest.itemsMax).compactMap { part in
                switch try part.type {
                case "output_text": return .text(try part.required("text").string, citations: try citations(part))
                case "refusal": return .refusal(try part.required("refusal").string)
                default: return nil
                }
            }
        case "reasoning":
            let summary = try item.optional("summary")?.array(max: ModelRequest.itemsMax) ?? []
            let content = try item.optional("content")?.array(max: ModelRequest.itemsMax) ?? []
            let texts = try (summary.isEmpty ? content : summary).map { try $0.required("text").string }
            return texts.isEmpty ? [] : [.reasoning(Reasoning(text: texts.joined(separator: "\n\n")))]
        case "function_call":
            return [
                .toolCall(
                    ToolCall(
                        id: try item.required("call_id").string, name: try item.required("name").string,
                        arguments: try item.required("arguments").string))
            ]
        case "web_search_call":
            return [
                .webSearch(
                    id: try item.required("id").string, query: item.value["action"]?["query"]?.string ?? "")
            ]
        default: return []
        }
    }

    private static func citations(_ part: LocatedJSON) throws -> [ModelReply.Citation] {
        try (part.optional("annotations")?.array(max: ModelRequest.itemsMax) ?? []).compactMap { note in
            guard try note.type == "url_citation" else { return nil }
            return ModelReply.Citation(
                url: try note.required("url").string, title: try note.optional("title")?.string ?? "")
        }
    }

    // MARK: Writing

    static func write(_ reply: ModelReply, _ context: ReplyContext) -> JSONValue {
        let items = ResponsesItems(replyID: Dialect.responses.id(from: reply.id))
        var output: [JSONValue] = []
        var message: [JSONValue] = []
        func close() {
            if !message.isEmpty { output.append(items.message(output.count, message, status: "completed")) }
            message = []
        }
        for part in reply.parts {
            switch part {
            case .text(let text, let citations): message.append(items.text(text, citations))
            case .refusal(let text): message.append(items.refusal(text))
            case .reasoning(let reasoning):
                close()
                if !reasoning.text.isEmpty { output.append(items.reasoning(output.count, [reasoning.text])) }
            case .toolCall(let call):
                close()
                output.append(items.call(output.count, call, status: "completed"))
            case .webSearch(let id, let query):
                close()
                output.append(items.webSearch(id, query, status: "completed"))
            }
        }
        if reply.stop == .refusal, reply.refusal == nil {
            message = message.isEmpty ? [items.refusal(ChatReply.refusalText)] : message.map(items.asRefusal)
        }
        close()
        return items.response(
            reply.model, output, context, status: reply.stop.incompleteReason == nil ? "completed" : "incomplete",
            incompleteReason: reply.stop.incompleteReason, usage: reply.usage)
    }
}

/// The pieces that responses and their streams are made of. An item's id comes from its place in its response.
struct ResponsesItems: Sendable {
    let replyID: String
    /// Items that have an id of their own already, by their place.
    var known: [Int: String] = [:]

    init(replyID: String) {
        self.replyID = replyID
    }

    private func id(_ prefix: String, _ place: Int) -> JSONValue {
        .string(
            known[place] ?? "\(prefix)_\(replyID.dropFirst(Dialect.responses.idPrefix.count))_\(place)")
    }

    func messageID(_ place: Int) -> JSONValue { id("msg", place) }
    func callID(_ place: Int) -> JSONValue { id("fc", place) }
    func reasoningID(_ place: Int) -> JSONValue { id("rs", place) }

    func text(_ text: String, _ citations: [ModelReply.Citation] = []) -> JSONValue {
        [
            "type": "output_text", "text": .string(text),
            "annotations": .array(citations.map { annotation($0, to: text.count) }), "logprobs": [],
        ]
    }

    func annotation(_ citation: ModelReply.Citation, to end: Int) -> JSONValue {
        [
            "type": "url_citation", "start_index": 0, "end_index": end.json, "url": .string(citation.url),
            "title": .string(citation.title),
        ]
    }

    func refusal(_ text: String) -> JSONValue { ["type": "refusal", "refusal": .string(text)] }

    func asRefusal(_ part: JSONValue) -> JSONValue { part["text"]?.string.map(refusal) ?? part }

    func message(_ place: Int, _ content: [JSONValue], status: JSONValue) -> JSONValue {
        [
            "id": messageID(place), "type": "message", "status": status, "role": "assistant",
            "content": .array(content),
        ]
    }

    func call(_ place: Int, _ call: ToolCall, status: JSONValue) -> JSONValue {
        [
            "id": callID(place), "type": "function_call", "status": status, "call_id": .string(call.id),
            "name": .string(call.name), "arguments": .string(call.arguments),
        ]
    }

    func reasoning(_ place: Int, _ texts: [String]) -> JSONValue {
        [
            "id": reasoningID(place), "type": "reasoning",
            "summary": .array(texts.map { ["type": "summary_text", "text": .string($0)] }),
        ]
    }

    func webSearch(_ id: String, _ query: String, status: JSONValue) -> JSONValue {
        [
            "id": .string(webSearchID(id)), "type": "web_search_call", "status": status,
            "action": ["type": "search", "query": .string(query), "queries": [.string(query)]],
        ]
    }

    func webSearchID(_ id: String) -> String { id.hasPrefix("ws_") ? id : "ws_\(Dialect.identifier(id))" }

    /// The response itself. It repeats what its request asked for.
    func response(
        _ model: String, _ output: [JSONValue], _ context: ReplyContext, status: JSONValue,
        incompleteReason: String? = nil, usage: DialectUsage? = nil, error: JSONValue = .null
    ) -> JSONValue {
        var object = JSONObject([
            .init(name: "id", value: .string(replyID)), .init(name: "object", value: "response"),
            .init(name: "created_at", value: .int(context.createdAt)), .init(name: "status", value: status),
            .init(name: "background", value: false), .init(name: "error", value: error),
            .init(
                name: "incomplete_details", value: incompleteReason.map { ["reason": .string($0)] } ?? .null),
            .init(name: "model", value: .string(context.model ?? model)),
            .init(name: "output", value: .array(output)), .init(name: "previous_response_id", value: .null),
        ])
        for member in Self.defaults { object.append(member.name, context.echo[member.name] ?? member.value) }
        object.append("usage", usage.map(\.responses) ?? .null)
        return .object(object)
    }

    private static let defaults: [JSONObject.Member] = [
        .init(name: "instructions", value: .null), .init(name: "max_output_tokens", value: .null),
        .init(name: "max_tool_calls", value: .null), .init(name: "metadata", value: [:]),
        .init(name: "parallel_tool_calls", value: true),
        .init(name: "reasoning", value: ["effort": .null, "summary": .null]),
        .init(name: "safety_identifier", value: .null), .init(name: "service_tier", value: "default"),
        .init(name: "store", value: false), .init(name: "temperature", value: 1),
        .init(name: "text", value: ["format": ["type": "text"]]), .init(name: "tool_choice", value: "auto"),
        .init(name: "tools", value: []), .init(name: "top_logprobs", value: 0), .init(name: "top_p", value: 1),
        .init(name: "truncation", value: "disabled"), .init(name: "user", value: .null),
    ]
}
