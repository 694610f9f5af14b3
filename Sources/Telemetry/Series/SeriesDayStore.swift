import Kernel

/// The chunks of one day.
struct SeriesDayStore: OpenFile, Sendable {
    /// A chunk as it is kept.
    struct Row {
        let first: Int64
        let last: Int64
        let samples: Int
        let data: [UInt8]
    }

    private let file: SQLiteFile

    init(path: String) throws {
        file = try SQLiteFile(path: path, schema: SeriesSchema.statements, isErasing: true)
    }

    /// Writes chunks, each over the shorter one that began with the same sample.
    ///
    /// - Parameter known: The ids of series that were written before; those of new ones are added.
    func write(_ chunks: [(labels: LabelSet, row: Row)], known: inout [LabelSet: Int64]) throws {
        let before = known
        do {
            known = try file.write { transaction in
                var known = before
                for (labels, row) in chunks {
                    let id = try known[labels] ?? self.id(of: labels, transaction)
                    known[labels] = id
                    try transaction.run(
                        """
                        INSERT INTO chunks (series, first_at, last_at, samples, data)
                        VALUES (\(id), \(row.first), \(row.last), \(row.samples), \(SQLValue.blob(row.data)))
                        ON CONFLICT (series, first_at) DO UPDATE SET
                          last_at = excluded.last_at, samples = excluded.samples, data = excluded.data
                        WHERE excluded.samples > chunks.samples
                        """)
                }
                return known
            }
        } catch {
            // What was inserted is rolled back with its ids.
            known = before
            throw error
        }
    }

    private func id(of labels: LabelSet, _ transaction: Transaction) throws -> Int64 {
        let blob = SQLValue.blob(labels.bytes)
        if let row = try transaction.first("SELECT id FROM series WHERE labels = \(blob)") { return row.int("id") }
        let id = (try transaction.first("SELECT max(id) AS id FROM series")?.optionalInt("id") ?? 0) + 1
        try transaction.run(
            "INSERT INTO series (id, metric, labels) VALUES (\(id), \(labels[LabelSet.metricName]), \(blob))")
        return id
    }

    /// The series of a metric, or of all.
    func series(metric: String?) throws -> [(id: Int64, labels: LabelSet)] {
        try file.read { transaction in
            let rows =
                if let metric {
                    try transaction.rows("SELECT id, labels FROM series WHERE metric = \(metric)")
                } else { try transaction.rows("SELECT id, labels FROM series") }
            return rows.map { ($0.int("id"), LabelSet(bytes: $0.blob("labels"))) }
        }
    }

    /// The chunks of a series that have samples of these times, in their order.
    func chunks(_ series: Int64, in times: ClosedRange<Int64>) throws -> [Row] {
        try file.read { transaction in
            try transaction.rows(
                """
                SELECT first_at, last_at, samples, data FROM chunks
                WHERE series = \(series) AND first_at <= \(times.upperBound) AND last_at >= \(times.lowerBound)
                ORDER BY first_at
                """
            ).map {
                Row(
                    first: $0.int("first_at"), last: $0.int("last_at"), samples: Int($0.int("samples")),
                    data: $0.blob("data"))
            }
        }
    }

    /// Whether a series has samples about these times.
    func has(_ series: Int64, in times: ClosedRange<Int64>) throws -> Bool {
        try file.read { transaction in
            try transaction.first(
                """
                SELECT 1 AS found FROM chunks
                WHERE series = \(series) AND first_at <= \(times.upperBound) AND last_at >= \(times.lowerBound)
                """) != nil
        }
    }

    /// Removes series with all their samples.
    func erase(_ series: [Int64]) throws {
        try file.write { transaction in
            for id in series {
                try transaction.run("DELETE FROM chunks WHERE series = \(id)")
                try transaction.run("DELETE FROM series WHERE id = \(id)")
            }
        }
    }

    /// Puts all that was written into the file itself; see ``SQLiteFile/settle()``.
    func settle() throws { try file.settle() }

    func sync() throws { try file.sync() }
    func close() throws { try file.close() }
}
