import Kernel

/// The only SQL on what replicas were last told by their files.
struct FileChangeStore: Sendable {
    /// Replicas of which a part is kept: those that were there last.
    static let replicasMax = 50

    struct Row: Sendable {
        let things: FileChangeThings
        let changedAt: Timestamp
        /// When the replica was there at last.
        let seenAt: Timestamp
    }

    func row(of replica: String, _ part: FileChangePart, in transaction: Transaction) throws -> Row? {
        try transaction.first(
            """
            SELECT things, changed_at, seen_at FROM file_change_parts
            WHERE replica = \(replica) AND part = \(part.rawValue)
            """
        ).map(Self.row)
    }

    /// What other replicas of one origin were told last, the latest change first.
    func others(
        than replica: String, _ part: FileChangePart, of origin: String, in transaction: Transaction
    ) throws -> [Row] {
        try transaction.rows(
            """
            SELECT things, changed_at, seen_at FROM file_change_parts
            WHERE part = \(part.rawValue) AND replica <> \(replica) AND origin = \(origin)
            ORDER BY changed_at DESC, replica LIMIT \(Self.replicasMax)
            """
        ).map(Self.row)
    }

    func put(
        _ things: FileChangeThings, of replica: String, _ part: FileChangePart, origin: String, at now: Timestamp,
        in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            INSERT INTO file_change_parts (replica, part, things, changed_at, origin, seen_at)
            VALUES (\(replica), \(part.rawValue), \(things.json), \(now), \(origin), \(now))
            ON CONFLICT (replica, part) DO UPDATE SET things = excluded.things, changed_at = excluded.changed_at,
              origin = excluded.origin, seen_at = excluded.seen_at
            """)
        try transaction.run(
            """
            DELETE FROM file_change_parts WHERE part = \(part.rawValue) AND replica <> \(replica) AND seen_at < (
              SELECT MIN(seen_at) FROM (
                SELECT seen_at FROM file_change_parts WHERE part = \(part.rawValue)
                ORDER BY seen_at DESC LIMIT \(Self.replicasMax)) AS latest)
            """)
    }

    /// Writes down that a replica is there, and forgets those that were not for so long.
    func note(
        _ replica: String, origin: String, at now: Timestamp, forgetting time: Timestamp, in transaction: Transaction
    ) throws {
        try transaction.run(
            "UPDATE file_change_parts SET seen_at = \(now), origin = \(origin) WHERE replica = \(replica)")
        try transaction.run("DELETE FROM file_change_parts WHERE seen_at < \(time)")
    }

    /// The key of this database, in hexadecimal; it is made once.
    ///
    /// - Parameter draft: What becomes of it where there is none.
    func key(or draft: String, in transaction: Transaction) throws -> String {
        func kept() throws -> String? { try transaction.first("SELECT key FROM file_change_key")?.text("key") }
        if let key = try kept() { return key }
        try transaction.run(
            "INSERT INTO file_change_key (id, key) VALUES (1, \(draft)) ON CONFLICT (id) DO NOTHING")
        return try kept() ?? draft
    }

    private static func row(_ row: StoredRow) -> Row {
        Row(
            things: FileChangeThings(row.json("things")), changedAt: row.time("changed_at"), seenAt: row.time("seen_at")
        )
    }
}
