/// The table of the event log.
public enum EventSchema {
    public static let migrations = [
        Migration(
            "0002_events",
            [
                """
                CREATE TABLE events (
                  seq INTEGER NOT NULL PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, actor TEXT NOT NULL,
                  project TEXT, agent TEXT, task_id TEXT, task_seq INTEGER, correlation_id TEXT,
                  data TEXT NOT NULL) STRICT
                """,
                "CREATE INDEX events_task ON events (task_id, task_seq) WHERE task_id IS NOT NULL",
                "CREATE INDEX events_agent ON events (agent, seq) WHERE agent IS NOT NULL",
            ]),
        // Events of tasks are found by their tasks; to add each to one more index would slow all of them down.
        Migration(
            "0005_events_correlation",
            [
                """
                CREATE INDEX events_correlation ON events (correlation_id, seq)
                WHERE correlation_id IS NOT NULL AND task_id IS NULL
                """
            ]),
    ]
}
