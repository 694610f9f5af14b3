import AsyncHTTPClient
import Control
import Kernel
import NIOCore
import Server
import ServiceLifecycle

/// Runs `body` against a whole Reeve on a free loopback port, with a store of its own that is gone afterwards.
///
///     @Test(arguments: TestEngine.available)
///     func refusesStrangers(_ engine: TestEngine) async throws {
///         try await withApp(engine) { client in
///             let reply = try await client.get("/api/v1/me", key: nil)
///             #expect(reply.status == 401)
///         }
///     }
///
/// - Parameters:
///   - world: By default one whose time stands still, so that loops run once and then wait; ``World/live`` for tests
/// that     need time to pass.   - configure: Changes settings before the start.
public func withApp<Value: Sendable>(
    _ engine: TestEngine = .sqlite, world: World = .test(), configure: (inout Settings) -> Void = { _ in },
    _ body: @escaping @Sendable (AppClient) async throws -> Value
) async throws -> Value {
    var settings = Settings()
    settings.http.port = 0
    configure(&settings)
    return try await TestStorage.withFolder { folder in
        settings.storage.dataDirectory = folder + "/data"
        switch engine {
        case .sqlite: return try await runApp(settings, world, body)
        case .postgres:
            return try await TestStorage.withLocation(.postgres) { location in
                if case .postgres(let url) = location { settings.storage.databaseURL = url }
                return try await runApp(settings, world, body)
            }
        }
    }
}

/// Runs `body` against a Reeve with these settings, and stops it.
public func runApp<Value: Sendable>(
    _ settings: Settings, _ world: World, _ body: @escaping @Sendable (AppClient) async throws -> Value
) async throws -> Value {
    let app = try await buildApp(settings, world: world)
    let (ports, port) = AsyncStream<Int>.makeStream()
    let services = app.services { port.yield($0) }
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            defer { port.finish() }
            try await services.run()
        }
        var iterator = ports.makeAsyncIterator()
        guard let number = await iterator.next() else {
            try await group.waitForAll()
            throw Problem(.internalError, "The server ended before it listened.")
        }
        let outcome: Result<Value, any Error>
        do {
            outcome = .success(try await body(AppClient(app: app, port: number, world: world, services: services)))
        } catch {
            outcome = .failure(error)
        }
        await services.triggerGracefulShutdown()
        try await group.waitForAll()
        return try outcome.get()
    }
}

/// A client of a running test server.
public struct AppClient: Sendable {
    public let app: App
    public let port: Int
    public let world: World
    fileprivate let services: ServiceGroup

    /// One for all tests of the process: it keeps no cookies and follows no redirects.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, decompression: .disabled)
        configuration.httpVersion = .http1Only
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    public var url: String { "http://127.0.0.1:\(port)" }

    /// The world's time, where it is one that stands still.
    public var time: ManualTime? { world.time as? ManualTime }

    /// Tells the server to stop, as SIGTERM would.
    public func stop() async { await services.triggerGracefulShutdown() }

    /// A new key's secret.
    public func key(_ role: Role, name: String? = nil, agent: String? = nil) async throws -> String {
        let access = app.features.access
        let issued = try await app.features.storage.write { transaction in
            try access.issue(
                role: role, name: name ?? agent ?? role.rawValue, agent: agent, by: .system, in: transaction)
        }
        return issued.secret
    }

    /// Sends a request; a body is sent as JSON unless the headers say otherwise.
    public func send(
        _ method: String, _ path: String, key: String? = nil, headers: [(String, String)] = [], body: [UInt8]? = nil
    ) async throws -> AppReply {
        let response = try await Self.http.execute(
            request(method, path, key: key, headers: headers, body: body), timeout: .seconds(60))
        let buffer = try await response.body.collect(upTo: 64 << 20)
        return AppReply(
            status: Int(response.status.code), headers: response.headers.map { ($0.name.lowercased(), $0.value) },
            bytes: Array(buffer.readableBytesView))
    }

    public func get(_ path: String, key: String?, headers: [(String, String)] = []) async throws -> AppReply {
        try await send("GET", path, key: key, headers: headers)
    }

    public func post(
        _ path: String, _ body: JSONValue = [:], key: String?, headers: [(String, String)] = []
    ) async throws -> AppReply {
        try await send("POST", path, key: key, headers: headers, body: body.bytes)
    }

    public func delete(_ path: String, key: String?) async throws -> AppReply {
        try await send("DELETE", path, key: key)
    }

    /// The number of the last event.
    public func lastSeq() async throws -> Int64 {
        let store = app.features.events.store
        return try await app.features.storage.read { try store.lastSeq(in: $0) }
    }

    /// The events behind `after`.
    public func events(after: Int64 = 0) async throws -> [Event] {
        let store = app.features.events.store
        return try await app.features.storage.read { try store.list(after: after, limit: 10_000, in: $0) }
    }

    /// Opens a stream of server-sent events for the length of `body`.
    public func withStream<Value>(
        _ path: String, key: String?, lastEventID: String? = nil,
        _ body: (inout EventReader) async throws -> Value
    ) async throws -> Value {
        let headers = lastEventID.map { [("last-event-id", $0)] } ?? []
        let response = try await Self.http.execute(
            request("GET", path, key: key, headers: headers, body: nil), timeout: .seconds(60))
        var reader = EventReader(
            status: Int(response.status.code), iterator: response.body.makeAsyncIterator())
        return try await body(&reader)
    }

    private func request(
        _ method: String, _ path: String, key: String?, headers: [(String, String)], body: [UInt8]?
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url + path)
        request.method = .init(rawValue: method)
        if let key { request.headers.add(name: "authorization", value: "Bearer \(key)") }
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body { request.body = .bytes(body) }
        return request
    }
}

/// A reply as a test looks at it.
public struct AppReply: Sendable {
    public let status: Int
    /// Names in lower case.
    public let headers: [(name: String, value: String)]
    public let bytes: [UInt8]

    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The body as JSON; `null` where it is none.
    public var json: JSONValue { (try? JSONParser.parse(bytes, depthMax: 512)) ?? .null }

    public subscript(member: String) -> JSONValue? { json[member] }

    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// The code of a problem; `nil` for anything else.
    public var code: String? {
        header("content-type") == "application/problem+json" ? json["code"]?.string : nil
    }

    public var items: [JSONValue] { json["items"]?.array ?? [] }

    /// The session of a `Set-Cookie` header, as the `Cookie` header sends it back.
    public var cookie: (String, String)? {
        header("set-cookie")?.split(separator: ";").first.map { ("cookie", String($0)) }
    }
}

/// Reads server-sent events one by one.
public struct EventReader {
    public let status: Int
    var iterator: HTTPClientResponse.Body.AsyncIterator
    private var buffer: [UInt8] = []

    init(status: Int, iterator: HTTPClientResponse.Body.AsyncIterator) {
        self.status = status
        self.iterator = iterator
    }

    /// One event as it came.
    public struct Message: Sendable, Equatable {
        public var id: String?
        public var event: String?
        public var data = ""
        /// The event's JSON.
        public var json: JSONValue { (try? JSONParser.parse(data, depthMax: 512)) ?? .null }
    }

    /// The next event; `nil` at the end of the stream. Comments are passed over.
    public mutating func next() async throws -> Message? {
        while true {
            if let end = Self.endOfFrame(buffer) {
                let lines = String(decoding: buffer[..<end], as: UTF8.self).split(separator: "\n")
                buffer.removeFirst(end + 2)
                if let message = Self.message(lines) { return message }
                continue
            }
            guard let piece = try await iterator.next() else { return nil }
            buffer.append(contentsOf: piece.readableBytesView)
        }
    }

    private static func endOfFrame(_ bytes: [UInt8]) -> Int? {
        bytes.indices.dropLast().first { bytes[$0] == UInt8(ascii: "\n") && bytes[$0 + 1] == UInt8(ascii: "\n") }
    }

    private static func message(_ lines: [Substring]) -> Message? {
        var message = Message()
        var hasData = false
        for line in lines where !line.hasPrefix(":") {
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            let value = String(line[colon...].dropFirst().drop { $0 == " " })
            switch line[..<colon] {
            case "id": message.id = value
            case "event": message.event = value
            case "data":
                message.data = value
                hasData = true
            default: break
            }
        }
        return hasData ? message : nil
    }
}
