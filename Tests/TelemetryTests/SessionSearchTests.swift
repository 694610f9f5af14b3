import Kernel
import Testing

@testable import Telemetry

@Suite("Sessions by their id")
struct SessionSearchTests {
    private static let hour: Int64 = 3_600 * 1_000_000_000

    /// The head of a span that began so many hours ago as there are hours to `number`.
    private static func head(_ number: Int64, session: String) throws -> SpanHead {
        let start = 1_700_000_000_000_000_000 + number * hour
        let trace = TraceID(of: "trace \(number)").description
        let span = SpanSamples.span(
            "00f067aa0ba902b8", attributes: [("gen_ai.conversation.id", .string(session))],
            more: [
                "traceId": .string(trace), "startTimeUnixNano": .string("\(start)"),
                "endTimeUnixNano": .string("\(start + 1)"),
            ])
        return try #require(try SpanSamples.read(SpanSamples.request([span])).heads.first)
    }

    private static func append(_ head: SpanHead, to archive: Archive, _ part: ArchivePart) throws {
        var builder = SpanBlockBuilder(key: archive.key)
        builder.add(WholeSpan(head: head, resource: [], scope: [], bytes: []))
        let block = try #require(builder.finish())
        try archive.append([ArchiveBlock(block, key: archive.key)], to: part, through: nil)
    }

    /// What a search finds that may look at so many blocks.
    private static func find(_ id: String, in archive: Archive, looks: Int) -> SessionFindings {
        var query = SessionQuery()
        (query.id, query.limit) = (id, 1)
        var left = looks
        let search = SessionSearch(archive: archive, live: LiveSpans(world: World.live), query: query) {
            left -= 1
            return left < 0
        }
        return search.run()
    }

    @Test("one is found in its own blocks, whatever lies between them, and after they were put together")
    func indexed() async throws {
        try await withTelemetryFolder { folder in
            let archive = try Archive(folder: folder, entropy: World.live.entropy) { Issue.record("\($0)") }
            let part = ArchivePart(.spans, .model, day: 19_675)
            let numbers: [Int64] = Array(0..<200)
            for number in numbers {
                // Days without a word lie between the two.
                let session = number == 3 || number == 197 ? "talk" : "other \(number)"
                try Self.append(try Self.head(number, session: session), to: archive, part)
            }
            let traces = [197, 3].map { TraceID(of: "trace \($0)") }
            let found = Self.find("talk", in: archive, looks: 2)
            #expect(found.isComplete && found.sessions.map(\.id) == ["talk"])
            #expect(found.sessions.first?.traces == traces)
            let nobody = Self.find("nobody", in: archive, looks: 0)
            #expect(nobody.isComplete && nobody.sessions.isEmpty)
            // Of what was put together and taken apart again the index says the same.
            #expect(try archive.merge(Array(1...100), of: part) && archive.merge(Array(101...200), of: part))
            #expect(Self.find("talk", in: archive, looks: 2).sessions.first?.traces == traces)
            #expect(try archive.deleteSpans(of: 1, in: part) { $0.session == "talk" } == 1)
            #expect(Self.find("talk", in: archive, looks: 1).sessions.first?.traces == [traces[0]])
            try archive.close()
        }
    }
}
