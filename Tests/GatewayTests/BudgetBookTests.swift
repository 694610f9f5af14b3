import Control
import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Gateway

/// Replicas of one store: books with their clerks, in the test's time or in the machine's.
private struct BudgetFleet: Sendable {
    let storage: any Storage
    let world: World
    let time: ManualTime
    let clerks: [BudgetClerk]
    let service: BudgetService

    static func on(
        _ engine: TestEngine, replicas: Int = 1, live: Bool = false, _ body: (BudgetFleet) async throws -> Void
    ) async throws {
        try await withStorage(engine, migrations: BudgetSimulationTests.migrations) { storage in
            let fleet = BudgetFleet(storage, replicas: replicas, live: live)
            for clerk in fleet.clerks { await clerk.keepUp() }
            try await body(fleet)
        }
    }

    init(_ storage: any Storage, replicas: Int, live: Bool) {
        let time = ManualTime()
        let world = live ? World.live : World.test(time: time)
        let events = Events(world: world)
        self.storage = storage
        self.time = time
        self.world = world
        clerks = (0..<replicas).map { index in
            BudgetClerk(
                book: BudgetBook(journal: nil), vault: StoredBudgetVault(storage: storage, events: events),
                replicaID: "r\(index)", world: world)
        }
        service = BudgetService(
            memory: clerks[0].book, events: events, audit: AuditService(world: world), world: world)
    }

    var clerk: BudgetClerk { clerks[0] }
    var book: BudgetBook { clerks[0].book }

    func set(_ scope: BudgetScope, _ limit: BudgetLimit, mode: String = "strict", period: String = "day") async throws {
        let draft = try BudgetDraft(
            Fields(
                JSONObject([
                    .init(name: "limit", value: limit.json), .init(name: "mode", value: .string(mode)),
                    .init(name: "period", value: .string(period)),
                ]), limits: Limits()))
        try await storage.write { try service.put(scope, draft, ifMatch: nil, by: .system, in: $0) }
        for clerk in clerks { await clerk.keepUp() }
    }

    func view(_ scope: BudgetScope) async throws -> BudgetView { try await service.view(scope, storage: storage) }

    /// Lets time pass with its rounds. The store's own time does not count: an exchange that a waiting call began is
    /// over before time goes on.
    func pass(_ span: Span) async throws {
        for _ in 0..<span.microseconds / 100_000 {
            await rest()
            time.advance(by: .milliseconds(100))
            for clerk in clerks { await clerk.keepUp() }
            await rest()
        }
    }

    private func rest() async {
        while clerks.contains(where: \.book.isExchanging) { await Task.yield() }
    }
}

@Suite struct BudgetBookTests {
    private static func usd(_ nano: Int64) -> BudgetAmounts { BudgetAmounts(nanoUSD: nano, calls: 1) }
    private static let agent = BudgetScope(.agent, "a")
    private static let project = BudgetScope(.project, "p")

    @Test("what this process knows is shown at once", arguments: TestEngine.available)
    func exact(_ engine: TestEngine) async throws {
        try await BudgetFleet.on(engine) { fleet in
            try await fleet.set(.org, BudgetLimit(nanoUSD: 1_000))
            let hold = try await fleet.clerk.reserve([.org, Self.agent], Self.usd(300))
            #expect(hold.isCounted)
            #expect(try await fleet.view(.org).held == Self.usd(300))
            try await fleet.clerk.topUp(hold, by: BudgetAmounts(nanoUSD: 50))
            #expect(try await fleet.view(.org).held == Self.usd(350))
            fleet.book.settle(hold, Self.usd(120))
            fleet.book.settle(hold, Self.usd(120))
            for _ in 0..<3 {
                let view = try await fleet.view(.org)
                #expect(view.settled == Self.usd(120))
                #expect(view.held == .zero)
                #expect(view.remaining.nanoUSD == 880)
                try await fleet.pass(.milliseconds(100))
            }
            let standing = try #require(fleet.book.standing([Self.agent, .org], at: fleet.world.now).first)
            #expect(standing.scope == .org)
            #expect(standing.settled == Self.usd(120))
            #expect(standing.fraction == 0.12)
            #expect(!standing.isSoftLimitReached)
        }
    }

    @Test("a call without budgets is not counted, and its record is written all the same")
    func uncounted() async throws {
        try await BudgetFleet.on(.sqlite) { fleet in
            let hold = try await fleet.clerk.reserve([.org, Self.agent], Self.usd(300))
            #expect(!hold.isCounted)
            let ridden = Mutex(0)
            fleet.book.settle(hold, Self.usd(300)) { _ in ridden.withLock { $0 += 1 } }
            try await fleet.pass(.milliseconds(100))
            #expect(ridden.withLock { $0 } == 1)
        }
    }

    @Test("refusals are typed, and name the budget that is short")
    func refusals() async throws {
        try await BudgetFleet.on(.sqlite) { fleet in
            try await fleet.set(.org, BudgetLimit(nanoUSD: 1_000))
            try await fleet.set(Self.agent, BudgetLimit(nanoUSD: 100, calls: 2))
            let scopes = [BudgetScope.org, Self.agent]
            await #expect(throws: BudgetRefusal.exceeded(Self.agent, .usd)) {
                try await fleet.clerk.reserve(scopes, Self.usd(101))
            }
            #expect(try await fleet.view(.org).held == .zero)
            let hold = try await fleet.clerk.reserve(scopes, Self.usd(60))
            let waiting = Task { try await fleet.clerk.reserve(scopes, Self.usd(41)) }
            while fleet.book.counts.waiting == 0 { await Task.yield() }
            // Others of the organisation pass meanwhile.
            let other = try await fleet.clerk.reserve([.org], Self.usd(500))
            try await fleet.pass(.milliseconds(1_100))
            await #expect(throws: BudgetRefusal.inFlight(Self.agent, retryAfterSeconds: 1)) {
                try await waiting.value
            }
            fleet.book.release(other)
            fleet.book.settle(hold, Self.usd(60))
            await #expect(throws: BudgetRefusal.exceeded(Self.agent, .usd)) {
                try await fleet.clerk.reserve(scopes, Self.usd(41))
            }
            let growing = try await fleet.clerk.reserve(scopes, BudgetAmounts(nanoUSD: 30))
            // What it holds itself is not given back by waiting: 60 spent, 30 held, 11 more.
            await #expect(throws: BudgetRefusal.exceeded(Self.agent, .usd)) {
                try await fleet.clerk.topUp(growing, by: BudgetAmounts(nanoUSD: 11))
            }
            fleet.book.release(growing)
            fleet.book.settle(try await fleet.clerk.reserve(scopes, Self.usd(40)), Self.usd(0))
            await #expect(throws: BudgetRefusal.exceeded(Self.agent, .calls)) {
                try await fleet.clerk.reserve(scopes, Self.usd(1))
            }
            #expect(BudgetRefusal.exceeded(Self.agent, .usd).status == 402)
            #expect(BudgetRefusal.exceeded(Self.agent, .usd).message.contains("PUT /api/v1/budgets/agent:a"))
        }
    }

    @Test("who waits gets what is released, in the order of coming")
    func order() async throws {
        try await BudgetFleet.on(.sqlite) { fleet in
            try await fleet.set(.org, BudgetLimit(nanoUSD: 100))
            let hold = try await fleet.clerk.reserve([.org], Self.usd(100))
            let order = Mutex<[Int]>([])
            for (index, want) in [80, 30, 20].enumerated() {
                fleet.book.wait([.org], Self.usd(Int64(want)), at: fleet.world.now) { grant in
                    if case .held = grant { order.withLock { $0.append(index) } }
                }
            }
            #expect(fleet.book.reserve([.org], Self.usd(1), at: fleet.world.now) == .mustWait)
            fleet.book.release(hold)
            // 80 fits, 30 does not beside it, and 20 waits behind that.
            #expect(order.withLock { $0 } == [0])
            try await fleet.pass(.milliseconds(1_000))
            #expect(order.withLock { $0 } == [0, 2])
            #expect(fleet.book.counts.waiting == 0)
        }
    }

    @Test("what one replica has idle serves the other", arguments: TestEngine.available)
    func idle(_ engine: TestEngine) async throws {
        try await BudgetFleet.on(engine, replicas: 2) { fleet in
            try await fleet.set(.org, BudgetLimit(nanoUSD: 100))
            let hold = try await fleet.clerks[0].reserve([.org], Self.usd(90))
            fleet.clerks[0].book.release(hold)
            let waiting = Task { try await fleet.clerks[1].reserve([.org], Self.usd(95)) }
            while fleet.clerks[1].book.counts.waiting == 0 { await Task.yield() }
            try await fleet.pass(.milliseconds(300))
            fleet.clerks[1].book.release(try await waiting.value)
            // Unused for two seconds it goes back by itself.
            try await fleet.pass(.seconds(5))
            let lent = try await fleet.storage.read { try $0.rows("SELECT granted_usd FROM budget_grants").count }
            #expect(lent == 0)
        }
    }

    @Test("a change counts at once here, and within a round elsewhere")
    func changes() async throws {
        try await BudgetFleet.on(.sqlite, replicas: 2) { fleet in
            try await fleet.set(.org, BudgetLimit(nanoUSD: 1_000))
            for clerk in fleet.clerks {
                clerk.book.settle(try await clerk.reserve([.org], Self.usd(400)), Self.usd(50))
            }
            let draft = try BudgetDraft(
                Fields(JSONObject([.init(name: "limit", value: ["usd": "0.0000001"])]), limits: Limits()))
            _ = try await fleet.storage.write { try fleet.service.put(.org, draft, ifMatch: nil, by: .system, in: $0) }
            #expect(fleet.book.standing([.org], at: fleet.world.now).first?.limit.nanoUSD == 100)
            try await fleet.pass(.milliseconds(200))
            for clerk in fleet.clerks {
                await #expect(throws: BudgetRefusal.exceeded(.org, .usd)) {
                    try await clerk.reserve([.org], Self.usd(1_001))
                }
            }
            try await fleet.storage.write { try fleet.service.remove(.org, ifMatch: nil, by: .system, in: $0) }
            let here = try await fleet.clerk.reserve([.org], Self.usd(5_000))
            #expect(!here.isCounted)
            try await fleet.pass(.milliseconds(200))
            let there = try await fleet.clerks[1].reserve([.org], Self.usd(5_000))
            #expect(!there.isCounted)
        }
    }

    @Test("a hold belongs to the day on which it began")
    func midnight() async throws {
        try await BudgetFleet.on(.sqlite) { fleet in
            try await fleet.set(.org, BudgetLimit(nanoUSD: 100))
            let hold = try await fleet.clerk.reserve([.org], Self.usd(90))
            try await fleet.pass(.milliseconds(100))
            fleet.time.advance(by: .hours(17))
            let next = try await fleet.clerk.reserve([.org], Self.usd(100))
            fleet.book.settle(hold, Self.usd(70))
            fleet.book.settle(next, Self.usd(40))
            try await fleet.pass(.milliseconds(200))
            #expect(try await fleet.view(.org).settled == Self.usd(40))
            let sum = try await fleet.storage.read {
                try $0.rows("SELECT settled_usd FROM budget_windows ORDER BY start_at").map { $0.int("settled_usd") }
            }
            #expect(sum == [70, 40])
        }
    }

    @Test("what could not be stopped is booked in full and counted")
    func breach() async throws {
        try await BudgetFleet.on(.sqlite) { fleet in
            try await fleet.set(.org, BudgetLimit(nanoUSD: 100))
            fleet.book.settle(try await fleet.clerk.reserve([.org], Self.usd(90)), Self.usd(130))
            try await fleet.pass(.milliseconds(200))
            let view = try await fleet.view(.org)
            #expect(view.settled.nanoUSD == 130)
            #expect(view.breaches == 1)
            #expect(view.remaining.nanoUSD == 0)
            #expect(fleet.book.breaches == 1)
        }
    }

    @Test("a call with too many scopes, or twice the same, is no way around")
    func scopes() async throws {
        try await BudgetFleet.on(.sqlite) { fleet in
            try await fleet.set(.org, BudgetLimit(nanoUSD: 100))
            let many = (0...BudgetBounds.scopesPerCall).map { BudgetScope(.tag, "\($0)") }
            guard case .refused(.unavailable) = fleet.book.reserve(many, Self.usd(1), at: fleet.world.now) else {
                Issue.record("65 scopes are taken")
                return
            }
            let hold = try await fleet.clerk.reserve([.org, .org, .org], Self.usd(40))
            #expect(try await fleet.view(.org).held == Self.usd(40))
            fleet.book.settle(hold, BudgetAmounts(nanoUSD: -5))
            #expect(try await fleet.view(.org).settled == .zero)
        }
    }

    @Test("a call that is given up leaves the line and holds nothing")
    func givenUp() async throws {
        try await BudgetFleet.on(.sqlite) { fleet in
            try await fleet.set(.org, BudgetLimit(nanoUSD: 100))
            let hold = try await fleet.clerk.reserve([.org], Self.usd(100))
            let waiting = Task { try await fleet.clerk.reserve([.org], Self.usd(50)) }
            while fleet.book.counts.waiting == 0 { await Task.yield() }
            waiting.cancel()
            await #expect(throws: BudgetRefusal.unavailable("the call was given up")) { try await waiting.value }
            fleet.book.release(hold)
            #expect(fleet.book.counts == (0, 0))
        }
    }

    @Test("five hundred calls at once spend a cap to the last unit and not one more", arguments: TestEngine.available)
    func storm(_ engine: TestEngine) async throws {
        try await BudgetFleet.on(engine, replicas: 2, live: true) { fleet in
            try await fleet.set(.org, BudgetLimit(nanoUSD: 1_000))
            try await fleet.set(Self.project, BudgetLimit(nanoUSD: 900, calls: 400))
            let rounds = Task {
                while !Task.isCancelled {
                    for clerk in fleet.clerks { await clerk.keepUp() }
                    try? await fleet.world.time.sleep(for: .milliseconds(20))
                }
            }
            let spent = await withTaskGroup(of: Int64.self) { group in
                for index in 0..<500 { group.addTask { await Self.spendThree(fleet.clerks[index % 2]) } }
                return await group.reduce(0, +)
            }
            rounds.cancel()
            await rounds.value
            for clerk in fleet.clerks { await clerk.close() }
            // 299 calls leave 3 of 900, and 298 leave 6: both less than the 7 that a call asks for.
            #expect(spent >= 894)
            #expect(try await fleet.view(Self.project).settled.nanoUSD == spent)
            #expect(try await fleet.view(.org).settled.nanoUSD == spent)
            #expect(try await fleet.view(Self.project).remaining.nanoUSD < 7)
            let lent = try await fleet.storage.read { try $0.rows("SELECT granted_usd FROM budget_grants").count }
            #expect(lent == 0)
        }
    }

    /// A call that holds 7 and costs 3, patient while others hold what it needs; 0 where the budget is used up.
    private static func spendThree(_ clerk: BudgetClerk) async -> Int64 {
        while true {
            do {
                let hold = try await clerk.reserve([.org, project], usd(7))
                await Task.yield()
                clerk.book.settle(hold, usd(3))
                return 3
            } catch BudgetRefusal.inFlight {
                continue
            } catch {
                return 0
            }
        }
    }
}
