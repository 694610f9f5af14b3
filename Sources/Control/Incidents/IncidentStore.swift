import Kernel
import Telemetry

/// The only SQL on incidents, what they are about, and what happened in them.
struct IncidentStore: Sendable {
    func insert(_ incident: Incident, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO incidents (id, title, severity, mode, kind, group_key, subjects, opened_by, detected_at,
              seen_event)
            VALUES (\(incident.id), \(incident.title), \(incident.severity.rawValue), \(incident.mode?.rawValue),
              \(incident.kind?.rawValue), \(incident.groupKey), \(JSONValue.list(incident.subjects)),
              \(incident.openedBy), \(incident.detectedAt), \(incident.seenEvent))
            """)
    }

    /// Everything but what ``setSeen(_:of:in:)`` and ``setActed(_:at:in:)`` set.
    func update(_ incident: Incident, in transaction: Transaction) throws {
        let reached = incident.milestones
        try transaction.run(
            """
            UPDATE incidents SET title = \(incident.title), severity = \(incident.severity.rawValue),
              mode = \(incident.mode?.rawValue), kind = \(incident.kind?.rawValue),
              subjects = \(JSONValue.list(incident.subjects)), acknowledged_at = \(reached[.acknowledged]),
              contained_at = \(reached[.contained]), mitigated_at = \(reached[.mitigated]),
              detected_at = \(incident.detectedAt), verified_at = \(reached[.verified]),
              resolved_at = \(reached[.resolved]),
              postmortem_at = \(reached[.postmortem]), status_text = \(incident.status?.text),
              status_at = \(incident.status?.at), status_by = \(incident.status?.by),
              reopenings = \(incident.reopenings), quiet_since = \(incident.quietSince),
              merged_into = \(incident.mergedInto), revision = \(incident.revision), due_at = \(incident.dueAt)
            WHERE id = \(incident.id)
            """)
    }

    func incident(_ id: Identifier<Incident>, in transaction: Transaction) throws -> Incident? {
        try transaction.first("SELECT * FROM incidents WHERE id = \(id)").map(incident)
    }

    /// Those of the ids that are there, in no order.
    func incidents(_ ids: [String], in transaction: Transaction) throws -> [Incident] {
        guard !ids.isEmpty else { return [] }
        return try transaction.rows("SELECT * FROM incidents WHERE id IN \(list: ids)").map(incident)
    }

    func open(groupKey: String, in transaction: Transaction) throws -> Incident? {
        try transaction.first(
            """
            SELECT * FROM incidents WHERE group_key = \(groupKey) AND resolved_at IS NULL ORDER BY id DESC LIMIT 1
            """
        ).map(incident)
    }

    /// The newest open one that had the alert.
    func open(having fingerprint: String, in transaction: Transaction) throws -> Incident? {
        try transaction.first(
            """
            SELECT incidents.* FROM incidents JOIN incident_alerts ON incident_alerts.incident_id = incidents.id
            WHERE incidents.resolved_at IS NULL AND incident_alerts.fingerprint = \(fingerprint)
            ORDER BY incidents.id DESC LIMIT 1
            """
        ).map(incident)
    }

    /// The newest one that had the alert and was resolved since a moment.
    func resolved(
        having fingerprint: String, since time: Timestamp, in transaction: Transaction
    ) throws -> Incident? {
        try transaction.first(
            """
            SELECT incidents.* FROM incidents JOIN incident_alerts ON incident_alerts.incident_id = incidents.id
            WHERE incidents.resolved_at >= \(time) AND incidents.resolved_at IS NOT NULL
              AND incidents.merged_into IS NULL AND incident_alerts.fingerprint = \(fingerprint)
            ORDER BY incidents.id DESC LIMIT 1
            """
        ).map(incident)
    }

    /// Those that somebody has to see to, the newest first.
    func open(limit: Int, in transaction: Transaction) throws -> [Incident] {
        try transaction.rows("SELECT * FROM incidents WHERE resolved_at IS NULL ORDER BY id DESC LIMIT \(limit)")
            .map(incident)
    }

    func openCount(in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT count(*) AS n FROM incidents WHERE resolved_at IS NULL")?.int("n") ?? 0
    }

    /// Those of which something comes by itself by now, the longest due first.
    func due(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [Incident] {
        try transaction.rows(
            """
            SELECT * FROM incidents WHERE due_at IS NOT NULL AND due_at <= \(now) ORDER BY due_at, id LIMIT \(limit)
            """
        ).map(incident)
    }

    static func isDue(at now: Timestamp) -> SQLText {
        "SELECT 1 AS one FROM incidents WHERE due_at IS NOT NULL AND due_at <= \(now) LIMIT 1"
    }

    func setDue(_ time: Timestamp?, of id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run("UPDATE incidents SET due_at = \(time) WHERE id = \(id)")
    }

    /// Has all that are quiet looked at: the settings may be others than those that said when.
    func arm(in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE incidents SET due_at = quiet_since
            WHERE resolved_at IS NULL AND quiet_since IS NOT NULL AND (due_at IS NULL OR due_at > quiet_since)
            """)
    }

    // MARK: Forgetting

    /// Those that ended before a moment, the longest ago first; parts of others go with those.
    func over(
        before time: Timestamp, behind: Timestamp, _ last: String, limit: Int, in transaction: Transaction
    ) throws -> [Incident] {
        try transaction.rows(
            """
            SELECT * FROM incidents WHERE resolved_at IS NOT NULL AND resolved_at < \(time) AND resolved_at >= \(behind)
              AND (resolved_at > \(behind) OR id > \(last)) AND merged_into IS NULL
            ORDER BY resolved_at, id LIMIT \(limit)
            """
        ).map(incident)
    }

    /// Those that became a part of one.
    func parts(of id: Identifier<Incident>, in transaction: Transaction) throws -> [Identifier<Incident>] {
        try transaction.rows("SELECT id FROM incidents WHERE merged_into = \(id.text)").map { $0.id("id") }
    }

    func forget(_ ids: [Identifier<Incident>], in transaction: Transaction) throws {
        let ids = ids.map(\.text)
        let tables: [SQLText] = [
            "incident_entries", "incident_alerts", "incident_subjects", "incident_traces", "incident_actions",
            "incident_proofs", "postmortems",
        ]
        for table in tables {
            try transaction.run("DELETE FROM \(sql: table) WHERE incident_id IN \(list: ids)")
        }
        try transaction.run("DELETE FROM incidents WHERE id IN \(list: ids)")
    }

    // MARK: Merging

    /// Where what belongs to the incident is now: it became a part of that one, or it is itself.
    func survivor(of id: Identifier<Incident>, in transaction: Transaction) throws -> Identifier<Incident> {
        let row = try transaction.first(
            "SELECT merged_into FROM incidents WHERE id = \(id) AND merged_into IS NOT NULL")
        return row?.id("merged_into") ?? id
    }

    /// Those that became a part of one become a part of the other.
    func leadOn(from id: Identifier<Incident>, to other: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run("UPDATE incidents SET merged_into = \(other.text) WHERE merged_into = \(id.text)")
    }

    /// Has the log read again from an earlier event on.
    func rewind(_ id: Identifier<Incident>, to seq: Int64, in transaction: Transaction) throws {
        try transaction.run("UPDATE incidents SET seen_event = \(seq) WHERE id = \(id) AND seen_event > \(seq)")
    }

    /// That somebody did something; the first time counts.
    func setActed(_ id: Identifier<Incident>, at time: Timestamp, in transaction: Transaction) throws {
        try transaction.run("UPDATE incidents SET acted_at = \(time) WHERE id = \(id) AND acted_at IS NULL")
    }

    /// The newest first, one more than the page's limit where there are more.
    func list(
        _ filter: IncidentFilter = IncidentFilter(), page: Page, in transaction: Transaction
    ) throws -> [Incident] {
        try transaction.rows(
            "SELECT * FROM incidents WHERE id < \(page.after ?? "~")" + Self.clause(filter)
                + "ORDER BY id DESC LIMIT \(page.limit + 1)"
        ).map(incident)
    }

    /// Those that were detected since a moment, the newest first.
    func detected(since time: Timestamp, limit: Int, in transaction: Transaction) throws -> [Incident] {
        try transaction.rows(
            """
            SELECT * FROM incidents WHERE detected_at >= \(time) AND merged_into IS NULL ORDER BY id DESC LIMIT \(limit)
            """
        ).map(incident)
    }

    private static func clause(_ filter: IncidentFilter) -> SQLText {
        var sql: SQLText = ""
        switch filter.state {
        case nil: break
        case .open?: sql += "AND resolved_at IS NULL"
        case .resolved?: sql += "AND resolved_at IS NOT NULL"
        case .reached(let milestone)?:
            if milestone != .detected { sql += "AND \(sql: column(milestone)) IS NOT NULL" }
            for later in Incident.Milestone.allCases where later > milestone {
                sql += "AND \(sql: column(later)) IS NULL"
            }
        }
        if let severity = filter.severity { sql += "AND severity = \(severity.rawValue)" }
        if let mode = filter.mode { sql += "AND mode = \(mode.rawValue)" }
        return sql
    }

    private static func column(_ milestone: Incident.Milestone) -> SQLText {
        SQLText(stringLiteral: "\(milestone.rawValue)_at")
    }

    /// How many are in each state, of each severity: open ones, and resolved ones that owe a postmortem.
    func counts(in transaction: Transaction) throws -> [(state: Incident.Milestone, severity: String, count: Int64)] {
        try transaction.rows(
            """
            SELECT CASE WHEN verified_at IS NOT NULL THEN 'verified' WHEN mitigated_at IS NOT NULL THEN 'mitigated'
                WHEN contained_at IS NOT NULL THEN 'contained' WHEN acknowledged_at IS NOT NULL THEN 'acknowledged'
                ELSE 'detected' END AS state, severity, count(*) AS n
            FROM incidents WHERE resolved_at IS NULL GROUP BY 1, severity
            UNION ALL SELECT 'resolved' AS state, severity, count(*) AS n
            FROM postmortems JOIN incidents ON incidents.id = postmortems.incident_id
            WHERE postmortems.due_at IS NOT NULL GROUP BY severity
            """
        ).compactMap { row in
            Incident.Milestone(rawValue: row.text("state")).map { ($0, row.text("severity"), row.int("n")) }
        }
    }

    /// How far timelines are written, of those that go on: open ones, and those resolved since a moment.
    func followed(
        since time: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [(id: String, seen: Int64)] {
        try transaction.rows(
            """
            SELECT id, seen_event FROM incidents WHERE resolved_at IS NULL
            UNION ALL SELECT id, seen_event FROM incidents
            WHERE resolved_at IS NOT NULL AND resolved_at >= \(time) AND merged_into IS NULL
            ORDER BY id DESC LIMIT \(limit)
            """
        ).map { ($0.text("id"), $0.int("seen_event")) }
    }

    /// How far the timelines of these are written, but of those that became a part of another one.
    func places(_ ids: [String], in transaction: Transaction) throws -> [(id: String, seen: Int64)] {
        guard !ids.isEmpty else { return [] }
        return try transaction.rows(
            "SELECT id, seen_event FROM incidents WHERE id IN \(list: ids) AND merged_into IS NULL"
        ).map { ($0.text("id"), $0.int("seen_event")) }
    }

    /// Moves how far a timeline is written.
    func setSeen(_ seq: Int64, of id: Identifier<Incident>, in transaction: Transaction) throws {
        try transaction.run("UPDATE incidents SET seen_event = \(seq) WHERE id = \(id)")
    }

    private func incident(_ row: StoredRow) -> Incident {
        var milestones: [Incident.Milestone: Timestamp] = [.detected: row.time("detected_at")]
        for milestone in Incident.Milestone.allCases where milestone != .detected {
            milestones[milestone] = row.optionalTime("\(milestone.rawValue)_at")
        }
        var incident = Incident(
            id: row.id("id"), title: row.text("title"),
            severity: Incident.Severity(rawValue: row.text("severity")) ?? .warning,
            mode: row.optionalText("mode").flatMap(FailureMode.init),
            kind: row.optionalText("kind").flatMap(FailureKind.init), groupKey: row.text("group_key"),
            subjects: row.json("subjects").array?.compactMap(\.string) ?? [], milestones: milestones,
            openedBy: row.text("opened_by"))
        if let text = row.optionalText("status_text"), let at = row.optionalTime("status_at") {
            incident.status = IncidentStatus(text: text, at: at, by: row.optionalText("status_by") ?? "")
        }
        (incident.reopenings, incident.revision) = (row.int("reopenings"), row.int("revision"))
        (incident.quietSince, incident.actedAt) = (row.optionalTime("quiet_since"), row.optionalTime("acted_at"))
        (incident.mergedInto, incident.seenEvent) = (row.optionalText("merged_into"), row.int("seen_event"))
        incident.dueAt = row.optionalTime("due_at")
        return incident
    }
}

/// Which incidents a list shows.
public struct IncidentFilter: Sendable {
    public enum State: Sendable, Equatable {
        /// Those that somebody has to see to.
        case open
        /// Those that nobody has to, whether or not their postmortem is done.
        case resolved
        /// Those that have come so far and no further.
        case reached(Incident.Milestone)

        public init?(_ text: String) {
            switch text {
            case "open": self = .open
            case "resolved": self = .resolved
            default:
                guard let milestone = Incident.Milestone(rawValue: text) else { return nil }
                self = .reached(milestone)
            }
        }
    }

    public var state: State?
    public var severity: Incident.Severity?
    public var mode: FailureMode?

    public init() {}
}
