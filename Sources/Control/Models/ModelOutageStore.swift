import Kernel

/// The only SQL on outages of models.
struct ModelOutageStore: Sendable {
    func insert(model: String, replica: String, at time: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO model_outages (replica, model, began_at) VALUES (\(replica), \(model), \(time))
            ON CONFLICT (replica, model) DO UPDATE SET began_at = excluded.began_at
            """)
    }

    func delete(model: String, replica: String, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM model_outages WHERE replica = \(replica) AND model = \(model)")
    }

    func all(replica: String, in transaction: Transaction) throws -> [(model: String, since: Timestamp)] {
        try transaction.rows("SELECT model, began_at FROM model_outages WHERE replica = \(replica) ORDER BY model")
            .map { ($0.text("model"), $0.time("began_at")) }
    }
}
