import Kernel

/// What a provider's error says, whichever shape it has.
///
/// Shapes: `{"error":{"message","type","param","code"}}` (OpenAI API reference, "Error codes"), the same with
/// `innererror` (Azure OpenAI, "Content filtering"), `{"type":"error","error":{"type","message"}}` (Anthropic API
/// reference, "Errors"), `{"object":"error","message","type","code"}` (vLLM), `{"error":"…"}` (Ollama API reference),
/// `[{"error":{"code","message","status"}}]` (Gemini's OpenAI compatibility).
struct FailureDetail: Sendable, Equatable {
    /// Bytes of a message that are looked at.
    static let messageBytesMax = 4_096
    /// Bytes of a type or code that are kept; the known ones are far shorter.
    static let codeBytesMax = 64

    /// In lower case.
    private(set) var type: String
    /// In lower case; a number as its digits.
    private(set) var code: String
    /// In lower case (ASCII), cut at ``messageBytesMax``.
    private(set) var message: String

    init(type: String = "", code: String = "", message: String = "") {
        self.type = Self.folded(type, max: Self.codeBytesMax)
        self.code = Self.folded(code, max: Self.codeBytesMax)
        self.message = Self.folded(message, max: Self.messageBytesMax)
    }

    /// Reads an error's body; whatever is not there is empty.
    init(_ body: JSONValue) {
        let document = body.array?.first ?? body
        let error = document["error"].flatMap { $0.isNull ? nil : $0 } ?? document
        let inner = error["innererror"]?["code"]
        let code = [inner, error["code"], error["status"]].lazy.compactMap { $0.flatMap(Self.word) }.first
        self.init(
            type: error["type"]?.string ?? "",
            code: code ?? "",
            message: error.string ?? error["message"]?.string ?? error["detail"]?.string ?? "")
    }

    private static func word(_ value: JSONValue) -> String? { value.string ?? value.int.map(String.init) }

    private static func folded(_ text: String, max: Int) -> String {
        let bytes = text.utf8.prefix(max).map { (65...90).contains($0) ? $0 | 0x20 : $0 }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: What it says

    private func isAny(_ words: [String]) -> Bool { words.contains { $0 == code || $0 == type } }

    private func mentionsAny(_ phrases: [String]) -> Bool {
        !message.isEmpty && phrases.contains { message.contains($0) }
    }

    /// - Parameter isByWords: Whether the message alone may say it, too. A server's fault may quote anything.
    func saysContentFilter(isByWords: Bool) -> Bool {
        isAny(Self.contentFilterCodes) || (isByWords && mentionsAny(Self.contentFilterPhrases))
    }

    var saysContextLengthByCode: Bool { isAny(Self.contextCodes) }
    var saysContextLength: Bool { saysContextLengthByCode || mentionsAny(Self.contextPhrases) }
    var saysQuota: Bool { isAny(Self.quotaCodes) || mentionsAny(Self.quotaPhrases) }
    /// A limit that this one request is larger than: no wait helps.
    var saysTooLarge: Bool { type == "request_too_large" || mentionsAny(["request too large for"]) }
    var saysModelMissing: Bool { isAny(["model_not_found", "deploymentnotfound"]) }
    var saysOverloaded: Bool {
        isAny(["overloaded_error", "overloaded", "server_overloaded", "slow_down", "engine_overloaded", "unavailable"])
            || mentionsAny(["overloaded"])
    }

    /// The status that an error in a stream would have had.
    var impliedStatus: Int {
        if let status = Int(code), (400..<600).contains(status) { return status }
        for word in [type, code] {
            if let status = Self.statuses[word] { return status }
        }
        return 500
    }

    private static let statuses: [String: Int] = [
        "invalid_request_error": 400, "badrequesterror": 400, "invalid_argument": 400, "invalid_prompt": 400,
        "context_length_exceeded": 400, "exceed_context_size_error": 400, "content_filter": 400,
        "authentication_error": 401, "invalid_api_key": 401, "unauthenticated": 401,
        "billing_error": 402, "permission_error": 403, "permission_denied": 403,
        "not_found_error": 404, "model_not_found": 404, "not_found": 404, "request_too_large": 413,
        "rate_limit_error": 429, "rate_limit_exceeded": 429, "tokens": 429, "requests": 429,
        "insufficient_quota": 429, "resource_exhausted": 429, "too_many_requests": 429,
        "api_error": 500, "server_error": 500, "internal_server_error": 500, "timeout_error": 504,
        "overloaded_error": 529, "slow_down": 503, "unavailable": 503,
    ]

    private static let contentFilterCodes = [
        "content_filter", "content_policy_violation", "responsibleaipolicyviolation", "moderation_blocked",
        "invalid_prompt", "data_inspection_failed", "content_filter_error", "prompt_blocked", "safety",
    ]
    private static let contentFilterPhrases = [
        "content filter", "content_filter", "content management policy", "content policy", "usage policy",
        "usage policies", "safety system", "flagged", "moderation",
    ]
    private static let contextCodes = [
        "context_length_exceeded", "exceed_context_size_error", "context_window_exceeded", "string_above_max_length",
        "model_context_window_exceeded",
    ]
    private static let contextPhrases = [
        "maximum context length", "context length", "context window", "context size", "context limit",
        "prompt is too long", "input is too long", "too many tokens", "exceeds the maximum number of tokens",
        "reduce the length of the messages", "maximum prompt length", "exceeds token limit",
    ]
    private static let quotaCodes = [
        "insufficient_quota", "billing_error", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded",
    ]
    private static let quotaPhrases = [
        "exceeded your current quota", "credit balance is too low", "insufficient balance", "billing hard limit",
    ]
}
