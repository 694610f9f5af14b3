import AsyncHTTPClient
import Kernel

/// One HTTP request to Reeve.
public struct ClientCall: Sendable, Equatable {
    public enum Method: String, Sendable {
        case get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE"
    }

    public var method: Method
    /// The path with its query, beginning with `/`.
    public var path: String
    public var headers: [String: String]
    public var body: [UInt8]?
    /// How long the reply may take.
    public var timeout: Span

    public init(
        _ method: Method, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil,
        timeout: Span = .seconds(30)
    ) {
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }
}

/// One HTTP reply. Header names are lower-case.
public struct ClientReply: Sendable, Equatable {
    public var status: Int
    public var headers: [String: String]
    public var body: [UInt8]

    public init(status: Int, headers: [String: String] = [:], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// No reply came. Whether the server did what was asked is not known.
public struct TransportFailure: Error, Sendable {
    public let detail: String

    public init(_ detail: String) {
        self.detail = detail
    }
}

/// The way to the server: HTTP in life, a script in tests.
public protocol Transport: Sendable {
    /// Sends one request once; throws ``TransportFailure``, or `CancellationError`.
    func send(_ call: ClientCall, to base: String) async throws -> ClientReply
    /// Opens a stream and hands over its bytes as they come until the server, or `take` by answering `false`, ends it.
    /// Replies of another status than 200 are returned whole.
    func stream(
        _ call: ClientCall, from base: String, take: @Sendable ([UInt8]) async throws -> Bool
    ) async throws -> ClientReply
}

/// HTTP/1.1 and HTTP/2 through AsyncHTTPClient.
public struct HTTPTransport: Transport {
    /// Bytes of a reply; deliverables are at most as large as the server's own limit for a body.
    public static let replyBytesMax = 64 << 20

    /// One client for the process: its connections are shared, and it ends with the process.
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .seconds(5), read: .seconds(90))
        // Retries are ours: they must know what is safe to repeat, and when the server asked us to wait.
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
    }()

    public init() {}

    public func send(_ call: ClientCall, to base: String) async throws -> ClientReply {
        try await translated {
            let response = try await execute(call, base)
            let body = try await response.body.collect(upTo: Self.replyBytesMax)
            return ClientReply(
                status: Int(response.status.code), headers: Self.headers(response), body: Array(body.readableBytesView))
        }
    }

    public func stream(
        _ call: ClientCall, from base: String, take: @Sendable ([UInt8]) async throws -> Bool
    ) async throws -> ClientReply {
        try await translated {
            let response = try await execute(call, base)
            var reply = ClientReply(status: Int(response.status.code), headers: Self.headers(response))
            guard reply.status == 200 else {
                reply.body = Array(try await response.body.collect(upTo: Self.replyBytesMax).readableBytesView)
                return reply
            }
            for try await chunk in response.body {
                guard try await take(Array(chunk.readableBytesView)) else { break }
            }
            return reply
        }
    }

    private func execute(_ call: ClientCall, _ base: String) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: base + call.path)
        request.method = .init(rawValue: call.method.rawValue)
        for (name, value) in call.headers { request.headers.add(name: name, value: value) }
        if let body = call.body { request.body = .bytes(body) }
        return try await Self.client.execute(request, timeout: .microseconds(call.timeout.microseconds))
    }

    private func translated<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as TransportFailure {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch let error as HTTPClientError where error == .cancelled {
            throw CancellationError()
        } catch {
            throw TransportFailure(Self.words(error))
        }
    }

    private static func words(_ error: any Error) -> String {
        let text = "\(error)"
        if text.contains("ECONNREFUSED") || text.contains("Connection refused") || text.contains("errno: 111") {
            return "nothing listens there"
        }
        if text.contains("deadlineExceeded") || text.contains("imeout") { return "no answer in time" }
        return text
    }

    private static func headers(_ response: HTTPClientResponse) -> [String: String] {
        var headers: [String: String] = [:]
        for (name, value) in response.headers { headers[name.lowercased()] = value }
        return headers
    }
}
