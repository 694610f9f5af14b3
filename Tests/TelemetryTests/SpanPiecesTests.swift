import Foundation
import Kernel
import Testing

@testable import Telemetry

@Suite("What bodies of spans have in common")
struct SpanPiecesTests {
    private static let key = ArchiveKey(secret: Array(1...16))
    private static let part = ArchivePart(.spans, .model, day: 20_000)

    // MARK: spans to keep

    /// A span of a trace with attributes, as bytes of OTLP.
    private static func span(
        _ number: Int, trace: UInt8 = 1, attributes: [(String, [UInt8])], events: [[(String, [UInt8])]] = []
    ) -> [UInt8] {
        var span = ProtobufWriter()
        span.bytes(OTLPField.Span.traceID, [UInt8](repeating: trace, count: 16))
        span.bytes(OTLPField.Span.spanID, withUnsafeBytes(of: UInt64(number + 1).bigEndian) { Array($0) })
        span.string(OTLPField.Span.name, "chat")
        span.fixed64(OTLPField.Span.startedAt, 1_700_000_000_000_000_000 + UInt64(number))
        span.fixed64(OTLPField.Span.endedAt, 1_700_000_000_250_000_000 + UInt64(number))
        for attribute in attributes { span.message(OTLPField.Span.attributes) { pair(attribute, &$0) } }
        for event in events {
            span.message(OTLPField.Span.events) { writer in
                writer.string(OTLPField.Event.name, "gen_ai.client.inference.operation.details")
                for attribute in event { writer.message(OTLPField.Event.attributes) { pair(attribute, &$0) } }
            }
        }
        return span.bytes
    }

    private static func request(_ spans: [[UInt8]]) throws -> ReceivedSpans {
        var request = ProtobufWriter()
        request.message(1) { group in
            group.message(2) { scope in for span in spans { scope.bytes(2, span) } }
        }
        let received = try ReceivedSpans(request.bytes)
        #expect(received.refused.isEmpty)
        return received
    }

    private static func block(_ spans: [[UInt8]], key: ArchiveKey?) throws -> SpanBlock {
        var builder = SpanBlockBuilder(key: key)
        let received = try request(spans)
        received.body.withUnsafeBytes { body in for item in received.items { builder.add(item, of: body) } }
        return try #require(builder.finish())
    }

    private static func append(_ spans: [[UInt8]], to archive: Archive, _ part: ArchivePart = part) throws {
        try archive.append([ArchiveBlock(try block(spans, key: archive.key), key: archive.key)], to: part, through: nil)
    }

    private static func whole(_ archive: Archive, _ part: ArchivePart = part) throws -> [WholeSpan] {
        let file = try #require(try archive.existing(part))
        var spans: [WholeSpan] = []
        for block in try file.blocks(from: 0, max: 10_000) {
            _ = try file.spans(of: block.id, where: { _, _ in true }) { spans.append($0) }
        }
        return spans
    }

    /// The same spans from a block that takes nothing out.
    private static func plain(_ spans: [[UInt8]]) throws -> [WholeSpan] {
        let block = try block(spans, key: nil)
        #expect(block.pieces == nil)
        let bodies = try SpanBodies(block.body)
        return try SpanColumns.read(block.head).map { head, place in
            let parts = try bodies.parts(at: place)
            return WholeSpan(
                head: head, resource: Array(parts.resource), scope: Array(parts.scope), bytes: Array(parts.span))
        }
    }

    private static func withArchive(_ body: (Archive, String) throws -> Void) async throws {
        try await withTelemetryFolder { folder in
            let archive = try Archive(folder: folder, entropy: World.live.entropy) { Issue.record("\($0)") }
            try body(archive, folder)
            try archive.close()
        }
    }

    // MARK: bit for bit

    private static func words(_ bytes: Int, _ chance: inout SplitMix) -> String {
        var text = ""
        while text.utf8.count < bytes {
            text += "w\(UInt32.random(in: 0..<4_000, using: &chance)) "
            if chance.next() % 12 == 0 { text += "\\\"é\\n" }
        }
        return text
    }

    /// Values that are as hostile as JSON can be, and those that are none.
    private static func value(_ chance: inout SplitMix) -> [UInt8] {
        let long = words(Int.random(in: 1...6_000, using: &chance), &chance)
        switch chance.next() % 12 {
        case 0: return text("[{\"role\": \"user\", \"content\": \"\(long)\"}, {\"n\": [1, 2, 3, \"\(long)\"]}]")
        case 1: return text("{\"messages\":[\"\(long)\", \"never ends \(long)")
        case 2: return text(String(repeating: "[", count: 3_000) + long)
        case 3: return text("[" + String(repeating: "1,", count: 4_000) + "\"\\")
        case 4: return text("[" + String(repeating: "\"\\\\\\\"\",", count: 900))
        case 5: return text(String(repeating: "line \(chance.next() % 3)\n", count: 9_000))
        case 6: return text(String(repeating: "x", count: Int.random(in: 500...40_000, using: &chance)))
        case 7:
            var writer = ProtobufWriter()
            writer.bytes(OTLPField.AnyValue.bytes, [UInt8](repeating: UInt8(chance.next() % 256), count: 2_000))
            return writer.bytes
        case 8:
            var value = text(long)
            for _ in 0..<AttributeValue.depthMax - 1 {
                var writer = ProtobufWriter()
                writer.message(OTLPField.AnyValue.array) { $0.bytes(OTLPField.Values.values, value) }
                value = writer.bytes
            }
            return value
        case 9:
            var writer = ProtobufWriter()
            writer.message(OTLPField.AnyValue.map) { map in
                for name in ["role", "content"] {
                    map.message(OTLPField.Values.values) { pair((name, text(long)), &$0) }
                }
            }
            return writer.bytes
        case 10: return []
        default: return text(String(long.prefix(40)))
        }
    }

    @Test("spans come back bit for bit, whatever they hold", arguments: 1...12)
    func roundTrip(_ seed: Int) async throws {
        var chance = SplitMix(seed: UInt64(seed))
        let values = (0..<10).map { _ in Self.value(&chance) }
        func attributes() -> [(String, [UInt8])] {
            (0..<Int(chance.next() % 8)).map { ("attribute.\($0)", values[Int(chance.next() % 10)]) }
        }
        var spans = (0..<30).map { number in
            Self.span(number, attributes: attributes(), events: chance.next() % 3 == 0 ? [attributes(), []] : [])
        }
        let long = (0..<400).map { ("gen_ai.prompt.\($0).role", text("user")) }
        spans.append(Self.span(30, attributes: long))
        try await Self.withArchive { archive, _ in
            var rest = spans[...]
            while !rest.isEmpty {
                let some = rest.prefix(1 + Int(chance.next() % 6))
                rest = rest.dropFirst(some.count)
                try Self.append(Array(some), to: archive)
            }
            let plain = try Self.plain(spans)
            #expect(try Self.whole(archive) == plain)
            let blocks = try #require(try archive.existing(Self.part)).blocks(from: 0, max: 100)
            #expect(try archive.merge(blocks.map(\.id), of: Self.part))
            #expect(try archive.existing(Self.part)?.blocks(from: 0, max: 100).count == 1)
            #expect(try Self.whole(archive) == plain)
            // By the door that the page of a span uses.
            let trace = TraceID(high: 0x0101_0101_0101_0101, low: 0x0101_0101_0101_0101)
            let found = archive.spans(of: trace)
            #expect(found.count == spans.count)
            for (head, place) in found {
                let meant = try #require(plain.first { $0.head.spanID == head.spanID })
                #expect(try archive.detail(of: head, at: place) == SpanDetail(meant))
            }
        }
    }

    @Test("pieces lie one behind the other, within the span and behind its first byte", arguments: 1...40)
    func pieces(_ seed: Int) {
        var chance = SplitMix(seed: UInt64(seed))
        let alphabet = Array("[]{},\"\\ \nab".utf8) + [0xFF, 0x80, 0x4A, 0x12]
        var text = (0..<Int.random(in: 0...60_000, using: &chance)).map { _ in
            alphabet[Int(chance.next() % UInt64(alphabet.count))]
        }
        if seed % 2 == 0 { text.insert(UInt8(ascii: "["), at: 0) }
        var value = ProtobufWriter()
        value.bytes(OTLPField.AnyValue.string, text)
        // No text of UTF-8 and no span that a door lets through: nothing of that is relied on.
        for bytes in [Self.span(1, attributes: [("a", value.bytes), ("b", value.bytes)]), text] {
            let pieces = bytes.withUnsafeBytes { PieceCutter.pieces(of: $0) }
            var last = 1
            for piece in pieces {
                #expect(piece.lowerBound >= last && piece.upperBound <= bytes.count && !piece.isEmpty)
                last = piece.upperBound
            }
            #expect(pieces.count <= PieceCutter.piecesMax)
        }
    }

    @Test("a span has no more pieces than may be")
    func bounded() {
        let document = "[" + String(repeating: "\"\(String(repeating: "y", count: 512))\",", count: 20_000)
        let span = Self.span(1, attributes: [("input.value", text(document))])
        #expect(span.withUnsafeBytes { PieceCutter.pieces(of: $0) }.count == PieceCutter.piecesMax)
    }

    @Test("what is small is not looked at, and a block without large values is kept as before")
    func small() throws {
        let spans = (0..<50).map { number in
            Self.span(number, attributes: (0..<12).map { ("key.\($0)", text("value \(number)")) })
        }
        let block = try Self.block(spans, key: Self.key)
        #expect(block.pieces == nil)
        #expect(block.body == (try Self.block(spans, key: nil)).body)
    }

    // MARK: a context that grows

    enum Dialect: String, CaseIterable {
        case genAI = "gen_ai.input.messages"
        case openLLMetry = "gen_ai.prompt.N.content"
        case openInference = "llm.input_messages.N.message.content"
        case document = "input.value"
        case structured = "gen_ai.input.messages as values"
        case event = "an event"

        func attributes(_ messages: [String]) -> [(String, [UInt8])] {
            switch self {
            case .genAI, .event: [("gen_ai.input.messages", text("[" + all(messages, ", ") + "]"))]
            case .document:
                [("input.value", text("{\"model\":\"m\",\"messages\":[\(all(messages, ","))],\"temperature\":0.5}"))]
            case .openLLMetry:
                messages.enumerated().flatMap { index, message in
                    [
                        ("gen_ai.prompt.\(index).role", text(index % 2 == 0 ? "user" : "assistant")),
                        ("gen_ai.prompt.\(index).content", text(message)),
                    ]
                }
            case .openInference:
                messages.enumerated().flatMap { index, message in
                    [
                        ("llm.input_messages.\(index).message.content", text(message)),
                        ("llm.input_messages.\(index).message.role", text(index % 2 == 0 ? "user" : "assistant")),
                    ]
                }
            case .structured:
                [("gen_ai.input.messages", structured(messages))]
            }
        }

        private func all(_ messages: [String], _ separator: String) -> String {
            messages.enumerated().map { index, message in
                "{\"role\": \"\(index % 2 == 0 ? "user" : "assistant")\", \"parts\": [{\"type\": \"text\", "
                    + "\"content\": \"\(message)\"}]}"
            }.joined(separator: separator)
        }

        private func structured(_ messages: [String]) -> [UInt8] {
            var writer = ProtobufWriter()
            writer.message(OTLPField.AnyValue.array) { list in
                for message in messages {
                    list.message(OTLPField.Values.values) { value in
                        value.message(OTLPField.AnyValue.map) { map in
                            map.message(OTLPField.Values.values) { pair(("content", text(message)), &$0) }
                        }
                    }
                }
            }
            return writer.bytes
        }
    }

    /// Bytes of a file, once it is closed and has given back what it does not use.
    private static func bytes(of part: ArchivePart, in folder: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(part.fileName)")
        return try #require(attributes[.size] as? Int)
    }

    @Test("a growing context costs a message a turn", arguments: Dialect.allCases)
    func conversation(_ dialect: Dialect) async throws {
        let turns = 200
        var chance = SplitMix(seed: 7)
        let messages = (0..<turns).map { _ in Self.words(2_048, &chance) }
        var old = 0
        try await withTelemetryFolder { folder in
            let archive = try Archive(folder: folder, entropy: World.live.entropy) { Issue.record("\($0)") }
            for turn in 1...turns {
                let context = dialect.attributes(Array(messages.prefix(turn)))
                let attributes: [(String, [UInt8])] = [
                    ("gen_ai.operation.name", text("chat")), ("gen_ai.response.id", text("r-\(turn)")),
                ]
                let span =
                    dialect == .event
                    ? Self.span(turn, attributes: attributes, events: [context])
                    : Self.span(turn, attributes: attributes + context)
                try Self.append([span], to: archive)
                let block = try Self.block([span], key: nil)
                old += block.head.count + block.body.count
            }
            var merger = BlockMerger(archive)
            while merger.step(today: Self.part.day + 1) {}
            // The tables of a file take some pages without a span.
            let empty = ArchivePart(.spans, .system, day: Self.part.day)
            try archive.append([], to: empty, through: nil)
            try archive.close()
            let packed = messages.reduce(0) { $0 + Zstandard.pack(Array($1.utf8)).count }
            let kept = try Self.bytes(of: Self.part, in: folder) - Self.bytes(of: empty, in: folder)
            #expect(kept < packed * 13 / 10, "\(kept) bytes for \(packed)")
            #expect(old > packed * 80, "\(old) bytes where bodies are kept whole")
        }
    }

    @Test("what spans of several turns have in common stands once, and is found again after a start")
    func once() async throws {
        var chance = SplitMix(seed: 3)
        let messages = (0..<20).map { _ in Self.words(2_000, &chance) }
        let spans = (1...20).map {
            Self.span($0, attributes: Dialect.openLLMetry.attributes(Array(messages.prefix($0))))
        }
        try await withTelemetryFolder { folder in
            for span in spans {
                // Nothing is remembered in between.
                let archive = try Archive(folder: folder, entropy: World.live.entropy) { Issue.record("\($0)") }
                try Self.append([span], to: archive)
                try archive.close()
            }
            let archive = try Archive(folder: folder, entropy: World.live.entropy) { Issue.record("\($0)") }
            let file = try #require(try archive.existing(Self.part))
            var ids: Set<Int64> = []
            for block in try file.blocks(from: 0, max: 100) {
                guard let cuts = try file.block(block.id)?.cuts else { continue }
                ids.formUnion(try SpanCuts(cuts).ids)
            }
            // A message, and what stands between two.
            #expect((20...40).contains(ids.count))
            #expect(try Self.whole(archive) == Self.plain(spans))
            try archive.close()
        }
    }

    @Test("spans are copied whole to another file, and with the last of them goes what they had alone")
    func copied() async throws {
        var chance = SplitMix(seed: 4)
        let shared = (0..<6).map { _ in Self.words(2_000, &chance) }
        let alone = Self.words(3_000, &chance)
        let spans = [
            Self.span(1, trace: 1, attributes: Dialect.genAI.attributes(shared + [alone])),
            Self.span(2, trace: 2, attributes: Dialect.genAI.attributes(shared)),
            Self.span(3, trace: 1, attributes: [("input.value", text(alone))]),
        ]
        let plain = try Self.plain(spans)
        let trace = plain[0].head.traceID
        let other = ArchivePart(.spans, .model, day: Self.part.day + 30)
        try await Self.withArchive { archive, _ in
            try Self.append(spans, to: archive)
            #expect(try archive.copySpans(of: 1, in: Self.part, to: other) { $0.traceID == trace } == 2)
            #expect(try Self.whole(archive, other) == [plain[0], plain[2]])
            #expect(try archive.existing(other)?.progress() == 0)
            #expect(archive.spans(of: trace).count == 4)
            #expect(try archive.deleteUnnamedPieces(of: Self.part) == 0)
            #expect(try archive.deleteSpans(of: 1, in: Self.part) { $0.traceID == trace } == 2)
            #expect(try Self.whole(archive) == [plain[1]])
            #expect(archive.spans(of: trace).map(\.place.part) == [other, other])
            #expect(try archive.deleteUnnamedPieces(of: Self.part) > 0)
            #expect(try archive.deleteUnnamedPieces(of: Self.part) == 0)
            #expect(try Self.whole(archive) == [plain[1]])
            // Numbers that are free again serve other pieces.
            try Self.append(spans, to: archive)
            #expect(try Self.whole(archive) == [plain[1]] + plain)
            #expect(try archive.copySpans(of: 77, in: Self.part, to: other) { _ in true } == 0)
            for block in 1...2 { #expect(try archive.deleteSpans(of: Int64(block), in: Self.part) { _ in true } > 0) }
            #expect(try archive.deleteUnnamedPieces(of: Self.part) > 0)
            #expect(try Self.whole(archive).isEmpty)
            #expect(archive.spans(of: plain[1].head.traceID).isEmpty)
        }
        let gone = Self.part.fileName
        try await withTelemetryFolder { folder in
            let archive = try Archive(folder: folder, entropy: World.live.entropy) { Issue.record("\($0)") }
            #expect(try archive.deleteUnnamedPieces(of: Self.part) == 0)
            try archive.close()
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/\(gone)"))
        }
    }

    @Test("a file from before there were pieces is read, and gets them")
    func before() async throws {
        var chance = SplitMix(seed: 5)
        let messages = (0..<5).map { _ in Self.words(1_000, &chance) }
        let spans = (1...5).map { Self.span($0, attributes: Dialect.document.attributes(Array(messages.prefix($0)))) }
        try await Self.withArchive { archive, folder in
            let old = try SQLiteFile(path: "\(folder)/\(Self.part.fileName)", schema: ArchiveSchema.statements)
            let block = try Self.block(Array(spans[0..<3]), key: nil)
            try old.write { transaction in
                try transaction.run(
                    """
                    INSERT INTO blocks (id, kind, records, received_bytes, first_at, last_at, head)
                    VALUES (1, 1, 3, 100, \(block.times.lowerBound), \(block.times.upperBound),
                      \(SQLValue.blob(block.head)))
                    """)
                try transaction.run("INSERT INTO bodies (block, body) VALUES (1, \(SQLValue.blob(block.body)))")
                try transaction.run(
                    "INSERT INTO block_keys (key, block) VALUES (\(archive.key.trace(block.traces[0])), 1)")
                try transaction.run("UPDATE progress SET entry = 7")
            }
            try old.close()
            #expect(archive.spans(of: block.traces[0]).count == 3)
            #expect(archive.progress() == 7)
            try Self.append(Array(spans[3...]), to: archive)
            #expect(try Self.whole(archive) == Self.plain(spans))
            #expect(try archive.merge([1, 2], of: Self.part))
            #expect(try Self.whole(archive) == Self.plain(spans))
            #expect(archive.spans(of: block.traces[0]).count == 5)
        }
    }

    @Test("pieces that are damaged are told, and bring nothing down")
    func damaged() throws {
        var chance = SplitMix(seed: 6)
        let messages = (0..<9).map { _ in Self.words(1_500, &chance) }
        let block = try Self.block([Self.span(1, attributes: Dialect.genAI.attributes(messages))], key: Self.key)
        let pieces = try #require(block.pieces)
        let ids = (0..<pieces.list.pieces.count).map { Int64($0 + 1) }
        let plain = try Zstandard.unpack(pieces.packed(ids), max: 1 << 20)
        var pack = PiecePack()
        for case (.named(_, let range), let id) in zip(pieces.list.pieces, ids) {
            pack.append(id, pieces.list.bytes[range])
        }
        let packed = try Zstandard.unpack(pack.packed, max: 1 << 20)
        let (row, span) = try (#require(SpanColumns.read(block.head).first), SpanBodies(block.body))
        for _ in 0..<300 {
            func harmed(_ bytes: [UInt8]) -> [UInt8] {
                var bytes = bytes
                let count = min(bytes.count, 60)
                bytes[Int.random(in: 0..<count, using: &chance)] = UInt8.random(in: 0...255, using: &chance)
                bytes.removeLast(Int.random(in: 0..<count, using: &chance))
                return Zstandard.pack(bytes)
            }
            let other = try? PiecePack(harmed(packed))
            guard let cuts = try? SpanCuts(harmed(plain)) else { continue }
            _ = try? cuts.whole(try span.parts(at: row.place).span, at: row.place) { id in
                guard let piece = (other ?? pack)[id] else { throw ColumnReader.Damaged() }
                return piece
            }
        }
        #expect(throws: (any Error).self) { try SpanCuts(Array(pieces.packed(ids).dropLast(2))) }
        #expect(throws: (any Error).self) { try PiecePack(Array(pack.packed.dropLast(2))) }
    }

    @Test("the pieces that were asked for last are remembered, up to a bound")
    func recent() {
        let recent = RecentPieces()
        func name(_ number: Int) -> PieceName { PieceName(high: UInt64(bitPattern: Int64(number)), low: 1) }
        recent.check(1)
        for number in 0..<RecentPieces.piecesMax { recent.insert([name(number): Int64(number)]) }
        #expect(recent.id(of: name(0)) == 0)
        for number in 1...RecentPieces.piecesMax { recent.insert([name(-number): Int64(number)]) }
        #expect(recent.id(of: name(0)) == 0, "it was asked for since")
        #expect(recent.id(of: name(1)) == nil)
        recent.check(1)
        #expect(recent.id(of: name(0)) == 0)
        recent.check(2)
        #expect(recent.id(of: name(0)) == nil)
    }

    @Test("short messages cost no context a turn either")
    func shortMessages() async throws {
        var chance = SplitMix(seed: 9)
        let messages = (0..<200).map { _ in Self.words(120, &chance) }
        for dialect in [Dialect.genAI, .openLLMetry] {
            try await Self.withArchive { archive, _ in
                for turn in 1...200 {
                    let span = Self.span(turn, attributes: dialect.attributes(Array(messages.prefix(turn))))
                    try Self.append([span], to: archive)
                }
                let file = try #require(try archive.existing(Self.part))
                let blocks = try file.blocks(from: 0, max: 1_000)
                // What is not in a piece is at most a run's length and what is around it, once the context is long.
                let literals = try blocks.map { try SpanBodies(try #require(try file.block($0.id)).body).bytes }
                #expect((literals.max() ?? .max) < PieceCutter.longMin, "\(dialect)")
                #expect((literals.suffix(100).max() ?? .max) < 1_200, "\(dialect)")
            }
        }
    }
}

/// An `AnyValue`.
private func text(_ text: String) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.string(OTLPField.AnyValue.string, text)
    return writer.bytes
}

private func pair(_ attribute: (String, [UInt8]), _ writer: inout ProtobufWriter) {
    writer.string(OTLPField.KeyValue.key, attribute.0)
    writer.bytes(OTLPField.KeyValue.value, attribute.1)
}
