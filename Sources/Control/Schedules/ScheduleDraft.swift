import Kernel

/// A schedule as a client asks for it: every field checked, nothing looked up yet.
public struct ScheduleDraft: Sendable {
    let name: String
    let cron: CronExpression
    let timezone: String
    let catchUp: Schedule.CatchUp
    let task: JSONValue

    /// - Throws: ``Problem`` for a field that is missing or not acceptable, the task's template among them.
    public init(_ fields: Fields, tasks: any TaskCreation) throws {
        name = try Self.name(fields.name("name"), fields)
        cron = try CronExpression(fields.string("cron", max: CronExpression.charactersMax), field: fields.path("cron"))
        timezone = try fields.optionalString("timezone", max: 64) ?? "UTC"
        _ = try CronTicks(cron, timeZone: timezone, field: fields.path("timezone"))
        catchUp = try fields.optionalChoice("catchUp", Schedule.CatchUp.self) ?? .one
        guard let task = try Self.task(fields, tasks) else {
            throw Problem.invalid(
                fields.path("task"), "it is missing", hint: "Give the task to make, as POST /api/v1/tasks takes it.")
        }
        self.task = task
    }

    /// A name may not look like an id, as addresses take either.
    static func name(_ name: String, _ fields: Fields) throws -> String {
        guard Identifier<Schedule>(name) == nil else {
            throw Problem.invalid(
                fields.path("name"), "it has the form of a schedule's id", hint: "Choose another name.")
        }
        return name
    }

    static func task(_ fields: Fields, _ tasks: any TaskCreation) throws -> JSONValue? {
        guard let template = try fields.optionalFields("task") else { return nil }
        try tasks.checkTemplate(template)
        return .object(template.object)
    }
}

/// A change of a schedule: what is absent stays as it is.
public struct ScheduleEdit: Sendable {
    let name: String?
    let cron: CronExpression?
    let timezone: String?
    let catchUp: Schedule.CatchUp?
    let task: JSONValue?

    public init(_ fields: Fields, tasks: any TaskCreation) throws {
        name = try fields.optionalName("name").map { try ScheduleDraft.name($0, fields) }
        cron = try fields.optionalString("cron", max: CronExpression.charactersMax)
            .map { try CronExpression($0, field: fields.path("cron")) }
        timezone = try fields.optionalString("timezone", max: 64)
        if let timezone {
            _ = try CronTicks(CronExpression("@daily"), timeZone: timezone, field: fields.path("timezone"))
        }
        catchUp = try fields.optionalChoice("catchUp", Schedule.CatchUp.self)
        task = try ScheduleDraft.task(fields, tasks)
    }

    /// The schedule with the change, and the names of the fields that differ.
    func applied(to schedule: Schedule) -> (schedule: Schedule, changed: [String]) {
        var edited = schedule
        edited.name = name ?? schedule.name
        edited.cron = cron ?? schedule.cron
        edited.timezone = timezone ?? schedule.timezone
        edited.catchUp = catchUp ?? schedule.catchUp
        edited.task = task ?? schedule.task
        let differences = [
            ("name", edited.name != schedule.name), ("cron", edited.cron != schedule.cron),
            ("timezone", edited.timezone != schedule.timezone), ("catchUp", edited.catchUp != schedule.catchUp),
            ("task", edited.task != schedule.task),
        ]
        return (edited, differences.filter(\.1).map(\.0))
    }
}
