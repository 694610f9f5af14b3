import NIOCore
import Testing

@testable import Gateway

/// Events that are known by their bytes leave the same behind as events that are read.
@Suite("Events that are alike")
struct EventMemoryTests {
    private static let chatPieces = [
        #"{"id":"c","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}]}"#,
        #"{"id":"c","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}],"usage":null}"#,
        #"{"id":"c","choices":[{"index":0,"delta":{"content":"","reasoning_content":"TEXT"}}]}"#,
        #"{"id":"c","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":"stop"}]}"#,
        #"{"id":"c","choices":[{"index":0,"delta":{"content": "TEXT"},"logprobs":{"content":[]}}]}"#,
        #"{"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"note":"TEXT"}}"#,
        #"{"error":null,"choices":[{"delta":{"content":"TEXT"}}]}"#,
        "[DONE]", "TEXT", "",
    ]
    private static let messagePieces = [
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"TEXT"}}"#,
        #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"TEXT"}}"#,
        #"{"type":"message_delta","delta":{"stop_reason":"TEXT"},"usage":{"output_tokens":15}}"#,
    ]
    private static let texts = [
        "a", " word", #"\"quoted\""#, #"back\\slash\\"#, "", #"error"#, "usage", "äöü", #"\u00e9\n"#, "finish_reason",
        String(repeating: "long ", count: 900),
    ]

    /// A stream, and the same one with a comment in each event that no other has: nothing in it is alike.
    private static func streams(_ dialect: Dialect, _ choice: inout SeededChoice) -> (alike: String, apart: String) {
        let pieces = dialect == .chat ? chatPieces : messagePieces
        var (alike, apart) = ("", "")
        // What begins a stream has to be read in any case.
        var piece = pieces[0]
        for number in 0..<120 {
            if number > 0, Int.random(in: 0..<4, using: &choice) == 0 {
                piece = pieces.randomElement(using: &choice) ?? piece
            }
            let text = texts.randomElement(using: &choice) ?? ""
            let ending = Int.random(in: 0..<8, using: &choice) == 0 ? "\r\n" : "\n"
            let name = dialect == .chat ? "" : "event: content_block_delta\(ending)"
            let data = piece.replacing("TEXT", with: text)
            let event = "\(name)data: \(data)\(ending)\(ending)"
            alike += event
            apart += ": \(number)\(ending)" + event
        }
        return (alike, apart)
    }

    private static func relayed(
        _ text: String, _ dialect: Dialect, hidesUsage: Bool, _ choice: inout SeededChoice
    ) throws -> (output: String, progress: StreamProgress) {
        var relay = PlainRelay(dialect, hidesUsage: hidesUsage)
        var output = ByteBuffer()
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...[3, 90, 700, 9_000][Int.random(in: 0..<4, using: &choice)], using: &choice)
            var piece = try relay.take(ByteBuffer(bytes: rest.prefix(count)))
            output.writeBuffer(&piece)
            rest = rest.dropFirst(count)
        }
        var last = relay.finish()
        output.writeBuffer(&last)
        return (String(buffer: output), relay.progress)
    }

    @Test("leave behind what they would if each were read", arguments: 1...150)
    func differential(_ seed: Int) throws {
        var choice = SeededChoice(seed: UInt64(seed))
        let dialect: Dialect = seed % 3 == 0 ? .messages : .chat
        let hidesUsage = seed % 2 == 0
        let (alike, apart) = Self.streams(dialect, &choice)
        let known = try Self.relayed(alike, dialect, hidesUsage: hidesUsage, &choice)
        let read = try Self.relayed(apart, dialect, hidesUsage: hidesUsage, &choice)
        #expect(known.progress.eventBytes == read.progress.eventBytes)
        #expect(known.progress.textBytes == read.progress.textBytes)
        #expect(known.progress.outputTokensMost == read.progress.outputTokensMost)
        #expect(known.progress.isComplete == read.progress.isComplete)
        #expect(known.progress.malformed == read.progress.malformed)
        #expect(known.progress.usage == read.progress.usage)
        #expect(known.progress.error == read.progress.error)
        #expect(known.output == Self.withoutComments(read.output))
    }

    private static func withoutComments(_ stream: String) -> String {
        let lines = stream.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let kept = lines.filter { !$0.starts(with: ": ".utf8) }
        return String(decoding: Array(kept.joined(separator: [UInt8(ascii: "\n")])), as: UTF8.self)
    }

    private static func memory() -> (EventMemory, String) {
        let event = "data: {\"a\":\"one\"}\n\n"
        var memory = EventMemory()
        Array(event.utf8).withUnsafeBufferPointer { memory.keep($0, data: 6..<17, text: 6..<9) }
        return (memory, event)
    }

    @Test(
        "are known whole only, and not across a line",
        arguments: [
            ("data: {\"a\":\"other\"}\n\nmore", 5), (#"data: {"a":"a \" b"}"# + "\n\n", 6),
            ("data: {\"a\":\"other\"}\n", nil), ("data: {\"a\":\"other\"", nil), ("data: {\"a\":\"other", nil),
            ("data: {\"a\":\"\"}\n\n", nil), ("data: {\"b\":\"one\"}\n\n", nil), ("data: {\"a\":\"one\",}\n\n", nil),
            ("data: {\"a\":\"o\nne\"}\n\n", nil), ("data: {\"a\":\"o\\\nne\"}\n\n", nil), ("", nil),
        ] as [(String, Int?)])
    func bounds(_ bytes: String, _ text: Int?) {
        let (memory, _) = Self.memory()
        let known = Array(bytes.utf8).withUnsafeBufferPointer { memory.known($0)?.textBytes }
        #expect(known == text)
    }

    @Test("are kept up to a bound")
    func kept() {
        let text = String(repeating: "x", count: EventMemory.eventBytesMax)
        let event = Array("data: {\"a\":\"\(text)\"}\n\n".utf8)
        var memory = EventMemory()
        event.withUnsafeBufferPointer { event in
            memory.keep(event, data: 6..<event.count - 2, text: 6..<6 + text.utf8.count)
            #expect(memory.known(event) == nil)
        }
    }
}
