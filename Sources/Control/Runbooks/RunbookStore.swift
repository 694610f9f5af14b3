import Kernel

/// The only SQL on runs of runbooks.
struct RunbookStore: Sendable {
    func insert(_ run: RunbookRun, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO runbook_runs (id, incident_id, runbook, document, state, reason, started_by, approves,
              started_at, due_at, aim)
            VALUES (\(run.id), \(run.incidentID), \(run.runbook), \(run.document), \(run.state.rawValue),
              \(run.reason), \(run.startedBy), \(run.approves), \(run.startedAt), \(run.startedAt), \(run.aim.json))
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
            UPDATE runbook_runs SET state = \(run.state.rawValue), reason = \(run.reason), ended_at = \(run.endedAt),
              due_at = CASE WHEN \(run.state.rawValue) = 'running' THEN due_at END
            WHERE id = \(run.id)
            """)
    }

    /// When a run goes on; `nil` where somebody else has to do something first.
    func schedule(_ id: Identifier<RunbookRun>, at time: Timestamp?, in transaction: Transaction) throws {
        try transaction.run("UPDATE runbook_runs SET due_at = \(time) WHERE id = \(id) AND state = 'running'")
    }

    /// Lets a run go on whose action came to something.
    func wake(_ containment: Containment, in transaction: Transaction) throws {
        guard !containment.state.isOpen, containment.state != .acting,
            let id = containment.key.split(separator: "/").first.map({ String($0) })
        else { return }
        try schedule(Identifier(stored: id), at: containment.createdAt, in: transaction)
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

    /// Runs whose time has come, which came first.
    static func dueList(at now: Timestamp, limit: Int) -> SQLText {
        "SELECT id FROM runbook_runs WHERE due_at <= \(now) ORDER BY due_at, id LIMIT \(limit)"
    }

    func due(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [Identifier<RunbookRun>] {
        try transaction.rows(Self.dueList(at: now, limit: limit)).map { $0.id("id") }
    }

    /// What runs on an incident have to verify and have not: of those that go on, and of the newest one that ended,
    /// unless somebody stopped it.
    func unverified(of incident: String, in transaction: Transaction) throws -> [String] {
        try transaction.rows(
            """
            SELECT runbook_steps.title AS title FROM runbook_steps
              JOIN runbook_runs ON runbook_runs.id = runbook_steps.run_id
            WHERE runbook_runs.incident_id = \(incident) AND runbook_steps.kind = 'verify'
              AND runbook_steps.state NOT IN ('done', 'skipped')
              AND (runbook_runs.state = 'running' OR (runbook_runs.state IN ('failed', 'unverified')
                AND runbook_runs.id = (
                SELECT MAX(id) FROM runbook_runs WHERE incident_id = \(incident) AND state <> 'stopped')))
            ORDER BY runbook_runs.id, runbook_steps.number LIMIT \(Runbook.stepsMax)
            """
        ).map { $0.text("title") }
    }

    private func full(_ row: StoredRow, _ transaction: Transaction) throws -> RunbookRun {
        var run = RunbookRun(
            id: row.id("id"), incidentID: row.text("incident_id"), runbook: row.text("runbook"),
            document: row.text("document"), state: RunbookRun.State(rawValue: row.text("state")) ?? .failed,
            reason: row.text("reason"), startedBy: row.text("started_by"), approves: row.bool("approves"),
            startedAt: row.time("started_at"), aim: RunbookAim(stored: row.json("aim")),
            endedAt: row.optionalTime("ended_at"))
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
