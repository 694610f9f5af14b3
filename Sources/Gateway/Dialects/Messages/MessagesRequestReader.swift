import Kernel

/// Reads requests of Anthropic's Messages (Anthropic API reference, Create a message; Count message tokens).
struct MessagesRequestReader {
    private var request: ModelRequest
    private let body: LocatedJSON

    /// Throws ``DialectError`` with the path of the field at fault.
    ///
    /// - Parameter isCount: Whether tokens are only to be counted, which needs no `max_tokens`.
    static func read(_ document: JSONValue, isCount: Bool = false) throws -> ModelRequest {
        let body = LocatedJSON(document)
        var reader = MessagesRequestReader(
            request: ModelRequest(source: .messages, model: try body.required("model").string), body: body)
        reader.request.outputMax =
            isCount ? try body.optional("max_tokens")?.int(atLeast: 0) : try body.required("max_tokens").int(atLeast: 0)
        try reader.readSettings()
        try reader.readThinking()
        try reader.readTools()
        try reader.readMessages()
        try reader.request.keepExtras(of: body, besides: known)
        return reader.request
    }

    private static let known: Set<String> = [
        "model", "messages", "system", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "top_k",
        "stop_sequences", "stream", "thinking", "output_config", "output_format", "metadata", "service_tier",
    ]

    // MARK: Settings

    private mutating func readSettings() throws {
        request.temperature = try body.placed("temperature") { try $0.double }
        request.topP = try body.placed("top_p") { try $0.double }
        request.topK = try body.placed("top_k") { try $0.int(atLeast: 0) }
        request.isStreamed = try body.optional("stream")?.bool ?? false
        request.serviceTier = try body.placed("service_tier") { try $0.string }
        request.stops = try body.placed("stop_sequences") { stops in
            try stops.array(max: ModelRequest.itemsMax).map { try $0.string }
        }
        if let metadata = try body.optional("metadata") {
            request.user = try metadata.placed("user_id") { try $0.string }
            request.unread += try metadata.others(than: ["user_id"])
        }
    }

    private mutating func readThinking() throws {
        let output = try body.optional("output_config")
        let effort = try output?.optional("effort")?.string
        request.unread += try output?.others(than: ["effort", "format"]) ?? []
        if let thinking = try body.optional("thinking") {
            var wish = ModelRequest.ReasoningWish(effort: effort, summary: try thinking.optional("display")?.string)
            switch try thinking.type {
            case "enabled": wish.amount = .tokens(try thinking.required("budget_tokens").int(atLeast: 1))
            case "disabled": wish.amount = .off
            case "adaptive", "between_tools": wish.amount = .adaptive
            default: throw LocatedJSON(thinking.value, path: thinking.path("type")).wrong("is no known way to think")
            }
            request.reasoning = Placed(wish, at: thinking.path)
        } else if let effort {
            request.reasoning = Placed(ModelRequest.ReasoningWish(effort: effort), at: "output_config.effort")
        }
        let format = try output?.optional("format") ?? body.optional("output_format")
        guard let format else { return }
        guard try format.type == "json_schema" else {
            throw LocatedJSON(format.value, path: format.path("type")).wrong("is no known format")
        }
        request.format = Placed(
            .schema(
                name: Self.formatName, description: nil, schema: .object(try format.required("schema").object),
                isStrict: nil),
            at: format.path)
    }

    /// OpenAI wants schemas to have names, Anthropic's have none.
    static let formatName = "answer"

    // MARK: Tools

    private mutating func readTools() throws {
        for tool in try body.optional("tools")?.array(max: ModelRequest.itemsMax) ?? [] {
            let type = try tool.optional("type")?.string ?? "custom"
            if type.hasPrefix("web_search_") {
                request.serverTools.append(try webSearch(tool))
            } else if type == "custom" {
                request.tools.append(
                    ModelTool(
                        name: try tool.required("name").string,
                        description: try tool.optional("description")?.string,
                        schema: .object(try tool.required("input_schema").object),
                        isStrict: try tool.optional("strict")?.bool, cache: try cacheMark(tool), path: tool.path))
                request.unread += try tool.others(
                    than: [
                        "type", "name", "description", "input_schema", "strict", "cache_control",
                        "eager_input_streaming",
                    ])
            } else {
                request.serverTools.append(ServerTool(kind: .foreign(tool.value), path: tool.path))
            }
        }
        guard let choice = try body.optional("tool_choice") else { return }
        switch try choice.type {
        case "auto": request.toolChoice = Placed(.auto, at: choice.path)
        case "any": request.toolChoice = Placed(.required, at: choice.path)
        case "none": request.toolChoice = Placed(.never, at: choice.path)
        case "tool": request.toolChoice = Placed(.tool(try choice.required("name").string), at: choice.path)
        default: throw LocatedJSON(choice.value, path: choice.path("type")).wrong("is no known choice")
        }
        request.allowsParallelCalls = try choice.placed("disable_parallel_tool_use") { try !$0.bool }
    }

    private mutating func webSearch(_ tool: LocatedJSON) throws -> ServerTool {
        func domains(_ name: String) throws -> [String]? {
            try tool.optional(name)?.array(max: ModelRequest.itemsMax).map { try $0.string }
        }
        let search = ServerTool.WebSearch(
            allowedDomains: try domains("allowed_domains"), blockedDomains: try domains("blocked_domains"),
            usesMax: try tool.optional("max_uses")?.int(atLeast: 1),
            location: try tool.optional("user_location")?.object)
        request.unread += try tool.others(
            than: ["type", "name", "allowed_domains", "blocked_domains", "max_uses", "user_location", "strict"])
        return ServerTool(kind: .webSearch(search), path: tool.path)
    }

    // MARK: Messages

    private mutating func readMessages() throws {
        if let system = try body.optional("system") { request.system = try content(system) }
        let messages = try body.required("messages")
        let items = try messages.array(max: ModelRequest.messagesMax)
        guard !items.isEmpty else { throw messages.wrong("must hold at least one message") }
        for message in items {
            let role = try message.required("role")
            let spoken: ModelMessage.Role
            switch try role.string {
            case "user": spoken = .user
            case "assistant": spoken = .assistant
            case "system": spoken = .system
            default: throw role.wrong("is no known role")
            }
            request.messages.append(
                ModelMessage(role: spoken, parts: try content(message.required("content")), path: message.path))
            request.unread += try message.others(than: ["role", "content"])
        }
    }

    private mutating func content(_ content: LocatedJSON) throws -> [ModelPart] {
        if case .string(let text) = content.value { return [ModelPart(.text(text), at: content.path)] }
        guard case .array = content.value else { throw content.wrong("must be a string or an array of blocks") }
        var parts: [ModelPart] = []
        for block in try content.array(max: ModelRequest.itemsMax) { parts += try self.blocks(block) }
        return parts
    }

    /// One block is one part, but for sources that hold blocks themselves.
    private mutating func blocks(_ block: LocatedJSON) throws -> [ModelPart] {
        let type = try block.type
        let mark = try cacheMark(block)
        func part(_ kind: ModelPart.Kind) -> [ModelPart] { [ModelPart(kind, at: block.path, cache: mark)] }
        switch type {
        case "text":
            try unread(block, besides: ["text", "citations"])
            return part(.text(try block.required("text").string))
        case "image":
            try unread(block, besides: ["source"])
            return part(.image(try file(block.required("source")), detail: nil))
        case "document": return try document(block, mark)
        case "search_result":
            try unread(block, besides: ["content", "source", "title", "citations"])
            let head = "\(try block.required("title").string) (\(try block.required("source").string))"
            let texts = try content(block.required("content")).compactMap(\.text)
            return part(.text(([head] + texts).joined(separator: "\n")))
        case "thinking":
            return part(
                .reasoning(
                    Reasoning(
                        text: try block.required("thinking").string,
                        signature: try block.optional("signature")?.string)))
        case "redacted_thinking":
            return part(.reasoning(Reasoning(text: "", sealed: try block.required("data").string)))
        case "tool_use":
            try unread(block, besides: ["id", "name", "input", "caller"])
            let input = JSONValue.object(try block.required("input").object)
            return part(
                .toolCall(
                    ToolCall(
                        id: try block.required("id").string, name: try block.required("name").string,
                        arguments: input.text)))
        case "tool_result":
            try unread(block, besides: ["tool_use_id", "content", "is_error"])
            let inner = try block.optional("content").map { try content($0) } ?? []
            return part(
                .toolResult(
                    ToolResult(
                        callID: try block.required("tool_use_id").string, parts: inner,
                        isError: try block.optional("is_error")?.bool ?? false)))
        case "container_upload": return part(.foreign(block.value))
        case let type where type.hasSuffix("_tool_use") || type.hasSuffix("_tool_result"):
            return part(.trace(block.value))
        default: throw LocatedJSON(block.value, path: block.path("type")).wrong("is no known kind of content")
        }
    }

    private mutating func unread(_ block: LocatedJSON, besides known: Set<String>) throws {
        request.unread += try block.others(than: known.union(["type", "cache_control"]))
    }

    private mutating func document(_ block: LocatedJSON, _ mark: CacheMark?) throws -> [ModelPart] {
        try unread(block, besides: ["source", "title"])
        let source = try block.required("source")
        if try source.type == "content" { return try content(source.required("content")) }
        let title = try block.optional("title")?.string
        return [ModelPart(.document(try file(source), title: title), at: block.path, cache: mark)]
    }

    private func file(_ source: LocatedJSON) throws -> ModelFile {
        switch try source.type {
        case "base64":
            return .base64(
                try source.required("data").string, mediaType: try source.required("media_type").string)
        case "url": return .url(try source.required("url").string)
        case "text": return .text(try source.required("data").string)
        case "file": return .id(try source.required("file_id").string)
        default: throw LocatedJSON(source.value, path: source.path("type")).wrong("is no known source")
        }
    }

    private func cacheMark(_ block: LocatedJSON) throws -> CacheMark? {
        guard let mark = try block.optional("cache_control") else { return nil }
        return CacheMark(lifetime: try mark.optional("ttl")?.string, path: mark.path)
    }
}
