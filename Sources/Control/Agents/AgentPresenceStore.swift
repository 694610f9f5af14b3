import Kernel

/// The part of an agent's row that every heartbeat and every look at its presence needs, and nothing else.
public struct AgentStanding: Sendable, Equatable {
    let name: String
    public let project: String
    public let capabilities: [String]
    /// Without the workload, which the Tasks feature tells.
    public var facts: AgentPresence.Facts
    let dueAt: Timestamp?
    let configDesired: String?
    /// What it said last that it runs with.
    let configReported: String?
    let configRevision: Int64
    /// The roll-out that it is in.
    let configRollout: String?
    let messagesWaiting: Int
}

/// The newest state that one heartbeat carries; what it leaves out stays as it was.
struct AgentBeat: Sendable, Equatable {
    var statusMessage: String?
    var cpuPercent: Double?
    var memoryBytes: Int64?
    var configReported: String?
    var release: String?
    /// The interval that the agent asks for itself, where that is longer than Reeve's.
    var intervalSeconds: Int?
}

/// The only SQL on what moves by itself: heartbeats, presence, health, and messages under way.
struct AgentPresenceStore: Sendable {
    private static let columns: SQLText = """
        name, project, capabilities, status, last_contact_at, heartbeat_seconds, is_paused, is_draining,
        is_quarantined, due_at, config_desired, config_reported, config_revision, config_rollout,
        messages_waiting
        """

    /// Keeps a heartbeat's state: one statement, no index, no event. `nil` for an agent that is not known.
    func beat(
        _ name: String, _ beat: AgentBeat, seconds: Int, now: Timestamp, in transaction: Transaction
    ) throws -> AgentStanding? {
        let row = try transaction.first(
            """
            UPDATE agents SET last_heartbeat_at = \(now), last_contact_at = \(now), heartbeat_seconds = \(seconds),
              status_message = COALESCE(\(beat.statusMessage), status_message),
              cpu_percent = COALESCE(\(beat.cpuPercent), cpu_percent),
              memory_bytes = COALESCE(\(beat.memoryBytes), memory_bytes),
              config_reported = COALESCE(\(beat.configReported), config_reported),
              release_name = COALESCE(\(beat.release), release_name)
            WHERE name = \(name) RETURNING \(sql: Self.columns)
            """)
        return row.map(Self.standing)
    }

    /// Keeps a sign of life other than a heartbeat.
    func contact(_ name: String, now: Timestamp, in transaction: Transaction) throws -> AgentStanding? {
        let row = try transaction.first(
            "UPDATE agents SET last_contact_at = \(now) WHERE name = \(name) RETURNING \(sql: Self.columns)")
        return row.map(Self.standing)
    }

    func standing(_ name: String, in transaction: Transaction) throws -> AgentStanding? {
        let row = try transaction.first("SELECT \(sql: Self.columns) FROM agents WHERE name = \(name)")
        return row.map(Self.standing)
    }

    func contacts(of names: [String], in transaction: Transaction) throws -> [String: AgentContact] {
        let rows = try transaction.rows(
            "SELECT name, status, last_contact_at FROM agents WHERE name IN \(list: names)")
        return Dictionary(
            uniqueKeysWithValues: rows.map { row in
                (
                    row.text("name"),
                    AgentContact(
                        lastContactAt: row.optionalTime("last_contact_at"), isSilent: AgentStore.status(row).isSilent)
                )
            })
    }

    /// Agents whose status may have changed by now, the longest due first.
    func due(now: Timestamp, limit: Int, in transaction: Transaction) throws -> [AgentStanding] {
        let rows = try transaction.rows(
            """
            SELECT \(sql: Self.columns) FROM agents WHERE due_at <= \(now) ORDER BY due_at, name LIMIT \(limit)
            """)
        return rows.map(Self.standing)
    }

    func hasDue(now: Timestamp, in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT 1 AS one FROM agents WHERE due_at <= \(now) LIMIT 1") != nil
    }

    /// Makes the loop look at an agent in its next round.
    func markDue(_ name: String, now: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            "UPDATE agents SET due_at = \(now) WHERE name = \(name) AND (due_at IS NULL OR due_at > \(now))")
    }

    func setStatus(
        _ status: AgentStatus, of name: String, dueAt: Timestamp?, now: Timestamp, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            UPDATE agents SET status = \(status.rawValue), status_since = \(now), due_at = \(dueAt)
            WHERE name = \(name)
            """)
    }

    /// Moves many agents' next look to one moment, in one statement.
    func moveDue(_ names: [String], to dueAt: Timestamp?, in transaction: Transaction) throws {
        guard !names.isEmpty else { return }
        try transaction.run("UPDATE agents SET due_at = \(dueAt) WHERE name IN \(list: names)")
    }

    /// Moves many agents' next look to when each is silent for too long, in one statement.
    func moveDueToSilence(_ names: [String], grace: Span, in transaction: Transaction) throws {
        guard !names.isEmpty else { return }
        try transaction.run(
            """
            UPDATE agents SET due_at = last_contact_at + heartbeat_seconds * 1000000 + \(grace)
            WHERE name IN \(list: names)
            """)
    }

    private static func standing(_ row: StoredRow) -> AgentStanding {
        var facts = AgentPresence.Facts(
            current: AgentStore.status(row), lastContactAt: row.optionalTime("last_contact_at"),
            interval: .seconds(row.int("heartbeat_seconds")))
        facts.isPaused = row.bool("is_paused")
        facts.isDraining = row.bool("is_draining")
        facts.isQuarantined = row.bool("is_quarantined")
        return AgentStanding(
            name: row.text("name"), project: row.text("project"),
            capabilities: row.json("capabilities").array?.compactMap(\.string) ?? [], facts: facts,
            dueAt: row.optionalTime("due_at"), configDesired: row.optionalText("config_desired"),
            configReported: row.optionalText("config_reported"), configRevision: row.int("config_revision"),
            configRollout: row.optionalText("config_rollout"),
            messagesWaiting: Int(row.int("messages_waiting")))
    }
}

// MARK: - Messages

extension AgentPresenceStore {
    func addMessage(_ message: AgentMessage, for agent: String, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO agent_messages (agent, number, id, text, sender, at)
            VALUES (\(agent),
              (SELECT COALESCE(MAX(number), 0) + 1 FROM agent_messages WHERE agent = \(agent)),
              \(message.id), \(message.text), \(message.sender), \(message.at))
            """)
        try transaction.run("UPDATE agents SET messages_waiting = messages_waiting + 1 WHERE name = \(agent)")
    }

    /// Hands out what waits, oldest first, and forgets it in the same transaction.
    func takeMessages(of agent: String, in transaction: Transaction) throws -> [AgentMessage] {
        let rows = try transaction.rows(
            "SELECT id, text, sender, at FROM agent_messages WHERE agent = \(agent) ORDER BY number")
        guard !rows.isEmpty else { return [] }
        try transaction.run("DELETE FROM agent_messages WHERE agent = \(agent)")
        try transaction.run("UPDATE agents SET messages_waiting = 0 WHERE name = \(agent)")
        return rows.map {
            AgentMessage(id: $0.id("id"), text: $0.text("text"), sender: $0.text("sender"), at: $0.time("at"))
        }
    }
}

// MARK: - Health

/// An agent whose health is to be asked for now.
struct HealthPoll: Sendable, Equatable {
    let name: String
    let project: String
    let url: String
    let health: AgentHealth
}

extension AgentPresenceStore {
    func hasHealthDue(now: Timestamp, in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT 1 AS one FROM agents WHERE health_due_at <= \(now) LIMIT 1") != nil
    }

    /// Takes polls that are due and puts each off, so that no other replica takes it too.
    func takeHealthDue(
        now: Timestamp, next: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [HealthPoll] {
        let rows = try transaction.rows(
            """
            UPDATE agents SET health_due_at = \(next)
            WHERE name IN (SELECT name FROM agents WHERE health_due_at <= \(now) ORDER BY health_due_at, name
              LIMIT \(limit))
            RETURNING name, project, health_url, health_status, health_since, health_checked_at, health_failures,
              health_error
            """)
        return rows.compactMap { row in
            guard let url = row.optionalText("health_url") else { return nil }
            let health = AgentHealth(
                status: AgentHealth.Status(rawValue: row.text("health_status")) ?? .unknown,
                since: row.optionalTime("health_since"), checkedAt: row.optionalTime("health_checked_at"),
                failures: Int(row.int("health_failures")), lastError: row.optionalText("health_error"))
            return HealthPoll(name: row.text("name"), project: row.text("project"), url: url, health: health)
        }
    }

    /// Records a poll's outcome, unless the agent's health URL is another one by now; returns whether it did.
    func recordHealth(
        _ health: AgentHealth, of poll: HealthPoll, dueAt: Timestamp, in transaction: Transaction
    ) throws -> Bool {
        let recorded = try transaction.run(
            """
            UPDATE agents SET health_status = \(health.status.rawValue), health_since = \(health.since),
              health_checked_at = \(health.checkedAt), health_failures = \(health.failures),
              health_error = \(health.lastError), health_due_at = \(dueAt)
            WHERE name = \(poll.name) AND health_url = \(poll.url)
            """)
        return recorded > 0
    }
}
