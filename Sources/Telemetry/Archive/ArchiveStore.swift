import Foundation
import Kernel
import Synchronization

/// The archive's files as the store of all telemetry: its work waits for the disk, so it has threads of its own.
final class ArchiveStore: TelemetryStore {
    private let archive: Archive
    /// The same files, for those who look: they hold nothing up.
    private let reading: Archive
    private let live: LiveSpans
    private let keeping: Mutex<ArchiveFlush>
    private let worker = DispatchQueue(label: "reeve.telemetry.archive")
    private let reader = DispatchQueue(label: "reeve.telemetry.reader")
    private let searcher = DispatchQueue(label: "reeve.telemetry.search")

    /// - Parameters:
    ///   - folder: The folder of all telemetry, made where it is absent.
    ///   - onWarning: Hears of what cannot be read.
    init(
        folder: String, live: LiveSpans, bindings: TraceBindings, entropy: any Entropy,
        onWarning: @escaping @Sendable (String) -> Void
    ) throws {
        archive = try Archive(folder: folder, entropy: entropy, onWarning: onWarning)
        reading = try Archive(folder: folder, entropy: entropy, onWarning: onWarning)
        self.live = live
        keeping = Mutex(ArchiveFlush(archive, live: live, bindings: bindings))
    }

    var entryAtStart: Int64 { archive.progress() }

    var labelsAtStart: [String: Set<String>]? { archive.labels() }

    var flushInterval: Span { .milliseconds(250) }

    /// What fails of it is the disk, and is told to whoever sends.
    var fault: String? { nil }

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

    func sync() async throws { try await Self.on(worker) { try self.archive.sync() } }

    func close() async throws {
        try await Self.on(worker) {
            try self.archive.close()
            try self.reading.close()
        }
    }

    func forget(_ retention: TelemetryRetention, now: Timestamp) async throws -> Int {
        let today = ArchivePart.day(of: now)
        let old = archive.parts().filter { today - $0.day > retention.days($0.category) }
        // First whoever looks lets go of them: the disk has room only once nobody holds a file.
        try await Self.on(reader) { try self.reading.letGo(of: old) }
        try await Self.on(worker) { try self.archive.drop(old) }
        return old.count
    }

    // MARK: out

    func heads(of trace: TraceID) async throws -> [SpanHead] {
        try await Self.on(reader) { self.reading.spans(of: trace).map(\.head) }
    }

    func has(_ trace: TraceID) async throws -> Bool { try await Self.on(reader) { self.reading.has(trace) } }

    func span(_ id: SpanID, of trace: TraceID) async throws -> SpanDetail? {
        try await Self.on(reader) {
            try self.reading.span(id, of: trace).flatMap { try self.reading.detail(of: $0.head, at: $0.place) }
        }
    }

    func traces(_ query: TraceQuery, longest: Duration) async throws -> TraceFindings {
        try await Self.on(searcher) {
            let end = ContinuousClock.now + longest
            return TraceSearch(archive: self.reading, live: self.live, query: query) { ContinuousClock.now > end }.run()
        }
    }

    func sessions(_ query: SessionQuery, longest: Duration) async throws -> SessionFindings {
        try await Self.on(searcher) {
            let end = ContinuousClock.now + longest
            return SessionSearch(archive: self.reading, live: self.live, query: query) { ContinuousClock.now > end }
                .run()
        }
    }

    func logs(_ query: LogQuery, longest: Duration) async throws -> LogFindings {
        try await Self.on(searcher) {
            let end = ContinuousClock.now + longest
            return LogSearch(archive: self.reading, query: query) { ContinuousClock.now > end }.run()
        }
    }

    func labels() async throws -> [String: Set<String>] {
        try await Self.on(searcher) { self.reading.labels() }
    }

    private static func on<Value: Sendable>(
        _ queue: DispatchQueue, _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try body() }) }
        }
    }
}
