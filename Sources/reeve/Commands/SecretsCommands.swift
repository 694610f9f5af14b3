import ArgumentParser
import Foundation
import Kernel
import Runner

/// `reeve secrets`: what agents need to reach others. A value is never an argument, where every user of the machine
/// could see it.
struct SecretsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secrets", abstract: "List, write, read and grant secrets.", discussion: Failing.exits,
        subcommands: [
            SecretsList.self, SecretsSet.self, SecretsGet.self, SecretsDelete.self, SecretsImport.self,
            SecretsGrant.self, SecretsResolve.self, SecretsRotate.self, SecretsStatus.self, SecretsVerify.self,
            SecretsIssue.self, SecretsRetire.self, SecretsReturn.self, SecretsCompromise.self, SecretsRewrap.self,
        ],
        defaultSubcommand: SecretsList.self)

    static let pathHelp: ArgumentHelp = "user/OWNER/NAME, project/OWNER/NAME, org/NAME or platform/NAME."

    static func address(_ path: String, _ more: String..., query: [(String, String?)] = []) -> String {
        let base = ReeveClient.path("api", "v1", "secrets", path) + more.map { "/\($0)" }.joined()
        let pairs = query.compactMap { name, value in value.map { "\(name)=\($0)" } }
        return pairs.isEmpty ? base : base + "?" + pairs.joined(separator: "&")
    }
}

struct SecretsList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List secrets, without their values.")
    static let view = ListView.secrets

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions
    @Option(help: "Those of one scope: user, org, project or platform.") var scope: String?
    @Option(help: "Those of one owner.") var owner: String?

    var place: [String] { ["api", "v1", "secrets"] }
    var filters: [(String, String?)] { [("scope", scope), ("owner", owner)] }
}

struct SecretsSet: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "set", "Write a new version of a secret, from a file or standard input.")

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String
    @Option(help: "The file with the value; standard input without one.") var file: String?
    @Flag(name: .customLong("data"), help: "It is a JSON object with several values by their names.") var isData = false
    @Flag(name: .customLong("raw"), help: "Keep the line's end behind the value.") var isRaw = false
    @Option(help: "The version that must be the newest; 0 where there must be none.") var cas: Int?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = try SecretInput.body(file, isData: isData, isRaw: isRaw)
        body.add("cas", cas)
        let secret = try await reeve.put(SecretsCommand.address(path), .object(body))
        let warnings = (secret["warnings"]?.array ?? []).compactMap(\.string).map { "\n\($0)" }.joined()
        return Answer(json: secret, text: "\(path): version \(Words.plain(secret["version"]))\(warnings)")
    }
}

struct SecretsGet: ClientCommand {
    static let configuration = CommandConfiguration.client("get", "Read a secret; the reading stands in the audit.")

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String
    @Option(help: "The number of an older version.") var number: Int?
    @Option(help: "The name of one of several values.") var field: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let reading = try await reeve.get(
            SecretsCommand.address(path, "value", query: [("version", number.map(String.init))]))
        let data = reading["data"]?.object ?? JSONObject()
        if let field {
            guard let value = data[field] else {
                throw ValidationError("\(path) has no \(field); it has \(data.names.joined(separator: ", ")).")
            }
            return Answer(json: reading, text: value.string ?? value.text)
        }
        let alone = data.count == 1 ? data["value"]?.string : nil
        return Answer(json: reading, text: alone ?? JSONValue.object(data).prettyText)
    }
}

struct SecretsDelete: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "delete", "Delete the newest version of a secret, which can be undone.")

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String
    @Flag(name: .customLong("all"), help: "Forget all versions for good.") var isAll = false

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        try await reeve.delete(SecretsCommand.address(path, query: [("all", isAll ? "true" : nil)]))
        return .deleted(path)
    }
}

struct SecretsImport: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "import", "Write each variable of a .env file as a secret of its own.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The file; - for standard input.") var file: String
    @Option(help: "Where they go: user/OWNER, project/OWNER, org or platform.") var to: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let variables: [(name: String, value: String)]
        do {
            variables = try DotEnv.parse(try SecretInput.read(file == "-" ? nil : file))
        } catch let failure as DotEnv.Failure {
            throw ValidationError("\(file), \(failure).")
        }
        var written: [JSONValue] = []
        for (name, value) in variables {
            let secret = try await reeve.put(SecretsCommand.address("\(to)/\(name)"), ["value": .string(value)])
            written.append(["path": .string("\(to)/\(name)"), "version": secret["version"] ?? .null])
        }
        let text = written.map { "\(Words.plain($0["path"])): version \(Words.plain($0["version"]))" }
        return Answer(json: ["items": .array(written)], text: text.joined(separator: "\n"))
    }
}

struct SecretsGrant: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "grant", "Say which agents may read a secret, and no others.")

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String
    @Argument(help: "Names of agents; none takes all grants back.") var agents: [String] = []

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let grants = try await reeve.put(SecretsCommand.address(path, "grants"), ["agents": .list(agents)])
        let names = grants["agents"]?.array?.compactMap(\.string) ?? []
        return Answer(
            json: grants, text: "\(path): \(names.isEmpty ? "no agent" : names.joined(separator: ", ")) may read it")
    }
}

struct SecretsResolve: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "resolve", "Which secret of a name holds: the user's, the project's, the organisation's or the platform's.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The last part of the path.") var name: String
    @Option(help: "Whose own comes first.") var user: String?
    @Option(help: "Whose comes next.") var project: String?
    @Option(help: "fallback, or strict_user for the user's own or none.") var policy: String?
    @Option(
        name: .customLong("fallback-on"), help: "absent, or absent,expired to pass over what was deleted too.")
    var fallbackOn: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let found = try await reeve.get(
            ReeveClient.path(
                "api", "v1", "secrets", "resolve",
                query: [
                    ("name", name), ("user", user), ("project", project), ("policy", policy),
                    ("fallbackOn", fallbackOn),
                ]))
        let looked = (found["looked"]?.array ?? []).map {
            "\(Words.plain($0["path"])): \(Words.plain($0["state"]))"
        }
        return Answer(json: found, text: looked.joined(separator: "\n"))
    }
}

/// Where values come from.
enum SecretInput {
    /// A value as the interface takes it.
    ///
    /// - Parameter isData: It is a JSON object with several values by their names.
    /// - Parameter isRaw: The line's end behind it belongs to it.
    static func body(_ file: String?, isData: Bool, isRaw: Bool) throws -> JSONObject {
        var text = try read(file)
        var body = JSONObject()
        if isData {
            guard let object = try? JSONParser.parse(Array(text.utf8)).object else {
                throw ValidationError("The input is no JSON object.")
            }
            body["data"] = .object(object)
        } else {
            // What a line ends with is the shell's and no part of a key.
            if !isRaw, text.hasSuffix("\r\n") || text.hasSuffix("\n") { text.removeLast() }
            body["value"] = .string(text)
        }
        return body
    }

    static func read(_ path: String?) throws -> String {
        let data: Data
        if let path {
            guard let found = FileManager.default.contents(atPath: path) else {
                throw ValidationError("The file \(path) cannot be read.")
            }
            data = found
        } else {
            data = FileHandle.standardInput.readDataToEndOfFile()
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw ValidationError("The value is no UTF-8; write it in Base64.")
        }
        return text
    }
}
