import Kernel

/// Drops the partitions whose day is over, as the archive drops files; see ``RetentionKeeper``. What is kept for longer
/// is copied into a partition of its own before: a crash in between has it copied again, and rows that come twice are
/// one.
struct ClickHouseRetention {
    /// Partitions that are gone through in one go; the next goes on behind them.
    static let partsMax = 50
    /// Records of subjects under a hold in one partition that is gone through anew; with more nothing of it goes.
    static let subjectRecordsMax = 100_000

    private let settings: TelemetryRetention
    private let marks: RetentionEvidence
    private let stores: ClickHouseStores
    private let now: Timestamp
    private var partsLeft: Int
    private(set) var dropped: Set<ClickHousePart> = []
    /// Traces that were not kept for their error, as there was no room.
    private(set) var unkept: Set<TraceID> = []

    init(
        _ settings: TelemetryRetention, _ marks: RetentionEvidence, _ stores: ClickHouseStores, now: Timestamp,
        partsMax: Int = ClickHouseRetention.partsMax
    ) {
        (self.settings, self.marks, self.stores, self.now) = (settings, marks, stores, now)
        partsLeft = partsMax
    }

    private var today: Int { ArchivePart.day(of: now) }

    /// - Parameter settle: Called before something goes: nothing of it may come again.
    mutating func run(settle: () async throws -> Void) async throws {
        var parts: [ArchivePart.Kind: [ClickHousePart: Int]] = [:]
        for kind in ArchivePart.Kind.allCases {
            parts[kind] = try await stores.parts.parts(of: ClickHouseSchema.table(kind))
        }
        let keptBytes = parts.values.reduce(0) { sum, parts in
            sum + parts.filter { $0.key.tier == .kept }.values.reduce(0, +)
        }
        let over = parts.flatMap { kind, parts in
            parts.keys.filter { $0.tier == .ordinary && isOver($0, kind) }.map { (kind: kind, part: $0) }
        }.sorted { ($0.part, $0.kind.rawValue) < ($1.part, $1.kind.rawValue) }
        if !over.isEmpty { try await settle() }
        for (kind, part) in over {
            guard partsLeft > 0 else { return }
            partsLeft -= 1
            try await carry(part, kind, isFull: keptBytes >= settings.keptTracesBytes)
            try await drop(part, of: ClickHouseSchema.table(kind))
        }
        for kind in ArchivePart.Kind.allCases { try await thin(kind) }
        try await dropDerived()
    }

    private func isOver(_ part: ClickHousePart, _ kind: ArchivePart.Kind) -> Bool {
        settings.isOver(part.archivePart(kind), today: today)
    }

    private mutating func drop(_ part: ClickHousePart, of table: String) async throws {
        try await stores.parts.drop(part, of: table)
        dropped.insert(part)
    }

    /// What is made of records goes behind them.
    private func dropDerived() async throws {
        var all: Set<ClickHousePart> = []
        for kind in ArchivePart.Kind.allCases {
            let parts = Set(try await stores.parts.parts(of: ClickHouseSchema.table(kind)).keys)
            all.formUnion(parts)
            for table in ClickHouseSchema.derived(kind) { try await drop(derived: table, without: parts) }
        }
        try await drop(derived: ClickHouseSchema.ofBoth, without: all)
    }

    private func drop(derived table: String, without parts: Set<ClickHousePart>) async throws {
        for part in try await stores.parts.parts(of: table).keys where !parts.contains(part) {
            // One that is not over is just being made.
            let isGone = part.tier == .kept || isOver(part, .spans)
            if isGone { try await stores.parts.drop(part, of: table) }
        }
    }

    // MARK: Carrying over

    private mutating func carry(_ part: ClickHousePart, _ kind: ArchivePart.Kind, isFull: Bool) async throws {
        let isLasting = !isOver(part.in(.kept), kind)
        let grounds = ClickHouseKeepingStore.Grounds(labels: isLasting, failures: isLasting && !isFull)
        if isLasting, isFull, kind == .spans {
            unkept.formUnion(try await stores.keeping.failedTraces(of: part).subtracting(marks.traces))
        }
        if let condition = ClickHouseKeepingStore.condition(kind, marks, grounds) {
            try await stores.keeping.carry(part, kind, condition)
        }
        try await eachUnderHold(of: part, kind) { keys in
            guard let condition = ClickHouseKeepingStore.condition(kind, RetentionEvidence(), .init(), keys: keys)
            else { return true }
            try await stores.keeping.carry(part, kind, condition)
            return true
        }
        try await stores.keeping.settle(
            part.in(.kept), of: ClickHouseSchema.table(kind), state(isOver: false), at: now)
    }

    /// Shows the keys of what is held as a subject's, until `body` has enough.
    private func eachUnderHold(
        of part: ClickHousePart, _ kind: ArchivePart.Kind, _ body: ([String]) async throws -> Bool
    ) async throws {
        for hold in marks.holds {
            guard case .subject(let text) = hold.target else { continue }
            var isWanted = true
            try await stores.records.each(of: part, kind, maybeOf: SubjectMatch(text)) { records in
                let keys = try records.filter { try hold.holds($0.record) }.map(\.key)
                if isWanted, !keys.isEmpty { isWanted = try await body(keys) }
            }
        }
    }

    // MARK: Letting go

    private func state(isOver: Bool) -> String { "\(marks.holdsDigest)\(isOver ? " over" : "")" }

    /// Takes out of kept partitions what is there for a hold that was lifted, and, once their time is over, all that no
    /// hold keeps.
    private mutating func thin(_ kind: ArchivePart.Kind) async throws {
        let table = ClickHouseSchema.table(kind)
        let parts = Set(try await stores.parts.parts(of: table).keys)
        let states = try await stores.keeping.states(of: table)
        for part in parts.sorted() where part.tier == .kept && !parts.contains(part.in(.ordinary)) {
            let isOver = isOver(part, kind)
            guard states[part] != state(isOver: isOver) else { continue }
            guard partsLeft > 0 else { return }
            partsLeft -= 1
            guard try await thin(part, kind, isOver: isOver) else { return }
        }
    }

    /// Says whether what was to go is gone.
    private mutating func thin(
        _ part: ClickHousePart, _ kind: ArchivePart.Kind, isOver: Bool
    ) async throws -> Bool {
        let table = ClickHouseSchema.table(kind)
        var held: [String] = []
        try await eachUnderHold(of: part, kind) { keys in
            held += keys
            return held.count <= Self.subjectRecordsMax
        }
        guard held.count <= Self.subjectRecordsMax else { return true }
        let grounds = ClickHouseKeepingStore.Grounds(labels: !isOver, failures: !isOver)
        guard let condition = ClickHouseKeepingStore.condition(kind, marks, grounds, keys: held) else {
            try await drop(part, of: table)
            return true
        }
        let (rows, kept) = try await stores.keeping.counts(of: part, kind, condition)
        if kept == 0 {
            try await drop(part, of: table)
            return true
        }
        if kept < rows {
            let end = ContinuousClock.now + ClickHousePartStore.wholeMax
            let isWanted = { ContinuousClock.now < end }
            guard try await stores.removal.settle(while: isWanted) else { return false }
            let batch = stores.removal.batch()
            try await stores.removal.add(of: part, kind, unless: condition, to: batch)
            let isDone = try await stores.removal.remove(
                batch, from: table, of: part, by: ClickHouseSchema.key(kind), while: isWanted)
            guard isDone else { return false }
        }
        try await stores.keeping.settle(part, of: table, state(isOver: isOver), at: now)
        return true
    }
}
