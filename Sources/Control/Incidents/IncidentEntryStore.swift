import Kernel

/// The only SQL on what happened in incidents.
struct IncidentEntryStore: Sendable {
    /// Numbers of entries in one statement.
    private static let chunk = 500

    /// How many there are; a few more where some went to another incident.
    func count(_ id: Identifier<Incident>, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT MAX(seq) AS seq FROM incident_entries WHERE incident_id = \(id)")?
            .optionalInt("seq") ?? 0
    }

    /// How many each of the incidents has; none where it has none.
    func counts(_ ids: [String], in transaction: Transaction) throws -> [String: Int64] {
        guard !ids.isEmpty else { return [:] }
        let rows = try transaction.rows(
            """
            SELECT incident_id, MAX(seq) AS seq FROM incident_entries WHERE incident_id IN \(list: ids)
            GROUP BY incident_id
            """)
        return Dictionary(rows.map { ($0.text("incident_id"), $0.int("seq")) }, uniquingKeysWith: max)
    }

    /// Entries of events of the log, in their order. Those that are there already stay as they are.
    func append(
        _ stories: [(id: Identifier<Incident>, entries: [IncidentEntry])], in transaction: Transaction
    ) throws {
        guard !stories.isEmpty else { return }
        let (ids, seqs) = (stories.map(\.id.text), stories.flatMap { $0.entries.compactMap(\.event) })
        var counts = try counts(ids, in: transaction)
        let rows = try transaction.rows(
            """
            SELECT incident_id, event_seq FROM incident_entries WHERE incident_id IN \(list: ids)
              AND event_seq >= \(seqs.min() ?? 0) AND event_seq <= \(seqs.max() ?? 0)
            """)
        let known = Dictionary(grouping: rows) { $0.text("incident_id") }.mapValues {
            Set($0.map { $0.int("event_seq") })
        }
        for (id, entries) in stories {
            for entry in entries where entry.event.map({ known[id.text]?.contains($0) != true }) ?? true {
                let seq = counts[id.text, default: 0] + 1
                counts[id.text] = seq
                try transaction.addLater(
                    """
                    INSERT INTO incident_entries
                      (incident_id, seq, at, kind, action, target, actor, detail, event_seq) VALUES
                    """,
                    [
                        id.sqlValue, seq.sqlValue, entry.at.sqlValue, entry.kind.sqlValue, entry.action.sqlValue,
                        entry.target.sqlValue, entry.actor.sqlValue, entry.detail.sqlValue, entry.event.sqlValue,
                    ])
            }
        }
        try transaction.addWaiting()
    }

    /// An event of the log that is there already stays as it is.
    func append(_ entry: IncidentEntry, to id: Identifier<Incident>, in transaction: Transaction) throws {
        let last = try count(id, in: transaction)
        try transaction.run(
            """
            INSERT INTO incident_entries (incident_id, seq, at, kind, action, target, actor, detail, event_seq)
            VALUES (\(id), \(last + 1), \(entry.at), \(entry.kind), \(entry.action), \(entry.target),
              \(entry.actor), \(entry.detail), \(entry.event))
            ON CONFLICT (incident_id, event_seq) WHERE event_seq IS NOT NULL DO NOTHING
            """)
    }

    /// In the order in which they happened.
    func entries(of id: Identifier<Incident>, limit: Int, in transaction: Transaction) throws -> [IncidentEntry] {
        try entries(of: id, after: IncidentCursor(), limit: limit, in: transaction).map(\.entry)
    }

    /// Those behind a moment, and behind a number of that moment.
    func entries(
        of id: Identifier<Incident>, after: IncidentCursor, limit: Int, in transaction: Transaction
    ) throws -> [(seq: Int64, entry: IncidentEntry)] {
        try transaction.rows(
            """
            SELECT * FROM incident_entries WHERE incident_id = \(id)
              AND (at > \(after.time) OR (at = \(after.time) AND seq > \(after.seq)))
            ORDER BY at, seq LIMIT \(limit)
            """
        ).map { ($0.int("seq"), Self.entry($0)) }
    }

    /// The newest first, from before a moment on.
    func entries(
        of id: Identifier<Incident>, before: IncidentCursor, limit: Int, in transaction: Transaction
    ) throws -> [(seq: Int64, entry: IncidentEntry)] {
        try transaction.rows(
            """
            SELECT * FROM incident_entries WHERE incident_id = \(id)
              AND (at < \(before.time) OR (at = \(before.time) AND seq < \(before.seq)))
            ORDER BY at DESC, seq DESC LIMIT \(limit)
            """
        ).map { ($0.int("seq"), Self.entry($0)) }
    }

    // MARK: From one incident to another

    /// What both have of the log is in the second one alone.
    func dropShared(
        _ id: Identifier<Incident>, with other: Identifier<Incident>, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            DELETE FROM incident_entries WHERE incident_id = \(id) AND event_seq IN (
              SELECT event_seq FROM incident_entries WHERE incident_id = \(other) AND event_seq IS NOT NULL)
            """)
    }

    func numbers(
        of id: Identifier<Incident>, limit: Int, in transaction: Transaction
    ) throws -> [(seq: Int64, entry: IncidentEntry)] {
        try transaction.rows(
            "SELECT * FROM incident_entries WHERE incident_id = \(id) ORDER BY seq LIMIT \(limit)"
        ).map { ($0.int("seq"), Self.entry($0)) }
    }

    func move(
        _ numbers: [Int64], from id: Identifier<Incident>, to other: Identifier<Incident>, in transaction: Transaction
    ) throws {
        for some in numbers.sorted().chunks(of: Self.chunk).map(Array.init) {
            let last = try count(other, in: transaction)
            try transaction.run(
                """
                INSERT INTO incident_entries (incident_id, seq, at, kind, action, target, actor, detail, event_seq)
                SELECT \(other), \(last) + row_number() OVER (ORDER BY seq), at, kind, action, target, actor, detail,
                  event_seq
                FROM incident_entries WHERE incident_id = \(id) AND seq IN \(list: some)
                """)
            try transaction.run("DELETE FROM incident_entries WHERE incident_id = \(id) AND seq IN \(list: some)")
        }
    }

    private static func entry(_ row: StoredRow) -> IncidentEntry {
        IncidentEntry(
            kind: row.text("kind"), action: row.text("action"), target: row.text("target"),
            actor: row.text("actor"), at: row.time("at"), detail: row.json("detail"),
            event: row.optionalInt("event_seq"))
    }
}

/// Where a page of a timeline ended.
struct IncidentCursor: Sendable, Equatable {
    var time = Timestamp(microseconds: .min)
    var seq: Int64 = 0

    /// Behind everything.
    static let end = IncidentCursor(time: Timestamp(microseconds: .max), seq: .max)

    init() {}
    init(time: Timestamp, seq: Int64) { (self.time, self.seq) = (time, seq) }

    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let time = Int64(parts[0]), let seq = Int64(parts[1]) else { return nil }
        (self.time, self.seq) = (Timestamp(microseconds: time), seq)
    }

    var text: String { "\(time.microseconds).\(seq)" }
}
