/// A client's name for one request, in the scope of its key and the address.
public struct IdempotencyKey: Sendable {
    let keyID: String
    let route: String
    let text: String
    let bodySHA256: String
}

/// The only SQL on `idempotency_keys`.
public struct IdempotencyStore: Sendable {
    /// How long a reply is kept.
    public static let retention = Span.hours(24)
    private static let purgeRowsMax = 5_000

    public init() {}

    /// The reply that was kept for this key; throws where the key stands for another request.
    func reply(for key: IdempotencyKey, in transaction: Transaction, now: Timestamp) throws -> APIReply? {
        let row = try transaction.first(
            """
            SELECT body_sha256, status, content_type, body FROM idempotency_keys
            WHERE key_id = \(key.keyID) AND route = \(key.route) AND idempotency_key = \(key.text)
              AND expires_at > \(now)
            """)
        guard let row else { return nil }
        guard row.text("body_sha256") == key.bodySHA256 else {
            throw Problem(
                .idempotencyMismatch, "The Idempotency-Key came before, with another body.",
                hint: "Use a new key for a new request; repeat a request byte for byte under its key.")
        }
        var headers: [(name: String, value: String)] = [("idempotency-replayed", "true")]
        if let type = row.optionalText("content_type") { headers.append(("content-type", type)) }
        let body = row.blob("body")
        return APIReply(status: Int(row.int("status")), headers: headers, body: body.isEmpty ? .empty : .bytes(body))
    }

    func keep(_ reply: APIReply, for key: IdempotencyKey, in transaction: Transaction, now: Timestamp) throws {
        var bytes: [UInt8] = []
        if case .bytes(let body) = reply.body { bytes = body }
        let type = reply.headers.first { $0.name == "content-type" }?.value
        try transaction.run(
            """
            INSERT INTO idempotency_keys
              (key_id, route, idempotency_key, body_sha256, status, content_type, body, expires_at)
            VALUES (\(key.keyID), \(key.route), \(key.text), \(key.bodySHA256), \(reply.status), \(type),
              \(SQLValue.blob(bytes)), \(now + Self.retention))
            ON CONFLICT (key_id, route, idempotency_key) DO UPDATE SET
              body_sha256 = excluded.body_sha256, status = excluded.status, content_type = excluded.content_type,
              body = excluded.body, expires_at = excluded.expires_at
            """)
    }

    /// Drops what is past its time, a bounded number at once; returns how many.
    @discardableResult
    public func purge(in transaction: Transaction, now: Timestamp) throws -> Int {
        try transaction.run(
            """
            DELETE FROM idempotency_keys WHERE (key_id, route, idempotency_key) IN (
              SELECT key_id, route, idempotency_key FROM idempotency_keys WHERE expires_at <= \(now)
              LIMIT \(Self.purgeRowsMax))
            """)
    }
}
