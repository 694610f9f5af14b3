import Foundation
import Kernel
import Synchronization
import Testing

@testable import Telemetry

@Suite("Small blocks that are put together")
struct BlockMergeTests {
    private static let base: Int64 = 1_800_000_000_000_000_000
    private static let begun = Timestamp(microseconds: base / 1_000)
    private static let today = ArchivePart.day(of: begun)

    private static func record(_ time: Int64, _ message: String, _ change: (inout LogRecord) -> Void = { _ in })
        -> LogRecord
    {
        var record = LogRecord(at: base + time)
        record.message = message
        change(&record)
        return record
    }

    private static func rows(_ records: [LogRecord]) -> LogRows {
        records.reduce(into: LogRows()) { $0.append(LogRow.encode($1)) }
    }

    private static func block(_ records: [LogRecord]) throws -> LogBlock {
        var builder = LogBlockBuilder()
        for record in records { try LogRow.encode(record).withUnsafeBytes { try builder.add($0) } }
        return try #require(builder.finish())
    }

    private static func append(_ records: [LogRecord], to archive: Archive, _ part: ArchivePart) throws {
        try archive.append([ArchiveBlock(try block(records), key: archive.key)], to: part, through: nil)
    }

    private static func blocks(_ archive: Archive, _ part: ArchivePart) throws -> [BlockSize] {
        try #require(try archive.existing(part)).blocks(from: 0, max: 100_000)
    }

    // MARK: which

    private static func size(_ id: Int, records: Int, packed: Int = 100, received: Int = 100) -> BlockSize {
        BlockSize(id: Int64(id), records: records, packedBytes: packed, receivedBytes: received)
    }

    @Test(
        "blocks are chosen that are small and lie one behind the other",
        arguments: [
            ([], false, nil), ([1], true, nil), ([1, 1], false, nil), ([1, 1], true, 0..<2),
            (Array(repeating: 1, count: 63), false, nil), (Array(repeating: 1, count: 64), false, 0..<64),
            (Array(repeating: 1, count: 200), false, 0..<64), ([2_000, 1, 1, 2_000, 1], true, 1..<3),
            ([1, 2_000, 1, 2_000, 1], true, nil), ([1_000, 1_000, 1_000, 5], false, 0..<3),
            ([1_000, 1_000], false, nil), ([1_000, 1_000], true, 0..<2), ([1_024, 1_024], true, nil),
            (Array(repeating: 100, count: 20), false, nil), (Array(repeating: 100, count: 21), false, 0..<21),
            ([5_000] + Array(repeating: 1, count: 70) + [5_000], false, 1..<65),
        ] as [([Int], Bool, Range<Int>?)])
    func choice(records: [Int], isClosed: Bool, meant: Range<Int>?) {
        let blocks = records.enumerated().map { Self.size($0, records: $1) }
        #expect(BlockMerge.target(.logs).next(blocks, isClosed: isClosed) == meant)
    }

    @Test("a block is as full as what fills it most")
    func fullness() {
        let target = BlockMerge.target(.spans)
        #expect(target.fullness(Self.size(1, records: 500)) == 0.5)
        #expect(target.fullness(Self.size(1, records: 1, packed: target.packedBytes)) == 1)
        #expect(target.fullness(Self.size(1, records: 1, received: BlockMerge.receivedBytesMax * 2)) == 2)
    }

    @Test("lines that come one each quarter of a second are written three times at most, and end in few blocks")
    func levels() {
        let lines = 24_000
        let target = BlockMerge.target(.logs)
        var blocks: [BlockSize] = []
        var full = 0
        var written = 0
        func merge(isClosed: Bool) {
            while let run = target.next(blocks, isClosed: isClosed) {
                let records = blocks[run].reduce(0) { $0 + $1.records }
                written += records
                blocks.replaceSubrange(run, with: [Self.size(Int(blocks[run.lowerBound].id), records: records)])
            }
            // As a file's first blocks are let be.
            if blocks.count > BlockMerge.lookedMax {
                full += blocks.count - BlockMerge.blocksMax
                blocks.removeFirst(blocks.count - BlockMerge.blocksMax)
            }
        }
        var most = 0
        for line in 0..<lines {
            blocks.append(Self.size(line, records: 1))
            merge(isClosed: false)
            most = max(most, blocks.count + full)
        }
        merge(isClosed: true)
        #expect(blocks.count + full < 16)
        #expect(most < 140)
        #expect(written <= 2 * lines + 2_048)
        #expect(blocks.map(\.id) == blocks.map(\.id).sorted())
    }

    // MARK: with what they hold

    @Test("lines that come one at a time are few blocks, and are found as they were", arguments: [1, 2] as [UInt64])
    func lines(seed: UInt64) async throws {
        var random = SplitMix(seed: seed)
        try await withTelemetryFolder { folder in
            let time = SetTime(Self.begun)
            let ingest = try TelemetryIngest(
                folder: folder, quota: 1 << 24, world: World(time: time, entropy: World.live.entropy)
            ) { Issue.record("\($0)") }
            var records: [LogRecord] = []
            for number in 0..<400 {
                // Many share a moment, so that the order of their coming tells them apart.
                let record = Self.record(Int64(number / 7 + Int(random.next() % 9)), "line \(number) é") {
                    $0.service = "s\(random.next() % 3)"
                    $0.correlationID = random.next() % 3 == 0 ? "c-\(random.next() % 4)" : nil
                    $0.traceID = random.next() % 4 == 0 ? "000000000000000000000000000000a\(random.next() % 3)" : nil
                    $0.spanID = random.next() % 4 == 0 ? "00000000000000b\(random.next() % 3)" : nil
                    $0.turn = random.next() % 2 == 0 ? -5 : nil
                    $0.durationMs = random.next() % 2 == 0 ? 0.1 : nil
                    $0.labels = random.next() % 2 == 0 ? LogLabels([(name: "app", value: "a")]) : LogLabels()
                    if random.next() % 3 == 0 {
                        $0.attributes = JSONObject([.init(name: "n", value: ["x": [1, 2.50, "\u{1}"]])])
                    }
                    $0.category = random.next() % 8 == 0 ? .error : .system
                }
                records.append(record)
                try await ingest.take(Self.rows([record]), refused: [:])
                try await ingest.flush()
            }
            let queries = (0..<12).map { number in
                var query = LogQuery()
                query.isNewestFirst = number % 2 == 0
                query.limit = [400, 7, 33][number % 3]
                if number % 4 == 1 { query.id = "c-2" }
                if number % 4 == 2 { query.conditions = [.words("line 1")] }
                if number % 4 == 3 { query.id = "000000000000000000000000000000a1" }
                return query
            }
            func page(_ query: LogQuery) async throws -> ([LogRecord], LogQuery?) {
                let found = try await ingest.logs(query)
                var next = query
                next.after = found.next
                return (found.records, found.next == nil ? nil : next)
            }
            func all(_ query: LogQuery, _ meanwhile: () async throws -> Void = {}) async throws -> [LogRecord] {
                var shown: [LogRecord] = []
                var rest: LogQuery? = query
                while let query = rest {
                    let (records, next) = try await page(query)
                    shown += records
                    rest = next
                    try await meanwhile()
                }
                return shown
            }
            var before: [[LogRecord]] = []
            for query in queries { before.append(try await all(query)) }
            #expect(Set(before[0].map(\.message)) == Set(records.map(\.message)))
            // First pages from before, the second in between, the rest from behind.
            var pages: [([LogRecord], LogQuery?)] = []
            for query in queries { pages.append(try await page(query)) }
            let early = try await ingest.blocks(of: .logs)
            #expect(early < 200, "some were put together with the flushes")
            time.set(Self.begun + .hours(24))
            try await ingest.flush()
            for index in pages.indices {
                guard let query = pages[index].1 else { continue }
                let (records, next) = try await page(query)
                pages[index] = (pages[index].0 + records, next)
            }
            await ingest.tidy()
            #expect(try await ingest.blocks(of: .logs) == 2)
            for (index, (shown, rest)) in pages.enumerated() {
                let more = if let rest { try await all(rest) } else { [LogRecord]() }
                #expect(shown + more == before[index])
            }
            for (index, query) in queries.enumerated() { #expect(try await all(query) == before[index]) }
            #expect(try await ingest.logLabels()["app"] == ["a"])
            try await ingest.close()
            // What the spool tells again is known, as progress stays.
            let again = try TelemetryIngest(folder: folder, quota: 1 << 24, world: .live)
            try await again.flush()
            #expect(try await again.logs(queries[0]).records == before[0])
            try await again.close()
        }
    }

    @Test("spans that come one at a time are few blocks, and their traces are as they were")
    func spans() async throws {
        try await withTelemetryFolder { folder in
            let time = SetTime(Self.begun)
            let ingest = try TelemetryIngest(
                folder: folder, quota: 1 << 24, world: World(time: time, entropy: World.live.entropy)
            ) { Issue.record("\($0)") }
            let long = String(repeating: "a question ", count: 80)
            for number in 0..<130 {
                let trace = String(repeating: "0", count: 31) + String(number % 5 + 1)
                let id = "00000000000000" + String(0x10 + number, radix: 16)
                let span = SpanSamples.span(
                    String(id.suffix(16)), "step \(number)",
                    attributes: [
                        ("input.value", .string("\(long)\(number % 3)")),
                        ("correlation_id", .string("c-\(number % 4)")),
                    ],
                    more: ["traceId": .string(trace)])
                _ = try await ingest.take(try OTLPJSON.traces(SpanSamples.request([span])) { _ in }, agent: nil)
                try await ingest.flush()
            }
            let traces = try (1...5).map { try #require(TraceID(String(repeating: "0", count: 31) + "\($0)")) }
            func told() async throws -> [SpanDetail] {
                var all: [SpanDetail] = []
                for trace in traces {
                    for head in try await ingest.trace(trace) {
                        all.append(try #require(try await ingest.span(head.spanID, of: trace)))
                    }
                }
                return all
            }
            let before = try await told()
            #expect(before.count == 130)
            time.set(Self.begun + .hours(24))
            await ingest.tidy()
            #expect(try await ingest.blocks(of: .spans) == 1)
            #expect(try await told() == before)
            var query = TraceQuery()
            query.id = "c-3"
            #expect(try await ingest.traces(query).traces.count == 5)
            try await ingest.close()
        }
    }

    @Test("a block that is damaged stays, with those beside it, and the rest goes on")
    func damaged() async throws {
        try await withTelemetryFolder { folder in
            let warnings = Mutex<[String]>([])
            let archive = try Archive(folder: folder, entropy: World.live.entropy) { text in
                warnings.withLock { $0.append(text) }
            }
            let part = ArchivePart(.logs, .system, day: Self.today)
            for number in 0..<200 { try Self.append([Self.record(Int64(number), "line \(number)")], to: archive, part) }
            let file = try SQLiteFile(path: "\(folder)/\(part.fileName)", schema: ArchiveSchema.statements)
            try file.write { _ = try $0.run("UPDATE bodies SET body = \(SQLValue.blob([1, 2, 3])) WHERE block = 70") }
            try file.close()
            var merger = BlockMerger(archive)
            while merger.step(today: Self.today) {}
            let sizes = try Self.blocks(archive, part)
            #expect(sizes.first?.records == 64)
            #expect(sizes.contains { $0.id == 70 && $0.records == 1 })
            #expect(sizes.reduce(0) { $0 + $1.records } == 200)
            #expect(warnings.withLock { $0.contains { $0.contains(part.fileName) } })
            try archive.close()
        }
    }

    @Test("how far the spool is stays known, however many old files were written since")
    func progress() async throws {
        try await withTelemetryFolder { folder in
            let archive = try Archive(folder: folder, entropy: World.live.entropy) { Issue.record("\($0)") }
            let last = ArchivePart(.logs, .system, day: Self.today)
            try archive.append([], to: last, through: 900)
            for day in 1...40 {
                try archive.append([], to: ArchivePart(.logs, .system, day: Self.today - day), through: Int64(day))
            }
            try archive.close()
            let path = "\(folder)/\(last.fileName)"
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: path)
            #expect(archive.progress() == 900)
            try archive.close()
        }
    }

    @Test("room that is not used any more goes back to the disk once the day has ended")
    func shrinks() async throws {
        try await withTelemetryFolder { folder in
            let archive = try Archive(folder: folder, entropy: World.live.entropy) { Issue.record("\($0)") }
            let part = ArchivePart(.logs, .system, day: Self.today)
            for number in 0..<300 { try Self.append([Self.record(Int64(number), "line \(number)")], to: archive, part) }
            try archive.close()
            let path = "\(folder)/\(part.fileName)"
            func bytes() throws -> Int {
                try #require(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
            }
            let before = try bytes()
            let again = try Archive(folder: folder, entropy: World.live.entropy) { Issue.record("\($0)") }
            var merger = BlockMerger(again)
            while merger.step(today: Self.today + 1) {}
            #expect(try Self.blocks(again, part).count == 1)
            try again.close()
            let after = try bytes()
            #expect(after < before / 2, "\(after) of \(before) bytes")
        }
    }
}
