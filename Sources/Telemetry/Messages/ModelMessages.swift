import Kernel

/// The messages of a provider's own documents, a request or an answer, in the shape in which spans tell of them:
/// OpenAI's Chat Completions, Responses, Embeddings and old completions, Anthropic's Messages.
public struct ModelMessages: Sendable, Equatable {
    public private(set) var messages: [SpanMessage] = []
    public private(set) var finishReasons: [String] = []
    /// Whether all that was said is here.
    public private(set) var isWhole = true

    /// What a model was asked; what is no request of any of the shapes has no messages.
    public static func asked(_ request: JSONValue) -> ModelMessages {
        guard let object = request.object else { return ModelMessages() }
        var reader = MessageReader()
        for name in ["system", "instructions"] {
            if let text = object[name], !text.isNull { reader.read(text, role: SpanMessage.system) }
        }
        let conversation = ["messages", "input", "prompt"].lazy.compactMap { object[$0] }.first
        read(conversation ?? .null, role: SpanMessage.user, into: &reader)
        return ModelMessages(reader)
    }

    /// What a model answered.
    public static func answered(_ answer: JSONValue) -> ModelMessages {
        guard let object = answer.object else { return ModelMessages() }
        var reader = MessageReader()
        if let output = object["output"] {
            reader.note(object["status"])
            read(output, role: SpanMessage.assistant, into: &reader)
        } else if object["choices"]?.array != nil || object["role"] != nil {
            reader.read(answer, role: SpanMessage.assistant)
        }
        return ModelMessages(reader)
    }

    private init() {}

    private init(_ reader: MessageReader) {
        (messages, finishReasons, isWhole) = (reader.messages, reader.finishReasons, reader.isWhole)
    }

    /// Each item by itself: one of an unknown kind does not make the others unreadable.
    private static func read(_ value: JSONValue, role: String, into reader: inout MessageReader) {
        guard let items = value.array else {
            if !value.isNull { reader.read(value, role: role) }
            return
        }
        // Tokens in place of a text are one input.
        if items.allSatisfy({ $0.int != nil }) {
            if !items.isEmpty { reader.add(SpanMessage(role, [.text(value.text)])) }
            return
        }
        for item in items {
            guard let object = item.object else {
                let text = item.string ?? item.text
                if !text.isEmpty { reader.add(SpanMessage(role, [.text(text)])) }
                continue
            }
            let message = MessageReader.message(object, role: role) ?? SpanMessage(role, [.other(object)])
            // Thoughts that only the provider can read.
            if message.parts.isEmpty, object["type"]?.string == "reasoning" { continue }
            reader.add(message)
        }
    }

    public var isEmpty: Bool { messages.isEmpty }
}

// MARK: - Bounds

extension ModelMessages {
    /// Bytes for a message's and a part's own names, as sizes are reckoned here.
    private static let overheadBytes = 64

    /// What finds room in so many bytes of text: the instructions, then the latest messages. The message at the edge is
    /// cut, and what is older is left out.
    public func fitted(to bytesMax: Int) -> ModelMessages {
        var left = bytesMax
        var kept: [Int: SpanMessage] = [:]
        let instructions = messages.prefix { $0.role == SpanMessage.system || $0.role == "developer" }.count
        for index in Array(0..<instructions) + (instructions..<messages.count).reversed() {
            let size = Self.size(of: messages[index])
            if size <= left {
                kept[index] = messages[index]
                left -= size
                continue
            }
            let cut = Self.cut(messages[index], to: left)
            if !cut.parts.isEmpty { kept[index] = cut }
            break
        }
        var fitted = self
        fitted.messages = messages.indices.compactMap { kept[$0] }
        fitted.isWhole = isWhole && fitted.messages == messages
        return fitted
    }

    private static func size(of message: SpanMessage) -> Int {
        message.parts.reduce(overheadBytes) { $0 + size(of: $1) }
    }

    private static func size(of part: SpanMessage.Part) -> Int {
        let text =
            switch part {
            case .text(let text), .reasoning(let text), .refusal(let text): text.utf8.count
            case .toolCall(_, let name, let arguments): (name?.utf8.count ?? 0) + arguments.bytes.count
            case .toolResponse(_, let response): response.bytes.count
            case .uri(_, _, let uri): uri.utf8.count
            case .blob(_, _, let content): content.utf8.count
            case .file(_, let id): id.utf8.count
            case .other(let object): JSONValue.object(object).bytes.count
            }
        return text + overheadBytes
    }

    private static func cut(_ message: SpanMessage, to bytesMax: Int) -> SpanMessage {
        var left = bytesMax - overheadBytes
        var parts: [SpanMessage.Part] = []
        for part in message.parts {
            let size = size(of: part)
            if size <= left {
                parts.append(part)
                left -= size
            } else if let cut = cut(part, to: left - overheadBytes) {
                parts.append(cut)
                left -= Self.size(of: cut)
            }
        }
        return SpanMessage(message.role, name: message.name, parts)
    }

    /// Only texts can be cut in the middle; the bytes of an image are left out, and that it was there stays.
    private static func cut(_ part: SpanMessage.Part, to bytesMax: Int) -> SpanMessage.Part? {
        guard bytesMax > 0 else { return nil }
        switch part {
        case .text(let text): return .text(beginning(of: text, bytesMax))
        case .reasoning(let text): return .reasoning(beginning(of: text, bytesMax))
        case .refusal(let text): return .refusal(beginning(of: text, bytesMax))
        case .toolResponse(let id, let response):
            return .toolResponse(id: id, response: .string(beginning(of: response.string ?? response.text, bytesMax)))
        case .blob(let modality, let mimeType, _): return .blob(modality: modality, mimeType: mimeType, content: "")
        case .toolCall, .uri, .file, .other: return nil
        }
    }

    /// So many bytes of a text, and no half of a character.
    private static func beginning(of text: String, _ bytesMax: Int) -> String {
        var end = text.utf8.index(text.startIndex, offsetBy: bytesMax, limitedBy: text.endIndex) ?? text.endIndex
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return String(text[..<end])
    }
}

/// What of a span's content is not there, in attributes of Reeve's own spans.
public enum ContentNote {
    /// Whether messages were cut or left out for their size.
    public static let truncated = "reeve.content.truncated"
}
