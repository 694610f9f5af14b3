import Kernel

/// What is in force, and what is not any more although nobody took it back.
extension ContainmentService {
    /// Whether a containment is in force at this moment. Where one that acted holds nothing any more, as somebody
    /// resumed the agent, lifted the hold or changed the budget, that is written down: it leaves the lists of what is
    /// in force, and the same may be done anew.
    @discardableResult
    func settle(_ containment: inout Containment, in transaction: Transaction) throws -> Bool {
        guard containment.state == .acted, containment.isInForce else { return containment.isInForce }
        guard try !hands.isHolding(containment, in: transaction) else { return true }
        try release(&containment, in: transaction)
        try store.save(containment, in: transaction)
        try tell("released", containment, by: .system, in: transaction)
        return false
    }

    /// How many are in force, by who thought of them.
    static func inForceCounts(in transaction: Transaction) throws -> [(origin: String, count: Int64)] {
        try ContainmentStore().heldCounts(in: transaction)
    }

    /// Notes that nothing is held by one that acted, and lets go of what it remembers. Saved by the caller.
    func release(_ containment: inout Containment, in transaction: Transaction) throws {
        containment.releasedAt = world.now
        try store.releaseAll(of: containment, in: transaction)
    }
}

extension ContainmentLoop {
    /// Those in force that one round looks at; the next one goes on behind them.
    static let heldMax = 100

    /// Looks whether what acted still holds something.
    func release() async throws {
        let after = held.after
        let (ended, last) = try await storage.read { [service] transaction in
            let some = try service.store.acted(after: after, limit: Self.heldMax, in: transaction)
            let ended = try some.filter { try !service.hands.isHolding($0, in: transaction) }.map(\.id)
            return (ended, some.count == Self.heldMax ? some.last?.id.text : nil)
        }
        held.after = last ?? ""
        for id in ended {
            try await storage.write { [service] transaction in
                guard var now = try service.store.containment(id, in: transaction),
                    try !service.settle(&now, in: transaction)
                else { return }
                // Of an incident that is forgotten nobody asks for it any more.
                if now.state == .acted, try service.forgotten(now, in: transaction) {
                    try service.store.forget(now, in: transaction)
                }
            }
        }
    }
}
