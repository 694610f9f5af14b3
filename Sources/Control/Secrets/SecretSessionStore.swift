import Kernel

/// The only SQL on sessions that replicas tell each other of, for as long as a value that they may hold is replaced.
struct SecretSessionStore: Sendable {
    /// Since when something of each agent runs, as all other replicas say.
    func starts(
        of agents: [String], exceptBy replica: String, since time: Timestamp, in transaction: Transaction
    ) throws -> [String: Timestamp] {
        guard !agents.isEmpty else { return [:] }
        return try transaction.rows(
            """
            SELECT agent, MIN(started_at) AS started_at FROM secret_sessions
            WHERE agent IN \(list: agents) AND replica <> \(replica) AND heard_at > \(time) GROUP BY agent
            """
        ).reduce(into: [:]) { $0[$1.text("agent")] = $1.time("started_at") }
    }

    /// What a replica said last, and when.
    func known(
        by replica: String, in transaction: Transaction
    ) throws -> (starts: [String: Timestamp], heardAt: Timestamp?) {
        let rows = try transaction.rows("SELECT * FROM secret_sessions WHERE replica = \(replica)")
        return (
            rows.reduce(into: [:]) { $0[$1.text("agent")] = $1.time("started_at") },
            rows.map { $0.time("heard_at") }.min()
        )
    }

    /// Puts what a replica says in the place of what it said before.
    func replace(
        _ starts: [String: Timestamp], by replica: String, at now: Timestamp, in transaction: Transaction
    ) throws {
        try transaction.run("DELETE FROM secret_sessions WHERE replica = \(replica)")
        for (agent, start) in starts.sorted(by: { $0.key < $1.key }) {
            try transaction.run(
                """
                INSERT INTO secret_sessions (replica, agent, started_at, heard_at)
                VALUES (\(replica), \(agent), \(start), \(now))
                """)
        }
    }

    func hasAny(before time: Timestamp, in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT agent FROM secret_sessions WHERE heard_at <= \(time) LIMIT 1") != nil
    }

    /// Forgets what replicas said that are gone.
    func purge(before time: Timestamp, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM secret_sessions WHERE heard_at <= \(time)")
    }
}
