import ArgumentParser
import Kernel
import Runner

/// `reeve calls`: model calls, what they cost and how they were decided.
struct CallsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "calls", abstract: "List, show and explain model calls.", discussion: Failing.exits,
        subcommands: [CallsList.self, CallsShow.self, CallsExplain.self], defaultSubcommand: CallsList.self)
}

struct CallsList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List model calls, the newest first.")
    static let view = ListView.calls

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    @Option(help: "Only calls of this agent.") var agent: String?
    @Option(help: "Only calls of this project.") var project: String?
    @Option(help: "Only calls made for this task.") var task: String?
    @Option(help: "Only calls of this session.") var session: String?
    @Option(help: "Only this model, as callers name it.") var model: String?
    @Option(help: "Only calls with this tag.") var tag: String?
    @Option(help: "Only these, comma-separated: running, done, failed, canceled.") var status: String?
    @Option(help: "Only calls that began at this time or later, such as 2026-11-20T08:00:00Z.") var since: String?

    var place: [String] { ["api", "v1", "calls"] }
    var filters: [(String, String?)] {
        [
            ("agent", agent), ("project", project), ("task", task), ("session", session), ("model", model),
            ("tag", tag), ("status", status), ("since", since),
        ]
    }
}

struct CallsShow: ClientCommand {
    static let configuration = CommandConfiguration.client("show", "Show a model call and its attempts.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The call's id, as the header x-reeve-call of its answer has it.")
    var id: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let call = try await reeve.get(ReeveClient.path("api", "v1", "calls", id))
        if isJSON { return .details(call) }
        var shown = call.object ?? JSONObject()
        let attempts = shown["attempts"]?.array ?? []
        shown["attempts"] = nil
        let now = reeve.world.now
        let parts = [
            Words.details(.object(shown), at: now),
            "Attempts\n" + ListView.callAttempts.text(attempts, at: now, width: Screen.columns),
        ]
        return Answer(json: call, text: parts.joined(separator: "\n\n"))
    }
}

struct CallsExplain: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "explain", "Say why a call went where it did, and what became of it.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The call's id, as the header x-reeve-call of its answer has it.")
    var id: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let explanation = try await reeve.get(ReeveClient.path("api", "v1", "calls", id, "explain"))
        let steps = (explanation["steps"]?.array ?? []).map { step in
            [step["afterMs"]?.int.map { "+\($0) ms" } ?? "", Words.plain(step["text"])]
        }
        return Answer(
            json: explanation, text: TextTable(["", ""], steps).lines().dropFirst().joined(separator: "\n"))
    }
}

/// `reeve costs`: what was spent.
struct CostsCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "costs", abstract: "Sum up what model calls cost.",
        discussion: """
            Days are UTC, the last one included. With --csv it prints a table for spreadsheets, with amounts exact to \
            a billionth of a dollar. \(Failing.exits)
            """)

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    @Option(help: "What the sums are by: agent, project, task, model, tag or day.") var by = "agent"
    @Option(help: "The first day, such as 2026-11-01; 30 days back unless given.") var since: String?
    @Option(help: "The last day; today unless given.") var until: String?
    @Option(help: "Only calls of this agent.") var agent: String?
    @Option(help: "Only calls of this project.") var project: String?
    @Option(help: "Only calls of this model.") var model: String?
    @Flag(help: "Print CSV (RFC 4180), all rows of it.") var csv = false

    func validate() throws {
        guard !(csv && isJSON) else { throw ValidationError("--csv and --json exclude each other.") }
    }

    private var query: [(String, String?)] {
        [
            ("by", by), ("since", since), ("until", until), ("agent", agent), ("project", project), ("model", model),
            ("after", page.after),
        ]
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        if csv {
            let path = ReeveClient.path("api", "v1", "costs", query: query + [("format", "csv")])
            // `print` ends the last line.
            var text = String(decoding: try await reeve.bytes(path), as: UTF8.self)
            if text.hasSuffix("\r\n") { text.removeLast() }
            // A file gets what came; a terminal gets no control character of an agent's.
            if Screen.columns != nil {
                text = text.split(separator: "\r\n").map { Terminal.printable(String($0)) }.joined(separator: "\n")
            }
            return Answer(json: .null, text: text)
        }
        let first = try await reeve.get(
            ReeveClient.path("api", "v1", "costs", query: query + [("limit", String(min(500, page.limit)))]))
        var items = first["items"]?.array ?? []
        var next = first["next"]?.string
        while let cursor = next, items.count < page.limit {
            let rest = String(min(500, page.limit - items.count))
            let more = query.filter { $0.0 != "after" } + [("after", cursor), ("limit", rest)]
            let part = try await reeve.get(ReeveClient.path("api", "v1", "costs", query: more))
            items += part["items"]?.array ?? []
            next = part["next"]?.string
        }
        var document = first.object ?? JSONObject()
        document["items"] = .array(items)
        document["next"] = .of(next)
        let span = "\(Words.plain(first["since"])) to \(Words.plain(first["until"]))"
        var text = ListView.costs(by: by).text(items, at: reeve.world.now, width: Screen.columns)
        text += "\n\nAll calls from \(span): \(Words.dollars(first["total"]?["nanoUSD"]))"
        if let unpriced = first["total"]?["unpricedCalls"]?.int, unpriced > 0 {
            text += ", without \(unpriced) whose price is not known"
        }
        if let next { text += "\nMore follows: --after \(next)" }
        return Answer(json: .object(document), text: text)
    }
}
