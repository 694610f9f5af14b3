import Kernel

/// The tables of schedules and their ticks.
public enum ScheduleSchema {
    public static let migrations = [
        Migration(
            "0030_schedules",
            [
                """
                CREATE TABLE schedules (
                  id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, cron TEXT NOT NULL, timezone TEXT NOT NULL,
                  catch_up TEXT NOT NULL CHECK (catch_up IN ('skip', 'one', 'all')), paused_at INTEGER,
                  pause_reason TEXT, paused_by TEXT, task TEXT NOT NULL, next_at INTEGER, last_at INTEGER,
                  last_task_id TEXT, last_error TEXT, created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
                  updated_at INTEGER NOT NULL, version INTEGER NOT NULL,
                  CHECK ((paused_at IS NULL) OR (next_at IS NULL))) STRICT
                """,
                "CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL",
                """
                CREATE TABLE schedule_ticks (
                  key TEXT NOT NULL PRIMARY KEY, schedule_id TEXT NOT NULL, at INTEGER NOT NULL,
                  manual INTEGER NOT NULL CHECK (manual IN (0, 1)), fired_at INTEGER NOT NULL, task_id TEXT,
                  error TEXT) STRICT
                """,
                "CREATE INDEX schedule_ticks_schedule ON schedule_ticks (schedule_id, fired_at)",
                "CREATE INDEX schedule_ticks_fired ON schedule_ticks (fired_at)",
            ])
    ]
}
