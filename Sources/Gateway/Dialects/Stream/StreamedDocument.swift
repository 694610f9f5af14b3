import Kernel
import NIOCore

/// Puts a streamed answer together to the document that the same answer would be in one piece, as far as that says what
/// was said. An answer that breaks off is as long as what came of it.
struct StreamedDocument {
    /// Events that are read.
    static let eventsMax = 200_000
    /// Answers, blocks and calls of one stream, each.
    static let piecesMax = 1_000

    private let dialect: Dialect
    private var chat: [Int64: Choice] = [:]
    private var blocks: [Int64: Block] = [:]
    private var items: [Int64: Item] = [:]
    /// Anthropic's `stop_reason`.
    private var stop: JSONValue?
    /// The response that the last of OpenAI's events has in full.
    private var whole: JSONValue?

    private struct Choice {
        var texts: [String: String] = [:]
        var calls: [Int64: Call] = [:]
        var end: JSONValue?
    }

    private struct Call {
        var id: JSONValue = .null
        var name = ""
        var arguments = ""
    }

    /// One of Anthropic's content blocks.
    private struct Block {
        let start: JSONObject
        var texts: [String: String] = [:]
    }

    /// One of the items of a response, while nobody has told it in full.
    private struct Item {
        var item: JSONObject
        var isDone = false
        var text = ""
    }

    /// - Returns: `nil` where nothing was said.
    static func read(_ body: ByteBuffer, _ dialect: Dialect) -> JSONValue? {
        var me = StreamedDocument(dialect)
        var events = ServerSentEvents()
        var left = eventsMax
        func take(_ event: borrowing ServerSentEvent) {
            left -= 1
            guard left >= 0, !event.data.isEmpty, !event.isDone,
                let document = try? JSONParser.parse(event.data, depthMax: ServerSentEvents.depthMax)
            else { return }
            me.take(document)
        }
        // What comes behind an event without an end is no part of the answer.
        try? body.withUnsafeReadableBytes { try events.feed($0.bindMemory(to: UInt8.self), take) }
        try? events.finish(take)
        return me.document
    }

    private init(_ dialect: Dialect) { self.dialect = dialect }

    private mutating func take(_ document: JSONValue) {
        switch dialect {
        case .chat: takeChat(document)
        case .messages: takeMessages(document)
        case .responses: takeResponses(document)
        }
    }

    private var document: JSONValue? {
        switch dialect {
        case .chat: chatDocument
        case .messages: messagesDocument
        case .responses: responsesDocument
        }
    }
}

// MARK: - Chat Completions

extension StreamedDocument {
    private static let chatTexts = ["content", "reasoning_content", "reasoning", "refusal"]

    private mutating func takeChat(_ chunk: JSONValue) {
        for piece in chunk["choices"]?.array ?? [] {
            let index = piece["index"]?.int ?? 0
            guard chat[index] != nil || chat.count < Self.piecesMax else { continue }
            if let reason = piece["finish_reason"], !reason.isNull { chat[index, default: Choice()].end = reason }
            guard let delta = piece["delta"]?.object else { continue }
            for name in Self.chatTexts {
                guard let text = delta[name]?.string else { continue }
                chat[index, default: Choice()].texts[name, default: ""] += text
            }
            for (place, call) in (delta["tool_calls"]?.array ?? []).enumerated() {
                takeCall(call, number: call["index"]?.int ?? Int64(place), of: index)
            }
            chat[index, default: Choice()].end = chat[index]?.end
        }
    }

    private mutating func takeCall(_ piece: JSONValue, number: Int64, of index: Int64) {
        var choice = chat.removeValue(forKey: index) ?? Choice()
        defer { chat[index] = choice }
        guard choice.calls[number] != nil || choice.calls.count < Self.piecesMax else { return }
        var call = choice.calls.removeValue(forKey: number) ?? Call()
        if let id = piece["id"]?.string, !id.isEmpty { call.id = .string(id) }
        call.name += piece["function"]?["name"]?.string ?? ""
        call.arguments += piece["function"]?["arguments"]?.string ?? ""
        choice.calls[number] = call
    }

    private var chatDocument: JSONValue? {
        guard !chat.isEmpty else { return nil }
        let choices = chat.sorted { $0.key < $1.key }.map { _, choice -> JSONValue in
            var message = JSONObject([.init(name: "role", value: "assistant")])
            for name in Self.chatTexts {
                if let text = choice.texts[name], !text.isEmpty { message.append(name, .string(text)) }
            }
            let calls = choice.calls.sorted { $0.key < $1.key }.map { _, call -> JSONValue in
                [
                    "id": call.id, "type": "function",
                    "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
                ]
            }
            if !calls.isEmpty { message.append("tool_calls", .array(calls)) }
            return ["message": .object(message), "finish_reason": choice.end ?? .null]
        }
        return ["choices": .array(choices)]
    }
}

// MARK: - Messages

extension StreamedDocument {
    private static let deltas = ["text", "thinking", "partial_json"]

    private mutating func takeMessages(_ event: JSONValue) {
        switch event["type"]?.string {
        case "content_block_start":
            guard let index = event["index"]?.int, let block = event["content_block"]?.object,
                blocks.count < Self.piecesMax
            else { return }
            blocks[index] = Block(start: block)
        case "content_block_delta":
            guard let index = event["index"]?.int, blocks[index] != nil, let delta = event["delta"] else { return }
            for name in Self.deltas {
                if let text = delta[name]?.string { blocks[index]?.texts[name, default: ""] += text }
            }
        case "message_delta": stop = event["delta"]?["stop_reason"] ?? stop
        default: break
        }
    }

    private var messagesDocument: JSONValue? {
        guard !blocks.isEmpty || stop != nil else { return nil }
        let content = blocks.sorted { $0.key < $1.key }.map { _, block -> JSONValue in
            var object = block.start
            for name in ["text", "thinking"] {
                if let text = block.texts[name] { object[name] = .string((object[name]?.string ?? "") + text) }
            }
            // What broke off is no JSON, and stays the text that it is.
            if let input = block.texts["partial_json"], !input.isEmpty {
                object["input"] = (try? JSONParser.parse(input, depthMax: ToolCall.depthMax)) ?? .string(input)
            }
            return .object(object)
        }
        return ["role": "assistant", "content": .array(content), "stop_reason": stop ?? .null]
    }
}

// MARK: - Responses

extension StreamedDocument {
    private mutating func takeResponses(_ event: JSONValue) {
        let type = event["type"]?.string ?? ""
        if let response = event["response"], response["output"]?.array?.isEmpty == false {
            whole = response
            return
        }
        guard let index = event["output_index"]?.int, items[index] != nil || items.count < Self.piecesMax else {
            return
        }
        switch type {
        case "response.output_item.added", "response.output_item.done":
            guard let item = event["item"]?.object else { return }
            items[index, default: Item(item: item)].item = item
            items[index]?.isDone = type.hasSuffix("done")
        case "response.output_text.delta", "response.refusal.delta", "response.function_call_arguments.delta",
            "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
            items[index]?.text += event["delta"]?.string ?? ""
        default: break
        }
    }

    private var responsesDocument: JSONValue? {
        if let whole { return whole }
        guard !items.isEmpty else { return nil }
        let output = items.sorted { $0.key < $1.key }.map { _, piece -> JSONValue in
            var item = piece.item
            guard !piece.isDone, !piece.text.isEmpty else { return .object(item) }
            switch item["type"]?.string {
            case "function_call": item["arguments"] = .string(piece.text)
            case "reasoning": item["summary"] = [["type": "summary_text", "text": .string(piece.text)]]
            default: item["content"] = [["type": "output_text", "text": .string(piece.text)]]
            }
            return .object(item)
        }
        return ["output": .array(output)]
    }
}
