import Kernel

/// The table of drills.
public enum DrillSchema {
    public static let migrations = [
        Migration(
            "0097_drills",
            [
                """
                CREATE TABLE drills (
                  id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, started_at INTEGER NOT NULL,
                  started_by TEXT NOT NULL, ended_at INTEGER,
                  is_clear INTEGER NOT NULL DEFAULT 0 CHECK (is_clear IN (0, 1))) STRICT
                """,
                "CREATE INDEX drills_unclear ON drills (id) WHERE is_clear = 0",
            ])
    ]
}
