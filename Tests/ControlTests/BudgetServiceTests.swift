import Control
import Kernel
import Synchronization
import TestSupport
import Testing

/// A service and a vault on a real store, with time in the test's hand.
private struct BudgetFixture: Sendable {
    static let operatorKey = Principal(keyID: "key_1", name: "olga", role: .operator_)

    let time = ManualTime()
    let storage: any Storage
    let vault: StoredBudgetVault
    let service: BudgetService
    let routes: BudgetRoutes

    static func on(_ engine: TestEngine, _ body: (BudgetFixture) async throws -> Void) async throws {
        let migrations =
            IdempotencySchema.migrations + EventSchema.migrations + AuditSchema.migrations + BudgetSchema.migrations
        try await withStorage(engine, migrations: migrations) { try await body(BudgetFixture($0)) }
    }

    init(_ storage: any Storage) {
        self.storage = storage
        let world = World.test(time: time)
        let events = Events(world: world)
        vault = StoredBudgetVault(storage: storage, events: events)
        service = BudgetService(
            memory: NoBudgetMemory(), events: events, audit: AuditService(world: world), world: world)
        routes = BudgetRoutes(service: service, exchange: Exchange(storage: storage, world: world))
    }

    @discardableResult
    func send(
        _ method: APIRequest.Method, _ scope: String?, _ body: String = "", headers: RequestHeaders = [:],
        query: [(name: String, value: String)] = []
    ) async throws -> (json: JSONValue, etag: String?) {
        let path = scope == nil ? "/api/v1/budgets" : "/api/v1/budgets/{scope}"
        let route = try #require(routes.routes.first { $0.method == method && $0.path == path })
        let reply = try await route.handler(
            APIRequest(
                method: method, route: path, path: path, parameters: scope.map { ["scope": $0] } ?? [:], query: query,
                headers: headers, body: Array(body.utf8), principal: Self.operatorKey))
        guard case .bytes(let bytes) = reply.body else { return (.null, nil) }
        return (try JSONParser.parse(bytes), reply.headers.first { $0.name == "etag" }?.value)
    }

    /// One exchange of a replica: borrows and spends in one window of a scope.
    @discardableResult
    func spend(
        _ replica: BudgetReplica, sequence: Int64, _ scope: String, _ nano: Int64, borrow: Int64 = 0, held: Int64 = 0,
        riders: [BudgetRider] = []
    ) async throws -> BudgetAnswer {
        let scope = try BudgetScope(scope, path: "", limits: Limits())
        let key = try await service.view(scope, storage: storage).budget.terms.key(at: time.now)
        var message = BudgetMessage(replica: replica, now: time.now, seen: 0)
        message.report = BudgetReport(
            sequence: sequence, lines: [.init(key: key, spent: BudgetAmounts(nanoUSD: nano), returned: .zero)],
            riders: riders)
        message.held = [(key, BudgetAmounts(nanoUSD: held))]
        if borrow > 0 {
            message.wishes = [
                BudgetWish(
                    want: BudgetAmounts(nanoUSD: borrow), lines: [.init(key: key, block: .zero)], isLast: false)
            ]
        }
        return try await vault.exchange(message)
    }

    func types(_ prefix: String = "budget.") async throws -> [String] {
        try await storage.read { transaction in
            try EventStore().list(after: 0, limit: 500, in: transaction).map(\.type).filter { $0.hasPrefix(prefix) }
        }
    }
}

@Suite("Budgets")
struct BudgetServiceTests {
    @Test("a budget is set, shown, changed under its ETag, listed and removed", arguments: TestEngine.available)
    func life(_ engine: TestEngine) async throws {
        try await BudgetFixture.on(engine) { fixture in
            let made = try await fixture.send(
                .put, "agent:writer", #"{"limit":{"usd":0.5,"tokens":1000},"period":"day","mode":"strict"}"#)
            #expect(made.json["scope"]?.string == "agent:writer")
            #expect(made.json["limit"]?.text == #"{"usd":0.5,"tokens":1000}"#)
            #expect(made.json["settled"]?.text == #"{"nanoUSD":0,"tokens":0,"calls":0,"steps":0}"#)
            #expect(made.json["held"]?.text == #"{"nanoUSD":0,"tokens":0,"calls":0,"steps":0}"#)
            #expect(
                made.json["remaining"]?.text == #"{"nanoUSD":500000000,"tokens":1000,"calls":null,"steps":null}"#)
            #expect(made.json["window"]?["start"]?.string == "2026-11-20T00:00:00.000000Z")
            #expect(made.json["window"]?["end"]?.string == "2026-11-21T00:00:00.000000Z")
            #expect(made.json["softPercent"]?.int == 80)
            #expect(made.etag == "\"1\"")
            let stale = await #expect(throws: Problem.self) {
                try await fixture.send(.put, "agent:writer", #"{"limit":{"usd":1}}"#, headers: ["if-match": "\"7\""])
            }
            #expect(stale?.code == .preconditionFailed)
            let changed = try await fixture.send(
                .put, "agent:writer", #"{"limit":{"calls":3},"mode":"elastic(50%)","softPercent":50}"#,
                headers: ["if-match": "\"1\""])
            #expect(changed.etag == "\"2\"")
            #expect(changed.json["period"]?.string == "total")
            #expect(changed.json["window"]?.text == #"{"start":null,"end":null}"#)
            #expect(changed.json["remaining"]?["calls"]?.int == 4)
            let same = try await fixture.send(
                .put, "agent:writer", #"{"limit":{"calls":3},"mode":"elastic(50%)","softPercent":50}"#)
            #expect(same.etag == "\"2\"")
            try await fixture.send(.put, "org", #"{"limit":{"usd":"12.000000001"}}"#)
            let first = try await fixture.send(.get, nil, query: [("limit", "1")])
            #expect(first.json["items"]?.array?.count == 1)
            #expect(first.json["next"]?.string == "agent:writer")
            let second = try await fixture.send(.get, nil, query: [("after", "agent:writer")])
            #expect(second.json["items"]?.array?.first?["remaining"]?["nanoUSD"]?.int == 12_000_000_001)
            try await fixture.send(.delete, "org")
            let gone = await #expect(throws: Problem.self) { try await fixture.send(.get, "org") }
            #expect(gone?.code == .notFound)
            #expect(
                try await fixture.types() == [
                    "budget.created", "budget.updated", "budget.created", "budget.removed",
                ])
        }
    }

    @Test(
        "what is no budget is refused by its field",
        arguments: [
            ("agent:writer", "{}", "limit"), ("agent:writer", #"{"limit":{}}"#, "limit"),
            ("agent:writer", #"{"limit":{"usd":-1}}"#, "limit/usd"), ("nobody", #"{"limit":{"usd":1}}"#, "scope"),
            ("org", #"{"limit":{"usd":1},"period":"week"}"#, "period"),
            ("org", #"{"limit":{"usd":1},"mode":"soft"}"#, "mode"),
            ("org", #"{"limit":{"usd":1},"softPercent":0}"#, "softPercent"),
            ("org", #"{"limit":{"usd":1},"periods":"day"}"#, "periods"),
        ] as [(String, String, String)])
    func refused(scope: String, body: String, field: String) async throws {
        try await BudgetFixture.on(.sqlite) { fixture in
            let problem = await #expect(throws: Problem.self) { try await fixture.send(.put, scope, body) }
            #expect(problem?.field == field)
            let types = try await fixture.types()
            #expect(types == [])
        }
    }

    @Test("a report counts once, however often it is sent", arguments: TestEngine.available)
    func once(_ engine: TestEngine) async throws {
        try await BudgetFixture.on(engine) { fixture in
            try await fixture.send(.put, "org", #"{"limit":{"usd":0.0000001}}"#)
            let replica = try await fixture.vault.open("r1", at: fixture.time.now).replica
            let ridden = Mutex(0)
            let rider: BudgetRider = { _ in ridden.withLock { $0 += 1 } }
            #expect(try await fixture.spend(replica, sequence: 1, "org", 0, borrow: 60).outcomes == [.granted])
            for _ in 0..<3 {
                let answer = try await fixture.spend(replica, sequence: 2, "org", 25, held: 30, riders: [rider])
                #expect(answer.windows.first?.granted.nanoUSD == 35)
            }
            #expect(ridden.withLock { $0 } == 1)
            let view = try await fixture.send(.get, "org").json
            #expect(view["settled"]?["nanoUSD"]?.int == 25)
            #expect(view["held"]?["nanoUSD"]?.int == 30)
            #expect(view["remaining"]?["nanoUSD"]?.int == 45)
        }
    }

    @Test("a rider that may not write is left out alone", arguments: TestEngine.available)
    func riders(_ engine: TestEngine) async throws {
        try await BudgetFixture.on(engine) { fixture in
            try await fixture.send(.put, "org", #"{"limit":{"usd":1}}"#)
            let replica = try await fixture.vault.open("r1", at: fixture.time.now).replica
            let write: @Sendable (Int64) -> BudgetRider = { number in
                { try $0.run("INSERT INTO budget_clock (id, counter) VALUES (\(number), 0)") }
            }
            try await fixture.spend(
                replica, sequence: 1, "org", 5,
                riders: [write(70), write(70), { _ in throw Problem.notFound("a", "b") }])
            #expect(try await fixture.send(.get, "org").json["settled"]?["nanoUSD"]?.int == 5)
            let count = try await fixture.storage.read {
                try $0.first("SELECT COUNT(*) AS count FROM budget_clock WHERE id = 70")?.int("count")
            }
            #expect(count == 1)
        }
    }

    @Test("who does not come back has spent what it borrowed", arguments: TestEngine.available)
    func writtenOff(_ engine: TestEngine) async throws {
        try await BudgetFixture.on(engine) { fixture in
            try await fixture.send(.put, "org", #"{"limit":{"usd":0.0000001}}"#)
            let replica = try await fixture.vault.open("r1", at: fixture.time.now).replica
            try await fixture.spend(replica, sequence: 1, "org", 0, borrow: 60)
            try await fixture.spend(replica, sequence: 2, "org", 0, held: 20)
            fixture.time.advance(by: .seconds(29))
            #expect(try await fixture.vault.writeOff(at: fixture.time.now, limit: 10) == 0)
            fixture.time.advance(by: .seconds(2))
            #expect(try await fixture.vault.writeOff(at: fixture.time.now, limit: 10) == 1)
            #expect(try await fixture.vault.writeOff(at: fixture.time.now, limit: 10) == 0)
            let view = try await fixture.send(.get, "org").json
            #expect(view["settled"]?["nanoUSD"]?.int == 60)
            #expect(view["held"]?["nanoUSD"]?.int == 0)
            // It was only slow: nothing of it counts any more.
            #expect(try await fixture.spend(replica, sequence: 3, "org", 9).isVoid)
            #expect(try await fixture.vault.look(replica, since: 0, at: fixture.time.now).isVoid)
            let opening = try await fixture.vault.open("r1", at: fixture.time.now)
            #expect(opening.isWrittenOff)
            #expect(opening.replayed == replica.incarnation)
            let again = try await fixture.spend(opening.replica, sequence: 3, "org", 9)
            #expect(!again.isVoid)
            #expect(try await fixture.send(.get, "org").json["settled"]?["nanoUSD"]?.int == 69)
            #expect(try await fixture.types().contains("budget.written_off"))
        }
    }

    @Test("limits tell once a window that they were passed, and again where they were raised")
    func marks() async throws {
        try await BudgetFixture.on(.sqlite) { fixture in
            try await fixture.send(.put, "agent:a", #"{"limit":{"usd":0.0000001},"period":"day","softPercent":50}"#)
            let replica = try await fixture.vault.open("r1", at: fixture.time.now).replica
            try await fixture.spend(replica, sequence: 1, "agent:a", 49)
            #expect(try await fixture.types() == ["budget.created"])
            try await fixture.spend(replica, sequence: 2, "agent:a", 1)
            try await fixture.spend(replica, sequence: 3, "agent:a", 10)
            #expect(try await fixture.types() == ["budget.created", "budget.soft_limit"])
            try await fixture.spend(replica, sequence: 4, "agent:a", 40)
            #expect(try await fixture.send(.get, "agent:a").json["softLimitReached"]?.bool == true)
            #expect(try await fixture.types() == ["budget.created", "budget.soft_limit", "budget.exhausted"])
            try await fixture.send(.put, "agent:a", #"{"limit":{"usd":0.000001},"period":"day","softPercent":50}"#)
            try await fixture.spend(replica, sequence: 5, "agent:a", 400)
            fixture.time.advance(by: .hours(24))
            try await fixture.spend(replica, sequence: 6, "agent:a", 500)
            #expect(
                try await fixture.types() == [
                    "budget.created", "budget.soft_limit", "budget.exhausted", "budget.updated", "budget.soft_limit",
                    "budget.soft_limit",
                ])
            #expect(try await fixture.send(.get, "agent:a").json["settled"]?["nanoUSD"]?.int == 500)
        }
    }

    @Test(
        "a new period begins with what is known to be spent in it",
        arguments: [
            ("day", "month", 30), ("day", "total", 30), ("month", "day", 0),
        ] as [(String, String, Int64)])
    func periods(old: String, new: String, settled: Int64) async throws {
        try await BudgetFixture.on(.sqlite) { fixture in
            try await fixture.send(.put, "org", #"{"limit":{"usd":1},"period":"\#(old)"}"#)
            let replica = try await fixture.vault.open("r1", at: fixture.time.now).replica
            try await fixture.spend(replica, sequence: 1, "org", 10)
            fixture.time.advance(by: .hours(24))
            try await fixture.spend(replica, sequence: 2, "org", 20)
            try await fixture.send(.put, "org", #"{"limit":{"usd":1},"period":"\#(new)"}"#)
            #expect(try await fixture.send(.get, "org").json["settled"]?["nanoUSD"]?.int == settled)
        }
    }

    @Test("others hear of changes, and what is removed is counted no more", arguments: TestEngine.available)
    func heard(_ engine: TestEngine) async throws {
        try await BudgetFixture.on(engine) { fixture in
            try await fixture.send(.put, "org", #"{"limit":{"usd":1}}"#)
            let opening = try await fixture.vault.open("r1", at: fixture.time.now)
            let idle = try await fixture.vault.look(opening.replica, since: opening.counter, at: fixture.time.now)
            #expect(idle.terms.isEmpty && idle.windows.isEmpty && idle.counter == opening.counter)
            try await fixture.send(.put, "org", #"{"limit":{"usd":2}}"#)
            let news = try await fixture.vault.look(opening.replica, since: opening.counter, at: fixture.time.now)
            #expect(news.terms.map(\.limit.nanoUSD) == [2_000_000_000])
            let key = try #require(opening.terms.first).key(at: fixture.time.now)
            try await fixture.send(.delete, "org")
            let removal = try await fixture.vault.look(opening.replica, since: news.counter, at: fixture.time.now)
            #expect(removal.removed == [key.budgetID])
            var late = BudgetMessage(replica: opening.replica, now: fixture.time.now, seen: 0)
            late.report = BudgetReport(
                sequence: 1, lines: [.init(key: key, spent: BudgetAmounts(nanoUSD: 5), returned: .zero)])
            let answer = try await fixture.vault.exchange(late)
            #expect(!answer.isVoid)
            try await fixture.send(.put, "org", #"{"limit":{"usd":1}}"#)
            #expect(try await fixture.send(.get, "org").json["settled"]?["nanoUSD"]?.int == 0)
        }
    }
}
