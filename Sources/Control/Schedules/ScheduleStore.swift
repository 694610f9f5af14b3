import Kernel

/// The only SQL on schedules and their ticks.
struct ScheduleStore: Sendable {
    func insert(_ schedule: Schedule, in transaction: Transaction) throws -> Bool {
        try transaction.run(
            """
            INSERT INTO schedules (id, name, cron, timezone, catch_up, task, next_at, created_at, created_by,
              updated_at, version)
            VALUES (\(schedule.id.text), \(schedule.name), \(schedule.cron.text), \(schedule.timezone),
              \(schedule.catchUp.rawValue), \(schedule.task), \(schedule.nextAt), \(schedule.createdAt),
              \(schedule.createdBy), \(schedule.updatedAt), \(schedule.version))
            ON CONFLICT (name) DO NOTHING
            """) == 1
    }

    func save(_ schedule: Schedule, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE schedules SET name = \(schedule.name), cron = \(schedule.cron.text), timezone = \(schedule.timezone),
              catch_up = \(schedule.catchUp.rawValue), paused_at = \(schedule.pause?.at),
              pause_reason = \(schedule.pause?.reason), paused_by = \(schedule.pause?.actor), task = \(schedule.task),
              next_at = \(schedule.nextAt), last_at = \(schedule.lastAt), last_task_id = \(schedule.lastTaskID),
              last_error = \(schedule.lastError), updated_at = \(schedule.updatedAt), version = \(schedule.version)
            WHERE id = \(schedule.id.text)
            """)
    }

    func delete(_ id: Identifier<Schedule>, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM schedule_ticks WHERE schedule_id = \(id.text)")
        try transaction.run("DELETE FROM schedules WHERE id = \(id.text)")
    }

    /// By id or by name, of which none has the form of an id.
    func schedule(_ name: String, in transaction: Transaction) throws -> Schedule? {
        try transaction.first("SELECT * FROM schedules WHERE id = \(name) OR name = \(name)").map(schedule)
    }

    func schedules(page: Page, in transaction: Transaction) throws -> [Schedule] {
        try transaction.rows(
            "SELECT * FROM schedules WHERE name > \(page.after ?? "") ORDER BY name LIMIT \(page.limit + 1)"
        ).map(schedule)
    }

    /// The schedules whose next tick has come, the longest waiting first.
    func due(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [String] {
        try transaction.rows("SELECT id FROM schedules WHERE next_at <= \(now) ORDER BY next_at, id LIMIT \(limit)")
            .map { $0.text("id") }
    }

    // MARK: Ticks

    /// Whether the tick is new: `false` where it has fired already.
    func insert(_ tick: ScheduleTick, in transaction: Transaction) throws -> Bool {
        try transaction.run(
            """
            INSERT INTO schedule_ticks (key, schedule_id, at, manual, fired_at)
            VALUES (\(tick.key), \(tick.scheduleID.text), \(tick.at), \(tick.isManual), \(tick.firedAt))
            ON CONFLICT (key) DO NOTHING
            """) == 1
    }

    func settle(_ tick: ScheduleTick, taskID: String?, error: String?, in transaction: Transaction) throws {
        try transaction.run(
            "UPDATE schedule_ticks SET task_id = \(taskID), error = \(error) WHERE key = \(tick.key)")
    }

    /// The newest firings of a schedule.
    func history(
        _ id: Identifier<Schedule>, limit: Int, in transaction: Transaction
    ) throws -> [(at: Timestamp, isManual: Bool, firedAt: Timestamp, taskID: String?, error: String?)] {
        try transaction.rows(
            """
            SELECT at, manual, fired_at, task_id, error FROM schedule_ticks WHERE schedule_id = \(id.text)
            ORDER BY fired_at DESC, at DESC, key DESC LIMIT \(limit)
            """
        ).map {
            (
                $0.time("at"), $0.bool("manual"), $0.time("fired_at"), $0.optionalText("task_id"),
                $0.optionalText("error")
            )
        }
    }

    /// Forgets old firings; returns how many.
    func purgeTicks(before: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        try transaction.run(
            """
            DELETE FROM schedule_ticks WHERE key IN (
              SELECT key FROM schedule_ticks WHERE fired_at < \(before) ORDER BY fired_at LIMIT \(limit))
            """)
    }

    private func schedule(_ row: StoredRow) throws -> Schedule {
        let pause = row.optionalTime("paused_at").map { time in
            Pause(at: time, reason: row.optionalText("pause_reason") ?? "", actor: row.optionalText("paused_by") ?? "")
        }
        return Schedule(
            id: row.id("id"), name: row.text("name"), cron: try CronExpression(row.text("cron")),
            timezone: row.text("timezone"), catchUp: Schedule.CatchUp(rawValue: row.text("catch_up")) ?? .skip,
            pause: pause, task: row.json("task"), nextAt: row.optionalTime("next_at"),
            lastAt: row.optionalTime("last_at"), lastTaskID: row.optionalText("last_task_id"),
            lastError: row.optionalText("last_error"), createdAt: row.time("created_at"),
            createdBy: row.text("created_by"), updatedAt: row.time("updated_at"), version: row.int("version"))
    }
}
