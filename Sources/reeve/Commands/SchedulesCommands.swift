import ArgumentParser
import Kernel
import Runner

/// `reeve schedules`: what is started by the clock.
struct SchedulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedules", abstract: "List, create and steer schedules.", discussion: Failing.exits,
        subcommands: [
            SchedulesList.self, SchedulesShow.self, SchedulesCreate.self, SchedulesPause.self, SchedulesResume.self,
            SchedulesRun.self, SchedulesDelete.self,
        ],
        defaultSubcommand: SchedulesList.self)
}

struct SchedulesList: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List schedules with their next run.", discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .list(
            .schedules,
            try await reeve.list(
                ["api", "v1", "schedules"], query: [("after", page.after)], limit: page.limit))
    }
}

struct SchedulesShow: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a schedule with its next times.", discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The schedule's name or id.") var schedule: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .details(try await reeve.get(ReeveClient.path("api", "v1", "schedules", schedule)))
    }
}

struct SchedulesCreate: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a task again and again, by a cron expression.",
        discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "The schedule's name.") var name: String
    @Option(help: "Five fields: minute hour day month weekday.") var cron: String
    @Option(help: "The time zone of the expression, such as Europe/Berlin; UTC unless given.") var timezone: String?
    @Option(name: .customLong("catch-up"), help: "What becomes of times missed while Reeve was down: skip, one or all.")
    var catchUp: String?
    @Option(help: "The task to create: JSON, @file, or - for standard input.") var task: String?
    @Option(help: "The task's title, where --task is not given.") var title: String?
    @Option(help: "The task's queue, where --task is not given.") var queue: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        body["name"] = .string(name)
        body["cron"] = .string(cron)
        body.add("timezone", timezone)
        body.add("catchUp", catchUp)
        if let task {
            body["task"] = try JSONArgument.read(task, name: "--task")
        } else {
            var task = JSONObject()
            task["title"] = .string(title ?? name)
            task.add("queue", queue)
            body["task"] = .object(task)
        }
        return .details(try await reeve.post("/api/v1/schedules", .object(body)))
    }
}

/// One verb on a schedule.
protocol ScheduleVerbCommand: ClientCommand {
    static var verb: String { get }
    var schedule: String { get }
}

extension ScheduleVerbCommand {
    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .details(try await reeve.post(ReeveClient.path("api", "v1", "schedules", schedule, Self.verb)))
    }
}

struct SchedulesPause: ScheduleVerbCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Start nothing from it until it is resumed.", discussion: Failing.exits)
    static let verb = "pause"

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The schedule's name or id.") var schedule: String
}

struct SchedulesResume: ScheduleVerbCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let it start tasks again.", discussion: Failing.exits)
    static let verb = "resume"

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The schedule's name or id.") var schedule: String
}

struct SchedulesRun: ScheduleVerbCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Create its task now, besides its times.", discussion: Failing.exits)
    static let verb = "run"

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The schedule's name or id.") var schedule: String
}

struct SchedulesDelete: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete it; tasks that it made stay.", discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The schedule's name or id.") var schedule: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        try await reeve.delete(ReeveClient.path("api", "v1", "schedules", schedule))
        return Answer(json: ["deleted": .string(schedule)], text: "\(schedule): deleted")
    }
}
