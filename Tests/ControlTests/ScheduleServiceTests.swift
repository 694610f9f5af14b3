import Control
import Kernel
import Synchronization
import TestSupport
import Testing

/// Tasks that are only counted, in a table of their own so that they obey the transaction.
private struct CountedTasks: TaskCreation {
    static let migrations = [
        Migration("9000_counted", ["CREATE TABLE counted (key TEXT NOT NULL PRIMARY KEY, title TEXT NOT NULL) STRICT"])
    ]

    func checkTemplate(_ template: Fields) throws { _ = try template.name("title") }

    func createTask(
        from template: JSONValue, key: String, by principal: Principal, in transaction: Transaction
    ) throws -> String {
        let title = template["title"]?.string ?? ""
        try transaction.run("INSERT INTO counted (key, title) VALUES (\(key), \(title))")
        if title == "broken" { throw Problem.invalid("title", "it is broken") }
        return "task_\(key)"
    }
}

/// A service on a real store, with time in the test's hand.
private struct ScheduleFixture: Sendable {
    static let admin = Principal(keyID: "key_1", name: "olga", role: .operator_)

    let time: ManualTime
    let storage: any Storage
    let service: ScheduleService
    let loops: ScheduleLoops
    let routes: ScheduleRoutes

    init(_ storage: any Storage, time: ManualTime, seed: UInt64 = 1) {
        self.time = time
        self.storage = storage
        let world = World.test(seed: seed, time: time)
        service = ScheduleService(
            tasks: CountedTasks(), events: Events(world: world), audit: AuditService(world: world), world: world)
        loops = ScheduleLoops(service: service, storage: storage)
        routes = ScheduleRoutes(service: service, exchange: Exchange(storage: storage, world: world))
    }

    static func on(_ engine: TestEngine, _ body: (ScheduleFixture) async throws -> Void) async throws {
        let migrations =
            IdempotencySchema.migrations + EventSchema.migrations + AuditSchema.migrations
            + ScheduleSchema.migrations + CountedTasks.migrations
        try await withStorage(engine, migrations: migrations) { storage in
            try await body(ScheduleFixture(storage, time: ManualTime()))
        }
    }

    func create(
        _ name: String = "nightly", cron: String = "0 * * * *", catchUp: String = "one", title: String = "report"
    ) async throws -> Schedule {
        let draft = try service.draft(
            Fields(
                JSONObject([
                    .init(name: "name", value: .string(name)), .init(name: "cron", value: .string(cron)),
                    .init(name: "catchUp", value: .string(catchUp)),
                    .init(name: "task", value: ["title": .string(title)]),
                ]), limits: Limits()))
        return try await storage.write { try service.create(draft, by: Self.admin, in: $0) }
    }

    func schedule(_ name: String = "nightly") async throws -> Schedule {
        try await storage.read { try service.schedule(name, in: $0) }
    }

    func tasks() async throws -> [String] {
        try await storage.read { try $0.rows("SELECT key FROM counted ORDER BY key").map { $0.text("key") } }
    }

    func events() async throws -> [String] {
        try await storage.read { try EventStore().list(after: 0, limit: 500, in: $0).map(\.type) }
    }

    func send(
        _ method: APIRequest.Method, _ path: String, id: String? = nil, _ body: JSONValue? = nil,
        headers: RequestHeaders = [:]
    ) async throws -> APIReply {
        let route = try #require(routes.routes.first { $0.method == method && $0.path == path })
        let request = APIRequest(
            method: method, route: path, path: path.replacing("{id}", with: id ?? ""),
            parameters: id.map { ["id": $0] } ?? [:], headers: headers, body: body?.bytes ?? [],
            principal: Self.admin)
        return try await route.handler(request)
    }
}

extension APIReply {
    fileprivate var document: JSONValue {
        guard case .bytes(let bytes) = body else { return .null }
        return (try? JSONParser.parse(bytes)) ?? .null
    }

    fileprivate func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

@Suite("Schedules")
struct ScheduleServiceTests {
    @Test("a tick fires once, at its time, and the next one is set", arguments: TestEngine.available)
    func fires(_ engine: TestEngine) async throws {
        try await ScheduleFixture.on(engine) { fixture in
            let made = try await fixture.create()
            #expect(made.nextAt == Timestamp(rfc3339: "2026-11-20T09:00:00Z"))
            #expect(try await fixture.loops.fireDue() == 0)
            fixture.time.advance(by: .hours(1))
            #expect(try await fixture.loops.fireDue() == 1)
            #expect(try await fixture.loops.fireDue() == 0)
            let schedule = try await fixture.schedule()
            #expect(schedule.lastAt == Timestamp(rfc3339: "2026-11-20T09:00:00Z"))
            #expect(schedule.nextAt == Timestamp(rfc3339: "2026-11-20T10:00:00Z"))
            #expect(try await fixture.tasks() == ["\(made.id):\(made.nextAt?.microseconds ?? 0)"])
            #expect(schedule.lastTaskID == "task_\(try await fixture.tasks()[0])")
            #expect(schedule.version == made.version)
            #expect(try await fixture.events() == ["schedule.created", "schedule.fired"])
        }
    }

    @Test("several replicas that look at once make one task a tick", arguments: TestEngine.available)
    func replicas(_ engine: TestEngine) async throws {
        try await ScheduleFixture.on(engine) { fixture in
            for index in 0..<5 { _ = try await fixture.create("s\(index)", cron: "* * * * *") }
            for _ in 0..<4 {
                fixture.time.advance(by: .minutes(1))
                let made = try await withThrowingTaskGroup(of: Int.self) { group in
                    for seed in 1...4 {
                        let replica = ScheduleFixture(fixture.storage, time: fixture.time, seed: UInt64(seed))
                        group.addTask { try await replica.loops.fireDue() }
                    }
                    return try await group.reduce(0, +)
                }
                #expect(made == 5)
            }
            #expect(try await fixture.tasks().count == 20)
        }
    }

    @Test("a tick that has fired never fires again, even where its row says it is due", arguments: TestEngine.available)
    func once(_ engine: TestEngine) async throws {
        try await ScheduleFixture.on(engine) { fixture in
            let made = try await fixture.create()
            fixture.time.advance(by: .hours(1))
            #expect(try await fixture.loops.fireDue() == 1)
            try await fixture.storage.write { [tick = made.nextAt] transaction in
                _ = try transaction.run("UPDATE schedules SET next_at = \(tick)")
            }
            #expect(try await fixture.loops.fireDue() == 0)
            #expect(try await fixture.tasks().count == 1)
        }
    }

    @Test(
        "ticks that were missed are made up for as the schedule says",
        arguments: [("skip", 0), ("one", 1), ("all", 5)])
    func catchUp(policy: String, tasks: Int) async throws {
        for engine in TestEngine.available {
            try await ScheduleFixture.on(engine) { fixture in
                _ = try await fixture.create(catchUp: policy)
                fixture.time.advance(by: .minutes(5 * 60 + 30))
                #expect(try await fixture.loops.fireDue() == tasks)
                let schedule = try await fixture.schedule()
                #expect(schedule.nextAt == Timestamp(rfc3339: "2026-11-20T14:00:00Z"))
                #expect(schedule.lastAt == (tasks == 0 ? nil : Timestamp(rfc3339: "2026-11-20T13:00:00Z")))
                let events = try await fixture.events()
                #expect(events.contains("schedule.skipped") == (policy != "all"))
                fixture.time.advance(by: .minutes(30))
                #expect(try await fixture.loops.fireDue() == 1)
            }
        }
    }

    @Test("catching up is bounded, newest first, and takes no time after a year")
    func bounded() async throws {
        try await ScheduleFixture.on(.sqlite) { fixture in
            _ = try await fixture.create(cron: "* * * * *", catchUp: "all")
            fixture.time.advance(by: .hours(24 * 365))
            #expect(try await fixture.loops.fireDue() == Schedule.catchUpMax)
            #expect(try await fixture.schedule().lastAt == fixture.time.now)
            #expect(try await fixture.loops.fireDue() == 0)
        }
    }

    @Test("a pause has its reason and actor, survives, and is not made up for", arguments: TestEngine.available)
    func pause(_ engine: TestEngine) async throws {
        try await ScheduleFixture.on(engine) { fixture in
            _ = try await fixture.create(catchUp: "all")
            let path = "/api/v1/schedules/{id}/pause"
            let reply = try await fixture.send(.post, path, id: "nightly", ["reason": "holidays"])
            #expect(reply.document["paused"] == true)
            #expect(reply.document["pause"]?["reason"] == "holidays")
            #expect(reply.document["pause"]?["actor"] == "operator:olga")
            #expect(reply.document["nextAt"] == .null)
            fixture.time.advance(by: .hours(3))
            #expect(try await fixture.loops.fireDue() == 0)
            let resumed = try await fixture.send(.post, "/api/v1/schedules/{id}/resume", id: "nightly")
            #expect(resumed.document["paused"] == false)
            #expect(resumed.document["nextAt"] == "2026-11-20T12:00:00.000000Z")
            #expect(try await fixture.loops.fireDue() == 0)
        }
    }

    @Test(
        "a template that no longer works is told, and neither blocks others nor fires each second",
        arguments: TestEngine.available)
    func broken(_ engine: TestEngine) async throws {
        try await ScheduleFixture.on(engine) { fixture in
            _ = try await fixture.create("bad", title: "broken")
            _ = try await fixture.create("good")
            fixture.time.advance(by: .hours(1))
            #expect(try await fixture.loops.fireDue() == 1)
            #expect(try await fixture.tasks().count == 1)
            let bad = try await fixture.schedule("bad")
            #expect(bad.lastError?.contains("broken") == true)
            #expect(bad.nextAt == Timestamp(rfc3339: "2026-11-20T10:00:00Z"))
            #expect(try await fixture.loops.fireDue() == 0)
            #expect(try await fixture.events().suffix(2).sorted() == ["schedule.failed", "schedule.fired"])
            let detail = try await fixture.send(.get, "/api/v1/schedules/{id}", id: "bad").document
            #expect(detail["history"]?.array?.first?["error"]?.string?.contains("broken") == true)
            #expect(detail["upcoming"]?.array?.count == ScheduleService.upcomingMax)
        }
    }

    @Test("created, read, changed and deleted over HTTP, with ETags and audit", arguments: TestEngine.available)
    func routes(_ engine: TestEngine) async throws {
        try await ScheduleFixture.on(engine) { fixture in
            let body: JSONValue = [
                "name": "daily", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "task": ["title": "brief"],
            ]
            let made = try await fixture.send(.post, "/api/v1/schedules", body)
            #expect(made.status == 201)
            #expect(made.document["description"] == "Every day at 02:30 (Europe/Berlin)")
            #expect(made.document["nextAt"] == "2026-11-21T01:30:00.000000Z")
            await #expect(throws: Problem.self) { try await fixture.send(.post, "/api/v1/schedules", body) }
            let id = try #require(made.document["id"]?.string)
            let etag = try #require(made.header("etag"))
            let change = try await fixture.send(
                .patch, "/api/v1/schedules/{id}", id: id, ["cron": "0 5 * * *"], headers: ["if-match": etag])
            #expect(change.document["nextAt"] == "2026-11-21T04:00:00.000000Z")
            #expect(change.header("etag") != etag)
            await #expect(throws: Problem.self) {
                try await fixture.send(
                    .patch, "/api/v1/schedules/{id}", id: id, ["cron": "0 6 * * *"], headers: ["if-match": etag])
            }
            #expect(try await fixture.send(.get, "/api/v1/schedules").document["items"]?.array?.count == 1)
            #expect(try await fixture.send(.delete, "/api/v1/schedules/{id}", id: "daily").status == 204)
            await #expect(throws: Problem.self) { try await fixture.send(.get, "/api/v1/schedules/{id}", id: id) }
            let audit = try await fixture.storage.read {
                try AuditService(world: .test()).list(after: 0, limit: 10, in: $0).map(\.action)
            }
            #expect(audit == ["schedule.created", "schedule.changed", "schedule.deleted"])
        }
    }

    @Test(
        "what is not acceptable changes nothing",
        arguments: [
            ["name": "a", "cron": "0 0 30 2 *", "task": ["title": "t"]],
            ["name": "a", "cron": "0 0 * * *", "timezone": "Mars/Base", "task": ["title": "t"]],
            ["name": "a", "cron": "0 0 * * *"], ["name": "a", "cron": "0 0 * * *", "task": ["no": "title"]],
            ["name": "../a", "cron": "0 0 * * *", "task": ["title": "t"]],
            ["cron": "0 0 * * *", "task": ["title": "t"]],
            ["name": "schedule_00000000000000000000000000000000", "cron": "0 0 * * *", "task": ["title": "t"]],
            ["name": "a", "cron": "0 0 * * *", "catchUp": "some", "task": ["title": "t"]],
            ["name": "a", "task": ["title": "t"]], ["name": "a", "cron": 5, "task": ["title": "t"]],
        ] as [JSONValue])
    func refused(body: JSONValue) async throws {
        try await ScheduleFixture.on(.sqlite) { fixture in
            await #expect(throws: Problem.self) { try await fixture.send(.post, "/api/v1/schedules", body) }
            let list = try await fixture.send(.get, "/api/v1/schedules")
            #expect(list.document["items"]?.array?.isEmpty == true)
            let events = try await fixture.events()
            #expect(events.isEmpty)
        }
    }

    @Test("a run by hand makes a task besides the ticks, once for an idempotency key", arguments: TestEngine.available)
    func run(_ engine: TestEngine) async throws {
        try await ScheduleFixture.on(engine) { fixture in
            let made = try await fixture.create()
            let path = "/api/v1/schedules/{id}/run"
            let first = try await fixture.send(.post, path, id: "nightly", headers: ["idempotency-key": "k"])
            let again = try await fixture.send(.post, path, id: "nightly", headers: ["idempotency-key": "k"])
            let other = try await fixture.send(.post, path, id: made.id.text)
            #expect(first.document["taskId"] == again.document["taskId"])
            #expect(first.document["taskId"] != other.document["taskId"])
            #expect(try await fixture.tasks().count == 2)
            #expect(try await fixture.schedule().nextAt == made.nextAt)
            fixture.time.advance(by: .hours(1))
            #expect(try await fixture.loops.fireDue() == 1)
        }
    }

    @Test("old firings are forgotten", arguments: TestEngine.available)
    func retention(_ engine: TestEngine) async throws {
        try await ScheduleFixture.on(engine) { fixture in
            _ = try await fixture.create()
            fixture.time.advance(by: .hours(1))
            try await fixture.loops.fireDue()
            #expect(try await fixture.storage.write { try fixture.service.purge(limit: 10, in: $0) } == 0)
            fixture.time.advance(by: .hours(24 * ScheduleService.historyDays + 1))
            #expect(try await fixture.storage.write { try fixture.service.purge(limit: 10, in: $0) } == 1)
        }
    }
}
