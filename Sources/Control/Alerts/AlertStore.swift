import Kernel
import Telemetry

/// The only SQL on alerts and on those who say that they fire.
struct AlertStore: Sendable {
    func insert(_ alert: Alert, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO alerts (id, fingerprint, labels, annotations, value, origin, active_at, starts_at,
              updated_at, generator_url, incident_id)
            VALUES (\(alert.id), \(alert.fingerprint), \(alert.labels.object), \(alert.annotations.sortedObject),
              \(Self.text(alert.value)), \(alert.origin.rawValue), \(alert.activeAt), \(alert.startsAt),
              \(alert.updatedAt), \(alert.generatorURL), \(alert.incidentID))
            """)
    }

    /// What may change while it fires.
    func update(_ alert: Alert, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE alerts SET annotations = \(alert.annotations.sortedObject), value = \(Self.text(alert.value)),
              ends_at = \(alert.endsAt), updated_at = \(alert.updatedAt), generator_url = \(alert.generatorURL),
              incident_id = \(alert.incidentID), origin = \(alert.origin.rawValue)
            WHERE id = \(alert.id)
            """)
    }

    func alert(_ id: Identifier<Alert>, in transaction: Transaction) throws -> Alert? {
        try transaction.first("SELECT * FROM alerts WHERE id = \(id)").map(alert)
    }

    func firing(fingerprint: String, in transaction: Transaction) throws -> Alert? {
        try transaction.first("SELECT * FROM alerts WHERE fingerprint = \(fingerprint) AND ends_at IS NULL")
            .map(alert)
    }

    /// All that fire, the oldest first.
    func firing(in transaction: Transaction) throws -> [Alert] {
        try transaction.rows(
            "SELECT * FROM alerts WHERE ends_at IS NULL ORDER BY starts_at, id LIMIT \(Alert.firingMax)"
        ).map(alert)
    }

    func firingCount(_ origin: Alert.Origin, in transaction: Transaction) throws -> Int64 {
        let row = try transaction.first(
            "SELECT count(*) AS n FROM alerts WHERE ends_at IS NULL AND origin = \(origin.rawValue)")
        return row?.int("n") ?? 0
    }

    /// Alerts that fire as somebody says so.
    func claimCount(by source: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT count(*) AS n FROM alert_claims WHERE source = \(source)")?.int("n") ?? 0
    }

    /// Another text once an alert has begun or ended. Where the clocks of replicas differ it may stay the same for a
    /// while.
    func mark(in transaction: Transaction) throws -> String {
        let row = try transaction.first(Self.mark)
        return "\(row?.optionalText("id") ?? "") \(row?.optionalInt("at") ?? 0)"
    }

    /// Asked each second for each receiver: the last entries of two indexes, whatever fires.
    static let mark: SQLText = """
        SELECT (SELECT max(id) FROM alerts) AS id,
          (SELECT max(updated_at) FROM alerts WHERE ends_at IS NOT NULL) AS at
        """

    /// Those that ended since a moment, the newest end first.
    func ended(since: Timestamp, limit: Int, in transaction: Transaction) throws -> [Alert] {
        try transaction.rows(
            "SELECT * FROM alerts WHERE ends_at >= \(since) ORDER BY ends_at DESC, id DESC LIMIT \(limit)"
        ).map(alert)
    }

    /// Those of one name that fire, the oldest first, and those that ended since a moment, the newest end first: the
    /// others are passed over where they lie.
    func alerts(
        named name: String, endedSince since: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> (firing: [Alert], ended: [Alert]) {
        // As it stands in the labels' JSON; whatever else has the same text is sorted out here.
        let pair = "\"alertname\":\(JSONValue.string(name).text)"
        let firing = try transaction.rows(
            """
            SELECT * FROM alerts WHERE ends_at IS NULL AND replace(labels, \(pair), '') <> labels
            ORDER BY starts_at, id LIMIT \(Alert.firingMax)
            """)
        let ended = try transaction.rows(
            """
            SELECT * FROM alerts WHERE ends_at >= \(since) AND replace(labels, \(pair), '') <> labels
            ORDER BY ends_at DESC, id DESC LIMIT \(limit)
            """)
        return (firing.map(alert).filter { $0.name == name }, ended.map(alert).filter { $0.name == name })
    }

    func alerts(ofIncident id: String, limit: Int, in transaction: Transaction) throws -> [Alert] {
        try transaction.rows(
            "SELECT * FROM alerts WHERE incident_id = \(id) ORDER BY starts_at, id LIMIT \(limit)"
        ).map(alert)
    }

    /// The newest first.
    func latest(ofIncident id: String, limit: Int, in transaction: Transaction) throws -> [Alert] {
        try transaction.rows(
            "SELECT * FROM alerts WHERE incident_id = \(id) ORDER BY starts_at DESC, id DESC LIMIT \(limit)"
        ).map(alert)
    }

    /// The alerts of one incident are another's; `fingerprints` names some, `nil` all.
    func move(
        _ fingerprints: [String]?, ofIncident id: String, to other: String, in transaction: Transaction
    ) throws {
        guard let fingerprints else {
            try transaction.run("UPDATE alerts SET incident_id = \(other) WHERE incident_id = \(id)")
            return
        }
        guard !fingerprints.isEmpty else { return }
        try transaction.run(
            """
            UPDATE alerts SET incident_id = \(other)
            WHERE incident_id = \(id) AND fingerprint IN \(list: fingerprints)
            """)
    }

    /// Those under a hold stay: what it is on stands in their labels, or in their times.
    func forget(
        before time: Timestamp, _ holds: [TelemetryHold.Target], limit: Int, in transaction: Transaction
    ) throws -> Int {
        var kept: SQLText = ""
        for hold in holds {
            switch hold {
            case .times(let times):
                let (from, until) = (times.lowerBound / 1_000, times.upperBound / 1_000)
                kept += "AND NOT (starts_at < \(until) AND ends_at >= \(from))"
            case .agent(let text), .correlation(let text), .subject(let text):
                // As it stands in JSON; a part of another name keeps too much rather than too little.
                let quoted = String(JSONValue.string(text).text.dropFirst().dropLast())
                kept +=
                    "AND replace(labels, \(quoted), '') = labels AND replace(annotations, \(quoted), '') = annotations"
            case .trace(let trace): kept += "AND replace(annotations, \(trace.description), '') = annotations"
            }
        }
        return try transaction.run(
            "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE ends_at < \(time)" + kept
                + "ORDER BY ends_at LIMIT \(limit))")
    }

    /// Alerts, and those that rules wait with, that have a text in what is said of them.
    func count(having text: String, in transaction: Transaction) throws -> Int64 {
        let alerts = try transaction.first(
            """
            SELECT count(*) AS n FROM alerts
            WHERE replace(labels, \(text), '') <> labels OR replace(annotations, \(text), '') <> annotations
            """)
        let states = try transaction.first(
            """
            SELECT count(*) AS n FROM alert_rule_states
            WHERE replace(labels, \(text), '') <> labels OR replace(annotations, \(text), '') <> annotations
            """)
        return (alerts?.int("n") ?? 0) + (states?.int("n") ?? 0)
    }

    // MARK: Who says so

    func claim(_ id: Identifier<Alert>, by source: String, until: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO alert_claims (alert_id, source, expires_at) VALUES (\(id), \(source), \(until))
            ON CONFLICT (alert_id, source) DO UPDATE SET expires_at = excluded.expires_at
            """)
    }

    /// - Returns: Whether the source said so until now.
    @discardableResult
    func release(_ id: Identifier<Alert>, by source: String, in transaction: Transaction) throws -> Bool {
        try transaction.run("DELETE FROM alert_claims WHERE alert_id = \(id) AND source = \(source)") > 0
    }

    func releaseAll(_ id: Identifier<Alert>, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM alert_claims WHERE alert_id = \(id)")
    }

    func isClaimed(_ id: Identifier<Alert>, in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT 1 AS one FROM alert_claims WHERE alert_id = \(id) LIMIT 1") != nil
    }

    func isClaimed(
        _ id: Identifier<Alert>, byOthersThan source: String, in transaction: Transaction
    ) throws -> Bool {
        try transaction.first(
            "SELECT 1 AS one FROM alert_claims WHERE alert_id = \(id) AND source <> \(source) LIMIT 1") != nil
    }

    /// Alerts of which somebody has said nothing for too long, with when that was over.
    func expired(
        at now: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [(id: Identifier<Alert>, source: String, at: Timestamp)] {
        try transaction.rows(
            """
            SELECT alert_id, source, expires_at FROM alert_claims WHERE expires_at <= \(now)
            ORDER BY expires_at, alert_id LIMIT \(limit)
            """
        ).map { ($0.id("alert_id"), $0.text("source"), $0.time("expires_at")) }
    }

    // MARK: Rows

    /// Numbers of alerts may be infinite, or none: the engines differ on such, so they are kept as text.
    static func text(_ value: Double?) -> String? { value.map { "\($0)" } }

    private func alert(_ row: StoredRow) -> Alert {
        Alert(
            id: row.id("id"), labels: LabelSet(object: row.json("labels")),
            annotations: [String: String](object: row.json("annotations")),
            value: row.optionalText("value").flatMap(Double.init),
            origin: Alert.Origin(rawValue: row.text("origin")) ?? .external, activeAt: row.time("active_at"),
            startsAt: row.time("starts_at"), endsAt: row.optionalTime("ends_at"), updatedAt: row.time("updated_at"),
            generatorURL: row.text("generator_url"), incidentID: row.optionalText("incident_id"))
    }
}
