import Kernel

/// Why an attempt at a target failed: the words in which retries, fallbacks, breakers and metrics speak.
///
/// Pure. The statuses are those of the OpenAI API reference ("Error codes") and of the Anthropic API reference
/// ("Errors"); the providers that speak OpenAI's dialect vary them, so codes, types and words are looked at as well.
enum FailureClass: Sendable, Equatable {
    /// 429. `retryAfter` is what the provider asked for; `nil` where it said nothing.
    case rateLimited(retryAfter: Span?)
    /// The provider's account has no money or allowance left: waiting does not help.
    case quotaExhausted
    /// 529, or a 503 that says so.
    case overloaded(retryAfter: Span?)
    /// Any other 5xx, and 408.
    case serverError(retryAfter: Span?)
    /// No first byte within its deadline.
    case silent
    /// No connection: refused, unreachable, no such name, no TLS.
    case connectionRefused
    /// The connection ended before the first byte.
    case reset
    /// A stream that had begun fell silent.
    case stalled
    /// A stream that had begun ended without its end.
    case cut
    /// The first event, or the body, is nothing that the dialect knows.
    case malformed
    /// The prompt does not fit the model's window.
    case contextLength
    /// The body, or this one request's tokens, are more than the provider ever takes.
    case tooLarge
    /// A safety refusal. Never answered by asking somebody else.
    case contentFilter
    /// The caller's own mistake: what is left of 4xx.
    case invalidRequest
    /// The provider refuses the key that Reeve has for it.
    case unauthorized
    /// The provider knows the key and does not let it do this.
    case forbidden
    /// The provider does not have the model.
    case notFound

    /// What a failure of this class leads to, before any count of tries is looked at.
    enum Course: Sendable, Equatable {
        /// Another try at the same target may help.
        case sameTarget
        /// Only another target may help.
        case nextTarget
        /// Nobody but the caller can do something about it.
        case caller
    }

    var course: Course {
        switch self {
        case .rateLimited, .overloaded, .serverError, .reset: .sameTarget
        case .quotaExhausted, .silent, .connectionRefused, .stalled, .cut, .malformed, .contextLength, .tooLarge,
            .unauthorized, .forbidden, .notFound:
            .nextTarget
        case .contentFilter, .invalidRequest: .caller
        }
    }

    /// Whether it speaks against the target's health. A limit does not: the ``Pacer`` deals with it.
    var countsForBreaker: Bool {
        switch self {
        case .overloaded, .serverError, .silent, .connectionRefused, .reset, .stalled, .cut, .malformed, .unauthorized:
            true
        case .rateLimited, .quotaExhausted, .contextLength, .tooLarge, .contentFilter, .invalidRequest, .forbidden,
            .notFound:
            false
        }
    }

    /// Whether the same request may succeed later without anybody's doing.
    var passesWithTime: Bool {
        switch self {
        case .contextLength, .tooLarge, .contentFilter, .invalidRequest: false
        default: !isOperators
        }
    }

    /// Whether the operator and nobody else can mend it; such a failure is told only where there is no better one.
    var isOperators: Bool {
        switch self {
        case .unauthorized, .forbidden, .notFound, .quotaExhausted: true
        default: false
        }
    }

    /// Whether the provider's words stay with Reeve: they are about a key that the caller does not know.
    var isHidden: Bool { self == .unauthorized }

    /// How long the provider asked to be left alone.
    var retryAfter: Span? {
        switch self {
        case .rateLimited(let span), .overloaded(let span), .serverError(let span): span
        default: nil
        }
    }

    /// The label of metrics and decision records. The set is closed.
    var name: String {
        switch self {
        case .rateLimited: "rate_limited"
        case .quotaExhausted: "quota_exhausted"
        case .overloaded: "overloaded"
        case .serverError: "server_error"
        case .silent: "silent"
        case .connectionRefused: "connection_refused"
        case .reset: "reset"
        case .stalled: "stalled"
        case .cut: "cut"
        case .malformed: "malformed"
        case .contextLength: "context_length"
        case .tooLarge: "too_large"
        case .contentFilter: "content_filter"
        case .invalidRequest: "invalid_request"
        case .unauthorized: "unauthorized"
        case .forbidden: "forbidden"
        case .notFound: "not_found"
        }
    }
}

/// How the transport ended an attempt that brought no complete answer.
enum TransportFailure: Sendable, Equatable, CaseIterable {
    /// No connection could be made.
    case refused
    /// The connection ended before the first byte.
    case reset
    /// Nothing within the first byte's deadline.
    case silentBeforeFirstByte
    /// Nothing for longer than the deadline between two pieces.
    case stalledMidStream
    /// The connection ended within an answer that had begun.
    case cutMidStream
    /// The first event is not of the dialect.
    case malformedFirstEvent
}

extension FailureClass {
    init(_ failure: TransportFailure) {
        self =
            switch failure {
            case .refused: .connectionRefused
            case .reset: .reset
            case .silentBeforeFirstByte: .silent
            case .stalledMidStream: .stalled
            case .cutMidStream: .cut
            case .malformedFirstEvent: .malformed
            }
    }

    /// Classifies an answer whose status says that it failed.
    ///
    /// - Parameters:
    ///   - status: The HTTP status; anything below 400 here is an answer that no door expects.
    ///   - detail: What the body says, where it could be read.
    ///   - retryAfter: What the headers say, see ``RetryAfter``.
    static func classify(status: Int, detail: FailureDetail = FailureDetail(), retryAfter: Span? = nil) -> FailureClass
    {
        // A refusal comes under any status, and must not be mistaken for something that another target may mend.
        if detail.saysContentFilter(isByWords: [400, 403, 422].contains(status)) { return .contentFilter }
        switch status {
        case 401: return .unauthorized
        case 402: return .quotaExhausted
        case 403: return .forbidden
        case 404: return .notFound
        case 413: return detail.saysContextLength ? .contextLength : .tooLarge
        case 429:
            if detail.saysQuota { return .quotaExhausted }
            return detail.saysTooLarge ? .tooLarge : .rateLimited(retryAfter: retryAfter)
        case 408: return .serverError(retryAfter: retryAfter)
        case 400..<500:
            if detail.saysContextLength { return .contextLength }
            // Some servers answer an unknown model, and an empty account, with 400.
            if detail.saysModelMissing { return .notFound }
            return detail.saysQuota ? .quotaExhausted : .invalidRequest
        case 529: return .overloaded(retryAfter: retryAfter)
        case 500..<600:
            if detail.saysContextLengthByCode { return .contextLength }
            return detail.saysOverloaded ? .overloaded(retryAfter: retryAfter) : .serverError(retryAfter: retryAfter)
        default: return .malformed
        }
    }

    /// Classifies an error that came as an event of a stream under status 200: its type stands for the status.
    static func classify(streamError detail: FailureDetail, retryAfter: Span? = nil) -> FailureClass {
        classify(status: detail.impliedStatus, detail: detail, retryAfter: retryAfter)
    }
}
