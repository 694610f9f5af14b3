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

struct QueuesList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List queues with what waits, runs and is held.")
    static let view = ListView.queues

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    var place: [String] { ["api", "v1", "queues"] }
}

/// One verb on a queue.
protocol QueueVerbCommand: VerbCommand {
    var name: String { get }
}

extension QueueVerbCommand {
    var address: String { ReeveClient.path("api", "v1", "queues", name) }
}

struct QueuesPause: QueueVerbCommand {
    static let configuration = CommandConfiguration.client(
        "pause", "Stop handing out a queue's tasks; those that run go on.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The queue's name.") var name: String
    @Option(help: "Why, for the others and the audit log.") var reason: String?

    func body() -> JSONValue { .given(("reason", reason)) }

    func answer(to reply: JSONValue) -> Answer {
        Answer(json: reply, text: "\(name): paused; resume it with `reeve queues resume \(name)`.")
    }
}

struct QueuesResume: QueueVerbCommand {
    static let configuration = CommandConfiguration.client("resume", "Hand out a queue's tasks again.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The queue's name.") var name: String

    func answer(to reply: JSONValue) -> Answer { Answer(json: reply, text: "\(name): resumed.") }
}

struct QueuesSet: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "set", "Set how many tasks of a queue may run at once, or which model they ask for.")

    @OptionGroup var client: ClientOptions
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
