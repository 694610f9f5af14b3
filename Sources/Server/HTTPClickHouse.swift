import AsyncHTTPClient
import Kernel
import NIOCore
import NIOHTTP1
import NIOPosix
import Telemetry

/// Carries what is said to a ClickHouse over HTTP/1.1. No redirect is followed: the password stays with its host.
public struct HTTPClickHouse: ClickHouseTransport {
    /// One for the process, like the library's own shared client.
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, decompression: .disabled)
        configuration.timeout = .init(connect: .seconds(5))
        // ClickHouse closes connections of which nothing was heard for 3 s (`keep_alive_timeout`, 18.16) or 10 s.
        configuration.connectionPool.idleTimeout = .seconds(2)
        // Who asks tries again by itself.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    public init() {}

    public func post(_ request: ClickHouseRequest) async throws(ClickHouseFault) -> ClickHouseReply {
        var message = HTTPClientRequest(url: request.url)
        message.method = .POST
        for header in request.headers { message.headers.add(name: header.name, value: header.value) }
        message.headers.add(name: "user-agent", value: "reeve")
        message.body = .bytes(ByteBuffer(bytes: request.body))
        let limit = TimeAmount.seconds(max(1, request.timeout.components.seconds))
        do {
            let response = try await Self.client.execute(message, timeout: limit)
            let body = try await response.body.collect(upTo: request.replyBytesMax)
            return ClickHouseReply(status: Int(response.status.code), body: Array(body.readableBytesView))
        } catch is NIOTooManyBytesError {
            throw .unreadable("it has more than \(request.replyBytesMax) bytes")
        } catch {
            throw .away(Self.reason(error))
        }
    }

    /// In our own words: what a library says may have the address in it.
    private static func reason(_ error: any Error) -> String {
        switch error as? HTTPClientError {
        case .deadlineExceeded?, .readTimeout?: return "no answer in time"
        case .connectTimeout?: return "no connection in time"
        case .remoteConnectionClosed?: return "the connection was closed before an answer"
        default: break
        }
        let isUnconnected = error is NIOConnectionError || error is IOError
        return isUnconnected ? "the connection could not be made" : "the connection failed"
    }
}
