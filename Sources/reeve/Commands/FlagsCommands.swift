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

struct FlagsList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List flags by key.")
    static let view = ListView.flags

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    var place: [String] { ["api", "v1", "flags"] }
}

struct FlagsGet: ClientCommand {
    static let configuration = CommandConfiguration.client("get", "Show a flag, in the form that `set` takes.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The flag's key.") var flag: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let found = try await reeve.get(ReeveClient.path("api", "v1", "flags", flag))
        return .details(found, text: found.prettyText)
    }
}

struct FlagsSet: ClientCommand {
    static let configuration = CommandConfiguration.client("set", "Make a flag, or replace what it says.")

    @OptionGroup var client: ClientOptions
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
protocol FlagSwitchCommand: VerbCommand {
    var flag: String { get }
    var reason: String? { get }
}

extension FlagSwitchCommand {
    var address: String { ReeveClient.path("api", "v1", "flags", flag) }
    func body() -> JSONValue { .given(("reason", reason)) }

    func answer(to reply: JSONValue) -> Answer {
        .details(reply, text: "\(flag): \(Self.verb), version \(reply["version"]?.int ?? 0)")
    }
}

struct FlagsOn: FlagSwitchCommand {
    static let configuration = CommandConfiguration.client("on", "Switch a flag on.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The flag's key.") var flag: String
    @Option(help: "Why, for its history.") var reason: String?
}

struct FlagsOff: FlagSwitchCommand {
    static let configuration = CommandConfiguration.client("off", "Switch a flag off.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The flag's key.") var flag: String
    @Option(help: "Why, for its history.") var reason: String?
}

struct FlagsHistory: ListCommand {
    static let configuration = CommandConfiguration.client("history", "Show who changed a flag, when, what and why.")
    static let view = ListView.flagVersions

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions
    @Argument(help: "The flag's key.") var flag: String

    var place: [String] { ["api", "v1", "flags", flag, "history"] }
}

struct FlagsDelete: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "delete", "Delete a flag: programs go on with the defaults of their code.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The flag's key.") var flag: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        try await reeve.delete(ReeveClient.path("api", "v1", "flags", flag))
        return .deleted(flag)
    }
}

struct FlagsEvaluate: ClientCommand {
    static let configuration = CommandConfiguration.client("evaluate", "Say what a context gets of a flag, and why.")

    @OptionGroup var client: ClientOptions
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
