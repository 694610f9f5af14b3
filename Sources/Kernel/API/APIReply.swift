/// A reply as features give it.
public struct APIReply: Sendable {
    public enum Body: Sendable {
        case empty
        case bytes([UInt8])
        /// Written as it comes; the closure ends the reply by returning.
        case stream(@Sendable (any StreamWriter) async throws -> Void)
    }

    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: Body
    /// Whether a repeated request with the same `Idempotency-Key` gets this reply again.
    public var isKept = true

    public init(status: Int, headers: [(name: String, value: String)] = [], body: Body = .empty) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    public static func json(_ value: JSONValue, status: Int = 200) -> APIReply {
        APIReply(status: status, headers: [("content-type", "application/json")], body: .bytes(value.bytes))
    }

    public static func created(_ value: JSONValue) -> APIReply { json(value, status: 201) }

    public static let noContent = APIReply(status: 204)

    /// A page of a list: `{"items":[…],"next":cursor}`, with `next` null on the last one.
    public static func list(_ items: [some JSONConvertible], next: String?) -> APIReply {
        json(["items": .list(items), "next": .of(next)])
    }

    public static func html(_ text: String, status: Int = 200) -> APIReply {
        APIReply(
            status: status, headers: [("content-type", "text/html; charset=utf-8")], body: .bytes(Array(text.utf8)))
    }

    public static func redirect(_ location: String) -> APIReply {
        APIReply(status: 303, headers: [("location", location)])
    }

    public static func problem(_ problem: Problem, requestID: String) -> APIReply {
        var reply = json(problem.document(requestID: requestID), status: problem.code.status)
        reply.headers = [("content-type", "application/problem+json")]
        if let seconds = problem.retryAfterSeconds { reply.headers.append(("retry-after", String(seconds))) }
        return reply
    }
}

/// Where a streamed reply goes. Suspends while the reader is slower than the writer.
public protocol StreamWriter: Sendable {
    func write(_ bytes: [UInt8]) async throws
}
