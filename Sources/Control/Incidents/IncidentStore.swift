import Kernel
import Telemetry

/// The only SQL on incidents and what happened in them.
struct IncidentStore: Sendable {
    func insert(_ incident: Incident, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO incidents (id, title, severity, mode, kind, group_key, subjects, opened_by, detected_at)
            VALUES (\(incident.id), \(incident.title), \(incident.severity.rawValue), \(incident.mode?.rawValue),
              \(incident.kind?.rawValue), \(incident.groupKey), \(JSONValue.list(incident.subjects)),
              \(incident.openedBy), \(incident.detectedAt))
            """)
    }

    func update(_ incident: Incident, in transaction: Transaction) throws {
        let reached = incident.milestones
        try transaction.run(
            """
            UPDATE incidents SET title = \(incident.title), severity = \(incident.severity.rawValue),
              mode = \(incident.mode?.rawValue), kind = \(incident.kind?.rawValue),
              subjects = \(JSONValue.list(incident.subjects)), acknowledged_at = \(reached[.acknowledged]),
              contained_at = \(reached[.contained]), mitigated_at = \(reached[.mitigated]),
              verified_at = \(reached[.verified]), resolved_at = \(reached[.resolved]),
              postmortem_at = \(reached[.postmortem])
            WHERE id = \(incident.id)
            """)
    }

    func incident(_ id: Identifier<Incident>, in transaction: Transaction) throws -> Incident? {
        try transaction.first("SELECT * FROM incidents WHERE id = \(id)").map(incident)
    }

    func open(groupKey: String, in transaction: Transaction) throws -> Incident? {
        try transaction.first(
            """
            SELECT * FROM incidents WHERE group_key = \(groupKey) AND resolved_at IS NULL ORDER BY id DESC LIMIT 1
            """
        ).map(incident)
    }

    /// Those that somebody has to see to, the newest first.
    func open(limit: Int, in transaction: Transaction) throws -> [Incident] {
        try transaction.rows("SELECT * FROM incidents WHERE resolved_at IS NULL ORDER BY id DESC LIMIT \(limit)")
            .map(incident)
    }

    /// The newest first, one more than the page's limit where there are more.
    func list(page: Page, in transaction: Transaction) throws -> [Incident] {
        let after = page.after ?? "~"
        return try transaction.rows(
            "SELECT * FROM incidents WHERE id < \(after) ORDER BY id DESC LIMIT \(page.limit + 1)"
        ).map(incident)
    }

    // MARK: What happened

    func append(_ entry: IncidentEntry, to id: Identifier<Incident>, in transaction: Transaction) throws {
        let last =
            try transaction.first("SELECT MAX(seq) AS seq FROM incident_entries WHERE incident_id = \(id)")?
            .optionalInt("seq") ?? 0
        try transaction.run(
            """
            INSERT INTO incident_entries (incident_id, seq, at, kind, action, target, actor, detail)
            VALUES (\(id), \(last + 1), \(entry.at), \(entry.kind), \(entry.action), \(entry.target),
              \(entry.actor), \(entry.detail))
            """)
    }

    /// In the order in which they were written down.
    func entries(of id: Identifier<Incident>, limit: Int, in transaction: Transaction) throws -> [IncidentEntry] {
        try transaction.rows(
            "SELECT * FROM incident_entries WHERE incident_id = \(id) ORDER BY seq LIMIT \(limit)"
        ).map { row in
            IncidentEntry(
                kind: row.text("kind"), action: row.text("action"), target: row.text("target"),
                actor: row.text("actor"), at: row.time("at"), detail: row.json("detail"))
        }
    }

    private func incident(_ row: StoredRow) -> Incident {
        var milestones: [Incident.Milestone: Timestamp] = [.detected: row.time("detected_at")]
        for milestone in Incident.Milestone.allCases where milestone != .detected {
            milestones[milestone] = row.optionalTime("\(milestone.rawValue)_at")
        }
        return Incident(
            id: row.id("id"), title: row.text("title"),
            severity: Incident.Severity(rawValue: row.text("severity")) ?? .warning,
            mode: row.optionalText("mode").flatMap(FailureMode.init),
            kind: row.optionalText("kind").flatMap(FailureKind.init), groupKey: row.text("group_key"),
            subjects: row.json("subjects").array?.compactMap(\.string) ?? [], milestones: milestones,
            openedBy: row.text("opened_by"))
    }
}
