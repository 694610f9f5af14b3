import Kernel

/// The tables of flags: what they say, what they said, what sessions hold of them, which asks for which, and
/// the counter of all changes.
public enum FlagSchema {
    public static let migrations = [
        Migration(
            "0130_flags",
            [
                """
                CREATE TABLE flags (
                  key TEXT NOT NULL PRIMARY KEY, definition TEXT NOT NULL, shares TEXT NOT NULL,
                  version INTEGER NOT NULL, revision INTEGER NOT NULL, created_at INTEGER NOT NULL,
                  created_by TEXT NOT NULL, updated_at INTEGER NOT NULL, updated_by TEXT NOT NULL,
                  removed_at INTEGER) STRICT
                """,
                "CREATE INDEX flags_revision ON flags (revision)",
                """
                CREATE TABLE flag_versions (
                  flag TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL,
                  act TEXT NOT NULL, reason TEXT, definition TEXT NOT NULL, PRIMARY KEY (flag, version)) STRICT
                """,
                // The secret signs addresses of change streams: all replicas must take each other's.
                """
                CREATE TABLE flag_clock (
                  id INTEGER NOT NULL PRIMARY KEY, revision INTEGER NOT NULL, changed_at INTEGER NOT NULL,
                  secret TEXT NOT NULL) STRICT
                """,
            ]),
        Migration(
            "0131_flag_pins",
            [
                """
                CREATE TABLE flag_pins (
                  session_id TEXT NOT NULL, flag TEXT NOT NULL, variant TEXT NOT NULL, value TEXT NOT NULL,
                  reason TEXT NOT NULL, rule TEXT, flag_version INTEGER NOT NULL, pinned_at INTEGER NOT NULL,
                  used_at INTEGER NOT NULL, PRIMARY KEY (session_id, flag)) STRICT
                """,
                "CREATE INDEX flag_pins_used ON flag_pins (used_at)",
                "CREATE INDEX flag_pins_flag ON flag_pins (flag, variant)",
            ]),
        Migration(
            "0135_flag_wants",
            [
                """
                CREATE TABLE flag_wants (
                  flag TEXT NOT NULL, wanted TEXT NOT NULL, PRIMARY KEY (flag, wanted)) STRICT
                """,
                "CREATE INDEX flag_wants_wanted ON flag_wants (wanted, flag)",
            ]),
    ]
}
