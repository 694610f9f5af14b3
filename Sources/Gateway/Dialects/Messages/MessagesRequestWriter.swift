import Kernel

/// Writes requests for providers of Anthropic's Messages (Anthropic API reference, Create a message).
struct MessagesRequestWriter {
    /// Tokens of an answer where the caller sets no limit, which Anthropic wants; every Claude model takes so many.
    static let outputMaxDefault = 4_096
    /// Tokens below which Anthropic takes no budget for thinking.
    static let thinkingMin = 1_024
    /// Characters of a pseudonym of the user.
    static let userCharactersMax = 256
    /// Tokens of thinking for each effort.
    static let budgets = [
        "minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 32_768, "max": 32_768,
    ]

    private let request: ModelRequest
    private let traits: ModelTraits
    private var dropped = DroppedFields()
    private var body = JSONObject()
    private var conversation: MessagesConversation
    private let marks: CacheMarks
    /// What is added to the instructions where the dialect has no field for it.
    private var instructions: [String] = []
    private var thinks = false
    private var output = JSONObject()

    /// Throws ``DialectError`` for what must not be left out.
    static func write(_ request: ModelRequest, model: String) throws -> TranslatedRequest {
        var writer = try MessagesRequestWriter(request, model: model)
        if let choices = request.choices.value, choices > 1 {
            throw DialectError.unsupported(request.choices.path, "This model gives one answer at a time.")
        }
        writer.body.append("model", .string(model))
        writer.dropped.insert(writer.marks.dropped)
        writer.dropped.insert(writer.conversation.dropped)
        writer.writeThinking()
        writer.writeFormat()
        writer.writePrompt()
        try writer.writeTools()
        writer.writeSampling()
        writer.writeRest()
        try request.dropExtras(for: .messages, passing: [], to: &writer.body, &writer.dropped)
        return TranslatedRequest(body: .object(writer.body), dropped: writer.dropped)
    }

    private init(_ request: ModelRequest, model: String) throws {
        self.request = request
        traits = ModelTraits(model)
        marks = CacheMarks(request)
        conversation = try MessagesConversation(request, marks: marks)
    }

    // MARK: Thinking and limits

    /// Also writes `max_tokens`, of which thinking is a part.
    private mutating func writeThinking() {
        let asked = request.outputMax
        let budget = min(wantedBudget, asked.map { $0 / 2 } ?? .max)
        let isPossible = traits.thinksAdaptively ? !forcesCall : !forcesCall && !lacksThoughts
        if wantedBudget > 0, isPossible, budget >= Self.thinkingMin || traits.thinksAdaptively {
            thinks = true
            body.append("max_tokens", (asked ?? wantedBudget + Self.outputMaxDefault).json)
            body.append(
                "thinking",
                traits.thinksAdaptively
                    ? ["type": "adaptive"] : ["type": "enabled", "budget_tokens": budget.json])
        } else {
            body.append("max_tokens", (asked ?? Self.outputMaxDefault).json)
            if wantedBudget > 0 { dropped.insert(effortPath) }
        }
        if thinks, traits.thinksAdaptively, case .effort(let word) = request.reasoning.value?.amount {
            output.append("effort", .string(word == "minimal" ? "low" : word))
        }
        if request.reasoning.value?.summary != nil, request.source == .responses {
            dropped.insert("\(request.reasoning.path).summary")
        }
    }

    private var wantedBudget: Int {
        switch request.reasoning.value?.amount {
        case .effort(let word): Self.budgets[word] ?? Self.budgets["medium", default: Self.thinkingMin]
        case .tokens(let budget): budget
        case .adaptive: Self.budgets["medium", default: Self.thinkingMin]
        case .off, nil: 0
        }
    }

    private var effortPath: String {
        request.source == .responses ? "\(request.reasoning.path).effort" : request.reasoning.path
    }

    /// A model that has to call a tool cannot think first (Anthropic API reference, Extended thinking with tool use).
    private var forcesCall: Bool {
        guard !request.tools.isEmpty else { return false }
        return switch request.toolChoice.value {
        case .required, .tool, .allowed(_, isRequired: true): true
        case .auto, .never, .allowed, nil: false
        }
    }

    /// A model that thinks within a budget wants to see the thoughts behind its last calls, and no other dialect
    /// carries them.
    private var lacksThoughts: Bool { conversation.endsWithUnsignedCalls }

    // MARK: Output

    private mutating func writeFormat() {
        switch request.format.value {
        case .schema(_, let description, let schema, _) where traits.takesSchemas:
            var closed = ClosedSchema.close(schema)
            if let description, closed["description"] == nil, var object = closed.object {
                object.append("description", .string(description))
                closed = .object(object)
            }
            output.append("format", ["type": "json_schema", "schema": closed])
        case .schema(_, _, let schema, _):
            dropped.insert(request.format.path)
            instructions.append(
                "Answer with one JSON document that matches this JSON Schema, and with nothing else: \(schema.text)")
        case .jsonObject:
            dropped.insert(request.format.path)
            instructions.append("Answer with one JSON object and with nothing else.")
        case nil: break
        }
        if !output.isEmpty { body.append("output_config", .object(output)) }
    }

    private mutating func writePrompt() {
        let system =
            conversation.system + instructions.map { ["type": "text", "text": .string($0)] }
        if system.count == 1, let text = system[0]["text"], system[0]["cache_control"] == nil {
            body.append("system", text)
        } else if !system.isEmpty {
            body.append("system", .array(system))
        }
        body.append("messages", .array(conversation.messages))
    }

    // MARK: Tools

    private mutating func writeTools() throws {
        var tools = try request.serverTools.map { try serverTool($0) }
        var isForced = false
        if case .allowed(let names, let isRequired) = request.toolChoice.value {
            isForced = isRequired
            tools += request.tools.filter { names.contains($0.name) }.map { tool($0) }
        } else {
            tools += request.tools.map { tool($0) }
        }
        guard !tools.isEmpty else { return writeToolsOfHistory() }
        body.append("tools", .array(tools))
        var choice = JSONObject()
        switch request.toolChoice.value {
        case .auto: choice.append("type", "auto")
        case .never: choice.append("type", "none")
        case .required: choice.append("type", "any")
        case .allowed: choice.append("type", isForced ? "any" : "auto")
        case .tool(let name):
            choice.append("type", "tool")
            choice.append("name", .string(name))
        case nil: break
        }
        if request.allowsParallelCalls.value == false, request.toolChoice.value != .never {
            if choice.isEmpty { choice.append("type", "auto") }
            choice.append("disable_parallel_tool_use", true)
        }
        if !choice.isEmpty { body.append("tool_choice", .object(choice)) }
    }

    /// Calls in a conversation need tools in the request, even where none may be called any more.
    private mutating func writeToolsOfHistory() {
        guard conversation.hasCalls else { return }
        var names: [String] = []
        for message in request.messages {
            for case .toolCall(let call) in message.parts.map(\.kind) where !names.contains(call.name) {
                guard names.count < Self.historyToolsMax else { break }
                names.append(call.name)
            }
        }
        body.append(
            "tools", .array(names.map { ["name": .string($0), "input_schema": ["type": "object"]] }))
        body.append("tool_choice", ["type": "none"])
    }

    /// Tools that are named again because a conversation has called them.
    static let historyToolsMax = 128

    private mutating func tool(_ tool: ModelTool) -> JSONValue {
        var json = JSONObject([.init(name: "name", value: .string(tool.name))])
        if let description = tool.description { json.append("description", .string(description)) }
        var schema = tool.schema?.object ?? JSONObject()
        if schema["type"] == nil { schema.append("type", "object") }
        if tool.isStrict == true {
            if traits.takesSchemas {
                json.append("input_schema", ClosedSchema.close(.object(schema)))
                json.append("strict", true)
            } else {
                dropped.insert(strictPath(tool))
            }
        }
        if json["input_schema"] == nil { json.append("input_schema", .object(schema)) }
        marks.write(tool.cache, to: &json)
        return .object(json)
    }

    private func strictPath(_ tool: ModelTool) -> String {
        request.source == .chat ? "\(tool.path).function.strict" : "\(tool.path).strict"
    }

    private mutating func serverTool(_ tool: ServerTool) throws -> JSONValue {
        guard case .webSearch(let search) = tool.kind else {
            throw DialectError.unsupported(tool.path, "'\(tool.path)' is run by the provider, and this one has none.")
        }
        var json = JSONObject([
            .init(name: "type", value: "web_search_20250305"), .init(name: "name", value: "web_search"),
        ])
        if let uses = search.usesMax { json.append("max_uses", uses.json) }
        if let domains = search.allowedDomains, !domains.isEmpty { json.append("allowed_domains", .list(domains)) }
        if let domains = search.blockedDomains, !domains.isEmpty { json.append("blocked_domains", .list(domains)) }
        if var location = search.location {
            location = JSONObject(location.members.filter { !$0.value.isNull && $0.name != "type" })
            json.append(
                "user_location",
                .object(JSONObject([.init(name: "type", value: "approximate")] + location.members)))
        }
        if let size = search.contextSize, size != "medium" { dropped.insert("\(tool.path).search_context_size") }
        return .object(json)
    }

    // MARK: The rest

    private mutating func writeSampling() {
        if var temperature = request.temperature.value {
            if !traits.takesSampling || thinks {
                if temperature != 1 { dropped.insert(request.temperature.path) }
            } else {
                if temperature > 1 {
                    dropped.insert(request.temperature.path)
                    temperature = 1
                }
                body.append("temperature", .double(temperature))
            }
        }
        if let topP = request.topP.value, topP != 1 {
            // Newer models take one of the two.
            if traits.takesSampling, !thinks, request.temperature.value == nil {
                body.append("top_p", .double(topP))
            } else {
                dropped.insert(request.topP.path)
            }
        }
        if let topK = request.topK.value { body.append("top_k", topK.json) }
        guard let stops = request.stops.value else { return }
        let told = stops.filter { !$0.allSatisfy(\.isWhitespace) }
        if told.count < stops.count { dropped.insert(request.stops.path) }
        if !told.isEmpty { body.append("stop_sequences", .list(told)) }
    }

    private mutating func writeRest() {
        if request.isStreamed { body.append("stream", true) }
        if let user = request.user.value {
            if user.count <= Self.userCharactersMax {
                body.append("metadata", ["user_id": .string(user)])
            } else {
                dropped.insert(request.user.path)
            }
        }
        switch request.serviceTier.value {
        case nil, "auto": break
        case "default", "standard_only": body.append("service_tier", "standard_only")
        default: dropped.insert(request.serviceTier.path)
        }
    }
}
