import Kernel
import Testing

/// One row of a table of requests: what is sent, what comes back, and how many events it leaves behind.
///
///     static let rows: [APIScenario] = [
///         APIScenario("a viewer may not make keys", .post, "/api/v1/keys", as: .viewer, #"{"role":"viewer"}"#,
///             expect: 403, "forbidden"),
///     ]
///
///     @Test func keys() async throws { try await APIScenario.run(rows) }
public struct APIScenario: Sendable, CustomTestStringConvertible {
    public let name: String
    public let method: APIRequest.Method
    public let path: String
    /// The role of the key that it is sent with; none goes without a key. An agent's key is `agent`'s.
    public let role: Role?
    public let body: String?
    public let headers: [(String, String)]
    public let status: Int
    /// The code of the problem that is expected.
    public let code: String?
    /// Texts that the reply's body contains.
    public let contains: [String]
    /// How many events it leaves; by default nothing else happens.
    public let events: Int

    public init(
        _ name: String, _ method: APIRequest.Method, _ path: String, as role: Role?, _ body: String? = nil,
        headers: [(String, String)] = [], expect status: Int, _ code: String? = nil, contains: [String] = [],
        events: Int = 0
    ) {
        self.name = name
        self.method = method
        self.path = path
        self.role = role
        self.body = body
        self.headers = headers
        self.status = status
        self.code = code
        self.contains = contains
        self.events = events
    }

    public var testDescription: String { name }

    /// Whether nothing is to be otherwise behind it.
    private var isWithoutEffect: Bool { events == 0 && (status >= 400 || method == .get) }

    /// Runs a table: what is to leave nothing behind on one server, row after row, and each other row on a server of
    /// its own.
    public static func run(
        _ rows: [APIScenario], sourceLocation: SourceLocation = #_sourceLocation,
        on server: (@escaping @Sendable (AppClient) async throws -> Void) async throws -> Void = {
            try await withApp(.sqlite, $0)
        }
    ) async throws {
        let quiet = rows.filter(\.isWithoutEffect)
        try await server { client in
            for row in quiet { try await row.run(on: client, sourceLocation: sourceLocation) }
        }
        for row in rows where !row.isWithoutEffect {
            try await server { try await row.run(on: $0, sourceLocation: sourceLocation) }
        }
    }

    /// Sends the request and compares.
    public func run(on client: AppClient, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        var key: String?
        if let role { key = try await client.key(role, agent: role == .agent ? "agent" : nil) }
        let before = try await client.lastSeq()
        let reply = try await client.send(
            method.rawValue, path, key: key, headers: headers, body: body.map { Array($0.utf8) })
        #expect(reply.status == status, "\(name): \(reply.text)", sourceLocation: sourceLocation)
        if status >= 400 {
            #expect(reply.code == code, "\(name): \(reply.text)", sourceLocation: sourceLocation)
            #expect(
                reply["requestId"]?.string == reply.header("x-request-id"), "\(name)", sourceLocation: sourceLocation)
        }
        for text in contains { #expect(reply.text.contains(text), "\(name)", sourceLocation: sourceLocation) }
        let after = try await client.lastSeq()
        #expect(Int(after - before) == events, "\(name): events", sourceLocation: sourceLocation)
    }
}
