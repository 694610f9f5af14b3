import Kernel

/// Writes requests for providers of OpenAI's Chat Completions (OpenAI API reference, Create chat completion).
struct ChatRequestWriter {
    /// Stop sequences that OpenAI takes.
    static let stopsMax = 4

    private let request: ModelRequest
    private let traits: ModelTraits
    private var dropped = DroppedFields()
    private var body = JSONObject()

    /// Throws ``DialectError`` for what must not be left out.
    static func write(_ request: ModelRequest, model: String) throws -> TranslatedRequest {
        var writer = ChatRequestWriter(request, model: model)
        writer.body.append("model", .string(model))
        var conversation = ChatConversation(isFromChat: request.source == .chat)
        try conversation.write(request)
        writer.body.append("messages", .array(conversation.messages))
        writer.dropped.insert(conversation.dropped)
        writer.writeLimits()
        writer.writeSampling()
        writer.writeFormat()
        try writer.writeTools()
        writer.writeRest()
        try request.dropExtras(for: .chat, passing: passing, to: &writer.body, &writer.dropped)
        return TranslatedRequest(body: .object(writer.body), dropped: writer.dropped)
    }

    private init(_ request: ModelRequest, model: String) {
        self.request = request
        traits = ModelTraits(model)
    }

    /// Members of Responses that mean the same here.
    private static let passing: Set<String> = [
        "metadata", "store", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
    ]

    // MARK: Settings

    private mutating func writeLimits() {
        if let outputMax = request.outputMax {
            // Servers that imitate OpenAI know the old name; OpenAI's reasoning models take only the new one.
            body.append(traits.isOpenAIReasoning ? "max_completion_tokens" : "max_tokens", outputMax.json)
        }
        if let stops = request.stops.value, !stops.isEmpty {
            body.append("stop", .list(stops.prefix(Self.stopsMax)))
            if stops.count > Self.stopsMax { dropped.insert(request.stops.path) }
        }
        if let choices = request.choices.value { body.append("n", choices.json) }
    }

    private mutating func writeSampling() {
        for (name, wish) in [("temperature", request.temperature), ("top_p", request.topP)] {
            guard let value = wish.value else { continue }
            if !traits.isOpenAIReasoning || request.source == .chat {
                body.append(name, .double(value))
            } else if value != 1 {
                dropped.insert(wish.path)
            }
        }
        if request.topK.value != nil { dropped.insert(request.topK.path) }
        guard let wish = request.reasoning.value else { return }
        if let effort = effort(wish) {
            if traits.takesEffort {
                body.append("reasoning_effort", .string(effort))
            } else {
                dropped.insert(request.reasoning.path)
            }
        }
        if wish.summary != nil { dropped.insert("\(request.reasoning.path).\(summaryName)") }
    }

    private var summaryName: String { request.source == .messages ? "display" : "summary" }

    private func effort(_ wish: ModelRequest.ReasoningWish) -> String? {
        switch wish.amount {
        case .off: request.source.isOpenAI ? "none" : nil
        case .effort(let word): word
        case .tokens(let budget): budget < 4_096 ? "low" : budget < 16_384 ? "medium" : "high"
        case .adaptive, nil:
            // The highest two are not known to every server.
            wish.effort.map { ["xhigh", "max"].contains($0) ? "high" : $0 }
        }
    }

    private mutating func writeFormat() {
        switch request.format.value {
        case .jsonObject: body.append("response_format", ["type": "json_object"])
        case .schema(let name, let description, let schema, let isStrict):
            var described = JSONObject([.init(name: "name", value: .string(name))])
            if let description { described.append("description", .string(description)) }
            described.append("schema", schema)
            if let isStrict {
                described.append("strict", .bool(isStrict))
            } else if request.source == .messages {
                // Anthropic always holds to the schema; OpenAI does so only for schemas without optional members.
                described.append("strict", .bool(ClosedSchema.isClosed(schema)))
            }
            body.append("response_format", ["type": "json_schema", "json_schema": .object(described)])
        case nil: break
        }
    }

    // MARK: Tools

    private mutating func writeTools() throws {
        for tool in request.serverTools { try writeServerTool(tool) }
        guard !request.tools.isEmpty else { return }
        body.append(
            "tools",
            .array(
                request.tools.map { tool in
                    var function = JSONObject([.init(name: "name", value: .string(tool.name))])
                    if let description = tool.description { function.append("description", .string(description)) }
                    if let schema = tool.schema { function.append("parameters", schema) }
                    if let isStrict = tool.isStrict { function.append("strict", .bool(isStrict)) }
                    return ["type": "function", "function": .object(function)]
                }))
        dropped.insert(request.tools.compactMap(\.cache?.path))
        if let choice = request.toolChoice.value { body.append("tool_choice", Self.choice(choice)) }
        if let allows = request.allowsParallelCalls.value { body.append("parallel_tool_calls", .bool(allows)) }
    }

    private static func choice(_ choice: ModelRequest.ToolChoice) -> JSONValue {
        func function(_ name: String) -> JSONValue { ["type": "function", "function": ["name": .string(name)]] }
        switch choice {
        case .auto: return "auto"
        case .never: return "none"
        case .required: return "required"
        case .tool(let name): return function(name)
        case .allowed(let names, let isRequired):
            return [
                "type": "allowed_tools",
                "allowed_tools": ["mode": isRequired ? "required" : "auto", "tools": .array(names.map(function))],
            ]
        }
    }

    private mutating func writeServerTool(_ tool: ServerTool) throws {
        guard case .webSearch(let search) = tool.kind, body["web_search_options"] == nil else {
            throw DialectError.unsupported(tool.path, "'\(tool.path)' is run by the provider, and this one has none.")
        }
        for (domains, name) in [(search.allowedDomains, "allowed_domains"), (search.blockedDomains, "blocked_domains")]
        where domains?.isEmpty == false {
            let path = "\(tool.path).\(request.source == .responses ? "filters." : "")\(name)"
            throw DialectError.unsupported(path, "'\(path)' bounds the search, and this model cannot.")
        }
        if search.usesMax != nil { dropped.insert("\(tool.path).max_uses") }
        var options = JSONObject()
        if let size = search.contextSize { options.append("search_context_size", .string(size)) }
        if var location = search.location {
            location["type"] = nil
            options.append("user_location", ["type": "approximate", "approximate": .object(location)])
        }
        body.append("web_search_options", .object(options))
    }

    // MARK: The rest

    private mutating func writeRest() {
        if request.isStreamed {
            body.append("stream", true)
            // Usage is always wanted here; whether the client sees it is its own matter.
            body.append("stream_options", ["include_usage": true])
        }
        if let user = request.user.value {
            body.append(request.source.isOpenAI ? request.user.path : "user", .string(user))
        }
        if let tier = request.serviceTier.value {
            if request.source.isOpenAI {
                body.append("service_tier", .string(tier))
            } else if tier == "standard_only" {
                body.append("service_tier", "default")
            }
        }
    }
}
