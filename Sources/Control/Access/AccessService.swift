import Kernel

/// Keys, login links and browser sessions: who may come in, and as what.
///
/// Every administrative verb writes its audit row and its event in the caller's transaction.
public struct AccessService: Sendable {
    /// How long a login link works.
    public static let linkLifetime = Span.hours(1)
    /// How long a browser stays logged in.
    public static let sessionLifetime = Span.hours(24 * 7)
    private static let usesPerFlush = 1_000

    let store = AccessStore()
    let storage: any Storage
    let audit: AuditService
    private let events: Events
    let world: World
    let cache = AccessCache()
    private let failedLogins: RateLimiter

    public init(storage: any Storage, audit: AuditService, events: Events, world: World, limits: Limits) {
        self.storage = storage
        self.audit = audit
        self.events = events
        self.world = world
        let perMinute = Double(limits.failedLoginsPerMinute)
        failedLogins = RateLimiter(perSecond: perMinute / 60, burst: perMinute)
    }

    // MARK: who is this

    /// What can be said of a credential without asking the store.
    public enum Recognition: Sendable {
        case known(Principal)
        /// It may be good; ``AccessService/resolve(_:)`` tells.
        case unseen(Unseen)
        /// It has not the form of any credential.
        case impossible
    }

    /// A credential that the store has to be asked about.
    public struct Unseen: Sendable {
        let fingerprint: String
        let isSession: Bool
    }

    /// Looks a credential up in memory.
    public func recognise(_ credential: Credential) -> Recognition {
        guard let fingerprint = credential.fingerprint else { return .impossible }
        if let principal = cache.principal(fingerprint, at: world.now) { return .known(principal) }
        if case .session = credential { return .unseen(Unseen(fingerprint: fingerprint, isSession: true)) }
        return .unseen(Unseen(fingerprint: fingerprint, isSession: false))
    }

    /// Asks the store whose credential it is; `nil` where it is nobody's, revoked or past its time.
    public func resolve(_ unseen: Unseen) async throws -> Principal? {
        let generation = cache.generation
        let now = world.now
        let key = try await storage.read { transaction in
            unseen.isSession
                ? try store.find(sessionSHA256: unseen.fingerprint, now: now, in: transaction)
                : try store.find(sha256: unseen.fingerprint, in: transaction)
        }
        guard let key, key.revokedAt == nil else { return nil }
        cache.keep(key.principal, for: unseen.fingerprint, generation: generation, at: now)
        return key.principal
    }

    /// The principal of a credential; `nil` where it is no good.
    public func authenticate(_ credential: Credential) async throws -> Principal? {
        switch recognise(credential) {
        case .known(let principal): principal
        case .unseen(let unseen): try await resolve(unseen)
        case .impossible: nil
        }
    }

    /// The principal of a key; `nil` where it is none, or revoked.
    public func authenticate(key: String) async throws -> Principal? { try await authenticate(.key(key)) }

    /// Rises with each revocation in this process: those who hold a connection open look again when it does.
    public var revocations: UInt64 { cache.generation }

    /// Whether a key is still in force, asked of the store.
    public func isInForce(keyID: String) async throws -> Bool {
        guard let id = Identifier<AccessKey>(keyID) else { return true }
        guard let key = try await storage.read({ try store.find(id, in: $0) }) else { return false }
        return key.revokedAt == nil
    }

    // MARK: keys

    /// Makes the secret and the row of a new key, without keeping them yet.
    ///
    /// - Parameter agent: For the role `agent` the agent's name, by default the key's; absent for every other role.
    public func draft(role: Role, name: String, agent: String?, by principal: Principal) throws -> IssuedKey {
        guard principal.role == .admin || (principal.role == .operator_ && role == .agent) else {
            throw Problem(
                .forbidden, "An \(principal.role.rawValue) key may not make a key with the role \"\(role.rawValue)\".",
                hint: principal.role == .operator_
                    ? "Make a key with the role agent, or ask an administrator." : "Ask an administrator.")
        }
        guard role == .agent || agent == nil else {
            throw Problem.invalid(
                "agent", "only a key with the role agent is bound to one",
                hint: "Leave `agent` out, or make a key with the role agent.")
        }
        let key = AccessKey(
            id: Identifier(world), role: role, name: name, agent: role == .agent ? agent ?? name : nil,
            createdAt: world.now, createdBy: principal.actor, lastUsedAt: nil, revokedAt: nil)
        return IssuedKey(key: key, secret: Secret.key(role, entropy: world.entropy))
    }

    /// Keeps a drafted key, by its hash.
    public func issue(_ issued: IssuedKey, by principal: Principal, in transaction: Transaction) throws {
        let key = issued.key
        try store.insert(key, sha256: Digest.sha256(issued.secret), in: transaction)
        let detail: JSONValue = [
            "role": .string(key.role.rawValue), "name": .string(key.name), "agent": .of(key.agent),
        ]
        try audit.record("key.created", by: principal, target: key.id.text, detail: detail, in: transaction)
        try tell("key.created", key, detail, by: principal, in: transaction)
    }

    /// Makes a key. Its secret is in the answer and nowhere else.
    public func issue(
        role: Role, name: String, agent: String?, by principal: Principal, in transaction: Transaction
    ) throws -> IssuedKey {
        let issued = try draft(role: role, name: name, agent: agent, by: principal)
        try issue(issued, by: principal, in: transaction)
        return issued
    }

    /// Ends a key with its sessions and login links, at once in this process and within seconds in others. Repeating it
    /// changes nothing.
    public func revoke(
        _ id: Identifier<AccessKey>, by principal: Principal, in transaction: Transaction
    ) throws {
        guard let key = try store.find(id, in: transaction) else { throw Problem.notFound("key", id.text) }
        guard key.revokedAt == nil else { return }
        if key.role == .admin, try store.firstAdmin(except: id.text, in: transaction) == nil {
            throw Problem(
                .lastAdminKey, "\"\(key.name)\" is the last admin key in force, so nothing was revoked.",
                hint: "Make another admin key first, then revoke this one with it.")
        }
        try store.revoke(id, at: world.now, in: transaction)
        let detail: JSONValue = ["role": .string(key.role.rawValue), "name": .string(key.name)]
        try audit.record("key.revoked", by: principal, target: id.text, detail: detail, in: transaction)
        try tell("key.revoked", key, detail, by: principal, in: transaction)
        let cache = cache
        transaction.afterCommit { cache.forget(keyID: id.text) }
    }

    /// Keys in the order of their making, revoked ones included.
    public func list(after: String?, limit: Int, in transaction: Transaction) throws -> [AccessKey] {
        try store.list(after: after ?? "", limit: limit, in: transaction)
    }

    func tell(
        _ type: String, _ key: AccessKey, _ detail: JSONValue, by principal: Principal, in transaction: Transaction
    ) throws {
        var data = detail.object ?? JSONObject()
        data["keyId"] = key.id.json
        try events.append(
            EventDraft(type, actor: principal.actor, agent: key.agent, data: .object(data)), in: transaction)
    }

    // MARK: login links and sessions

    /// Makes a login link's token, without keeping it yet.
    public func draftLink() -> LoginLink {
        LoginLink(token: Secret.token(entropy: world.entropy), expiresAt: world.now + Self.linkLifetime)
    }

    /// Keeps a drafted link that opens sessions of this principal's key.
    public func issue(_ link: LoginLink, for principal: Principal, in transaction: Transaction) throws {
        try store.insertLink(
            sha256: Digest.sha256(link.token), keyID: principal.keyID, expiresAt: link.expiresAt, in: transaction)
        try audit.record("login_link.created", by: principal, target: principal.keyID, in: transaction)
    }

    /// Uses a link up and opens a session; `nil` where the link is unknown, used or past its time.
    public func openSession(linkToken: String, remoteAddress: String) async throws -> String? {
        guard Secret.isToken(linkToken) else { return nil }
        let session = Secret.token(entropy: world.entropy)
        let sha256 = Digest.sha256(linkToken)
        let now = world.now
        return try await storage.write { transaction in
            guard let keyID = try store.takeLink(sha256: sha256, now: now, in: transaction) else { return nil }
            return try open(session, keyID: keyID, via: "link", from: remoteAddress, in: transaction)
        }
    }

    /// Opens a session for whoever holds a key; `nil` where the key is no good.
    public func openSession(key: String, remoteAddress: String) async throws -> String? {
        guard Secret.isKey(key) else { return nil }
        let session = Secret.token(entropy: world.entropy)
        let sha256 = Digest.sha256(key)
        return try await storage.write { transaction in
            guard let key = try store.find(sha256: sha256, in: transaction) else { return nil }
            return try open(session, keyID: key.id, via: "key", from: remoteAddress, in: transaction)
        }
    }

    private func open(
        _ session: String, keyID: Identifier<AccessKey>, via way: String, from address: String,
        in transaction: Transaction
    ) throws -> String? {
        guard let key = try store.find(keyID, in: transaction), key.revokedAt == nil else { return nil }
        try store.insertSession(
            sha256: Digest.sha256(session), keyID: keyID.text, createdAt: world.now,
            expiresAt: world.now + Self.sessionLifetime, in: transaction)
        try audit.record(
            "session.opened", by: key.principal, target: keyID.text,
            detail: ["via": .string(way), "address": .string(address)], in: transaction)
        return session
    }

    /// Ends a session, at once.
    public func closeSession(_ session: String, by principal: Principal) async throws {
        guard let fingerprint = Credential.session(session).fingerprint else { return }
        try await storage.write { transaction in
            guard try store.deleteSession(sha256: fingerprint, in: transaction) else { return }
            try audit.record("session.closed", by: principal, target: principal.keyID, in: transaction)
            let cache = cache
            transaction.afterCommit { cache.forget(fingerprint: fingerprint) }
        }
    }

    // MARK: failed logins

    /// Refuses an address that has failed too often in the last minute.
    public func checkLogins(from address: String) throws {
        guard let seconds = failedLogins.wait(address, at: world.now) else { return }
        throw Problem(
            .rateLimited, "Too many failed logins from your address.",
            hint: "Wait \(seconds) s, then log in with a key that you have checked.", retryAfterSeconds: seconds)
    }

    public func noteFailedLogin(from address: String) { _ = failedLogins.take(address, at: world.now) }

    // MARK: upkeep

    /// Writes last uses down; a use that the process loses with its end was at most one round old.
    func flushUses() async throws {
        while true {
            let uses = cache.takeUses(limit: Self.usesPerFlush)
            guard !uses.isEmpty else { return }
            try await storage.write { transaction in
                for use in uses { try store.markUsed(use.keyID, at: use.at, in: transaction) }
            }
        }
    }

    func purge() async throws {
        let now = world.now
        try await storage.write { try store.purge(now: now, in: $0) }
    }
}
