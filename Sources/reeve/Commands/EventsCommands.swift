import ArgumentParser
import Foundation
import Kernel
import Runner
import Synchronization

/// `reeve events`: what happened, and what happens now.
struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "List events, or follow them as they happen.", discussion: Failing.exits,
        subcommands: [EventsList.self, EventsFollow.self], defaultSubcommand: EventsList.self)
}

struct EventFilterOptions: ParsableArguments {
    @Option(help: "Only events of this agent.") var agent: String?
    @Option(help: "Only events of this task.") var task: String?
    @Option(help: "Only this type, or with .* all that begin so, as task.*") var type: String?

    var query: [(String, String?)] { [("agent", agent), ("task", task), ("type", type)] }
}

struct EventsList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List events, the oldest first.")
    static let view = ListView.events

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions
    @OptionGroup var filter: EventFilterOptions

    var place: [String] { ["api", "v1", "events"] }
    var filters: [(String, String?)] { filter.query }
}

struct EventsFollow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "follow", abstract: "Print events as they happen, until stopped.",
        discussion: """
            Goes on by itself after a broken connection, without losing an event. With --json each event is a line of \
            its own. \(Failing.exits)
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var filter: EventFilterOptions
    @Option(help: "Begin behind this number; 0 for the first event. From now unless given.") var after: String?
    @Option(help: "End after so many events.") var limit: Int?

    func run() async throws {
        try await Failing.translated(isJSON: output.isJSON) {
            let tail = EventFollower(client: try connection.client(), query: filter.query, after: after)
            let isJSON = output.isJSON
            try await tail.run(limit: limit) { event in
                Screen.write((isJSON ? event.text : ListView.line(event)) + "\n")
            }
        }
    }
}

/// `reeve audit`: who did what, and whether the record is whole.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "List administrative acts, or verify their chain.", discussion: Failing.exits,
        subcommands: [AuditList.self, AuditVerify.self], defaultSubcommand: AuditList.self)
}

struct AuditList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List administrative acts, the oldest first.")
    static let view = ListView.audit

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    var place: [String] { ["api", "v1", "audit"] }
}

struct AuditVerify: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check the chain of hashes from the first act to the last.",
        discussion: "Exits with 1 where a row was changed or is missing. \(Failing.exits)")

    @OptionGroup var client: ClientOptions

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let report = try await reeve.get("/api/v1/audit/verify")
        let rows = Words.plain(report["rows"])
        guard report["valid"]?.bool == true else {
            let text = "The audit log is NOT whole: row \(Words.plain(report["brokenAt"])) is not as it was written."
            return Answer(json: report, text: text, status: 1)
        }
        return Answer(json: report, text: "The audit log is whole: \(rows) rows, head \(Words.plain(report["head"])).")
    }
}
