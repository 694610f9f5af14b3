import Control
import Kernel
import NIOHTTP1

/// The first part of a request, read once: its address, its headers, and what it brought to show who sends it. An
/// object, as it is passed along much and never changes.
final class RequestHead: Sendable {
    let methodName: String
    /// `nil` for a method that no route has. HEAD is answered as GET, without the body.
    let method: APIRequest.Method?
    /// As it came, percent-encoded.
    let path: String
    let rawQuery: Substring
    /// Without those that hold a key, and without the Content-Length.
    let headers: RequestHeaders
    /// A key that came in a header. It counts even beside a cookie.
    let key: String?
    /// Whether a header that carries keys came, with or without a usable key.
    let hasKeyHeader: Bool
    let session: String?
    let declaredBytes: Int?
    let version: HTTPVersion
    let isKeepAlive: Bool
    /// Whether nothing but a Content-Length says where the request ends.
    let isFramedByLength: Bool
    /// The same for heads of one connection that differ in their Content-Length only; 0 for one that is alone.
    let series: Int
    let isChunked: Bool
    let expectsContinue: Bool
    /// Whether it says once for which host it is, as HTTP/1.1 demands (RFC 9112 §3.2).
    let hasOneHost: Bool

    var isHead: Bool { methodName == "HEAD" }

    init(_ head: HTTPRequestHead) {
        // What ``HeadMemory`` hands the decoder for Vault's LIST.
        methodName = head.method == .LINK ? "LIST" : head.method.rawValue
        method = APIRequest.Method(rawValue: head.method == .HEAD ? "GET" : methodName)
        let target = Self.originForm(head.uri)
        let question = target.utf8.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex
        path = String(target[..<question])
        rawQuery = question == target.endIndex ? "" : target[target.index(after: question)...]

        var fields: [(name: String, value: String)] = []
        fields.reserveCapacity(head.headers.count)
        var key: String?
        var hasKeyHeader = false
        var session: String?
        var hosts = 0
        var declared: String?
        var isUpgrade = head.method == .CONNECT
        for (name, value) in head.headers {
            switch Meaning(of: name) {
            case .authorization:
                hasKeyHeader = true
                key = key ?? Self.key(authorization: value)
                continue
            case .key:
                hasKeyHeader = true
                key = key ?? value
                continue
            case .cookie: session = session ?? Cookies.value(Credential.cookieName, in: value)
            case .host: hosts += 1
            case .length:
                declared = declared ?? value
                continue
            case .upgrade: isUpgrade = true
            case .other: break
            }
            fields.append((name, value))
        }
        headers = RequestHeaders(fields)
        hasOneHost = hosts == 1 || (hosts == 0 && head.version == .http1_0)
        self.key = key
        self.hasKeyHeader = hasKeyHeader
        self.session = session
        isChunked = headers["transfer-encoding"] != nil
        expectsContinue = headers["expect"]?.lowercased() == "100-continue"
        declaredBytes = declared.flatMap { Int($0) }
        version = head.version
        isKeepAlive = head.isKeepAlive
        isFramedByLength = version == .http1_1 && !isChunked && !isUpgrade
        series = 0
    }

    /// The same head with another Content-Length.
    ///
    /// - Parameter series: Where it is to be expected again.
    init(_ other: RequestHead, declaredBytes: Int?, series: Int? = nil) {
        methodName = other.methodName
        method = other.method
        path = other.path
        rawQuery = other.rawQuery
        headers =
            series == nil ? other.headers : RequestHeaders(other.headers.fields, memory: RequestHeaders.Memory())
        key = other.key
        hasKeyHeader = other.hasKeyHeader
        session = other.session
        version = other.version
        isKeepAlive = other.isKeepAlive
        isFramedByLength = other.isFramedByLength
        isChunked = other.isChunked
        expectsContinue = other.expectsContinue
        hasOneHost = other.hasOneHost
        self.declaredBytes = declaredBytes
        self.series = series ?? other.series
    }

    /// What a header means here. Its name's length tells most apart.
    private enum Meaning {
        case authorization
        case key
        case cookie
        case host
        case length
        case upgrade
        case other

        init(of name: String) {
            let candidate: (name: String, meaning: Meaning)
            switch name.utf8.count {
            case 4: candidate = ("host", .host)
            case 6: candidate = ("cookie", .cookie)
            case 7: candidate = ("upgrade", .upgrade)
            case 14: candidate = ("content-length", .length)
            case 9: candidate = ("x-api-key", .key)
            case 13 where name.utf8.first == UInt8(ascii: "x") || name.utf8.first == UInt8(ascii: "X"):
                candidate = ("x-vault-token", .key)
            case 13: candidate = ("authorization", .authorization)
            default: candidate = ("", .other)
            }
            self = RequestHeaders.isSame(name, as: candidate.name) ? candidate.meaning : .other
        }
    }

    /// The path and query of a request target (RFC 9112 §3.2): proxies may send the whole address.
    private static func originForm(_ uri: String) -> Substring {
        guard !uri.hasPrefix("/") else { return uri[...] }
        guard let scheme = uri.range(of: "://") else { return uri[...] }
        let authority = uri[scheme.upperBound...]
        guard let slash = authority.firstIndex(of: "/") else { return "/" }
        return authority[slash...]
    }

    /// The key of `Bearer <key>`, or the password of `Basic <base64>` (RFC 7617).
    private static func key(authorization: String) -> String? {
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        let value = parts[1].drop { $0 == " " }
        switch parts[0].lowercased() {
        case "bearer": return String(value)
        case "basic":
            guard let text = Base64.decode(String(value)), let colon = text.firstIndex(of: ":") else { return nil }
            return String(text[text.index(after: colon)...])
        default: return nil
        }
    }

    /// What makes a request one of a browser that shows pages.
    var wantsPage: Bool { methodName == "GET" && headers["accept"]?.contains("text/html") == true }
}

extension HTTPParserError {
    /// What a client hears whose bytes cannot be read as a request.
    var problem: Problem {
        switch self {
        case .invalidMethod:
            Problem(.notImplemented, "Reeve does not know this method.", hint: "Use GET, POST, PUT, PATCH or DELETE.")
        case .headerOverflow:
            Problem(.headersTooLarge, "The headers are too long.", hint: "Send fewer and shorter headers.")
        default:
            Problem(.badRequest, "This is not an HTTP request that Reeve understands.", hint: "Send HTTP/1.1.")
        }
    }
}
