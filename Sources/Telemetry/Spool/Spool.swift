import Foundation
import Kernel
import Synchronization

/// What was taken in and is not in the store yet: a log that is synced before a sender hears that its records are safe.
///
/// Entries that arrive while a sync is on its way share the next one. A file is deleted once all its entries are in the
/// store; after a crash what is left is read again.
public final class Spool: Sendable {
    /// A file is followed by a new one from this size on, or from an eighth of the quota: room comes back by files.
    static let segmentBytes = 32 << 20
    /// Bytes that wait for the disk; more are refused.
    static let waitingBytesMax = 256 << 20

    /// Why an entry is not taken. Nothing of it is in the log.
    public enum Fault: Error, Sendable, Equatable {
        /// The spool has as much as it may have, or the disk has no room.
        case full
        /// More than the spool may ever have.
        case tooLarge
        /// The disk fails; the text is for the log.
        case failed(String)
        case closed
    }

    private struct Segment {
        let path: String
        /// The number of its first entry, and its name.
        let first: Int64
        var bytes: Int
        /// The number of its last entry.
        var last: Int64
    }

    private struct Waiting {
        let entry: SpoolEntry
        let kept: @Sendable (Int64) -> Void
        let done: CheckedContinuation<Result<Int64, Fault>, Never>
    }

    private struct Queue {
        var waiting: [Waiting] = []
        var bytes = 0
        var isDraining = false
        var isClosed = false
    }

    private struct Files {
        /// The oldest first; the last one is written.
        var segments: [Segment] = []
        var file: Int32?
        /// The number of the next entry. A file is named by that of its first one.
        var next: Int64
        /// Whether an entry found no room since some was made.
        var isFull = false
    }

    private let folder: String
    private let quota: Int
    private let segmentBytes: Int
    private let ahead: @Sendable () -> Void
    private let queue = Mutex(Queue())
    private let files: Mutex<Files>
    private let writer = DispatchQueue(label: "reeve.telemetry.spool")

    /// - Parameters:
    ///   - folder: Made where it is absent. One process at a time.
    ///   - quota: Bytes of all files.
    ///   - last: The highest number that the archive knows of: what comes gets higher ones, even without a file.
    ///   - replay: Gets what an earlier process left, in its order, with each entry's number for ``release(through:)``.
    ///   - ahead: Called before entries are written, where nobody waits but those who sent them.
    ///   - damage: Hears of files that are not whole.
    public convenience init(
        folder: String, quota: Int, after last: Int64, replay: (Int64, SpoolEntry) -> Void,
        ahead: @escaping @Sendable () -> Void = {}, damage: (String) -> Void
    ) throws {
        try self.init(
            folder: folder, quota: quota, after: last, segmentBytes: min(Self.segmentBytes, quota / 8),
            replay: replay, ahead: ahead, damage: damage)
    }

    init(
        folder: String, quota: Int, after last: Int64, segmentBytes: Int, replay: (Int64, SpoolEntry) -> Void,
        ahead: @escaping @Sendable () -> Void = {}, damage: (String) -> Void
    ) throws {
        self.folder = folder
        self.ahead = ahead
        self.quota = quota
        self.segmentBytes = segmentBytes
        try DurableFile.makeFolder(folder)
        var found = Files(next: 1)
        for (first, path) in Self.paths(folder) {
            found.next = max(found.next, first)
            guard let content = FileManager.default.contents(atPath: path) else {
                damage("\(path) cannot be read, and stays")
                // Its name is taken.
                found.next = max(found.next, first + 1)
                continue
            }
            let finding = SpoolFile.read(Array(content)) { entry in
                if let entry { replay(found.next, entry) }
                found.next += 1
            }
            if finding.damaged > 0 { damage("\(path): \(finding.damaged) entries are damaged, and lost") }
            if finding.torn > 0 { damage("\(path) ends in an entry that is not whole, which nobody was told of") }
            if found.next > first {
                found.segments.append(Segment(path: path, first: first, bytes: content.count, last: found.next - 1))
            } else {
                unlink(path)
            }
        }
        found.next = max(found.next, last + 1)
        files = Mutex(found)
    }

    deinit {
        if let file = files.withLock({ $0.file }) { Foundation.close(file) }
    }

    private static func paths(_ folder: String) -> [(Int64, String)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.compactMap { name -> (Int64, String)? in
            guard name.hasPrefix("spool-"), name.hasSuffix(".log") else { return nil }
            return Int64(name.dropFirst(6).dropLast(4)).map { ($0, "\(folder)/\(name)") }
        }.sorted { $0.0 < $1.0 }
    }

    // MARK: Writing

    /// Keeps an entry; it is on the disk when this returns. The answer is its number.
    ///
    /// - Parameter kept: Called with the number before this returns, once for each entry that is kept, in their order.
    @discardableResult
    public func append(
        _ entry: SpoolEntry, kept: @escaping @Sendable (Int64) -> Void = { _ in }
    ) async throws(Fault) -> Int64 {
        let result = await withCheckedContinuation { (done: CheckedContinuation<Result<Int64, Fault>, Never>) in
            let refusal: Fault? = queue.withLock { queue in
                guard !queue.isClosed else { return .closed }
                guard entry.payload.count < quota else { return .tooLarge }
                guard queue.bytes + entry.payload.count <= Self.waitingBytesMax else { return .full }
                queue.waiting.append(Waiting(entry: entry, kept: kept, done: done))
                queue.bytes += entry.payload.count
                if !queue.isDraining {
                    queue.isDraining = true
                    writer.async { self.drain() }
                }
                return nil
            }
            if let refusal { done.resume(returning: .failure(refusal)) }
        }
        return try result.get()
    }

    private func drain() {
        while true {
            let group = queue.withLock { queue in
                defer {
                    queue.waiting = []
                    queue.bytes = 0
                }
                if queue.waiting.isEmpty { queue.isDraining = false }
                return queue.waiting
            }
            guard !group.isEmpty else { return }
            ahead()
            let results = files.withLock { files in write(group.map(\.entry), &files) }
            for (waiting, result) in zip(group, results) {
                if case .success(let number) = result { waiting.kept(number) }
                waiting.done.resume(returning: result)
            }
        }
    }

    /// Writes as many of the entries as there is room for, in one piece.
    private func write(_ entries: [SpoolEntry], _ files: inout Files) -> [Result<Int64, Fault>] {
        let taken = files.segments.reduce(0) { $0 + $1.bytes }
        var bytes: [UInt8] = []
        var results: [Result<Int64, Fault>] = []
        var count: Int64 = 0
        for entry in entries {
            let start = bytes.count
            SpoolFile.append(entry, to: &bytes)
            if taken + bytes.count <= quota {
                results.append(.success(files.next + count))
                count += 1
            } else {
                bytes.removeLast(bytes.count - start)
                results.append(.failure(.full))
                files.isFull = true
            }
        }
        guard count > 0 else { return results }
        do throws(Fault) {
            let file = try open(&files)
            let last = files.segments.count - 1
            try Self.write(bytes, to: file, behind: files.segments[last].bytes)
            files.segments[last].bytes += bytes.count
            files.segments[last].last += count
            files.next += count
            return results
        } catch {
            return entries.map { _ in .failure(error) }
        }
    }

    /// The file that is written: a new one where there is none, or where it has grown.
    private func open(_ files: inout Files) throws(Fault) -> Int32 {
        if let file = files.file {
            guard let last = files.segments.last, last.bytes >= segmentBytes else { return file }
            Foundation.close(file)
            files.file = nil
        }
        let path = "\(folder)/spool-\(files.next).log"
        let file = Foundation.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Self.fault("open", path) }
        do { try DurableFile.syncFolder(of: path) } catch {
            Foundation.close(file)
            unlink(path)
            throw .failed("\(error)")
        }
        files.file = file
        files.segments.append(Segment(path: path, first: files.next, bytes: 0, last: files.next - 1))
        return file
    }

    /// All of the bytes, or none of them.
    private static func write(_ bytes: [UInt8], to file: Int32, behind start: Int) throws(Fault) {
        var offset = 0
        var fault: Fault?
        while offset < bytes.count, fault == nil {
            let count = bytes[offset...].withUnsafeBytes {
                pwrite(file, $0.baseAddress, $0.count, off_t(start + offset))
            }
            if count < 0, errno == EINTR { continue }
            if count > 0 { offset += count } else { fault = Self.fault("write", "the spool") }
        }
        if fault == nil, fdatasync(file) != 0 { fault = Self.fault("fdatasync", "the spool") }
        if let fault {
            // What is left of them is overwritten by the next ones, or is a torn end.
            _ = ftruncate(file, off_t(start))
            throw fault
        }
    }

    private static func fault(_ call: String, _ what: String) -> Fault {
        let code = errno
        return code == ENOSPC || code == EDQUOT ? .full : .failed("\(call) \(what): \(String(cString: strerror(code)))")
    }

    // MARK: Reading

    /// The entries behind a number that stand in one file, and the number up to which that are all: the same number
    /// where there are none. What cannot be read is passed over.
    func entries(after number: Int64) -> (entries: [(number: Int64, entry: SpoolEntry)], through: Int64) {
        guard let segment = files.withLock({ files in files.segments.first { $0.last > number } }) else {
            return ([], number)
        }
        var found: [(number: Int64, entry: SpoolEntry)] = []
        var next = segment.first
        let content = FileManager.default.contents(atPath: segment.path)?.prefix(segment.bytes) ?? Data()
        _ = SpoolFile.read(Array(content)) { entry in
            if let entry, next > number { found.append((next, entry)) }
            next += 1
        }
        return (found, segment.last)
    }

    // MARK: Clearing up

    /// All entries up to this one are in the store: files with nothing else are deleted.
    public func release(through number: Int64) {
        files.withLock { files in
            while let first = files.segments.first, first.last <= number {
                if files.segments.count == 1, let file = files.file {
                    Foundation.close(file)
                    files.file = nil
                }
                unlink(first.path)
                files.segments.removeFirst()
                files.isFull = false
            }
        }
    }

    /// Ends the file that is written: what comes goes to a new one, so that all of it can be released once what is in
    /// it now is in the store.
    ///
    /// - Returns: The number of the next entry.
    @discardableResult
    func seal() -> Int64 {
        files.withLock { files in
            // The name of one without entries would be taken.
            if let file = files.file, let last = files.segments.last, last.last >= last.first {
                Foundation.close(file)
                files.file = nil
            }
            return files.next
        }
    }

    /// Whether a file has entries before this one.
    func has(before number: Int64) -> Bool { files.withLock { $0.segments.contains { $0.first < number } } }

    /// Puts other entries in the place of those that stand in the files: as many, with their numbers.
    ///
    /// - Parameter change: What an entry becomes; `nil` where it stays as it is.
    func rewrite(_ change: (_ number: Int64, SpoolEntry) -> SpoolEntry?) throws {
        let end = seal()
        var number: Int64 = 0
        // File by file: who writes waits for one of them at most.
        while let next = try rewriteNext(after: number, before: end, change) { number = next }
    }

    /// - Returns: The last number of the file that was gone through; `nil` where there is none left.
    private func rewriteNext(
        after number: Int64, before end: Int64, _ change: (_ number: Int64, SpoolEntry) -> SpoolEntry?
    ) throws -> Int64? {
        try files.withLock { files in
            guard let index = files.segments.firstIndex(where: { $0.last > number && $0.first < end }) else {
                return nil
            }
            let segment = files.segments[index]
            let content = FileManager.default.contents(atPath: segment.path)?.prefix(segment.bytes) ?? Data()
            var (bytes, isChanged, next) = ([UInt8](), false, segment.first)
            _ = SpoolFile.read(Array(content)) { entry in
                let changed = entry.flatMap { change(next, $0) }
                next += 1
                // What one that is damaged has is not known.
                isChanged = isChanged || changed != nil || entry == nil
                SpoolFile.append(
                    changed ?? entry ?? SpoolEntry(kind: Self.noKind, receivedAt: 0, payload: []), to: &bytes)
            }
            guard isChanged else { return segment.last }
            try DurableFile.write(bytes, to: segment.path)
            files.segments[index].bytes = bytes.count
            return segment.last
        }
    }

    /// Of an entry that is nothing.
    private static let noKind: UInt8 = 0

    /// Takes no more; what waits is still written.
    public func close() { queue.withLock { $0.isClosed = true } }

    /// Whether so much of the quota is taken that what can be released should be.
    var isPressed: Bool { extent.bytes >= quota / 2 }

    /// Whether there is no room, and some is about to be made: what comes meanwhile need not be tried. One entry that
    /// is too large by itself says nothing of the others.
    var isRefusing: Bool { files.withLock { $0.isFull } && isPressed }

    /// Bytes and files at this moment.
    public var extent: (bytes: Int, files: Int) {
        files.withLock { files in (files.segments.reduce(0) { $0 + $1.bytes }, files.segments.count) }
    }
}
