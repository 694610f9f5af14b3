import Kernel

/// What budgets need done by the clock. Every replica runs these.
public struct BudgetLoops: Sendable {
    /// Replicas of one round, and rows of one commit.
    static let roundMax = 100

    let service: BudgetService
    let vault: StoredBudgetVault
    let storage: any Storage
    let world: World

    public init(service: BudgetService, vault: StoredBudgetVault, storage: any Storage, world: World) {
        self.service = service
        self.vault = vault
        self.storage = storage
        self.world = world
    }

    public var loops: [Loop] {
        [
            Loop("budgets.lost", every: .seconds(5)) {
                _ = try await vault.writeOff(at: world.now, limit: Self.roundMax)
            },
            Loop("budgets.tasks", every: .minutes(1)) {
                while try await storage.write({ try service.retire(limit: Self.roundMax, in: $0) }) {}
            },
            Loop("budgets.retention", every: .hours(1)) {
                while try await storage.write({ try service.purge(limit: Self.roundMax, in: $0) }) {}
            },
        ]
    }
}
