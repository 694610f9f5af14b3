import ArgumentParser
import Kernel
import Runner

struct TasksCreate: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a task, or from a file one or a graph of them.",
        discussion: """
            With --file the document is sent as it is: one task, or {"tasks":[…]} for a graph that is created whole \
            or not at all. \(Failing.exits)
            """)

    @OptionGroup var client: ClientOptions

    @Option(help: "A JSON file with a task or a graph; - for standard input.") var file: String?
    @Option(help: "What is to be done, in a line.") var title: String?
    @Option(help: "The queue; default unless given.") var queue: String?
    @Option(help: "The project; default unless given.") var project: String?
    @Option(help: "The type, which says what kind of work it is.") var type: String?
    @Option(help: "What the agent gets: JSON, @file, or - for standard input.") var input: String?
    @Option(help: "Counts as so many seconds earlier in the queue.") var priority: Int?
    @Option(name: .customLong("depends-on"), help: "A task that must be done first; may be repeated.")
    var dependsOn: [String] = []
    @Option(help: "The agent that alone may take it.") var agent: String?
    @Option(help: "A capability that the agent must have; may be repeated.") var requires: [String] = []
    @Option(help: "The model that its agent asks for; while that is out, the task waits.") var model: String?
    @Option(help: "The tier of models in its stead: cheap, standard or premium.") var tier: String?
    @Option(help: "A JSON Schema for its JSON deliverables: JSON or @file.") var schema: String?
    @Flag(help: "A person reviews the result.") var review = false
    @Option(help: "So many people approve the result.") var approvals: Int?
    @Option(name: .customLong("max-attempts"), help: "Failed attempts until it is set aside.") var maxAttempts: Int?
    @Option(name: .customLong("timeout"), help: "Seconds that one attempt may take.") var timeoutSeconds: Double?
    @Option(name: .customLong("lease"), help: "Seconds between two heartbeats at most.") var leaseSeconds: Double?
    @Option(name: .customLong("at"), help: "Not before this time, RFC 3339.") var scheduledFor: String?
    @Option(name: .customLong("unique-key"), help: "A second task with this key is not created while one lives.")
    var uniqueKey: String?

    func validate() throws {
        guard file != nil || title != nil || type != nil else {
            throw ValidationError("Give --title, or a document with --file.")
        }
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        if let file {
            let document = try JSONArgument.read(file == "-" ? "-" : "@" + file, name: "--file")
            guard document["tasks"] != nil else { return .details(try await reeve.post("/api/v1/tasks", document)) }
            let reply = try await reeve.post("/api/v1/tasks/graph", document)
            return .list(.tasks, (reply["items"]?.array ?? [], nil))
        }
        return .details(try await reeve.post("/api/v1/tasks", .object(try body())))
    }

    private func body() throws -> JSONObject {
        var body = JSONObject()
        body.add("title", title)
        body.add("queue", queue)
        body.add("project", project)
        body.add("type", type)
        if let input { body["input"] = try JSONArgument.read(input, name: "--input") }
        body.add("priority", priority)
        if !dependsOn.isEmpty { body["dependsOn"] = .list(dependsOn) }
        body.add("agent", agent)
        if !requires.isEmpty { body["requires"] = .list(requires) }
        body.add("model", model)
        body.add("tier", tier)
        if let schema { body["deliverableSchema"] = try JSONArgument.read(schema, name: "--schema") }
        if let approvals {
            body["review"] = ["approvals": approvals.json]
        } else if review {
            body["review"] = true
        }
        body.add("maxAttempts", maxAttempts)
        body.add("timeoutSeconds", timeoutSeconds)
        body.add("leaseSeconds", leaseSeconds)
        body.add("scheduledFor", scheduledFor)
        body.add("uniqueKey", uniqueKey)
        return body
    }
}
