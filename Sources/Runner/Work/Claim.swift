import Kernel

/// A task that was handed to this worker, with the fence that every write for it carries.
public struct Claim: Sendable, Equatable {
    /// The task as the server sent it, with its parents and the reviewers' feedback.
    public let task: JSONValue
    public let id: String
    public let attempt: Int64
    public let fence: Int64
    public let leaseExpiresAt: Timestamp?
    /// What the attempt belongs to.
    public let correlationID: String?
    public let traceparent: String?
    public let tracestate: String?
    /// The version of the agent's configuration to run it with.
    public let bundle: String?
    /// Whether a roll-out gave it the version that is on trial.
    public let isOnTrial: Bool

    /// One item of a claim's reply; `nil` where it has not the form.
    public init?(_ item: JSONValue) {
        guard let task = item["task"], let id = task["id"]?.string, let fence = item["fence"]?.int else { return nil }
        self.task = task
        self.id = id
        self.fence = fence
        self.attempt = item["attempt"]?.int ?? 1
        correlationID = item["correlationId"]?.string
        traceparent = item["traceparent"]?.string
        tracestate = item["tracestate"]?.string
        bundle = item["bundle"]?["version"]?.string
        isOnTrial = item["bundle"]?["arm"] == "new"
        self.leaseExpiresAt = item["leaseExpiresAt"]?.string.flatMap(Timestamp.init(rfc3339:))
    }

    /// What requests for it carry.
    var headers: [String: String] {
        var headers: [String: String] = [:]
        headers["x-correlation-id"] = correlationID
        headers["traceparent"] = traceparent
        return headers
    }

    public var title: String { task["title"]?.string ?? id }

    /// Whether the result goes to a reviewer.
    public var isReviewed: Bool {
        switch task["review"] {
        case nil, .null?, .bool(false)?: false
        default: true
        }
    }

    /// How long one attempt may run.
    public var timeout: Span? { task["timeoutSeconds"]?.double.map { .seconds($0) } }

    /// Until the first heartbeat's reply says better: a third of the lease, at least 0.2 s and at most a minute.
    public var heartbeatInterval: Span {
        .seconds(min(60, max(0.2, (task["leaseSeconds"]?.double ?? 30) / 3)))
    }
}

/// What a task's heartbeat brings back.
public struct TaskOrders: Sendable, Equatable {
    public let nextHeartbeatSeconds: Double?
    public let cancel: Bool

    public init(_ reply: JSONValue) {
        nextHeartbeatSeconds = reply["nextHeartbeatSeconds"]?.double.map { min(3_600, max(0.1, $0)) }
        cancel = reply["cancel"]?.bool ?? false
    }
}

/// The worker's verbs of the task interface.
public struct WorkerDesk: Sendable {
    public let client: ReeveClient

    public init(_ client: ReeveClient) {
        self.client = client
    }

    /// The same for the requests of one claim.
    func desk(for claim: Claim) -> WorkerDesk { WorkerDesk(client.with(headers: claim.headers)) }

    /// How long a claim waits for a task. Short, as a worker that stops lets the claim that is on its way end, so that
    /// no task is handed to somebody who is gone.
    public static let waitSeconds = 5.0

    /// Long-polls for tasks, once; empty where there are none. A repetition with the same `key` brings the same tasks.
    public func claim(queues: [String], limit: Int, key: String) async throws -> [Claim] {
        let body: JSONValue = [
            "queues": .list(queues), "limit": limit.json, "waitSeconds": .double(Self.waitSeconds),
            "takesBundle": true,
        ]
        let reply = try await client.post(
            "/api/v1/tasks/claim", body, patience: .none, timeout: .seconds(Self.waitSeconds + 15), idempotencyKey: key)
        return (reply["items"]?.array ?? []).compactMap(Claim.init)
    }

    /// The files of the version that a claim names, with the values that hold; `nil` where it names none.
    func bundle(of claim: Claim, agent: String) async throws -> BundleFiles? {
        guard let version = claim.bundle else { return nil }
        let path = ReeveClient.path("api", "v1", "agents", agent, "config")
        do {
            return try BundleFiles(
                try await client.get(path + ReeveClient.path(query: [("version", version)]).dropFirst()))
        } catch let failure as ClientFailure where failure.code == "not_found" {
            // The registry names a version that no bundle has: it is none of ours.
            return nil
        }
    }

    /// One sign of life, tried once: the next comes soon enough.
    public func heartbeat(_ claim: Claim) async throws -> TaskOrders {
        TaskOrders(try await write(claim, "heartbeat", JSONObject(), patience: .none, timeout: .seconds(10)))
    }

    /// Sends one deliverable. Text goes as JSON; anything else, and what is long, as multipart, byte for byte.
    public func deliver(_ claim: Claim, _ file: DeliverableFile, patience: Patience) async throws {
        if file.content.count <= 256 << 10, let text = String(validating: file.content, as: UTF8.self),
            !text.utf8.contains(0)
        {
            var members = JSONObject()
            members["name"] = .string(file.name)
            members["contentType"] = .string(file.contentType)
            members["content"] = .string(text)
            _ = try await write(claim, "deliverables", members, patience: patience)
            return
        }
        let form = MultipartForm(claim: claim, file: file, boundary: Digest.sha256(file.content).prefix(40))
        _ = try await client.upload(
            path(claim, "deliverables"), contentType: form.contentType, body: form.body, patience: patience)
    }

    public func complete(_ claim: Claim, output: JSONValue?, patience: Patience) async throws {
        try await end(claim, "complete", output, patience)
    }

    public func submit(_ claim: Claim, output: JSONValue?, patience: Patience) async throws {
        try await end(claim, "submit", output, patience)
    }

    public func fail(_ claim: Claim, class word: String, message: String, patience: Patience) async throws {
        var members = JSONObject()
        members["class"] = .string(word)
        members["message"] = .string(String(message.prefix(4_000)))
        _ = try await write(claim, "fail", members, patience: patience)
    }

    public func release(_ claim: Claim, delaySeconds: Double = 0, patience: Patience) async throws {
        var members = JSONObject()
        members["delaySeconds"] = .double(delaySeconds)
        _ = try await write(claim, "release", members, patience: patience)
    }

    private func end(_ claim: Claim, _ verb: String, _ output: JSONValue?, _ patience: Patience) async throws {
        var members = JSONObject()
        if let output { members["output"] = output }
        _ = try await write(claim, verb, members, patience: patience)
    }

    private func write(
        _ claim: Claim, _ verb: String, _ members: JSONObject, patience: Patience, timeout: Span = .seconds(30)
    ) async throws -> JSONValue {
        var body = members
        body["fence"] = .int(claim.fence)
        return try await client.post(path(claim, verb), .object(body), patience: patience, timeout: timeout)
    }

    private func path(_ claim: Claim, _ verb: String) -> String {
        ReeveClient.path("api", "v1", "tasks", claim.id, verb)
    }
}

/// A deliverable on its way as `multipart/form-data` (RFC 7578): fields `fence`, `name`, `contentType`, file `content`.
struct MultipartForm {
    let contentType: String
    let body: [UInt8]

    init(claim: Claim, file: DeliverableFile, boundary: Substring) {
        let mark = "reeve-\(boundary)"
        var body: [UInt8] = []
        func add(_ text: String) { body.append(contentsOf: text.utf8) }
        for (name, value) in [
            ("fence", String(claim.fence)), ("name", file.name), ("contentType", file.contentType),
        ] {
            add("--\(mark)\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n")
        }
        let fileName = file.name.map { $0 == "\"" || $0 == "\r" || $0 == "\n" ? "_" : $0 }
        add("--\(mark)\r\nContent-Disposition: form-data; name=\"content\"; filename=\"\(String(fileName))\"\r\n")
        add("Content-Type: \(file.contentType)\r\n\r\n")
        body.append(contentsOf: file.content)
        add("\r\n--\(mark)--\r\n")
        self.body = body
        contentType = "multipart/form-data; boundary=\(mark)"
    }
}
