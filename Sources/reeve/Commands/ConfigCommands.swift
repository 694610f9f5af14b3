import ArgumentParser
import Control
import Foundation
import Gateway
import Kernel
import Runner
import Server

/// `reeve config`: what agents run with, as folders in a repository and as versions on the server.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check, push, compare and roll back what agents run with.",
        discussion: Failing.exits,
        subcommands: [
            ConfigLint.self, ConfigPush.self, ConfigPull.self, ConfigVersions.self, ConfigDiff.self, ConfigBlame.self,
            ConfigRollback.self, ConfigRollout.self, ConfigRollouts.self, ConfigStatus.self, ConfigExplain.self,
            ConfigSet.self, ConfigUnset.self,
        ])
}

/// A folder of a bundle on the command line.
enum BundleArgument {
    /// - Throws: `ValidationError` where there is no such folder, and the exit status 1 where it is no bundle.
    static func read(_ folder: String) throws -> [BundleFile] {
        do {
            return try BundleFolder.read(folder)
        } catch let problem as Problem where problem.code == .notFound {
            throw ValidationError("\(problem.detail) \(problem.hint)")
        } catch let problem as Problem {
            Screen.complain("\(problem.detail)\n")
            throw ExitCode(1)
        }
    }

    static func path(_ agent: String, _ rest: String..., query: [(String, String?)] = []) -> String {
        let base = ReeveClient.path("api", "v1", "agents", agent)
        let more = rest.map { ReeveClient.path($0) }.joined()
        return base + more + ReeveClient.path(query: query).dropFirst()
    }
}

/// `reeve config lint`. Exit status: 0 nothing is wrong, 1 something is, 2 a wrong call.
struct ConfigLint: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lint", abstract: "Say what is wrong with a bundle before anybody runs with it.",
        discussion: """
            Needs no server. Each finding is told as FILE:LINE:COLUMN: RULE: words. Rules: unpinned-model, \
            unknown-key, secret-value, missing-tool, tool-name, schema. Exit status: 0 nothing is wrong, 1 something \
            is, 2 a wrong call.
            """)

    @Argument(help: "The folder with agent.yaml.", completion: .directory)
    var folder: String

    @Option(
        help: """
            A settings file of the server: names of its models count as pinned where all that stands behind them is.
            """, completion: .file())
    var settings: String?

    @Flag(help: "Print a SARIF 2.1.0 report, as code scanners exchange them.")
    var sarif = false

    @Flag(name: .customLong("json"), help: "Print one JSON document.")
    var isJSON = false

    func run() throws {
        let findings = try findings()
        // As seen from where the report is read, which is where the repository is.
        let place = folder.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
        let shown = folder.hasPrefix("/") ? "/\(place)" : place
        if sarif {
            print(BundleSARIF.report(findings, folder: shown, toolVersion: ReeveVersion.current).prettyText)
        } else if isJSON {
            let document: JSONValue = ["ok": .bool(findings.isEmpty), "items": .list(findings)]
            print(document.prettyText)
        } else {
            let prefix = shown.isEmpty ? "" : "\(shown)/"
            print(findings.isEmpty ? "nothing is wrong" : findings.map { prefix + "\($0)" }.joined(separator: "\n"))
        }
        if !findings.isEmpty { throw ExitCode(1) }
    }

    /// The models that the server takes for pinned, by its settings; none without them.
    private func pins() throws -> @Sendable (String) -> Bool {
        guard let settings else { return { _ in false } }
        do {
            let catalogue = try ModelGateway.settings(
                try SettingsLoader.loadWithOrigins(file: settings, environment: [:]).settings.catalogue)
            return { catalogue.isPinned($0) }
        } catch let problem as Problem {
            // A folder's faults are findings; a settings file that cannot be read is a wrong call.
            throw ValidationError("\(settings): \(problem.detail) \(problem.hint)")
        }
    }

    /// A folder that cannot be a bundle at all is a finding too, so that a report says so.
    private func findings() throws -> [BundleFinding] {
        do {
            return BundleLint(pins: try pins()).findings(try AgentBundle(try BundleFolder.read(folder)))
        } catch let problem as Problem where problem.code == .notFound {
            throw ValidationError("\(problem.detail) \(problem.hint)")
        } catch let problem as Problem {
            return [BundleFinding(.schema, AgentBundle.manifestPath, line: 1, problem.detail)]
        }
    }
}

struct ConfigPush: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Make a folder what an agent is to run with, or several.",
        discussion: """
            The folder's version is the digest of its content: pushing it again changes nothing. What `reeve config \
            lint` finds fault with is refused. With --rollout the version is given to a part first, and taken back \
            where it fails more often or costs more.

            """ + Failing.exits)

    @OptionGroup var client: ClientOptions

    @Argument(help: "The folder with agent.yaml.", completion: .directory)
    var folder: String

    @Option(help: "The agent's name.")
    var agent: String?

    @Option(help: "Several agents, separated by commas: all of them or none.")
    var agents: String?

    @Option(help: "All agents whose label type is this.")
    var type: String?

    @Option(name: [.customShort("m"), .long], help: "Why, for the others and the audit log.")
    var message = ""

    @Flag(help: "Give it to a part first, then to more, and take it back where it is worse.")
    var rollout = false

    @OptionGroup var options: RolloutOptions

    func validate() throws {
        guard [agent, agents, type].compactMap(\.self).count == 1 else {
            throw ValidationError("one of --agent, --agents and --type says whose it is")
        }
        guard rollout || !options.isGiven else {
            throw ValidationError("--unit, --step and --measure say how it is rolled out: with --rollout")
        }
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let files = try BundleArgument.read(folder)
        var body = JSONObject()
        body["message"] = .string(message)
        body["files"] = .list(files)
        if rollout { body["rollout"] = .object(try options.document()) }
        if let agents { body["agents"] = .list(CommaList.names(agents)) }
        if let type { body["type"] = .string(type) }
        do {
            let path = agent.map { BundleArgument.path($0, "bundles") } ?? "/api/v1/bundles"
            let version = try await reeve.post(path, .object(body))
            let name = AgentBundle.short(version["version"]?.string ?? "")
            let whose = agent ?? (version["agents"]?.array ?? []).compactMap(\.string).joined(separator: ", ")
            guard let given = version["rollout"], given.object != nil else {
                return .details(version, text: "\(whose) is to run with \(name)")
            }
            return .details(version, text: "\(name) is rolled out to \(whose)\n\(RolloutText.text(given))")
        } catch let failure as ClientFailure {
            if case .refused(let refusal) = failure, !isJSON, let found = refusal.document["findings"]?.array {
                for finding in found { Screen.complain(Self.line(finding)) }
            }
            throw failure
        }
    }

    private static func line(_ finding: JSONValue) -> String {
        let place = [
            finding["file"]?.string, finding["line"]?.int.map(String.init), finding["column"]?.int.map(String.init),
        ]
        return place.compactMap(\.self).joined(separator: ":")
            + ": \(finding["rule"]?.string ?? ""): \(finding["message"]?.string ?? "")\n"
    }
}

struct ConfigPull: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "pull", "Write a version's files into a folder; other files there stay.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The agent's name.")
    var agent: String

    @Argument(help: "The folder to write into; it is made where there is none.", completion: .directory)
    var folder: String

    @Option(help: "The version; what the agent is to run with, if not given.")
    var version: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let path = version.map { BundleArgument.path(agent, "bundles", $0) } ?? BundleArgument.path(agent, "config")
        let found = try await reeve.get(path)
        let files = (found["files"]?.array ?? []).map {
            BundleFile(path: $0["path"]?.string ?? "", content: $0["content"]?.string ?? "")
        }
        do {
            try BundleFolder.write(files, to: folder)
        } catch {
            let words = (error as? Problem)?.detail ?? "\(error)"
            throw ClientFailure.unreadable("\(folder) cannot be written: \(words)")
        }
        let name = found["version"]?.string ?? ""
        return Answer(
            json: ["version": .string(name), "folder": .string(folder), "files": .list(files.map(\.path))],
            text: "\(folder): \(files.count) files of \(AgentBundle.short(name))")
    }
}

struct ConfigVersions: ListCommand {
    static let configuration = CommandConfiguration.client("versions", "List an agent's versions, the newest first.")
    static let view = ListView.bundles

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions
    @Argument(help: "The agent's name.") var agent: String

    var place: [String] { ["api", "v1", "agents", agent, "bundles"] }
}

struct ConfigDiff: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "diff", "Show what differs between two versions, as a unified diff.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The agent's name.") var agent: String
    @Argument(help: "The one version; the first digits are enough.") var old: String
    @Argument(help: "The other.") var new: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let diff = try await reeve.get(
            BundleArgument.path(agent, "bundles", new, "diff", query: [("from", old)]))
        var text = diff["diff"]?.string ?? ""
        if text.hasSuffix("\n") { text.removeLast() }
        return Answer(json: diff, text: text)
    }
}

struct ConfigBlame: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "blame", "Show each line of a file with the version that last changed it.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The agent's name.") var agent: String
    @Argument(help: "The file's path in the bundle, such as agent.yaml.") var file: String
    @Option(help: "The version; what the agent is to run with, if not given.") var version: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var name = version
        if name == nil { name = try await reeve.get(BundleArgument.path(agent, "config"))["version"]?.string }
        let blame = try await reeve.get(
            BundleArgument.path(agent, "bundles", name ?? "", "blame", query: [("path", file)]))
        let rows = (blame["items"]?.array ?? []).map { line in
            [
                AgentBundle.short(line["version"]?.string ?? ""), line["author"]?.string ?? "",
                "\(line["line"]?.int ?? 0)", line["text"]?.string ?? "",
            ]
        }
        return Answer(json: blame, text: rows.map { $0.joined(separator: "  ") }.joined(separator: "\n"))
    }
}

struct ConfigRollback: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "rollback", "Make an earlier version what an agent is to run with again.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The agent's name.") var agent: String
    @Option(help: "The version; the first digits are enough.") var to: String
    @Option(name: [.customShort("m"), .long], help: "Why, for the others and the audit log.") var message = ""

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let change = try await reeve.post(
            BundleArgument.path(agent, "bundles", "rollback"),
            ["version": .string(to), "message": .string(message)])
        let name = change["version"]?.string ?? ""
        return .details(change, text: "\(agent) is to run with \(AgentBundle.short(name)) again")
    }
}

struct ConfigStatus: ListCommand {
    static let configuration = CommandConfiguration.client(
        "status", "List which version each agent is to run with, and does.")
    static let view = ListView.configStates

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    @Flag(help: "Only agents that are behind.")
    var behind = false

    var place: [String] { ["api", "v1", "bundles", "status"] }
    var filters: [(String, String?)] { [("behind", behind ? "true" : nil)] }
}
