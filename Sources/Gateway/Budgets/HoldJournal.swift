import Foundation
import Kernel
import Synchronization

/// What calls in flight hold, in files beside the data: a line before each call is sent, so that a killed process knows
/// at its next start what may have been spent.
///
/// One `write` a hold, without a sync: it survives the end of the process, however sudden, and not that of the
/// machine. That is told by another boot's name at the next start; then all that was borrowed counts as spent. Lines
/// of settled calls go with the next hold's line, or with ``flush()``.
public final class HoldJournal: Sendable {
    static let callBytesMax = 100
    static let noteBytesMax = 2_000
    /// A file is followed by a new one from this size on, with the holds that are open.
    static let segmentBytes = 1 << 20
    /// Where the store does not answer for so long that a file grows to this, nothing new begins.
    static let segmentBytesMax = 256 << 20

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private struct Segment {
        let path: String
        let file: Int32
        var size = 0
        /// The size from which on the next one is begun.
        var sizeMax = 0
        /// The windows whose names stand in it.
        var windows: Set<Int> = []
        var isBroken = false
    }

    private struct State {
        var segment: Segment?
        /// A file that is over, and the report and the round of records after which nobody needs it.
        var last: (path: String, until: Int64, round: Int)?
        /// Files of earlier incarnations, until what they hold is booked.
        var old: [String] = []
        var replica = BudgetReplica(id: "", incarnation: 0)
        var number = 0
        /// Used again for each write.
        var buffer: [UInt8] = []
    }

    let folder: String
    /// How far records are kept; `nil` where there are none.
    public let records: RecordRounds?
    private let boot: String
    private let segmentBytes: Int
    private let state = Mutex(State())
    /// Settled calls whose lines wait. A lock of its own, which is held for nothing but this.
    private let settled = Mutex<[SettleLine]>([])

    /// - Parameters:
    ///   - folder: Made where it is absent. One process at a time.
    ///   - boot: A name of the machine's run; it changes when the machine starts anew.
    ///   - records: How far the records of its calls are kept; a file stays until they are.
    public convenience init(folder: String, boot: String, records: RecordRounds? = nil) throws {
        try self.init(folder: folder, boot: boot, segmentBytes: Self.segmentBytes, records: records)
    }

    init(folder: String, boot: String, segmentBytes: Int, records: RecordRounds? = nil) throws {
        self.folder = folder
        self.records = records
        self.boot = boot
        self.segmentBytes = segmentBytes
        try DurableFile.makeFolder(folder)
    }

    deinit {
        let segment = state.withLock { $0.segment }
        if let segment { close(segment.file) }
    }

    /// The name of this run of the machine, where the system tells it.
    public static var systemBoot: String {
        let text = (try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)) ?? ""
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The folder's own name, made at the first start: who borrows is known by it.
    public static func identity(in folder: String, world: World) throws -> String {
        let path = "\(folder)/replica"
        if let known = try? String(contentsOfFile: path, encoding: .utf8) {
            let name = known.trimmingCharacters(in: .whitespacesAndNewlines)
            if name.hasPrefix("replica_"), name.utf8.count <= 60 { return name }
        }
        let name = "replica_" + Hexadecimal.encode(world.entropy.bytes(16))
        try DurableFile.write(Array((name + "\n").utf8), to: path)
        return name
    }

    // MARK: Reading

    /// What the files say that is not booked yet.
    func read(_ opening: BudgetOpening) -> JournalReplay {
        let paths = segmentPaths()
        state.withLock { $0.old = paths }
        var replay = JournalReplay(boot: boot, opening: opening)
        for path in paths {
            guard let bytes = FileManager.default.contents(atPath: path) else {
                replay.damage("\(path) cannot be read")
                continue
            }
            replay.read(Array(bytes), from: path)
        }
        return replay
    }

    /// In the order in which they were begun.
    private func segmentPaths() -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.compactMap { name in number(of: name).map { ($0, "\(folder)/\(name)") } }.sorted { $0.0 < $1.0 }
            .map(\.1)
    }

    private func number(of name: String) -> Int? {
        guard name.hasPrefix("holds-"), name.hasSuffix(".journal") else { return nil }
        return Int(name.dropFirst(6).dropLast(8))
    }

    // MARK: Writing

    /// Begins a file for this incarnation.
    func begin(_ replica: BudgetReplica) throws {
        try state.withLock { state in
            if let segment = state.segment {
                close(segment.file)
                state.old.append(segment.path)
                state.segment = nil
            }
            if let last = state.last { state.old.append(last.path) }
            state.last = nil
            settled.withLock { $0 = [] }
            state.replica = replica
            let numbers = segmentPaths().compactMap { number(of: ($0 as NSString).lastPathComponent) }
            state.number = max(state.number, numbers.max() ?? 0)
            state.segment = try open(&state, holding: [])
        }
    }

    private func open(_ state: inout State, holding lines: [HoldLine]) throws -> Segment {
        state.number += 1
        let path = "\(folder)/holds-\(state.number).journal"
        let file = Foundation.open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Failure(description: "open \(path): \(String(cString: strerror(errno)))") }
        var segment = Segment(path: path, file: file)
        var bytes: [UInt8] = []
        HoldLines.append(replica: state.replica, boot: boot, to: &bytes)
        for line in lines {
            name(line.windows, in: &segment, &bytes)
            HoldLines.append(line, to: &bytes)
        }
        do {
            try write(bytes, to: &segment)
        } catch {
            close(file)
            unlink(path)
            throw error
        }
        segment.sizeMax = max(segmentBytes, segment.size * 4)
        return segment
    }

    private func name(_ windows: [WindowName], in segment: inout Segment, _ bytes: inout [UInt8]) {
        for window in windows where segment.windows.insert(window.number).inserted {
            HoldLines.append(window, to: &bytes)
        }
    }

    /// Writes a hold, and what waits. The call may be sent when this has returned.
    func write(_ line: HoldLine) throws {
        try state.withLock { state in
            guard var segment = state.segment else { throw Failure(description: "the journal is not begun") }
            defer { state.segment = segment }
            guard segment.size < Self.segmentBytesMax else { throw Failure(description: "the journal is full") }
            try writeSettled(to: &segment, &state.buffer, with: line)
        }
    }

    /// Keeps a settled call until the next line is written.
    func add(_ line: SettleLine) { settled.withLock { $0.append(line) } }

    /// Writes what waits; before a report is sent, so that no call is booked whose hold looks open. What cannot be
    /// written waits on.
    func flush() {
        guard settled.withLock({ !$0.isEmpty }) else { return }
        state.withLock { state in
            guard var segment = state.segment else { return }
            try? writeSettled(to: &segment, &state.buffer, with: nil)
            state.segment = segment
        }
    }

    private func writeSettled(
        to segment: inout Segment, _ buffer: inout [UInt8], with hold: HoldLine?
    ) throws {
        let lines = settled.withLock { lines in
            defer { lines = [] }
            return lines
        }
        let windows = segment.windows
        buffer.removeAll(keepingCapacity: true)
        for line in lines {
            name(line.windows, in: &segment, &buffer)
            HoldLines.append(line, to: &buffer)
        }
        if let hold {
            name(hold.windows, in: &segment, &buffer)
            HoldLines.append(hold, to: &buffer)
        }
        do {
            try write(buffer, to: &segment)
        } catch {
            segment.windows = windows
            settled.withLock { $0.insert(contentsOf: lines, at: 0) }
            throw error
        }
    }

    private func write(_ bytes: [UInt8], to segment: inout Segment) throws {
        guard !segment.isBroken else { throw Failure(description: "\(segment.path) is damaged") }
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes {
                Foundation.write(segment.file, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let reason = String(cString: strerror(errno))
                // A piece of a line would hide those behind it.
                if offset > 0, ftruncate(segment.file, off_t(segment.size)) != 0 { segment.isBroken = true }
                throw Failure(description: "write \(segment.path): \(reason)")
            }
            offset += count
        }
        segment.size += bytes.count
    }

    // MARK: Clearing up

    /// After a report was booked: lets go of a file that nobody needs any more, and begins a new one where this one
    /// has grown.
    ///
    /// - Parameter snapshot: The open holds, and the report that the next settled call will be in. It is taken while
    ///   nothing is written, so that a hold stands in the new file or comes there.
    func tidy(booked: Int64, snapshot: () -> (holds: [HoldLine], sequence: Int64)) {
        state.withLock { state in
            if let last = state.last, booked >= last.until, records?.isFinished(last.round) ?? true {
                unlink(last.path)
                state.last = nil
            }
            guard state.last == nil, let segment = state.segment else { return }
            guard segment.isBroken || segment.size >= segment.sizeMax else { return }
            let (holds, sequence) = snapshot()
            guard let next = try? open(&state, holding: holds) else {
                state.segment = segment
                return
            }
            close(segment.file)
            state.last = (segment.path, sequence, records?.next ?? 0)
            state.segment = next
        }
    }

    /// Deletes what earlier incarnations left, once it is booked.
    func dropOld() {
        let old = state.withLock { state in
            defer { state.old = [] }
            return state.old
        }
        for path in old { unlink(path) }
    }

    /// Bytes and files at this moment.
    var extent: (bytes: Int, files: Int) {
        let size = state.withLock { $0.segment?.size ?? 0 }
        return (size, segmentPaths().count)
    }
}
