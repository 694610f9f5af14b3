import ArgumentParser
import Kernel
import Runner

/// `reeve incidents`: what went wrong, and how far it is.
struct IncidentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "incidents", abstract: "List, open and see to incidents, and read their postmortems.",
        discussion: Failing.exits,
        subcommands: [
            IncidentsList.self, IncidentsShow.self, IncidentsOpen.self, IncidentsAcknowledge.self, IncidentsNote.self,
            IncidentsStatus.self, IncidentsMilestone.self, IncidentsResolve.self, IncidentsPostmortem.self,
            IncidentsReport.self, IncidentRun.self, IncidentContain.self,
        ],
        defaultSubcommand: IncidentsList.self, aliases: ["incident"])

    static func path(_ id: String, _ verb: String) -> String { ReeveClient.path("api", "v1", "incidents", id, verb) }
}

struct IncidentsList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List incidents, the newest first.")
    static let view = ListView.incidents

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions
    @Option(help: "open, resolved, or the milestone that was reached last.") var state: String?
    @Option(help: "critical, warning or info.") var severity: String?
    @Option(help: "A failure mode, such as llm-outage.") var mode: String?

    var place: [String] { ["api", "v1", "incidents"] }
    var filters: [(String, String?)] { [("state", state), ("severity", severity), ("mode", mode)] }
}

struct IncidentsShow: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "show", "Show an incident: what is known of it, and its timeline.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The incident's id.") var id: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let incident = try await reeve.get(ReeveClient.path("api", "v1", "incidents", id))
        let analysis = try await reeve.get(IncidentsCommand.path(id, "analysis"))
        var object = incident.object ?? JSONObject()
        object["analysis"] = analysis
        let document = JSONValue.object(object)
        return Answer(json: document, text: IncidentText.room(document, at: reeve.world.now))
    }
}

struct IncidentsOpen: ClientCommand {
    static let configuration = CommandConfiguration.client("open", "Open an incident by hand.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "What is wrong, in one line.") var title: String
    @Option(help: "critical, warning or info.") var severity = "warning"
    @Option(help: "What it is about, such as agent:writer or provider:main; may be repeated.") var subject: [String] =
        []
    @Option(help: "A failure mode, such as llm-outage.") var mode: String?
    @Option(help: "What is known.") var note: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        var body = JSONObject()
        body["title"] = .string(title)
        body["severity"] = .string(severity)
        if !subject.isEmpty { body["subjects"] = .list(subject) }
        body.add("mode", mode)
        body.add("note", note)
        return .details(try await reeve.post("/api/v1/incidents", .object(body)))
    }
}

/// One milestone, stated by a person.
protocol IncidentMilestoneCommand: ClientCommand {
    var milestone: String { get }
    var id: String { get }
    var note: String? { get }
}

extension IncidentMilestoneCommand {
    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let incident = try await reeve.post(
            IncidentsCommand.path(id, "milestones"), .given(("milestone", milestone), ("note", note)))
        return Answer(json: incident, text: "\(id): \(Words.plain(incident["state"]))")
    }
}

struct IncidentsAcknowledge: IncidentMilestoneCommand {
    static let configuration = CommandConfiguration.client("ack", "Say that somebody sees to it.")
    var milestone: String { "acknowledged" }

    @OptionGroup var client: ClientOptions
    @Argument(help: "The incident's id.") var id: String
    @Option(help: "A remark.") var note: String?
}

struct IncidentsMilestone: IncidentMilestoneCommand {
    static let configuration = CommandConfiguration(
        commandName: "milestone",
        abstract: "Say that an incident reached a milestone.",
        discussion: "acknowledged, contained, mitigated, verified, resolved, postmortem. \(Failing.exits)")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The incident's id.") var id: String
    @Argument(help: "The milestone.") var milestone: String
    @Option(help: "A remark.") var note: String?
}

struct IncidentsResolve: IncidentMilestoneCommand {
    static let configuration = CommandConfiguration.client(
        "resolve", "Say that it is over; its postmortem is due from then on.")
    var milestone: String { "resolved" }

    @OptionGroup var client: ClientOptions
    @Argument(help: "The incident's id.") var id: String
    @Option(help: "A remark.") var note: String?
}

struct IncidentsNote: ClientCommand {
    static let configuration = CommandConfiguration.client("note", "Write a note into the timeline.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The incident's id.") var id: String
    @Argument(help: "The note.") var text: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let incident = try await reeve.post(IncidentsCommand.path(id, "notes"), ["text": .string(text)])
        return Answer(json: incident, text: "\(id): noted")
    }
}

struct IncidentsStatus: ClientCommand {
    static let configuration = CommandConfiguration.client("status", "Say what stakeholders are told.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The incident's id.") var id: String
    @Argument(help: "What they are told.") var text: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let incident = try await reeve.put(IncidentsCommand.path(id, "status"), ["text": .string(text)])
        return Answer(json: incident, text: "\(id): told")
    }
}

struct IncidentsPostmortem: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "postmortem", "Print a postmortem as Markdown, publish it, or say that none is needed.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The incident's id.") var id: String
    @Flag(help: "Publish it as it stands.") var publish = false
    @Option(help: "Why none is needed.") var waive: String?

    func validate() throws {
        guard !publish || waive == nil else { throw ValidationError("Either --publish or --waive.") }
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        if let waive {
            let path = ReeveClient.path("api", "v1", "incidents", id, "postmortem", "waive")
            return Answer(json: try await reeve.post(path, ["reason": .string(waive)]), text: "\(id): no postmortem")
        }
        if publish {
            let path = IncidentsCommand.path(id, "milestones")
            return Answer(json: try await reeve.post(path, ["milestone": "postmortem"]), text: "\(id): published")
        }
        let bytes = try await reeve.bytes(IncidentsCommand.path(id, "postmortem"))
        let text = String(decoding: bytes, as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { Terminal.printable(String($0)) }
        return Answer(json: ["document": .string(text)], text: lines.joined(separator: "\n"))
    }
}

struct IncidentsReport: ClientCommand {
    static let configuration = CommandConfiguration.client(
        "report", "How long incidents took, and which alerts were noise.")

    @OptionGroup var client: ClientOptions
    @Option(help: "Of so many days.") var days = 90

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let report = try await reeve.get(
            ReeveClient.path("api", "v1", "incidents", "report", query: [("days", String(days))]))
        return Answer(json: report, text: IncidentText.report(report))
    }
}
