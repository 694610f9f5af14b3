import Kernel

/// Which agents are asked for.
public struct AgentFilter: Sendable {
    public var project: String?
    /// Of the recorded statuses; `nil` for any.
    public var statuses: [AgentStatus]?

    public init(project: String? = nil, statuses: [AgentStatus]? = nil) {
        self.project = project
        self.statuses = statuses
    }
}

/// The only SQL on the registry's entries: finding, adding, editing, removing. See ``AgentPresenceStore`` for what
/// moves by itself.
struct AgentStore: Sendable {
    func agent(named name: String, in transaction: Transaction) throws -> Agent? {
        try transaction.first("SELECT * FROM agents WHERE name = \(name)").map(Self.agent)
    }

    /// Agents by name, behind the name `after`.
    func list(
        _ filter: AgentFilter, after: String?, limit: Int, in transaction: Transaction
    ) throws -> [Agent] {
        var sql: SQLText = "SELECT * FROM agents WHERE name > \(after ?? "")"
        if let project = filter.project { sql += "AND project = \(project)" }
        if let statuses = filter.statuses { sql += "AND status IN \(list: statuses.map(\.rawValue))" }
        sql += "ORDER BY name LIMIT \(limit)"
        return try transaction.rows(sql).map(Self.agent)
    }

    /// What agents are to run with and say that they do, by name, behind the name `after`.
    func configStates(
        isBehind: Bool?, after: String?, limit: Int, in transaction: Transaction
    ) throws -> [AgentConfigState] {
        var sql: SQLText = """
            SELECT name, config_desired, config_reported, last_heartbeat_at FROM agents WHERE name > \(after ?? "")
            """
        switch isBehind {
        case true?:
            sql += "AND config_desired IS NOT NULL AND (config_reported IS NULL OR config_reported <> config_desired)"
        case false?:
            sql += "AND (config_desired = config_reported OR (config_desired IS NULL AND config_reported IS NOT NULL))"
        case nil: sql += "AND (config_desired IS NOT NULL OR config_reported IS NOT NULL)"
        }
        sql += "ORDER BY name LIMIT \(limit)"
        return try transaction.rows(sql).map { row in
            AgentConfigState(
                agent: row.text("name"), desired: row.optionalText("config_desired"),
                reported: row.optionalText("config_reported"), lastHeartbeatAt: row.optionalTime("last_heartbeat_at"))
        }
    }

    func countConfigRevision(of name: String, in transaction: Transaction) throws {
        try transaction.run("UPDATE agents SET config_revision = config_revision + 1 WHERE name = \(name)")
    }

    func joinRollout(_ rollout: String, _ name: String, in transaction: Transaction) throws {
        try transaction.run("UPDATE agents SET config_rollout = \(rollout) WHERE name = \(name)")
    }

    func leaveRollout(_ rollout: String, _ name: String, in transaction: Transaction) throws {
        try transaction.run(
            "UPDATE agents SET config_rollout = NULL WHERE name = \(name) AND config_rollout = \(rollout)")
    }

    /// What those of the agents say that they run with who say anything.
    func configReported(by names: [String], in transaction: Transaction) throws -> [String: String] {
        var found: [String: String] = [:]
        for start in stride(from: 0, to: names.count, by: Self.lookupMax) {
            let some = Array(names[start..<min(start + Self.lookupMax, names.count)])
            let rows = try transaction.rows(
                "SELECT name, config_reported FROM agents WHERE name IN \(list: some) AND config_reported IS NOT NULL")
            for row in rows { found[row.text("name")] = row.text("config_reported") }
        }
        return found
    }

    /// Adds an agent, unless its name is taken; returns whether it did.
    func insert(_ agent: Agent, in transaction: Transaction) throws -> Bool {
        let added = try transaction.run(
            """
            INSERT INTO agents (name, project, labels, capabilities, release_name, health_url, config_desired,
              config_reported, is_paused, is_draining, is_quarantined, status, status_since, heartbeat_seconds,
              health_status, health_failures, health_due_at, messages_waiting, version, created_at, updated_at)
            VALUES (\(agent.name), \(agent.project), \(AgentLabels.json(agent.labels)),
              \(JSONValue.list(agent.capabilities)), \(agent.release), \(agent.healthURL), \(agent.configDesired),
              \(agent.configReported), 0, 0, 0, \(agent.status.rawValue), \(agent.statusSince),
              \(agent.heartbeatSeconds), \(agent.health.status.rawValue), 0,
              \(agent.healthURL.map { _ in agent.createdAt }), 0, \(agent.version), \(agent.createdAt),
              \(agent.updatedAt))
            ON CONFLICT (name) DO NOTHING
            """)
        if added > 0 { try insertCapabilities(of: agent, in: transaction) }
        return added > 0
    }

    /// Writes what edits may change, and counts the edit.
    func edit(_ agent: Agent, from old: Agent, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE agents SET project = \(agent.project), labels = \(AgentLabels.json(agent.labels)),
              capabilities = \(JSONValue.list(agent.capabilities)), release_name = \(agent.release),
              config_desired = \(agent.configDesired), is_paused = \(agent.isPaused),
              paused_reason = \(agent.pausedReason), is_draining = \(agent.isDraining),
              draining_reason = \(agent.drainingReason), is_quarantined = \(agent.isQuarantined),
              quarantine_reason = \(agent.quarantineReason), version = \(agent.version),
              updated_at = \(agent.updatedAt)
            WHERE name = \(agent.name)
            """)
        if agent.capabilities != old.capabilities {
            try transaction.run("DELETE FROM agent_capabilities WHERE agent = \(agent.name)")
            try insertCapabilities(of: agent, in: transaction)
        }
        guard agent.healthURL != old.healthURL else { return }
        try transaction.run(
            """
            UPDATE agents SET health_url = \(agent.healthURL), health_status = 'unknown',
              health_since = \(agent.updatedAt), health_checked_at = NULL, health_failures = 0, health_error = NULL,
              health_due_at = \(agent.healthURL.map { _ in agent.updatedAt })
            WHERE name = \(agent.name)
            """)
    }

    private func insertCapabilities(of agent: Agent, in transaction: Transaction) throws {
        for capability in agent.capabilities {
            try transaction.run(
                "INSERT INTO agent_capabilities (capability, agent) VALUES (\(capability), \(agent.name))")
        }
    }

    func delete(_ name: String, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM agent_capabilities WHERE agent = \(name)")
        try transaction.run("DELETE FROM agent_messages WHERE agent = \(name)")
        try transaction.run("DELETE FROM agents WHERE name = \(name)")
    }

    /// Agents that have every one of the capabilities and, where one is pinned, are it; the likeliest to take work
    /// first.
    func eligible(
        requires: [String], pinned: String?, limit: Int, in transaction: Transaction
    ) throws -> [Agent] {
        var sql: SQLText = "SELECT * FROM agents WHERE name >= ''"
        if let pinned { sql += "AND name = \(pinned)" }
        let capabilities = Array(Set(requires)).sorted()
        if !capabilities.isEmpty {
            sql += """
                AND name IN (SELECT agent FROM agent_capabilities WHERE capability IN \(list: capabilities)
                  GROUP BY agent HAVING COUNT(*) = \(capabilities.count))
                """
        }
        sql += """
            ORDER BY is_quarantined + is_paused + is_draining,
              CASE WHEN status IN ('offline', 'unreachable', 'never_seen') THEN 1 ELSE 0 END, name
            LIMIT \(limit)
            """
        return try transaction.rows(sql).map(Self.agent)
    }

    /// How many agents are recorded in each status.
    func statusCounts(project: String?, in transaction: Transaction) throws -> [AgentStatus: Int] {
        var sql: SQLText = "SELECT status, COUNT(*) AS agents FROM agents"
        if let project { sql += "WHERE project = \(project)" }
        var counts: [AgentStatus: Int] = [:]
        for row in try transaction.rows(sql + "GROUP BY status") {
            counts[Self.status(row)] = Int(row.int("agents"))
        }
        return counts
    }

    func paused(limit: Int, in transaction: Transaction) throws -> [(name: String, project: String?)] {
        try transaction.rows("SELECT name, project FROM agents WHERE is_paused = 1 ORDER BY name LIMIT \(limit)")
            .map { ($0.text("name"), $0.optionalText("project")) }
    }

    /// Every agent's part in metrics, by name.
    func roster(limit: Int, in transaction: Transaction) throws -> [RosterEntry] {
        try transaction.rows("SELECT name, labels, status, last_heartbeat_at FROM agents ORDER BY name LIMIT \(limit)")
            .map { row in
                let isPlain = row.text("labels") == "{}"
                return RosterEntry(
                    name: row.text("name"), type: isPlain ? "" : row.json("labels")["type"]?.string ?? "",
                    status: Self.status(row), lastHeartbeatAt: row.optionalTime("last_heartbeat_at"))
            }
    }

    /// Names of agents, of a project where one is meant, in their order.
    func names(project: String? = nil, limit: Int, in transaction: Transaction) throws -> [String] {
        var sql: SQLText = "SELECT name FROM agents"
        if let project { sql += "WHERE project = \(project)" }
        return try transaction.rows(sql + "ORDER BY name LIMIT \(limit)").map { $0.text("name") }
    }

    /// The labels of those of the names that are registered.
    func labels(of names: [String], in transaction: Transaction) throws -> [String: [String: String]] {
        var found: [String: [String: String]] = [:]
        for some in names.chunks(of: Self.lookupMax) {
            for row in try transaction.rows("SELECT name, labels FROM agents WHERE name IN \(list: Array(some))") {
                found[row.text("name")] = AgentLabels.parse(row.json("labels"))
            }
        }
        return found
    }

    /// Names of one look.
    private static let lookupMax = 500

    static func status(_ row: StoredRow) -> AgentStatus {
        guard let status = AgentStatus(rawValue: row.text("status")) else {
            preconditionFailure("column status holds \(row.text("status")), against its check")
        }
        return status
    }

    private static func agent(_ row: StoredRow) -> Agent {
        Agent(
            name: row.text("name"), project: row.text("project"), labels: AgentLabels.parse(row.json("labels")),
            capabilities: row.json("capabilities").array?.compactMap(\.string) ?? [],
            release: row.optionalText("release_name"), healthURL: row.optionalText("health_url"),
            configDesired: row.optionalText("config_desired"), configReported: row.optionalText("config_reported"),
            configRevision: row.int("config_revision"), configRollout: row.optionalText("config_rollout"),
            statusMessage: row.optionalText("status_message"), lastHeartbeatAt: row.optionalTime("last_heartbeat_at"),
            lastContactAt: row.optionalTime("last_contact_at"), cpuPercent: row.optionalReal("cpu_percent"),
            memoryBytes: row.optionalInt("memory_bytes"), isPaused: row.bool("is_paused"),
            pausedReason: row.optionalText("paused_reason"), isDraining: row.bool("is_draining"),
            drainingReason: row.optionalText("draining_reason"), isQuarantined: row.bool("is_quarantined"),
            quarantineReason: row.optionalText("quarantine_reason"), status: status(row),
            statusSince: row.time("status_since"), heartbeatSeconds: Int(row.int("heartbeat_seconds")),
            health: AgentHealth(
                status: AgentHealth.Status(rawValue: row.text("health_status")) ?? .unknown,
                since: row.optionalTime("health_since"), checkedAt: row.optionalTime("health_checked_at"),
                failures: Int(row.int("health_failures")), lastError: row.optionalText("health_error")),
            messagesWaiting: Int(row.int("messages_waiting")), version: row.int("version"),
            createdAt: row.time("created_at"), updatedAt: row.time("updated_at"))
    }
}
