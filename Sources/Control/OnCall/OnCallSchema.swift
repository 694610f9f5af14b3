import Kernel

/// The tables of escalations, their notices, and the overrides that are made while Reeve runs.
public enum OnCallSchema {
    public static let migrations = [
        Migration(
            "0095_oncall",
            [
                """
                CREATE TABLE oncall_escalations (
                  id TEXT NOT NULL PRIMARY KEY, incident TEXT NOT NULL, title TEXT NOT NULL, severity TEXT NOT NULL,
                  path TEXT NOT NULL CHECK (path IN ('infrastructure', 'behavioural')), chain TEXT NOT NULL,
                  steps TEXT NOT NULL, repeats INTEGER NOT NULL,
                  state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'exhausted', 'ended')),
                  round INTEGER NOT NULL, step INTEGER NOT NULL, next_at INTEGER, started_at INTEGER NOT NULL,
                  acknowledged_at INTEGER, acknowledged_by TEXT, ended_at INTEGER,
                  CHECK ((state = 'open') = (next_at IS NOT NULL)),
                  CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
                  CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))) STRICT
                """,
                """
                CREATE UNIQUE INDEX oncall_escalations_incident ON oncall_escalations (incident)
                WHERE ended_at IS NULL
                """,
                "CREATE INDEX oncall_escalations_due ON oncall_escalations (next_at) WHERE next_at IS NOT NULL",
                "CREATE INDEX oncall_escalations_ended ON oncall_escalations (ended_at) WHERE ended_at IS NOT NULL",
                """
                CREATE TABLE oncall_notices (
                  key TEXT NOT NULL PRIMARY KEY, escalation TEXT NOT NULL REFERENCES oncall_escalations (id),
                  round INTEGER NOT NULL, step INTEGER NOT NULL, target_kind TEXT NOT NULL, target TEXT NOT NULL,
                  person TEXT, channel_kind TEXT, channel TEXT,
                  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed', 'dropped', 'nobody')),
                  attempts INTEGER NOT NULL, next_at INTEGER, error TEXT, created_at INTEGER NOT NULL,
                  ended_at INTEGER,
                  CHECK ((state = 'pending') = (next_at IS NOT NULL)),
                  CHECK ((state = 'pending') = (ended_at IS NULL))) STRICT
                """,
                "CREATE INDEX oncall_notices_due ON oncall_notices (next_at) WHERE next_at IS NOT NULL",
                "CREATE INDEX oncall_notices_escalation ON oncall_notices (escalation, created_at)",
                """
                CREATE TABLE oncall_overrides (
                  id TEXT NOT NULL PRIMARY KEY, schedule TEXT NOT NULL, person TEXT NOT NULL,
                  from_at INTEGER NOT NULL, until_at INTEGER NOT NULL, reason TEXT, created_at INTEGER NOT NULL,
                  created_by TEXT NOT NULL, removed_at INTEGER, removed_by TEXT,
                  CHECK (from_at < until_at), CHECK ((removed_at IS NULL) = (removed_by IS NULL))) STRICT
                """,
                "CREATE INDEX oncall_overrides_until ON oncall_overrides (until_at)",
            ]),
        // Beside pages there are words to who keeps a page open: that somebody has it, that it is over.
        Migration(
            "0102_oncall_actions",
            [
                """
                ALTER TABLE oncall_notices ADD COLUMN action TEXT NOT NULL DEFAULT 'page'
                  CHECK (action IN ('page', 'acknowledge', 'resolve'))
                """
            ]),
        // What was escalated of an incident, also once it is over.
        Migration(
            "0108_oncall_of_incidents",
            ["CREATE INDEX oncall_escalations_of ON oncall_escalations (incident, started_at)"]),
    ]
}
