import Kernel

/// A request that tells a receiver of alerts.
public struct NotificationRequest: Sendable, Equatable {
    /// Bytes of an answer that are read; the rest is left.
    public static let answerBytesMax = 1_024

    public let url: String
    public var headers: [(name: String, value: String)]
    public let body: [UInt8]
    public var allowPrivate = false
    public var timeout = Span.seconds(10)
    /// Certificates that are trusted beside the system's.
    public var caFile: String?

    init(url: String, json: JSONValue) {
        self.url = url
        headers = [("content-type", "application/json"), ("user-agent", "reeve-alerts")]
        body = Array(json.text.utf8)
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.url == right.url && left.body == right.body
            && left.headers.elementsEqual(right.headers) { $0.name == $1.name && $0.value == $1.value }
    }
}

/// A mail that tells a receiver of alerts.
public struct NotificationMail: Sendable {
    /// `smtp://host:25`, or `smtps://host:465`.
    public let url: String
    public let from: String
    public let to: [String]
    /// RFC 5322, with lines that end in CR LF; nothing in it begins with a dot.
    public let message: String
    public let username: String?
    public let password: String?
    public let security: AlertReceiver.MailSecurity
    public let allowPrivate: Bool
    public let timeout: Span
    /// Certificates that are trusted beside the system's.
    public let caFile: String?
}

/// What became of an attempt to tell.
public struct NotificationOutcome: Sendable, Equatable {
    public enum State: String, Sendable, CaseIterable {
        case delivered
        /// Another attempt may go well.
        case failed
        /// The same would be refused again.
        case refused
    }

    public let state: State
    /// HTTP's, or SMTP's.
    public let status: Int?
    /// The answer's beginning, or a reason in our own words.
    public let answer: String
    /// How long the receiver asked to be left alone.
    public let retryAfter: Span?
    /// What went wrong although it was delivered: some of those whom it is for did not get it.
    public let warning: String?

    public init(
        _ state: State, status: Int? = nil, _ answer: String = "", retryAfter: Span? = nil, warning: String? = nil
    ) {
        (self.state, self.status, self.answer) = (state, status, answer)
        (self.retryAfter, self.warning) = (retryAfter, warning)
    }

    /// What a status of HTTP's means: those of 429 and 5xx pass, the others would come again. A redirect is not
    /// followed: it could lead where the address was not looked at.
    public static func http(_ status: Int, _ answer: String, retryAfter: Span? = nil) -> NotificationOutcome {
        switch status {
        case 200..<300: NotificationOutcome(.delivered, status: status, answer)
        case 408, 425, 429, 500...: NotificationOutcome(.failed, status: status, answer, retryAfter: retryAfter)
        case 300..<400: NotificationOutcome(.refused, status: status, "redirects are not followed")
        default: NotificationOutcome(.refused, status: status, answer)
        }
    }
}

/// Carries what receivers are told. What it is given has secrets: it logs none of it.
public protocol NotificationCourier: Sendable {
    func send(_ request: NotificationRequest) async -> NotificationOutcome
    func send(_ mail: NotificationMail) async -> NotificationOutcome
}
