import Kernel

/// Who still uses an old value, wherever that is seen: tasks and leases stand in the store, and sessions that one
/// replica alone hears of are told there for the others.
extension SecretRotationService {
    /// Agents whose sessions are told of.
    static let sessionsMax = 10_000
    /// How often a replica says again what it hears of.
    static let sessionInterval = Span.minutes(1)
    /// For how long that counts where it says nothing more: it may be starting anew, and what it heard of goes on.
    static let sessionStanding = Span.hours(1)

    /// How the old value is used, and by whom. What began before its agent first read the new value holds the old one,
    /// as far as anybody can tell.
    func use(
        of kept: SecretRotationStore.Kept, _ live: [String: Timestamp], in transaction: Transaction
    ) throws -> (use: SecretRotation.Use, users: [RotationUser]) {
        let rotation = kept.rotation
        let readers = try rotations.readers(
            of: rotation.oldVersion, before: rotation.newVersion, kept.path, limit: Self.readersMax, in: transaction)
        let agents = Array(Set(readers.compactMap(\.agent)))
        let tasks = Dictionary(
            grouping: try ground.users.running(of: agents, limit: Self.tasksMax, in: transaction), by: \.agent)
        let leases = try secrets.store.leases.running(
            of: kept.path, version: rotation.oldVersion, at: world.now, limit: Self.readersMax, in: transaction)
        let starts = try told.starts(
            of: agents, exceptBy: ground.replica, since: world.now - Self.sessionStanding, in: transaction
        ).merging(live, uniquingKeysWith: min)
        let users = readers.map { reader -> RotationUser in
            func isOld(_ start: Timestamp?) -> Bool {
                guard let movedAt = reader.movedAt, let start else { return true }
                return start < movedAt
            }
            var running = leases[reader.actor] ?? 0
            if let agent = reader.agent {
                running += (tasks[agent] ?? []).filter { isOld($0.since) }.count
                if let start = starts[agent], isOld(start) { running += 1 }
            }
            return RotationUser(
                actor: reader.actor, agent: reader.agent, lastUsedAt: reader.lastAt, hasMoved: reader.movedAt != nil,
                running: running)
        }
        let last = try rotations.lastUse(of: rotation.oldVersion, kept.path, in: transaction)
        // A lease holds it, also that of somebody who is not among those that read it last.
        let others = leases.filter { lease in !readers.contains { $0.actor == lease.key } }.values.reduce(0, +)
        return (SecretRotation.Use(lastAt: last, running: users.map(\.running).reduce(others, +)), users)
    }

    /// Tells the other replicas of sessions whose agents read a value that is being replaced. Where nothing is being
    /// replaced nothing is written.
    func tellSessions() async throws {
        let now = world.now
        let live = ground.sessions()
        let replica = ground.replica
        let stale = now - Self.sessionStanding
        let (starts, isNews) = try await secrets.storage.read { transaction in
            let agents = try rotations.agentsOfOld(among: Array(live.keys), limit: Self.sessionsMax, in: transaction)
            let starts = live.filter { agents.contains($0.key) }
            let known = try told.known(by: replica, in: transaction)
            let isNews = known.starts != starts || known.heardAt.map { $0 <= now - Self.sessionInterval } ?? false
            return (starts, try isNews || told.hasAny(before: stale, in: transaction))
        }
        guard isNews else { return }
        try await secrets.storage.write { transaction in
            try told.replace(starts, by: replica, at: now, in: transaction)
            try told.purge(before: stale, in: transaction)
        }
    }
}
