import Kernel

/// Says which tasks belong to a correlation id; their events are found by them.
public protocol CorrelatedTasks: Sendable {
    /// The oldest first.
    func ids(ofCorrelation id: String, limit: Int, in transaction: Transaction) throws -> [String]
}

/// The event log over HTTP: in pages, and as a live stream.
public struct EventRoutes: Sendable {
    let events: Events
    let tasks: any CorrelatedTasks
    let storage: any Storage
    let access: AccessService
    let world: World
    /// How long events are kept.
    let retention: Span
    private let streams: StreamCount

    public init(
        events: Events, tasks: any CorrelatedTasks, storage: any Storage, access: AccessService, world: World,
        limits: Limits, retention: Span
    ) {
        self.tasks = tasks
        self.retention = retention
        self.events = events
        self.storage = storage
        self.access = access
        self.world = world
        streams = StreamCount(max: limits.eventStreams)
    }

    public var routes: [Route] {
        [
            Route(
                .get, "/api/v1/events", .read, "Events, oldest first",
                shape: .list(of: Self.eventSchema, query: Self.filterQuery), handler: list),
            Route(
                .get, "/api/v1/events/stream", .read, "Events as they happen (server-sent events)",
                shape: RouteShape(
                    query: Self.filterQuery + [
                        ("after", ["type": "string"], "Where to begin, as the header Last-Event-ID says it")
                    ],
                    contentType: "text/event-stream"),
                handler: stream),
        ]
    }

    /// Events forgotten in one transaction; the loop goes on at once while there are more.
    static let forgetMax = 1_000
    /// Tasks of one correlation id whose events are listed.
    public static let tasksMax = 1_000

    /// What the log does by itself: it forgets what is too old, and on PostgreSQL it looks for what other replicas
    /// wrote.
    public var loops: [Loop] {
        let forget = Loop("events.retention", every: .minutes(10)) {
            while try await storage.write({
                try events.store.forget(before: world.now - retention, limit: Self.forgetMax, in: $0)
            }) == Self.forgetMax {}
        }
        guard storage.dialect == .postgres else { return [forget] }
        return [
            forget,
            Loop("events.follow", every: .milliseconds(500)) {
                events.bus.learn(head: try await storage.read { try events.store.lastSeq(in: $0) })
            },
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let after = try page.sequenceCursor()
        let filter = try filter(request)
        let found = try await storage.read { transaction in
            var filter = filter
            if let id = filter.correlationID {
                filter.tasks = try tasks.ids(ofCorrelation: id, limit: Self.tasksMax, in: transaction)
            }
            return try events.store.list(after: after, limit: page.limit + 1, filter: filter, in: transaction)
        }
        let (items, next) = page.cut(found) { String($0.seq) }
        return .list(items.map(FileChangeSight(request.principal).seen), next: next)
    }

    private func stream(_ request: APIRequest) async throws -> APIReply {
        let filter = try filter(request)
        let start = try await start(request)
        guard let slot = streams.take() else {
            throw Problem(
                .overloaded, "All \(request.limits.eventStreams) places for live streams are taken.",
                hint: "Close a stream, or read pages of /api/v1/events with `after`.", retryAfterSeconds: 5)
        }
        let tail = EventTail(
            events: events, storage: storage, access: access, world: world, filter: filter, start: start,
            sight: FileChangeSight(request.principal), keyID: request.principal.keyID,
            lagMax: Int64(request.limits.eventStreamLag))
        return .eventStream(slot, tail.run)
    }

    /// Where a stream begins: behind the event that the client saw last; from now where it names none.
    private func start(_ request: APIRequest) async throws -> Int64 {
        let name = request.headers["last-event-id"] != nil ? "Last-Event-ID" : "after"
        guard let text = request.headers["last-event-id"] ?? request.queryValue("after"), !text.isEmpty else {
            return try await storage.read { try events.store.lastSeq(in: $0) }
        }
        guard let seq = Int64(text), seq >= 0 else {
            throw Problem.invalid(name, "an event's number is expected", hint: "Use 0 to begin with the first event.")
        }
        return seq
    }

    /// What is asked for. An agent's key sees its own agent's events alone.
    private func filter(_ request: APIRequest) throws -> EventFilter {
        let named = request.queryValue("agent").flatMap { $0.isEmpty ? nil : $0 }
        if let own = request.principal.agent, let named, named != own {
            throw Problem(
                .forbidden, "This key belongs to the agent \"\(own)\" and sees that agent's events alone.",
                hint: "Leave `agent` out, or use a viewer key.", field: "agent")
        }
        var filter = EventFilter(
            agent: request.principal.agent ?? named,
            taskID: request.queryValue("task").flatMap { $0.isEmpty ? nil : $0 },
            type: request.queryValue("type").flatMap { $0.isEmpty ? nil : $0 })
        filter.correlationID = request.queryValue("correlationId").flatMap { $0.isEmpty ? nil : $0 }
        return filter
    }

    private static let filterQuery: [(name: String, schema: JSONValue, summary: String)] = [
        ("agent", ["type": "string"], "Events of this agent"),
        ("task", ["type": "string"], "Events of this task"),
        ("correlationId", ["type": "string"], "Events that belong to this correlation id"),
        ("type", ["type": "string"], "Events of this type, or with `.*` of all that begin so"),
    ]

    private static let eventSchema: JSONValue = [
        "type": "object",
        "properties": [
            "seq": ["type": "integer"], "at": ["type": "string", "format": "date-time"],
            "type": ["type": "string"], "actor": ["type": "string"], "project": ["type": "string"],
            "agent": ["type": "string"], "taskId": ["type": "string"], "taskSeq": ["type": "integer"],
            "correlationId": ["type": "string"], "data": [:],
        ],
        "required": ["seq", "at", "type", "actor", "data"],
    ]
}
