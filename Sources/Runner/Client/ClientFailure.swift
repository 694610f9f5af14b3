import Kernel

/// The server's refusal, from its problem document (RFC 9457).
public struct Refusal: Sendable, Equatable {
    public let status: Int
    public let code: String
    public let detail: String
    public let hint: String
    /// The whole document, with members such as `currentFence` and `allowed`.
    public let document: JSONValue
    public let retryAfterSeconds: Double?

    public init(_ reply: ClientReply) {
        let document = (try? JSONParser.parse(reply.body)) ?? .null
        status = reply.status
        code = document["code"]?.string ?? "http_\(reply.status)"
        // Alertmanager's interface says what is wrong as a text alone.
        detail =
            document["detail"]?.string ?? document["title"]?.string ?? document.string
            ?? "The server answered \(reply.status)."
        hint = document["hint"]?.string ?? ""
        retryAfterSeconds = reply.headers["retry-after"].flatMap(Double.init)
        self.document = document
    }
}

/// Why a command or a runner did not get what it asked for.
public enum ClientFailure: Error, Sendable {
    /// No reply came, however often it was tried.
    case unreachable(url: String, detail: String)
    case refused(Refusal)
    /// A reply came that is not in the interface's form.
    case unreadable(String)
    /// There is no key to show.
    case noKey(String)

    /// The refusal's code, where it is one.
    public var code: String? {
        if case .refused(let refusal) = self { return refusal.code }
        return nil
    }

    /// What happened, and what to do next.
    public var words: (what: String, next: String) {
        switch self {
        case .unreachable(let url, let detail):
            (
                "Reeve cannot be reached at \(url): \(detail).",
                "Start it with `reeve serve`, or say where it is with --url or REEVE_URL."
            )
        case .refused(let refusal): (refusal.detail, refusal.hint)
        case .unreadable(let detail):
            ("The server's reply cannot be read: \(detail).", "Check that --url is Reeve's address, of this version.")
        case .noKey(let detail):
            (detail, "Pass --key or set REEVE_KEY; the first key is in admin.key, in the data directory.")
        }
    }

    /// The exit status of a command that ends so: 3 where the server cannot be reached, 2 without a key, else 1.
    public var exitStatus: Int32 {
        switch self {
        case .unreachable: 3
        case .noKey: 2
        case .refused, .unreadable: 1
        }
    }
}

extension ClientFailure: CustomStringConvertible {
    public var description: String {
        let (what, next) = words
        return next.isEmpty ? what : "\(what) \(next)"
    }
}
