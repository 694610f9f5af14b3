import Kernel

/// Writes streams of Anthropic's Messages (Anthropic API reference, Streaming messages).
///
/// Blocks follow one another there, while calls may come interleaved from elsewhere. The first open call is streamed,
/// those behind it are held until its arguments are whole.
struct MessagesStreamWriter: StreamWriter {
    /// Bytes of arguments and text that wait for an open call.
    static let heldBytesMax = 16 << 20

    private let context: ReplyContext
    private let heldMax: Int
    private var hasStarted = false
    private var isOver = false
    private var blocks = 0
    private var open = Open.nothing
    private var waiting: [HeldCall] = []
    private var heldText = ""
    private var heldBytes = 0
    private var usage: DialectUsage?
    private var stop: (reason: StopReason, sequence: String?)?
    private var refusal: String?

    private enum Open: Equatable {
        case nothing, text, thinking
        case call(index: Int)
    }

    private struct HeldCall {
        let index: Int
        let id: String
        let name: String
        var arguments = ""
        var isEnded = false
    }

    /// Follows the arguments of the open call.
    private var scanner = ObjectScanner()

    init(_ context: ReplyContext, heldMax: Int = MessagesStreamWriter.heldBytesMax) {
        self.context = context
        self.heldMax = heldMax
    }

    mutating func write(_ event: StreamEvent, to output: inout [UInt8]) {
        guard !isOver else { return }
        switch event {
        case .start(let id, let model): start(id, model, &output)
        case .textDelta(let text): say(text, &output)
        case .refusalDelta(let text):
            refusal = String(((refusal ?? "") + text).prefix(DialectError.messageCharactersMax))
            say(text, &output)
        case .reasoningDelta(let text):
            guard openBlock(.thinking, ["type": "thinking", "thinking": "", "signature": ""], &output) else { return }
            delta(["type": "thinking_delta", "thinking": .string(text)], &output)
        case .signature(let signature):
            guard openBlock(.thinking, ["type": "thinking", "thinking": "", "signature": ""], &output) else { return }
            delta(["type": "signature_delta", "signature": .string(signature)], &output)
            close(&output)
        case .sealedReasoning(let data):
            guard openBlock(.thinking, ["type": "redacted_thinking", "data": .string(data)], isNew: true, &output)
            else { return }
            close(&output)
        case .toolCallStart(let index, let id, let name):
            waiting.append(HeldCall(index: index, id: id, name: name))
            openNext(&output)
        case .argumentsDelta(let index, let piece): argue(index, piece, &output)
        case .toolCallEnd(let index): end(index, &output)
        case .stop(let reason, let sequence): stop = (reason, sequence)
        case .usage(let counts): usage = counts
        case .ping:
            if hasStarted { named([.init(name: "type", value: "ping")], &output) }
        case .end: finish(&output)
        case .failure(let error): fail(error, &output)
        case .citation, .webSearch: break
        }
    }

    // MARK: Events

    private func named(_ members: [JSONObject.Member], _ output: inout [UInt8]) {
        ServerSentEvents.writeNamed(JSONObject(members), to: &output)
    }

    private mutating func start(_ id: String, _ model: String, _ output: inout [UInt8]) {
        guard !hasStarted else { return }
        hasStarted = true
        let message: JSONValue = [
            "id": .string(Dialect.messages.id(from: id)), "type": "message", "role": "assistant",
            "model": .string(context.model ?? model), "content": [], "stop_reason": .null, "stop_sequence": .null,
            "usage": (usage ?? DialectUsage()).messages,
        ]
        named([.init(name: "type", value: "message_start"), .init(name: "message", value: message)], &output)
    }

    private func delta(_ delta: JSONValue, _ output: inout [UInt8]) {
        named(
            [
                .init(name: "type", value: "content_block_delta"), .init(name: "index", value: (blocks - 1).json),
                .init(name: "delta", value: delta),
            ], &output)
    }

    private mutating func fail(_ error: DialectError, _ output: inout [UInt8]) {
        isOver = true
        ServerSentEvents.writeNamed(error.body(for: .messages).object ?? JSONObject(), to: &output)
    }

    private mutating func finish(_ output: inout [UInt8]) {
        start("", "", &output)
        while case .call(let index) = open { end(index, &output) }
        close(&output)
        if !heldText.isEmpty {
            let text = heldText
            heldText = ""
            say(text, &output)
            close(&output)
        }
        isOver = true
        var reason = stop?.reason ?? .endTurn
        if reason == .endTurn, refusal != nil { reason = .refusal }
        var last = JSONObject([
            .init(name: "stop_reason", value: .string(reason.messages)),
            .init(name: "stop_sequence", value: .of(reason == .stopSequence ? stop?.sequence : nil)),
        ])
        if reason == .refusal || reason == .contentFilter {
            last.append("stop_details", MessagesReply.stopDetails(refusal))
        }
        named(
            [
                .init(name: "type", value: "message_delta"), .init(name: "delta", value: .object(last)),
                .init(name: "usage", value: usage.map(\.messages) ?? ["output_tokens": 0]),
            ], &output)
        named([.init(name: "type", value: "message_stop")], &output)
    }

    // MARK: Blocks

    /// Opens a block unless one of this kind is open; `false` where an open call stands in the way.
    private mutating func openBlock(
        _ kind: Open, _ block: JSONValue, isNew: Bool = false, _ output: inout [UInt8]
    ) -> Bool {
        if open == kind, !isNew { return true }
        if case .call = open { return false }
        start("", "", &output)
        close(&output)
        open = kind
        named(
            [
                .init(name: "type", value: "content_block_start"), .init(name: "index", value: blocks.json),
                .init(name: "content_block", value: block),
            ], &output)
        blocks += 1
        return true
    }

    private mutating func close(_ output: inout [UInt8]) {
        guard open != .nothing else { return }
        open = .nothing
        named(
            [.init(name: "type", value: "content_block_stop"), .init(name: "index", value: (blocks - 1).json)],
            &output)
    }

    private mutating func say(_ text: String, _ output: inout [UInt8]) {
        if openBlock(.text, ["type": "text", "text": ""], &output) {
            delta(["type": "text_delta", "text": .string(text)], &output)
        } else if hold(text.utf8.count, &output) {
            heldText += text
        }
    }

    /// Whether so much more may be held; ends the stream where it may not.
    private mutating func hold(_ bytes: Int, _ output: inout [UInt8]) -> Bool {
        heldBytes += bytes
        if heldBytes <= heldMax { return true }
        fail(.brokenStream("The provider's calls are interleaved and too long to be put in order."), &output)
        return false
    }

    // MARK: Calls

    private mutating func openNext(_ output: inout [UInt8]) {
        while !waiting.isEmpty {
            if case .call = open { return }
            let call = waiting.removeFirst()
            scanner = ObjectScanner()
            _ = openBlock(
                .call(index: call.index),
                [
                    "type": "tool_use", "id": .string(Dialect.identifier(call.id)), "name": .string(call.name),
                    "input": [:],
                ], &output)
            if !call.arguments.isEmpty { write(call.arguments, &output) }
            if call.isEnded || scanner.isComplete { close(&output) }
        }
    }

    private mutating func write(_ arguments: String, _ output: inout [UInt8]) {
        scanner.read(arguments)
        delta(["type": "input_json_delta", "partial_json": .string(arguments)], &output)
    }

    private mutating func argue(_ index: Int, _ piece: String, _ output: inout [UInt8]) {
        if open == .call(index: index) {
            write(piece, &output)
            if scanner.isComplete { end(index, &output) }
        } else if let place = waiting.firstIndex(where: { $0.index == index }), hold(piece.utf8.count, &output) {
            waiting[place].arguments += piece
        }
    }

    private mutating func end(_ index: Int, _ output: inout [UInt8]) {
        if open == .call(index: index) {
            close(&output)
            openNext(&output)
        } else if let place = waiting.firstIndex(where: { $0.index == index }) {
            waiting[place].isEnded = true
        }
    }
}

/// Follows a JSON object that comes in pieces, and knows when it is whole.
struct ObjectScanner: Sendable {
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private(set) var isComplete = false

    mutating func read(_ text: String) {
        for byte in text.utf8 {
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth <= 0 { isComplete = true }
            default: break
            }
        }
    }
}

extension MessagesStreamWriter {
    mutating func adopt(_ document: JSONValue, _ steps: [StreamEvent]) -> Bool {
        switch document["type"]?.string {
        case "message_start": hasStarted = true
        case "content_block_start":
            guard document["index"]?.int == Int64(blocks) else { return false }
            blocks += 1
            switch document["content_block"]?["type"]?.string {
            case "text": open = .text
            case "thinking": open = .thinking
            case "tool_use":
                guard case .toolCallStart(let index, _, _)? = steps.first else { return false }
                open = .call(index: index)
                scanner = ObjectScanner()
            default: return false
            }
        case "content_block_delta":
            if let piece = document["delta"]?["partial_json"]?.string { scanner.read(piece) }
        case "content_block_stop": open = .nothing
        case "message_delta", "message_stop", "ping": break
        default: return false
        }
        for case .usage(let counts) in steps { usage = counts }
        return true
    }
}
