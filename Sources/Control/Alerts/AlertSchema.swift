import Kernel

/// The tables of alerts: what fires and fired, who says so, and how far rules are.
public enum AlertSchema {
    public static let migrations = [
        Migration(
            "0090_alerts",
            [
                """
                CREATE TABLE alerts (
                  id TEXT NOT NULL PRIMARY KEY, fingerprint TEXT NOT NULL, labels TEXT NOT NULL,
                  annotations TEXT NOT NULL, value TEXT, origin TEXT NOT NULL CHECK (origin IN ('rule', 'external')),
                  active_at INTEGER NOT NULL, starts_at INTEGER NOT NULL, ends_at INTEGER, updated_at INTEGER NOT NULL,
                  generator_url TEXT NOT NULL, incident_id TEXT) STRICT
                """,
                "CREATE UNIQUE INDEX alerts_firing ON alerts (fingerprint) WHERE ends_at IS NULL",
                "CREATE INDEX alerts_ended ON alerts (ends_at) WHERE ends_at IS NOT NULL",
                "CREATE INDEX alerts_incident ON alerts (incident_id) WHERE incident_id IS NOT NULL",
                // An alert fires for as long as one of those who told of it says so.
                """
                CREATE TABLE alert_claims (
                  alert_id TEXT NOT NULL, source TEXT NOT NULL, expires_at INTEGER NOT NULL,
                  PRIMARY KEY (alert_id, source)) STRICT
                """,
                "CREATE INDEX alert_claims_expiry ON alert_claims (expires_at)",
                // Each replica evaluates rules over the series that it has.
                """
                CREATE TABLE alert_rule_states (
                  replica TEXT NOT NULL, rule TEXT NOT NULL, fingerprint TEXT NOT NULL, labels TEXT NOT NULL,
                  annotations TEXT NOT NULL, value TEXT NOT NULL,
                  state TEXT NOT NULL CHECK (state IN ('pending', 'firing', 'inactive')), active_at INTEGER NOT NULL,
                  fired_at INTEGER, resolved_at INTEGER, kept_since INTEGER,
                  PRIMARY KEY (replica, rule, fingerprint)) STRICT
                """,
                """
                CREATE TABLE alert_rule_rounds (
                  replica TEXT NOT NULL PRIMARY KEY, evaluated_at INTEGER NOT NULL) STRICT
                """,
            ]),
        // Whether an alert has ended lately is asked each second.
        Migration(
            "0103_alerts_ended_lately",
            ["CREATE INDEX alerts_ended_lately ON alerts (updated_at) WHERE ends_at IS NOT NULL"]),
    ]

    /// How many alerts each of those who tell of them has.
    public static let sourceMigrations = [
        Migration("0100_alert_sources", ["CREATE INDEX alert_claims_source ON alert_claims (source)"])
    ]
}
