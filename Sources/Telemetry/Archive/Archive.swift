import Foundation
import Kernel
import Synchronization

/// All records that are kept, in a file for each category and day under one folder.
///
/// Work on it blocks its thread; it is meant for one that may wait.
final class Archive: Sendable {
    /// Files that are open at a time.
    static let openFilesMax = 32

    private struct State {
        var open = OpenFiles<ArchivePart, DayFileStore>(max: Archive.openFilesMax)
        var appended: Set<ArchivePart> = []
    }

    let key: ArchiveKey
    private let folder: String
    private let onWarning: @Sendable (String) -> Void
    private let state = Mutex(State())

    /// - Parameter onWarning: Hears of files and blocks that cannot be read; the others are.
    init(folder: String, entropy: any Entropy, onWarning: @escaping @Sendable (String) -> Void) throws {
        self.folder = folder
        self.onWarning = onWarning
        try DurableFile.makeFolder(folder)
        let path = "\(folder)/secret"
        if let known = FileManager.default.contents(atPath: path), known.count == ArchiveKey.secretBytes {
            key = ArchiveKey(secret: Array(known))
        } else {
            let secret = entropy.bytes(ArchiveKey.secretBytes)
            try DurableFile.write(secret, to: path)
            key = ArchiveKey(secret: secret)
        }
    }

    /// What a file tells; `nil`, and a warning, for one that cannot be read: it must not stand in the others' way.
    func read<Value>(_ part: ArchivePart, _ body: (DayFileStore) throws -> Value) -> Value? {
        // Whoever listed it before it was dropped must not make it anew.
        guard exists(part) else { return nil }
        do { return try body(try file(part)) } catch {
            onWarning("\(part.fileName) cannot be read: \(error)")
            return nil
        }
    }

    func warn(_ text: String) { onWarning(text) }

    /// A part's file; `nil` where there is none.
    func existing(_ part: ArchivePart) throws -> DayFileStore? { exists(part) ? try file(part) : nil }

    /// The parts there are, the newest first. What is carried over counts once the file that it comes from is gone, so
    /// that nothing is found twice.
    func parts(_ kind: ArchivePart.Kind? = nil) -> [ArchivePart] {
        let all = allParts()
        let ordinary = Set(all.filter { $0.tier == .ordinary })
        return all.filter { part in
            (kind == nil || part.kind == kind) && (part.tier == .ordinary || !ordinary.contains(part.in(.ordinary)))
        }
    }

    /// Those too that are still being carried over.
    func allParts() -> [ArchivePart] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.compactMap(ArchivePart.init(fileName:)).sorted()
    }

    func path(_ part: ArchivePart) -> String { "\(folder)/\(part.fileName)" }

    func exists(_ part: ArchivePart) -> Bool { FileManager.default.fileExists(atPath: path(part)) }

    func file(_ part: ArchivePart) throws -> DayFileStore {
        try state.withLock { try $0.open.file(part) { try DayFileStore(path: path(part)) } }
    }

    // MARK: Writing

    /// - Parameter entry: How far the spool is in this part with them; `nil` for blocks that do not come from there.
    func append(_ blocks: [ArchiveBlock], to part: ArchivePart, through entry: Int64?) throws {
        try file(part).append(blocks, through: entry)
        state.withLock { _ = $0.appended.insert(part) }
    }

    /// The parts that blocks were appended to since the last call.
    func takeAppended() -> Set<ArchivePart> {
        state.withLock { state in
            defer { state.appended = [] }
            return state.appended
        }
    }

    /// How far the spool is in the archive: asked of the files of the last days, and of those that were written last,
    /// which old ones are too where their blocks were put together.
    func progress() -> Int64 {
        let parts = allParts().filter { $0.tier == .ordinary }
        let dated = parts.map { part in
            let attributes = try? FileManager.default.attributesOfItem(atPath: path(part))
            return (part, attributes?[.modificationDate] as? Date ?? .distantPast)
        }
        let last = dated.sorted { $0.1 > $1.1 }.prefix(Self.partsAsked).map(\.0)
        return Set(last + parts.prefix(Self.partsAsked)).compactMap { read($0) { try $0.progress() } }.max() ?? 0
    }

    /// How far it is in one part; 0 where that has no file.
    func progress(of part: ArchivePart) -> Int64 { read(part) { try $0.progress() } ?? 0 }

    /// Files that are asked at a start: each category's, of today and of yesterday.
    private static let partsAsked = 2 * TelemetryCategory.allCases.count * ArchivePart.Kind.allCases.count

    /// Shows the keys of all spans that arrived on this day or later.
    func keys(since day: Int, _ body: (Int64) -> Void) {
        for part in parts(.spans) where part.day >= day {
            var last = Int64.min
            while let keys = read(part, { try $0.keys(after: last, max: Self.keysRead) }) {
                for key in keys { body(key) }
                guard let end = keys.last, keys.count == Self.keysRead else { break }
                last = end
            }
        }
    }

    private static let keysRead = 10_000

    /// The ids of a trace's spans, of those that arrived on this day or later; `nil` where there are more than `max`.
    func spanIDs(of trace: TraceID, since day: Int, max: Int) -> Set<UInt64>? {
        var found: Set<UInt64> = []
        each(trace, since: day) { head, _ in
            found.insert(head.identity)
            return found.count <= max
        }
        return found.count <= max ? found : nil
    }

    /// Makes sure that all that was appended survives the machine's end.
    func sync() throws {
        let files = state.withLock { $0.open.files }
        for file in files { try file.sync() }
    }

    /// Forgets parts. The disk has room again once whoever had their files open has closed them too.
    func drop(_ parts: [ArchivePart]) {
        for part in parts { for suffix in ["", "-wal", "-shm"] { unlink(path(part) + suffix) } }
    }

    /// Knows the files of parts no more: whoever gets them closes them.
    func letGo(of parts: [ArchivePart]) -> [DayFileStore] { state.withLock { $0.open.take(parts) } }

    func close() throws {
        for file in state.withLock({ $0.open.take($0.open.names) }) { try file.close() }
    }

    // MARK: Reading

    /// The labels of log streams, with their values.
    func labels() -> [String: Set<String>] {
        var found: [String: Set<String>] = [:]
        for part in parts(.logs) {
            let labels: [LogLabel] = read(part) { try $0.labels(max: Self.labelsRead) } ?? []
            for label in labels { found[label.name, default: []].insert(label.value) }
        }
        return found
    }

    /// Labels of a file, which has as many at most as ``StreamLabels`` lets through.
    private static let labelsRead = 10_000

    /// Where a span is kept.
    struct Place: Equatable {
        let part: ArchivePart
        let block: Int64
        let place: SpanPlace
    }

    /// The spans of a trace, by their start, ``spansMax`` at most.
    func spans(of trace: TraceID) -> [(head: SpanHead, place: Place)] {
        var found: [(head: SpanHead, place: Place)] = []
        each(trace, since: 0) { head, place in
            found.append((head, place))
            return found.count < Self.spansMax
        }
        return found.sorted { ($0.head.startedAt, $0.head.spanID.value) < ($1.head.startedAt, $1.head.spanID.value) }
    }

    /// One span of a trace, with where it is kept.
    func span(_ id: SpanID, of trace: TraceID) -> (head: SpanHead, place: Place)? {
        var found: (head: SpanHead, place: Place)?
        each(trace, since: 0) { head, place in
            // A lost span may have ended after all.
            if head.spanID == id, found == nil || head.state == .ended { found = (head, place) }
            return found?.head.state != .ended
        }
        return found
    }

    func has(_ trace: TraceID) -> Bool {
        var isFound = false
        each(trace, since: 0) { _, _ in
            isFound = true
            return false
        }
        return isFound
    }

    /// Spans of one trace that are shown.
    static let spansMax = 100_000

    /// Shows the spans of a trace, block by block, until `body` has enough.
    private func each(_ trace: TraceID, since day: Int, _ body: (SpanHead, Place) -> Bool) {
        for part in parts(.spans) where part.day >= day {
            let blocks: [(block: Int64, head: [UInt8])] = read(part) { try $0.heads(key.trace(trace)) } ?? []
            for one in blocks {
                let rows: [(head: SpanHead, place: SpanPlace)] =
                    read(part) { _ in try SpanColumns.read(one.head) } ?? []
                for row in rows where row.head.traceID == trace {
                    guard body(row.head, Place(part: part, block: one.block, place: row.place)) else { return }
                }
            }
        }
    }

    /// All of a span; `nil` where it is not kept any more.
    func detail(of head: SpanHead, at place: Place) throws -> SpanDetail? {
        var detail: SpanDetail?
        _ = try file(place.part).spans(of: place.block, where: { $0.spanID == head.spanID && $1 == place.place }) {
            detail = try SpanDetail($0)
        }
        return detail
    }
}
