import Foundation
import Kernel

/// A thin client of Reeve's HTTP interface: JSON in, JSON out, refusals as ``ClientFailure``.
///
/// Each POST carries an `Idempotency-Key` that its repetitions share, so that repeating one whose reply was lost
/// changes nothing and brings the first reply.
public struct ReeveClient: Sendable {
    /// Without a slash at the end.
    public let url: String
    public let key: String
    public let world: World
    private let transport: any Transport
    /// What each request says of what it belongs to.
    private var shared: [String: String] = [:]

    public init(url: String, key: String, world: World = .live, transport: any Transport = HTTPTransport()) {
        var url = url
        while url.hasSuffix("/") { url.removeLast() }
        self.url = url
        self.key = key
        self.world = world
        self.transport = transport
    }

    /// The same server with another key.
    public func with(key: String) -> ReeveClient {
        ReeveClient(url: url, key: key, world: world, transport: transport)
    }

    /// The same server, with headers that each request carries.
    public func with(headers: [String: String]) -> ReeveClient {
        var client = self
        client.shared = headers
        return client
    }

    /// A path with its segments percent-encoded: `path("api", "v1", "agents", name)`.
    public static func path(_ segments: String..., query: [(String, String?)] = []) -> String {
        let path = "/" + segments.map(encode).joined(separator: "/")
        let pairs = query.compactMap { name, value in value.map { "\(encode(name))=\(encode($0))" } }
        return pairs.isEmpty ? path : path + "?" + pairs.joined(separator: "&")
    }

    /// RFC 3986 §2.3: everything but the unreserved characters is encoded.
    private static func encode(_ text: String) -> String {
        let unreserved = CharacterSet(
            charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
    }

    public func get(_ path: String, patience: Patience = .brief) async throws -> JSONValue {
        try await json(ClientCall(.get, path), patience)
    }

    /// `timeout` bounds one try. A caller that repeats the request by itself gives the `Idempotency-Key` too.
    public func post(
        _ path: String, _ body: JSONValue = [:], patience: Patience = .brief, timeout: Span = .seconds(30),
        idempotencyKey: String? = nil
    ) async throws -> JSONValue {
        var call = ClientCall(.post, path, body: body.bytes, timeout: timeout)
        if let idempotencyKey { call.headers["idempotency-key"] = idempotencyKey }
        return try await json(call, patience)
    }

    /// A fresh `Idempotency-Key`.
    public func newIdempotencyKey() -> String { Hexadecimal.encode(world.entropy.bytes(16)) }

    public func put(_ path: String, _ body: JSONValue, patience: Patience = .brief) async throws -> JSONValue {
        try await json(ClientCall(.put, path, body: body.bytes), patience)
    }

    public func patch(_ path: String, _ body: JSONValue, patience: Patience = .brief) async throws -> JSONValue {
        try await json(ClientCall(.patch, path, body: body.bytes), patience)
    }

    @discardableResult
    public func delete(_ path: String, patience: Patience = .brief) async throws -> JSONValue {
        try await json(ClientCall(.delete, path), patience)
    }

    /// A POST whose body is not JSON.
    public func upload(
        _ path: String, contentType: String, body: [UInt8], patience: Patience
    ) async throws -> JSONValue {
        let call = ClientCall(
            .post, path, headers: ["content-type": contentType], body: body, timeout: .minutes(2))
        return try await json(call, patience)
    }

    /// Bytes of a document that is not JSON, such as a deliverable's content.
    public func bytes(_ path: String, patience: Patience = .brief) async throws -> [UInt8] {
        try await perform(ClientCall(.get, path), patience).body
    }

    /// All items of a list, page after page, up to `limit`.
    public func list(
        _ segments: [String], query: [(String, String?)] = [], limit: Int
    ) async throws -> (items: [JSONValue], next: String?) {
        var items: [JSONValue] = []
        var after = query.first { $0.0 == "after" }?.1
        let fixed = query.filter { $0.0 != "after" }
        let base = "/" + segments.map(Self.encode).joined(separator: "/")
        while true {
            let page = min(500, limit - items.count)
            let query = Self.path(query: fixed + [("limit", String(page)), ("after", after)])
            let reply = try await get(base + query.dropFirst())
            let received = reply["items"]?.array ?? []
            items += received
            after = reply["next"]?.string ?? reply["next"]?.int.map { String($0) }
            if after == nil || received.isEmpty || items.count >= limit { return (items, after) }
        }
    }

    /// Follows a stream of server-sent events; `take` answers `false` to end it. Returns when the server ends it.
    public func events(
        _ path: String, lastEventID: String?, take: @escaping @Sendable (ServerSentEvent) async throws -> Bool
    ) async throws {
        var headers = self.headers(for: ClientCall(.get, path))
        headers["accept"] = "text/event-stream"
        if let lastEventID { headers["last-event-id"] = lastEventID }
        let parser = EventStreamReader()
        let reply: ClientReply
        do {
            reply = try await transport.stream(ClientCall(.get, path, headers: headers), from: url) { bytes in
                for event in parser.feed(bytes) where try await !take(event) { return false }
                return true
            }
        } catch let failure as TransportFailure {
            throw ClientFailure.unreachable(url: url, detail: failure.detail)
        }
        if reply.status != 200 { throw ClientFailure.refused(Refusal(reply)) }
    }

    // MARK: sending

    private func json(_ call: ClientCall, _ patience: Patience) async throws -> JSONValue {
        let reply = try await perform(call, patience)
        if reply.body.isEmpty { return .null }
        do {
            return try JSONParser.parse(reply.body, depthMax: Limits.jsonDepthStored)
        } catch let failure as JSONParser.Failure {
            throw ClientFailure.unreadable(failure.reason)
        }
    }

    /// Sends a call, repeats it as `patience` allows, and throws unless the status is 2xx.
    private func perform(_ call: ClientCall, _ patience: Patience) async throws -> ClientReply {
        var call = call
        call.headers = headers(for: call)
        let begun = world.now
        var tried = 0
        while true {
            tried += 1
            let outcome: Patience.Outcome
            let failure: ClientFailure
            do {
                let reply = try await transport.send(call, to: url)
                if (200..<300).contains(reply.status) { return reply }
                let refusal = Refusal(reply)
                failure = .refused(refusal)
                outcome = .refused(status: reply.status, retryAfterSeconds: refusal.retryAfterSeconds)
            } catch let error as TransportFailure {
                failure = .unreachable(url: url, detail: error.detail)
                outcome = .noReply
            }
            guard
                let delay = patience.delay(
                    after: outcome, tried: tried, elapsed: world.now - begun, fraction: world.entropy.fraction())
            else { throw failure }
            try await world.time.sleep(for: delay)
        }
    }

    private func headers(for call: ClientCall) -> [String: String] {
        var headers = call.headers
        headers["authorization"] = "Bearer \(key)"
        headers["user-agent"] = "reeve"
        if call.body != nil, headers["content-type"] == nil { headers["content-type"] = "application/json" }
        if call.method == .post, headers["idempotency-key"] == nil {
            headers["idempotency-key"] = newIdempotencyKey()
        }
        return headers
    }
}
