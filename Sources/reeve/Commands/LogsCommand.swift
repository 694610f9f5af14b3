import ArgumentParser
import Foundation
import Kernel
import Runner

/// `reeve logs`: what programs wrote, by what it belongs to and by what it says.
struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Show log records, or follow them as they come.",
        discussion: """
            Without --follow the newest records that match, the oldest of them first; with --json the answer of \
            GET /api/v1/logs. With --follow --json each record is a line of its own. \(Failing.exits)
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "Only what belongs to this correlation id or trace.") var correlation: String?
    @Option(help: "Only records with these words, in either case; several in quotes stand together.")
    var query: String?
    @Option(help: "Only of this service.") var service: String?
    @Option(help: "Only of this agent.") var agent: String?
    @Option(help: "Only so grave at least: trace, debug, info, warning, error or fatal.") var level: String?
    @Option(help: "Only of this category, such as error or tool.") var category: String?
    @Option(help: "From this moment on: a time such as 2026-11-20T08:00:00Z, or how long ago, such as 1h.")
    var since: String?
    @Option(help: "Before this moment.") var until: String?
    @Option(help: "Records at most.") var limit = 100
    @Flag(name: .shortAndLong, help: "Go on with those that come, until stopped.") var follow = false

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit is at least 1.") }
        guard !follow || until == nil else { throw ValidationError("--follow has no --until.") }
    }

    private var filter: [(String, String?)] {
        [
            ("correlationId", correlation), ("q", query), ("service", service), ("agent", agent), ("level", level),
            ("category", category),
        ]
    }

    func run() async throws {
        try await Failing.translated(isJSON: output.isJSON) {
            let reeve = try connection.client()
            let path = ReeveClient.path(
                "api", "v1", "logs",
                query: filter + [("since", since), ("until", until), ("limit", String(limit))])
            let page = try await reeve.get(path)
            if output.isJSON, !follow { return print(page.prettyText) }
            let records = (page["items"]?.array ?? []).reversed()
            show(records)
            if follow { try await goOn(reeve, behind: Array(records)) } else if records.isEmpty { Self.sayNone() }
        }
    }

    private func show(_ records: some Sequence<JSONValue>) {
        for record in records { Screen.write((output.isJSON ? record.text : LogText.line(record)) + "\n") }
    }

    private static func sayNone() { Screen.complain("There are no such records.\n") }

    /// Asks again and again for the last seconds, and shows what it has not shown: records come in out of order.
    private func goOn(_ reeve: ReeveClient, behind shown: [JSONValue]) async throws {
        var seen = LogWindow(shown)
        while true {
            try await reeve.world.time.sleep(for: .seconds(1))
            let path = ReeveClient.path(
                "api", "v1", "logs",
                query: filter + [
                    ("since", seen.start(at: reeve.world.now).rfc3339), ("order", "asc"),
                    ("limit", String(LogWindow.recordsMax)),
                ])
            let page = try await reeve.get(path, patience: .endless)
            show(seen.new(page["items"]?.array ?? []))
        }
    }
}
