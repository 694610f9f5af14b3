import Kernel

/// Plans that are late.
extension ContainmentStore {
    func put(_ plan: ContainmentLatePlan, dueAt: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO containment_late_plans (incident_id, alert_id, tries, due_at)
            VALUES (\(plan.incidentID), \(plan.alertID), \(plan.tries), \(dueAt))
            ON CONFLICT (incident_id, alert_id) DO UPDATE SET tries = excluded.tries, due_at = excluded.due_at
            """)
    }

    func latePlans(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [ContainmentLatePlan] {
        try transaction.rows(
            """
            SELECT incident_id, alert_id, tries FROM containment_late_plans WHERE due_at <= \(now)
            ORDER BY due_at, incident_id, alert_id LIMIT \(limit)
            """
        ).map {
            ContainmentLatePlan(
                incidentID: $0.text("incident_id"), alertID: $0.text("alert_id"), tries: $0.int("tries"))
        }
    }

    func remove(_ plan: ContainmentLatePlan, in transaction: Transaction) throws {
        try transaction.run(
            """
            DELETE FROM containment_late_plans
            WHERE incident_id = \(plan.incidentID) AND alert_id = \(plan.alertID)
            """)
    }
}
