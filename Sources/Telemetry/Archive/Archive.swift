import Foundation
import Kernel
import Synchronization

/// All records that are kept, in a file for each category and day under one folder.
///
/// Work on it blocks its thread; it is meant for one that may wait.
final class Archive: Sendable {
    /// Files that are open at a time; those that were not used for longest are closed.
    static let openFilesMax = 32

    private struct State {
        var open: [ArchivePart: (file: DayFileStore, usedAt: Int)] = [:]
        var uses = 0
    }

    private let folder: String
    private let state = Mutex(State())

    init(folder: String) throws {
        self.folder = folder
        try DurableFile.makeFolder(folder)
    }

    /// The parts there are, the newest first.
    func parts() -> [ArchivePart] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.compactMap(ArchivePart.init(fileName:)).sorted()
    }

    private func path(_ part: ArchivePart) -> String { "\(folder)/\(part.fileName)" }

    private func file(_ part: ArchivePart) throws -> DayFileStore {
        try state.withLock { state in
            state.uses += 1
            if let known = state.open[part] {
                state.open[part]?.usedAt = state.uses
                return known.file
            }
            if state.open.count >= Self.openFilesMax,
                let oldest = state.open.min(by: { $0.value.usedAt < $1.value.usedAt })
            {
                state.open[oldest.key] = nil
                try oldest.value.file.close()
            }
            let file = try DayFileStore(path: path(part))
            state.open[part] = (file, state.uses)
            return file
        }
    }

    // MARK: Writing

    func append(_ block: SpanBlock, to part: ArchivePart, through entry: Int64) throws {
        try file(part).append(block, through: entry)
    }

    /// How far the spool is in the archive: asked of the files that were written last.
    func progress() throws -> Int64 {
        let dated = parts().map { part in
            let attributes = try? FileManager.default.attributesOfItem(atPath: path(part))
            return (part, attributes?[.modificationDate] as? Date ?? .distantPast)
        }
        let last = dated.sorted { $0.1 > $1.1 }.prefix(Self.partsAsked)
        return try last.map { try file($0.0).progress() }.max() ?? 0
    }

    /// Files that are asked at a start: each category's, of today and of yesterday.
    private static let partsAsked = 2 * TelemetryCategory.allCases.count

    /// Shows the keys of all that arrived on this day or later.
    func keys(since day: Int, _ body: (Int64) -> Void) throws {
        for part in parts() where part.day >= day {
            var last = Int64.min
            while true {
                let keys = try file(part).keys(after: last, max: Self.keysRead)
                for key in keys { body(key) }
                guard let end = keys.last, keys.count == Self.keysRead else { break }
                last = end
            }
        }
    }

    private static let keysRead = 10_000

    /// The ids of a trace's spans, of those that arrived on this day or later.
    func spanIDs(of trace: TraceID, since day: Int) throws -> Set<UInt64> {
        Set(try spans(of: trace, since: day).map(\.head.spanID.value))
    }

    /// Makes sure that all that was appended survives the machine's end.
    func sync() throws {
        let files = state.withLock { $0.open.values.map(\.file) }
        for file in files { try file.sync() }
    }

    /// Forgets the parts that are older than their category is kept, and says which.
    ///
    /// - Parameter today: Days since 1970.
    func forget(_ retention: TelemetryRetention, today: Int) throws -> [ArchivePart] {
        let old = parts().filter { today - $0.day > retention.days($0.category) }
        for part in old { try drop(part) }
        return old
    }

    private func drop(_ part: ArchivePart) throws {
        let known = state.withLock { $0.open.removeValue(forKey: part)?.file }
        try known?.close()
        for suffix in ["", "-wal", "-shm"] { unlink(path(part) + suffix) }
    }

    func close() throws {
        let files = state.withLock { state in
            defer { state.open = [:] }
            return state.open.values.map(\.file)
        }
        for file in files { try file.close() }
    }

    // MARK: Reading

    /// Where a span is kept.
    struct Place: Equatable {
        let part: ArchivePart
        let block: Int64
        let place: SpanPlace
    }

    /// The spans of a trace, by their start.
    func spans(of trace: TraceID, since day: Int = 0) throws -> [(head: SpanHead, place: Place)] {
        var found: [(head: SpanHead, place: Place)] = []
        for part in parts() where part.day >= day {
            for (block, head) in try file(part).heads(ArchiveKey.trace(trace)) {
                for row in try SpanColumns.read(head) where row.head.traceID == trace {
                    found.append((row.head, Place(part: part, block: block, place: row.place)))
                }
            }
        }
        return found.sorted { ($0.head.startedAt, $0.head.spanID.value) < ($1.head.startedAt, $1.head.spanID.value) }
    }

    /// All of a span; `nil` where it is not kept any more.
    func detail(of head: SpanHead, at place: Place) throws -> SpanDetail? {
        guard let body = try file(place.part).body(of: place.block) else { return nil }
        let parts = try SpanBodies(body).parts(at: place.place)
        return try parts.resource.withUnsafeBytes { resource in
            try parts.scope.withUnsafeBytes { scope in
                try parts.span.withUnsafeBytes { try SpanDetail(head, resource: resource, scope: scope, span: $0) }
            }
        }
    }
}
