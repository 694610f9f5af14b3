import Foundation
import Kernel

@testable import Telemetry

/// A telemetry folder whose days pass as a test wants.
struct RetentionBench {
    static let begun = Timestamp(microseconds: 1_700_000_000_000_000)

    let folder: String
    let store: TestStore
    let time = SetTime(RetentionBench.begun)
    var ingest: TelemetryIngest
    /// Whether small blocks are put together, as they are in life.
    var merges = true

    init(_ folder: String, _ store: TestStore = .files) throws {
        (self.folder, self.store) = (folder, store)
        ingest = try store.ingest(folder, quota: 1 << 24, world: World(time: time, entropy: World.live.entropy))
    }

    /// As after a process that ended without a word.
    mutating func startAnew() throws {
        ingest = try store.ingest(folder, quota: 1 << 24, world: World(time: time, entropy: World.live.entropy))
    }

    func pass(to day: Int) { time.set(Self.begun + .hours(24 * Int64(day))) }

    static func trace(_ number: UInt64) -> TraceID { TraceID(high: 7, low: number) }

    /// - Parameter id: Of a trace's spans, each its own.
    func span(
        _ id: UInt64, of trace: UInt64, _ attributes: [(String, JSONValue)] = [], isFailed: Bool = false,
        resource: [(String, JSONValue)] = [], isPending: Bool = false
    ) async throws {
        var more = JSONObject()
        more["traceId"] = .string(Self.trace(trace).description)
        if isFailed { more["status"] = ["code": 2] }
        let all = attributes + (isPending ? [("reeve.span.state", "pending")] : [])
        let span = SpanSamples.span(SpanID(value: id).description, attributes: all, more: .object(more))
        var request = SpanSamples.request([span])
        if !resource.isEmpty {
            let pairs = resource.map { SpanSamples.pair($0.0, $0.1) }
            request = [
                "resourceSpans": [
                    ["resource": ["attributes": .array(pairs)], "scopeSpans": [["spans": [span]]]]
                ]
            ]
        }
        _ = try await ingest.take(try OTLPJSON.traces(request) { _ in }, agent: nil)
        if merges { try await ingest.flush() } else { try await ingest.settle() }
    }

    func log(_ message: String, _ change: (inout LogRecord) -> Void = { _ in }) async throws {
        var record = LogRecord(at: time.now.microseconds * 1_000)
        record.message = message
        change(&record)
        var rows = LogRows()
        rows.append(LogRow.encode(record))
        try await ingest.take(rows, refused: [:])
        if merges { try await ingest.flush() } else { try await ingest.settle() }
    }

    func spans(_ trace: UInt64) async throws -> Int { try await ingest.trace(Self.trace(trace)).count }

    func messages() async throws -> [String] {
        var query = LogQuery()
        query.isNewestFirst = false
        return try await ingest.logs(query).records.map(\.message).sorted()
    }

    /// All bytes of all files, for what must be nowhere among them.
    func files() throws -> [(name: String, bytes: Data)] {
        let paths = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return try paths.sorted().compactMap { path in
            var isFolder: ObjCBool = false
            FileManager.default.fileExists(atPath: "\(folder)/\(path)", isDirectory: &isFolder)
            return isFolder.boolValue ? nil : (path, try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(path)")))
        }
    }

    /// The packed bytes of each part of a block that has a text once it is unpacked.
    func packed(of text: String) throws -> [Data] {
        var found: [Data] = []
        for part in ingest.reading.allParts() {
            for block in ingest.reading.blocks(of: part, after: 0) {
                let file = try ingest.reading.file(part)
                for packed in [try file.head(of: block), try file.body(of: block)] {
                    guard let packed else { continue }
                    let bytes = Data(try Zstandard.unpack(packed, max: 64 << 20))
                    if bytes.range(of: Data(text.utf8)) != nil { found.append(Data(packed)) }
                }
            }
        }
        return found
    }

    /// Where a text stands: in a file's bytes as they are, or in a block of it once unpacked.
    func places(of text: String) throws -> [String] {
        var found = try files().filter { $0.bytes.range(of: Data(text.utf8)) != nil }.map(\.name)
        for part in ingest.reading.allParts() {
            for block in ingest.reading.blocks(of: part, after: 0) {
                let file = try ingest.reading.file(part)
                for packed in [try file.head(of: block), try file.body(of: block)] {
                    guard let packed else { continue }
                    let bytes = Data(try Zstandard.unpack(packed, max: 64 << 20))
                    if bytes.range(of: Data(text.utf8)) != nil { found.append("\(part.fileName)#\(block)") }
                }
            }
        }
        return found
    }
}

func withRetentionBench(
    _ store: TestStore = .files, _ body: (inout RetentionBench) async throws -> Void
) async throws {
    try await store.withFolder { folder in
        var bench = try RetentionBench(folder, store)
        try await body(&bench)
        try await bench.ingest.close()
    }
}

extension TelemetryIngest {
    /// The files, where records are kept in such.
    private var files: ArchiveStore {
        guard let files = store as? ArchiveStore else { preconditionFailure("records are kept elsewhere") }
        return files
    }

    var reading: Archive { files.reading }

    /// Whether nothing of any day is left.
    func isEmpty() async throws -> Bool {
        guard let clickHouse = store as? ClickHouseStore else { return reading.allParts().isEmpty }
        for kind in ArchivePart.Kind.allCases {
            let tables = [ClickHouseSchema.table(kind), ClickHouseSchema.ofBoth] + ClickHouseSchema.derived(kind)
            for table in tables {
                guard try await clickHouse.stores.parts.parts(of: table).isEmpty else { return false }
            }
        }
        return true
    }

    /// Deletes what bodies have apart and none names any more, and says how much that was.
    func deleteUnnamedPieces() throws -> Int {
        try reading.allParts().reduce(0) { try $0 + files.archive.deleteUnnamedPieces(of: $1) }
    }

    func carry(
        _ settings: TelemetryRetention, _ marks: RetentionEvidence, blocksMax: Int = RetentionKeeper.blocksMax
    ) throws -> [ArchivePart] {
        try files.carry(settings, marks, now: now, blocksMax: blocksMax)
    }
}
