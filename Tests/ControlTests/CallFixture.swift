import Control
import Kernel
import TestSupport

/// Calls on a real store, with time and chance in the test's hand.
struct CallFixture: Sendable {
    static let operatorKey = Principal(keyID: "key_operator", name: "olga", role: .operator_)

    let time: ManualTime
    let world: World
    let storage: any Storage
    let calls: CallService
    let costs: CostService

    init(_ storage: any Storage, live: any LiveCalls = NoLiveCalls(), retentionDays: Int = 90) {
        time = ManualTime()
        world = .test(time: time)
        self.storage = storage
        calls = CallService(
            live: live, retentionDays: retentionDays, events: Events(world: world), audit: AuditService(world: world),
            world: world)
        costs = CostService(work: DeliverableStore(), world: world)
    }

    static func on(
        _ engine: TestEngine, live: any LiveCalls = NoLiveCalls(), retentionDays: Int = 90,
        _ body: (CallFixture) async throws -> Void
    ) async throws {
        try await withStorage(engine, migrations: TaskFixture.migrations + CallSchema.migrations) { storage in
            try await body(CallFixture(storage, live: live, retentionDays: retentionDays))
        }
    }

    /// A call of this moment that cost 1,000 nano-dollars, but for what the test changes.
    func call(_ change: (inout Call) -> Void = { _ in }) -> Call {
        var call = Call(
            id: Identifier(world), status: .done, startedAt: world.now, agent: "writer", project: "books",
            door: "openai.chat", model: "small", target: "main/small-2026-01-01",
            usage: CallUsage(buckets: ["input": 10, "output": 5]), cost: CallCost(nanoUSD: 1_000),
            durationMs: 120)
        change(&call)
        return call
    }

    @discardableResult
    func record(_ calls: Call...) async throws -> Int { try await record(calls) }

    @discardableResult
    func record(_ calls: [Call]) async throws -> Int {
        try await storage.write { [service = self.calls] in try service.record(calls, in: $0) }
    }

    func kept(_ id: Identifier<Call>) async throws -> Call { try await calls.call(id.text, storage: storage) }

    func list(_ filter: CallFilter = CallFilter(), limit: Int = 100, after: String? = nil) async throws -> [Call] {
        let running = calls.running(filter, after: after)
        return try await storage.read { [calls] in
            try calls.list(filter, page: Page(limit: limit, after: after), running: running, in: $0)
        }
    }

    func report(
        by dimension: CostDimension, since: String = "2026-01-01", until: String = "2027-12-31", limit: Int = 100,
        after: String? = nil, _ change: (inout CostFilter) -> Void = { _ in }
    ) async throws -> CostReport {
        var filter = CostFilter(
            since: CostDay(since) ?? CostDay(number: 0), until: CostDay(until) ?? CostDay(number: 0))
        change(&filter)
        let query = CostQuery(dimension, filter, limit: limit, after: after)
        return try await storage.read { [costs] in try costs.report(query, in: $0) }
    }
}

/// Calls of memory, as the gateway's side has them.
struct ListedCalls: LiveCalls {
    let calls: [Call]

    func running() -> [Call] { calls }
    func running(_ id: Identifier<Call>) -> Call? { calls.first { $0.id == id } }
}
