import Foundation
import Kernel

/// Who is told of alerts: an address, and how it wants to hear of them.
public struct AlertReceiver: Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        /// A POST with the body of Alertmanager's webhooks, version 4.
        case webhook
        /// Another Alertmanager, told as a Prometheus would.
        case alertmanager
        /// PagerDuty's Events API v2.
        case pagerduty
        /// An incoming webhook of Slack's, or of what takes the same.
        case slack
        case smtp
        /// Publishing as JSON.
        case ntfy
    }

    /// How a mail server's connection is made safe.
    public enum MailSecurity: String, Sendable, CaseIterable {
        /// No mail without STARTTLS.
        case required
        /// STARTTLS where it is offered; a password is never sent without.
        case offered
        case never
    }

    /// Seconds that one attempt may take, and the default.
    static let timeoutSeconds: ClosedRange<Double> = 0.1...30
    static let timeoutDefault = Span.seconds(10)
    static let headersMax = 20
    static let recipientsMax = 50

    public let name: String
    public let kind: Kind
    /// What stands in the settings; `nil` where the address itself is a secret, as Slack's is.
    var url: String?
    var urlSecret: ReceiverSecret?
    /// Whether the address may be of a private network or this machine.
    public var allowPrivate: Bool
    /// Whether it hears of ends.
    public let sendResolved: Bool
    let timeout: Span
    /// A file of certificates that are trusted beside the system's.
    var caFile: String?
    var headers: [(name: String, value: String)]
    var bearer: ReceiverSecret?
    /// Signs webhooks.
    let signing: ReceiverSecret?
    let routingKey: ReceiverSecret?
    var mail: Mail?

    /// What only mail has.
    struct Mail: Sendable, Equatable {
        let from: String
        var to: [String]
        let username: String?
        let password: ReceiverSecret?
        let security: MailSecurity
    }
}

// MARK: - Reading

extension AlertReceiver {
    private static let common = [
        "name", "kind", "url", "urlFile", "urlEnvironment", "allowPrivate", "sendResolved", "timeoutSeconds",
        "caFile",
    ]

    private static func members(_ kind: Kind) -> [String] {
        let web = ["headers", "bearerFile", "bearerEnvironment"]
        return switch kind {
        case .webhook: common + web + ["secretFile", "secretEnvironment"]
        case .alertmanager, .slack, .ntfy: common + web
        case .pagerduty: common + ["routingKeyFile", "routingKeyEnvironment"]
        case .smtp: common + ["from", "to", "username", "passwordFile", "passwordEnvironment", "tls"]
        }
    }

    init(_ fields: Fields) throws {
        name = try fields.name("name")
        let kind = try fields.choice("kind", Kind.self)
        self.kind = kind
        try fields.refuseOthers(than: Self.members(kind))
        urlSecret = try ReceiverSecret(fields, "url")
        var url = try fields.optionalString("url", max: 2_048)
        if url == nil, urlSecret == nil, kind == .pagerduty { url = AlertFormats.pagerDutyURL }
        guard (url == nil) != (urlSecret == nil) else {
            throw Problem.invalid(
                fields.path("url"), "one of url, urlFile and urlEnvironment is expected",
                hint: "An address that is a secret, as Slack's is, belongs into a file or a variable.")
        }
        if let url, let fault = ReceiverURL.fault(url, kind: kind) { throw Problem.invalid(fields.path("url"), fault) }
        self.url = url
        allowPrivate = try fields.optionalBool("allowPrivate") ?? false
        sendResolved = try fields.optionalBool("sendResolved") ?? true
        timeout = try fields.optionalSpan("timeoutSeconds", in: Self.timeoutSeconds) ?? Self.timeoutDefault
        caFile = try fields.optionalString("caFile", max: 1_024)
        headers = try Self.headers(fields)
        bearer = try ReceiverSecret(fields, "bearer")
        signing = try ReceiverSecret(fields, "secret")
        routingKey = try ReceiverSecret(fields, "routingKey")
        mail = kind == .smtp ? try Mail(fields) : nil
    }

    private static func headers(_ fields: Fields) throws -> [(name: String, value: String)] {
        let members = try fields.optionalFields("headers")?.object.members ?? []
        guard members.count <= headersMax else {
            throw Problem.invalid(fields.path("headers"), "at most \(headersMax) are allowed")
        }
        return try members.map { member in
            let path = "\(fields.path("headers"))/\(member.name)"
            let isToken = member.name.utf8.allSatisfy { byte in
                byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || (48...57).contains(byte)
                    || (65...90).contains(byte) || (97...122).contains(byte)
            }
            let own = ["host", "content-length", "content-type", "authorization", "transfer-encoding", "connection"]
            guard isToken, !member.name.isEmpty, !own.contains(member.name.lowercased()) else {
                throw Problem.invalid(path, "this header is Reeve's own, or no header's name")
            }
            guard let value = member.value.string, value.utf8.count <= 1_024,
                value.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
            else { throw Problem.invalid(path, "one line of plain text is expected") }
            return (member.name, value)
        }
    }
}

extension AlertReceiver.Mail {
    init(_ fields: Fields) throws {
        from = try fields.optionalString("from", max: 254) ?? "reeve@localhost"
        let named: [String]
        if let text = fields.value("to")?.string {
            named = [text]
        } else {
            named = try (fields.optionalArray("to", max: AlertReceiver.recipientsMax) ?? []).map { $0.string ?? "" }
        }
        for (name, address) in [("from", from)] + named.map({ ("to", $0) }) where !Self.isAddress(address) {
            throw Problem.invalid(
                fields.path(name),
                "an address such as oncall@example.org is expected, not \(RouteReader.quoted(.string(address)))")
        }
        // Which every server takes mail for (RFC 5321 §4.5.1).
        to = named.isEmpty ? ["postmaster"] : named
        username = try fields.optionalString("username", max: 254)
        password = try ReceiverSecret(fields, "password")
        security = try fields.optionalChoice("tls", AlertReceiver.MailSecurity.self) ?? .offered
        guard (username == nil) == (password == nil) else {
            throw Problem.invalid(fields.path("username"), "a user needs a password in passwordFile, and the reverse")
        }
    }

    /// The part of RFC 5321 that people use: nothing in it could end a command or a header.
    static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && text.utf8.count <= 254
            && parts.allSatisfy { part in
                !part.isEmpty
                    && part.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"<>()[]\\,;:\"".utf8.contains($0) }
            }
    }
}

/// Addresses of receivers: scheme, host, port and a path.
enum ReceiverURL {
    /// What is wrong with one; `nil` where nothing is.
    static func fault(_ text: String, kind: AlertReceiver.Kind) -> String? {
        let schemes = kind == .smtp ? ["smtp", "smtps"] : ["http", "https"]
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), let parts = URLComponents(string: text),
            let scheme = parts.scheme?.lowercased(), schemes.contains(scheme), let host = parts.host, !host.isEmpty
        else {
            // The address may be a secret: no more of it is said than how it begins.
            let read = URLComponents(string: text)?.scheme.map { ", not one of \($0.prefix(20)):" } ?? ""
            let begin = schemes.joined(separator: ":// or ")
            return "an address that begins with \(begin)://, with a host, is expected\(read)"
        }
        guard parts.user == nil, parts.password == nil else {
            return "it may contain no user or password: they belong into a file or a variable"
        }
        guard parts.fragment == nil else { return "it may contain no fragment" }
        if let port = parts.port, !(1...65_535).contains(port) { return "the port must be 1 to 65535" }
        if kind == .ntfy, parts.path.split(separator: "/").isEmpty {
            return "the topic is missing: https://ntfy.sh/my-topic"
        }
        return nil
    }

    /// For people: without path and query, which may be secrets.
    static func host(_ text: String) -> String {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme, let host = parts.host else {
            return ""
        }
        return "\(scheme)://\(host)" + (parts.port.map { ":\($0)" } ?? "")
    }
}
