import ArgumentParser
import Kernel
import Runner

/// `reeve agents`: who there is, and what they are told.
struct AgentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agents", abstract: "List, show and steer agents.", discussion: Failing.exits,
        subcommands: [
            AgentsList.self, AgentsShow.self, AgentsPause.self, AgentsResume.self, AgentsDrain.self,
            AgentsRegister.self,
        ],
        defaultSubcommand: AgentsList.self)
}

struct AgentsList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List agents by name.")
    static let view = ListView.agents

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    @Option(help: "Only this project.")
    var project: String?

    @Option(help: "Only these states, comma-separated: idle, busy, paused, unreachable, offline, …")
    var status: String?

    var place: [String] { ["api", "v1", "agents"] }
    var filters: [(String, String?)] { [("project", project), ("status", status)] }
}

struct AgentsShow: ClientCommand {
    static let configuration = CommandConfiguration.client("show", "Show an agent and what it works on.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The agent's name.")
    var name: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .details(try await reeve.get(ReeveClient.path("api", "v1", "agents", name)))
    }
}

/// One directive to agents, by the name of the command.
protocol AgentDirectiveCommand: ClientCommand {
    static var done: String { get }
    var names: [String] { get }
    var reason: String? { get }
}

extension AgentDirectiveCommand {
    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let body = JSONValue.given(("reason", reason))
        var agents: [JSONValue] = []
        for name in names {
            agents.append(try await reeve.post(ReeveClient.path("api", "v1", "agents", name, Self.verb), body))
        }
        let text = names.map { "\($0): \(Self.done)" }.joined(separator: "\n")
        return Answer(json: names.count == 1 ? agents[0] : ["items": .array(agents)], text: text)
    }
}

struct AgentsPause: AgentDirectiveCommand {
    static let configuration = CommandConfiguration.client("pause", "Hand an agent no new work until it is resumed.")
    static let done = "paused; it finishes what it has and gets nothing new"

    @OptionGroup var client: ClientOptions
    @Argument(help: "Names of agents.") var names: [String]
    @Option(help: "Why, for the others and the audit log.") var reason: String?
}

struct AgentsResume: AgentDirectiveCommand {
    static let configuration = CommandConfiguration.client("resume", "Take back a pause and a drain.")
    static let done = "resumed"

    @OptionGroup var client: ClientOptions
    @Argument(help: "Names of agents.") var names: [String]
    @Option(help: "Why, for the others and the audit log.") var reason: String?
}

struct AgentsDrain: AgentDirectiveCommand {
    static let configuration = CommandConfiguration.client(
        "drain", "Let an agent finish what it has; its runner then ends it.")
    static let done = "draining; it finishes what it has"

    @OptionGroup var client: ClientOptions
    @Argument(help: "Names of agents.") var names: [String]
    @Option(help: "Why, for the others and the audit log.") var reason: String?
}

struct AgentsRegister: ClientCommand {
    static let configuration = CommandConfiguration.client("register", "Register an agent before it comes.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The agent's name.")
    var name: String

    @Option(help: "Its project.")
    var project: String?

    @Option(help: "A label, NAME=VALUE; may be repeated.")
    var label: [Pair] = []

    @Option(help: "Something it can do, which tasks may require; may be repeated.")
    var capability: [String] = []

    @Option(name: .customLong("health-url"), help: "An http(s) address that Reeve asks whether the agent is well.")
    var healthURL: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        body["name"] = .string(name)
        body.add("project", project)
        body.add("healthURL", healthURL)
        if !capability.isEmpty { body["capabilities"] = .list(capability) }
        if !label.isEmpty {
            var labels = JSONObject()
            for pair in label { labels[pair.name] = .string(pair.value) }
            body["labels"] = .object(labels)
        }
        return .details(try await reeve.post("/api/v1/agents", .object(body)))
    }
}
