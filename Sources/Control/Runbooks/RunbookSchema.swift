import Kernel

/// The tables of runs of runbooks; runbooks themselves are files.
public enum RunbookSchema {
    public static let migrations = [
        Migration(
            "0093_runbooks",
            [
                """
                CREATE TABLE runbook_runs (
                  id TEXT NOT NULL PRIMARY KEY, incident_id TEXT NOT NULL, runbook TEXT NOT NULL,
                  document TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, started_by TEXT NOT NULL,
                  approves INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER) STRICT
                """,
                "CREATE INDEX runbook_runs_incident ON runbook_runs (incident_id, id)",
                "CREATE INDEX runbook_runs_state ON runbook_runs (state, id)",
                """
                CREATE TABLE runbook_steps (
                  run_id TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL,
                  state TEXT NOT NULL, evidence TEXT NOT NULL, containment_id TEXT, actor TEXT, started_at INTEGER,
                  ended_at INTEGER, due_at INTEGER, PRIMARY KEY (run_id, number)) STRICT
                """,
            ]),
        // Runs are found by the time at which they go on.
        Migration(
            "0107_runbook_due",
            [
                "ALTER TABLE runbook_runs ADD COLUMN due_at INTEGER",
                "UPDATE runbook_runs SET due_at = started_at WHERE state = 'running'",
                "CREATE INDEX runbook_runs_due ON runbook_runs (due_at, id) WHERE due_at IS NOT NULL",
                "DROP INDEX runbook_runs_state",
            ]),
        // What a run is about is found out once, as it begins.
        Migration("0110_runbook_aim", ["ALTER TABLE runbook_runs ADD COLUMN aim TEXT NOT NULL DEFAULT '{}'"]),
    ]
}
