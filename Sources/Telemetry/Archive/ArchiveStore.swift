import Foundation
import Kernel
import Synchronization

/// The archive's files as the store of all telemetry: its work waits for the disk, so it has threads of its own.
final class ArchiveStore: TelemetryStore {
    let archive: Archive
    /// The same files, for those who look: they hold nothing up.
    let reading: Archive
    private let live: LiveSpans
    private let keeping: Mutex<ArchiveFlush>
    private let merger: Mutex<BlockMerger>
    /// What is kept for longer, and what is erased; held by whoever goes through a file by its blocks' ids.
    let retention: Mutex<RetentionKeeper>
    let keeper = DispatchQueue(label: "reeve.telemetry.retention")
    private let world: World
    /// How long the last drop held up everybody else.
    let dropped = Mutex<Duration?>(nil)
    let worker = DispatchQueue(label: "reeve.telemetry.archive")
    private let reader = DispatchQueue(label: "reeve.telemetry.reader")
    private let searcher = DispatchQueue(label: "reeve.telemetry.search")
    /// Held by whoever reads on a queue: between finding a block and reading it the blocks stay where they are.
    let unread = Unread()

    final class Unread: Sendable {
        let reader = Mutex(())
        let searcher = Mutex(())
    }

    /// - Parameters:
    ///   - folder: The folder of all telemetry, made where it is absent.
    ///   - onWarning: Hears of what cannot be read.
    init(
        folder: String, live: LiveSpans, bindings: TraceBindings, world: World,
        onWarning: @escaping @Sendable (String) -> Void
    ) throws {
        archive = try Archive(folder: folder, entropy: world.entropy, onWarning: onWarning)
        reading = try Archive(folder: folder, entropy: world.entropy, onWarning: onWarning)
        (self.live, self.world) = (live, world)
        merger = Mutex(BlockMerger(archive))
        retention = Mutex(RetentionKeeper(reading, evidence: try EvidenceStore(folder: folder)))
        keeping = Mutex(ArchiveFlush(archive, live: live, bindings: bindings))
    }

    var entryAtStart: Int64 { archive.progress() }

    var labelsAtStart: [String: Set<String>]? { archive.labels() }

    var flushInterval: Span { .milliseconds(250) }

    /// What fails of it is the disk, and is told to whoever sends.
    var fault: String? { nil }
    var patience: StorePatience? { nil }

    // MARK: in

    func keep(_ requests: [WaitingRequest], now: Timestamp) async -> StoreOutcome {
        await withCheckedContinuation { continuation in
            worker.async {
                let outcome = self.keeping.withLock { flush in
                    let result = flush.keep(requests, now: now)
                    return StoreOutcome(counts: flush.takeCounts(), fresh: flush.takeFresh(), result: result)
                }
                continuation.resume(returning: outcome)
            }
        }
    }

    /// Puts small blocks together; who reads goes first, as a block that was found must still be there when it is read.
    func tidy() async -> Bool { (try? await onWorker { self.mergeUnread() ?? false }) ?? false }

    private func mergeUnread() -> Bool? {
        let today = ArchivePart.day(of: world.now)
        return unread.reader.withLockIfAvailable { _ in
            unread.searcher.withLockIfAvailable { _ in
                retention.withLockIfAvailable { keeper in
                    merger.withLock { $0.step(today: today) { try keeper.look(at: $0, through: $1) } }
                }
            }
        }?.flatMap { $0 }
    }

    /// How many blocks there are.
    func blocks(of kind: ArchivePart.Kind) async throws -> Int {
        try await onWorker {
            try self.archive.parts(kind).reduce(0) { try $0 + (self.archive.existing($1)?.blocks() ?? 0) }
        }
    }

    func sync() async throws { try await onWorker { try self.archive.sync() } }

    func close() async throws {
        try await Self.on(keeper) { try self.retention.withLock { try $0.close() } }
        try await onWorker {
            try self.archive.close()
            try self.reading.close()
        }
    }

    // MARK: out

    func heads(of trace: TraceID) async throws -> [SpanHead] {
        try await onReader { self.reading.spans(of: trace).map(\.head) }
    }

    func has(_ trace: TraceID) async throws -> Bool { try await onReader { self.reading.has(trace) } }

    func span(_ id: SpanID, of trace: TraceID) async throws -> SpanDetail? {
        try await onReader {
            try self.reading.span(id, of: trace).flatMap { try self.reading.detail(of: $0.head, at: $0.place) }
        }
    }

    func traces(_ query: TraceQuery, longest: Duration) async throws -> TraceFindings {
        try await onSearcher {
            let end = ContinuousClock.now + longest
            return TraceSearch(archive: self.reading, live: self.live, query: query) { ContinuousClock.now > end }.run()
        }
    }

    func sessions(_ query: SessionQuery, longest: Duration) async throws -> SessionFindings {
        try await onSearcher {
            let end = ContinuousClock.now + longest
            return SessionSearch(archive: self.reading, live: self.live, query: query) { ContinuousClock.now > end }
                .run()
        }
    }

    func logs(_ query: LogQuery, longest: Duration) async throws -> LogFindings {
        try await onSearcher {
            let end = ContinuousClock.now + longest
            return LogSearch(archive: self.reading, query: query) { ContinuousClock.now > end }.run()
        }
    }

    func tally(_ query: LogTallyQuery, longest: Duration) async throws -> LogTally {
        try await onSearcher {
            let end = ContinuousClock.now + longest
            return try LogTallySearch(archive: self.reading, query: query) { ContinuousClock.now > end }.run()
        }
    }

    func labels() async throws -> [String: Set<String>] {
        try await onSearcher { self.reading.labels() }
    }

    private func onWorker<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await Self.on(worker, body)
    }

    private func onReader<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await Self.on(reader) { try self.unread.reader.withLock { _ in try body() } }
    }

    private func onSearcher<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await Self.on(searcher) { try self.unread.searcher.withLock { _ in try body() } }
    }

    static func on<Value: Sendable>(
        _ queue: DispatchQueue, _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try body() }) }
        }
    }
}
