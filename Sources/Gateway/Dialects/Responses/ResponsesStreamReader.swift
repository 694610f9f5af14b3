import Kernel

/// Reads streams of OpenAI's Responses (OpenAI API reference, Streaming events).
struct ResponsesStreamReader: StreamReader {
    private(set) var isComplete = false
    /// The calls by their place in the output.
    private var calls: [(place: Int, index: Int, hasArguments: Bool)] = []
    private var hasRefusal = false

    mutating func readDone() { isComplete = true }

    mutating func read(name: String, data: JSONValue) throws -> [StreamEvent] {
        let event = LocatedJSON(data)
        switch try event.type {
        case "response.created":
            let response = try event.required("response")
            return [
                .start(
                    id: try response.optional("id")?.string ?? "",
                    model: try response.optional("model")?.string ?? "")
            ]
        case "response.output_text.delta": return [.textDelta(try event.required("delta").string)]
        case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
            return [.reasoningDelta(try event.required("delta").string)]
        case "response.refusal.delta":
            hasRefusal = true
            return [.refusalDelta(try event.required("delta").string)]
        case "response.output_text.annotation.added":
            guard let note = try event.optional("annotation"), try note.type == "url_citation" else { return [] }
            return [
                .citation(
                    ModelReply.Citation(
                        url: try note.required("url").string, title: try note.optional("title")?.string ?? ""))
            ]
        case "response.output_item.added": return try readAdded(event)
        case "response.output_item.done": return try readDone(event)
        case "response.function_call_arguments.delta":
            let place = try event.required("output_index").int()
            guard let number = calls.firstIndex(where: { $0.place == place }) else { return [] }
            calls[number].hasArguments = true
            return [.argumentsDelta(index: calls[number].index, try event.required("delta").string)]
        case "response.completed", "response.incomplete", "response.failed": return try readEnd(event)
        case "error":
            // Its members stand at the top.
            return [.failure(DialectError(reading: event.value["error"] == nil ? ["error": data] : data, status: 200))]
        default: return []
        }
    }

    private mutating func readAdded(_ event: LocatedJSON) throws -> [StreamEvent] {
        let item = try event.required("item")
        guard try item.type == "function_call" else { return [] }
        guard calls.count < ChatStreamReader.callsMax else { throw item.wrong("is one more call than are read") }
        let index = calls.count
        calls.append((try event.required("output_index").int(), index, false))
        return [
            .toolCallStart(
                index: index, id: try item.required("call_id").string, name: try item.required("name").string)
        ]
    }

    private mutating func readDone(_ event: LocatedJSON) throws -> [StreamEvent] {
        let item = try event.required("item")
        switch try item.type {
        case "function_call":
            let place = try event.required("output_index").int()
            guard let call = calls.first(where: { $0.place == place }) else { return [] }
            let arguments = try item.optional("arguments")?.string ?? ""
            let whole: [StreamEvent] =
                call.hasArguments || arguments.isEmpty ? [] : [.argumentsDelta(index: call.index, arguments)]
            return whole + [.toolCallEnd(index: call.index)]
        case "web_search_call":
            return [
                .webSearch(id: try item.required("id").string, query: item.value["action"]?["query"]?.string ?? "")
            ]
        default: return []
        }
    }

    private mutating func readEnd(_ event: LocatedJSON) throws -> [StreamEvent] {
        let response = try event.required("response")
        isComplete = true
        if let error = try response.optional("error") {
            return [.failure(DialectError(reading: ["error": error.value], status: 200))]
        }
        var events: [StreamEvent] = []
        if let usage = try response.optional("usage") { events.append(.usage(try DialectUsage(openAI: usage))) }
        var stop = try ResponsesReply.stop(response)
        if stop == .endTurn, !calls.isEmpty { stop = .toolUse }
        if stop == .endTurn, hasRefusal { stop = .refusal }
        return events + [.stop(stop, sequence: nil)]
    }
}
