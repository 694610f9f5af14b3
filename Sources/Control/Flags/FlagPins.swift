import Kernel
import Synchronization

/// What sessions hold of pinned flags: in memory for those that ask, in the store for good.
public final class FlagPins: Sendable {
    /// Sessions at hand.
    static let sessionsMax = 20_000
    /// Pins in the store. Beyond it, those that were used longest ago go.
    static let pinsMax: Int64 = 200_000
    /// How long a session that asks for nothing keeps its pins.
    static let lifetime = Span.hours(24 * 7)
    /// How exactly the store knows when a session asked last.
    static let useResolution = Span.hours(1)
    /// Rows of one transaction.
    static let roundMax = 500

    private struct Held {
        var pins: [String: FlagPin]
        /// What the store knows.
        var usedAt: Timestamp
        /// When it asked last.
        var askedAt: Timestamp
    }

    let store = FlagPinStore()
    private let storage: any Storage
    private let world: World
    private let sessions = Mutex<[String: Held]>([:])

    public init(storage: any Storage, world: World) {
        self.storage = storage
        self.world = world
    }

    /// What this process knows of a session's pins; `nil` where the store has to be asked.
    func known(_ session: String) -> [String: FlagPin]? {
        let now = world.now
        return sessions.withLock { sessions in
            sessions[session]?.askedAt = now
            return sessions[session]?.pins
        }
    }

    /// The pins of a session: one read of the store when it comes first.
    func pins(of session: String) async throws -> [String: FlagPin] {
        if let known = known(session) { return known }
        return keep(try await storage.read { [store] in try store.pins(of: session, in: $0) }, of: session)
    }

    /// Keeps what a session got first; returns what it holds, as another replica may have been quicker.
    func pin(_ decisions: [FlagDecision], to session: String) async throws -> [String: FlagPin] {
        let now = world.now
        let pins = try await storage.write { [store] transaction in
            for decision in decisions {
                let old = try store.pins(of: session, in: transaction).first { $0.flag == decision.flag.key }
                if let old, !old.fits(decision.flag) { try store.drop(old.flag, of: session, in: transaction) }
                try store.pin(decision, to: session, at: now, in: transaction)
            }
            return try store.pins(of: session, in: transaction)
        }
        return keep(pins, of: session)
    }

    private func keep(_ pins: [FlagPin], of session: String) -> [String: FlagPin] {
        let now = world.now
        let named = Dictionary(pins.map { ($0.flag, $0) }) { first, _ in first }
        sessions.withLock { sessions in
            if sessions.count >= Self.sessionsMax, sessions[session] == nil { Self.makeRoom(&sessions, at: now) }
            // What is read at first counts as used then, so that it is written down within the hour.
            let usedAt = sessions[session]?.usedAt ?? (pins.isEmpty ? now : now - Self.useResolution)
            sessions[session] = Held(pins: named, usedAt: usedAt, askedAt: now)
        }
        return named
    }

    /// Those that come back are read again.
    private static func makeRoom(_ sessions: inout [String: Held], at now: Timestamp) {
        sessions = sessions.filter { now - $0.value.askedAt < .minutes(10) && !$0.value.pins.isEmpty }
        if sessions.count >= sessionsMax { sessions = [:] }
    }

    // MARK: Upkeep

    func keepUp() async throws {
        try await writeUses()
        let now = world.now
        while try await storage.write({ [store] in
            try store.purge(unusedSince: now - Self.lifetime, limit: Self.roundMax, in: $0)
        }) == Self.roundMax {}
        var surplus = Int(try await storage.read { [store] in try store.count(in: $0) } - Self.pinsMax)
        while surplus > 0 {
            let count = min(surplus, Self.roundMax)
            surplus -= try await storage.write { [store] in try store.purgeOldest(count, in: $0) }
            if surplus <= 0 { sessions.withLock { $0 = [:] } }
        }
    }

    private func writeUses() async throws {
        let now = world.now
        let due: [String] = sessions.withLock { sessions in
            var due: [String] = []
            for (name, held) in sessions where held.askedAt - held.usedAt >= Self.useResolution && !held.pins.isEmpty {
                due.append(name)
                sessions[name]?.usedAt = now
            }
            return due
        }
        var rest = due[...]
        while !rest.isEmpty {
            let some = Array(rest.prefix(Self.roundMax))
            rest = rest.dropFirst(Self.roundMax)
            try await storage.write { [store] in try store.touch(some, at: now, in: $0) }
        }
    }
}
