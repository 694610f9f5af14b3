import Kernel
import NIOCore
import NIOHTTP1

/// Which headers cross the gateway.
enum CallHeaders {
    /// What callers say to the gateway itself.
    static let task = "x-reeve-task"
    static let session = "x-reeve-session"
    static let tags = "x-reeve-tags"
    static let user = "x-reeve-user"
    static let translation = "x-reeve-translation"
    /// What the gateway says to callers.
    static let call = "x-reeve-call"
    static let dropped = "x-reeve-dropped"
    static let cache = "x-reeve-cache"
    /// What of the configuration changed the call, and who said so.
    static let config = "x-reeve-config"
    static let correlation = "x-correlation-id"

    /// The Anthropic API's version that translated calls are written for (Anthropic API reference, "Versions").
    static let anthropicVersion = "2023-06-01"

    /// Headers of a caller that are about this connection, its key, or the gateway (RFC 9110 §7.6.1). A provider's key
    /// header may be any name, so the caller's own of that name is left out where the provider's is set.
    private static let keptBack: Set<String> = [
        "host", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade", "content-length", "expect", "cookie", "accept-encoding",
        "authorization", "x-api-key", "api-key", "x-vault-token", "traceparent", "tracestate", "x-correlation-id",
        "origin", "referer", "forwarded", "via",
    ]

    /// Characters of a name that a caller gives to what it works on, and how many tags a call may have.
    static let nameCharactersMax = 200
    static let tagsMax = 16

    /// A name from a header: visible ASCII of a bounded length, or nothing.
    static func name(_ text: String?) -> String? {
        guard let text, (1...nameCharactersMax).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        return text
    }

    /// Names with commas between them.
    static func names(_ text: String?) -> [String] {
        guard let text else { return [] }
        let items = text.split(separator: ",", maxSplits: tagsMax).prefix(tagsMax)
        return items.compactMap { name($0.trimmingPrefix { $0 == " " }.description) }
    }

    /// Writes the head of the request to a provider (RFC 9112 §3), up to the empty line behind it.
    ///
    /// - Parameters:
    ///   - target: What stands on the request line.
    ///   - traceparent: Of the attempt that it is sent for.
    static func write(
        _ request: DoorRequest, to provider: ProviderSettings, target: String, key: String?, length: Int,
        isNative: Bool, traceparent: String, correlationID: String, into head: inout ByteBuffer
    ) {
        head.writeStaticString("POST ")
        head.writeString(target)
        head.writeStaticString(" HTTP/1.1\r\n")
        write("host", provider.baseURL?.authority ?? "", into: &head)
        if isNative {
            head.writeBytes(request.headers.derived(provider.name) { passed(request.headers, to: provider) })
        } else {
            write("content-type", "application/json", into: &head)
            if provider.kind == .anthropic { write("anthropic-version", anthropicVersion, into: &head) }
        }
        write("content-length", String(length), into: &head)
        write("traceparent", traceparent, into: &head)
        if let state = request.tracestate { write("tracestate", state, into: &head) }
        write(correlation, correlationID, into: &head)
        for pair in provider.headers { write(pair.name, pair.value, into: &head) }
        if let key {
            let pair = provider.keyHeader(for: key)
            write(pair.name, pair.value, into: &head)
        }
        head.writeStaticString("\r\n")
    }

    /// The lines of a caller's headers that go on to a provider of its dialect.
    private static func passed(_ headers: RequestHeaders, to provider: ProviderSettings) -> [UInt8] {
        var lines = ByteBuffer()
        for (name, value) in headers.fields {
            let lower = name.lowercased()
            guard !keptBack.contains(lower), !lower.hasPrefix("x-reeve-"), !lower.hasPrefix("sec-"),
                !lower.hasPrefix("x-forwarded-"), lower != provider.keyHeader,
                !provider.headers.contains(where: { $0.name == lower })
            else { continue }
            write(name, value, into: &lines)
        }
        if headers["content-type"] == nil { write("content-type", "application/json", into: &lines) }
        return Array(lines.readableBytesView)
    }

    private static func write(_ name: String, _ value: String, into buffer: inout ByteBuffer) {
        buffer.writeString(name)
        buffer.writeStaticString(": ")
        buffer.writeString(value)
        buffer.writeStaticString("\r\n")
    }

    /// Headers of a provider's answer that are about its connection, or would speak for Reeve.
    private static let notReturned: Set<String> = [
        "connection", "keep-alive", "proxy-authenticate", "trailer", "transfer-encoding", "upgrade", "content-length",
        "content-encoding", "set-cookie", "x-request-id", "x-correlation-id", "traceparent", "server", "alt-svc",
        "strict-transport-security", "content-security-policy", "x-content-type-options", "referrer-policy",
        "www-authenticate", "cache-control", "x-reeve-call", "x-reeve-dropped",
        "x-reeve-cache", "x-reeve-config",
    ]

    /// The headers of a native answer, by their names in lower case.
    static func returned(_ headers: HTTPHeaders) -> [(name: String, value: String)] {
        headers.compactMap { name, value in
            let lower = name.lowercased()
            return notReturned.contains(lower) ? nil : (lower, value)
        }
    }
}
