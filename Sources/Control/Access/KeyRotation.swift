import Kernel

/// Keys that take each other's place without anyone noticing: for a while both are in force.
///
/// Browsers stay logged in: their cookies are random and know no key of their own, so sessions go over to the new one.
extension AccessService {
    /// For how long the old key stays in force where nobody says otherwise.
    public static let keyOverlap = Span.hours(24)
    public static let keyOverlapMax = Span.hours(24 * 30)
    /// Keys that one round ends; the rest wait for the next.
    static let retiringMax = 500
    /// What other replicas know of uses comes so late at most.
    static let useDelay = Span.minutes(1)

    /// A key that may take another's place.
    func key(_ id: Identifier<AccessKey>, in transaction: Transaction) throws -> AccessKey {
        guard let key = try store.find(id, in: transaction) else { throw Problem.notFound("key", id.text) }
        return key
    }

    /// Issues a drafted key in the place of another, which ends after the overlap.
    ///
    /// - Parameter waitsForUse: It stays on until nobody has used it for as long as the overlap.
    func replace(
        _ id: Identifier<AccessKey>, by issued: IssuedKey, overlap: Span, waitsForUse: Bool, as principal: Principal,
        in transaction: Transaction
    ) throws -> AccessKey {
        var old = try key(id, in: transaction)
        guard old.revokedAt == nil else {
            throw Problem(.conflict, "\"\(old.name)\" was revoked.", hint: "Make another key with POST /api/v1/keys.")
        }
        guard old.replacedBy == nil else {
            throw Problem(
                .conflict, "\(old.replacedBy ?? "") takes the place of \"\(old.name)\" already.",
                hint: "Rotate that one, or revoke it and make another.")
        }
        try issue(issued, by: principal, in: transaction)
        old.retiresAt = world.now + min(max(overlap, .zero), Self.keyOverlapMax)
        old.retiresUnused = waitsForUse ? overlap : nil
        old.replacedBy = issued.key.id.text
        try store.replace(old, in: transaction)
        let detail: JSONValue = [
            "role": .string(old.role.rawValue), "name": .string(old.name), "replacedBy": issued.key.id.json,
            "retiresAt": .of(old.retiresAt), "untilUnused": .bool(waitsForUse),
        ]
        try audit.record("key.rotated", by: principal, target: id.text, detail: detail, in: transaction)
        try tell("key.rotated", old, detail, by: principal, in: transaction)
        let cache = cache
        // Sessions are another key's now.
        transaction.afterCommit { cache.forget(keyID: id.text) }
        return old
    }

    /// Ends keys whose time has come. One that is still used stays where that was asked for, and so does the last admin
    /// key: to lock everybody out helps nobody.
    func retire() async throws {
        let now = world.now
        let due = try await storage.read { try store.retiring(at: now, limit: Self.retiringMax, in: $0) }
        guard !due.isEmpty else { return }
        try await flushUses()
        for key in due {
            try await storage.write { transaction in
                guard let key = try store.find(key.id, in: transaction), key.revokedAt == nil,
                    let end = key.retiresAt, end <= now
                else { return }
                if let span = key.retiresUnused, let used = key.lastUsedAt, used + span + Self.useDelay > now {
                    return try store.postpone(key.id, until: used + span + Self.useDelay, in: transaction)
                }
                if key.role == .admin, try store.firstAdmin(except: key.id.text, in: transaction) == nil {
                    return try store.postpone(key.id, until: now + Self.keyOverlap, in: transaction)
                }
                try revoke(key.id, by: .system, in: transaction)
            }
        }
    }
}
