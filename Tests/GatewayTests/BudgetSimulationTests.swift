import Control
import Foundation
import Kernel
import TestSupport
import Testing

@testable import Gateway

/// `REEVE_BUDGET_SEEDS` says how many seeds run, from `REEVE_BUDGET_FIRST` on; `REEVE_BUDGET_STEPS` how long each.
@Suite(.serialized) struct BudgetSimulationTests {
    private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

    static let migrations =
        IdempotencySchema.migrations + EventSchema.migrations + AuditSchema.migrations + BudgetSchema.migrations

    @Test("no replica, alive, killed or lost, takes a budget over its cap, and every cost is booked once")
    func seeds() async throws {
        let first = UInt64(Self.number("REEVE_BUDGET_FIRST") ?? 1)
        for seed in first..<first + UInt64(Self.number("REEVE_BUDGET_SEEDS") ?? 12) {
            try await run(.sqlite, seed: seed, replicas: 1 + Int(seed % 3))
        }
    }

    @Test("no call is refused while there is room for it")
    func honest() async throws {
        var judged = 0
        for seed in 501...(500 + UInt64(Self.number("REEVE_BUDGET_SEEDS") ?? 6)) {
            judged += try await run(.sqlite, seed: seed, replicas: 1 + Int(seed % 3), isCalm: true)
        }
        #expect(judged > 20)
    }

    @Test("the same on every engine", arguments: TestEngine.available)
    func engines(_ engine: TestEngine) async throws {
        for seed in [1_001, 1_002] as [UInt64] { try await run(engine, seed: seed, replicas: 3) }
    }

    @discardableResult
    private func run(
        _ engine: TestEngine, seed: UInt64, replicas: Int, isCalm: Bool = false
    ) async throws -> Int {
        try await TestStorage.withFolder { folder in
            try await withStorage(engine, migrations: Self.migrations) { storage in
                var simulation = BudgetSimulation(
                    seed: seed, replicas: replicas, isCalm: isCalm, storage: storage, folder: folder)
                try await simulation.run(steps: Self.number("REEVE_BUDGET_STEPS") ?? 150)
                return simulation.judged
            }
        }
    }
}
