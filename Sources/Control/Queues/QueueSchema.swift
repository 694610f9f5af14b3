import Kernel

/// The tables of queues and projects.
public enum QueueSchema {
    public static let migrations = [
        Migration(
            "0010_queues",
            [
                """
                CREATE TABLE queues (
                  name TEXT NOT NULL PRIMARY KEY, paused_at INTEGER, pause_reason TEXT, paused_by TEXT,
                  concurrency INTEGER CHECK (concurrency IS NULL OR concurrency >= 0), revision INTEGER NOT NULL,
                  created_at INTEGER NOT NULL) STRICT
                """,
                """
                CREATE TABLE projects (
                  name TEXT NOT NULL PRIMARY KEY, paused_at INTEGER, pause_reason TEXT, paused_by TEXT,
                  weight REAL NOT NULL CHECK (weight > 0), created_at INTEGER NOT NULL) STRICT
                """,
            ]),
        Migration("0012_queues_model", ["ALTER TABLE queues ADD COLUMN model TEXT"]),
    ]
}
