import Kernel

/// The only SQL on postmortems and what is to be done after them.
struct PostmortemStore: Sendable {
    func postmortem(_ id: Identifier<Incident>, in transaction: Transaction) throws -> Postmortem? {
        try transaction.first("SELECT * FROM postmortems WHERE incident_id = \(id)").map { row in
            Postmortem(
                document: row.optionalText("document"), editedAt: row.optionalTime("edited_at"),
                editedBy: row.optionalText("edited_by"), revision: row.int("revision"),
                dueAt: row.optionalTime("due_at"),
                waivedAt: row.optionalTime("waived_at"), waivedBy: row.optionalText("waived_by"),
                waivedWhy: row.optionalText("waived_why"), reminded: row.int("reminded"),
                remindAt: row.optionalTime("remind_at"))
        }
    }

    func put(_ postmortem: Postmortem, of id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO postmortems (incident_id, document, edited_at, edited_by, revision, due_at, waived_at,
              waived_by, waived_why, reminded, remind_at)
            VALUES (\(id), \(postmortem.document), \(postmortem.editedAt), \(postmortem.editedBy),
              \(postmortem.revision), \(postmortem.dueAt), \(postmortem.waivedAt), \(postmortem.waivedBy),
              \(postmortem.waivedWhy), \(postmortem.reminded), \(postmortem.remindAt))
            ON CONFLICT (incident_id) DO UPDATE SET document = excluded.document, edited_at = excluded.edited_at,
              edited_by = excluded.edited_by, revision = excluded.revision, due_at = excluded.due_at,
              waived_at = excluded.waived_at, waived_by = excluded.waived_by, waived_why = excluded.waived_why,
              reminded = excluded.reminded, remind_at = excluded.remind_at
            """)
    }

    /// Nothing is due any more.
    func stopClock(_ id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE postmortems SET due_at = NULL, reminded = 0, remind_at = NULL WHERE incident_id = \(id)
            """)
    }

    /// Stops the clock, and takes back that none is needed.
    func unwaive(_ id: Identifier<Incident>, in transaction: Transaction) throws {
        try stopClock(id, in: transaction)
        try transaction.run(
            """
            UPDATE postmortems SET waived_at = NULL, waived_by = NULL, waived_why = NULL WHERE incident_id = \(id)
            """)
    }

    /// Those of which it is time to remind, the longest first.
    func toRemind(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [Identifier<Incident>] {
        try transaction.rows(
            """
            SELECT incident_id FROM postmortems WHERE remind_at IS NOT NULL AND remind_at <= \(now)
            ORDER BY remind_at, incident_id LIMIT \(limit)
            """
        ).map { $0.id("incident_id") }
    }

    static func isDue(at now: Timestamp) -> SQLText {
        "SELECT 1 AS one FROM postmortems WHERE remind_at IS NOT NULL AND remind_at <= \(now) LIMIT 1"
    }

    /// Sets the time of the next reminder of those of which so many were sent.
    func arm(reminded: Int64, before dueTime: Span, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE postmortems SET remind_at = due_at - \(dueTime.microseconds)
            WHERE due_at IS NOT NULL AND reminded = \(reminded)
            """)
    }

    func overdueCount(at now: Timestamp, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            "SELECT count(*) AS n FROM postmortems WHERE due_at IS NOT NULL AND due_at <= \(now)")?.int("n") ?? 0
    }

    // MARK: Action items

    func hasOpenItem(_ id: Identifier<Incident>, in transaction: Transaction) throws -> Bool {
        try transaction.first(
            "SELECT 1 AS one FROM incident_actions WHERE incident_id = \(id) AND state = 'open' LIMIT 1") != nil
    }

    /// They get the numbers behind those that are there.
    func moveItems(
        from id: Identifier<Incident>, to other: Identifier<Incident>, in transaction: Transaction
    ) throws {
        let last =
            try transaction.first("SELECT MAX(number) AS n FROM incident_actions WHERE incident_id = \(other)")?
            .optionalInt("n") ?? 0
        try transaction.run(
            """
            INSERT INTO incident_actions (incident_id, number, summary, owner, due_on, state, created_at, created_by,
              closed_at, proposal)
            SELECT \(other), number + \(last), summary, owner, due_on, state, created_at, created_by, closed_at,
              proposal
            FROM incident_actions WHERE incident_id = \(id)
            """)
        try transaction.run("DELETE FROM incident_actions WHERE incident_id = \(id)")
    }

    func insert(_ item: ActionItem, of id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO incident_actions (incident_id, number, summary, owner, due_on, state, created_at, created_by,
              proposal)
            VALUES (\(id), \(item.number), \(item.summary), \(item.owner), \(item.dueOn), \(item.state.rawValue),
              \(item.createdAt), \(item.createdBy), \(item.proposal))
            """)
    }

    func update(_ item: ActionItem, of id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE incident_actions SET summary = \(item.summary), owner = \(item.owner), due_on = \(item.dueOn),
              state = \(item.state.rawValue), closed_at = \(item.closedAt)
            WHERE incident_id = \(id) AND number = \(item.number)
            """)
    }

    func items(of id: Identifier<Incident>, in transaction: Transaction) throws -> [ActionItem] {
        try transaction.rows(
            """
            SELECT * FROM incident_actions WHERE incident_id = \(id) ORDER BY number LIMIT \(ActionItem.itemsMax)
            """
        ).map { row in
            ActionItem(
                number: row.int("number"), summary: row.text("summary"), owner: row.text("owner"),
                dueOn: row.optionalText("due_on"), state: ActionItem.State(rawValue: row.text("state")) ?? .open,
                createdAt: row.time("created_at"), createdBy: row.text("created_by"),
                closedAt: row.optionalTime("closed_at"),
                proposal: row.optionalText("proposal"))
        }
    }

    /// Open items of all incidents whose day is over.
    func overdueItems(on day: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            "SELECT count(*) AS n FROM incident_actions WHERE state = 'open' AND due_on < \(day)")?.int("n") ?? 0
    }
}
