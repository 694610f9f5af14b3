import Kernel

/// Writes streams of OpenAI's Responses (OpenAI API reference, Streaming events).
struct ResponsesStreamWriter: StreamWriter {
    /// Bytes of an answer, all of which its last event repeats.
    static let outputBytesMax = 32 << 20

    private let context: ReplyContext
    private let bytesMax: Int
    private var items = ResponsesItems(replyID: "")
    private var model = ""
    private var hasStarted = false
    private var isOver = false
    private var sequence = 0
    /// The items of the answer; those that are open stand there as they began.
    private var output: [JSONValue] = []
    private var open = Open.nothing
    private var calls: [(index: Int, place: Int, call: ToolCall)] = []
    private var bytes = 0
    private var usage: DialectUsage?
    private var stop = StopReason.endTurn

    private enum Open {
        case nothing
        case reasoning(place: Int, text: String)
        case message(place: Int, Message)
    }

    /// An open message: its closed parts, and the open one.
    private struct Message {
        var closed: [JSONValue] = []
        var text = ""
        var isRefusal = false
        var isOpen = false
        var citations: [ModelReply.Citation] = []
    }

    init(_ context: ReplyContext, bytesMax: Int = ResponsesStreamWriter.outputBytesMax) {
        self.context = context
        self.bytesMax = bytesMax
    }

    mutating func write(_ event: StreamEvent, to bytes: inout [UInt8]) {
        guard !isOver else { return }
        switch event {
        case .start(let id, let model): start(id, model, &bytes)
        case .textDelta(let text): say(text, isRefusal: false, &bytes)
        case .refusalDelta(let text): say(text, isRefusal: true, &bytes)
        case .citation(let citation): cite(citation, &bytes)
        case .reasoningDelta(let text): think(text, &bytes)
        case .toolCallStart(let index, let id, let name): begin(index, id, name, &bytes)
        case .argumentsDelta(let index, let piece): argue(index, piece, &bytes)
        case .toolCallEnd(let index): end(index, &bytes)
        case .webSearch(let id, let query): search(id, query, &bytes)
        case .stop(let reason, _): stop = reason
        case .usage(let counts): usage = counts
        case .end: finish(&bytes)
        case .failure(let error): fail(error, &bytes)
        case .ping, .signature, .sealedReasoning: break
        }
    }

    // MARK: Events

    private mutating func send(_ type: String, _ members: [(String, JSONValue)], _ bytes: inout [UInt8]) {
        var object = JSONObject([
            .init(name: "type", value: .string(type)), .init(name: "sequence_number", value: sequence.json),
        ])
        sequence += 1
        for (name, value) in members { object.append(name, value) }
        ServerSentEvents.writeNamed(object, to: &bytes)
    }

    private mutating func start(_ id: String, _ model: String, _ bytes: inout [UInt8]) {
        guard !hasStarted else { return }
        hasStarted = true
        items = ResponsesItems(replyID: Dialect.responses.id(from: id))
        self.model = model
        let response = items.response(model, [], context, status: "in_progress")
        send("response.created", [("response", response)], &bytes)
        send("response.in_progress", [("response", response)], &bytes)
    }

    private mutating func finish(_ bytes: inout [UInt8]) {
        start("", "", &bytes)
        if stop == .refusal, output.isEmpty { say(ChatReply.refusalText, isRefusal: true, &bytes) }
        closeAll(&bytes)
        isOver = true
        let reason = stop.incompleteReason
        let response = items.response(
            model, output, context, status: reason == nil ? "completed" : "incomplete", incompleteReason: reason,
            usage: usage)
        send(reason == nil ? "response.completed" : "response.incomplete", [("response", response)], &bytes)
    }

    private mutating func fail(_ error: DialectError, _ bytes: inout [UInt8]) {
        start("", "", &bytes)
        isOver = true
        let code: JSONValue =
            switch error.kind {
            case .rateLimit, .budget: "rate_limit_exceeded"
            case .contextLength, .invalidRequest, .contentFilter: "invalid_prompt"
            default: "server_error"
            }
        // Its fields stand at the top, and again in a member `error`, without which OpenAI's clients go on reading as
        // though nothing had happened.
        send(
            "error",
            [
                ("code", .of(error.code ?? code.string)), ("message", .string(error.message)),
                ("param", .of(error.param)), ("error", error.body(for: .responses)["error"] ?? .null),
            ], &bytes)
        let response = items.response(
            model, output, context, status: "failed", usage: usage,
            error: ["code": code, "message": .string(error.message)])
        send("response.failed", [("response", response)], &bytes)
    }

    private mutating func add(_ item: JSONValue, _ bytes: inout [UInt8]) -> Int {
        start("", "", &bytes)
        let place = output.count
        output.append(item)
        send("response.output_item.added", [("output_index", place.json), ("item", item)], &bytes)
        return place
    }

    private mutating func done(_ item: JSONValue, at place: Int, _ bytes: inout [UInt8]) {
        output[place] = item
        send("response.output_item.done", [("output_index", place.json), ("item", item)], &bytes)
    }

    /// Whether so much more may come; ends the stream where it may not.
    private mutating func take(_ text: String, _ bytes: inout [UInt8]) -> Bool {
        self.bytes += text.utf8.count
        if self.bytes <= bytesMax { return true }
        fail(.brokenStream("The provider's answer is too long."), &bytes)
        return false
    }

    // MARK: Text

    private func place(_ item: JSONValue, _ place: Int, _ part: Int) -> [(String, JSONValue)] {
        [("item_id", item), ("output_index", place.json), ("content_index", part.json)]
    }

    private func part(_ message: Message) -> JSONValue {
        message.isRefusal ? items.refusal(message.text) : items.text(message.text, message.citations)
    }

    private mutating func say(_ text: String, isRefusal: Bool, _ bytes: inout [UInt8]) {
        guard take(text, &bytes) else { return }
        if case .message = open {
        } else {
            closeOpen(&bytes)
            let item = items.message(output.count, [], status: "in_progress")
            open = .message(place: add(item, &bytes), Message())
        }
        guard case .message(let place, var message) = open else { return }
        // Let go, so that the text grows in place.
        open = .nothing
        let id = items.messageID(place)
        if message.isOpen, message.isRefusal != isRefusal { closePart(&message, place, &bytes) }
        if !message.isOpen {
            message.isOpen = true
            message.isRefusal = isRefusal
            send(
                "response.content_part.added",
                self.place(id, place, message.closed.count) + [("part", part(message))], &bytes)
        }
        message.text += text
        let kind = isRefusal ? "refusal" : "output_text"
        var members = self.place(id, place, message.closed.count) + [("delta", .string(text))]
        if !isRefusal { members.append(("logprobs", [])) }
        send("response.\(kind).delta", members, &bytes)
        open = .message(place: place, message)
    }

    private mutating func cite(_ citation: ModelReply.Citation, _ bytes: inout [UInt8]) {
        guard case .message(let place, var message) = open, message.isOpen, !message.isRefusal else { return }
        guard message.citations.count < ModelRequest.itemsMax else { return }
        send(
            "response.output_text.annotation.added",
            self.place(items.messageID(place), place, message.closed.count) + [
                ("annotation_index", message.citations.count.json),
                ("annotation", items.annotation(citation, to: message.text.count)),
            ], &bytes)
        message.citations.append(citation)
        open = .message(place: place, message)
    }

    private mutating func closePart(_ message: inout Message, _ place: Int, _ bytes: inout [UInt8]) {
        guard message.isOpen else { return }
        let at = self.place(items.messageID(place), place, message.closed.count)
        if message.isRefusal {
            send("response.refusal.done", at + [("refusal", .string(message.text))], &bytes)
        } else {
            send("response.output_text.done", at + [("text", .string(message.text)), ("logprobs", [])], &bytes)
        }
        let whole = part(message)
        send("response.content_part.done", at + [("part", whole)], &bytes)
        message.closed.append(whole)
        message.text = ""
        message.citations = []
        message.isOpen = false
    }

    // MARK: Thoughts

    private mutating func think(_ text: String, _ bytes: inout [UInt8]) {
        guard take(text, &bytes) else { return }
        if case .reasoning = open {
        } else {
            closeOpen(&bytes)
            let place = add(items.reasoning(output.count, []), &bytes)
            open = .reasoning(place: place, text: "")
            send(
                "response.reasoning_summary_part.added",
                summary(place) + [("part", ["type": "summary_text", "text": ""])], &bytes)
        }
        guard case .reasoning(let place, var whole) = open else { return }
        // Let go, so that the text grows in place.
        open = .nothing
        whole += text
        open = .reasoning(place: place, text: whole)
        send("response.reasoning_summary_text.delta", summary(place) + [("delta", .string(text))], &bytes)
    }

    private func summary(_ place: Int) -> [(String, JSONValue)] {
        [("item_id", items.reasoningID(place)), ("output_index", place.json), ("summary_index", 0)]
    }

    private mutating func closeOpen(_ bytes: inout [UInt8]) {
        let closing = open
        open = .nothing
        switch closing {
        case .nothing: break
        case .reasoning(let place, let text):
            send("response.reasoning_summary_text.done", summary(place) + [("text", .string(text))], &bytes)
            let part: JSONValue = ["type": "summary_text", "text": .string(text)]
            send("response.reasoning_summary_part.done", summary(place) + [("part", part)], &bytes)
            done(items.reasoning(place, [text]), at: place, &bytes)
        case .message(let place, var message):
            closePart(&message, place, &bytes)
            done(items.message(place, message.closed, status: "completed"), at: place, &bytes)
        }
    }

    // MARK: Calls

    private mutating func begin(_ index: Int, _ id: String, _ name: String, _ bytes: inout [UInt8]) {
        closeOpen(&bytes)
        let call = ToolCall(id: id, name: name, arguments: "")
        let place = add(items.call(output.count, call, status: "in_progress"), &bytes)
        calls.append((index, place, call))
    }

    private mutating func argue(_ index: Int, _ piece: String, _ bytes: inout [UInt8]) {
        guard let number = calls.firstIndex(where: { $0.index == index }), take(piece, &bytes) else { return }
        let place = calls[number].place
        calls[number].call.arguments += piece
        send(
            "response.function_call_arguments.delta",
            [("item_id", items.callID(place)), ("output_index", place.json), ("delta", .string(piece))], &bytes)
    }

    private mutating func end(_ index: Int, _ bytes: inout [UInt8]) {
        guard let number = calls.firstIndex(where: { $0.index == index }) else { return }
        let (_, place, call) = calls.remove(at: number)
        send(
            "response.function_call_arguments.done",
            [
                ("item_id", items.callID(place)), ("output_index", place.json), ("name", .string(call.name)),
                ("arguments", .string(call.arguments)),
            ], &bytes)
        done(items.call(place, call, status: "completed"), at: place, &bytes)
    }

    private mutating func closeAll(_ bytes: inout [UInt8]) {
        closeOpen(&bytes)
        for call in calls { end(call.index, &bytes) }
    }

    // MARK: Searches

    private mutating func search(_ id: String, _ query: String, _ bytes: inout [UInt8]) {
        closeOpen(&bytes)
        let itemID: JSONValue = .string(items.webSearchID(id))
        let place = add(items.webSearch(id, query, status: "in_progress"), &bytes)
        for step in ["in_progress", "searching", "completed"] {
            send("response.web_search_call.\(step)", [("item_id", itemID), ("output_index", place.json)], &bytes)
        }
        done(items.webSearch(id, query, status: "completed"), at: place, &bytes)
    }
}

extension ResponsesStreamWriter {
    mutating func adopt(_ document: JSONValue, _ steps: [StreamEvent]) -> Bool {
        if let number = document["sequence_number"]?.int { sequence = Int(clamping: number &+ 1) }
        let place = Int(clamping: document["output_index"]?.int ?? 0)
        switch document["type"]?.string {
        case "response.created":
            hasStarted = true
            items = ResponsesItems(replyID: document["response"]?["id"]?.string ?? "")
            model = document["response"]?["model"]?.string ?? ""
        case "response.output_item.added":
            guard let item = document["item"], place == output.count else { return false }
            return adopt(added: item, at: place, steps)
        case "response.output_item.done":
            guard let item = document["item"], output.indices.contains(place) else { return false }
            output[place] = item
            if calls.contains(where: { $0.place == place }) {
                calls.removeAll { $0.place == place }
            } else {
                open = .nothing
            }
        case "response.function_call_arguments.delta":
            guard let number = calls.firstIndex(where: { $0.place == place }) else { return false }
            calls[number].call.arguments += document["delta"]?.string ?? ""
        case "response.reasoning_summary_text.delta":
            guard case .reasoning(let place, let text) = open else { return false }
            open = .reasoning(place: place, text: text + (document["delta"]?.string ?? ""))
        default: return adopt(part: document)
        }
        return true
    }

    private mutating func adopt(added item: JSONValue, at place: Int, _ steps: [StreamEvent]) -> Bool {
        guard let id = item["id"]?.string else { return false }
        items.known[place] = id
        output.append(item)
        switch item["type"]?.string {
        case "message": open = .message(place: place, Message())
        case "reasoning": open = .reasoning(place: place, text: "")
        case "function_call":
            guard case .toolCallStart(let index, let id, let name)? = steps.first else { return false }
            calls.append((index, place, ToolCall(id: id, name: name, arguments: "")))
        default: return false
        }
        return true
    }

    /// Parts of a message; other events change nothing that is written later.
    private mutating func adopt(part document: JSONValue) -> Bool {
        guard case .message(let place, var message) = open else { return true }
        open = .nothing
        switch document["type"]?.string {
        case "response.content_part.added":
            message.isOpen = true
            message.isRefusal = document["part"]?["type"]?.string == "refusal"
        case "response.output_text.delta", "response.refusal.delta": message.text += document["delta"]?.string ?? ""
        case "response.content_part.done":
            message.closed.append(document["part"] ?? .null)
            message.text = ""
            message.isOpen = false
        default: break
        }
        open = .message(place: place, message)
        return true
    }
}
