import Kernel

/// The only SQL on what replicas were last told by their files.
struct ConfigurationStore: Sendable {
    /// Replicas of which a part is kept: the latest to change.
    static let replicasMax = 50

    struct Row: Sendable {
        let things: ConfigurationThings
        let changedAt: Timestamp
    }

    func row(of replica: String, _ part: ConfigurationPart, in transaction: Transaction) throws -> Row? {
        try transaction.first(
            """
            SELECT things, changed_at FROM configuration_parts
            WHERE replica = \(replica) AND part = \(part.rawValue)
            """
        ).map(Self.row)
    }

    /// What another replica was told last.
    func latest(besides replica: String, _ part: ConfigurationPart, in transaction: Transaction) throws -> Row? {
        try transaction.first(
            """
            SELECT things, changed_at FROM configuration_parts
            WHERE part = \(part.rawValue) AND replica <> \(replica) ORDER BY changed_at DESC LIMIT 1
            """
        ).map(Self.row)
    }

    func put(
        _ things: ConfigurationThings, of replica: String, _ part: ConfigurationPart, at now: Timestamp,
        in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            INSERT INTO configuration_parts (replica, part, things, changed_at)
            VALUES (\(replica), \(part.rawValue), \(things.json), \(now))
            ON CONFLICT (replica, part) DO UPDATE SET things = excluded.things, changed_at = excluded.changed_at
            """)
        try transaction.run(
            """
            DELETE FROM configuration_parts WHERE part = \(part.rawValue) AND replica <> \(replica) AND changed_at < (
              SELECT MIN(changed_at) FROM (
                SELECT changed_at FROM configuration_parts WHERE part = \(part.rawValue)
                ORDER BY changed_at DESC LIMIT \(Self.replicasMax)) AS latest)
            """)
    }

    private static func row(_ row: StoredRow) -> Row {
        Row(things: ConfigurationThings(row.json("things")), changedAt: row.time("changed_at"))
    }
}
