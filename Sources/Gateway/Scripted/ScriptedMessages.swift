import Kernel

/// Answers as Anthropic's messages write them (docs.anthropic.com/en/api/messages, …/messages-streaming).
struct ScriptedMessages {
    let call: ScriptedCall
    let answer: ScriptedAnswer
    let id: String

    var reply: ScriptedReply { call.isStreamed ? .events(events) : .json(document) }

    private var stopReason: JSONValue {
        if answer.stop != nil { return "stop_sequence" }
        return switch answer.finish {
        case .stop: "end_turn"
        case .length: "max_tokens"
        case .toolCalls: "tool_use"
        case .refusal, .contentFilter: "refusal"
        }
    }

    /// The counts as a message has them: what comes from the cache is counted apart from the rest.
    private func usage(output: Int) -> JSONValue {
        guard let usage = answer.usage else { return ["input_tokens": 0, "output_tokens": 0] }
        return [
            "input_tokens": (usage.input - usage.cacheRead - usage.cacheWrite).json,
            "cache_creation_input_tokens": usage.cacheWrite.json, "cache_read_input_tokens": usage.cacheRead.json,
            "output_tokens": output.json,
        ]
    }

    private func message(_ content: JSONValue, stopReason: JSONValue, output: Int) -> JSONValue {
        [
            "id": .string("msg_\(id)"), "type": "message", "role": "assistant", "model": .string(call.model),
            "content": content, "stop_reason": stopReason, "stop_sequence": .of(answer.stop),
            "usage": usage(output: output),
        ]
    }

    private var document: JSONValue {
        var content: [JSONValue] = []
        if let reasoning = answer.reasoning {
            content.append(["type": "thinking", "thinking": .string(reasoning), "signature": Self.signature])
        }
        if !answer.text.isEmpty { content.append(["type": "text", "text": .string(answer.text)]) }
        for (index, called) in answer.calls.enumerated() {
            content.append([
                "type": "tool_use", "id": .string("toolu_\(id)_\(index)"), "name": .string(called.name),
                "input": called.arguments,
            ])
        }
        return message(.array(content), stopReason: stopReason, output: answer.usage?.output ?? 0)
    }

    private static let signature: JSONValue = "c2NyaXB0ZWQ="

    // MARK: Streams

    private struct Block {
        let start: JSONValue
        let deltas: [JSONValue]
    }

    private var blocks: [Block] {
        var blocks: [Block] = []
        if let reasoning = answer.reasoning {
            let pieces = ScriptedTokens.pieces(of: reasoning).map { piece -> JSONValue in
                ["type": "thinking_delta", "thinking": .string(piece)]
            }
            blocks.append(
                Block(
                    start: ["type": "thinking", "thinking": "", "signature": ""],
                    deltas: pieces + [["type": "signature_delta", "signature": Self.signature]]))
        }
        if !answer.text.isEmpty {
            let pieces = ScriptedTokens.pieces(of: answer.text).map { piece -> JSONValue in
                ["type": "text_delta", "text": .string(piece)]
            }
            blocks.append(Block(start: ["type": "text", "text": ""], deltas: pieces))
        }
        for (index, called) in answer.calls.enumerated() {
            let pieces = ScriptedTokens.pieces(of: called.arguments.text).map { piece -> JSONValue in
                ["type": "input_json_delta", "partial_json": .string(piece)]
            }
            blocks.append(
                Block(
                    start: [
                        "type": "tool_use", "id": .string("toolu_\(id)_\(index)"), "name": .string(called.name),
                        "input": [:],
                    ], deltas: pieces))
        }
        return blocks
    }

    private var events: [[UInt8]] {
        let start = message([], stopReason: .null, output: 1)
        var events = [ScriptedEvent.named(["type": "message_start", "message": start])]
        for (index, block) in blocks.enumerated() {
            events.append(
                ScriptedEvent.named([
                    "type": "content_block_start", "index": index.json, "content_block": block.start,
                ]))
            if index == 0 { events.append(ScriptedEvent.named(["type": "ping"])) }
            events += block.deltas.map {
                ScriptedEvent.named(["type": "content_block_delta", "index": index.json, "delta": $0])
            }
            events.append(ScriptedEvent.named(["type": "content_block_stop", "index": index.json]))
        }
        events.append(
            ScriptedEvent.named([
                "type": "message_delta", "delta": ["stop_reason": stopReason, "stop_sequence": .of(answer.stop)],
                "usage": usage(output: answer.usage?.output ?? 0),
            ]))
        return events + [ScriptedEvent.named(["type": "message_stop"])]
    }
}
