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
                waivedWhy: row.optionalText("waived_why"), reminded: row.int("reminded"))
        }
    }

    func put(_ postmortem: Postmortem, of id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO postmortems (incident_id, document, edited_at, edited_by, revision, due_at, waived_at,
              waived_by, waived_why, reminded)
            VALUES (\(id), \(postmortem.document), \(postmortem.editedAt), \(postmortem.editedBy),
              \(postmortem.revision), \(postmortem.dueAt), \(postmortem.waivedAt), \(postmortem.waivedBy),
              \(postmortem.waivedWhy), \(postmortem.reminded))
            ON CONFLICT (incident_id) DO UPDATE SET document = excluded.document, edited_at = excluded.edited_at,
              edited_by = excluded.edited_by, revision = excluded.revision, due_at = excluded.due_at,
              waived_at = excluded.waived_at, waived_by = excluded.waived_by, waived_why = excluded.waived_why,
              reminded = excluded.reminded
            """)
    }

    /// Nothing is due any more.
    func stopClock(_ id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run("UPDATE postmortems SET due_at = NULL, reminded = 0 WHERE incident_id = \(id)")
    }

    /// Those that are due before a moment and of which fewer reminders were sent.
    func due(
        before time: Timestamp, reminded: Int64, limit: Int, in transaction: Transaction
    ) throws -> [Identifier<Incident>] {
        try transaction.rows(
            """
            SELECT incident_id FROM postmortems WHERE due_at IS NOT NULL AND due_at <= \(time)
              AND reminded < \(reminded) ORDER BY due_at, incident_id LIMIT \(limit)
            """
        ).map { $0.id("incident_id") }
    }

    func overdueCount(at now: Timestamp, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            "SELECT count(*) AS n FROM postmortems WHERE due_at IS NOT NULL AND due_at <= \(now)")?.int("n") ?? 0
    }

    // MARK: Action items

    func insert(_ item: ActionItem, of id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO incident_actions (incident_id, number, summary, owner, due_on, state, created_at, created_by)
            VALUES (\(id), \(item.number), \(item.summary), \(item.owner), \(item.dueOn), \(item.state.rawValue),
              \(item.createdAt), \(item.createdBy))
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
                closedAt: row.optionalTime("closed_at"))
        }
    }

    /// Open items of all incidents whose day is over.
    func overdueItems(on day: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            "SELECT count(*) AS n FROM incident_actions WHERE state = 'open' AND due_on < \(day)")?.int("n") ?? 0
    }
}
