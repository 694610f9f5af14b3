import Kernel

/// An error of a model call, before a dialect dresses it: thrown by the readers and writers, made by the gateway's
/// guards, or read from a provider's answer.
///
/// Shapes: OpenAI API reference, Errors (`{"error":{message,type,param,code}}`); Anthropic API reference, Errors
/// (`{"type":"error","error":{type,message},"request_id"}`, a finer code in `error.details.error_code`).
struct DialectError: Error, Sendable, Equatable {
    /// What went wrong, in the words that all dialects share.
    enum Kind: Sendable, CaseIterable {
        case invalidRequest, contextLength, contentFilter, authentication, budget, permission, notFound, conflict
        case tooLarge, rateLimit, server, badGateway, unavailable, timeout, overloaded
    }

    static let paramCharactersMax = 200
    /// Characters of a message, ours or a provider's.
    static let messageCharactersMax = 4_000

    let kind: Kind
    /// The status of its own dialect; ``status(for:)`` says which one a client gets.
    let status: Int
    /// A word for programs, such as `budget_exceeded`; each kind has its own where none is given.
    let code: String?
    /// The field at fault, by its path.
    let param: String?
    let message: String

    init(_ kind: Kind, status: Int? = nil, code: String? = nil, param: String? = nil, _ message: String) {
        self.kind = kind
        self.status = status ?? kind.status
        self.code = code.map { String($0.prefix(Self.paramCharactersMax)) }
        self.param = param.map { String($0.prefix(Self.paramCharactersMax)) }
        self.message = String(message.prefix(Self.messageCharactersMax))
    }

    // MARK: What the gateway says itself

    static func invalid(_ param: String, _ message: String) -> DialectError {
        DialectError(.invalidRequest, param: param.isEmpty ? nil : param, message)
    }

    /// Something the asked dialect has and the model's does not.
    static func unsupported(_ param: String, _ message: String) -> DialectError {
        DialectError(.invalidRequest, code: "unsupported_parameter", param: param, message)
    }

    static func wrongKey(_ message: String = "Incorrect API key provided.") -> DialectError {
        DialectError(.authentication, message)
    }

    static func unknownModel(_ model: String) -> DialectError {
        DialectError(
            .notFound, param: "model",
            "The model `\(model.prefix(paramCharactersMax))` does not exist or this key may not use it.")
    }

    static func budgetExceeded(_ message: String) -> DialectError { DialectError(.budget, message) }

    /// All money that is left is held by calls in flight.
    static func budgetInFlight(_ message: String) -> DialectError {
        DialectError(.rateLimit, code: "budget_in_flight", message)
    }

    /// A stream that ended or broke before it was complete.
    static func brokenStream(_ message: String = "The provider's stream ended before it was complete.")
        -> DialectError
    {
        DialectError(.badGateway, code: "stream_interrupted", message)
    }

    // MARK: How clients see it

    /// The status for a client of `dialect`: 529 is Anthropic's alone.
    func status(for dialect: Dialect) -> Int { status == 529 && dialect.isOpenAI ? 503 : status }

    /// The body for a client of `dialect`.
    func body(for dialect: Dialect, requestID: String? = nil) -> JSONValue {
        var body: JSONObject
        if dialect.isOpenAI {
            body = JSONObject([.init(name: "error", value: openAIError)])
        } else {
            body = JSONObject([.init(name: "type", value: "error"), .init(name: "error", value: anthropicError)])
            if let requestID { body.append("request_id", .string(requestID)) }
        }
        return .object(body)
    }

    private var openAIError: JSONValue {
        [
            "message": .string(message), "type": .string(kind.openAIType), "param": .of(param),
            "code": .of(code ?? kind.code),
        ]
    }

    private var anthropicError: JSONValue {
        var error: JSONObject = JSONObject([
            .init(name: "type", value: .string(kind.anthropicType)), .init(name: "message", value: .string(message)),
        ])
        if let code = code ?? kind.code { error.append("details", ["error_code": .string(code)]) }
        return .object(error)
    }
}

extension DialectError.Kind {
    /// The status where nothing else gives one.
    var status: Int {
        switch self {
        case .invalidRequest, .contextLength, .contentFilter: 400
        case .authentication: 401
        case .budget: 402
        case .permission: 403
        case .notFound: 404
        case .conflict: 409
        case .tooLarge: 413
        case .rateLimit: 429
        case .server: 500
        case .badGateway: 502
        case .unavailable: 503
        case .timeout: 504
        case .overloaded: 529
        }
    }

    /// `error.code` of OpenAI's dialects; Anthropic's has no other place for it than its details.
    var code: String? {
        switch self {
        case .invalidRequest, .server, .conflict, .badGateway: nil
        case .contextLength: "context_length_exceeded"
        case .contentFilter: "content_filter"
        case .authentication: "invalid_api_key"
        case .budget: "budget_exceeded"
        case .permission: "permission_denied"
        case .notFound: "model_not_found"
        case .tooLarge: "request_too_large"
        case .rateLimit: "rate_limit_exceeded"
        case .unavailable: "service_unavailable"
        case .timeout: "timeout"
        case .overloaded: "overloaded"
        }
    }

    var openAIType: String {
        switch self {
        case .invalidRequest, .contextLength, .contentFilter, .authentication, .permission, .notFound, .conflict,
            .tooLarge:
            "invalid_request_error"
        case .budget: "insufficient_quota"
        case .rateLimit: "rate_limit_error"
        case .server, .badGateway, .unavailable, .timeout, .overloaded: "server_error"
        }
    }

    var anthropicType: String {
        switch self {
        case .invalidRequest, .contextLength, .contentFilter: "invalid_request_error"
        case .authentication: "authentication_error"
        case .budget: "billing_error"
        case .permission: "permission_error"
        case .notFound: "not_found_error"
        case .conflict: "conflict_error"
        case .tooLarge: "request_too_large"
        case .rateLimit: "rate_limit_error"
        case .server, .badGateway: "api_error"
        case .timeout: "timeout_error"
        case .unavailable, .overloaded: "overloaded_error"
        }
    }
}
