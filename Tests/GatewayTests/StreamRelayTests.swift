import Kernel
import NIOCore
import Testing

@testable import Gateway

@Suite("Streams that go through")
struct StreamRelayTests {
    private static let chat =
        ": hello\n\n"
        + #"data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}"#
        + "\n\n"
        + #"data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"# + "\n\n"
    private static let usage =
        #"data: {"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"# + "\n\n"
    private static let done = "data: [DONE]\n\n"

    private static func relayed(_ text: String, hidesUsage: Bool, pieceBytes: Int) throws -> (String, StreamProgress) {
        var relay = PlainRelay(.chat, hidesUsage: hidesUsage)
        var output = ByteBuffer()
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            var piece = try relay.take(ByteBuffer(bytes: bytes[start..<min(start + pieceBytes, bytes.count)]))
            output.writeBuffer(&piece)
        }
        var last = relay.finish()
        output.writeBuffer(&last)
        return (String(buffer: output), relay.progress)
    }

    @Test("bytes go on as they came, however they are cut", arguments: 1...64)
    func unchanged(_ pieceBytes: Int) throws {
        let text = Self.chat + Self.usage + Self.done
        let (output, progress) = try Self.relayed(text, hidesUsage: false, pieceBytes: pieceBytes)
        #expect(output == text)
        #expect(progress.isComplete)
        #expect(progress.usage?["total_tokens"]?.int == 7)
        #expect(progress.malformed == 0)
    }

    @Test("usage that nobody asked for is kept back, and nothing else", arguments: 1...64)
    func hidden(_ pieceBytes: Int) throws {
        let (output, progress) = try Self.relayed(
            Self.chat + Self.usage + Self.done, hidesUsage: true, pieceBytes: pieceBytes)
        #expect(output == Self.chat + Self.done)
        #expect(progress.usage?["prompt_tokens"]?.int == 5)
    }

    @Test("usage beside a choice is taken out of its event")
    func taken() throws {
        let event =
            #"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"#
            + #""completion_tokens":1}}"# + "\n\n"
        let (output, progress) = try Self.relayed(event + Self.done, hidesUsage: true, pieceBytes: 7)
        #expect(
            output == #"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"# + "\n\n" + Self.done)
        #expect(progress.usage != nil)
    }

    @Test("an end is a reason to stop or the last event; without either the client is told")
    func ends() throws {
        #expect(try Self.relayed(Self.chat, hidesUsage: false, pieceBytes: 9).1.isComplete)
        let begun = String(Self.chat.prefix(130))
        let (cut, progress) = try Self.relayed(begun, hidesUsage: false, pieceBytes: 9)
        #expect(!progress.isComplete)
        #expect(cut.hasPrefix(begun))
        #expect(cut.contains(#""error""#))
        #expect(!cut.contains("[DONE]"))
    }

    @Test("of several answers one has its reason to stop before the others have theirs")
    func sideBySide() throws {
        var relay = PlainRelay(.chat, hidesUsage: false, hasManyAnswers: true)
        _ = try relay.take(ByteBuffer(string: Self.chat))
        #expect(!relay.progress.isComplete)
        _ = try relay.take(ByteBuffer(string: Self.done))
        #expect(relay.progress.isComplete)
    }

    @Test("what is no JSON is a failure at first, and passes later")
    func malformed() throws {
        var relay = PlainRelay(.chat, hidesUsage: false)
        #expect(throws: BrokenRelay.self) { try relay.take(ByteBuffer(string: "data: oops\n\n")) }
        let (output, progress) = try Self.relayed(
            Self.chat + "data: oops\n\n" + Self.done, hidesUsage: false, pieceBytes: 50)
        #expect(output == Self.chat + "data: oops\n\n" + Self.done)
        #expect(progress.malformed == 1)
    }

    @Test("an error inside of a stream is known as one")
    func errors() throws {
        var relay = PlainRelay(.messages, hidesUsage: false)
        let event =
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n"
        _ = try relay.take(ByteBuffer(string: event))
        #expect(!relay.progress.hasBegun)
        #expect(relay.progress.error?.kind == .overloaded)
        #expect(relay.progress.failure == .overloaded(retryAfter: nil))
    }

    @Test("a stream that is broken off in the middle of an event ends in one that can be read")
    func brokenOff() throws {
        var relay = PlainRelay(.chat, hidesUsage: false)
        _ = try relay.take(ByteBuffer(string: Self.chat + "data: {\"choi"))
        let last = String(buffer: relay.breakOff(.brokenStream()))
        #expect(last.hasPrefix("\n\ndata: {\"error\":"))
        #expect(last.hasSuffix("\n\n"))
    }

    @Test("a translated stream tells the client what its own dialect would")
    func translated() throws {
        var relay = TranslatingRelay(from: .chat, to: .messages, ReplyContext(createdAt: 0, model: "claude"))
        var text = ""
        for byte in (Self.chat + Self.usage + Self.done).utf8 {
            text += String(buffer: try relay.take(ByteBuffer(bytes: [byte])))
        }
        text += String(buffer: relay.finish())
        let names = text.split(separator: "\n").filter { $0.hasPrefix("event: ") }.map { $0.dropFirst(7) }
        #expect(names.first == "message_start")
        #expect(names.last == "message_stop")
        #expect(text.contains(#""text":"Hi""#))
        #expect(relay.progress.isComplete)
        #expect(relay.progress.usage?["completion_tokens"]?.int == 2)
    }
}
