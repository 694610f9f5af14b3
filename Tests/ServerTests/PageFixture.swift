import Kernel
import TestSupport
import Testing

@testable import Control

/// Says of each new value that it is good.
private struct NoProber: SecretProber {
    func call(_ call: SecretProbeCall, timeout: Span) async -> Result<Int, SecretProbeFault> { .success(200) }
}

/// Every service and page over one store, called without HTTP: pages are what they show.
struct PageFixture: Sendable {
    let storage: any Storage
    let world: World
    let routes: [Route]
    let calls: CallService
    let budgets: BudgetService
    let flags: FlagService
    let secrets: SecretService
    let rotations: SecretRotationService
    let bundles: BundleService

    static let admin = Principal(keyID: "key_admin", name: "ada", role: .admin)
    static let viewer = Principal(keyID: "key_viewer", name: "vera", role: .viewer)
    static func agent(_ name: String) -> Principal {
        Principal(keyID: "key_\(name)", name: name, role: .agent, agent: name)
    }

    /// The addresses of all pages that take no placeholder.
    static let lists = [
        "/", "/agents", "/tasks", "/queues", "/reviews", "/events", "/audit", "/keys", "/schedules", "/calls",
        "/costs", "/models", "/budgets", "/flags", "/bundles", "/secrets",
    ]

    static func with(
        live: any LiveCalls = NoLiveCalls(), models: any LiveModels = NoLiveModels(),
        _ body: (PageFixture) async throws -> Void
    ) async throws {
        let migrations: [[Migration]] = [
            IdempotencySchema.migrations, EventSchema.migrations, AccessSchema.migrations, AuditSchema.migrations,
            AgentSchema.migrations, QueueSchema.migrations, TaskSchema.migrations,
            ScheduleSchema.migrations, CallSchema.migrations, BudgetSchema.migrations,
            FlagSchema.migrations, BundleSchema.migrations, BundleTrialSchema.migrations,
            ConfigValueSchema.migrations, SecretSchema.migrations, AlertSchema.migrations,
        ]
        let world = World.test()
        try await TestStorage.withFolder { folder in
            try await withStorage(.sqlite, migrations: migrations.flatMap(\.self), world: world) { storage in
                let fixture = try PageFixture(
                    storage, blobs: DirectoryBlobs(root: folder), world: world, live: live, models: models)
                try await body(fixture)
            }
        }
    }

    private init(
        _ storage: any Storage, blobs: any Blobs, world: World, live: any LiveCalls, models: any LiveModels
    ) throws {
        self.storage = storage
        self.world = world
        let events = Events(world: world)
        let audit = AuditService(world: world)
        let exchange = Exchange(storage: storage, world: world)
        let wakeups = Wakeups()
        let store = TaskStore()
        let agents = AgentService(world: world, events: events, audit: audit, workload: store)
        let queues = QueueService(events: events, audit: audit, wakeups: wakeups, world: world)
        let tasks = TaskService(
            store: store, queues: queues, agents: agents, audit: audit, events: events, wakeups: wakeups,
            policy: TaskPolicy(), limits: Limits(), world: world)
        let access = AccessService(storage: storage, audit: audit, events: events, world: world, limits: Limits())
        calls = CallService(live: live, retentionDays: 90, events: events, audit: audit, world: world)
        let costs = CostService(work: DeliverableStore(), world: world)
        budgets = BudgetService(memory: NoBudgetMemory(), events: events, audit: audit, world: world)
        flags = FlagService(storage: storage, events: events, audit: audit, world: world)
        let ring = try MasterKeyRing(SecretBytes(String(repeating: "5a", count: 32)), from: "the test")
        secrets = SecretService(
            sealing: SecretSealing(Sealer(ring: ring, entropy: world.entropy)),
            watch: SecretWatch(entropy: world.entropy), events: events, audit: audit, storage: storage, world: world)
        bundles = BundleService(
            agents: agents, lint: BundleLint(pins: { _ in true }), blobs: blobs, events: events, audit: audit,
            world: world)
        rotations = SecretRotationService(
            secrets: secrets,
            ground: .init(users: store, prober: NoProber(), alerts: AlertService(events: events, world: world)))
        let trials = BundleTrialService(
            bundles: bundles, tasks: store, alerts: nil, events: events, audit: audit, world: world)
        let values = ConfigValueService(bundles: bundles, flags: flags, events: events, audit: audit, world: world)
        let pages = Pages(
            storage: storage, blobs: blobs, events: events, tasks: tasks, agents: agents, queues: queues,
            workload: store, calls: calls, costs: costs, budgets: budgets, models: models, access: access, audit: audit,
            bundles: bundles, flags: flags, secrets: rotations, configValues: values, assets: PageAssets(),
            world: world)
        let parts: [[Route]] = [
            pages.routes, TaskRoutes(service: tasks, exchange: exchange).routes,
            TaskWorkRoutes(service: tasks, exchange: exchange, wakeups: wakeups, world: world).routes,
            DeliverableRoutes(service: tasks, exchange: exchange, blobs: blobs).routes,
            QueueRoutes(service: queues, workload: store, exchange: exchange, world: world).routes,
            AgentRoutes(service: agents, exchange: exchange).routes,
            AccessRoutes(service: access, exchange: exchange).routes,
            FlagRoutes(service: flags, exchange: exchange).routes, SecretRoutes(service: secrets).routes,
            VaultRoutes(service: secrets).routes, SecretRotationRoutes(service: rotations).routes,
            BundleRoutes(service: bundles, values: values, trials: trials, exchange: exchange).routes,
            ConfigValueRoutes(service: values, exchange: exchange).routes,
        ]
        routes = parts.flatMap(\.self)
    }

    // MARK: Calls

    func call(
        _ method: APIRequest.Method, _ address: String, _ body: JSONValue? = nil, as principal: Principal = admin,
        headers: [String: String] = [:]
    ) async throws -> APIReply {
        let parts = address.split(separator: "?", maxSplits: 1).map(String.init)
        let path = parts[0]
        let segments = path.split(separator: "/").map(String.init)
        let candidates = routes.filter { route in
            let pattern = route.path.split(separator: "/")
            return route.method == method && pattern.count == segments.count
                && zip(pattern, segments).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
        let route = try #require(candidates.min { $0.placeholders.count < $1.placeholders.count }, "\(method) \(path)")
        #expect(route.permission.admits(principal.role), "\(principal.role) at \(path)")
        var parameters: [String: String] = [:]
        for (name, value) in zip(route.path.split(separator: "/"), segments) where name.hasPrefix("{") {
            parameters[String(name.dropFirst().dropLast().prefix { $0 != "*" })] = PercentCoding.decode(
                Array(value.utf8))
        }
        let query = parts.count > 1 ? try #require(PercentCoding.pairs(Array(parts[1].utf8))) : []
        return try await route.handler(
            APIRequest(
                method: method, route: route.path, path: path, parameters: parameters, query: query,
                headers: RequestHeaders([("host", "127.0.0.1:7070")] + headers.map { ($0.key, $0.value) }),
                body: body?.bytes ?? [], principal: principal))
    }

    /// The JSON of a reply that must succeed.
    @discardableResult
    func send(_ address: String, _ body: JSONValue = [:], as principal: Principal = admin) async throws -> JSONValue {
        let reply = try await call(.post, address, body, as: principal)
        #expect((200..<300).contains(reply.status))
        guard case .bytes(let bytes) = reply.body else { return .null }
        return try JSONParser.parse(bytes)
    }

    /// A page's HTML.
    func page(_ address: String, as principal: Principal = admin, status: Int = 200) async throws -> String {
        let reply = try await call(.get, address, as: principal)
        #expect(reply.status == status, "\(address)")
        #expect(reply.headers.contains { $0 == ("content-type", "text/html; charset=utf-8") })
        guard case .bytes(let bytes) = reply.body else { return "" }
        return try #require(String(validating: bytes, as: UTF8.self))
    }

    // MARK: A filled store

    static let hostile = "<script>alert('x')</script>{{title}}{{{title}}}\"><img src=x onerror=alert(1)>"

    /// A task that waits for a verdict on its second revision, with everything a hostile agent can write.
    func fill(_ text: String = hostile) async throws -> String {
        let writer = Self.agent("writer")
        let first = try await send(
            "/api/v1/tasks", ["project": "demo", "queue": "q", "type": "t", "title": .string(text)])
        let parent = try #require(first["id"]?.string)
        let made = try await send(
            "/api/v1/tasks",
            [
                "project": "demo", "queue": "briefs", "type": "t", "title": .string(text), "review": true,
                "input": ["text": .string(text)], "budget": ["tokens": 100, "usd": 1.5],
            ])
        let id = try #require(made["id"]?.string)
        try await send(
            "/api/v1/tasks",
            [
                "project": "demo", "queue": "briefs", "type": "t", "title": "after",
                "dependsOn": [.string(id), .string(parent)],
            ])
        for round in 1...2 {
            let fence = try await claim(id, as: writer)
            try await send(
                "/api/v1/tasks/\(id)/heartbeat", ["fence": fence, "note": .string(text), "progress": 0.5],
                as: writer)
            try await send(
                "/api/v1/tasks/\(id)/deliverables",
                [
                    "fence": fence, "name": "brief.md", "contentType": "text/markdown",
                    "content": .string("# Brief\n\n\(text)\nround \(round)\n"),
                ], as: writer)
            let submitted = try await send("/api/v1/tasks/\(id)/submit", ["fence": fence], as: writer)
            guard round == 1 else { continue }
            let sha256 = try #require(submitted["sha256"]?.string ?? submitted["submission"]?["sha256"]?.string)
            try await send(
                "/api/v1/tasks/\(id)/review",
                ["verdict": "changes", "sha256": .string(sha256), "comment": .string(text)])
        }
        try await send("/api/v1/queues/briefs/pause", ["reason": .string(text)])
        try await send("/api/v1/agents/writer/pause", ["reason": .string(text)])
        return id
    }

    func claim(_ id: String, as agent: Principal) async throws -> JSONValue {
        let claimed = try await send(
            "/api/v1/tasks/claim", ["queues": ["briefs"], "limit": 10, "waitSeconds": 0], as: agent)
        let item = try #require(claimed["items"]?.array?.first { $0["task"]?["id"]?.string == id })
        return try #require(item["fence"])
    }
}
