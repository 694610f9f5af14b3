import Kernel

/// Reads streams of OpenAI's Chat Completions (OpenAI API reference, The chat completion chunk object), and of the many
/// servers that imitate it: ids, indexes and roles may be missing, thoughts come under two names.
struct ChatStreamReader: StreamReader {
    /// Calls of one answer.
    static let callsMax = 1_000
    /// Bytes of arguments that come before the name of their call.
    static let earlyBytesMax = 1 << 20

    private(set) var isComplete = false
    private var hasStarted = false
    private var id = ""
    /// By the provider's index, in the order in which they came.
    private var calls: [(index: Int, call: Call)] = []
    /// The reason to stop waits for calls that turn out to be there.
    private var hasCalls = false
    private var hasRefusal = false

    private struct Call {
        var id: String?
        var isNamed = false
        var early = ""
    }

    mutating func readDone() { isComplete = true }

    mutating func read(name: String, data: JSONValue) throws -> [StreamEvent] {
        let chunk = LocatedJSON(data)
        if let error = try chunk.optional("error") {
            return [.failure(DialectError(reading: ["error": error.value], status: 200))]
        }
        var events: [StreamEvent] = []
        if !hasStarted {
            hasStarted = true
            id = try chunk.optional("id")?.string ?? ""
            events.append(.start(id: id, model: try chunk.optional("model")?.string ?? ""))
        }
        for choice in try chunk.optional("choices")?.array(max: ModelRequest.itemsMax) ?? [] {
            // Callers of other dialects cannot ask for more than one.
            guard try choice.optional("index")?.int() ?? 0 == 0 else { continue }
            if let delta = try choice.optional("delta") { events += try read(delta) }
            if let reason = try choice.optional("finish_reason") {
                isComplete = true
                var stop = StopReason(chat: try reason.string)
                if stop == .endTurn, hasCalls { stop = .toolUse }
                if stop == .endTurn, hasRefusal { stop = .refusal }
                events += endCalls() + [.stop(stop, sequence: nil)]
            }
        }
        if let usage = try chunk.optional("usage") { events.append(.usage(try DialectUsage(openAI: usage))) }
        return events
    }

    private mutating func read(_ delta: LocatedJSON) throws -> [StreamEvent] {
        var events: [StreamEvent] = []
        if let thought = try delta.optional("reasoning_content") ?? delta.optional("reasoning") {
            let text = try thought.string
            if !text.isEmpty { events.append(.reasoningDelta(text)) }
        }
        if let content = try delta.optional("content") {
            if case .array = content.value {
                for piece in try content.array(max: ModelRequest.itemsMax) {
                    guard let (text, isThought) = try ChatReply.piece(piece), !text.isEmpty else { continue }
                    events.append(isThought ? .reasoningDelta(text) : .textDelta(text))
                }
            } else {
                let text = try content.string
                if !text.isEmpty { events.append(.textDelta(text)) }
            }
        }
        if let refusal = try delta.optional("refusal") {
            hasRefusal = true
            events.append(.refusalDelta(try refusal.string))
        }
        for note in try delta.optional("annotations")?.array(max: ModelRequest.itemsMax) ?? [] {
            guard let source = try note.optional("url_citation") else { continue }
            events.append(
                .citation(
                    ModelReply.Citation(
                        url: try source.required("url").string, title: try source.optional("title")?.string ?? "")))
        }
        let pieces = try delta.optional("tool_calls")?.array(max: Self.callsMax) ?? []
        for (place, piece) in pieces.enumerated() { events += try readCall(piece, place) }
        return events
    }

    private mutating func readCall(_ piece: LocatedJSON, _ place: Int) throws -> [StreamEvent] {
        hasCalls = true
        let callID = try piece.optional("id")?.string
        let index = try piece.optional("index")?.int() ?? guessedIndex(callID, place)
        let function = try piece.optional("function")
        let name = try function?.optional("name")?.string ?? ""
        let arguments = try function?.optional("arguments").map { value -> String in
            if case .object = value.value { return value.value.text }
            return try value.string
        }
        var number = calls.firstIndex { $0.index == index }
        if number == nil {
            guard calls.count < Self.callsMax else { throw piece.wrong("begins more calls than are read") }
            calls.append((index, Call()))
            number = calls.count - 1
        }
        guard let number else { return [] }
        if let callID, !callID.isEmpty, calls[number].call.id == nil { calls[number].call.id = callID }
        var events: [StreamEvent] = []
        if !calls[number].call.isNamed, !name.isEmpty {
            calls[number].call.isNamed = true
            let madeID = ChatReply.madeID(number, of: id)
            events.append(.toolCallStart(index: number, id: calls[number].call.id ?? madeID, name: name))
            if !calls[number].call.early.isEmpty {
                events.append(.argumentsDelta(index: number, calls[number].call.early))
                calls[number].call.early = ""
            }
        }
        guard let arguments, !arguments.isEmpty else { return events }
        if calls[number].call.isNamed {
            events.append(.argumentsDelta(index: number, arguments))
        } else {
            calls[number].call.early += arguments
            guard calls[number].call.early.utf8.count <= Self.earlyBytesMax else {
                throw piece.wrong("has no name for its arguments")
            }
        }
        return events
    }

    /// Without an index, an id that is new begins a call, and anything else goes on with the last.
    private func guessedIndex(_ callID: String?, _ place: Int) -> Int {
        if let callID, !callID.isEmpty {
            return calls.first { $0.call.id == callID }?.index ?? calls.count
        }
        return max(place, calls.count - 1)
    }

    private func endCalls() -> [StreamEvent] {
        calls.indices.filter { calls[$0].call.isNamed }.map { .toolCallEnd(index: $0) }
    }
}
