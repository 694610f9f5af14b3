import Kernel

/// Reads the parts of messages out of JSON in the shapes that providers and instrumentations have for them.
enum PartReader {
    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    /// Whether an object is a part of a message, and no message.
    static func isPart(_ object: JSONObject) -> Bool {
        let part = object["message_content"]?.object ?? object
        guard part["role"] == nil, part["parts"] == nil, let type = part["type"]?.string else { return false }
        return partTypes.contains(type)
    }

    private static let partTypes: Set<String> = [
        "text", "input_text", "output_text", "thinking", "refusal", "tool_call", "tool_use", "tool-call",
        "tool_call_response", "tool_result", "tool-result", "image_url", "input_image", "image", "uri", "blob", "file",
        "input_file", "document", "input_audio",
    ]

    /// The parts of a content, which is a text, a part or a list of either.
    static func parts(lists value: JSONValue) -> [SpanMessage.Part] {
        if let items = value.array { items.flatMap { parts($0) } } else { parts(value) }
    }

    /// The parts that one element of a list stands for; none for a text of nothing.
    static func parts(_ value: JSONValue) -> [SpanMessage.Part] {
        switch value {
        case .null: return []
        case .string(let text): return text.isEmpty ? [] : [.text(text)]
        case .object(let object): return part(object).map { [$0] } ?? []
        case .array(let items): return items.isEmpty ? [] : [.text(value.text)]
        default: return [.text(value.text)]
        }
    }

    private static func part(_ outer: JSONObject) -> SpanMessage.Part? {
        let object = wrappers.lazy.compactMap { outer[$0]?.object }.first ?? outer
        let type = object["type"]?.string
        switch type {
        case "text", "input_text", "output_text": return text(object).map { .text($0) }
        case "reasoning", "thinking": return text(object).map { .reasoning($0) }
        case "refusal": return text(object).map { .refusal($0) }
        case "tool_call", "tool_use", "tool-call", "function_call", "custom_tool_call", "server_tool_call", "function":
            // OpenInference names the kind here, and tells of the call beside.
            return object.count == 1 ? nil : toolCall(object)
        case "tool_call_response", "tool_result", "tool-result", "function_call_output", "custom_tool_call_output",
            "server_tool_call_response":
            return toolResponse(object)
        case "uri":
            return .uri(
                modality: object["modality"]?.string, mimeType: mimeType(object), uri: object["uri"]?.string ?? "")
        case "blob":
            return .blob(
                modality: object["modality"]?.string, mimeType: mimeType(object),
                content: object["content"]?.string ?? object["data"]?.string ?? "")
        case "image_url", "input_image", "image": return media(object, "image") ?? .other(object)
        case "input_audio", "audio": return media(object, "audio") ?? .other(object)
        case "video": return media(object, "video") ?? .other(object)
        case "file", "input_file", "document": return media(object, nil) ?? .other(object)
        default: return untyped(object)
        }
    }

    /// Names by which OpenInference's flattened lists say what their elements are.
    private static let wrappers = ["message_content", "prompt", "completion", "embedding", "document"]

    private static func text(_ object: JSONObject) -> String? {
        for name in ["content", "text", "thinking", "refusal"] {
            if let text = object[name]?.string, !text.isEmpty { return text }
        }
        // A summary of the Responses API's reasoning.
        let pieces = object["summary"]?.array?.compactMap { $0.object.flatMap(text) } ?? []
        return pieces.isEmpty ? nil : pieces.joined(separator: "\n")
    }

    /// Gemini's parts have no type, nor have others' that are nothing but a text.
    private static func untyped(_ object: JSONObject) -> SpanMessage.Part? {
        if let call = (object["functionCall"] ?? object["function_call"])?.object { return toolCall(call) }
        if let response = (object["functionResponse"] ?? object["function_response"])?.object {
            return toolResponse(response)
        }
        if object["type"] == nil, let text = text(object) { return .text(text) }
        return object.isEmpty ? nil : .other(object)
    }

    static func toolCall(_ object: JSONObject) -> SpanMessage.Part {
        let function = object["function"]?.object ?? object
        let arguments = first(function, ["arguments", "input", "args"]) ?? .null
        return .toolCall(
            id: first(object, ["call_id", "id", "tool_call_id", "toolCallId"])?.string,
            name: first(function, ["name", "toolName"])?.string, arguments: MessageReader.lifted(arguments))
    }

    private static func toolResponse(_ object: JSONObject) -> SpanMessage.Part {
        .toolResponse(
            id: first(object, ["tool_use_id", "call_id", "tool_call_id", "toolCallId", "id"])?.string,
            response: response(first(object, ["response", "result", "content", "output"]) ?? .null))
    }

    /// What a tool gave back: a list of nothing but texts is their text.
    static func response(_ value: JSONValue) -> JSONValue {
        if let items = value.array, !items.isEmpty {
            let texts = items.map { item -> String? in
                guard case .text(let text)? = parts(item).first, parts(item).count == 1, item.object != nil else {
                    return nil
                }
                return text
            }
            if texts.allSatisfy({ $0 != nil }) {
                return MessageReader.lifted(.string(texts.compactMap { $0 }.joined()))
            }
        }
        return MessageReader.lifted(value)
    }

    private static func first(_ object: JSONObject, _ names: [String]) -> JSONValue? {
        for name in names { if let value = object[name], !value.isNull { return value } }
        return nil
    }
}

// MARK: - Images and files

extension PartReader {
    private static func mimeType(_ object: JSONObject) -> String? {
        first(object, ["mime_type", "mimeType", "media_type"])?.string
    }

    /// OpenAI's `image_url`, `input_image`, `input_audio` and `file`, Anthropic's `source`, OpenInference's names.
    private static func media(_ object: JSONObject, _ modality: String?) -> SpanMessage.Part? {
        let inner = ["image_url", "image", "source", "input_audio", "file", "document", "audio", "video"]
        for name in inner {
            guard let value = object[name] else { continue }
            if let url = value.string { return reference(url, modality, nil) }
            guard let holder = value.object else { continue }
            // `message_content.image.image.url`
            let found = holder[name]?.object ?? holder
            if let part = media(found: found, modality) { return part }
        }
        return media(found: object, modality)
    }

    private static func media(found object: JSONObject, _ modality: String?) -> SpanMessage.Part? {
        if let url = first(object, ["url", "uri", "file_url"])?.string {
            return reference(url, modality, mimeType(object))
        }
        if let data = first(object, ["data", "file_data"])?.string {
            if data.hasPrefix("data:") { return reference(data, modality, mimeType(object)) }
            return .blob(modality: modality, mimeType: mimeType(object), content: data)
        }
        if let id = object["file_id"]?.string { return .file(modality: modality, id: id) }
        return nil
    }

    /// A URL; one of the scheme `data` has what it names in itself (RFC 2397).
    private static func reference(_ url: String, _ modality: String?, _ mimeType: String?) -> SpanMessage.Part {
        guard url.hasPrefix("data:"), let comma = url.firstIndex(of: ",") else {
            return .uri(modality: modality, mimeType: mimeType, uri: url)
        }
        let head = url[url.index(url.startIndex, offsetBy: 5)..<comma].split(separator: ";")
        return .blob(
            modality: modality, mimeType: head.first.map(String.init) ?? mimeType,
            content: String(url[url.index(after: comma)...]))
    }
}
