import ArgumentParser
import Kernel
import Runner

/// `reeve reviews`: what waits for a person's verdict.
struct ReviewsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reviews", abstract: "Look at results and approve them, ask for changes, or reject them.",
        discussion: Failing.exits,
        subcommands: [
            ReviewsList.self, ReviewsShow.self, ReviewsApprove.self, ReviewsChanges.self, ReviewsReject.self,
        ],
        defaultSubcommand: ReviewsList.self)
}

struct ReviewsList: ListCommand {
    static let configuration = CommandConfiguration.client(
        "list", "List tasks that wait for a reviewer, the oldest first.")
    static let view = ListView.reviews

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    var place: [String] { ["api", "v1", "reviews"] }
}

/// What is under review: the task, and the one value that a verdict names.
struct Submission {
    let task: JSONValue
    let sha256: String?
    let deliverables: [JSONValue]

    static func fetch(_ id: String, _ reeve: ReeveClient) async throws -> Submission {
        let task = try await reeve.get(ReeveClient.path("api", "v1", "tasks", id))
        return Submission(
            task: task, sha256: task["submission"]?["sha256"]?.string, deliverables: task["deliverables"]?.array ?? [])
    }

    /// One line a deliverable, for the reader to know what a verdict is on.
    var summary: String {
        let lines = deliverables.map { item in
            "  \(Words.plain(item["name"]))  revision \(Words.plain(item["revision"])), \(Words.bytes(item["size"])), "
                + "sha256 \(Words.plain(item["sha256"]).prefix(12))…"
        }
        let head = "\(Words.plain(task["title"])) (\(Words.plain(task["id"]))), by \(Words.plain(task["agent"]))"
        return ([head] + lines).joined(separator: "\n")
    }
}

struct ReviewsShow: ClientCommand {
    static let configuration = CommandConfiguration.client("show", "Show what was submitted, content included.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The task's id.") var id: String
    @Option(help: "Lines of each deliverable; 0 for all.") var lines = 200

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let submission = try await Submission.fetch(id, reeve)
        if isJSON { return Answer(json: submission.task, text: "") }
        var parts = [submission.summary]
        for item in submission.deliverables {
            guard let url = item["url"]?.string, url.hasPrefix("/") else { continue }
            let name = Words.plain(item["name"])
            let content = try await reeve.bytes(url)
            parts.append("--- \(name)\n" + text(content))
        }
        return Answer(json: submission.task, text: parts.joined(separator: "\n\n"))
    }

    private func text(_ content: [UInt8]) -> String {
        guard let text = String(validating: content, as: UTF8.self), !content.contains(0) else {
            return "(\(content.count) bytes that are not text)"
        }
        let all = text.split(separator: "\n", omittingEmptySubsequences: false)
        let shown = lines > 0 ? all.prefix(lines) : all[...]
        let rest = all.count > shown.count ? "\n… \(all.count - shown.count) more lines; see them with --lines 0" : ""
        return shown.map { Terminal.printable(String($0)) }.joined(separator: "\n") + rest
    }
}

/// One verdict on what is submitted at this moment, by the name of the command.
protocol VerdictCommand: ClientCommand {
    var id: String { get }
    var comment: String? { get }
    var sha256: String? { get }
}

extension VerdictCommand {
    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let submission = try await Submission.fetch(id, reeve)
        // The server refuses a verdict on content that has changed since it was read here.
        let body = JSONValue.given(
            ("verdict", Self.verb), ("sha256", sha256 ?? submission.sha256), ("comment", comment))
        let task = try await reeve.post(ReeveClient.path("api", "v1", "tasks", id, "review"), body)
        let verdict = "\(Self.verb): the task is \(Words.plain(task["state"])) now."
        return Answer(json: task, text: "\(submission.summary)\n\(verdict)")
    }
}

struct ReviewsApprove: VerdictCommand {
    static let configuration = CommandConfiguration.client("approve", "Approve what is submitted now.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The task's id.") var id: String
    @Option(help: "A remark.") var comment: String?
    @Option(help: "Approve only this content; the current one unless given.") var sha256: String?
}

struct ReviewsChanges: VerdictCommand {
    static let configuration = CommandConfiguration.client("changes", "Send it back to its author with remarks.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The task's id.") var id: String
    @Option(help: "What is to be changed.") var comment: String?
    @Option(help: "Judge only this content; the current one unless given.") var sha256: String?

    func validate() throws {
        guard comment?.isEmpty == false else { throw ValidationError("Say with --comment what is to be changed.") }
    }
}

struct ReviewsReject: VerdictCommand {
    static let configuration = CommandConfiguration.client("reject", "Reject it: the task is set aside.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The task's id.") var id: String
    @Option(help: "Why.") var comment: String?
    @Option(help: "Judge only this content; the current one unless given.") var sha256: String?
}
