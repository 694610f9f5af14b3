import Kernel

/// Parts of Reeve that containments act through and that may not be there.
public enum ContainmentDoor: String, Sendable, CaseIterable {
    case sessions, memory, goldenSets

    /// What is said where it is not there.
    public var absence: String {
        switch self {
        case .sessions:
            "Reeve does not hold the contexts of sessions yet: nothing can clear, set apart or restore them."
        case .memory: "Reeve does not hold the memory of agents yet: nothing can make it read-only or restore it."
        case .goldenSets: "Reeve does not run golden sets yet."
        }
    }
}

/// What a door is asked to do: the same key is the same act, which is done once.
public struct ContainmentErrand: Sendable, Equatable {
    public let action: ContainmentAction
    /// An agent's name, a session's or a golden set's.
    public let name: String
    public let snapshot: String?
    public let incidentID: String
    public let key: String
}

/// Contexts of sessions: cleared, set apart, restored.
public protocol SessionDoor: Sendable {
    /// - Returns: What became of it, for the timeline.
    func act(_ errand: ContainmentErrand) async throws -> String
    /// Takes back what was done under this key.
    func reverse(_ errand: ContainmentErrand) async throws -> String
}

/// The memory of agents: made read-only, offered to be restored.
public protocol MemoryDoor: Sendable {
    func act(_ errand: ContainmentErrand) async throws -> String
    func reverse(_ errand: ContainmentErrand) async throws -> String
}

/// Tasks whose right results are known, run to see whether an agent still gets them.
public protocol GoldenSetDoor: Sendable {
    func run(_ errand: ContainmentErrand) async throws -> String
}

/// The doors that there are.
public struct ContainmentDoors: Sendable {
    public var sessions: (any SessionDoor)?
    public var memory: (any MemoryDoor)?
    public var goldenSets: (any GoldenSetDoor)?

    public init(
        sessions: (any SessionDoor)? = nil, memory: (any MemoryDoor)? = nil, goldenSets: (any GoldenSetDoor)? = nil
    ) {
        (self.sessions, self.memory, self.goldenSets) = (sessions, memory, goldenSets)
    }

    public func has(_ door: ContainmentDoor) -> Bool {
        switch door {
        case .sessions: sessions != nil
        case .memory: memory != nil
        case .goldenSets: goldenSets != nil
        }
    }

    func act(_ errand: ContainmentErrand, through door: ContainmentDoor) async throws -> String {
        switch door {
        case .sessions: if let sessions { return try await sessions.act(errand) }
        case .memory: if let memory { return try await memory.act(errand) }
        case .goldenSets: if let goldenSets { return try await goldenSets.run(errand) }
        }
        throw Problem(.notThereYet, door.absence)
    }

    func reverse(_ errand: ContainmentErrand, through door: ContainmentDoor) async throws -> String {
        switch door {
        case .sessions: if let sessions { return try await sessions.reverse(errand) }
        case .memory: if let memory { return try await memory.reverse(errand) }
        case .goldenSets: break
        }
        throw Problem(.notThereYet, door.absence)
    }
}

extension ProblemCode {
    static let notThereYet = ProblemCode("not_there_yet", 501, "The part of Reeve that would act is not there yet")
    static let neverContained = ProblemCode("never_contained", 403, "The settings keep containments from it")
}
