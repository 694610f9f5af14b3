import Kernel

/// Answers as OpenAI's responses write them (platform.openai.com/docs/api-reference/responses).
struct ScriptedResponses {
    let call: ScriptedCall
    let answer: ScriptedAnswer
    let id: String
    let createdAt: Int64

    var reply: ScriptedReply { call.isStreamed ? .events(events) : .json(response(output, isDone: true)) }

    private var isIncomplete: Bool { answer.finish == .length || answer.finish == .contentFilter }

    private func response(_ output: [JSONValue], isDone: Bool) -> JSONValue {
        let reason: JSONValue = answer.finish == .length ? "max_output_tokens" : "content_filter"
        let status: JSONValue = isDone ? (isIncomplete ? "incomplete" : "completed") : "in_progress"
        return [
            "id": .string("resp_\(id)"), "object": "response", "created_at": .int(createdAt), "status": status,
            "error": .null, "incomplete_details": isDone && isIncomplete ? ["reason": reason] : .null,
            "instructions": .null, "max_output_tokens": .of(call.outputMax), "metadata": [:],
            "model": .string(call.model), "output": .array(output), "parallel_tool_calls": true,
            "previous_response_id": .null, "temperature": 1, "top_p": 1, "tool_choice": "auto", "tools": [],
            "usage": isDone ? usage : .null,
        ]
    }

    private var usage: JSONValue {
        guard let usage = answer.usage else { return .null }
        return [
            "input_tokens": usage.input.json, "input_tokens_details": ["cached_tokens": usage.cacheRead.json],
            "output_tokens": usage.output.json,
            "output_tokens_details": ["reasoning_tokens": usage.reasoning.json],
            "total_tokens": (usage.input + usage.output).json,
        ]
    }

    // MARK: Items

    private func reasoningItem(_ text: String) -> JSONValue {
        [
            "id": .string("rs_\(id)"), "type": "reasoning",
            "summary": [["type": "summary_text", "text": .string(text)]],
        ]
    }

    private func textPart(_ text: String) -> JSONValue {
        answer.finish == .refusal
            ? ["type": "refusal", "refusal": .string(text)]
            : ["type": "output_text", "text": .string(text), "annotations": []]
    }

    private func messageItem(_ content: JSONValue, status: JSONValue) -> JSONValue {
        ["id": .string("msg_\(id)"), "type": "message", "status": status, "role": "assistant", "content": content]
    }

    private func callItem(_ index: Int, _ called: Script.Call, arguments: String, status: JSONValue) -> JSONValue {
        [
            "id": .string("fc_\(id)_\(index)"), "type": "function_call", "status": status,
            "call_id": .string("call_\(id)_\(index)"), "name": .string(called.name), "arguments": .string(arguments),
        ]
    }

    private var output: [JSONValue] {
        var items = answer.reasoning.map { [reasoningItem($0)] } ?? []
        if !answer.text.isEmpty { items.append(messageItem([textPart(answer.text)], status: "completed")) }
        for (index, called) in answer.calls.enumerated() {
            items.append(callItem(index, called, arguments: called.arguments.text, status: "completed"))
        }
        return items
    }

    // MARK: Streams

    /// Events in their order; each gets its number when it is written.
    private var events: [[UInt8]] {
        var events: [JSONValue] = [
            ["type": "response.created", "response": response([], isDone: false)],
            ["type": "response.in_progress", "response": response([], isDone: false)],
        ]
        var place = 0
        if let reasoning = answer.reasoning {
            let item = reasoningItem(reasoning)
            events.append(["type": "response.output_item.added", "output_index": place.json, "item": item])
            events.append(["type": "response.output_item.done", "output_index": place.json, "item": item])
            place += 1
        }
        if !answer.text.isEmpty {
            events += textEvents(at: place)
            place += 1
        }
        for (index, called) in answer.calls.enumerated() {
            events += callEvents(index, called, at: place)
            place += 1
        }
        let end = isIncomplete ? "response.incomplete" : "response.completed"
        events.append(["type": .string(end), "response": response(output, isDone: true)])
        return events.enumerated().map { number, event in
            var object = event.object ?? JSONObject()
            object.append("sequence_number", number.json)
            return ScriptedEvent.named(.object(object))
        }
    }

    private func textEvents(at place: Int) -> [JSONValue] {
        let item: JSONValue = .string("msg_\(id)")
        let kind = answer.finish == .refusal ? "refusal" : "output_text"
        func event(_ type: String, _ members: [(String, JSONValue)]) -> JSONValue {
            let place: [(String, JSONValue)] = [
                ("type", .string(type)), ("item_id", item), ("output_index", place.json), ("content_index", 0),
            ]
            return .object(JSONObject((place + members).map { JSONObject.Member(name: $0.0, value: $0.1) }))
        }
        let opened = messageItem([], status: "in_progress")
        var events: [JSONValue] = [
            ["type": "response.output_item.added", "output_index": place.json, "item": opened],
            event("response.content_part.added", [("part", textPart(""))]),
        ]
        events += ScriptedTokens.pieces(of: answer.text).map { piece in
            event("response.\(kind).delta", [("delta", .string(piece)), ("logprobs", [])])
        }
        let whole = kind == "refusal" ? "refusal" : "text"
        events.append(event("response.\(kind).done", [(whole, .string(answer.text)), ("logprobs", [])]))
        events.append(event("response.content_part.done", [("part", textPart(answer.text))]))
        let closed = messageItem([textPart(answer.text)], status: "completed")
        return events + [["type": "response.output_item.done", "output_index": place.json, "item": closed]]
    }

    private func callEvents(_ index: Int, _ called: Script.Call, at place: Int) -> [JSONValue] {
        let item: JSONValue = .string("fc_\(id)_\(index)")
        let arguments = called.arguments.text
        let opened = callItem(index, called, arguments: "", status: "in_progress")
        let closed = callItem(index, called, arguments: arguments, status: "completed")
        let added: JSONValue = ["type": "response.output_item.added", "output_index": place.json, "item": opened]
        let deltas = ScriptedTokens.pieces(of: arguments).map { piece -> JSONValue in
            [
                "type": "response.function_call_arguments.delta", "item_id": item, "output_index": place.json,
                "delta": .string(piece),
            ]
        }
        return [added] + deltas + [
            [
                "type": "response.function_call_arguments.done", "item_id": item, "output_index": place.json,
                "name": .string(called.name), "arguments": .string(arguments),
            ],
            ["type": "response.output_item.done", "output_index": place.json, "item": closed],
        ]
    }
}
