import Kernel

/// One message of a conversation, as all instrumentations' are told: in the shape and the words of OpenTelemetry's
/// `gen_ai.input.messages` (semantic conventions for generative AI, "Input messages JSON schema").
public struct SpanMessage: Sendable, Equatable {
    public enum Part: Sendable, Equatable {
        case text(String)
        case reasoning(String)
        case refusal(String)
        /// A tool that is to be called; arguments are JSON where they were written as such.
        case toolCall(id: String?, name: String?, arguments: JSONValue)
        case toolResponse(id: String?, response: JSONValue)
        /// Something that lies elsewhere.
        case uri(modality: String?, mimeType: String?, uri: String)
        /// Something that was sent along, in Base64.
        case blob(modality: String?, mimeType: String?, content: String)
        case file(modality: String?, id: String)
        /// What has no place here, with its own members.
        case other(JSONObject)
    }

    /// `system`, `developer`, `user`, `assistant`, `tool`, or what the sender called it.
    public let role: String
    /// Who of several with the same role.
    public let name: String?
    public let parts: [Part]

    public init(_ role: String, name: String? = nil, _ parts: [Part]) {
        let known = Self.roles[role.lowercased()] ?? role
        // Anthropic's requests have a tool's response in the next message of the user.
        self.role = known == Self.user && Self.areResponses(parts) ? Self.tool : known
        self.name = self.role == Self.tool ? nil : name
        self.parts = parts
    }

    private static func areResponses(_ parts: [Part]) -> Bool {
        !parts.isEmpty
            && parts.allSatisfy { part in
                if case .toolResponse = part { true } else { false }
            }
    }

    static let system = "system"
    static let user = "user"
    static let assistant = "assistant"
    static let tool = "tool"

    /// Frameworks' words for the roles (LangChain, Gemini, OpenAI's first functions).
    private static let roles = [
        "human": user, "ai": assistant, "model": assistant, "function": tool, "user": user, "assistant": assistant,
        "system": system, "tool": tool, "developer": "developer", "toolmessage": tool,
    ]
}

extension SpanMessage: JSONConvertible {
    public var json: JSONValue {
        var object = JSONObject([.init(name: "role", value: .string(role))])
        if let name { object.append("name", .string(name)) }
        object.append("parts", .list(parts))
        return .object(object)
    }
}

extension SpanMessage.Part: JSONConvertible {
    public var json: JSONValue {
        switch self {
        case .text(let text): ["type": "text", "content": .string(text)]
        case .reasoning(let text): ["type": "reasoning", "content": .string(text)]
        case .refusal(let text): ["type": "refusal", "content": .string(text)]
        case .toolCall(let id, let name, let arguments):
            ["type": "tool_call", "id": .of(id), "name": .of(name), "arguments": arguments]
        case .toolResponse(let id, let response):
            ["type": "tool_call_response", "id": .of(id), "response": response]
        case .uri(let modality, let mimeType, let uri):
            ["type": "uri", "modality": .of(modality), "mimeType": .of(mimeType), "uri": .string(uri)]
        case .blob(let modality, let mimeType, let content):
            ["type": "blob", "modality": .of(modality), "mimeType": .of(mimeType), "content": .string(content)]
        case .file(let modality, let id): ["type": "file", "modality": .of(modality), "fileId": .string(id)]
        case .other(let object): .object(object)
        }
    }
}

/// Why a model stopped, in OpenTelemetry's words (`FinishReason` of the same schema).
enum FinishReason {
    private static let words = [
        "tool_calls": "tool_call", "function_call": "tool_call", "tool_use": "tool_call", "tool-calls": "tool_call",
        "end_turn": "stop", "stop_sequence": "stop", "completed": "stop", "max_tokens": "length",
        "max_output_tokens": "length", "content-filter": "content_filter", "safety": "content_filter",
        "refusal": "content_filter",
    ]

    static func read(_ text: String) -> String? {
        let word = text.lowercased()
        return word.isEmpty ? nil : words[word] ?? word
    }
}
