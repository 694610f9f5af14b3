import Kernel

/// The only SQL on escalations, notices and overrides.
struct OnCallStore: Sendable {
    // MARK: Escalations

    func insert(_ escalation: Escalation, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO oncall_escalations (id, incident, title, severity, path, chain, steps, repeats, state, round,
              step, next_at, started_at, ended_at)
            VALUES (\(escalation.id), \(escalation.incident), \(escalation.title), \(escalation.severity),
              \(escalation.path.rawValue), \(escalation.chain), \(OnCallPlan.json(escalation.steps).text),
              \(escalation.repeats), \(escalation.state.rawValue), \(escalation.round), \(escalation.step),
              \(escalation.nextAt), \(escalation.startedAt), \(escalation.endedAt))
            """)
    }

    func update(_ escalation: Escalation, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE oncall_escalations SET state = \(escalation.state.rawValue), severity = \(escalation.severity),
              round = \(escalation.round), step = \(escalation.step), next_at = \(escalation.nextAt),
              acknowledged_at = \(escalation.acknowledgedAt), acknowledged_by = \(escalation.acknowledgedBy),
              ended_at = \(escalation.endedAt)
            WHERE id = \(escalation.id)
            """)
    }

    func escalation(_ id: Identifier<Escalation>, in transaction: Transaction) throws -> Escalation? {
        try transaction.first("SELECT * FROM oncall_escalations WHERE id = \(id)").flatMap(escalation)
    }

    /// The one that did not end.
    func escalation(incident: String, in transaction: Transaction) throws -> Escalation? {
        try transaction.first(
            "SELECT * FROM oncall_escalations WHERE incident = \(incident) AND ended_at IS NULL"
        ).flatMap(escalation)
    }

    /// Removes those of incidents, with their notices.
    func forget(ofIncidents ids: [String], in transaction: Transaction) throws {
        guard !ids.isEmpty else { return }
        try transaction.run(
            """
            DELETE FROM oncall_notices WHERE escalation IN (
              SELECT id FROM oncall_escalations WHERE ended_at IS NOT NULL AND incident IN \(list: ids))
            """)
        try transaction.run(
            "DELETE FROM oncall_escalations WHERE ended_at IS NOT NULL AND incident IN \(list: ids)")
    }

    /// Who was told of an incident at last.
    func lastTold(ofIncident id: String, in transaction: Transaction) throws -> String? {
        try transaction.first(
            """
            SELECT n.person FROM oncall_notices n JOIN oncall_escalations e ON e.id = n.escalation
            WHERE e.incident = \(id) AND n.person IS NOT NULL ORDER BY n.created_at DESC, n.key DESC LIMIT 1
            """)?.optionalText("person")
    }

    /// Who acknowledged an incident at last.
    func acknowledger(ofIncident id: String, in transaction: Transaction) throws -> String? {
        try transaction.first(
            """
            SELECT acknowledged_by FROM oncall_escalations WHERE incident = \(id) AND acknowledged_by IS NOT NULL
            ORDER BY acknowledged_at DESC LIMIT 1
            """)?.optionalText("acknowledged_by")
    }

    /// What was reminded of for an incident.
    func reminders(ofIncident id: String, limit: Int, in transaction: Transaction) throws -> [Escalation] {
        try transaction.rows(
            """
            SELECT * FROM oncall_escalations WHERE incident = \(id) AND chain = \(OnCallService.reminderChain)
              AND state = 'ended' AND severity = \(OnCallService.reminderSeverity) ORDER BY id DESC LIMIT \(limit)
            """
        ).compactMap(escalation)
    }

    /// The escalations of one incident are another's.
    func move(ofIncident id: String, to other: String, in transaction: Transaction) throws {
        try transaction.run("UPDATE oncall_escalations SET incident = \(other) WHERE incident = \(id)")
    }

    /// The longest due first.
    func due(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [Escalation] {
        try transaction.rows(
            """
            SELECT * FROM oncall_escalations WHERE next_at IS NOT NULL AND next_at <= \(now)
            ORDER BY next_at, id LIMIT \(limit)
            """
        ).compactMap(escalation)
    }

    /// Whether an escalation or a notice is due.
    func hasDue(at now: Timestamp, in transaction: Transaction) throws -> Bool {
        try transaction.first(Self.hasDue(at: now)) != nil
    }

    static func hasDue(at now: Timestamp) -> SQLText {
        """
        SELECT 1 AS n FROM oncall_escalations WHERE next_at IS NOT NULL AND next_at <= \(now)
        UNION ALL SELECT 1 AS n FROM oncall_notices WHERE next_at IS NOT NULL AND next_at <= \(now) LIMIT 1
        """
    }

    /// The newest first, one more than the page's limit where there are more.
    func list(state: Escalation.State?, page: Page, in transaction: Transaction) throws -> [Escalation] {
        let after = page.after ?? "~"
        guard let state else {
            return try transaction.rows(
                "SELECT * FROM oncall_escalations WHERE id < \(after) ORDER BY id DESC LIMIT \(page.limit + 1)"
            ).compactMap(escalation)
        }
        return try transaction.rows(
            """
            SELECT * FROM oncall_escalations WHERE id < \(after) AND state = \(state.rawValue)
            ORDER BY id DESC LIMIT \(page.limit + 1)
            """
        ).compactMap(escalation)
    }

    /// Those that did not end, the newest first.
    func open(limit: Int, in transaction: Transaction) throws -> [Escalation] {
        try transaction.rows(
            "SELECT * FROM oncall_escalations WHERE ended_at IS NULL ORDER BY id DESC LIMIT \(limit)"
        ).compactMap(escalation)
    }

    /// Removes what ended before a moment with its notices; says how many.
    func purge(before time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        let ids = try transaction.rows(
            "SELECT id FROM oncall_escalations WHERE ended_at IS NOT NULL AND ended_at < \(time) LIMIT \(limit)"
        ).map { $0.text("id") }
        for id in ids {
            try transaction.run("DELETE FROM oncall_notices WHERE escalation = \(id)")
            try transaction.run("DELETE FROM oncall_escalations WHERE id = \(id)")
        }
        return ids.count
    }

    private func escalation(_ row: StoredRow) -> Escalation? {
        guard let path = OnCallPlan.Path(rawValue: row.text("path")),
            let state = Escalation.State(rawValue: row.text("state"))
        else { return nil }
        var escalation = Escalation(
            id: row.id("id"), incident: row.text("incident"), title: row.text("title"), severity: row.text("severity"),
            path: path, chain: row.text("chain"), steps: OnCallPlan.steps(row.json("steps")),
            repeats: Int(row.int("repeats")), startedAt: row.time("started_at"))
        escalation.state = state
        (escalation.round, escalation.step) = (Int(row.int("round")), Int(row.int("step")))
        escalation.nextAt = row.optionalTime("next_at")
        escalation.acknowledgedAt = row.optionalTime("acknowledged_at")
        escalation.acknowledgedBy = row.optionalText("acknowledged_by")
        escalation.endedAt = row.optionalTime("ended_at")
        return escalation
    }

    // MARK: Notices

    /// A notice that is there already stays as it is: its key is its step's.
    func insert(_ notice: OnCallNotice, in transaction: Transaction) throws {
        let nextAt = notice.state == .pending ? notice.createdAt : nil
        try transaction.run(
            """
            INSERT INTO oncall_notices (key, escalation, round, step, target_kind, target, person, channel_kind,
              channel, action, state, attempts, next_at, created_at, ended_at)
            VALUES (\(notice.key), \(notice.escalation), \(notice.round), \(notice.step), \(notice.target.kind),
              \(notice.target.name), \(notice.person), \(notice.channel?.kind), \(notice.channel?.address),
              \(notice.action.rawValue), \(notice.state.rawValue), \(notice.attempts), \(nextAt),
              \(notice.createdAt), \(notice.endedAt))
            ON CONFLICT (key) DO NOTHING
            """)
    }

    /// Notices that are due, and that are looked at for one that may begin.
    private static let lookedMax = 500

    /// Takes notices that are due for one try each: until `lease` nobody else tries them.
    ///
    /// - Parameter flights: Those that are on their way already: what would not fit beside them waits.
    func claim(
        at now: Timestamp, until lease: Timestamp, besides flights: OnCallFlights = OnCallFlights(),
        in transaction: Transaction
    ) throws -> [OnCallNotice] {
        var flights = flights
        var full: SQLText = ""
        for channel in flights.full {
            // A notice that nobody is on call has no channel.
            full +=
                """
                AND (n.channel IS NULL OR NOT (n.channel_kind = \(channel.kind) AND n.channel = \(channel.address)))
                """
        }
        let due = try notices(
            transaction.rows(
                """
                SELECT n.*, e.incident, e.title, e.severity, e.path FROM oncall_notices n
                JOIN oncall_escalations e ON e.id = n.escalation
                WHERE n.next_at IS NOT NULL AND n.next_at <= \(now) \(sql: full)
                ORDER BY n.next_at, n.key LIMIT \(Self.lookedMax)
                """))
        return try due.compactMap { notice in
            guard flights.mayBegin(notice) else { return nil }
            flights.begin(notice)
            var notice = notice
            notice.attempts += 1
            try transaction.run(
                """
                UPDATE oncall_notices SET attempts = \(notice.attempts), next_at = \(lease) WHERE key = \(notice.key)
                """)
            return notice
        }
    }

    /// Writes down what came of a try. One that was dropped meanwhile stays so, unless it did arrive.
    ///
    /// - Parameter nextAt: When it is tried again; `nil` where it is over.
    func settle(_ notice: OnCallNotice, nextAt: Timestamp?, in transaction: Transaction) throws {
        let other = notice.state == .sent ? OnCallNotice.State.dropped : .pending
        try transaction.run(
            """
            UPDATE oncall_notices SET state = \(notice.state.rawValue), next_at = \(nextAt), error = \(notice.error),
              ended_at = \(notice.endedAt)
            WHERE key = \(notice.key) AND state IN ('pending', \(other.rawValue))
            """)
    }

    /// What was not sent yet is not sent any more.
    func drop(_ id: Identifier<Escalation>, at now: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE oncall_notices SET state = 'dropped', next_at = NULL, ended_at = \(now)
            WHERE escalation = \(id) AND state = 'pending'
            """)
    }

    /// The ways that a page went, or may have gone: one that is tried may have arrived.
    func told(
        _ id: Identifier<Escalation>, limit: Int, in transaction: Transaction
    ) throws -> [(person: String?, channel: OnCallChannel, isUnderWay: Bool)] {
        try transaction.rows(
            """
            SELECT channel_kind, channel, max(person) AS person,
              max(CASE WHEN state = 'pending' THEN 1 ELSE 0 END) AS is_under_way
            FROM oncall_notices
            WHERE escalation = \(id) AND action = 'page' AND attempts > 0 AND channel_kind IS NOT NULL
            GROUP BY channel_kind, channel ORDER BY channel_kind, channel LIMIT \(limit)
            """
        ).compactMap { row in
            OnCallChannel(kind: row.text("channel_kind"), address: row.text("channel")).map {
                (row.optionalText("person"), $0, row.bool("is_under_way"))
            }
        }
    }

    /// The newest ones of an escalation, the oldest first.
    func notices(of id: Identifier<Escalation>, limit: Int, in transaction: Transaction) throws -> [OnCallNotice] {
        try notices(
            transaction.rows(
                """
                SELECT n.*, e.incident, e.title, e.severity, e.path FROM oncall_notices n
                JOIN oncall_escalations e ON e.id = n.escalation
                WHERE n.escalation = \(id) ORDER BY n.round DESC, n.step DESC, n.key DESC LIMIT \(limit)
                """)
        ).reversed()
    }

    private func notices(_ rows: [StoredRow]) -> [OnCallNotice] {
        rows.compactMap { row in
            guard let path = OnCallPlan.Path(rawValue: row.text("path")),
                let state = OnCallNotice.State(rawValue: row.text("state"))
            else { return nil }
            let channel = row.optionalText("channel_kind").flatMap {
                OnCallChannel(kind: $0, address: row.optionalText("channel") ?? "")
            }
            return OnCallNotice(
                key: row.text("key"), escalation: row.id("escalation"), incident: row.text("incident"),
                title: row.text("title"), severity: row.text("severity"), path: path, round: Int(row.int("round")),
                step: Int(row.int("step")), target: (row.text("target_kind"), row.text("target")),
                person: row.optionalText("person"), channel: channel, createdAt: row.time("created_at"),
                action: OnCallNotice.Action(rawValue: row.text("action")) ?? .page, state: state,
                attempts: Int(row.int("attempts")), error: row.optionalText("error"),
                endedAt: row.optionalTime("ended_at"))
        }
    }

    // MARK: Overrides

    func insert(_ override: OnCallOverride, _ id: Identifier<OnCallOverride>, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO oncall_overrides (id, schedule, person, from_at, until_at, reason, created_at, created_by)
            VALUES (\(id), \(override.schedule), \(override.person), \(override.from), \(override.until),
              \(override.reason), \(override.createdAt), \(override.createdBy ?? ""))
            """)
    }

    func override(_ id: Identifier<OnCallOverride>, in transaction: Transaction) throws -> OnCallOverride? {
        try transaction.first(
            "SELECT * FROM oncall_overrides WHERE id = \(id) AND removed_at IS NULL"
        ).map(override)
    }

    func remove(
        _ id: Identifier<OnCallOverride>, at now: Timestamp, by actor: String, in transaction: Transaction
    ) throws {
        try transaction.run(
            "UPDATE oncall_overrides SET removed_at = \(now), removed_by = \(actor) WHERE id = \(id)")
    }

    /// Those that touch a range, in the order in which they were made; one that was removed counts until then.
    func overrides(in range: Range<Timestamp>, limit: Int, in transaction: Transaction) throws -> [OnCallOverride] {
        try transaction.rows(
            """
            SELECT * FROM oncall_overrides
            WHERE until_at > \(range.lowerBound) AND from_at < \(range.upperBound)
              AND (removed_at IS NULL OR removed_at > from_at AND removed_at > \(range.lowerBound))
            ORDER BY id LIMIT \(limit)
            """
        ).map(override)
    }

    /// Those in force or to come, which were not removed.
    func standing(after now: Timestamp, page: Page, in transaction: Transaction) throws -> [OnCallOverride] {
        try transaction.rows(
            """
            SELECT * FROM oncall_overrides WHERE until_at > \(now) AND removed_at IS NULL AND id > \(page.after ?? "")
            ORDER BY id LIMIT \(page.limit + 1)
            """
        ).map(override)
    }

    func standingCount(after now: Timestamp, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            "SELECT count(*) AS n FROM oncall_overrides WHERE until_at > \(now) AND removed_at IS NULL"
        )?.int("n") ?? 0
    }

    /// Removes what was over before a moment; says how many.
    func purgeOverrides(before time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        try transaction.run(
            """
            DELETE FROM oncall_overrides WHERE id IN (
              SELECT id FROM oncall_overrides WHERE until_at < \(time) ORDER BY until_at LIMIT \(limit))
            """)
    }

    private func override(_ row: StoredRow) -> OnCallOverride {
        let until = row.time("until_at")
        return OnCallOverride(
            id: row.id("id"), schedule: row.text("schedule"), person: row.text("person"), from: row.time("from_at"),
            until: min(until, row.optionalTime("removed_at") ?? until), reason: row.optionalText("reason"),
            createdAt: row.time("created_at"), createdBy: row.text("created_by"))
    }
}
