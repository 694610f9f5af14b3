import Kernel

/// Rules of schedules: they make tasks at their ticks, each tick once however many replicas look, pause and go on, and
/// catch up within bounds after Reeve was down.
public struct ScheduleService: Sendable {
    /// Days that firings are remembered.
    public static let historyDays: Int64 = 90
    /// Firings that a schedule's page shows.
    public static let historyRows = 20
    /// Ticks to come that a schedule's page shows.
    public static let upcomingMax = 5

    private let store = ScheduleStore()
    private let tasks: any TaskCreation
    private let events: Events
    private let audit: AuditService
    private let world: World

    public init(tasks: any TaskCreation, events: Events, audit: AuditService, world: World) {
        self.tasks = tasks
        self.events = events
        self.audit = audit
        self.world = world
    }

    // MARK: Reading

    /// By id or name.
    public func schedule(_ name: String, in transaction: Transaction) throws -> Schedule {
        guard let schedule = try store.schedule(name, in: transaction) else { throw Problem.notFound("schedule", name) }
        return schedule
    }

    /// By name; one more than the page's limit, where there are more.
    public func schedules(page: Page, in transaction: Transaction) throws -> [Schedule] {
        try store.schedules(page: page, in: transaction)
    }

    /// A schedule with its next ticks and what became of the last ones.
    public func detail(_ name: String, in transaction: Transaction) throws -> (schedule: Schedule, json: JSONValue) {
        let schedule = try schedule(name, in: transaction)
        var upcoming: [Timestamp] = []
        if schedule.pause == nil, let ticks = try? schedule.ticks() {
            var last = world.now
            while upcoming.count < Self.upcomingMax, let tick = ticks.next(after: last) {
                upcoming.append(tick)
                last = tick
            }
        }
        let history = try store.history(schedule.id, limit: Self.historyRows, in: transaction).map { row -> JSONValue in
            [
                "at": row.at.json, "manual": .bool(row.isManual), "firedAt": row.firedAt.json,
                "taskId": .of(row.taskID), "error": .of(row.error),
            ]
        }
        var object = schedule.json.object ?? JSONObject()
        object["upcoming"] = .list(upcoming)
        object["history"] = .array(history)
        return (schedule, .object(object))
    }

    // MARK: Changing

    public func draft(_ fields: Fields) throws -> ScheduleDraft { try ScheduleDraft(fields, tasks: tasks) }
    public func edit(_ fields: Fields) throws -> ScheduleEdit { try ScheduleEdit(fields, tasks: tasks) }

    public func create(
        _ draft: ScheduleDraft, by principal: Principal, in transaction: Transaction
    ) throws -> Schedule {
        let now = world.now
        var schedule = Schedule(
            id: Identifier(world), name: draft.name, cron: draft.cron, timezone: draft.timezone,
            catchUp: draft.catchUp, task: draft.task, createdAt: now, createdBy: principal.actor, updatedAt: now,
            version: 1)
        schedule.nextAt = try schedule.ticks().next(after: now)
        guard try store.insert(schedule, in: transaction) else { throw Self.nameTaken(draft.name) }
        let data: JSONValue = [
            "cron": .string(schedule.cron.text), "timezone": .string(schedule.timezone),
            "catchUp": .string(schedule.catchUp.rawValue),
        ]
        try tell("created", schedule, by: principal, data, isAudited: true, in: transaction)
        return schedule
    }

    /// Changes a schedule, if it still has the `ETag` that was asked for. A new time counts from now on.
    public func change(
        _ name: String, _ edit: ScheduleEdit, ifMatch: String?, by principal: Principal, in transaction: Transaction
    ) throws -> Schedule {
        let schedule = try schedule(name, in: transaction)
        try EntityTag.check(ifMatch, against: schedule.etag, of: "the schedule \"\(schedule.name)\"")
        var (edited, changed) = edit.applied(to: schedule)
        guard !changed.isEmpty else { return schedule }
        if edited.name != schedule.name, try store.schedule(edited.name, in: transaction) != nil {
            throw Self.nameTaken(edited.name)
        }
        if edited.pause == nil, changed.contains("cron") || changed.contains("timezone") {
            edited.nextAt = try edited.ticks().next(after: world.now)
        }
        try save(&edited, in: transaction)
        try tell("changed", edited, by: principal, ["changed": .list(changed)], isAudited: true, in: transaction)
        return edited
    }

    public func delete(
        _ name: String, ifMatch: String?, by principal: Principal, in transaction: Transaction
    ) throws {
        let schedule = try schedule(name, in: transaction)
        try EntityTag.check(ifMatch, against: schedule.etag, of: "the schedule \"\(schedule.name)\"")
        try store.delete(schedule.id, in: transaction)
        try tell("deleted", schedule, by: principal, [:], isAudited: true, in: transaction)
    }

    /// Stops the ticks, or with `nil` lets them come again. Ticks of the time between are not made up for.
    public func setPause(
        _ name: String, reason: String?, by principal: Principal, in transaction: Transaction
    ) throws -> Schedule {
        var schedule = try schedule(name, in: transaction)
        guard (schedule.pause == nil) != (reason == nil) else { return schedule }
        schedule.pause = reason.map { Pause(at: world.now, reason: $0, actor: principal.actor) }
        schedule.nextAt = reason == nil ? try schedule.ticks().next(after: world.now) : nil
        try save(&schedule, in: transaction)
        let verb = reason == nil ? "resumed" : "paused"
        try tell(verb, schedule, by: principal, ["reason": .of(reason)], isAudited: true, in: transaction)
        return schedule
    }

    private func save(_ schedule: inout Schedule, in transaction: Transaction) throws {
        schedule.version += 1
        schedule.updatedAt = world.now
        try store.save(schedule, in: transaction)
    }

    private static func nameTaken(_ name: String) -> Problem {
        Problem(
            .conflict, "There is a schedule \"\(name)\" already.",
            hint: "Change that one with PATCH, or choose another name.", field: "name")
    }

    // MARK: Firing

    /// Makes the task now, besides the ticks, paused or not; returns the schedule and the task's id.
    public func run(
        _ name: String, by principal: Principal, in transaction: Transaction
    ) throws -> (schedule: Schedule, taskID: String) {
        var schedule = try schedule(name, in: transaction)
        let tick = ScheduleTick.manual(schedule, world: world)
        _ = try store.insert(tick, in: transaction)
        let taskID = try fire(tick, &schedule, by: principal, in: transaction)
        try store.save(schedule, in: transaction)
        try audit.record(
            "schedule.run", by: principal, target: target(schedule), detail: ["taskId": .string(taskID)],
            in: transaction)
        return (schedule, taskID)
    }

    /// The schedules whose tick has come.
    public func due(limit: Int, in transaction: Transaction) throws -> [String] {
        try store.due(at: world.now, limit: limit, in: transaction)
    }

    /// Fires what is due of a schedule and moves it on; returns how many tasks it made. Another replica may have been
    /// faster, which is none.
    public func fireDue(_ id: String, in transaction: Transaction) throws -> Int {
        guard var schedule = try store.schedule(id, in: transaction) else { return 0 }
        let now = world.now
        guard let next = schedule.nextAt, next <= now else { return 0 }
        let (ticks, leftOut) = try schedule.due(at: now)
        var count = 0
        for time in ticks {
            let tick = ScheduleTick.due(schedule, at: time, now: now)
            guard try store.insert(tick, in: transaction) else { continue }
            _ = try fire(tick, &schedule, by: .system, in: transaction)
            count += 1
        }
        if leftOut {
            let data: JSONValue = ["since": next.json, "catchUp": .string(schedule.catchUp.rawValue)]
            try tell("skipped", schedule, by: .system, data, in: transaction)
        }
        schedule.nextAt = try schedule.ticks().next(after: now)
        try store.save(schedule, in: transaction)
        return count
    }

    private func fire(
        _ tick: ScheduleTick, _ schedule: inout Schedule, by principal: Principal, in transaction: Transaction
    ) throws -> String {
        let taskID = try tasks.createTask(from: schedule.task, key: tick.key, by: principal, in: transaction)
        try store.settle(tick, taskID: taskID, error: nil, in: transaction)
        schedule.lastAt = max(schedule.lastAt ?? tick.at, tick.at)
        schedule.lastTaskID = taskID
        schedule.lastError = nil
        let data: JSONValue = ["tick": tick.at.json, "manual": .bool(tick.isManual)]
        try tell("fired", schedule, by: principal, data, taskID: taskID, in: transaction)
        return taskID
    }

    /// Moves a schedule on whose task could not be made, so that one bad template neither blocks the others nor fires
    /// each second. The firing's own transaction was rolled back; this is another one.
    public func fail(_ id: String, _ problem: Problem, in transaction: Transaction) throws {
        guard var schedule = try store.schedule(id, in: transaction) else { return }
        let now = world.now
        guard let next = schedule.nextAt, next <= now else { return }
        let tick = ScheduleTick.due(schedule, at: next, now: now)
        if try store.insert(tick, in: transaction) {
            try store.settle(tick, taskID: nil, error: problem.detail, in: transaction)
        }
        schedule.lastError = problem.detail
        // A zone that this machine does not know has no next tick; it is tried again, as another replica may know it.
        schedule.nextAt = (try? schedule.ticks()).map { $0.next(after: now) } ?? now + .hours(1)
        try store.save(schedule, in: transaction)
        let data: JSONValue = [
            "tick": next.json, "code": .string(problem.code.name), "detail": .string(problem.detail),
        ]
        try tell("failed", schedule, by: .system, data, in: transaction)
    }

    /// Forgets firings that are older than ``historyDays``; returns how many, at most `limit`.
    public func purge(limit: Int, in transaction: Transaction) throws -> Int {
        let before = world.now - .hours(Self.historyDays * 24)
        return try store.purgeTicks(before: before, limit: limit, in: transaction)
    }

    // MARK: Telling

    private func target(_ schedule: Schedule) -> String { "schedule:\(schedule.name)" }

    private func tell(
        _ verb: String, _ schedule: Schedule, by principal: Principal, _ data: JSONValue, taskID: String? = nil,
        isAudited: Bool = false, in transaction: Transaction
    ) throws {
        var object = JSONObject()
        object["schedule"] = .string(schedule.name)
        object["scheduleId"] = schedule.id.json
        for member in data.object?.members ?? [] { object[member.name] = member.value }
        if let taskID { object["taskId"] = .string(taskID) }
        try events.append(
            EventDraft("schedule.\(verb)", actor: principal.actor, data: .object(object)), in: transaction)
        guard isAudited else { return }
        try audit.record("schedule.\(verb)", by: principal, target: target(schedule), detail: data, in: transaction)
    }
}
