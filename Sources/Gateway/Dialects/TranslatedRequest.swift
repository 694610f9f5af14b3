import Kernel

/// A request as its provider takes it, and what was lost on the way.
struct TranslatedRequest: Sendable, Equatable {
    let body: JSONValue
    let dropped: DroppedFields

    /// Carries a request from the dialect of its caller to that of a provider.
    ///
    /// - Parameters:
    ///   - document: The body as it came.
    ///   - model: The model's name at the provider.
    ///   - isStrict: Whether the caller would rather be refused than lose a field (`X-Reeve-Translation: strict`).
    /// - Throws: ``DialectError`` with the field's path: for what cannot be read, for what can never be left out, and,
    ///   where `isStrict`, for whatever would be dropped.
    static func translate(
        _ document: JSONValue, from source: Dialect, to target: Dialect, model: String, isStrict: Bool = false
    ) throws -> TranslatedRequest {
        let request = try source.readRequest(document)
        let translated = try target.writeRequest(request, model: model)
        if isStrict { try translated.dropped.refuse() }
        return translated
    }
}

extension Dialect {
    /// Throws ``DialectError`` with the path of the field at fault.
    func readRequest(_ document: JSONValue) throws -> ModelRequest {
        switch self {
        case .chat: try ChatRequestReader.read(document)
        case .responses: try ResponsesRequestReader.read(document)
        case .messages: try MessagesRequestReader.read(document)
        }
    }

    /// Throws ``DialectError`` for what must not be left out. Responses is no provider's dialect here: whoever speaks
    /// it also speaks Chat Completions, and gets its own bytes otherwise.
    func writeRequest(_ request: ModelRequest, model: String) throws -> TranslatedRequest {
        switch self {
        case .chat, .responses: try ChatRequestWriter.write(request, model: model)
        case .messages: try MessagesRequestWriter.write(request, model: model)
        }
    }

    /// Throws ``DialectError`` where it is no answer of this dialect.
    func readReply(_ document: JSONValue) throws -> ModelReply {
        switch self {
        case .chat: try ChatReply.read(document)
        case .responses: try ResponsesReply.read(document)
        case .messages: try MessagesReply.read(document)
        }
    }

    func writeReply(_ reply: ModelReply, _ context: ReplyContext) -> JSONValue {
        switch self {
        case .chat: ChatReply.write(reply, context)
        case .responses: ResponsesReply.write(reply, context)
        case .messages: MessagesReply.write(reply, context)
        }
    }
}
