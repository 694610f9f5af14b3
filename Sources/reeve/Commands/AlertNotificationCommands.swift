import ArgumentParser
import Kernel
import Runner

/// `reeve alerts silence`: times in which nobody is told of some alerts.
struct AlertsSilence: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "silence", abstract: "Make, list and end silences of alerts.", discussion: Failing.exits,
        subcommands: [SilenceAdd.self, SilenceList.self, SilenceExpire.self])
}

struct SilenceAdd: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "add", "Tell nobody of the alerts that matchers match, for a while.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "Matchers, all of which must match: alertname=AgentDown, agent=~writer.*")
    var matchers: [String]

    @Option(name: .customLong("for"), help: "For how long, such as 2h or 30m.")
    var duration = "1h"

    @Option(help: "Why; shown to everybody.")
    var comment = ""

    @Flag(help: "Take matchers that match every alert, which are refused otherwise.")
    var everything = false

    func validate() throws {
        if matchers.isEmpty { throw ValidationError("Name a matcher, such as alertname=AgentDown.") }
        if let wrong = matchers.first(where: { Self.matcher($0) == nil }) {
            throw ValidationError("\(wrong) is no matcher: write NAME=VALUE, or one of != =~ !~.")
        }
    }

    /// `NAME=VALUE`, the value with or without quotes.
    static func matcher(_ text: String) -> JSONValue? {
        let name = text.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        let kinds = [("=~", true, true), ("!~", true, false), ("!=", false, false), ("=", false, true)]
        let rest = text[name.endIndex...]
        guard !name.isEmpty, let kind = kinds.first(where: { rest.hasPrefix($0.0) }) else { return nil }
        var value = rest.dropFirst(kind.0.count)
        if value.count > 1, value.first == "\"", value.last == "\"" { value = value.dropFirst().dropLast() }
        return [
            "name": .string(String(name)), "value": .string(String(value)), "isRegex": .bool(kind.1),
            "isEqual": .bool(kind.2),
        ]
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let body: JSONValue = [
            "matchers": .array(matchers.compactMap(Self.matcher)), "duration": .string(duration),
            "comment": .string(comment), "everything": .bool(everything),
        ]
        let reply = try await reeve.post(ReeveClient.path("api", "v2", "silences"), body)
        return Answer(json: reply, text: Words.plain(reply["silenceID"]))
    }
}

struct SilenceList: ClientCommand {
    static let configuration = CommandConfiguration.client("list", "List silences that have not ended.")

    @OptionGroup var client: ClientOptions

    @Flag(help: "Those as well that ended of late.") var expired = false

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let all = try await reeve.get(ReeveClient.path("api", "v2", "silences")).array ?? []
        let shown = expired ? all : all.filter { $0["status"]?["state"]?.string != "expired" }
        let rows = shown.map { silence in
            [
                Words.plain(silence["id"]), Words.plain(silence["status"]?["state"]),
                (silence["matchers"]?.array ?? []).map(Self.text).joined(separator: ", "),
                Words.plain(silence["endsAt"]), Words.plain(silence["createdBy"]), Words.plain(silence["comment"]),
            ]
        }
        let table = TextTable(["ID", "State", "Alerts", "Ends", "By", "Comment"], rows)
        return Answer(
            json: ["items": .array(shown)], text: rows.isEmpty ? "No silences." : table.lines().joined(separator: "\n"))
    }

    private static func text(_ matcher: JSONValue) -> String {
        let isEqual = matcher["isEqual"]?.bool ?? true
        let sign = matcher["isRegex"]?.bool == true ? (isEqual ? "=~" : "!~") : (isEqual ? "=" : "!=")
        return "\(Words.plain(matcher["name"]))\(sign)\(Words.plain(matcher["value"]))"
    }
}

struct SilenceExpire: ClientCommand {
    static let configuration = CommandConfiguration.client("expire", "End a silence.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The silence's id.") var id: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        _ = try await reeve.delete(ReeveClient.path("api", "v2", "silence", id))
        return Answer(json: ["id": .string(id)], text: "The silence \(id) ended.")
    }
}

/// `reeve alerts deliveries`: what became of telling receivers.
struct AlertsDeliveries: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "deliveries", "List attempts to tell receivers of alerts, the newest first.")

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    @Option(help: "Only those to this receiver.") var receiver: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let found = try await reeve.list(
            ["api", "v1", "notifications", "deliveries"], query: [("receiver", receiver), ("after", page.after)],
            limit: page.limit)
        let rows = found.items.map { item in
            ["at", "receiver", "state", "status", "reason", "alerts", "attempt", "milliseconds", "answer"]
                .map { Words.plain(item[$0]) }
        }
        let table = TextTable(
            ["At", "Receiver", "State", "Status", "Reason", "Alerts", "Attempt", "ms", "Answer"], rows)
        var text = rows.isEmpty ? "No attempts." : table.lines().joined(separator: "\n")
        if let next = found.next { text += "\nMore follows: --after \(next)" }
        return Answer(json: ["items": .array(found.items), "next": .of(found.next)], text: text)
    }
}

/// `reeve alerts send-test`. Exit status 1 where the receiver did not take it.
struct AlertsSendTest: ClientCommand {
    static let configuration = CommandConfiguration.client("send-test", "Tell a receiver of an alert that is none.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The receiver's name.") var receiver: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let path = ReeveClient.path("api", "v1", "notifications", "receivers", receiver, "test")
        let delivery = try await reeve.post(path, [:])
        let isTold = delivery["state"]?.string == "delivered"
        let status = Words.plain(delivery["status"])
        return Answer(
            json: delivery,
            text: isTold
                ? "\(receiver) took it: \(status) in \(Words.plain(delivery["milliseconds"])) ms"
                : "\(receiver) did not take it: \(status) \(Words.plain(delivery["answer"]))",
            status: isTold ? 0 : 1)
    }
}
