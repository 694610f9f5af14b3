import Kernel

/// Reads requests of OpenAI's Chat Completions (OpenAI API reference, Create chat completion).
struct ChatRequestReader {
    private var request: ModelRequest
    private let body: LocatedJSON

    /// Throws ``DialectError`` with the path of the field at fault.
    static func read(_ document: JSONValue) throws -> ModelRequest {
        let body = LocatedJSON(document)
        var reader = ChatRequestReader(
            request: ModelRequest(source: .chat, model: try body.required("model").string), body: body)
        try reader.readSettings()
        try reader.readReasoning()
        try reader.readTools()
        try reader.readMessages()
        try reader.request.keepExtras(of: body, besides: known)
        return reader.request
    }

    private static let known: Set<String> = [
        "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "max_tokens", "max_completion_tokens",
        "temperature", "top_p", "stop", "stream", "stream_options", "response_format", "reasoning_effort", "n",
        "user", "safety_identifier", "service_tier", "web_search_options",
    ]

    // MARK: Settings

    private mutating func readSettings() throws {
        let limit = try body.optional("max_completion_tokens") ?? body.optional("max_tokens")
        request.outputMax = try limit?.int(atLeast: 0)
        request.temperature = try body.placed("temperature") { try $0.double }
        request.topP = try body.placed("top_p") { try $0.double }
        request.choices = try body.placed("n") { try $0.int(atLeast: 1) }
        request.user = try body.placed("safety_identifier") { try $0.string }
        if request.user.value == nil { request.user = try body.placed("user") { try $0.string } }
        request.serviceTier = try body.placed("service_tier") { try $0.string }
        request.isStreamed = try body.optional("stream")?.bool ?? false
        if let options = try body.optional("stream_options") {
            request.tellsUsage = try options.optional("include_usage")?.bool ?? false
            request.unread += try options.others(than: ["include_usage", "include_obfuscation"])
        }
        request.stops = try body.placed("stop") { stop in
            if case .string(let text) = stop.value { return [text] }
            return try stop.array(max: ModelRequest.itemsMax).map { try $0.string }
        }
        request.format = try body.placed("response_format", Self.format)
    }

    private static func format(_ format: LocatedJSON) throws -> ModelRequest.OutputFormat? {
        switch try format.type {
        case "text": return nil
        case "json_object": return .jsonObject
        case "json_schema":
            let described = try format.required("json_schema")
            let schema = try described.optional("schema")
            return .schema(
                name: try described.required("name").string,
                description: try described.optional("description")?.string,
                schema: .object(try schema?.object ?? JSONObject()),
                isStrict: try described.optional("strict")?.bool)
        default: throw LocatedJSON(format.value, path: format.path("type")).wrong("is no known format")
        }
    }

    private mutating func readReasoning() throws {
        guard let effort = try body.optional("reasoning_effort") else { return }
        let word = try effort.string
        request.reasoning = Placed(
            ModelRequest.ReasoningWish(amount: word == "none" ? .off : .effort(word)), at: effort.path)
    }

    // MARK: Tools

    private mutating func readTools() throws {
        for tool in try body.optional("tools")?.array(max: ModelRequest.itemsMax) ?? [] {
            guard try tool.type == "function" else {
                request.serverTools.append(ServerTool(kind: .foreign(tool.value), path: tool.path))
                continue
            }
            request.tools.append(try OpenAITools.function(tool.required("function"), at: tool.path))
        }
        if let options = try body.optional("web_search_options") {
            request.serverTools.append(
                ServerTool(
                    kind: .webSearch(
                        ServerTool.WebSearch(
                            contextSize: try options.optional("search_context_size")?.string,
                            location: try options.optional("user_location")?.optional("approximate")?.object)),
                    path: options.path))
        }
        request.allowsParallelCalls = try body.placed("parallel_tool_calls") { try $0.bool }
        request.toolChoice = try body.placed("tool_choice", OpenAITools.choice)
    }

    // MARK: Messages

    private mutating func readMessages() throws {
        let messages = try body.required("messages")
        let items = try messages.array(max: ModelRequest.messagesMax)
        guard !items.isEmpty else { throw messages.wrong("must hold at least one message") }
        for message in items {
            let role = try message.required("role")
            switch try role.string {
            case "system", "developer":
                let parts = try content(message)
                if request.messages.isEmpty {
                    request.system += parts
                } else {
                    request.messages.append(ModelMessage(role: .system, parts: parts, path: message.path))
                }
                try keep(message, besides: ["role", "content"])
            case "user":
                append(.user, message, try content(message))
                try keep(message, besides: ["role", "content", "name"])
            case "assistant": try readAnswer(message)
            case "tool":
                let result = ToolResult(
                    callID: try message.required("tool_call_id").string, parts: try content(message), isError: false)
                append(.user, message, [ModelPart(.toolResult(result), at: message.path)])
                try keep(message, besides: ["role", "content", "tool_call_id", "name"])
            case "function": throw role.wrong("is outdated: send a message of the role `tool`")
            default: throw role.wrong("is no known role")
            }
        }
    }

    private mutating func append(_ role: ModelMessage.Role, _ message: LocatedJSON, _ parts: [ModelPart]) {
        let name = role == .user ? message.value["name"]?.string : nil
        let isResult = parts.contains { if case .toolResult = $0.kind { true } else { false } }
        request.messages.append(
            ModelMessage(role: role, name: isResult ? nil : name, parts: parts, path: message.path))
    }

    private mutating func keep(_ message: LocatedJSON, besides known: Set<String>) throws {
        request.unread += try message.others(than: known)
    }

    private mutating func readAnswer(_ message: LocatedJSON) throws {
        var parts: [ModelPart] = []
        if let thought = try message.optional("reasoning_content") ?? message.optional("reasoning") {
            parts.append(ModelPart(.reasoning(Reasoning(text: try thought.string)), at: thought.path))
        }
        parts += try content(message)
        if let refusal = try message.optional("refusal") {
            parts.append(ModelPart(.refusal(try refusal.string), at: refusal.path))
        }
        for call in try message.optional("tool_calls")?.array(max: ModelRequest.itemsMax) ?? [] {
            parts.append(ModelPart(try OpenAITools.call(call), at: call.path))
        }
        for name in ["audio", "function_call"] {
            if let member = try message.optional(name) {
                parts.append(ModelPart(.foreign(member.value), at: member.path))
            }
        }
        append(.assistant, message, parts)
        // Callers send answers back as they got them, and those hold more than a request has to.
        try keep(
            message,
            besides: [
                "role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning", "audio", "function_call",
                "annotations",
            ])
    }

    private mutating func content(_ message: LocatedJSON) throws -> [ModelPart] {
        guard let content = try message.optional("content") else { return [] }
        if case .string(let text) = content.value { return [ModelPart(.text(text), at: content.path)] }
        guard case .array = content.value else { throw content.wrong("must be a string or an array of parts") }
        return try content.array(max: ModelRequest.itemsMax).map { try part($0) }
    }

    private mutating func part(_ part: LocatedJSON) throws -> ModelPart {
        let type = try part.type
        let mark = try OpenAITools.cacheMark(part)
        request.unread += try part.others(than: ["type", "prompt_cache_breakpoint", "cache_control", type])
        switch type {
        case "text": return ModelPart(.text(try part.required("text").string), at: part.path, cache: mark)
        case "refusal": return ModelPart(.refusal(try part.required("refusal").string), at: part.path)
        case "image_url":
            let image = try part.required("image_url")
            return ModelPart(
                .image(
                    ModelFile(address: try image.required("url").string),
                    detail: try image.optional("detail")?.string),
                at: part.path, cache: mark)
        case "file":
            let file = try part.required("file")
            let content = try file.optional("file_data").map { ModelFile(address: try $0.string) }
            return ModelPart(
                .document(
                    try content ?? .id(file.required("file_id").string),
                    title: try file.optional("filename")?.string),
                at: part.path, cache: mark)
        case "input_audio": return ModelPart(.foreign(part.value), at: part.path)
        default: throw LocatedJSON(part.value, path: part.path("type")).wrong("is no known kind of content")
        }
    }
}
