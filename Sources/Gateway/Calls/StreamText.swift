/// How much text an event of a stream carries, without reading the event: for estimates while an answer streams.
struct StreamText: Sendable {
    /// The members that hold text, the most frequent first (OpenAI API reference, "The chat completion chunk object";
    /// Anthropic API reference, "Streaming messages": `text_delta`, `input_json_delta`, `thinking_delta`).
    private let markers: [ByteMarker]

    private static let chat = StreamText(markers: [
        ByteMarker("\"content\":"), ByteMarker("\"arguments\":"), ByteMarker("\"reasoning_content\":"),
        ByteMarker("\"reasoning\":"),
    ])
    private static let responses = StreamText(markers: [ByteMarker("\"delta\":")])
    private static let messages = StreamText(markers: [
        ByteMarker("\"text\":"), ByteMarker("\"partial_json\":"), ByteMarker("\"thinking\":"),
    ])

    static func of(_ dialect: Dialect) -> StreamText {
        switch dialect {
        case .chat: chat
        case .responses: responses
        case .messages: messages
        }
    }

    /// Where the text of the first such member lies that holds any, escapes as they are written.
    func place(in event: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        for marker in markers {
            guard let found = marker.index(in: event) else { continue }
            let text = Self.string(in: event, from: found + marker.count)
            if !text.isEmpty { return text }
        }
        return nil
    }

    private static func string(in event: UnsafeBufferPointer<UInt8>, from start: Int) -> Range<Int> {
        var position = start
        while position < event.count, event[position] == 0x20 { position += 1 }
        guard position < event.count, event[position] == UInt8(ascii: "\"") else { return 0..<0 }
        position += 1
        let first = position
        while position < event.count, event[position] != UInt8(ascii: "\"") {
            position += event[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        return first..<min(position, event.count)
    }
}
