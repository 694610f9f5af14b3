import AsyncHTTPClient
import Control
import Kernel
import NIOCore
import NIOPosix

/// Asks health URLs over HTTP. Takes the status and nothing else: no redirect is followed, no body read, no cookie
/// kept.
public struct HTTPHealthProbe: HealthProbe {
    /// One for the process, like the library's own shared client: it has no state to close but idle connections, and
    /// those close themselves.
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, decompression: .disabled)
        configuration.connectionPool.idleTimeout = .seconds(1)
        // Polls have retries of their own; a refused connection is to be known at once.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    public init() {}

    public func probe(_ url: String, timeout: Span) async -> HealthOutcome {
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "user-agent", value: "reeve-health")
        request.headers.add(name: "connection", value: "close")
        do {
            let response = try await Self.client.execute(request, timeout: .microseconds(timeout.microseconds))
            return .answered(status: Int(response.status.code))
        } catch {
            return .failed(Self.reason(error, timeout: timeout))
        }
    }

    /// A reason in our own words: what the other side sent stays there.
    private static func reason(_ error: any Error, timeout: Span) -> String {
        switch error as? HTTPClientError {
        case .deadlineExceeded?, .connectTimeout?, .readTimeout?: return "no answer within \(timeout.seconds) s"
        case .remoteConnectionClosed?: return "the connection was closed before an answer"
        default: break
        }
        // A name that fails is the first of these, a literal address that does the second.
        let isUnconnected = error is NIOConnectionError || error is IOError
        return isUnconnected ? "the connection could not be made" : "the answer could not be read"
    }
}
