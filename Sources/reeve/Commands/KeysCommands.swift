import ArgumentParser
import Kernel
import Runner

/// `reeve keys`: who may do what.
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "List, create and revoke keys.", discussion: Failing.exits,
        subcommands: [KeysList.self, KeysCreate.self, KeysRotate.self, KeysRevoke.self],
        defaultSubcommand: KeysList.self)
}

struct KeysList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List keys, without their secrets.")
    static let view = ListView.keys

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    var place: [String] { ["api", "v1", "keys"] }
}

struct KeysCreate: ClientCommand {
    static let configuration = CommandConfiguration.client("create", "Make a key; its secret is shown this once.")

    @OptionGroup var client: ClientOptions
    @Option(help: "admin, operator, agent, viewer or ingest.") var role: String
    @Option(help: "Whose key it is, for people.") var name: String
    @Option(help: "The agent that a key of the role agent belongs to.") var agent: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        body["role"] = .string(role)
        body["name"] = .string(name)
        body.add("agent", agent)
        let key = try await reeve.post("/api/v1/keys", .object(body))
        guard let secret = key["key"]?.string else {
            throw ClientFailure.unreadable(
                "the reply was lost once, and the secret is not shown again; revoke "
                    + "\(Words.plain(key["id"])) and make another")
        }
        return Answer(json: key, text: "\(secret)\nThis is shown once. Its id is \(Words.plain(key["id"])).")
    }
}

struct KeysRotate: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "rotate", "Make a key in the place of another, which stays in force for a while.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The id of the old key.") var id: String
    @Option(name: .customLong("overlap-hours"), help: "For how long both are in force; 24 without it.") var hours: Int?
    @Flag(name: .customLong("until-unused"), help: "Keep the old one until nobody has used it for so long.")
    var isUntilUnused = false

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        body.add("overlapHours", hours)
        if isUntilUnused { body["untilUnused"] = true }
        let key = try await reeve.post(ReeveClient.path("api", "v1", "keys", id, "rotate"), .object(body))
        guard let secret = key["key"]?.string else {
            throw ClientFailure.unreadable(
                "the reply was lost once, and the secret is not shown again; rotate \(Words.plain(key["id"]))")
        }
        let file = key["adminKeyFile"]?.string.map { "\n\($0)" } ?? ""
        return Answer(
            json: key,
            text: "\(secret)\nThis is shown once. Its id is \(Words.plain(key["id"])); the old key ends "
                + "\(isUntilUnused ? "once it is unused" : "at \(Words.moment(key["retiresAt"])) UTC").\(file)")
    }
}

struct KeysRevoke: ClientCommand {
    static let configuration = CommandConfiguration.client("revoke", "Revoke keys at once.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "Ids of keys.") var ids: [String]

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        for id in ids { try await reeve.delete(ReeveClient.path("api", "v1", "keys", id)) }
        return Answer(json: ["revoked": .list(ids)], text: ids.map { "\($0): revoked" }.joined(separator: "\n"))
    }
}

/// `reeve login`: the way into the page.
struct LoginCommand: ClientCommand {
    static let configuration = CommandConfiguration.client("login", "Print a link that logs a browser in, once.")

    @OptionGroup var client: ClientOptions

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let link = try await reeve.post("/api/v1/login-links")
        return Answer(json: link, text: Words.plain(link["url"]))
    }
}
