import ArgumentParser
import Control
import Foundation
import Kernel
import Runner

/// How a version is given out, on the command line.
struct RolloutOptions: ParsableArguments {
    @Option(
        help: """
            What is given to the one version or the other: tasks (a share of each agent's, by claim), or agents (some \
            of several agents first).
            """)
    var unit: String?

    @Option(
        name: .customLong("step"), parsing: .singleValue,
        help: "SHARE:SECONDS[:UNITS], such as 0.05:1800:5; once for each step. Without: 5 %, a quarter, half.")
    var steps: [String] = []

    @Option(
        name: .customLong("measure"), parsing: .singleValue,
        help: "failures or costs; once for each. Without: failures, and costs where enough is known of them.")
    var measures: [String] = []

    var isGiven: Bool { unit != nil || !steps.isEmpty || !measures.isEmpty }

    /// What the server is told.
    func document() throws -> JSONObject {
        var object = JSONObject()
        if let unit { object["unit"] = .string(unit) }
        if !measures.isEmpty { object["measures"] = .list(measures) }
        if !steps.isEmpty { object["steps"] = .array(try steps.map(Self.step)) }
        return object
    }

    private static func step(_ text: String) throws -> JSONValue {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Double($0) }
        guard (2...3).contains(parts.count), let share = parts[0], let seconds = parts[1] else {
            throw ValidationError("--step is SHARE:SECONDS[:UNITS], such as 0.05:1800:5, not \"\(text)\"")
        }
        var object = JSONObject()
        object["share"] = .double(share)
        object["seconds"] = .double(seconds)
        if parts.count == 3 {
            guard let units = parts[2].flatMap({ Int64(exactly: $0) }) else {
                throw ValidationError("the units of \"\(text)\" are no whole number")
            }
            object["unitsMin"] = .int(units)
        }
        return .object(object)
    }
}

/// What a roll-out is told as on a terminal.
enum RolloutText {
    static func text(_ rollout: JSONValue) -> String {
        func percent(_ share: Double) -> String { "\((share * 1_000).rounded() / 10) %" }
        let agents = (rollout["agents"]?.array ?? []).compactMap { $0["agent"]?.string }
        var lines = [
            "\(AgentBundle.short(rollout["version"]?.string ?? "")) is \(rollout["state"]?.string ?? ""): step "
                + "\(rollout["step"]?.int ?? 0) of \(rollout["steps"]?.array?.count ?? 0), "
                + "\(percent(rollout["share"]?.double ?? 0)) of the \(rollout["unit"]?.string ?? "")",
            "for \(agents.joined(separator: ", "))", rollout["words"]?.string ?? "",
        ]
        if let wait = rollout["waitsFor"]?.string { lines.append("waits for \(wait)") }
        for member in rollout["measures"]?.object?.members ?? [] {
            let tally = member.value
            let (new, old) = (tally["new"], tally["old"])
            lines.append(
                "\(member.name): new \(new?["failed"]?.int ?? 0) of \(new?["units"]?.int ?? 0), old "
                    + "\(old?["failed"]?.int ?? 0) of \(old?["units"]?.int ?? 0): \(tally["verdict"]?.string ?? "")")
        }
        return lines.joined(separator: "\n")
    }
}

struct ConfigRollout: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollout", abstract: "Show an agent's latest roll-out, begin one, or say how it goes on.",
        discussion: """
            Without a verb it is shown: its state, what speaks for and against the version, and what it waits for.

            """ + Failing.exits)

    @OptionGroup var client: ClientOptions
    @OptionGroup var options: RolloutOptions

    @Argument(help: "The agent's name.") var agent: String
    @Option(help: "Begin to give out this version; the first digits are enough.") var version: String?
    @Option(help: "Other agents that are given it too, separated by commas.") var agents: String?
    @Flag(help: "Go on to the next step, or to the end, though nothing proves it.") var promote = false
    @Flag(help: "Count anew, once what gave units away wrongly is mended.") var resume = false
    @Flag(help: "End it: the old version stays.") var cancel = false
    @Option(name: [.customShort("m"), .long], help: "Why, for the others and the audit log.") var message = ""

    func validate() throws {
        guard [promote, resume, cancel, version != nil].count(where: \.self) <= 1 else {
            throw ValidationError("one of --version, --promote, --resume and --cancel")
        }
        guard version != nil || !(options.isGiven || agents != nil) else {
            throw ValidationError("how a version is given out is said with --version")
        }
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let rollout: JSONValue
        if let version {
            var body = try options.document()
            body["version"] = .string(version)
            body["message"] = .string(message)
            if let agents { body["agents"] = .list(CommaList.names(agents)) }
            rollout = try await reeve.post(BundleArgument.path(agent, "config", "rollout"), .object(body))
        } else if let verb = promote ? "promote" : resume ? "resume" : cancel ? "cancel" : nil {
            rollout = try await reeve.post(
                BundleArgument.path(agent, "config", "rollout", verb), ["reason": .string(message)])
        } else {
            rollout = try await reeve.get(BundleArgument.path(agent, "config", "rollout"))
        }
        return Answer(json: rollout, text: RolloutText.text(rollout))
    }
}

struct ConfigRollouts: ListCommand {
    static let configuration = CommandConfiguration.client("rollouts", "List roll-outs, the newest first.")
    static let view = ListView.bundleRollouts

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    var place: [String] { ["api", "v1", "bundles", "rollouts"] }
}

/// Names with commas between them.
enum CommaList {
    static func names(_ text: String) -> [String] {
        text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
}
