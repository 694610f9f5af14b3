import Kernel

/// Reads streams of Anthropic's Messages (Anthropic API reference, Streaming messages).
struct MessagesStreamReader: StreamReader {
    private(set) var isComplete = false
    /// The open blocks that are calls: the block's index and the call's.
    private var calls: [(block: Int, index: Int)] = []
    private var callsBegun = 0
    /// A search whose query is still coming in.
    private var search: (block: Int, id: String, query: String)?
    /// All members of `usage` so far: later ones replace earlier ones.
    private var usage = JSONObject()

    /// Bytes of a search's query.
    static let queryBytesMax = 1 << 16

    mutating func readDone() { isComplete = true }

    mutating func read(name: String, data: JSONValue) throws -> [StreamEvent] {
        let event = LocatedJSON(data)
        switch try event.type {
        case "message_start":
            let message = try event.required("message")
            var events: [StreamEvent] = [
                .start(
                    id: try message.optional("id")?.string ?? "", model: try message.optional("model")?.string ?? "")
            ]
            events += try readUsage(message)
            return events
        case "content_block_start": return try readStart(event)
        case "content_block_delta": return try readDelta(event)
        case "content_block_stop": return try readStop(event)
        case "message_delta":
            var events = try readUsage(event)
            let delta = try event.required("delta")
            if let reason = try delta.optional("stop_reason") {
                isComplete = true
                let stop = StopReason(messages: try reason.string)
                if stop == .refusal, let why = try MessagesReply.explanation(delta) {
                    events.append(.refusalDelta(why))
                }
                events.append(.stop(stop, sequence: try delta.optional("stop_sequence")?.string))
            }
            return events
        case "message_stop":
            isComplete = true
            return []
        case "ping": return [.ping]
        case "error": return [.failure(DialectError(reading: data, status: 200))]
        // New kinds of events may be added at any time.
        default: return []
        }
    }

    private mutating func readUsage(_ event: LocatedJSON) throws -> [StreamEvent] {
        guard let counts = try event.optional("usage") else { return [] }
        for member in try counts.object.members where !member.value.isNull { usage[member.name] = member.value }
        return [.usage(try DialectUsage(messages: LocatedJSON(.object(usage), path: counts.path)))]
    }

    private mutating func readStart(_ event: LocatedJSON) throws -> [StreamEvent] {
        let block = try event.required("content_block")
        let place = try event.required("index").int()
        switch try block.type {
        case "text":
            let text = try block.optional("text")?.string ?? ""
            return text.isEmpty ? [] : [.textDelta(text)]
        case "thinking":
            let text = try block.optional("thinking")?.string ?? ""
            return text.isEmpty ? [] : [.reasoningDelta(text)]
        case "redacted_thinking": return [.sealedReasoning(try block.required("data").string)]
        case "tool_use":
            guard callsBegun < ChatStreamReader.callsMax else { throw block.wrong("is one more call than are read") }
            let index = callsBegun
            callsBegun += 1
            calls.append((place, index))
            let input = block.value["input"]?.object ?? JSONObject()
            let start = StreamEvent.toolCallStart(
                index: index, id: try block.required("id").string, name: try block.required("name").string)
            return input.isEmpty ? [start] : [start, .argumentsDelta(index: index, JSONValue.object(input).text)]
        case "server_tool_use" where block.value["name"]?.string == "web_search":
            search = (place, try block.required("id").string, "")
            return []
        default: return []
        }
    }

    private mutating func readDelta(_ event: LocatedJSON) throws -> [StreamEvent] {
        let delta = try event.required("delta")
        let place = try event.required("index").int()
        switch try delta.type {
        case "text_delta": return [.textDelta(try delta.required("text").string)]
        case "thinking_delta": return [.reasoningDelta(try delta.required("thinking").string)]
        case "signature_delta": return [.signature(try delta.required("signature").string)]
        case "citations_delta":
            return try MessagesReply.citation(delta.required("citation")).map { [.citation($0)] } ?? []
        case "input_json_delta":
            let piece = try delta.required("partial_json").string
            if search?.block == place {
                search?.query += piece
                guard search?.query.utf8.count ?? 0 <= Self.queryBytesMax else { throw delta.wrong("is too long") }
                return []
            }
            guard let call = calls.last(where: { $0.block == place }), !piece.isEmpty else { return [] }
            return [.argumentsDelta(index: call.index, piece)]
        default: return []
        }
    }

    private mutating func readStop(_ event: LocatedJSON) throws -> [StreamEvent] {
        let place = try event.required("index").int()
        if let done = search, done.block == place {
            search = nil
            let input = try? JSONParser.parse(done.query, depthMax: ToolCall.depthMax)
            return [.webSearch(id: done.id, query: input?["query"]?.string ?? "")]
        }
        guard let open = calls.firstIndex(where: { $0.block == place }) else { return [] }
        return [.toolCallEnd(index: calls.remove(at: open).index)]
    }
}
