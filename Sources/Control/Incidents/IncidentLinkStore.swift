import Kernel
import Telemetry

/// An alert within an incident: one row for its labels, however often it came.
struct IncidentAlert: Sendable {
    let fingerprint: String
    let name: String
    let severity: String
    let summary: String
    let labels: LabelSet
    /// How often it began.
    var times: Int64
    /// Since when its condition held as it first began: the first look at which its expression said so, or what its
    /// sender says. `nil` for what was written before this was kept.
    var activeAt: Timestamp?
    var firstAt: Timestamp
    /// When it began at last.
    var lastAt: Timestamp
    /// `nil` while it fires.
    var endedAt: Timestamp?
}

/// The only SQL on what ties alerts, subjects and traces to incidents.
struct IncidentLinkStore: Sendable {
    // MARK: Alerts

    func alert(
        _ fingerprint: String, of id: Identifier<Incident>, in transaction: Transaction
    ) throws -> IncidentAlert? {
        try transaction.first(
            "SELECT * FROM incident_alerts WHERE incident_id = \(id) AND fingerprint = \(fingerprint)"
        ).map(Self.alert)
    }

    func put(_ alert: IncidentAlert, of id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO incident_alerts (incident_id, fingerprint, name, severity, summary, labels, times, active_at,
              first_at, last_at, ended_at)
            VALUES (\(id), \(alert.fingerprint), \(alert.name), \(alert.severity), \(alert.summary),
              \(alert.labels.object), \(alert.times), \(alert.activeAt), \(alert.firstAt), \(alert.lastAt),
              \(alert.endedAt))
            ON CONFLICT (incident_id, fingerprint) DO UPDATE SET times = excluded.times,
              active_at = excluded.active_at, first_at = excluded.first_at, last_at = excluded.last_at,
              ended_at = excluded.ended_at,
              summary = excluded.summary
            """)
    }

    func alertCount(of id: Identifier<Incident>, in transaction: Transaction) throws -> Int {
        Int(
            try transaction.first("SELECT count(*) AS n FROM incident_alerts WHERE incident_id = \(id)")?.int("n")
                ?? 0)
    }

    /// Those that fire first, the oldest first.
    func alerts(of id: Identifier<Incident>, limit: Int, in transaction: Transaction) throws -> [IncidentAlert] {
        try transaction.rows(
            """
            SELECT * FROM incident_alerts WHERE incident_id = \(id)
            ORDER BY CASE WHEN ended_at IS NULL THEN 0 ELSE 1 END, first_at, fingerprint LIMIT \(limit)
            """
        ).map(Self.alert)
    }

    func isFiring(_ id: Identifier<Incident>, in transaction: Transaction) throws -> Bool {
        try transaction.first(
            "SELECT 1 AS one FROM incident_alerts WHERE incident_id = \(id) AND ended_at IS NULL LIMIT 1") != nil
    }

    /// When an alert of it began at last that began so often.
    func lastBegin(
        of id: Identifier<Incident>, times: Int64, in transaction: Transaction
    ) throws -> Timestamp? {
        try transaction.first(
            "SELECT MAX(last_at) AS last FROM incident_alerts WHERE incident_id = \(id) AND times >= \(times)"
        )?.optionalTime("last")
    }

    func remove(_ fingerprint: String, of id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run(
            "DELETE FROM incident_alerts WHERE incident_id = \(id) AND fingerprint = \(fingerprint)")
    }

    /// Alerts that began since a moment, by the rule that they came from and by incident.
    func noise(
        since time: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [(rule: String, times: Int64, isActedOn: Bool, isOpen: Bool)] {
        try transaction.rows(
            """
            SELECT incident_alerts.name AS name, CAST(SUM(incident_alerts.times) AS BIGINT) AS times,
              CASE WHEN incidents.acted_at IS NULL THEN 0 ELSE 1 END AS acted,
              CASE WHEN incidents.resolved_at IS NULL THEN 1 ELSE 0 END AS is_open
            FROM incident_alerts JOIN incidents ON incidents.id = incident_alerts.incident_id
            WHERE incidents.detected_at >= \(time)
            GROUP BY incident_alerts.name, 3, 4 ORDER BY incident_alerts.name LIMIT \(limit)
            """
        ).map { ($0.text("name"), $0.int("times"), $0.bool("acted"), $0.bool("is_open")) }
    }

    /// When what incidents are about began, as far as their alerts know, of those detected since a moment.
    func begins(since time: Timestamp, in transaction: Transaction) throws -> [String: Timestamp] {
        let rows = try transaction.rows(
            """
            SELECT incident_alerts.incident_id AS id, MIN(incident_alerts.active_at) AS begun
            FROM incident_alerts JOIN incidents ON incidents.id = incident_alerts.incident_id
            WHERE incidents.detected_at >= \(time) AND incident_alerts.active_at IS NOT NULL
            GROUP BY incident_alerts.incident_id
            """)
        return Dictionary(rows.map { ($0.text("id"), $0.time("begun")) }, uniquingKeysWith: min)
    }

    private static func alert(_ row: StoredRow) -> IncidentAlert {
        IncidentAlert(
            fingerprint: row.text("fingerprint"), name: row.text("name"), severity: row.text("severity"),
            summary: row.text("summary"), labels: LabelSet(object: row.json("labels")), times: row.int("times"),
            activeAt: row.optionalTime("active_at"), firstAt: row.time("first_at"), lastAt: row.time("last_at"),
            endedAt: row.optionalTime("ended_at"))
    }

    // MARK: Subjects

    func link(
        _ subjects: [String], isNear: Bool, to id: Identifier<Incident>, in transaction: Transaction
    ) throws {
        for subject in subjects {
            try transaction.run(
                """
                INSERT INTO incident_subjects (subject, incident_id, is_near) VALUES (\(subject), \(id), \(isNear))
                ON CONFLICT (subject, incident_id) DO UPDATE SET
                  is_near = CASE WHEN excluded.is_near = 0 THEN 0 ELSE incident_subjects.is_near END
                """)
        }
    }

    func unlink(_ id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM incident_subjects WHERE incident_id = \(id)")
    }

    func unlink(_ subjects: [String], from id: Identifier<Incident>, in transaction: Transaction) throws {
        guard !subjects.isEmpty else { return }
        try transaction.run(
            "DELETE FROM incident_subjects WHERE incident_id = \(id) AND subject IN \(list: subjects)")
    }

    /// What is near to what an incident is about.
    func near(_ id: Identifier<Incident>, limit: Int, in transaction: Transaction) throws -> [String] {
        try transaction.rows(
            """
            SELECT subject FROM incident_subjects WHERE incident_id = \(id) AND is_near = 1 ORDER BY subject
            LIMIT \(limit)
            """
        ).map { $0.text("subject") }
    }

    /// Which of the subjects are near to which of the incidents.
    func near(
        _ ids: [String], to subjects: [String], in transaction: Transaction
    ) throws -> [(id: String, subject: String)] {
        try transaction.rows(
            """
            SELECT incident_id, subject FROM incident_subjects
            WHERE incident_id IN \(list: ids) AND subject IN \(list: subjects) AND is_near = 1
            """
        ).map { ($0.text("incident_id"), $0.text("subject")) }
    }

    /// Open incidents that are about one of the subjects, or have one near; the newest first.
    func open(
        about subjects: [String], near: [String], limit: Int, in transaction: Transaction
    ) throws -> [(id: String, subject: String, isNear: Bool)] {
        guard !subjects.isEmpty else { return [] }
        // What both only have near ties nothing together: the whole fleet may call one provider.
        let all = subjects + near
        return try transaction.rows(
            """
            SELECT incident_subjects.incident_id AS id, incident_subjects.subject AS subject,
              incident_subjects.is_near AS is_near
            FROM incident_subjects JOIN incidents ON incidents.id = incident_subjects.incident_id
            WHERE incident_subjects.subject IN \(list: all) AND incidents.resolved_at IS NULL
              AND (incident_subjects.is_near = 0 OR incident_subjects.subject IN \(list: subjects))
            ORDER BY incident_subjects.is_near, incident_subjects.incident_id DESC LIMIT \(limit)
            """
        ).map { ($0.text("id"), $0.text("subject"), $0.bool("is_near")) }
    }

    // MARK: Traces

    func moveTraces(
        from id: Identifier<Incident>, to other: Identifier<Incident>, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            INSERT INTO incident_traces (incident_id, trace_id, at, agent, correlation_id)
            SELECT \(other), trace_id, at, agent, correlation_id FROM incident_traces WHERE incident_id = \(id)
            ON CONFLICT (incident_id, trace_id) DO NOTHING
            """)
        try transaction.run("DELETE FROM incident_traces WHERE incident_id = \(id)")
    }

    /// `false` where it was known.
    func keep(
        trace: TraceID, of id: Identifier<Incident>, at time: Timestamp, agent: String, correlationID: String?,
        in transaction: Transaction
    ) throws -> Bool {
        try transaction.run(
            """
            INSERT INTO incident_traces (incident_id, trace_id, at, agent, correlation_id)
            VALUES (\(id), \(trace.description), \(time), \(agent), \(correlationID))
            ON CONFLICT (incident_id, trace_id) DO NOTHING
            """) > 0
    }

    func traces(
        of id: Identifier<Incident>, limit: Int, in transaction: Transaction
    ) throws -> [(id: String, at: Timestamp, agent: String, correlationID: String?)] {
        try transaction.rows(
            "SELECT * FROM incident_traces WHERE incident_id = \(id) ORDER BY at, trace_id LIMIT \(limit)"
        ).map { ($0.text("trace_id"), $0.time("at"), $0.text("agent"), $0.optionalText("correlation_id")) }
    }
}
