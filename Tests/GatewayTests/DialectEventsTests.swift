import Kernel
import Testing

@testable import Gateway

/// How a stream of bytes is taken apart into events.
struct DialectEventsTests {
    struct Seen: Equatable {
        var name = ""
        var data: String
        var isTerminated = true
    }

    /// The events of `text` in pieces of `size` bytes, and all bytes that were forwarded.
    static func read(_ text: String, size: Int) throws -> ([Seen], String) {
        var parser = ServerSentEvents()
        var seen: [Seen] = []
        var forwarded: [UInt8] = []
        func take(_ event: borrowing ServerSentEvent) {
            forwarded += event.bytes
            guard !event.data.isEmpty || !event.name.isEmpty else { return }
            seen.append(Seen(name: event.nameText, data: event.dataText, isTerminated: event.isTerminated))
        }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            try parser.feed(Array(bytes.prefix(size)), take)
            bytes = bytes.dropFirst(size)
        }
        try parser.finish(take)
        return (seen, String(decoding: forwarded, as: UTF8.self))
    }

    static let streams: [(String, [Seen])] = [
        ("data: a\n\ndata: b\n\n", [Seen(data: "a"), Seen(data: "b")]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", [Seen(data: "a"), Seen(data: "b")]),
        ("data: a\r\rdata: b\r\r", [Seen(data: "a"), Seen(data: "b")]),
        ("data: a\r\n\ndata: b\n\r\n", [Seen(data: "a"), Seen(data: "b")]),
        ("event: x\ndata: 1\nid: 4\nretry: 3\n\n", [Seen(name: "x", data: "1")]),
        ("event:x\ndata:1\n\n", [Seen(name: "x", data: "1")]),
        ("data:  two spaces\n\n", [Seen(data: " two spaces")]),
        (": keep-alive\n\ndata: a\n\n", [Seen(data: "a")]),
        (": OPENROUTER PROCESSING\n\n: again\ndata: a\n\n", [Seen(data: "a")]),
        ("data: a\ndata: b\ndata\ndata: c\n\n", [Seen(data: "a\nb\n\nc")]),
        ("\u{FEFF}data: a\n\ndata: b\n\n", [Seen(data: "a"), Seen(data: "b")]),
        ("\n\n\ndata: a\n\n\n\n", [Seen(data: "a")]),
        ("dataset: no\ndat: no\ndata: Grüße 👋\n\n", [Seen(data: "Grüße 👋")]),
        ("data: a\n\ndata: b", [Seen(data: "a"), Seen(data: "b", isTerminated: false)]),
        ("data: a\n\ndata: b\n", [Seen(data: "a"), Seen(data: "b", isTerminated: false)]),
        ("event: ping\n\n", [Seen(name: "ping", data: "")]), ("", []),
    ]

    @Test(arguments: streams.indices)
    func anySplitGivesTheSameEventsAndBytes(_ index: Int) throws {
        let (text, expected) = Self.streams[index]
        for size in 1...max(1, text.utf8.count) {
            let (seen, forwarded) = try Self.read(text, size: size)
            #expect(seen == expected, "in pieces of \(size)")
            #expect(Array(forwarded.utf8) == Array(text.utf8), "in pieces of \(size)")
        }
    }

    @Test func anEventHasABound() throws {
        var parser = ServerSentEvents(eventBytesMax: 20)
        var count = 0
        try parser.feed(Array("data: 0123456789\n\ndata: 0123456789\n\n".utf8)) { _ in count += 1 }
        #expect(count == 2)
        try parser.feed(Array("data: 0123456789".utf8)) { _ in count += 1 }
        #expect(parser.rest == Array("data: 0123456789".utf8))
        #expect(throws: ServerSentEvents.TooLarge.self) {
            try parser.feed(Array("0123456789".utf8)) { _ in count += 1 }
        }
        #expect(count == 2)
        #expect(ServerSentEvents.eventBytesMax == 16_777_216)
    }

    @Test func whatThrowsCostsNoOtherEvent() throws {
        struct Stop: Error {}
        for size in 1...30 {
            var parser = ServerSentEvents()
            var seen: [String] = []
            var bytes = Array("data: a\n\ndata: b\n\ndata: c\n\n".utf8)[...]
            var thrown = 0
            while !bytes.isEmpty {
                var piece = Array(bytes.prefix(size))
                bytes = bytes.dropFirst(size)
                while true {
                    do {
                        try parser.feed(piece) { event in
                            seen.append(event.dataText)
                            if event.dataText == "b" { throw Stop() }
                        }
                        break
                    } catch is Stop {
                        thrown += 1
                        piece = []
                    }
                }
            }
            #expect(seen == ["a", "b", "c"], "in pieces of \(size)")
            #expect(thrown == 1)
        }
    }

    @Test(
        arguments: [
            (#"{"usage":{"prompt_tokens":1}}"#, true), (#"{"usage" : {"a":1}}"#, true),
            (#"{"usage":null,"choices":[]}"#, false), (#"{"text":"the \"usage\":{} of"}"#, false),
            (#"{"usage":null,"response":{"usage":{"input_tokens":1}}}"#, true), (#""usage""#, false), ("", false),
            (#"{"usages":{}}"#, false),
        ] as [(String, Bool)])
    func usageIsFoundWithoutParsing(data: String, isThere: Bool) throws {
        var parser = ServerSentEvents()
        try parser.feed(Array("data: \(data)\n\n".utf8)) { event in
            #expect(event.holdsUsage == isThere)
        }
    }

    @Test(
        arguments: [("abcabd", 3), ("abd", 0), ("ababd", 2), ("ab", nil), ("", nil), ("xxxxabd", 4)]
            as [(String, Int?)])
    func aMarkerIsFoundWhereItFirstStands(text: String, place: Int?) {
        let found = Array(text.utf8).withUnsafeBufferPointer { ByteMarker("abd").index(in: $0) }
        #expect(found == place)
    }

    @Test func theLastEventOfOpenAIIsKnown() throws {
        var parser = ServerSentEvents()
        var done: [Bool] = []
        try parser.feed(Array("data: [DONE]\n\ndata: [DONE] \n\ndata: {}\n\n".utf8)) { done.append($0.isDone) }
        #expect(done == [true, false, false])
    }
}
