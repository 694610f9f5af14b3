import ArgumentParser
import Foundation
import Kernel
import Runner

/// How a rotation is shown, and what proves it.
private enum RotationText {
    /// - Parameter warnings: What an earlier step of the same command had to say.
    static func answer(_ rotation: JSONValue, warnings: [String] = []) -> Answer {
        let said = warnings + (rotation["warnings"]?.array ?? []).compactMap(\.string).filter { !warnings.contains($0) }
        var json = rotation.object ?? JSONObject()
        if !said.isEmpty { json["warnings"] = .list(said) }
        let text = text(rotation, at: World.live.now) + said.map { "\n\($0)" }.joined()
        return Answer(json: .object(json), text: text)
    }

    static func text(_ rotation: JSONValue, at now: Timestamp) -> String {
        let path = Words.plain(rotation["path"])
        guard let state = rotation["state"]?.string else {
            let due = rotation["due"]?.bool == true ? "due now" : "due \(Words.age(rotation["dueAt"], at: now))"
            return "\(path): version \(Words.plain(rotation["version"])), never rotated; \(due)"
        }
        var lines = [
            "\(path): \(state), version \(Words.plain(rotation["oldVersion"])) to "
                + "\(Words.plain(rotation["newVersion"])); version \(Words.plain(rotation["version"])) is given out"
        ]
        for wait in rotation["waits"]?.array ?? [] {
            let until = wait["until"]?.string == nil ? "" : ": \(Words.age(wait["until"], at: now))"
            lines.append("  waits for \(Words.plain(wait["what"]))\(until)")
        }
        for user in rotation["users"]?.array ?? [] {
            lines.append(
                "  \(Words.plain(user["actor"])) read the old value \(Words.age(user["lastUsedAt"], at: now)) ago, and "
                    + "\(user["moved"]?.bool == true ? "has" : "has not") read the new one; "
                    + "\(Words.plain(user["running"])) run with it")
        }
        for holder in rotation["holders"]?.array ?? [] {
            lines.append("  \(Words.plain(holder["actor"])) read it \(Words.age(holder["lastUsedAt"], at: now)) ago")
        }
        return lines.joined(separator: "\n")
    }

    /// A probe from its options; `nil` where none was given.
    static func probe(_ url: String?, _ headers: [String]) throws -> JSONValue? {
        guard let url else {
            guard headers.isEmpty else { throw ValidationError("--header belongs to --probe.") }
            return nil
        }
        var named = JSONObject()
        for header in headers {
            guard let colon = header.firstIndex(of: ":") else {
                throw ValidationError("--header is NAME: VALUE, such as \"authorization: Bearer {{value}}\".")
            }
            named[String(header[..<colon])] = .string(
                header[header.index(after: colon)...].trimmingCharacters(in: .whitespaces))
        }
        return ["url": .string(url), "headers": .object(named)]
    }
}

/// A verb on a rotation, which is shown as it is behind it.
protocol RotationCommand: VerbCommand {
    var path: String { get }
}

extension RotationCommand {
    var address: String { SecretsCommand.address(path, "rotation") }

    func answer(to reply: JSONValue) -> Answer { RotationText.answer(reply) }
}

struct SecretsRotate: RotationCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Stage a new value, from a file or standard input, which nobody gets yet.",
        discussion:
            "With --probe or --reason it is verified as well, and with --issue given out beside the old one.\n\n"
            + Failing.exits)

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String
    @Option(help: "The file with the value; standard input without one.") var file: String?
    @Flag(name: .customLong("data"), help: "It is a JSON object with several values by their names.") var isData = false
    @Flag(name: .customLong("raw"), help: "Keep the line's end behind the value.") var isRaw = false
    @Option(name: .customLong("overlap-hours"), help: "For how long both are good; 24 without it.") var hours: Int?
    @Option(help: "An address that tells whether the new value is good.") var probe: String?
    @Option(help: "A header of that call, such as \"authorization: Bearer {{value}}\".") var header: [String] = []
    @Option(help: "Your word that it is good, and why, where nothing can be called.") var reason: String?
    @Flag(name: .customLong("known-probe"), help: "Make the call that is kept with the secret.") var usesKnownProbe =
        false
    @Flag(name: .customLong("issue"), help: "Give it out once it is verified.") var isIssued = false

    func validate() throws {
        guard !isIssued || probe != nil || reason != nil || usesKnownProbe else {
            throw ValidationError("--issue needs --probe, --known-probe or --reason: nothing unproven is given out.")
        }
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let probe = try RotationText.probe(probe, header)
        var body = try SecretInput.body(file, isData: isData, isRaw: isRaw)
        body.add("overlapHours", hours)
        var rotation = try await reeve.post(address, .object(body))
        let warnings = (rotation["warnings"]?.array ?? []).compactMap(\.string)
        if probe != nil || reason != nil || usesKnownProbe {
            rotation = try await reeve.post("\(address)/verify", .given(("probe", probe), ("reason", reason)))
        }
        if isIssued { rotation = try await reeve.post("\(address)/issue") }
        return RotationText.answer(rotation, warnings: warnings)
    }
}

struct SecretsStatus: RotationCommand {
    static let configuration = CommandConfiguration.client(
        "status", "Show how far a rotation is, and who still uses the old value.")

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String

    func answer(_ reeve: ReeveClient) async throws -> Answer { answer(to: try await reeve.get(address)) }
}

struct SecretsVerify: RotationCommand {
    static let configuration = CommandConfiguration.client(
        "verify", "Have a staged value proven, by a call or by your word.")

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String
    @Option(help: "An address that tells; without it and --reason the one that is kept with the secret.")
    var probe: String?
    @Option(help: "A header of that call, such as \"authorization: Bearer {{value}}\".") var header: [String] = []
    @Option(help: "Your word that it is good, and why, where nothing can be called.") var reason: String?

    func body() throws -> JSONValue {
        .given(("probe", try RotationText.probe(probe, header)), ("reason", reason))
    }
}

struct SecretsIssue: RotationCommand {
    static let configuration = CommandConfiguration.client(
        "issue", "Give a verified value out; who has the old one keeps it.")

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String
}

struct SecretsRetire: RotationCommand {
    static let configuration = CommandConfiguration.client(
        "retire", "Let the old value go now, if nobody needs it any more.")

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String
}

struct SecretsReturn: RotationCommand {
    static let configuration = CommandConfiguration.client(
        "return", "Give the old value out again; the new one is destroyed.")

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String
    @Option(help: "Why, for the audit.") var reason: String?

    func body() -> JSONValue { .given(("reason", reason)) }
}

struct SecretsCompromise: RotationCommand {
    static let configuration = CommandConfiguration.client(
        "compromise", "Cut a version that others know, at once and whoever uses it.")

    @OptionGroup var client: ClientOptions
    @Argument(help: SecretsCommand.pathHelp) var path: String
    @Option(help: "The number of the version; without it the old one of a rotation, else the one given out.")
    var number: Int?
    @Option(help: "How others came to know it, for the audit.") var reason: String
    @Option(help: "A file with the value that takes its place, where none is staged; - for standard input.")
    var file: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        if let file { body = try SecretInput.body(file == "-" ? nil : file, isData: false, isRaw: false) }
        let rotation = try await reeve.get(address)
        let isOpen = rotation["allowed"]?.array?.isEmpty == false
        guard let version = number ?? (rotation[isOpen ? "oldVersion" : "version"]?.int).map({ Int($0) }) else {
            throw ValidationError("\(path) has no version.")
        }
        body["version"] = version.json
        body["reason"] = .string(reason)
        return answer(to: try await reeve.post("\(address)/\(Self.verb)", .object(body)))
    }
}

struct SecretsRewrap: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "rewrap", abstract: "Seal anew what older versions of the master key sealed.",
        discussion: "Exit status 1 where some values cannot be opened.\n\n" + Failing.exits)

    @OptionGroup var client: ClientOptions

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var done: Int64 = 0
        while true {
            let progress = try await reeve.post("/api/v1/master-key/rewrap", [:])
            let (rewrapped, left) = (progress["rewrapped"]?.int ?? 0, progress["left"]?.int ?? 0)
            done += rewrapped
            guard left > 0, rewrapped > 0 else {
                let json: JSONValue = ["rewrapped": done.json, "left": left.json]
                let text = left == 0 ? "all values are under the newest key" : "\(left) values cannot be opened"
                return Answer(json: json, text: "\(done) values sealed anew; \(text)", status: left == 0 ? 0 : 1)
            }
            if Screen.isTerminal {
                try? FileHandle.standardError.write(contentsOf: Data("\(done) sealed anew, \(left) left\r".utf8))
            }
        }
    }
}
