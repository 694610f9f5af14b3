import AsyncHTTPClient
import Control
import Kernel
import NIOCore

/// Makes the calls that prove new values of secrets, with the same care as notifications: to an address that was looked
/// at, within a bound of time, following no redirect. The status is all that is taken of an answer.
struct HTTPSecretProber: SecretProber {
    /// Whether it may go to this machine and private networks, and without TLS.
    let allowPrivate: Bool
    var lookup = NameLookup.shared

    func call(_ call: SecretProbeCall, timeout: Span) async -> Result<Int, SecretProbeFault> {
        guard let place = ReceiverPlace(call.url), place.scheme == "https" || allowPrivate else {
            return .failure(
                SecretProbeFault(reason: "the value would go over the network as it is; the address has to be https"))
        }
        switch await place.resolve(allowPrivate: allowPrivate, within: timeout, by: lookup) {
        case .failure(let fault):
            let isPrivate = fault.outcome.state == .refused
            let reason =
                "\(place.host) is of this machine or a private network, and the setting secrets.probePrivate is off"
            return .failure(SecretProbeFault(reason: isPrivate ? reason : fault.outcome.answer))
        case .success(let address):
            let client = NotificationTransport.client(place, at: address)
            let result = await Self.status(of: call, client, timeout)
            try? await client.shutdown()
            return result
        }
    }

    private static func status(
        of call: SecretProbeCall, _ client: HTTPClient, _ timeout: Span
    ) async -> Result<Int, SecretProbeFault> {
        var message = HTTPClientRequest(url: call.url)
        message.method = .init(rawValue: call.method.rawValue)
        message.headers.add(name: "user-agent", value: "reeve-secrets")
        message.headers.add(name: "connection", value: "close")
        for header in call.headers { message.headers.replaceOrAdd(name: header.name, value: header.value) }
        do {
            let response = try await client.execute(message, timeout: .microseconds(timeout.microseconds))
            return .success(Int(response.status.code))
        } catch {
            return .failure(SecretProbeFault(reason: NotificationTransport.reason(error)))
        }
    }
}
