import Kernel

/// The only SQL on runs of runbooks.
struct RunbookStore: Sendable {
    func insert(_ run: RunbookRun, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO runbook_runs (id, incident_id, runbook, document, state, reason, started_by, approves,
              started_at)
            VALUES (\(run.id), \(run.incidentID), \(run.runbook), \(run.document), \(run.state.rawValue),
              \(run.reason), \(run.startedBy), \(run.approves), \(run.startedAt))
            """)
        for step in run.steps {
            try transaction.run(
                """
                INSERT INTO runbook_steps (run_id, number, kind, title, state, evidence)
                VALUES (\(run.id), \(Int64(step.number)), \(step.kind.rawValue), \(step.title),
                  \(step.state.rawValue), '{}')
                """)
        }
    }

    func save(_ run: RunbookRun, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE runbook_runs SET state = \(run.state.rawValue), reason = \(run.reason), ended_at = \(run.endedAt)
            WHERE id = \(run.id)
            """)
    }

    func save(_ step: RunbookStep, of id: Identifier<RunbookRun>, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE runbook_steps SET state = \(step.state.rawValue), evidence = \(step.evidence),
              containment_id = \(step.containmentID), actor = \(step.actor), started_at = \(step.startedAt),
              ended_at = \(step.endedAt), due_at = \(step.dueAt)
            WHERE run_id = \(id) AND number = \(Int64(step.number))
            """)
    }

    /// Runs of one incident are another's; `runbooks` names some, `nil` all.
    func move(
        _ runbooks: [String]?, ofIncident id: String, to other: String, in transaction: Transaction
    ) throws {
        guard let runbooks else {
            try transaction.run("UPDATE runbook_runs SET incident_id = \(other) WHERE incident_id = \(id)")
            return
        }
        guard !runbooks.isEmpty else { return }
        try transaction.run(
            """
            UPDATE runbook_runs SET incident_id = \(other)
            WHERE incident_id = \(id) AND runbook IN \(list: runbooks)
            """)
    }

    /// Forgets runs of incidents, with their steps.
    func forget(ofIncidents ids: [String], in transaction: Transaction) throws {
        guard !ids.isEmpty else { return }
        try transaction.run(
            """
            DELETE FROM runbook_steps WHERE run_id IN (SELECT id FROM runbook_runs WHERE incident_id IN \(list: ids))
            """)
        try transaction.run("DELETE FROM runbook_runs WHERE incident_id IN \(list: ids)")
    }

    func run(_ id: Identifier<RunbookRun>, in transaction: Transaction) throws -> RunbookRun? {
        try transaction.first("SELECT * FROM runbook_runs WHERE id = \(id)").map { try full($0, transaction) }
    }

    /// The newest first, one more than the page's limit where there are more.
    func runs(of incident: String, page: Page, in transaction: Transaction) throws -> [RunbookRun] {
        let after = page.after ?? "~"
        return try transaction.rows(
            """
            SELECT * FROM runbook_runs WHERE incident_id = \(incident) AND id < \(after)
            ORDER BY id DESC LIMIT \(page.limit + 1)
            """
        ).map { try full($0, transaction) }
    }

    func count(of incident: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT count(*) AS n FROM runbook_runs WHERE incident_id = \(incident)")?.int("n") ?? 0
    }

    /// Runs that go on by themselves.
    func running(limit: Int, in transaction: Transaction) throws -> [Identifier<RunbookRun>] {
        try transaction.rows("SELECT id FROM runbook_runs WHERE state = 'running' ORDER BY id LIMIT \(limit)")
            .map { $0.id("id") }
    }

    private func full(_ row: StoredRow, _ transaction: Transaction) throws -> RunbookRun {
        var run = RunbookRun(
            id: row.id("id"), incidentID: row.text("incident_id"), runbook: row.text("runbook"),
            document: row.text("document"), state: RunbookRun.State(rawValue: row.text("state")) ?? .failed,
            reason: row.text("reason"), startedBy: row.text("started_by"), approves: row.bool("approves"),
            startedAt: row.time("started_at"), endedAt: row.optionalTime("ended_at"))
        run.steps = try transaction.rows("SELECT * FROM runbook_steps WHERE run_id = \(run.id) ORDER BY number").map {
            row in
            RunbookStep(
                number: Int(row.int("number")), kind: RunbookStep.Kind(rawValue: row.text("kind")) ?? .check,
                title: row.text("title"), state: RunbookStep.State(rawValue: row.text("state")) ?? .failed,
                evidence: row.json("evidence"), containmentID: row.optionalText("containment_id"),
                actor: row.optionalText("actor"), startedAt: row.optionalTime("started_at"),
                endedAt: row.optionalTime("ended_at"), dueAt: row.optionalTime("due_at"))
        }
        return run
    }
}
