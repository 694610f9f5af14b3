/// Runs a changing request as one transaction, exactly once for each `Idempotency-Key`.
///
/// The reply is kept in the transaction of the change itself: a client that repeats a request after a crash, on either
/// side, gets the first reply and changes nothing.
public struct Exchange: Sendable {
    public let storage: any Storage
    private let idempotency = IdempotencyStore()
    private let world: World

    public init(storage: any Storage, world: World) {
        self.storage = storage
        self.world = world
    }

    public func commit(
        _ request: APIRequest, urgency: WriteUrgency = .now,
        _ body: @escaping @Sendable (Transaction) throws -> APIReply
    ) async throws -> APIReply {
        guard let key = try idempotencyKey(request) else { return try await storage.write(urgency, body) }
        let now = world.now
        return try await storage.write { transaction in
            if let kept = try idempotency.reply(for: key, in: transaction, now: now) { return kept }
            let reply = try body(transaction)
            if reply.isKept { try idempotency.keep(reply, for: key, in: transaction, now: now) }
            return reply
        }
    }

    /// The same, with a reply that is written from what the change brought. The change holds the store's only writer,
    /// so what only puts words together is done after it, unless the reply is kept with the change.
    public func commit<Value: Sendable>(
        _ request: APIRequest, urgency: WriteUrgency = .now,
        _ change: @escaping @Sendable (Transaction) throws -> Value,
        reply: @escaping @Sendable (Value) -> APIReply
    ) async throws -> APIReply {
        guard request.headers["idempotency-key"] == nil else {
            return try await commit(request, urgency: urgency) { reply(try change($0)) }
        }
        return reply(try await storage.write(urgency, change))
    }

    /// The reply that was kept for this request; `nil` where it is new. Who checks or prepares anything before
    /// ``commit(_:_:)`` asks here first: a repeated request is answered from what happened then, not from what holds
    /// now.
    public func kept(_ request: APIRequest) async throws -> APIReply? {
        guard let key = try idempotencyKey(request) else { return nil }
        let now = world.now
        return try await storage.read { try idempotency.reply(for: key, in: $0, now: now) }
    }

    private func idempotencyKey(_ request: APIRequest) throws -> IdempotencyKey? {
        guard request.method == .post, let text = request.headers["idempotency-key"] else { return nil }
        guard !text.isEmpty, text.unicodeScalars.count <= request.limits.nameCharacters else {
            throw Problem.invalid("Idempotency-Key", "1 to \(request.limits.nameCharacters) characters are expected")
        }
        return IdempotencyKey(
            keyID: request.principal.keyID, route: request.path, text: text, bodySHA256: Digest.sha256(request.body))
    }
}
