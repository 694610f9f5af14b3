import ArgumentParser
import Kernel
import Runner

/// `reeve flags`: what is switched while agents run.
struct FlagsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flags", abstract: "List, set, switch and evaluate flags.", discussion: Failing.exits,
        subcommands: [
            FlagsList.self, FlagsGet.self, FlagsSet.self, FlagsOn.self, FlagsOff.self, FlagsHistory.self,
            FlagsDelete.self, FlagsEvaluate.self,
        ],
        defaultSubcommand: FlagsList.self)
}

struct FlagsList: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List flags by key.", discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .list(
            .flags, try await reeve.list(["api", "v1", "flags"], query: [("after", page.after)], limit: page.limit))
    }
}

struct FlagsGet: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Show a flag, in the form that `set` takes.", discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The flag's key.") var flag: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let found = try await reeve.get(ReeveClient.path("api", "v1", "flags", flag))
        return .details(found, text: found.prettyText)
    }
}

struct FlagsSet: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Make a flag, or replace what it says.", discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "A JSON file with the flag, its `key` in it; - for standard input.", completion: .file())
    var file: String
    @Option(help: "The flag's key, where the file has none.") var name: String?
    @Option(help: "Why, for its history.") var reason: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let document = try JSONArgument.read(file == "-" ? file : "@\(file)", name: "The flag")
        guard var body = document.object else { throw ValidationError("The flag is a JSON object.") }
        guard let key = name ?? body["key"]?.string else {
            throw ValidationError("Which flag? Its `key` stands in the file, or is given as --name.")
        }
        body.add("reason", reason)
        let flag = try await reeve.put(ReeveClient.path("api", "v1", "flags", key), .object(body))
        return .details(flag, text: "\(key): version \(flag["version"]?.int ?? 0)")
    }
}

/// Switches a flag.
protocol FlagSwitchCommand: ClientCommand {
    static var verb: String { get }
    var flag: String { get }
    var reason: String? { get }
}

extension FlagSwitchCommand {
    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        body.add("reason", reason)
        let flag = try await reeve.post(ReeveClient.path("api", "v1", "flags", flag, Self.verb), .object(body))
        return .details(flag, text: "\(self.flag): \(Self.verb), version \(flag["version"]?.int ?? 0)")
    }
}

struct FlagsOn: FlagSwitchCommand {
    static let configuration = CommandConfiguration(
        commandName: "on", abstract: "Switch a flag on.", discussion: Failing.exits)
    static let verb = "on"

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The flag's key.") var flag: String
    @Option(help: "Why, for its history.") var reason: String?
}

struct FlagsOff: FlagSwitchCommand {
    static let configuration = CommandConfiguration(
        commandName: "off", abstract: "Switch a flag off.", discussion: Failing.exits)
    static let verb = "off"

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The flag's key.") var flag: String
    @Option(help: "Why, for its history.") var reason: String?
}

struct FlagsHistory: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show who changed a flag, when, what and why.", discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions
    @Argument(help: "The flag's key.") var flag: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .list(
            .flagVersions,
            try await reeve.list(
                ["api", "v1", "flags", flag, "history"], query: [("after", page.after)], limit: page.limit))
    }
}

struct FlagsDelete: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete a flag: programs go on with the defaults of their code.",
        discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The flag's key.") var flag: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        try await reeve.delete(ReeveClient.path("api", "v1", "flags", flag))
        return Answer(json: ["deleted": .string(flag)], text: "\(flag): deleted")
    }
}

struct FlagsEvaluate: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Say what a context gets of a flag, and why.", discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The flag's key.") var flag: String
    @Option(help: "The context: JSON, @file, or - for standard input.") var context = "{}"

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let context = try JSONArgument.read(context, name: "--context")
        let found = try await reeve.post(
            ReeveClient.path("ofrep", "v1", "evaluate", "flags", flag), ["context": context])
        let rule = found["metadata"]?["rule"]?.string.map { " by \"\($0)\"" } ?? ""
        let pinned = found["metadata"]?["pinned"]?.bool == true ? ", pinned to the session" : ""
        let text =
            "\(flag): \(found["variant"]?.string ?? "?") = \(found["value"]?.text ?? "null") "
            + "(\(found["reason"]?.string ?? "?")\(rule)\(pinned))"
        return .details(found, text: text)
    }
}
