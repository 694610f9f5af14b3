import Kernel

/// The tables of incidents: what they are, and what happened in them.
public enum IncidentSchema {
    public static let migrations = [
        Migration(
            "0092_incidents",
            [
                """
                CREATE TABLE incidents (
                  id TEXT NOT NULL PRIMARY KEY, title TEXT NOT NULL,
                  severity TEXT NOT NULL CHECK (severity IN ('critical', 'warning', 'info')), mode TEXT, kind TEXT,
                  group_key TEXT NOT NULL, subjects TEXT NOT NULL, opened_by TEXT NOT NULL,
                  detected_at INTEGER NOT NULL, acknowledged_at INTEGER, contained_at INTEGER, mitigated_at INTEGER,
                  verified_at INTEGER, resolved_at INTEGER, postmortem_at INTEGER) STRICT
                """,
                "CREATE INDEX incidents_open ON incidents (group_key, id) WHERE resolved_at IS NULL",
                """
                CREATE TABLE incident_entries (
                  incident_id TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL,
                  action TEXT NOT NULL, target TEXT NOT NULL, actor TEXT NOT NULL, detail TEXT NOT NULL,
                  PRIMARY KEY (incident_id, seq)) STRICT
                """,
            ])
    ]
}
