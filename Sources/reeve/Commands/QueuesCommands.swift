import ArgumentParser
import Kernel
import Runner

/// `reeve queues`: how much waits where, and how much may run at once.
struct QueuesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queues", abstract: "List, pause, resume and limit queues.", discussion: Failing.exits,
        subcommands: [QueuesList.self, QueuesPause.self, QueuesResume.self, QueuesSet.self],
        defaultSubcommand: QueuesList.self)
}

struct QueuesList: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List queues with what waits, runs and is held.", discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .list(
            .queues, try await reeve.list(["api", "v1", "queues"], query: [("after", page.after)], limit: page.limit))
    }
}

struct QueuesPause: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Stop handing out a queue's tasks; those that run go on.",
        discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The queue's name.") var name: String
    @Option(help: "Why, for the others and the audit log.") var reason: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        body.add("reason", reason)
        let queue = try await reeve.post(ReeveClient.path("api", "v1", "queues", name, "pause"), .object(body))
        return Answer(json: queue, text: "\(name): paused; resume it with `reeve queues resume \(name)`.")
    }
}

struct QueuesResume: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Hand out a queue's tasks again.", discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The queue's name.") var name: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let queue = try await reeve.post(ReeveClient.path("api", "v1", "queues", name, "resume"))
        return Answer(json: queue, text: "\(name): resumed.")
    }
}

struct QueuesSet: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Set how many tasks of a queue may run at once, or which model they ask for.",
        discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The queue's name.") var name: String
    @Option(help: "Tasks at one time; `none` for no limit.") var concurrency: String?
    @Option(help: "The model, or tier as tier:cheap, of new tasks that name none; `none` for none.") var model: String?

    func validate() throws {
        guard concurrency != nil || model != nil else { throw ValidationError("Give --concurrency or --model.") }
        if let concurrency, concurrency != "none", Int(concurrency).map({ $0 >= 0 }) != true {
            throw ValidationError("--concurrency is a whole number, or none.")
        }
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        var words: [String] = []
        if let concurrency {
            body["concurrency"] = Int(concurrency).map { $0.json } ?? .null
            words.append(concurrency == "none" ? "no limit" : concurrency + " at once")
        }
        if let model {
            body["model"] = model == "none" ? .null : .string(model)
            words.append(model == "none" ? "its tasks ask for no model" : "its tasks ask for " + model)
        }
        let queue = try await reeve.patch(ReeveClient.path("api", "v1", "queues", name), .object(body))
        return Answer(json: queue, text: "\(name): \(words.joined(separator: "; ")).")
    }
}
