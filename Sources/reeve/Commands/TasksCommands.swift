import ArgumentParser
import Kernel
import Runner

/// `reeve tasks`: the work, and what may be done about it.
struct TasksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks", abstract: "Create, list, show and steer tasks.", discussion: Failing.exits,
        subcommands: [
            TasksList.self, TasksShow.self, TasksCreate.self, TasksCancel.self, TasksRetry.self, TasksHold.self,
            TasksResume.self, TasksReassign.self, TasksExplain.self, TasksRequeue.self,
        ],
        defaultSubcommand: TasksList.self)
}

struct TasksList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List tasks, the newest first.")
    static let view = ListView.tasks

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    @Option(help: "Only this queue.") var queue: String?
    @Option(help: "Only these states, comma-separated: ready, running, in_review, held, done, …") var status: String?
    @Option(help: "Only tasks that this agent has, did, or is assigned.") var agent: String?
    @Option(help: "Only this project.") var project: String?
    @Option(help: "Only this type.") var type: String?
    @Option(name: .shortAndLong, help: "Part of the title, or an id.") var query: String?

    var place: [String] { ["api", "v1", "tasks"] }
    var filters: [(String, String?)] {
        [("queue", queue), ("status", status), ("agent", agent), ("project", project), ("type", type), ("q", query)]
    }
}

struct TasksShow: ClientCommand {
    static let configuration = CommandConfiguration.client("show", "Show a task, its attempts and its deliverables.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The task's id.")
    var id: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let task = try await reeve.get(ReeveClient.path("api", "v1", "tasks", id))
        if isJSON { return .details(task) }
        let attempts = try await reeve.get(ReeveClient.path("api", "v1", "tasks", id, "attempts"))["items"]?.array ?? []
        let now = reeve.world.now
        var shown = task.object ?? JSONObject()
        let deliverables = shown["deliverables"]?.array ?? []
        shown["deliverables"] = nil
        let parts = [
            Words.details(.object(shown), at: now),
            "Attempts\n" + ListView.attempts.text(attempts, at: now, width: Screen.columns),
            "Deliverables\n" + ListView.deliverables.text(deliverables, at: now, width: Screen.columns),
        ]
        return Answer(json: task, text: parts.joined(separator: "\n\n"))
    }
}

struct TasksExplain: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "explain", "Say why a task is not running, and who can change that.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The task's id.")
    var id: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let reply = try await reeve.get(ReeveClient.path("api", "v1", "tasks", id, "explain"))
        let unmet = reply["unmet"]?.array ?? []
        let state = Words.plain(reply["state"])
        guard !unmet.isEmpty else {
            let isClaimable = reply["claimable"]?.bool ?? false
            let next = isClaimable ? "; the next claim by an agent that may gets it." : "."
            return Answer(json: reply, text: "The task is \(state), and nothing stands in its way\(next)")
        }
        let lines = unmet.map { condition in
            "  \(Words.plain(condition["code"])): \(Words.plain(condition["detail"]))\n"
                + "    lifted by \(Words.plain(condition["liftedBy"]))"
        }
        return Answer(json: reply, text: "The task is \(state). It waits for:\n" + lines.joined(separator: "\n"))
    }
}

struct TasksRequeue: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "requeue", abstract: "Let tasks that were set aside run again, many at once.",
        discussion: "Names them by id, or all that were set aside in a queue or for a reason. \(Failing.exits)")

    @OptionGroup var client: ClientOptions

    @Argument(help: "Ids of tasks.") var ids: [String] = []
    @Option(help: "All that were set aside in this queue.") var queue: String?
    @Option(help: "All that were set aside for this reason, such as attempts_exhausted.") var reason: String?

    func validate() throws {
        guard !ids.isEmpty || queue != nil || reason != nil else {
            throw ValidationError("Name tasks by id, or give --queue or --reason.")
        }
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        if !ids.isEmpty { body["ids"] = .list(ids) }
        body.add("queue", queue)
        body.add("reason", reason)
        let reply = try await reeve.post("/api/v1/tasks/requeue", .object(body))
        let requeued = reply["requeued"]?.array ?? []
        let refused = reply["refused"]?.array ?? []
        let lines =
            ["\(requeued.count) run again."]
            + refused.map { "\(Words.plain($0["id"])): refused, \(Words.plain($0["detail"] ?? $0["code"]))" }
        return Answer(json: reply, text: lines.joined(separator: "\n"), status: refused.isEmpty ? 0 : 1)
    }
}

// MARK: one verb on tasks

/// A command that sends the verb of its name to each of the tasks that it names.
protocol TaskVerbCommand: ClientCommand {
    var ids: [String] { get }
    func body() throws -> JSONValue
}

extension TaskVerbCommand {
    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let body = try body()
        var tasks: [JSONValue] = []
        for id in ids {
            tasks.append(try await reeve.post(ReeveClient.path("api", "v1", "tasks", id, Self.verb), body))
        }
        let text = ListView.tasks.text(tasks, at: reeve.world.now, width: Screen.columns)
        return Answer(json: tasks.count == 1 ? tasks[0] : ["items": .array(tasks)], text: text)
    }
}

struct TasksCancel: TaskVerbCommand {
    static let configuration = CommandConfiguration.client("cancel", "Cancel tasks; one that runs is asked to stop.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "Ids of tasks.") var ids: [String]
    @Option(help: "Why.") var reason: String?

    func body() -> JSONValue { .given(("reason", reason)) }
}

struct TasksRetry: TaskVerbCommand {
    static let configuration = CommandConfiguration.client(
        "retry", "Let a task run again that was set aside, or do one anew that ended.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "Ids of tasks.") var ids: [String]
    @Option(help: "Another input: JSON, @file, or - for standard input.") var input: String?
    @Option(help: "The agent that alone may take it.") var agent: String?

    func body() throws -> JSONValue {
        .given(("input", try input.map { try JSONArgument.read($0, name: "--input") }), ("agent", agent))
    }
}

struct TasksHold: TaskVerbCommand {
    static let configuration = CommandConfiguration.client(
        "hold", "Keep tasks from being claimed until they are resumed.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "Ids of tasks.") var ids: [String]
    @Option(help: "Which hold; paused_task unless given.") var hold: String?
    @Option(help: "Why.") var reason: String?

    func body() -> JSONValue { .given(("hold", hold), ("reason", reason)) }
}

struct TasksResume: TaskVerbCommand {
    static let configuration = CommandConfiguration.client("resume", "Lift holds, or answer a parked task.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "Ids of tasks.") var ids: [String]
    @Option(help: "Which hold to lift; all unless given.") var hold: String?
    @Option(help: "The answer that a parked task waits for: JSON, @file, or -.") var answer: String?

    func body() throws -> JSONValue {
        .given(("hold", hold), ("answer", try answer.map { try JSONArgument.read($0, name: "--answer") }))
    }
}

struct TasksReassign: TaskVerbCommand {
    static let configuration = CommandConfiguration.client(
        "reassign", "Give tasks to another agent, or to any that may.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "Ids of tasks.") var ids: [String]
    @Option(help: "The agent that alone may take them.") var agent: String?
    @Flag(help: "Any agent may take them.") var any = false

    func validate() throws {
        guard (agent != nil) != any else { throw ValidationError("Give either --agent NAME or --any.") }
    }

    func body() -> JSONValue { ["agent": .of(agent)] }
}
