import Kernel

/// Answers as OpenAI's chat completions write them (platform.openai.com/docs/api-reference/chat).
struct ScriptedChat {
    let call: ScriptedCall
    let answer: ScriptedAnswer
    let id: String
    let createdAt: Int64

    var reply: ScriptedReply { call.isStreamed ? .events(events) : .json(document) }

    private var finishReason: JSONValue {
        .string((answer.finish == .refusal ? Script.Finish.stop : answer.finish).rawValue)
    }

    private func envelope(_ kind: String) -> JSONObject {
        var object = JSONObject()
        object.append("id", .string("chatcmpl-\(id)"))
        object.append("object", .string(kind))
        object.append("created", .int(createdAt))
        object.append("model", .string(call.model))
        return object
    }

    private var usage: JSONValue? {
        answer.usage.map { usage in
            [
                "prompt_tokens": usage.input.json, "completion_tokens": usage.output.json,
                "total_tokens": (usage.input + usage.output).json,
                "prompt_tokens_details": ["cached_tokens": usage.cacheRead.json, "audio_tokens": 0],
                "completion_tokens_details": ["reasoning_tokens": usage.reasoning.json, "audio_tokens": 0],
            ]
        }
    }

    private func calls(inStream: Bool) -> JSONValue {
        .array(
            answer.calls.enumerated().map { index, called in
                var object = JSONObject()
                if inStream { object.append("index", index.json) }
                object.append("id", .string("call_\(id)_\(index)"))
                object.append("type", "function")
                object.append(
                    "function",
                    ["name": .string(called.name), "arguments": .string(inStream ? "" : called.arguments.text)])
                return .object(object)
            })
    }

    private var document: JSONValue {
        var message = JSONObject()
        message.append("role", "assistant")
        let isRefusal = answer.finish == .refusal
        message.append(
            "content", isRefusal || !answer.calls.isEmpty && answer.text.isEmpty ? .null : .string(answer.text))
        message.append("refusal", isRefusal ? .string(answer.text) : .null)
        if let reasoning = answer.reasoning { message.append("reasoning_content", .string(reasoning)) }
        if !answer.calls.isEmpty { message.append("tool_calls", calls(inStream: false)) }
        var object = envelope("chat.completion")
        object.append(
            "choices",
            [["index": 0, "message": .object(message), "logprobs": .null, "finish_reason": finishReason]])
        if let usage { object.append("usage", usage) }
        object.append("system_fingerprint", "fp_scripted")
        return .object(object)
    }

    // MARK: Streams

    private func chunk(_ delta: JSONValue, finish: JSONValue = .null) -> [UInt8] {
        var object = envelope("chat.completion.chunk")
        object.append("choices", [["index": 0, "delta": delta, "logprobs": .null, "finish_reason": finish]])
        if call.tellsUsage { object.append("usage", .null) }
        return ScriptedEvent.data(.object(object))
    }

    private var events: [[UInt8]] {
        var events = [chunk(["role": "assistant", "content": ""])]
        events += ScriptedTokens.pieces(of: answer.reasoning ?? "").map { chunk(["reasoning_content": .string($0)]) }
        let member = answer.finish == .refusal ? "refusal" : "content"
        events += ScriptedTokens.pieces(of: answer.text).map {
            chunk(.object(JSONObject([.init(name: member, value: .string($0))])))
        }
        if !answer.calls.isEmpty { events.append(chunk(["tool_calls": calls(inStream: true)])) }
        for (index, called) in answer.calls.enumerated() {
            events += ScriptedTokens.pieces(of: called.arguments.text).map { piece in
                chunk(["tool_calls": [["index": index.json, "function": ["arguments": .string(piece)]]]])
            }
        }
        events.append(chunk([:], finish: finishReason))
        if call.tellsUsage, let usage {
            var object = envelope("chat.completion.chunk")
            object.append("choices", [])
            object.append("usage", usage)
            events.append(ScriptedEvent.data(.object(object)))
        }
        return events + [ScriptedEvent.done]
    }
}
