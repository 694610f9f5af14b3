import Kernel

/// Something that makes a task again and again, by the clock.
public struct Schedule: Sendable, Equatable, Identified {
    public static let idPrefix = "schedule"

    /// What to do about ticks that passed while nobody could fire them: Reeve was down.
    public enum CatchUp: String, Sendable, CaseIterable {
        /// Leaves them out.
        case skip
        /// Makes one task for all of them.
        case one
        /// Makes a task for each, up to ``Schedule/catchUpMax``, the newest ones.
        case all
    }

    /// Tasks that one catch-up makes at most.
    public static let catchUpMax = 100
    /// How late a tick may fire and still be on time.
    public static let onTime = Span.seconds(60)

    public let id: Identifier<Schedule>
    public var name: String
    public var cron: CronExpression
    /// A name of the IANA time zone database.
    public var timezone: String
    public var catchUp: CatchUp
    public var pause: Pause?
    /// The task to make, as its creation takes it.
    public var task: JSONValue
    /// The tick that comes next; `nil` while it is paused.
    public var nextAt: Timestamp?
    /// The newest tick that fired, or the newest run by hand.
    public var lastAt: Timestamp?
    public var lastTaskID: String?
    /// Why the last tick made no task; `nil` when it did.
    public var lastError: String?
    public let createdAt: Timestamp
    public let createdBy: String
    public var updatedAt: Timestamp
    /// Counts changes of the definition and pauses, not ticks; the `ETag`.
    public var version: Int64

    public var etag: String { "\"\(version)\"" }

    /// Its ticks; the zone was checked when it came in, and a zone that the machine no longer knows is a refusal.
    func ticks() throws -> CronTicks { try CronTicks(cron, timeZone: timezone) }

    /// The ticks to fire at a moment, of those that are due, and whether others are left out.
    func due(at now: Timestamp) throws -> (ticks: [Timestamp], leftOut: Bool) {
        guard pause == nil, let nextAt, nextAt <= now else { return ([], false) }
        let before = nextAt - Span(microseconds: 1)
        switch catchUp {
        case .all: return try ticks().newest(after: before, through: now, limit: Self.catchUpMax)
        case .one: return try ticks().newest(after: before, through: now, limit: 1)
        case .skip:
            let (newest, leftOut) = try ticks().newest(after: before, through: now, limit: 1)
            let onTime = newest.filter { now - $0 <= Self.onTime }
            return (onTime, leftOut || onTime.isEmpty)
        }
    }
}

extension Schedule: JSONConvertible {
    public var json: JSONValue {
        [
            "id": id.json, "name": .string(name), "cron": .string(cron.text), "description": .string(words),
            "timezone": .string(timezone), "catchUp": .string(catchUp.rawValue), "paused": .bool(pause != nil),
            "pause": .of(pause), "task": task, "nextAt": .of(nextAt), "lastAt": .of(lastAt),
            "lastTaskId": .of(lastTaskID), "lastError": .of(lastError), "createdAt": createdAt.json,
            "createdBy": .string(createdBy), "updatedAt": updatedAt.json,
        ]
    }

    /// "Weekdays at 09:00 (Europe/Berlin)".
    public var words: String { timezone == "UTC" ? cron.description : "\(cron.description) (\(timezone))" }
}

/// One firing: what became of it.
public struct ScheduleTick: Sendable, Equatable {
    /// Unique among all ticks, and given to the task's creation, so that no tick makes two tasks.
    public let key: String
    public let scheduleID: Identifier<Schedule>
    public let at: Timestamp
    public let isManual: Bool
    public let firedAt: Timestamp

    /// The tick of a time.
    static func due(_ schedule: Schedule, at tick: Timestamp, now: Timestamp) -> ScheduleTick {
        ScheduleTick(
            key: "\(schedule.id):\(tick.microseconds)", scheduleID: schedule.id, at: tick, isManual: false,
            firedAt: now)
    }

    /// A run that somebody asked for; its key is its own, so it never stands in for a tick.
    static func manual(_ schedule: Schedule, world: World) -> ScheduleTick {
        let now = world.now
        let key = "\(schedule.id):run:\(Hexadecimal.encode(world.entropy.bytes(8)))"
        return ScheduleTick(key: key, scheduleID: schedule.id, at: now, isManual: true, firedAt: now)
    }
}

/// What schedules need of tasks.
public protocol TaskCreation: Sendable {
    /// Throws a ``Problem`` unless a task could be made from the template as it stands.
    func checkTemplate(_ template: Fields) throws
    /// Makes a task and returns its id. `key` is unique for the firing; the same key never makes a second task.
    func createTask(
        from template: JSONValue, key: String, by principal: Principal, in transaction: Transaction
    ) throws -> String
}
