import Kernel

/// One message of a conversation.
struct ModelMessage: Sendable, Equatable {
    enum Role: Sendable, Equatable {
        case user, assistant
        /// Instructions between the messages.
        case system
    }

    let role: Role
    /// OpenAI tells speakers of one role apart by name.
    var name: String?
    var parts: [ModelPart]
    let path: String
}

/// One part of a message.
struct ModelPart: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        case text(String)
        case image(ModelFile, detail: String?)
        case document(ModelFile, title: String?)
        case toolCall(ToolCall)
        case toolResult(ToolResult)
        case reasoning(Reasoning)
        case refusal(String)
        /// Something that only its own dialect has, as it came; refused elsewhere.
        case foreign(JSONValue)
        /// A trace of what the provider did, such as a search and its results; dropped elsewhere, as what came of it
        /// stands in the text.
        case trace(JSONValue)
    }

    let kind: Kind
    let path: String
    var cache: CacheMark?

    init(_ kind: Kind, at path: String, cache: CacheMark? = nil) {
        self.kind = kind
        self.path = path
        self.cache = cache
    }

    var text: String? {
        if case .text(let text) = kind { return text }
        return nil
    }
}

/// The content of an image or a document.
enum ModelFile: Sendable, Equatable {
    case url(String)
    case base64(String, mediaType: String)
    /// Plain text as a document of its own.
    case text(String)
    /// A file that one provider keeps and no other knows.
    case id(String)

    /// Reads `data:image/png;base64,…` (RFC 2397); any other address stays one.
    init(address: String) {
        guard address.prefix(5).lowercased() == "data:", let comma = address.firstIndex(of: ",") else {
            self = .url(address)
            return
        }
        let head = address[address.index(address.startIndex, offsetBy: 5)..<comma].split(
            separator: ";", omittingEmptySubsequences: false)
        guard head.last?.lowercased() == "base64" else {
            self = .url(address)
            return
        }
        let mediaType = head.first.map { $0.lowercased() } ?? ""
        self = .base64(
            String(address[address.index(after: comma)...]),
            mediaType: mediaType == "image/jpg" ? "image/jpeg" : mediaType)
    }

    /// The content as an address, where it can be one.
    var address: String? {
        switch self {
        case .url(let url): url
        case .base64(let data, let mediaType): "data:\(mediaType);base64,\(data)"
        case .text, .id: nil
        }
    }
}

/// A call of a function, as the model wrote it.
struct ToolCall: Sendable, Equatable {
    var id: String
    let name: String
    /// JSON text, or what was meant to be some.
    var arguments: String

    /// The arguments as an object, which Anthropic's dialect wants: empty for none, and in a member `arguments` what
    /// is no object.
    var input: (value: JSONValue, isExact: Bool) {
        if arguments.utf8.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) { return ([:], true) }
        guard let value = try? JSONParser.parse(arguments, depthMax: Self.depthMax) else {
            return (["arguments": .string(arguments)], false)
        }
        if case .object = value { return (value, true) }
        return value.isNull ? ([:], true) : (["arguments": value], false)
    }

    /// Nesting of arguments, as bodies have it.
    static let depthMax = 128
}

struct ToolResult: Sendable, Equatable {
    var callID: String
    /// Texts, images and documents.
    let parts: [ModelPart]
    let isError: Bool
}

/// What the model thought before it spoke.
struct Reasoning: Sendable, Equatable {
    var text: String
    /// Anthropic's proof that the text is its own.
    var signature: String?
    /// Thoughts that only the provider can read.
    var sealed: String?
}
