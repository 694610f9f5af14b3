import Kernel

/// The only SQL on what replicas were last told by their files.
struct FileChangeStore: Sendable {
    /// Replicas of which a part is kept: the latest to change.
    static let replicasMax = 50

    struct Row: Sendable {
        let things: FileChangeThings
        let changedAt: Timestamp
    }

    func row(of replica: String, _ part: FileChangePart, in transaction: Transaction) throws -> Row? {
        try transaction.first(
            """
            SELECT things, changed_at FROM file_change_parts
            WHERE replica = \(replica) AND part = \(part.rawValue)
            """
        ).map(Self.row)
    }

    /// What another replica was told last.
    func latest(besides replica: String, _ part: FileChangePart, in transaction: Transaction) throws -> Row? {
        try transaction.first(
            """
            SELECT things, changed_at FROM file_change_parts
            WHERE part = \(part.rawValue) AND replica <> \(replica) ORDER BY changed_at DESC LIMIT 1
            """
        ).map(Self.row)
    }

    func put(
        _ things: FileChangeThings, of replica: String, _ part: FileChangePart, at now: Timestamp,
        in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            INSERT INTO file_change_parts (replica, part, things, changed_at)
            VALUES (\(replica), \(part.rawValue), \(things.json), \(now))
            ON CONFLICT (replica, part) DO UPDATE SET things = excluded.things, changed_at = excluded.changed_at
            """)
        try transaction.run(
            """
            DELETE FROM file_change_parts WHERE part = \(part.rawValue) AND replica <> \(replica) AND changed_at < (
              SELECT MIN(changed_at) FROM (
                SELECT changed_at FROM file_change_parts WHERE part = \(part.rawValue)
                ORDER BY changed_at DESC LIMIT \(Self.replicasMax)) AS latest)
            """)
    }

    private static func row(_ row: StoredRow) -> Row {
        Row(things: FileChangeThings(row.json("things")), changedAt: row.time("changed_at"))
    }
}
