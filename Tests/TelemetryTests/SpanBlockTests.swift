import Kernel
import Testing

@testable import Telemetry

@Suite("Blocks of spans")
struct SpanBlockTests {
    private static func block(_ documents: [JSONValue]) throws -> SpanBlock {
        var builder = SpanBlockBuilder()
        for document in documents {
            let received = try ReceivedSpans(try OTLPJSON.traces(document) { _ in })
            received.body.withUnsafeBytes { body in for item in received.items { builder.add(item, of: body) } }
        }
        return try #require(builder.finish())
    }

    private static func details(_ block: SpanBlock) throws -> [SpanDetail] {
        let bodies = try SpanBodies(block.body)
        return try SpanColumns.read(block.head).map { head, place in
            let parts = try bodies.parts(at: place)
            return try parts.resource.withUnsafeBytes { resource in
                try parts.scope.withUnsafeBytes { scope in
                    try parts.span.withUnsafeBytes { try SpanDetail(head, resource: resource, scope: scope, span: $0) }
                }
            }
        }
    }

    @Test("spans come back as they were sent")
    func roundTrip() throws {
        let event: JSONValue = [
            "timeUnixNano": "1700000000100000000", "name": "exception",
            "attributes": [SpanSamples.pair("exception.type", "Timeout")],
        ]
        let link: JSONValue = ["traceId": .string(SpanSamples.traceID), "spanId": "00f067aa0ba902b1"]
        let span = SpanSamples.span(
            "00f067aa0ba902b8", "execute_tool search",
            attributes: [
                ("gen_ai.tool.name", "search"), ("gen_ai.operation.name", "execute_tool"), ("depth", 3),
                ("ratio", 0.5), ("isFresh", true), ("raw", ["bytesValue": "AQI="]),
            ],
            more: [
                "kind": 3, "events": [event], "links": [link], "status": ["code": 2, "message": "no answer"],
            ])
        let other = SpanSamples.span("00f067aa0ba902b9")
        let block = try Self.block([SpanSamples.request([span]), SpanSamples.request([other], service: nil)])
        #expect(block.count == 2)
        #expect(block.traces.map(\.description) == [SpanSamples.traceID])
        let details = try Self.details(block)
        let detail = details[0]
        #expect((detail.name, detail.kind, detail.statusMessage) == ("execute_tool search", 3, "no answer"))
        #expect((detail.scopeName, detail.scopeVersion) == ("tests", "1"))
        #expect(detail.resource["service.name"]?.string == "agent-service")
        #expect(detail.attributes["depth"]?.int == 3)
        #expect(detail.attributes["ratio"] == .double(0.5))
        #expect(detail.attributes["isFresh"] == .bool(true))
        #expect(detail.attributes["raw"]?.json == "AQI=")
        #expect(detail.events.map(\.name) == ["exception"])
        #expect(detail.events.first?.attributes["exception.type"]?.string == "Timeout")
        #expect(detail.links.first?.spanID?.description == "00f067aa0ba902b1")
        #expect((detail.head.tool, detail.head.operation) == ("search", .tool))
        #expect(details[1].head.service == SpanHead.unknownService)
        #expect(details[1].resource.isEmpty)
    }

    @Test("heads come back, whatever they hold", arguments: 1...20)
    func heads(_ seed: Int) throws {
        var chance = SplitMix(seed: UInt64(seed))
        func word() -> String? { Bool.random(using: &chance) ? nil : "w\(Int.random(in: 0..<5, using: &chance))" }
        let traces = (0..<4).map {
            TraceID(high: UInt64($0) << 60 | 1, low: UInt64.random(in: 1 ... .max, using: &chance))
        }
        let rows = (0..<Int.random(in: 1...400, using: &chance)).map { row in
            let trace = Int.random(in: 0..<traces.count, using: &chance)
            var head = SpanHead(traces[trace], SpanID(value: UInt64.random(in: 1 ... .max, using: &chance)))
            head.parentID = Bool.random(using: &chance) ? SpanID(value: 7) : nil
            head.startedAt = Int64.random(in: 0...Int64.max / 2, using: &chance)
            head.endedAt = head.startedAt + Int64.random(in: 0...1 << 40, using: &chance)
            head.name = word() ?? ""
            (head.agent, head.session, head.correlationID, head.task) = (word(), word(), word(), word())
            (head.provider, head.model, head.tool) = (word(), word(), word())
            head.status = SpanHead.Status.all.randomElement(using: &chance) ?? .ok
            head.operation = SpanOperation.allCases.randomElement(using: &chance) ?? .other
            head.category = TelemetryCategory.allCases.randomElement(using: &chance) ?? .system
            head.ingestedAt = row.isMultiple(of: 4) ? nil : Timestamp(microseconds: 1_700_000_000_000_000 - Int64(row))
            if row.isMultiple(of: 3) { head.usage = SpanUsage(columns: [1, 2, 3, Int64(row), 5]) }
            return (head, SpanPlace(group: row % 3, offset: row * 10, length: row))
        }
        var writer = SpanColumns.Writer(traces: traces)
        writer.write(rows.map(\.0), rows.map(\.1)) { head in traces.firstIndex(of: head.traceID) ?? 0 }
        let read = try SpanColumns.read(Zstandard.pack(writer.bytes))
        #expect(read.map(\.head) == rows.map(\.0))
        #expect(read.map(\.place) == rows.map(\.1))
    }

    @Test("damaged bytes are told, and bring nothing down")
    func damaged() throws {
        let spans = (0..<10).map { SpanSamples.span("00f067aa0ba902b\($0)") }
        let block = try Self.block([SpanSamples.request(spans)])
        let plain = try Zstandard.unpack(block.head, max: 1 << 20)
        var chance = SplitMix(seed: 1)
        var faults = 0
        for _ in 0..<500 {
            var bytes = plain
            bytes[Int.random(in: 0..<bytes.count, using: &chance)] = UInt8.random(in: 0...255, using: &chance)
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &chance))
            do { _ = try SpanColumns.read(Zstandard.pack(bytes)) } catch { faults += 1 }
        }
        #expect(faults > 400)
        #expect(throws: (any Error).self) { try SpanBodies(Array(block.body.dropLast(2))) }
    }
}
