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
            ]),
        Migration(
            "0094_incidents",
            [
                "ALTER TABLE incidents ADD COLUMN status_text TEXT",
                "ALTER TABLE incidents ADD COLUMN status_at INTEGER",
                "ALTER TABLE incidents ADD COLUMN status_by TEXT",
                "ALTER TABLE incidents ADD COLUMN reopenings INTEGER NOT NULL DEFAULT 0",
                "ALTER TABLE incidents ADD COLUMN quiet_since INTEGER",
                "ALTER TABLE incidents ADD COLUMN acted_at INTEGER",
                "ALTER TABLE incidents ADD COLUMN merged_into TEXT",
                "ALTER TABLE incidents ADD COLUMN seen_event INTEGER NOT NULL DEFAULT 0",
                "ALTER TABLE incidents ADD COLUMN revision INTEGER NOT NULL DEFAULT 1",
                "CREATE INDEX incidents_group ON incidents (group_key, id)",
                "CREATE INDEX incidents_resolved ON incidents (resolved_at) WHERE resolved_at IS NOT NULL",
                "CREATE INDEX incident_entries_time ON incident_entries (incident_id, at, seq)",
                // What an incident is about, and what is near to that: how further alerts find it.
                """
                CREATE TABLE incident_subjects (
                  subject TEXT NOT NULL, incident_id TEXT NOT NULL, is_near INTEGER NOT NULL CHECK (is_near IN (0, 1)),
                  PRIMARY KEY (subject, incident_id)) STRICT
                """,
                "CREATE INDEX incident_subjects_incident ON incident_subjects (incident_id)",
                // An alert with the same labels is one row, however often it came.
                """
                CREATE TABLE incident_alerts (
                  incident_id TEXT NOT NULL, fingerprint TEXT NOT NULL, name TEXT NOT NULL, severity TEXT NOT NULL,
                  summary TEXT NOT NULL, labels TEXT NOT NULL, times INTEGER NOT NULL, first_at INTEGER NOT NULL,
                  last_at INTEGER NOT NULL, ended_at INTEGER, PRIMARY KEY (incident_id, fingerprint)) STRICT
                """,
                "CREATE INDEX incident_alerts_firing ON incident_alerts (fingerprint) WHERE ended_at IS NULL",
                """
                CREATE TABLE postmortems (
                  incident_id TEXT NOT NULL PRIMARY KEY, document TEXT, edited_at INTEGER, edited_by TEXT,
                  revision INTEGER NOT NULL DEFAULT 1, due_at INTEGER, waived_at INTEGER, waived_by TEXT,
                  waived_why TEXT, reminded INTEGER NOT NULL DEFAULT 0) STRICT
                """,
                "CREATE INDEX postmortems_due ON postmortems (due_at) WHERE due_at IS NOT NULL",
                """
                CREATE TABLE incident_actions (
                  incident_id TEXT NOT NULL, number INTEGER NOT NULL, summary TEXT NOT NULL, owner TEXT NOT NULL,
                  due_on TEXT, state TEXT NOT NULL CHECK (state IN ('open', 'done', 'dropped')),
                  created_at INTEGER NOT NULL, created_by TEXT NOT NULL, closed_at INTEGER,
                  PRIMARY KEY (incident_id, number)) STRICT
                """,
                """
                CREATE TABLE incident_traces (
                  incident_id TEXT NOT NULL, trace_id TEXT NOT NULL, at INTEGER NOT NULL, agent TEXT NOT NULL,
                  correlation_id TEXT, PRIMARY KEY (incident_id, trace_id)) STRICT
                """,
            ]),
        Migration(
            "0104_incidents",
            [
                // Each event of the log stands in a timeline once, also where two became one.
                "ALTER TABLE incident_entries ADD COLUMN event_seq INTEGER",
                """
                CREATE UNIQUE INDEX incident_entries_event ON incident_entries (incident_id, event_seq)
                WHERE event_seq IS NOT NULL
                """,
                "DROP INDEX incident_alerts_firing",
                "CREATE INDEX incident_alerts_fingerprint ON incident_alerts (fingerprint, incident_id)",
                "CREATE INDEX incidents_merged ON incidents (merged_into) WHERE merged_into IS NOT NULL",
                // When something comes by itself, so that nobody has to look before.
                "ALTER TABLE incidents ADD COLUMN due_at INTEGER",
                "CREATE INDEX incidents_due ON incidents (due_at) WHERE due_at IS NOT NULL",
                "ALTER TABLE postmortems ADD COLUMN remind_at INTEGER",
                "CREATE INDEX postmortems_remind ON postmortems (remind_at) WHERE remind_at IS NOT NULL",
                // What an item was proposed from, where it was.
                "ALTER TABLE incident_actions ADD COLUMN proposal TEXT",
            ]),
        // Since when the condition of an alert held, which is before anybody heard of it.
        Migration("0111_incident_alerts", ["ALTER TABLE incident_alerts ADD COLUMN active_at INTEGER"]),
        // What speaks against incidents being verified.
        Migration(
            "0107_incident_proofs",
            [
                """
                CREATE TABLE incident_proofs (
                  incident_id TEXT NOT NULL PRIMARY KEY, quiet_since INTEGER NOT NULL, pending TEXT NOT NULL,
                  due_at INTEGER NOT NULL) STRICT
                """,
                """
                CREATE INDEX incidents_unproven ON incidents (quiet_since, id)
                WHERE resolved_at IS NULL AND quiet_since IS NOT NULL AND verified_at IS NULL
                """,
            ]),
    ]
}
