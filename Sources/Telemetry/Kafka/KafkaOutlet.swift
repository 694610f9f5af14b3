import Foundation
import Kernel
import Synchronization

/// Hands every log record that is kept on to Kafka, as one JSON message each, at least once and in their order.
///
/// What Kafka has not taken stands in a queue on the disk; where that is full, records are passed over and counted,
/// and nobody waits. A start goes on behind the last entry that was confirmed.
public final class KafkaOutlet: Sendable {
    public static let sendInterval = Span.milliseconds(100)
    /// Messages, and bytes of them, that are on their way at a time; the last entry may bring some more.
    static let messagesMax = 50_000
    static let bytesMax = 32 << 20
    /// Bytes of a file of the queue, which is read as a whole.
    private static let segmentBytes = 1 << 20
    /// So long does a stop wait for what is on its way.
    private static let closeMilliseconds: Int32 = 2_000
    private static let entryKind: UInt8 = 1

    /// What became of records.
    public struct Counts: Sendable, Equatable {
        public var delivered = 0
        /// Those that Kafka never takes, such as too large ones.
        public var failed = 0
        /// Those for which the queue had no room.
        public var dropped = 0
        public var waiting = 0
        /// What Kafka's client said last of what is wrong; `nil` while messages get through.
        public var fault: String?
    }

    private struct Entry {
        let number: Int64
        let records: Int
        let bytes: Int
    }

    private struct State {
        /// `nil` after one that could go on no more, and once closed.
        var producer: KafkaProducer?
        var isClosed = false
        /// Handed over and not confirmed, in their order.
        var sent: [Entry] = []
        var sentThrough: Int64 = 0
        var confirmed: Int64 = 0
        /// The entry of the ingest's spool that was taken last.
        var source: Int64 = 0
        var dropped = 0
        var waiting = 0
        /// What stands in the file.
        var written: (confirmed: Int64, source: Int64) = (0, 0)
    }

    private let address: KafkaAddress
    private let spool: Spool
    private let path: String
    private let reports = KafkaReports()
    private let state: Mutex<State>
    private let worker = DispatchQueue(label: "reeve.telemetry.kafka")

    /// - Parameters:
    ///   - folder: The folder of all telemetry.
    ///   - quota: Bytes of the queue.
    /// - Throws: ``Problem`` where Kafka's settings are none, or what the disk says.
    public init(
        _ address: KafkaAddress, folder: String, quota: Int, onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        self.address = address
        try DurableFile.makeFolder(folder)
        path = "\(folder)/kafka-reached"
        let words = (FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? "")
            .split(whereSeparator: \.isWhitespace).compactMap { Int64($0) }
        var state = State()
        if words.count == 2 { (state.confirmed, state.source) = (words[0], words[1]) }
        state.written = (state.confirmed, state.source)
        spool = try Spool(
            folder: "\(folder)/kafka", quota: quota, after: state.confirmed, segmentBytes: Self.segmentBytes,
            replay: { number, entry in
                guard let (source, rows) = try? Self.read(entry) else { return }
                state.source = max(state.source, source)
                if number > state.confirmed { state.waiting += rows.count }
            }, damage: onWarning)
        state.sentThrough = state.confirmed
        state.producer = try KafkaProducer(address, reports: reports)
        self.state = Mutex(state)
    }

    public var counts: Counts {
        let (dropped, waiting) = state.withLock { ($0.dropped, $0.waiting) }
        return reports.with {
            Counts(
                delivered: $0.delivered, failed: $0.failed, dropped: dropped, waiting: waiting, fault: $0.lastFault)
        }
    }

    // MARK: In

    /// Puts the log records of requests into the queue. What has no room there is passed over.
    func take(_ requests: [WaitingRequest]) async {
        for request in requests {
            guard case .logs(let rows) = request.content, rows.count > 0 else { continue }
            // A start reads again what was in the ingest's spool.
            guard !request.isReplayed || request.number > state.withLock({ $0.source }) else { continue }
            let entry = Self.entry(rows, request.number, at: request.arrivedAt.microseconds)
            do {
                try await spool.append(entry) { _ in self.state.withLock { $0.waiting += rows.count } }
            } catch {
                state.withLock { $0.dropped += rows.count }
            }
            state.withLock { $0.source = request.number }
        }
    }

    private static func entry(_ rows: LogRows, _ source: Int64, at receivedAt: Int64) -> SpoolEntry {
        var payload = ColumnWriter()
        payload.append(int: source)
        payload.append(raw: rows.bytes)
        return SpoolEntry(kind: entryKind, receivedAt: receivedAt, payload: payload.bytes)
    }

    private static func read(_ entry: SpoolEntry) throws -> (source: Int64, rows: LogRows) {
        var reader = ColumnReader(entry.payload)
        let source = try reader.int()
        return (source, try LogRows(Array(reader.rest)))
    }

    // MARK: Out

    /// Hands over what waits, as far as there is room on the way, and lets go of what is confirmed.
    public func send() async throws { try await onWorker { try self.sendNow() } }

    private func sendNow() throws {
        try state.withLock { state in
            guard !state.isClosed else { return }
            if state.producer == nil { state.producer = try KafkaProducer(address, reports: reports) }
            state.producer?.poll()
            confirm(&state)
            try repeatIfDue(&state)
            fill(&state)
            try keep(&state)
        }
    }

    private func confirm(_ state: inout State) {
        let settled = reports.with { reports in
            guard !reports.mustRepeat else { return 0 }
            let count = state.sent.prefix { (reports.open[$0.number] ?? 0) <= 0 }.count
            for entry in state.sent.prefix(count) { reports.open[entry.number] = nil }
            return count
        }
        guard settled > 0 else { return }
        state.waiting -= state.sent.prefix(settled).reduce(0) { $0 + $1.records }
        state.confirmed = state.sent[settled - 1].number
        state.sent.removeFirst(settled)
        spool.release(through: state.confirmed)
    }

    /// After something that another try may bring through, all that is not confirmed goes out again, by a new producer:
    /// it has its own numbers by which Kafka knows what comes twice.
    private func repeatIfDue(_ state: inout State) throws {
        guard reports.with({ $0.mustRepeat }) || state.producer?.isBroken == true else { return }
        try sendAgain(&state)
    }

    private func sendAgain(_ state: inout State) throws {
        state.producer = nil
        reports.with { reports in
            reports.open = [:]
            reports.mustRepeat = false
        }
        state.sent = []
        state.sentThrough = state.confirmed
        state.producer = try KafkaProducer(address, reports: reports)
    }

    private func fill(_ state: inout State) {
        var (records, bytes) = state.sent.reduce((0, 0)) { ($0.0 + $1.records, $0.1 + $1.bytes) }
        while records < Self.messagesMax, bytes < Self.bytesMax {
            let page = spool.entries(after: state.sentThrough)
            guard page.through > state.sentThrough else { return }
            for (number, entry) in page.entries {
                guard let rows = try? Self.read(entry).rows else { continue }
                reports.with { $0.open[number] = rows.count }
                try? rows.each { row in
                    guard let record = try? LogRow.decode(row) else {
                        return self.reports.with { $0.open[number, default: 1] -= 1 }
                    }
                    state.producer?.send(record, of: number)
                }
                state.sent.append(Entry(number: number, records: rows.count, bytes: entry.payload.count))
                records += rows.count
                bytes += entry.payload.count
            }
            state.sentThrough = page.through
        }
    }

    private func keep(_ state: inout State) throws {
        guard state.written != (state.confirmed, state.source) else { return }
        try DurableFile.write(Array("\(state.confirmed) \(state.source)\n".utf8), to: path)
        state.written = (state.confirmed, state.source)
    }

    // MARK: What is erased

    /// Takes a subject's records out of the queue; what Kafka has taken is its own. Where one is found, all that is not
    /// confirmed goes out again, as some of it may be on its way.
    public func erase(_ order: ErasureOrder) async throws -> SubjectCount {
        try await onWorker {
            try self.state.withLock { state in
                var (found, removed) = (SubjectCount(), 0)
                let confirmed = state.confirmed
                try self.spool.rewrite { number, entry in
                    guard let (source, rows) = try? Self.read(entry) else { return nil }
                    var kept = LogRows()
                    let count = Self.divide(rows, order, &kept)
                    // What is confirmed stands there still, and is no more waited for.
                    removed += number > confirmed ? count.left : 0
                    found.add(count)
                    guard count.left > 0, !order.isDryRun else { return nil }
                    return Self.entry(kept, source, at: entry.receivedAt)
                }
                guard !order.isDryRun, found.left > 0 else { return found }
                state.waiting -= removed
                try self.sendAgain(&state)
                return found
            }
        }
    }

    private static func divide(_ rows: LogRows, _ order: ErasureOrder, _ kept: inout LogRows) -> SubjectCount {
        var count = SubjectCount()
        try? rows.each { row in
            let record = try? LogRow.decode(row)
            if let record, !order.subject.places(in: record).isEmpty {
                let holds = order.holds.filter { (try? $0.holds(.log(record))) != false }
                count.add(SubjectCount(found: 1, holds: holds))
                if holds.isEmpty { return }
            }
            kept.append(Array(row))
        }
        return count
    }

    /// Waits a moment for what is on its way; the rest goes out after the next start.
    public func close() async throws {
        spool.close()
        try await onWorker {
            try self.state.withLock { state in
                state.producer?.settle(milliseconds: Self.closeMilliseconds)
                self.confirm(&state)
                try self.keep(&state)
                state.producer = nil
                state.isClosed = true
            }
        }
    }

    private func onWorker<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            worker.async { continuation.resume(with: Result { try body() }) }
        }
    }
}
