import Kernel

/// The tables of containments, their steps, and what they hold.
public enum ContainmentSchema {
    public static let migrations = [
        Migration(
            "0093_containment",
            [
                """
                CREATE TABLE containments (
                  id TEXT NOT NULL PRIMARY KEY, incident_id TEXT NOT NULL, origin TEXT NOT NULL, name TEXT NOT NULL,
                  mode TEXT, key TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, proposed_by TEXT NOT NULL,
                  decided_by TEXT, created_at INTEGER NOT NULL, decided_at INTEGER, expires_at INTEGER,
                  ended_at INTEGER, over_at INTEGER, UNIQUE (incident_id, key)) STRICT
                """,
                "CREATE INDEX containments_state ON containments (state, id)",
                """
                CREATE TABLE containment_steps (
                  containment_id TEXT NOT NULL, number INTEGER NOT NULL, action TEXT NOT NULL,
                  parameters TEXT NOT NULL, state TEXT NOT NULL, targets TEXT NOT NULL, outcomes TEXT NOT NULL,
                  started_at INTEGER, ended_at INTEGER, PRIMARY KEY (containment_id, number)) STRICT
                """,
                """
                CREATE TABLE containment_claims (
                  kind TEXT NOT NULL, name TEXT NOT NULL, step TEXT NOT NULL, before TEXT NOT NULL,
                  mark TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (kind, name, step)) STRICT
                """,
                "CREATE INDEX containment_claims_step ON containment_claims (step)",
            ]),
        // What has to be looked at is found by its time, and what waits for people is not looked at.
        Migration(
            "0106_containment_due",
            [
                "ALTER TABLE containments ADD COLUMN due_at INTEGER",
                "ALTER TABLE containments ADD COLUMN failures INTEGER NOT NULL DEFAULT 0",
                "UPDATE containments SET due_at = created_at WHERE state IN ('acting', 'reversing')",
                "UPDATE containments SET due_at = expires_at WHERE state = 'asked'",
                "CREATE INDEX containments_due ON containments (due_at, id) WHERE due_at IS NOT NULL",
                """
                CREATE INDEX containments_in_force ON containments (id, incident_id)
                WHERE state = 'acted' AND origin = 'plan' AND over_at IS NULL
                """,
                "DROP INDEX containments_state",
                "CREATE INDEX containments_decided ON containments (decided_by, decided_at)",
            ]),
        // What is in force is listed, also without its incident. Who takes back did not let it act.
        Migration(
            "0109_containment_held",
            [
                "ALTER TABLE containments ADD COLUMN reversed_by TEXT",
                """
                CREATE INDEX containments_held ON containments (id) WHERE state IN ('acting', 'acted', 'reversing')
                """,
            ]),
        // What holds nothing any more is in force no more, and so leaves the lists of what is. And plans that could not
        // be made with their alert are made later.
        Migration(
            "0112_containment_released",
            [
                "ALTER TABLE containments ADD COLUMN released_at INTEGER", "DROP INDEX containments_held",
                """
                CREATE INDEX containments_held ON containments (id)
                WHERE state IN ('acting', 'acted', 'reversing') AND released_at IS NULL
                """,
                "DROP INDEX containments_in_force",
                """
                CREATE INDEX containments_in_force ON containments (id, incident_id)
                WHERE state = 'acted' AND origin = 'plan' AND over_at IS NULL AND released_at IS NULL
                """,
                """
                CREATE TABLE containment_late_plans (
                  incident_id TEXT NOT NULL, alert_id TEXT NOT NULL, tries INTEGER NOT NULL, due_at INTEGER NOT NULL,
                  PRIMARY KEY (incident_id, alert_id)) STRICT
                """,
                "CREATE INDEX containment_late_plans_due ON containment_late_plans (due_at)",
            ]),
    ]
}
