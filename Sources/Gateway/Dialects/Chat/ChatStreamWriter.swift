import Kernel

/// Writes streams of OpenAI's Chat Completions (OpenAI API reference, The chat completion chunk object).
struct ChatStreamWriter: StreamWriter {
    private let context: ReplyContext
    private var head: [JSONObject.Member] = []
    private var usage: DialectUsage?
    private var textCount = 0
    private var hasRefusal = false
    private var hasStopped = false
    private var isOver = false

    init(_ context: ReplyContext) {
        self.context = context
    }

    mutating func write(_ event: StreamEvent, to output: inout [UInt8]) {
        guard !isOver else { return }
        switch event {
        case .start(let id, let model): start(id, model, &output)
        case .textDelta(let text):
            textCount += text.count
            chunk(["content": .string(text)], to: &output)
        case .citation(let citation):
            chunk(
                [
                    "annotations": [
                        [
                            "type": "url_citation",
                            "url_citation": [
                                "start_index": 0, "end_index": textCount.json, "url": .string(citation.url),
                                "title": .string(citation.title),
                            ],
                        ]
                    ]
                ], to: &output)
        case .reasoningDelta(let text): chunk(["reasoning_content": .string(text)], to: &output)
        case .refusalDelta(let text):
            hasRefusal = true
            chunk(["refusal": .string(text)], to: &output)
        case .toolCallStart(let index, let id, let name):
            call(
                [
                    "index": index.json, "id": .string(id), "type": "function",
                    "function": ["name": .string(name), "arguments": ""],
                ], &output)
        case .argumentsDelta(let index, let piece):
            call(["index": index.json, "function": ["arguments": .string(piece)]], &output)
        case .stop(let reason, _): stop(reason, &output)
        case .usage(let counts): usage = counts
        case .end: end(&output)
        case .failure(let error):
            isOver = true
            ServerSentEvents.write(error.body(for: .chat), to: &output)
        case .ping, .signature, .sealedReasoning, .toolCallEnd, .webSearch: break
        }
    }

    private mutating func start(_ id: String, _ model: String, _ output: inout [UInt8]) {
        guard head.isEmpty else { return }
        head = [
            .init(name: "id", value: .string(Dialect.chat.id(from: id))),
            .init(name: "object", value: "chat.completion.chunk"),
            .init(name: "created", value: .int(context.createdAt)),
            .init(name: "model", value: .string(context.model ?? model)),
        ]
        chunk(["role": "assistant", "content": ""], to: &output)
    }

    private mutating func chunk(_ delta: JSONValue, finish: JSONValue = .null, to output: inout [UInt8]) {
        if head.isEmpty { start("", "", &output) }
        var object = JSONObject(head)
        object.append("choices", [["index": 0, "delta": delta, "logprobs": .null, "finish_reason": finish]])
        if context.tellsUsage { object.append("usage", .null) }
        ServerSentEvents.write(.object(object), to: &output)
    }

    private mutating func call(_ call: JSONValue, _ output: inout [UInt8]) {
        chunk(["tool_calls": [call]], to: &output)
    }

    private mutating func stop(_ reason: StopReason, _ output: inout [UInt8]) {
        guard !hasStopped else { return }
        if reason == .refusal, !hasRefusal, textCount == 0 {
            chunk(["refusal": .string(ChatReply.refusalText)], to: &output)
        }
        hasStopped = true
        chunk([:], finish: .string(reason.chat), to: &output)
    }

    private mutating func end(_ output: inout [UInt8]) {
        stop(.endTurn, &output)
        isOver = true
        if context.tellsUsage, let usage {
            var object = JSONObject(head)
            object.append("choices", [])
            object.append("usage", usage.chat)
            ServerSentEvents.write(.object(object), to: &output)
        }
        output.append(contentsOf: "data: [DONE]\n\n".utf8)
    }
}

extension ChatStreamWriter {
    mutating func adopt(_ document: JSONValue, _ steps: [StreamEvent]) -> Bool {
        let choices = document["choices"]?.array ?? []
        // Of several answers only the first is followed.
        guard choices.allSatisfy({ ($0["index"]?.int ?? 0) == 0 }) else { return false }
        if head.isEmpty {
            head = ["id", "object", "created", "model"].map { .init(name: $0, value: document[$0] ?? .null) }
        }
        var unseen: [UInt8] = []
        for step in steps { write(step, to: &unseen) }
        return true
    }
}
