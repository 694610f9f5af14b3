import Kernel

/// What a caller asks of the scripted model, read from any of the dialects it speaks.
struct ScriptedCall: Sendable {
    enum Dialect: Sendable {
        /// OpenAI's chat completions.
        case chat
        /// OpenAI's responses.
        case responses
        /// Anthropic's messages.
        case messages

        var isAnthropic: Bool { self == .messages }
    }

    /// Whether a tool has to be called.
    enum ToolChoice: Sendable, Equatable {
        case auto, none, required
        case named(String)
    }

    struct Tool: Sendable {
        let name: String
        let schema: JSONValue
    }

    let dialect: Dialect
    let model: String
    /// All texts of the prompt in their order: instructions, messages, results of tools, and the tools themselves.
    private(set) var prompt: [String] = []
    /// The last thing that the user said.
    private(set) var lastText = ""
    /// What a tool brought, where the prompt ends with that.
    private(set) var result: String?
    private(set) var tools: [Tool] = []
    private(set) var choice = ToolChoice.auto
    /// The schema that the answer's text has to match; an empty one for any object.
    private(set) var schema: JSONValue?
    let outputMax: Int?
    let isStreamed: Bool
    /// Whether a stream of chat completions is to tell its counts.
    let tellsUsage: Bool
    private(set) var stops: [String] = []

    var inputTokens: Int { prompt.reduce(0) { $0 + ScriptedTokens.count($1) } }

    /// Throws where the document is none that the dialect knows.
    init(_ body: JSONValue, as dialect: Dialect) throws {
        guard body.object != nil else { throw Problem.invalid("", "the body is a JSON object") }
        guard let model = body["model"]?.string, !model.isEmpty else {
            throw Problem.invalid("model", "you must provide a model parameter")
        }
        self.dialect = dialect
        self.model = model
        isStreamed = body["stream"]?.bool ?? false
        tellsUsage = dialect != .chat || body["stream_options"]?["include_usage"]?.bool == true
        outputMax = ["max_completion_tokens", "max_output_tokens", "max_tokens"].lazy
            .compactMap { body[$0]?.int }.first.map { Int(clamping: $0) }
        if dialect == .messages, outputMax == nil { throw Problem.invalid("max_tokens", "Field required") }
        switch dialect {
        case .chat: try readChat(body)
        case .responses: try readResponses(body)
        case .messages: try readMessages(body)
        }
        readTools(body)
    }

    // MARK: Prompts

    private mutating func add(_ text: String, role: String?) {
        prompt.append(text)
        if role == "user" { lastText = text }
    }

    private mutating func readChat(_ body: JSONValue) throws {
        guard let messages = body["messages"]?.array, !messages.isEmpty else {
            throw Problem.invalid("messages", "[] is too short - 'messages'")
        }
        for message in messages {
            let role = message["role"]?.string
            for text in Self.texts(message["content"]) { add(text, role: role) }
            for call in message["tool_calls"]?.array ?? [] {
                add(call["function"]?["arguments"]?.string ?? "", role: role)
            }
            result = role == "tool" ? prompt.last : nil
        }
        let format = body["response_format"]
        if format?["type"]?.string == "json_schema" { schema = format?["json_schema"]?["schema"] ?? [:] }
        if format?["type"]?.string == "json_object" { schema = [:] }
        stops = body["stop"]?.string.map { [$0] } ?? body["stop"]?.array?.compactMap(\.string) ?? []
    }

    private mutating func readResponses(_ body: JSONValue) throws {
        if let instructions = body["instructions"]?.string { add(instructions, role: "system") }
        if let text = body["input"]?.string { add(text, role: "user") }
        for item in body["input"]?.array ?? [] {
            let role = item["role"]?.string
            for text in Self.texts(item["content"]) { add(text, role: role) }
            for text in Self.texts(item["output"]) { add(text, role: nil) }
            result = item["type"]?.string == "function_call_output" ? prompt.last : nil
        }
        guard !prompt.isEmpty else { throw Problem.invalid("input", "Missing required parameter: 'input'.") }
        let format = body["text"]?["format"]
        if format?["type"]?.string == "json_schema" { schema = format?["schema"] ?? [:] }
        if format?["type"]?.string == "json_object" { schema = [:] }
    }

    private mutating func readMessages(_ body: JSONValue) throws {
        for text in Self.texts(body["system"]) { add(text, role: "system") }
        guard let messages = body["messages"]?.array, !messages.isEmpty else {
            throw Problem.invalid("messages", "at least one message is required")
        }
        for message in messages {
            let role = message["role"]?.string
            let parts = message["content"]?.array ?? [["type": "text", "text": message["content"] ?? .null]]
            for part in parts {
                let isResult = part["type"]?.string == "tool_result"
                for text in Self.texts([part]) { add(text, role: isResult ? nil : role) }
                result = isResult ? prompt.last : nil
            }
        }
        let format = body["output_config"]?["format"] ?? body["output_format"]
        if format?["type"]?.string == "json_schema" { schema = format?["schema"] ?? [:] }
        stops = body["stop_sequences"]?.array?.compactMap(\.string) ?? []
    }

    /// The texts of a content, which is a text or a list of parts.
    private static func texts(_ content: JSONValue?) -> [String] {
        if let text = content?.string { return [text] }
        return (content?.array ?? []).flatMap { part -> [String] in
            if let text = part["text"]?.string { return [text] }
            if let text = part["refusal"]?.string { return [text] }
            if part["type"]?.string == "tool_result" { return texts(part["content"]) }
            return []
        }
    }

    // MARK: Tools

    private mutating func readTools(_ body: JSONValue) {
        for tool in body["tools"]?.array ?? [] {
            let described = dialect == .chat ? tool["function"] ?? [:] : tool
            guard let name = described["name"]?.string else { continue }
            tools.append(Tool(name: name, schema: described["parameters"] ?? described["input_schema"] ?? [:]))
            prompt.append(tool.text)
        }
        let asked = body["tool_choice"]
        switch asked?.string ?? asked?["type"]?.string {
        case "none": choice = .none
        case "required", "any": choice = .required
        case "function", "tool":
            let name = asked?["function"]?["name"]?.string ?? asked?["name"]?.string
            choice = name.map(ToolChoice.named) ?? .required
        default: choice = .auto
        }
    }
}
