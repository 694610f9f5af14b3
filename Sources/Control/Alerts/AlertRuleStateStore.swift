import Kernel
import Telemetry

/// How far the alerts of rules are, as it is kept over restarts: one row for each alert that is not over.
struct AlertRuleState: Sendable {
    let rule: String
    let instance: AlertInstance

    /// What is written anew when it changes. Values and annotations come with each evaluation and need no keeping.
    func isSame(as other: AlertInstance) -> Bool {
        instance.state == other.state && instance.activeAt == other.activeAt && instance.firedAt == other.firedAt
            && instance.resolvedAt == other.resolvedAt && instance.keptSince == other.keptSince
    }
}

/// The only SQL on the states of rules.
struct AlertRuleStateStore: Sendable {
    func put(_ state: AlertRuleState, replica: String, in transaction: Transaction) throws {
        let instance = state.instance
        try transaction.run(
            """
            INSERT INTO alert_rule_states (replica, rule, fingerprint, labels, annotations, value, state, active_at,
              fired_at, resolved_at, kept_since)
            VALUES (\(replica), \(state.rule), \(instance.labels.fingerprintText), \(instance.labels.object),
              \(instance.annotations.sortedObject), \(AlertStore.text(instance.value)), \(instance.state.rawValue),
              \(instance.activeAt), \(instance.firedAt), \(instance.resolvedAt), \(instance.keptSince))
            ON CONFLICT (replica, rule, fingerprint) DO UPDATE SET
              annotations = excluded.annotations, value = excluded.value, state = excluded.state,
              active_at = excluded.active_at, fired_at = excluded.fired_at, resolved_at = excluded.resolved_at,
              kept_since = excluded.kept_since
            """)
    }

    func remove(
        _ labels: LabelSet, of rule: String, replica: String, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            DELETE FROM alert_rule_states
            WHERE replica = \(replica) AND rule = \(rule) AND fingerprint = \(labels.fingerprintText)
            """)
    }

    func all(replica: String, in transaction: Transaction) throws -> [AlertRuleState] {
        try transaction.rows(
            "SELECT * FROM alert_rule_states WHERE replica = \(replica) LIMIT \(2 * Alert.firingMax)"
        ).map { row in
            var instance = AlertInstance(
                labels: LabelSet(object: row.json("labels")),
                annotations: [String: String](object: row.json("annotations")),
                value: Double(row.text("value")) ?? .nan,
                state: AlertInstance.State(rawValue: row.text("state")) ?? .inactive, activeAt: row.int("active_at"))
            instance.firedAt = row.optionalInt("fired_at")
            instance.resolvedAt = row.optionalInt("resolved_at")
            instance.keptSince = row.optionalInt("kept_since")
            return AlertRuleState(rule: row.text("rule"), instance: instance)
        }
    }

    /// What waits for its time on any replica that looked since a moment, the oldest first.
    func pending(since: Timestamp, limit: Int, in transaction: Transaction) throws -> [PendingAlert] {
        try transaction.rows(
            """
            SELECT labels, annotations, value, active_at FROM alert_rule_states WHERE state = 'pending'
              AND replica IN (SELECT replica FROM alert_rule_rounds WHERE evaluated_at >= \(since))
            ORDER BY active_at, fingerprint LIMIT \(limit)
            """
        ).map { row in
            PendingAlert(
                labels: LabelSet(object: row.json("labels")),
                annotations: [String: String](object: row.json("annotations")), value: Double(row.text("value")),
                activeAt: Timestamp(microseconds: row.int("active_at") * 1_000))
        }
    }

    /// Forgets what replicas had that did not look since a moment.
    func sweep(before time: Timestamp, except replica: String, limit: Int, in transaction: Transaction) throws {
        let gone = try transaction.run(
            """
            DELETE FROM alert_rule_states WHERE (replica, rule, fingerprint) IN (
              SELECT replica, rule, fingerprint FROM alert_rule_states WHERE replica != \(replica)
                AND replica NOT IN (SELECT replica FROM alert_rule_rounds WHERE evaluated_at >= \(time))
              LIMIT \(limit))
            """)
        guard gone < limit else { return }
        try transaction.run("DELETE FROM alert_rule_rounds WHERE evaluated_at < \(time) AND replica != \(replica)")
    }

    // MARK: When somebody looked at last

    func noteRound(at time: Timestamp, replica: String, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO alert_rule_rounds (replica, evaluated_at) VALUES (\(replica), \(time))
            ON CONFLICT (replica) DO UPDATE SET evaluated_at = excluded.evaluated_at
            """)
    }

    func lastRound(replica: String, in transaction: Transaction) throws -> Timestamp? {
        try transaction.first("SELECT evaluated_at FROM alert_rule_rounds WHERE replica = \(replica)")?
            .time("evaluated_at")
    }
}
