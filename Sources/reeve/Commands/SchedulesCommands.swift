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

struct SchedulesList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List schedules with their next run.")
    static let view = ListView.schedules

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    var place: [String] { ["api", "v1", "schedules"] }
}

struct SchedulesShow: ClientCommand {
    static let configuration = CommandConfiguration.client("show", "Show a schedule with its next times.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The schedule's name or id.") var schedule: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .details(try await reeve.get(ReeveClient.path("api", "v1", "schedules", schedule)))
    }
}

struct SchedulesCreate: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "create", "Create a task again and again, by a cron expression.")

    @OptionGroup var client: ClientOptions
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
protocol ScheduleVerbCommand: VerbCommand {
    var schedule: String { get }
}

extension ScheduleVerbCommand {
    var address: String { ReeveClient.path("api", "v1", "schedules", schedule) }
}

struct SchedulesPause: ScheduleVerbCommand {
    static let configuration = CommandConfiguration.client("pause", "Start nothing from it until it is resumed.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The schedule's name or id.") var schedule: String
}

struct SchedulesResume: ScheduleVerbCommand {
    static let configuration = CommandConfiguration.client("resume", "Let it start tasks again.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The schedule's name or id.") var schedule: String
}

struct SchedulesRun: ScheduleVerbCommand {
    static let configuration = CommandConfiguration.client("run", "Create its task now, besides its times.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The schedule's name or id.") var schedule: String
}

struct SchedulesDelete: ClientCommand {
    static let configuration = CommandConfiguration.client("delete", "Delete it; tasks that it made stay.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The schedule's name or id.") var schedule: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        try await reeve.delete(ReeveClient.path("api", "v1", "schedules", schedule))
        return .deleted(schedule)
    }
}
