import Kernel
import NIOHTTP1

/// The headers that every reply carries, beside its own.
enum ReplyHeaders {
    /// What a page may load: Reeve's own scripts and styles, nothing inline, nothing from elsewhere.
    static let pagePolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    /// Data is no page, whatever a browser takes it for.
    static let dataPolicy = "default-src 'none'; frame-ancestors 'none'"

    /// A value as it may stand in a header (RFC 9110 §5.5). Some hold what a client sent, such as a file's name: with a
    /// line's end in it, its sender could write headers of its own.
    private static func clean(_ value: String) -> String {
        let isAllowed = { (byte: UInt8) in (byte >= 0x20 && byte != 0x7F) || byte == 0x09 }
        if value.utf8.allSatisfy(isAllowed) { return value }
        return String(decoding: value.utf8.map { isAllowed($0) ? $0 : UInt8(ascii: " ") }, as: UTF8.self)
    }

    /// - Parameters:
    ///   - length: Bytes of the body; `nil` for a stream, whose end is not known.
    static func make(_ reply: APIReply, visit: Admission.Visit?, length: Int?, isLast: Bool) -> HTTPHeaders {
        var fields: [(String, String)] = []
        fields.reserveCapacity(reply.headers.count + 9)
        var isPage = false
        var hasCacheControl = false
        for (name, value) in reply.headers {
            switch name {
            case "content-type": isPage = value.hasPrefix("text/html")
            case "cache-control": hasCacheControl = true
            default: break
            }
            fields.append((name, clean(value)))
        }
        if !hasCacheControl { fields.append(("cache-control", "no-store")) }
        fields.append(("content-security-policy", isPage ? pagePolicy : dataPolicy))
        fields.append(("x-content-type-options", "nosniff"))
        fields.append(("referrer-policy", "same-origin"))
        if let visit {
            fields.append(("x-request-id", visit.requestID))
            fields.append(("x-correlation-id", visit.correlationID))
            fields.append(("traceparent", visit.traceparent))
        }
        // A reply without content has no length either (RFC 9110 §8.6).
        if let length, reply.status != 204, reply.status != 304 { fields.append(("content-length", String(length))) }
        if isLast { fields.append(("connection", "close")) }
        return HTTPHeaders(fields)
    }
}
