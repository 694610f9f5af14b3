import Kernel

/// Reads requests of OpenAI's Responses (OpenAI API reference, Create a model response).
struct ResponsesRequestReader {
    private var request: ModelRequest
    private let body: LocatedJSON

    /// Throws ``DialectError`` with the path of the field at fault.
    static func read(_ document: JSONValue) throws -> ModelRequest {
        let body = LocatedJSON(document)
        var reader = ResponsesRequestReader(
            request: ModelRequest(source: .responses, model: try body.required("model").string), body: body)
        try reader.readSettings()
        try reader.readTools()
        try reader.readInput()
        try reader.request.keepExtras(of: body, besides: known)
        return reader.request
    }

    /// The members that a response repeats from its request.
    static func echo(_ document: JSONValue) -> JSONObject {
        JSONObject((document.object?.members ?? []).filter { echoed.contains($0.name) && !$0.value.isNull })
    }

    private static let known: Set<String> = [
        "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens",
        "temperature", "top_p", "stream", "stream_options", "text", "reasoning", "user", "safety_identifier",
        "service_tier",
    ]

    private static let echoed: Set<String> = [
        "instructions", "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls", "reasoning",
        "safety_identifier", "service_tier", "store", "temperature", "text", "tool_choice", "tools", "top_logprobs",
        "top_p", "truncation", "user",
    ]

    // MARK: Settings

    private mutating func readSettings() throws {
        request.outputMax = try body.optional("max_output_tokens")?.int(atLeast: 0)
        request.temperature = try body.placed("temperature") { try $0.double }
        request.topP = try body.placed("top_p") { try $0.double }
        request.isStreamed = try body.optional("stream")?.bool ?? false
        request.user = try body.placed("safety_identifier") { try $0.string }
        if request.user.value == nil { request.user = try body.placed("user") { try $0.string } }
        request.serviceTier = try body.placed("service_tier") { try $0.string }
        if let instructions = try body.optional("instructions") {
            request.system.append(ModelPart(.text(try instructions.string), at: instructions.path))
        }
        if let reasoning = try body.optional("reasoning") {
            let effort = try reasoning.optional("effort")?.string
            let summary = try reasoning.optional("summary") ?? reasoning.optional("generate_summary")
            request.reasoning = Placed(
                ModelRequest.ReasoningWish(
                    amount: effort.map { $0 == "none" ? .off : .effort($0) }, summary: try summary?.string),
                at: reasoning.path)
            request.unread += try reasoning.others(than: ["effort", "summary", "generate_summary"])
        }
        if let text = try body.optional("text") {
            request.format = try text.placed("format", Self.format)
            request.unread += try text.others(than: ["format", "verbosity"])
            if let verbosity = try text.optional("verbosity"), try verbosity.string != "medium" {
                request.unread.append(verbosity.path)
            }
        }
    }

    private static func format(_ format: LocatedJSON) throws -> ModelRequest.OutputFormat? {
        switch try format.type {
        case "text": return nil
        case "json_object": return .jsonObject
        case "json_schema":
            return .schema(
                name: try format.required("name").string, description: try format.optional("description")?.string,
                schema: .object(try format.required("schema").object),
                isStrict: try format.optional("strict")?.bool)
        default: throw LocatedJSON(format.value, path: format.path("type")).wrong("is no known format")
        }
    }

    // MARK: Tools

    private mutating func readTools() throws {
        for tool in try body.optional("tools")?.array(max: ModelRequest.itemsMax) ?? [] {
            switch try tool.type {
            case "function": request.tools.append(try OpenAITools.function(tool, at: tool.path))
            case "web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11":
                request.serverTools.append(try webSearch(tool))
            default: request.serverTools.append(ServerTool(kind: .foreign(tool.value), path: tool.path))
            }
        }
        request.allowsParallelCalls = try body.placed("parallel_tool_calls") { try $0.bool }
        request.toolChoice = try body.placed("tool_choice", OpenAITools.choice)
    }

    private mutating func webSearch(_ tool: LocatedJSON) throws -> ServerTool {
        // A search that may not leave the provider's cache is another tool than one that may.
        if try tool.optional("external_web_access")?.bool == false {
            return ServerTool(kind: .foreign(tool.value), path: tool.path)
        }
        let domains = try tool.optional("filters")?.optional("allowed_domains")?.array(max: ModelRequest.itemsMax)
        let location = try tool.optional("user_location")?.object
        request.unread += try tool.others(
            than: ["type", "filters", "user_location", "search_context_size", "external_web_access"])
        return ServerTool(
            kind: .webSearch(
                ServerTool.WebSearch(
                    allowedDomains: try domains?.map { try $0.string },
                    contextSize: try tool.optional("search_context_size")?.string,
                    location: location)),
            path: tool.path)
    }

    // MARK: Input

    private mutating func readInput() throws {
        let input = try body.required("input")
        if case .string(let text) = input.value {
            append(.user, [ModelPart(.text(text), at: input.path)], at: input.path)
            return
        }
        guard case .array = input.value else { throw input.wrong("must be a string or an array of items") }
        let items = try input.array(max: ModelRequest.messagesMax)
        guard !items.isEmpty else { throw input.wrong("must hold at least one item") }
        for item in items { try readItem(item) }
    }

    private mutating func readItem(_ item: LocatedJSON) throws {
        switch try item.optional("type")?.string ?? "message" {
        case "message": try readMessage(item)
        case "function_call":
            let call = ToolCall(
                id: try item.required("call_id").string, name: try item.required("name").string,
                arguments: try item.required("arguments").string)
            append(.assistant, [ModelPart(.toolCall(call), at: item.path)], at: item.path)
        case "function_call_output":
            let output = try item.required("output")
            let result = ToolResult(
                callID: try item.required("call_id").string, parts: try content(output), isError: false)
            append(.user, [ModelPart(.toolResult(result), at: item.path)], at: item.path)
        case "reasoning":
            let summary = try item.optional("summary")?.array(max: ModelRequest.itemsMax) ?? []
            let text = try summary.map { try $0.required("text").string }.joined(separator: "\n\n")
            let sealed = try item.optional("encrypted_content")?.string
            append(
                .assistant, [ModelPart(.reasoning(Reasoning(text: text, sealed: sealed)), at: item.path)],
                at: item.path)
        case "web_search_call": append(.assistant, [ModelPart(.trace(item.value), at: item.path)], at: item.path)
        default: append(.assistant, [ModelPart(.foreign(item.value), at: item.path)], at: item.path)
        }
    }

    private mutating func readMessage(_ item: LocatedJSON) throws {
        let parts = try content(item.required("content"))
        let role = try item.required("role")
        switch try role.string {
        case "user": append(.user, parts, at: item.path)
        case "assistant": append(.assistant, parts, at: item.path)
        case "system", "developer":
            if request.messages.isEmpty {
                request.system += parts
            } else {
                append(.system, parts, at: item.path)
            }
        default: throw role.wrong("is no known role")
        }
        request.unread += try item.others(than: ["type", "role", "content", "id", "status", "phase"])
    }

    /// Texts, thoughts and calls of one turn come as items of their own; they are one message elsewhere.
    private mutating func append(_ role: ModelMessage.Role, _ parts: [ModelPart], at path: String) {
        if role == .assistant, request.messages.last?.role == .assistant {
            request.messages[request.messages.count - 1].parts += parts
        } else {
            request.messages.append(ModelMessage(role: role, parts: parts, path: path))
        }
    }

    private mutating func content(_ content: LocatedJSON) throws -> [ModelPart] {
        if case .string(let text) = content.value { return [ModelPart(.text(text), at: content.path)] }
        guard case .array = content.value else { throw content.wrong("must be a string or an array of parts") }
        return try content.array(max: ModelRequest.itemsMax).map { try part($0) }
    }

    private mutating func part(_ part: LocatedJSON) throws -> ModelPart {
        let mark = try OpenAITools.cacheMark(part)
        switch try part.type {
        case "input_text", "output_text", "text", "summary_text", "reasoning_text":
            return ModelPart(.text(try part.required("text").string), at: part.path, cache: mark)
        case "refusal": return ModelPart(.refusal(try part.required("refusal").string), at: part.path)
        case "input_image":
            return ModelPart(
                .image(
                    try file(part, addresses: ["image_url"]), detail: try part.optional("detail")?.string),
                at: part.path, cache: mark)
        case "input_file":
            return ModelPart(
                .document(
                    try file(part, addresses: ["file_data", "file_url"]),
                    title: try part.optional("filename")?.string),
                at: part.path, cache: mark)
        case "input_audio": return ModelPart(.foreign(part.value), at: part.path)
        default: throw LocatedJSON(part.value, path: part.path("type")).wrong("is no known kind of content")
        }
    }

    private func file(_ part: LocatedJSON, addresses: [String]) throws -> ModelFile {
        for name in addresses {
            if let address = try part.optional(name) { return ModelFile(address: try address.string) }
        }
        guard let id = try part.optional("file_id") else {
            throw part.wrong("needs `\(addresses.joined(separator: "`, `"))` or `file_id`")
        }
        return .id(try id.string)
    }
}
