import Kernel

/// The only SQL on what stands in the layers of operators and users. A user's name is the subject; the environment
/// has none.
struct ConfigValueStore: Sendable {
    /// What was said of a key, or of all keys, for the agent and for the user where one is named.
    func values(
        of key: String?, agent: String, user: String?, in transaction: Transaction
    ) throws -> [String: [ConfigLayerValue]] {
        var sql: SQLText = """
            SELECT name, layer, value, version, author FROM config_values
            WHERE agent = \(agent) AND ((layer = 'environment' AND subject = '')
              OR (layer = 'user' AND subject = \(user ?? "") AND subject <> ''))
            """
        if let key { sql += "AND name = \(key)" }
        var found: [String: [ConfigLayerValue]] = [:]
        for row in try transaction.rows(sql) {
            guard let layer = ConfigLayer(rawValue: row.text("layer")) else { continue }
            found[row.text("name"), default: []].append(
                ConfigLayerValue(
                    layer, row.json("value"), version: "\(row.int("version"))", author: row.text("author")))
        }
        return found
    }

    func put(
        _ value: ConfigLayerValue, of key: String, agent: String, subject: String, at now: Timestamp,
        in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            INSERT INTO config_values (agent, layer, subject, name, value, version, author, set_at)
            VALUES (\(agent), \(value.layer.rawValue), \(subject), \(key), \(value.value), 1, \(value.author ?? ""),
              \(now))
            ON CONFLICT (agent, layer, subject, name) DO UPDATE SET value = excluded.value,
              version = config_values.version + 1, author = excluded.author, set_at = excluded.set_at
            """)
    }

    func remove(
        _ layer: ConfigLayer, of key: String, agent: String, subject: String, in transaction: Transaction
    ) throws -> Bool {
        try transaction.run(
            """
            DELETE FROM config_values WHERE agent = \(agent) AND layer = \(layer.rawValue) AND subject = \(subject)
              AND name = \(key)
            """) > 0
    }

    /// The users for whom something is set.
    func users(of agent: String, limit: Int64, in transaction: Transaction) throws -> Set<String> {
        Set(
            try transaction.rows(
                """
                SELECT DISTINCT subject FROM config_values WHERE agent = \(agent) AND layer = 'user' LIMIT \(limit)
                """
            ).map { $0.text("subject") })
    }

    func count(of agent: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT COUNT(*) AS n FROM config_values WHERE agent = \(agent)")?.int("n") ?? 0
    }
}
