import Kernel

/// Removes a subject's records from ClickHouse, partition by partition. Each is read by ``SubjectMatch``, as the
/// archive's files are; ClickHouse only leaves out what cannot be meant. Whatever ends the work, all before is done,
/// and doing it again does the rest.
struct ClickHouseErasure {
    private let order: ErasureOrder
    private let stores: ClickHouseStores
    /// Hears how far it is; `false` ends it.
    private let tell: @Sendable (ErasureReport) -> Bool
    private(set) var report = ErasureReport()

    init(
        _ order: ErasureOrder, _ stores: ClickHouseStores, digest: String,
        tell: @escaping @Sendable (ErasureReport) -> Bool
    ) {
        (self.order, self.stores, self.tell) = (order, stores, tell)
        report.digest = digest
    }

    mutating func run() async throws {
        if !order.isDryRun {
            // What an earlier process asked for is done first, so that it is not found once more.
            let (report, tell) = (report, tell)
            guard try await stores.removal.settle(while: { tell(report) }) else { throw SubjectErasure.Stopped() }
        }
        let places = try await places()
        report.filesSearched = places.count
        report.blocks = places.count * (order.isDryRun ? 1 : 2)
        for place in places {
            var file = ErasureReport.File(name: place.name)
            try await search(place, &file, isRemoving: !order.isDryRun)
            if file.found > 0 { report.files.append(file) }
            report.blocksRead += 1
        }
        guard !order.isDryRun else { return }
        for place in try await self.places() {
            try await prove(place)
            report.blocksRead += 1
        }
        _ = try await stores.removal.settle()
    }

    /// A partition of the table of a kind's records.
    private struct Place {
        let kind: ArchivePart.Kind
        let part: ClickHousePart

        var table: String { ClickHouseSchema.table(kind) }
        /// How reports call it.
        var name: String { "\(table)/\(part.date)/\(part.label)" }
    }

    private func places() async throws -> [Place] {
        var places: [Place] = []
        for kind in ArchivePart.Kind.allCases {
            let parts = try await stores.parts.parts(of: ClickHouseSchema.table(kind)).keys
            places += parts.sorted().map { Place(kind: kind, part: $0) }
        }
        return places
    }

    private func goOn() throws {
        if !tell(report) { throw SubjectErasure.Stopped() }
    }

    /// A second search, which finds nothing but what is held; what came in since is removed as well.
    private mutating func prove(_ place: Place) async throws {
        for round in 1...SubjectErasure.roundsMax {
            var again = ErasureReport.File(name: place.name)
            try await search(place, &again, isRemoving: false)
            let remaining = again.found - again.held
            let index = report.files.firstIndex { $0.name == place.name }
            if remaining == 0 || round == SubjectErasure.roundsMax {
                // An erasure that was cut short may have left them.
                try await forgetIDs(of: place)
                guard let index else { return }
                report.files[index].remaining = remaining
                if report.files[index].removed > 0 {
                    report.files[index].sha256 = try await stores.parts.digest(of: place.part, place.kind)
                }
                return
            }
            var file = ErasureReport.File(name: place.name)
            try await search(place, &file, isRemoving: true)
            if let index {
                report.files[index].found += file.removed
                report.files[index].removed += file.removed
            } else {
                report.files.append(file)
            }
        }
    }

    // MARK: One partition

    private mutating func search(
        _ place: Place, _ file: inout ErasureReport.File, isRemoving: Bool
    ) async throws {
        let batch = stores.removal.batch()
        var (counts, report) = (file, report)
        var removed = 0
        try await stores.records.each(of: place.part, place.kind, maybeOf: order.subject) { records in
            var keys: [String] = []
            for record in records {
                let names = try order.subject.places(in: record.record)
                guard !names.isEmpty else { continue }
                counts.found += 1
                if isRemoving || order.isDryRun {
                    report.note(names.reduce(into: [:]) { $0[$1] = 1 }, of: order.subject)
                }
                let keeping = try order.holds.filter { try $0.holds(record.record) }
                report.holds.formUnion(keeping.map(\.id))
                if keeping.isEmpty { keys.append(record.key) } else { counts.held += 1 }
            }
            if isRemoving { try await stores.removal.add(keys, to: batch) }
            removed += keys.count
            if !tell(report) { throw SubjectErasure.Stopped() }
        }
        self.report = report
        if isRemoving, removed > 0 {
            let tell = tell
            let isDone = try await stores.removal.remove(
                batch, from: place.table, of: place.part, by: ClickHouseSchema.key(place.kind),
                while: { tell(report) })
            guard isDone else { throw SubjectErasure.Stopped() }
            counts.removed += removed
        }
        file = counts
    }

    /// Removes the subject from what finds records, unless a record that is held is found by it.
    private func forgetIDs(of place: Place) async throws {
        for index in ClickHouseSchema.indexes(place.kind) {
            try goOn()
            let subject = index.isLower ? order.subject.lowercased : order.subject
            var texts = try await stores.index.texts(index, of: place.part, having: subject)
                .filter(subject.isMet(by:))
            if let records = index.records, !texts.isEmpty {
                let left = try await stores.index.left(of: texts, as: records, in: place.part, place.kind)
                texts.removeAll(where: left.contains)
            }
            guard !texts.isEmpty, !index.isOfName || subject.isAnywhere else { continue }
            let batch = stores.removal.batch()
            try await stores.removal.add(texts, to: batch)
            let isDone = try await stores.removal.remove(
                batch, from: index.table, of: place.part, by: index.column, while: { tell(report) })
            guard isDone else { throw SubjectErasure.Stopped() }
        }
    }
}

extension SubjectMatch {
    /// The same without capital letters, as ids are found by.
    fileprivate var lowercased: SubjectMatch {
        // ClickHouse's `lower` knows the letters of ASCII.
        let bytes = text.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
        return SubjectMatch(String(decoding: bytes, as: UTF8.self), isAnywhere: isAnywhere)
    }
}
