import Kernel

/// One step of a streamed answer, in the form between the dialects.
///
/// Calls are told apart by their index among the calls of the answer; their pieces may come interleaved.
enum StreamEvent: Sendable, Equatable {
    case start(id: String, model: String)
    case textDelta(String)
    case citation(ModelReply.Citation)
    case reasoningDelta(String)
    /// The proof of the thoughts that came before it, which it ends.
    case signature(String)
    /// A whole thought that only the provider can read.
    case sealedReasoning(String)
    case refusalDelta(String)
    case toolCallStart(index: Int, id: String, name: String)
    case argumentsDelta(index: Int, String)
    case toolCallEnd(index: Int)
    /// A search that the provider makes.
    case webSearch(id: String, query: String)
    case stop(StopReason, sequence: String?)
    /// All counts so far; a later one replaces an earlier one.
    case usage(DialectUsage)
    case ping
    /// Nothing follows.
    case end
    /// The stream broke, or was broken off; nothing follows.
    case failure(DialectError)
}

/// Reads the events of a provider's stream.
protocol StreamReader: Sendable {
    /// Whether the answer has come to its end: a reason to stop was given, or the stream's own last event came.
    var isComplete: Bool { get }

    /// What an event says. Throws ``DialectError`` for what this dialect cannot mean; whether that ends the stream is
    /// for the caller to decide, and reading may go on.
    mutating func read(name: String, data: JSONValue) throws -> [StreamEvent]

    /// Takes note of `data: [DONE]`.
    mutating func readDone()
}

extension StreamReader {
    /// What the end of the stream's bytes says: that was all, or something is missing.
    func finish() -> StreamEvent { isComplete ? .end : .failure(.brokenStream()) }

    /// What an event of the wire says: `[DONE]` and events without data say nothing.
    mutating func read(_ event: borrowing ServerSentEvent) throws -> [StreamEvent] {
        if event.isDone {
            readDone()
            return []
        }
        guard !event.data.isEmpty else { return [] }
        let document: JSONValue
        do {
            document = try JSONParser.parse(event.data, depthMax: ServerSentEvents.depthMax)
        } catch {
            throw DialectError(
                .badGateway, code: "malformed_event", "The provider sent an event that is not JSON.")
        }
        return try read(name: event.nameText, data: document)
    }
}

/// Writes the events of a stream for a client, appending their bytes.
protocol StreamWriter: Sendable {
    mutating func write(_ event: StreamEvent, to output: inout [UInt8])

    /// Takes note of an event of this dialect that went to the client past the writer, so that what it writes next
    /// follows on from there. `false` where it cannot.
    ///
    /// - Parameter steps: What the event says.
    mutating func adopt(_ document: JSONValue, _ steps: [StreamEvent]) -> Bool
}

extension Dialect {
    var streamReader: any StreamReader {
        switch self {
        case .chat: ChatStreamReader()
        case .responses: ResponsesStreamReader()
        case .messages: MessagesStreamReader()
        }
    }

    func streamWriter(_ context: ReplyContext) -> any StreamWriter {
        switch self {
        case .chat: ChatStreamWriter(context)
        case .responses: ResponsesStreamWriter(context)
        case .messages: MessagesStreamWriter(context)
        }
    }
}

extension ServerSentEvents {
    /// Appends an event that is data alone, as Chat Completions has them.
    static func write(_ document: JSONValue, to output: inout [UInt8]) {
        output.append(contentsOf: "data: ".utf8)
        document.write(to: &output)
        output.append(contentsOf: "\n\n".utf8)
    }

    /// Appends an event that is named by its document's own `type`, as Responses and Messages have them.
    static func writeNamed(_ document: JSONObject, to output: inout [UInt8]) {
        output.append(contentsOf: "event: ".utf8)
        output.append(contentsOf: (document["type"]?.string ?? "message").utf8)
        output.append(UInt8(ascii: "\n"))
        write(.object(document), to: &output)
    }
}
