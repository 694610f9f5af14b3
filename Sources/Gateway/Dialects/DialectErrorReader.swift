import Kernel

extension DialectError {
    /// Reads what a provider answered with, in whatever shape it came: OpenAI's and Anthropic's, and those of servers
    /// that imitate them (a text as `error`, members at the top, `detail`). Never fails.
    ///
    /// - Parameters:
    ///   - body: The answer's document; `nil` where it was no JSON.
    ///   - status: The answer's status; 200 for an error inside of a stream.
    init(reading body: JSONValue?, status: Int) {
        let error = body?["error"] ?? body
        let type = error?["type"]?.string
        let details = error?["details"]?["error_code"]?.string
        // Some servers put the status there, as a number.
        let code = error?["code"]?.string ?? details
        let message =
            error?["message"]?.string ?? error?.string ?? body?["message"]?.string ?? body?["detail"]?.string
            ?? "The provider answered with status \(status)."
        let kind = Self.kind(type: type, code: code, message: message, status: status)
        let known = (400...599).contains(status) ? status : kind.status
        self.init(kind, status: known, code: code, param: error?["param"]?.string, message)
    }

    private static func kind(type: String?, code: String?, message: String, status: Int) -> Kind {
        if let kind = kinds[code ?? ""] { return kind }
        let named = kinds[type ?? ""]
        // These come as plain 400 with their reason in the words alone.
        if status == 400 || status == 413 || named == .invalidRequest {
            let start = message.prefix(2_000).lowercased()
            if contextWords.contains(where: start.contains) { return .contextLength }
            if filterWords.contains(where: start.contains) { return .contentFilter }
        }
        if let named, named != .invalidRequest || !(401...599).contains(status) { return named }
        return byStatus(status)
    }

    private static func byStatus(_ status: Int) -> Kind {
        switch status {
        case 401: .authentication
        case 402: .budget
        case 403: .permission
        case 404: .notFound
        case 408, 504: .timeout
        case 409: .conflict
        case 413: .tooLarge
        case 429: .rateLimit
        case 502: .badGateway
        case 503: .unavailable
        case 529: .overloaded
        case 400..<500: .invalidRequest
        default: .server
        }
    }

    private static let contextWords = [
        "maximum context length", "prompt is too long", "context window", "context_length", "too many tokens",
        "exceed context limit",
    ]
    private static let filterWords = ["content filter", "content_filter", "content management policy", "safety system"]

    /// Types and codes of both companies.
    private static let kinds: [String: Kind] = [
        "invalid_request_error": .invalidRequest, "invalid_api_key": .authentication,
        "authentication_error": .authentication, "billing_error": .budget, "insufficient_quota": .rateLimit,
        "permission_error": .permission, "permission_denied": .permission, "not_found_error": .notFound,
        "model_not_found": .notFound, "conflict_error": .conflict, "request_too_large": .tooLarge,
        "rate_limit_error": .rateLimit, "rate_limit_exceeded": .rateLimit, "server_error": .server,
        "api_error": .server, "timeout_error": .timeout, "overloaded_error": .overloaded,
        "context_length_exceeded": .contextLength, "content_filter": .contentFilter,
        "content_policy_violation": .contentFilter, "image_content_policy_violation": .contentFilter,
        "budget_exceeded": .budget, "budget_in_flight": .rateLimit,
    ]
}
