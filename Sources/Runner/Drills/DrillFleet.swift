import Kernel

/// The agents of one drill: each has a key of its own, and all are named by the drill's prefix.
struct DrillFleet: Sendable {
    /// With the key of whoever started the drill.
    let operator_: ReeveClient
    /// As the server describes it.
    let drill: JSONValue
    private let keys: [String: String]
    /// A reply that does not come now may come in a moment; what takes longer is told by the next beat.
    private static let patience = Patience(
        tries: 4, base: .milliseconds(100), cap: .milliseconds(500), total: .seconds(3))

    /// Registers agents by these names, behind the drill's prefix.
    static func gather(_ names: [String], of drill: JSONValue, by client: ReeveClient) async throws -> DrillFleet {
        let prefix = drill["prefix"]?.string ?? ""
        var keys: [String: String] = [:]
        for name in names.map({ prefix + $0 }) {
            let body: JSONValue = ["role": "agent", "name": .string("drill \(name)"), "agent": .string(name)]
            keys[name] = try await client.post("/api/v1/keys", body)["key"]?.string
        }
        let fleet = DrillFleet(operator_: client, drill: drill, keys: keys)
        for name in names { try await fleet.beat(name) }
        return fleet
    }

    private init(operator_: ReeveClient, drill: JSONValue, keys: [String: String]) {
        (self.operator_, self.drill, self.keys) = (operator_, drill, keys)
    }

    var prefix: String { drill["prefix"]?.string ?? "" }
    var project: String { drill["project"]?.string ?? "" }
    var id: String { drill["id"]?.string ?? "" }

    func name(_ short: String) -> String { prefix + short }

    /// Tasks whose projects are asked for; more are no drill's.
    private static let tasksMax = 100

    /// What a containment would touch that is not the drill's.
    ///
    /// - Parameter radius: The `blastRadius` of its preview.
    func others(in radius: JSONValue) async throws -> [String] {
        func names(_ value: JSONValue?) -> [String] { (value?.array ?? []).compactMap(\.string) }
        var (others, tasks): ([String], [String]) = ([], [])
        for kind in ["agents", "sessions", "tasksInProgress", "tasksHeld", "downstream"] {
            let named = names(radius[kind]?["names"])
            let rest = Int(radius[kind]?["count"]?.int ?? 0) - named.count
            if rest > 0 { others.append("\(rest) more of \(kind)") }
            if ["agents", "sessions"].contains(kind) { others += named.filter { !isOwn($0) } } else { tasks += named }
        }
        others += (names(radius["models"]) + names(radius["others"])).filter { !isOwn($0) }
        if radius["complete"]?.bool == false { others.append("more than is told") }
        let asked = Set(tasks).sorted()
        guard asked.count <= Self.tasksMax else { return others + ["\(asked.count) tasks"] }
        for task in asked {
            let found = try? await operator_.get(ReeveClient.path("api", "v1", "tasks", task))
            if found?["project"]?.string != project { others.append("task:\(task)") }
        }
        return others
    }

    /// Whether something is the drill's by its name, with or without its kind before it.
    func isOwn(_ text: String) -> Bool { Self.isOwn(text, drill) }

    static func isOwn(_ text: String, _ drill: JSONValue) -> Bool {
        func word(_ name: String) -> String { drill[name]?.string ?? "" }
        let name = text.split(separator: ":").last.map(String.init) ?? text
        return name.hasPrefix(word("prefix")) || [word("project"), word("model"), word("provider")].contains(name)
            || name.hasPrefix("\(word("provider"))/")
    }

    /// The server as an agent sees it.
    func agent(_ short: String) -> ReeveClient { operator_.with(key: keys[name(short)] ?? "") }

    // MARK: What agents do

    func beat(_ short: String) async throws {
        let body: JSONValue = [
            "type": "agent.heartbeat", "agentType": word("agentType"), "project": .string(project),
            "statusMessage": "part of a drill",
        ]
        _ = try await agent(short).post("/api/events/ingest", body, patience: Self.patience)
    }

    /// A task of the drill's project.
    @discardableResult
    func create(queue: String, title: String, more: [(String, JSONValue)] = []) async throws -> String {
        var body = JSONObject()
        body["queue"] = .string(name(queue))
        body["project"] = .string(project)
        body["type"] = word("agentType")
        body["title"] = .string(title)
        for (name, value) in more { body[name] = value }
        return try await operator_.post("/api/v1/tasks", .object(body))["id"]?.string ?? ""
    }

    /// A task in an agent's hands.
    struct Hold: Sendable {
        let task: String
        let fence: Int64
    }

    func claim(_ short: String, from queue: String) async throws -> Hold? {
        let body: JSONValue = ["queues": [.string(name(queue))], "limit": 1, "waitSeconds": 0]
        let items =
            try await agent(short).post("/api/v1/tasks/claim", body, patience: Self.patience)["items"]?.array ?? []
        guard let item = items.first, let task = item["task"]?["id"]?.string, let fence = item["fence"]?.int else {
            return nil
        }
        return Hold(task: task, fence: fence)
    }

    @discardableResult
    func write(
        _ short: String, _ verb: String, _ hold: Hold, _ more: [(String, JSONValue)] = []
    ) async throws -> JSONValue {
        var body = JSONObject()
        body["fence"] = .int(hold.fence)
        for (name, value) in more { body[name] = value }
        return try await agent(short).post(
            ReeveClient.path("api", "v1", "tasks", hold.task, verb), .object(body), patience: Self.patience)
    }

    /// What a model call says.
    enum Saying: Sendable {
        case question(String)
        /// So that the model's provider fails.
        case fails
        /// So that it costs much.
        case burns
    }

    /// One model call; what it says decides what comes of it. It is made once: what it fails with is the fault.
    func ask(_ short: String, _ saying: Saying, session: String? = nil) async throws {
        var agent = agent(short)
        if let session { agent = agent.with(headers: ["x-reeve-session": session]) }
        let body: JSONValue = [
            "model": model, "max_tokens": 64, "messages": [["role": "user", "content": words(saying)]],
            "tools": [["type": "function", "function": ["name": word("tool"), "parameters": ["type": "object"]]]],
        ]
        _ = try await agent.post("/v1/chat/completions", body, patience: .none)
    }

    /// The model of drills, which every server has.
    var model: JSONValue { word("model") }

    /// What the server calls something of drills.
    private func word(_ name: String) -> JSONValue { drill[name] ?? .null }

    private func words(_ saying: Saying) -> JSONValue {
        switch saying {
        case .question(let text): .string(text)
        case .fails: drill["words"]?["fails"] ?? .null
        case .burns: drill["words"]?["burns"] ?? .null
        }
    }

    /// Tells of a call of a tool, as an instrumented agent would.
    func tell(
        _ short: String, tool status: String, arguments: String, seconds: Double
    ) async throws {
        let now = operator_.world.now.microseconds * 1_000
        let tool = word("tool").string ?? ""
        let attributes: [(String, String)] =
            [
                ("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", tool),
                ("gen_ai.tool.call.arguments", arguments), ("gen_ai.conversation.id", "\(prefix)session"),
                ("gen_ai.agent.name", name(short)),
            ] + (status == "timeout" ? [("error.type", "timeout")] : [])
        let span: JSONValue = [
            "traceId": .string(Hexadecimal.encode(operator_.world.entropy.bytes(16))),
            "spanId": .string(Hexadecimal.encode(operator_.world.entropy.bytes(8))),
            "name": .string("execute_tool \(tool)"), "kind": 1,
            "startTimeUnixNano": .string("\(now - Int64(seconds * 1e9))"), "endTimeUnixNano": .string("\(now)"),
            "attributes": .array(
                attributes.map { ["key": .string($0.0), "value": ["stringValue": .string($0.1)]] }),
            "status": ["code": .int(status == "success" ? 1 : 2)],
        ]
        let body: JSONValue = ["resourceSpans": [["scopeSpans": [["spans": [span]]]]]]
        _ = try await agent(short).post("/v1/traces", body, patience: Self.patience)
    }
}
