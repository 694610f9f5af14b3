import Foundation
import Kernel
import Synchronization

/// Keeps what traces belong to across a restart, behind the work: entries that are appended, framed as in a
/// ``SpoolFile``, and now and then written anew as a whole.
///
/// What was said stands in the file before any later record stands in the spool, so a process that is killed loses
/// nothing that a record it took in needs. The file is synced together with the store: with the machine's end that
/// goes which was said in the last ``TelemetryIngest/syncInterval``.
final class TraceBindingsFile: Sendable {
    /// Traces of one entry.
    private static let entryMax = 1_000
    private static let entryKind: UInt8 = 1
    /// Bytes that are read at a start: more than as many traces with the longest ids take.
    static let bytesMax = 64 << 20

    private struct State {
        var file: Int32?
        /// Bytes of whole entries, and the traces in them.
        var bytes = 0
        var traces = 0
        var isSynced = true
        /// Whether it has what it must not have, or has not all.
        var mustRewrite = false
    }

    private let path: String
    private let bindings: TraceBindings
    private let tracesMax: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - folder: That of all telemetry.
    ///   - tracesMax: Traces in the file before it is written anew; some are there twice.
    init(folder: String, bindings: TraceBindings, tracesMax: Int = 2 * TraceBindings.tracesMax) {
        path = "\(folder)/bindings"
        self.bindings = bindings
        self.tracesMax = tracesMax
    }

    deinit { close() }

    /// Takes up what an earlier process left. What cannot be read is given up, and told of.
    func load(_ onWarning: (String) -> Void) {
        guard let content = FileManager.default.contents(atPath: path) else { return }
        var (traces, damaged) = (0, 0)
        let finding = SpoolFile.read(Array(content.prefix(Self.bytesMax))) { entry in
            guard let entry, let read = try? Self.read(entry) else {
                damaged += 1
                return
            }
            bindings.restore(read)
            traces += read.count
        }
        if damaged > 0 { onWarning("\(path): \(damaged) entries are damaged, and lost") }
        state.withLock { state in
            (state.bytes, state.traces) = (content.count - finding.torn, traces)
            // An end that is not whole is all that a kill leaves of what nobody was told of.
            state.mustRewrite = damaged > 0 || finding.torn > 0 || content.count > Self.bytesMax
        }
        if state.withLock({ $0.mustRewrite }) { try? keep() }
    }

    /// Appends what was said since the last time. What fails is made up for by ``keep()``.
    func write() {
        state.withLock { state in
            guard !state.mustRewrite else { return }
            append(&state)
        }
    }

    /// Writes what was said, and syncs it.
    func keep() throws {
        try state.withLock { state in
            if !state.mustRewrite { append(&state) }
            if state.mustRewrite || state.traces > tracesMax { return try rewrite(&state) }
            guard let file = state.file, !state.isSynced else { return }
            guard fdatasync(file) == 0 else { throw Self.failure("fdatasync", path) }
            state.isSynced = true
        }
    }

    func close() {
        state.withLock { state in
            if let file = state.file { Foundation.close(file) }
            state.file = nil
        }
    }

    private func append(_ state: inout State) {
        guard let fresh = bindings.takeFresh() else {
            state.mustRewrite = true
            return
        }
        guard !fresh.isEmpty else { return }
        let bytes = Self.bytes(fresh)
        if state.file == nil {
            let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            if file >= 0 { state.file = file }
        }
        let written = state.file.map { file in
            bytes.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, off_t(state.bytes)) }
        }
        guard written == bytes.count else {
            state.mustRewrite = true
            return
        }
        state.bytes += bytes.count
        state.traces += fresh.count
        state.isSynced = false
    }

    private func rewrite(_ state: inout State) throws {
        state.mustRewrite = true
        let all = bindings.all()
        let bytes = Self.bytes(all)
        try DurableFile.write(bytes, to: path)
        if let file = state.file { Foundation.close(file) }
        state = State(bytes: bytes.count, traces: all.count)
    }

    private static func failure(_ call: String, _ path: String) -> DurableFile.Failure {
        DurableFile.Failure(call: call, path: path, code: errno)
    }

    // MARK: Bytes

    private static func bytes(_ bindings: [TraceBindings.Binding]) -> [UInt8] {
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: bindings.count, by: entryMax) {
            let some = bindings[start..<min(start + entryMax, bindings.count)]
            var writer = ColumnWriter()
            writer.append(some.count)
            for binding in some {
                writer.append(whole: binding.trace.high)
                writer.append(whole: binding.trace.low)
                writer.append(signed: binding.saidAt.microseconds)
                writer.append(binding.correlationID)
            }
            let entry = SpoolEntry(kind: entryKind, receivedAt: 0, payload: writer.bytes)
            SpoolFile.append(entry, to: &bytes)
        }
        return bytes
    }

    private static func read(_ entry: SpoolEntry) throws -> [TraceBindings.Binding] {
        guard entry.kind == entryKind else { throw ColumnReader.Damaged() }
        var reader = ColumnReader(entry.payload)
        return try (0..<(try reader.length())).map { _ in
            let trace = TraceID(high: try reader.whole(), low: try reader.whole())
            let saidAt = Timestamp(microseconds: try reader.signed())
            return TraceBindings.Binding(trace: trace, correlationID: try reader.text(), saidAt: saidAt)
        }
    }
}
