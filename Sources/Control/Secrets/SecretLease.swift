import Kernel

/// The time for which somebody who read a secret means to use it: while it runs, they hold that version.
///
/// A lease takes nothing back that was read. It tells who would be hit by a change, and tells a holder that asks again
/// that there is a newer version, or that the lease was revoked and the value has to go.
public struct SecretLease: Sendable, Equatable {
    /// Seconds that one lease, or one renewal, may last.
    static let seconds: ClosedRange<Int64> = 10...86_400
    static let secondsDefault: Int64 = 3_600
    /// For so long a lease can be renewed; then the secret has to be read again.
    static let lifeMax = Span.hours(24 * 32)
    /// Leases of one secret that run at one time.
    static let leasesMax = 10_000
    /// How long one that is over is known, so that its holder is told why.
    static let kept = Span.hours(24)

    public let id: Identifier<SecretLease>
    public let path: SecretPath
    public let version: Int
    let actor: String
    let agent: String?
    let grantedAt: Timestamp
    private(set) var expiresAt: Timestamp
    private(set) var renewedAt: Timestamp?
    private(set) var revokedAt: Timestamp?

    init(
        id: Identifier<SecretLease>, path: SecretPath, version: Int, actor: String, agent: String?,
        grantedAt: Timestamp, expiresAt: Timestamp, renewedAt: Timestamp? = nil, revokedAt: Timestamp? = nil
    ) {
        (self.id, self.path, self.version, self.actor, self.agent) = (id, path, version, actor, agent)
        (self.grantedAt, self.expiresAt) = (grantedAt, expiresAt)
        (self.renewedAt, self.revokedAt) = (renewedAt, revokedAt)
    }

    func isRunning(at now: Timestamp) -> Bool { revokedAt == nil && now < expiresAt }

    /// Whole seconds that are left.
    func secondsLeft(at now: Timestamp) -> Int64 { max(0, (expiresAt - now).microseconds / 1_000_000) }

    /// Whether it can be renewed at all beyond what it has.
    var isRenewable: Bool { expiresAt < grantedAt + Self.lifeMax }

    /// Lets it run on from now.
    ///
    /// - Throws: `lease_lost` where it is over.
    mutating func renew(for seconds: Int64, at now: Timestamp) throws {
        guard revokedAt == nil else {
            throw Problem(
                .leaseLost, "The lease \(id) of \(path) was revoked.",
                hint: "Stop using the value. Read the secret again where you still may.")
        }
        guard now < expiresAt else {
            throw Problem(
                .leaseLost, "The lease \(id) of \(path) ran out.", hint: "Read the secret again.")
        }
        expiresAt = max(expiresAt, min(now + .seconds(seconds), grantedAt + Self.lifeMax))
        renewedAt = now
    }
}

extension SecretLease: Identified {
    public static let idPrefix = "lease"
}

extension SecretService {
    /// Reads a secret and says for how long it is used.
    func lease(
        _ path: SecretPath, version number: Int?, seconds: Int64, by principal: Principal
    ) async throws -> (reading: Reading, lease: SecretLease?) {
        let reading = try await read(path, version: number, by: principal)
        guard reading.data != nil else { return (reading, nil) }
        let now = world.now
        let lease = SecretLease(
            id: Identifier(world), path: path, version: reading.version.number, actor: principal.actor,
            agent: principal.agent, grantedAt: now, expiresAt: now + .seconds(seconds))
        try await storage.write { transaction in
            // What was granted a moment ago may be gone by now.
            guard try maySee(path, principal, in: transaction), try store.find(path, in: transaction) != nil else {
                throw Self.refused(path)
            }
            guard try store.leases.count(of: path, at: now, in: transaction) < SecretLease.leasesMax else {
                throw Problem(
                    .conflict, "\(path) has \(SecretLease.leasesMax) leases; more are not given.",
                    hint: "Read it without a lease, or revoke leases that nobody needs.")
            }
            try store.leases.insert(lease, in: transaction)
        }
        return (reading, lease)
    }

    /// A lease, to its holder and to operators, whether it still runs or not.
    func lease(_ id: Identifier<SecretLease>, by principal: Principal) async throws -> SecretLease {
        try await storage.read { try ownLease(id, principal, in: $0) }
    }

    /// Lets a lease run on, and says which version is the newest one.
    func renewLease(
        _ id: Identifier<SecretLease>, seconds: Int64, by principal: Principal
    ) async throws -> (lease: SecretLease, newest: Int) {
        let now = world.now
        return try await storage.write { transaction in
            var lease = try ownLease(id, principal, in: transaction)
            try lease.renew(for: seconds, at: now)
            guard try maySee(lease.path, principal, in: transaction) else { throw Self.refused(lease.path) }
            guard let secret = try store.find(lease.path, in: transaction),
                let (version, _) = try store.version(lease.version, of: lease.path, in: transaction),
                version.isReadable
            else {
                throw Problem(
                    .leaseLost, "Version \(lease.version) of \(lease.path) is gone.", hint: "Read the secret again.")
            }
            try store.leases.extend(lease, in: transaction)
            try store.markUsed(lease.path, version: lease.version, by: principal, at: now, in: transaction)
            return (lease, secret.version)
        }
    }

    /// Ends a lease. To end one that is over changes nothing.
    func revokeLease(_ id: Identifier<SecretLease>, by principal: Principal) async throws {
        let now = world.now
        try await storage.write { transaction in
            let lease = try ownLease(id, principal, in: transaction)
            guard try store.leases.revoke([id.text], at: now, in: transaction) > 0 else { return }
            try audit.record(
                "secret.lease_revoked", by: principal, target: "secret:\(lease.path)",
                detail: ["lease": .string(id.text), "actor": .string(lease.actor)], in: transaction)
        }
    }

    /// Ends all leases of a version, as for a value that others know; how many those were.
    @discardableResult
    func revokeLeases(
        of path: SecretPath, version: Int, by principal: Principal, in transaction: Transaction
    ) throws -> Int {
        let count = try store.leases.revokeAll(of: path, version: version, at: world.now, in: transaction)
        guard count > 0 else { return 0 }
        try record(
            "secret.leases_revoked", path, ["leases": count.json, "version": version.json], by: principal,
            in: transaction)
        return count
    }

    /// Whoever reads a secret ends its own leases; operators end any. Others learn nothing of it.
    private func ownLease(
        _ id: Identifier<SecretLease>, _ principal: Principal, in transaction: Transaction
    ) throws -> SecretLease {
        guard let lease = try store.leases.find(id, in: transaction),
            lease.actor == principal.actor || [.admin, .operator_].contains(principal.role)
        else { throw Problem.notFound("lease", id.text) }
        return lease
    }

    /// Forgets leases that are long over.
    func purgeLeases() async throws {
        let before = world.now - SecretLease.kept
        while try await storage.write({ try store.leases.purge(endedBefore: before, limit: 500, in: $0) }) == 500 {}
    }
}
