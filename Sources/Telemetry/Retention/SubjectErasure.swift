import Foundation
import Kernel

/// What somebody wants to be erased.
public struct ErasureOrder: Sendable {
    public let subject: SubjectMatch
    /// Whether it is only looked for.
    public let isDryRun: Bool
    /// Records under these stay.
    public let holds: [TelemetryHold]

    public init(_ subject: SubjectMatch, isDryRun: Bool, holds: [TelemetryHold]) {
        self.subject = subject
        self.isDryRun = isDryRun
        self.holds = holds
    }
}

/// What an erasure found and did, file by file, and what a second search found.
public struct ErasureReport: Sendable, Equatable {
    /// One file of the archive, or the name of a ``SubjectKeeper``.
    public struct File: Sendable, Equatable {
        public var name: String
        /// Records, or series, that are the subject's.
        public var found = 0
        public var removed = 0
        /// Those that stay under a hold.
        public var held = 0
        /// Those that a second search found; `nil` where there was none.
        public var remaining: Int?
        /// SHA-256 of the file once it was rewritten, in hexadecimal.
        public var sha256: String?
    }

    /// HMAC-SHA-256 of the subject with the folder's secret, in hexadecimal.
    public var digest = ""
    public var files: [File] = []
    /// All that was gone through, whether something was found there or not: how many files of the archive, and the
    /// other places by their names.
    public var filesSearched = 0
    public var placesSearched: [String] = []
    /// How many records have the subject under each name, ``placesMax`` names at most.
    public var places: [String: Int] = [:]
    /// The holds that kept something.
    public var holds: Set<String> = []
    /// Blocks that were read so far, and all that are to be read.
    public var blocksRead = 0
    public var blocks = 0

    static let placesMax = 100

    public init() {}

    /// Notes under which names the subject was found.
    mutating func note(_ found: [String: Int], of subject: SubjectMatch) {
        for (name, count) in found where places[name] != nil || places.count < Self.placesMax {
            // A name that tells of the subject is not told.
            let shown = subject.isAnywhere && subject.isMet(by: name) ? "…" : name
            places[shown, default: 0] += count
        }
    }

    public func sum(_ count: (File) -> Int) -> Int { files.reduce(0) { $0 + count($1) } }
    public var found: Int { sum(\.found) }
    public var removed: Int { sum(\.removed) }
    public var held: Int { sum(\.held) }
    /// What a second search found; `nil` before it.
    public var remaining: Int? {
        files.contains { $0.remaining == nil } ? nil : sum { $0.remaining ?? 0 }
    }
}

/// Removes a subject's records, block by block: each is rewritten without them in one transaction, so whatever ends the
/// work, all before is done, and doing it again does the rest.
struct SubjectErasure {
    /// Times that a file is gone through anew because something came in meanwhile.
    static let roundsMax = 3
    /// Blocks between two words about how far it is.
    static let blocksPerWord = 100
    /// Tries to empty a file's log while somebody reads it.
    static let settleTries = 5

    /// What ends an erasure before it is done.
    struct Stopped: Error {}

    let order: ErasureOrder
    let reading: Archive
    let change: RetentionKeeper.Change
    /// Hears how far it is; `false` ends it.
    let tell: (ErasureReport) -> Bool
    private(set) var report = ErasureReport()

    init(
        _ order: ErasureOrder, reading: Archive, change: @escaping RetentionKeeper.Change,
        tell: @escaping (ErasureReport) -> Bool
    ) {
        (self.order, self.reading, self.change, self.tell) = (order, reading, change, tell)
        report.digest = reading.key.digest(order.subject.text)
    }

    mutating func run() throws {
        let parts = reading.allParts()
        report.filesSearched = parts.count
        report.blocks = parts.reduce(0) { $0 + count($1) } * (order.isDryRun ? 1 : 2)
        for part in parts {
            var file = ErasureReport.File(name: part.fileName)
            try search(part, &file, isRemoving: !order.isDryRun)
            if file.found > 0 { report.files.append(file) }
        }
        guard !order.isDryRun else { return }
        for part in reading.allParts() { try prove(part) }
    }

    private func count(_ part: ArchivePart) -> Int { reading.read(part) { try $0.count() } ?? 0 }

    /// A second search, which finds nothing but what is held; what came in since is removed as well.
    private mutating func prove(_ part: ArchivePart) throws {
        for round in 1...Self.roundsMax {
            var again = ErasureReport.File(name: part.fileName)
            try search(part, &again, isRemoving: false)
            let remaining = again.found - again.held
            let index = report.files.firstIndex { $0.name == part.fileName }
            if remaining == 0 || round == Self.roundsMax {
                // What its spans had apart, and nobody else has.
                try change { _ = try $0.deleteUnnamedPieces(of: part) }
                // An erasure that was cut short may have left old bytes in the file, and new ones in its log.
                let digest = reading.hasLog(part) || index != nil ? try settled(part) : nil
                guard let index else { return }
                report.files[index].remaining = remaining
                if report.files[index].removed > 0 { report.files[index].sha256 = digest }
                return
            }
            var file = ErasureReport.File(name: part.fileName)
            try search(part, &file, isRemoving: true)
            if let index {
                report.files[index].found += file.removed
                report.files[index].removed += file.removed
            } else {
                report.files.append(file)
            }
        }
    }

    // MARK: One file

    private mutating func search(_ part: ArchivePart, _ file: inout ErasureReport.File, isRemoving: Bool) throws {
        var last: Int64 = 0
        while true {
            let blocks = reading.blocks(of: part, after: last)
            if blocks.isEmpty { break }
            for block in blocks {
                try look(at: block, of: part, &file, isRemoving: isRemoving)
                last = block
                report.blocksRead += 1
                if report.blocksRead % Self.blocksPerWord == 0, !tell(report) { throw Stopped() }
            }
        }
        // Also where an erasure that was cut short did the rest.
        guard isRemoving else { return }
        let subject = order.subject
        try change { archive in
            try archive.forgetLabels(of: part) { label in
                subject.isMet(by: label.value) || subject.isAnywhere && subject.isMet(by: label.name)
            }
        }
    }

    private mutating func look(
        at block: Int64, of part: ArchivePart, _ file: inout ErasureReport.File, isRemoving: Bool
    ) throws {
        // Blocks may be put together while they are looked at: then it is looked once more.
        for _ in 0..<Self.roundsMax {
            var (found, held) = (0, 0)
            var places: [String: Int] = [:]
            var holds: Set<String> = []
            let copied = try reading.copy(of: block, in: part) { record in
                let names = try order.subject.places(in: record)
                guard !names.isEmpty else { return true }
                found += 1
                for name in names { places[name, default: 0] += 1 }
                let keeping = try order.holds.filter { try $0.holds(record) }
                held += keeping.isEmpty ? 0 : 1
                holds.formUnion(keeping.map(\.id))
                return !keeping.isEmpty
            }
            guard let copied else { return }
            if isRemoving, copied.copy.left > 0 {
                var isDone = false
                try change { isDone = try $0.replace(block, in: part, by: copied) }
                guard isDone else { continue }
                file.removed += copied.copy.left
            }
            file.found += found
            file.held += held
            report.holds.formUnion(holds)
            if isRemoving || order.isDryRun { report.note(places, of: order.subject) }
            return
        }
    }

    /// Empties the file's log and says what the file is then.
    private func settled(_ part: ArchivePart) throws -> String {
        for left in (0..<Self.settleTries).reversed() {
            do {
                try change { try $0.settle(part) }
                break
            } catch StorageFault.retriable(let reason) {
                if left == 0 { throw StorageFault.retriable(reason) }
            }
        }
        return try reading.digest(of: part)
    }
}
