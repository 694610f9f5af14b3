import Foundation
import Kernel
import Synchronization
import Testing

@testable import Telemetry

@Suite("Spans from their request to the archive")
struct TelemetryIngestTests {
    private static func body(_ spans: [JSONValue]) throws -> [UInt8] {
        try OTLPJSON.traces(SpanSamples.request(spans)) { _ in }
    }

    private static func id(_ number: Int) -> String {
        let digits = String(number + 1, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static let trace = TraceID(SpanSamples.traceID) ?? TraceID(high: 1, low: 1)

    @Test("a span is found after the next flush, and after a start of its own", arguments: TestStore.available)
    func found(_ store: TestStore) async throws {
        try await store.withFolder { folder in
            let ingest = try store.ingest(folder, quota: 1 << 20, world: .live)
            let refused = try await ingest.take(
                try Self.body([
                    SpanSamples.span(Self.id(1), "chat", attributes: [("gen_ai.operation.name", "chat")]),
                    SpanSamples.span(
                        Self.id(2), "execute_tool", attributes: [("gen_ai.operation.name", "execute_tool")]),
                ]), agent: "scribe")
            #expect(refused.isEmpty)
            try await ingest.flush()
            #expect(try await ingest.trace(Self.trace).map(\.category) == [.model, .tool])
            try await ingest.close()
            let again = try store.ingest(folder, quota: 1 << 20, world: .live)
            #expect(try await again.trace(Self.trace).map(\.agent) == ["scribe", "scribe"])
            let span = try #require(SpanID(Self.id(1)))
            let detail = try await again.span(span, of: Self.trace)
            #expect(detail?.attributes["gen_ai.operation.name"]?.string == "chat")
            #expect(try await again.span(SpanID(value: 77), of: Self.trace) == nil)
            #expect(try await again.trace(TraceID(high: 5, low: 5)).isEmpty)
        }
    }

    @Test("what was acknowledged is there after a process that ended without a word", arguments: TestStore.available)
    func crash(_ store: TestStore) async throws {
        try await store.withFolder { folder in
            let first = try store.ingest(folder, quota: 1 << 20, world: .live)
            for number in 0..<20 {
                _ = try await first.take(try Self.body([SpanSamples.span(Self.id(number))]), agent: nil)
                if number == 9 { try await first.flush() }
            }
            // Nothing is closed and half of it not flushed.
            let second = try store.ingest(folder, quota: 1 << 20, world: .live)
            try await second.flush()
            #expect(try await second.trace(Self.trace).count == 20)
            try await second.close()
            let third = try store.ingest(folder, quota: 1 << 20, world: .live)
            try await third.flush()
            #expect(try await third.trace(Self.trace).count == 20)
        }
    }

    @Test("the ledger goes on after a stop, and after a process that ended without a word")
    func ledgerOverStarts() async throws {
        try await withTelemetryFolder { folder in
            func counts(_ ingest: TelemetryIngest) -> [Int] {
                let ledger = ingest.ledgers[.traces]
                return [ledger.received, ledger.stored, ledger.duplicate, ledger.pending, ledger.rejected]
            }
            let live: JSONValue = ["attributes": .array([SpanSamples.pair(OwnNames.state, .string(OwnNames.pending))])]
            let first = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live)
            for number in 0..<20 {
                let more: JSONValue = number % 5 == 0 ? live : [:]
                let body = try Self.body([SpanSamples.span(Self.id(number), more: more)])
                _ = try await first.take(body, agent: nil, refusedBefore: number == 3 ? [.malformed: 2] : [:])
                // The first flush is synced and the ledger kept; the second is in the archive and neither.
                if number == 9 || number == 14 { try await first.flush() }
            }
            let pending = first.ledgers[.traces].pending
            // Nothing is closed.
            let second = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live)
            #expect(second.ledgers[.traces].received == 22)
            try await second.flush()
            let found = counts(second)
            #expect(found[0] == 22 && found[1...].reduce(0, +) == 22 && found[2] == 0 && found[4] == 2)
            #expect(found[3] >= pending)
            try await second.close()
            let third = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live)
            #expect(third.ledgers == second.ledgers)
            #expect(third.ledgers[.traces].rejectedByReason == [.malformed: 2])
            try Array("no document".utf8).withUnsafeBytes {
                try Data($0).write(to: URL(fileURLWithPath: "\(folder)/ledger"))
            }
            let warnings = Mutex<[String]>([])
            let fourth = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live) { text in
                warnings.withLock { $0.append(text) }
            }
            try await fourth.flush()
            #expect(warnings.withLock { $0.count } == 1)
            #expect(fourth.ledgers[.traces].stored == 0)
        }
    }

    @Test("a span that comes again is counted and not kept twice", arguments: TestStore.available)
    func duplicates(_ store: TestStore) async throws {
        try await store.withFolder { folder in
            let ingest = try store.ingest(folder, quota: 1 << 20, world: .live)
            let body = try Self.body((0..<5).map { SpanSamples.span(Self.id($0)) })
            for _ in 0..<3 { _ = try await ingest.take(body, agent: nil) }
            try await ingest.flush()
            _ = try await ingest.take(body, agent: nil)
            try await ingest.flush()
            var ledger = ingest.ledgers[.traces]
            #expect((ledger.received, ledger.stored, ledger.duplicate, ledger.rejected) == (20, 5, 15, 0))
            try await ingest.close()
            let again = try store.ingest(folder, quota: 1 << 20, world: .live)
            _ = try await again.take(body, agent: nil)
            try await again.flush()
            ledger = again.ledgers[.traces]
            #expect((ledger.received, ledger.stored, ledger.duplicate) == (25, 5, 20))
        }
    }

    @Test("the ledger adds up, with a reason for each span that is not kept", arguments: TestStore.available)
    func ledger(_ store: TestStore) async throws {
        try await store.withFolder { folder in
            let ingest = try store.ingest(folder, quota: 1 << 20, world: .live)
            var span = ProtobufWriter()
            span.bytes(1, [1, 2])
            var request = ProtobufWriter()
            request.message(1) { group in group.message(2) { scope in scope.bytes(2, span.bytes) } }
            let good = try Self.body([SpanSamples.span(Self.id(1))])
            let refused = try await ingest.take(request.bytes + good, agent: nil, refusedBefore: [.malformed: 2])
            #expect(refused == [.invalidTraceID: 1, .malformed: 2])
            try await ingest.flush()
            let ledger = ingest.ledgers[.traces]
            #expect(ledger.received == ledger.stored + ledger.rejected + ledger.duplicate)
            #expect((ledger.received, ledger.stored) == (4, 1))
            await #expect(throws: TelemetryIngest.Fault.malformed) { try await ingest.take([0x0A, 0x05], agent: nil) }
        }
    }

    @Test("a spool that is full refuses, and takes again once the archive has caught up")
    func full() async throws {
        try await withTelemetryFolder { folder in
            let ingest = try TelemetryIngest(folder: folder, quota: 2_000, world: .live)
            var taken = 0
            var refused = 0
            for number in 0..<20 {
                do {
                    _ = try await ingest.take(try Self.body([SpanSamples.span(Self.id(number))]), agent: nil)
                    taken += 1
                } catch {
                    #expect(error as? TelemetryIngest.Fault == .overloaded)
                    refused += 1
                }
            }
            #expect(taken > 0)
            #expect(refused > 0)
            #expect(throws: TelemetryIngest.Fault.overloaded) { try ingest.checkRoom(.traces) }
            refused += 1
            try await ingest.flush()
            try ingest.checkRoom(.traces)
            #expect(ingest.ledgers[.traces].stored == taken)
            #expect(ingest.ledgers[.traces].refusedRequests == refused)
            #expect(try await ingest.trace(Self.trace).count == taken)
            _ = try await ingest.take(try Self.body([SpanSamples.span(Self.id(99))]), agent: nil)
        }
    }

    @Test("what waits in the spool alone gives its room back while it is read, and in its order")
    func pages() async throws {
        try await withTelemetryFolder { folder in
            let ingest = try TelemetryIngest(folder: folder, quota: 20_000, world: .live, waitingBytesMax: 1)
            var taken = 0
            while (try? await ingest.take(
                try Self.body([SpanSamples.span(Self.id(taken))]), agent: nil)) != nil
            {
                taken += 1
            }
            #expect(taken > 20)
            try await ingest.flush()
            #expect(ingest.ledgers[.traces].stored == taken)
            #expect(try await ingest.trace(Self.trace).count == taken)
            // What is left of it goes with the next sync.
            for number in 0..<taken / 3 {
                _ = try await ingest.take(try Self.body([SpanSamples.span(Self.id(1_000 + number))]), agent: nil)
            }
            try await ingest.close()
        }
    }

    @Test("large traces are kept in several blocks and read as one", arguments: TestStore.available)
    func blocks(_ store: TestStore) async throws {
        try await store.withFolder { folder in
            let ingest = try store.ingest(folder, quota: 64 << 20, world: .live)
            for start in stride(from: 0, to: 5_000, by: 500) {
                let spans = (start..<start + 500).map { SpanSamples.span(Self.id($0), "step \($0)") }
                _ = try await ingest.take(try Self.body(spans), agent: nil)
            }
            try await ingest.flush()
            let heads = try await ingest.trace(Self.trace)
            #expect(Set(heads.map(\.spanID)).count == 5_000)
            #expect(Set(heads.map(\.name)).count == 5_000)
        }
    }

    @Test("a trace that was added is always found, and few others are")
    func filter() {
        var filter = TraceFilter()
        var chance = SplitMix(seed: 1)
        let keys = (0..<100_000).map { _ in Int64.random(in: .min ... .max, using: &chance) }
        for key in keys { filter.insert(key) }
        #expect(keys.allSatisfy(filter.mayContain))
        let wrong = (0..<100_000).count { _ in filter.mayContain(Int64.random(in: .min ... .max, using: &chance)) }
        #expect(wrong < 100)
    }

    @Test("known spans are forgotten up to a bound, and asked for again")
    func known() throws {
        var known = KnownSpans(spansMax: 10)
        var asked = 0
        func insert(_ trace: UInt64, _ span: UInt64) -> Bool {
            known.insert(SpanHead(TraceID(high: 0, low: trace), SpanID(value: span))) { _ in
                asked += 1
                return [1] as Set<UInt64>
            }
        }
        #expect(!insert(1, 1))
        #expect(insert(1, 2))
        #expect(!insert(1, 2))
        #expect(asked == 1)
        for trace in 2...20 as ClosedRange<UInt64> { #expect(!insert(trace, 1)) }
        #expect(!insert(1, 1))
        #expect(asked == 21)
    }

    @Test("records go with their day, each category after its own time")
    func retention() async throws {
        try await withTelemetryFolder { folder in
            let begun = Timestamp(microseconds: 1_700_000_000_000_000)
            let time = SetTime(begun)
            let world = World(time: time, entropy: World.live.entropy)
            let ingest = try TelemetryIngest(folder: folder, quota: 1 << 20, world: world)
            // A span that failed would keep its whole trace.
            let kinds: [(Int, (String, JSONValue))] = [
                (1, ("gen_ai.operation.name", "invoke_agent")), (2, ("gen_ai.operation.name", "chat")),
                (3, ("reeve.category", "error")), (4, ("reeve.category", "audit")),
            ]
            let spans = kinds.map { SpanSamples.span(Self.id($0.0), attributes: [$0.1]) }
            _ = try await ingest.take(try Self.body(spans), agent: nil)
            try await ingest.flush()
            let retention = TelemetryRetention(Settings.Telemetry())
            var left: [Int: [TelemetryCategory]] = [:]
            for day in [7, 8, 30, 31, 90, 91, 365, 366] {
                time.set(begun + .hours(24 * Int64(day)))
                try await ingest.forget(retention)
                left[day] = try await ingest.trace(Self.trace).map(\.category).sorted { $0.rawValue < $1.rawValue }
            }
            #expect(left[7] == [.audit, .error, .model, .reasoning])
            #expect(left[8] == [.audit, .error, .model])
            #expect(left[30] == [.audit, .error, .model])
            #expect(left[31] == [.audit, .error])
            #expect(left[90] == [.audit, .error])
            #expect(left[91] == [.audit])
            #expect(left[365] == [.audit])
            #expect(left[366] == [])
            let names = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(names.filter { !$0.hasPrefix("evidence.db") }.sorted() == ["ledger", "secret", "spool"])
        }
    }

    @Test("what is in the archive is not taken in again by a start, however old it is", arguments: TestStore.available)
    func replayedLater(_ store: TestStore) async throws {
        try await store.withFolder { folder in
            let time = SetTime(Timestamp(microseconds: 1_700_000_000_000_000))
            let world = World(time: time, entropy: World.live.entropy)
            let first = try store.ingest(folder, quota: 1 << 20, world: world)
            for number in 0..<3 {
                _ = try await first.take(try Self.body([SpanSamples.span(Self.id(number))]), agent: nil)
            }
            try await first.flush()
            // Synced a moment ago, so this one stays in the spool, and its file with it.
            _ = try await first.take(try Self.body([SpanSamples.span(Self.id(3))]), agent: nil)
            try await first.flush()
            time.set(time.now + .hours(24 * 5))
            let second = try store.ingest(folder, quota: 1 << 20, world: world)
            try await second.flush()
            #expect(try await second.trace(Self.trace).count == 4)
            let ledger = second.ledgers[.traces]
            #expect(ledger.received == ledger.stored + ledger.duplicate + ledger.rejected)
        }
    }

    @Test("a resource that is too large costs its spans, and a long name is cut", arguments: TestStore.available)
    func large(_ store: TestStore) async throws {
        try await store.withFolder { folder in
            let ingest = try store.ingest(folder, quota: 64 << 20, world: .live)
            let long = String(repeating: "x", count: TelemetryLimits.resourceBytes)
            let request = SpanSamples.request(
                [SpanSamples.span(Self.id(1)), SpanSamples.span(Self.id(2))], service: long)
            #expect(try await ingest.take(try OTLPJSON.traces(request) { _ in }, agent: nil) == [.tooLarge: 2])
            // One character of many marks.
            let marks = "e" + String(repeating: "\u{301}", count: 300)
            let named = SpanSamples.span(Self.id(3), marks, attributes: [("session_id", .string(marks))])
            #expect(try await ingest.take(try Self.body([named]), agent: nil).isEmpty)
            try await ingest.flush()
            let head = try #require(try await ingest.trace(Self.trace).first)
            #expect(head.name.unicodeScalars.count == SpanReader.nameScalars)
            #expect(head.session?.unicodeScalars.count == SpanReader.nameScalars)
            #expect(try await ingest.span(head.spanID, of: Self.trace)?.name == marks)
        }
    }

    @Test("a file that cannot be read stands in nobody's way")
    func damaged() async throws {
        try await withTelemetryFolder { folder in
            let warnings = Mutex<[String]>([])
            let first = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live)
            try await first.close()
            let today = ArchivePart(.spans, .system, at: World.live.now)
            try Data("no database at all, but long enough to be taken for one".utf8)
                .write(to: URL(fileURLWithPath: "\(folder)/error-\(today.day).db"))
            let second = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live) { text in
                warnings.withLock { $0.append(text) }
            }
            _ = try await second.take(try Self.body([SpanSamples.span(Self.id(1))]), agent: nil)
            try await second.flush()
            #expect(try await second.trace(Self.trace).count == 1)
            #expect(warnings.withLock { $0.contains { $0.contains("error-\(today.day).db") } })
        }
    }

    @Test("of a trace without bound the spans are kept, and not told apart any more")
    func unbounded() {
        var known = KnownSpans(spansMax: 100, spansOfTraceMax: 5)
        var asked = 0
        func insert(_ span: UInt64) -> Bool {
            known.insert(SpanHead(TraceID(high: 1, low: 1), SpanID(value: span))) { _ in
                asked += 1
                return []
            }
        }
        for span in 1...5 as ClosedRange<UInt64> { #expect(insert(span)) }
        #expect(insert(5), "the trace has as many as are told apart")
        for span in 6...50 as ClosedRange<UInt64> { #expect(insert(span)) }
        #expect(insert(1))
        #expect(asked == 1)
    }

    @Test("keys go by the secret of their folder")
    func keys() {
        let id = TraceID(high: 1, low: 2)
        let one = ArchiveKey(secret: Array(1...16))
        #expect(one.trace(id) == ArchiveKey(secret: Array(1...16)).trace(id))
        #expect(one.trace(id) != ArchiveKey(secret: Array(2...17)).trace(id))
        #expect(one.trace(id) != one.trace(TraceID(high: 2, low: 1)))
    }
}
