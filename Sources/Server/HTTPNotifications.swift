import AsyncHTTPClient
import Control
import Foundation
import Kernel
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Tells receivers over HTTP/1.1 and SMTP, each time on a connection to an address that was looked at.
///
/// The name is resolved here, every address of it is checked, and the connection goes to one of those: a name that
/// resolves to something else a moment later (DNS rebinding) leads nowhere else.
public struct NotificationTransport: NotificationCourier {
    let lookup: NameLookup

    public init() { lookup = .shared }

    init(lookup: NameLookup) { self.lookup = lookup }

    public func send(_ request: NotificationRequest) async -> NotificationOutcome {
        guard let place = ReceiverPlace(request.url) else {
            return NotificationOutcome(.refused, "the address cannot be read")
        }
        switch await place.resolve(allowPrivate: request.allowPrivate, within: request.timeout, by: lookup) {
        case .failure(let fault): return fault.outcome
        case .success(let address): return await send(request, to: place, at: address)
        }
    }

    private func send(
        _ request: NotificationRequest, to place: ReceiverPlace, at address: SocketAddress
    ) async -> NotificationOutcome {
        let client = Self.client(place, at: address, caFile: request.caFile)
        let outcome = await Self.exchange(request, client)
        try? await client.shutdown()
        return outcome
    }

    /// Connects to one address, and to no other. Follows no redirect.
    static func client(_ place: ReceiverPlace, at address: SocketAddress, caFile: String? = nil) -> HTTPClient {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, decompression: .disabled)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        // TLS and the header Host are still about the name.
        if let file = caFile { configuration.tlsConfiguration = Self.trusting(file) }
        configuration.dnsOverride = [place.host: address.ipAddress ?? place.host]
        // Should the client read the name in another way than we did, it comes to nothing.
        configuration.http1_1ConnectionDebugInitializer = { channel in
            guard channel.remoteAddress?.ipAddress == address.ipAddress else {
                channel.close(promise: nil)
                return channel.eventLoop.makeFailedFuture(OtherAddress())
            }
            return channel.eventLoop.makeSucceededVoidFuture()
        }
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// The connection leads elsewhere than to the address that was looked at.
    private struct OtherAddress: Error {}

    static func trusting(_ file: String?) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let file { configuration.additionalTrustRoots = [.file(file)] }
        return configuration
    }

    private static func exchange(_ request: NotificationRequest, _ client: HTTPClient) async -> NotificationOutcome {
        var message = HTTPClientRequest(url: request.url)
        message.method = .POST
        for header in request.headers { message.headers.add(name: header.name, value: header.value) }
        message.headers.add(name: "connection", value: "close")
        message.body = .bytes(ByteBuffer(bytes: request.body))
        do {
            let response = try await client.execute(message, timeout: .microseconds(request.timeout.microseconds))
            var answer: [UInt8] = []
            do {
                for try await part in response.body {
                    answer += part.readableBytesView.prefix(NotificationRequest.answerBytesMax - answer.count)
                    if answer.count >= NotificationRequest.answerBytesMax { break }
                }
            } catch {
                // The status is what counts.
            }
            let wait = response.headers.first(name: "retry-after").flatMap { Int64($0) }
            return .http(
                Int(response.status.code), String(decoding: answer, as: UTF8.self),
                retryAfter: wait.map { Span.seconds(max(0, $0)) })
        } catch {
            return NotificationOutcome(.failed, reason(error))
        }
    }

    /// In our own words: what a library says may have the address in it.
    static func reason(_ error: any Error) -> String {
        if error is OtherAddress { return "the connection led to another address than the one that was looked at" }
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

/// Host and port of a receiver.
struct ReceiverPlace: Sendable {
    struct Fault: Error {
        let outcome: NotificationOutcome
    }

    let host: String
    let port: Int
    let scheme: String

    init?(_ url: String) {
        guard let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(), var host = parts.host,
            !host.isEmpty
        else { return nil }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        let ports = ["http": 80, "https": 443, "smtp": 25, "smtps": 465]
        guard let port = parts.port ?? ports[scheme] else { return nil }
        (self.host, self.port, self.scheme) = (host, port, scheme)
    }

    /// An address of the host that may be asked. All of its addresses have to be of that kind: a name that has a public
    /// one and a private one is not looked at further.
    func resolve(
        allowPrivate: Bool, within limit: Span, by lookup: NameLookup
    ) async -> Result<SocketAddress, Fault> {
        let found: [SocketAddress]
        do {
            found = try await lookup.addresses(of: host, port, within: min(limit, NameLookup.limit))
        } catch let fault as NameLookup.Fault {
            return .failure(Fault(outcome: NotificationOutcome(.failed, "the name \(host) \(fault.reason)")))
        } catch {
            return .failure(Fault(outcome: NotificationOutcome(.failed, "the name \(host) cannot be resolved")))
        }
        guard let address = found.first else {
            return .failure(Fault(outcome: NotificationOutcome(.failed, "the name \(host) has no address")))
        }
        guard allowPrivate || !found.contains(where: { NetworkAddress.isPrivate(Self.bytes($0)) }) else {
            let reason = "\(host) is of this machine or a private network, and allowPrivate is not set"
            return .failure(Fault(outcome: NotificationOutcome(.refused, reason)))
        }
        return .success(address)
    }

    private static func bytes(_ address: SocketAddress) -> [UInt8] {
        switch address {
        case .v4(let address): withUnsafeBytes(of: address.address.sin_addr) { Array($0) }
        case .v6(let address): withUnsafeBytes(of: address.address.sin6_addr) { Array($0) }
        default: []
        }
    }
}
