import Kernel

/// One request of a batch on its way to a model.
public struct BatchCall: Sendable {
    /// The address of the door: `/v1/chat/completions`.
    public let endpoint: String
    public let body: [UInt8]
    /// Those of the request that made the batch, and the batch's tag.
    public let headers: [(name: String, value: String)]
    public let principal: Principal
    public let correlationID: String
}

/// What the door answered.
public struct BatchAnswer: Sendable {
    public let status: Int
    /// The record of the call.
    public let callID: String?
    public let retryAfterSeconds: Int64?
    public let body: [UInt8]

    public init(status: Int, callID: String?, retryAfterSeconds: Int64?, body: [UInt8]) {
        self.status = status
        self.callID = callID
        self.retryAfterSeconds = retryAfterSeconds
        self.body = body
    }

    var isSuccess: Bool { (200..<300).contains(status) }
}

/// Where batches have their requests answered: the gateway, which features do not know.
public protocol BatchCalls: Sendable {
    /// Answers one, like a request at its door. Throws `CancellationError` where the caller's task ends before.
    func answer(_ call: BatchCall) async throws -> BatchAnswer
}

/// What an answer means for its request.
enum BatchVerdict: Equatable {
    /// It is the result.
    case final
    /// The provider has no time now, or is away: it says nothing of this request.
    case later
    /// The provider failed, perhaps at this request.
    case failed

    init(_ answer: BatchAnswer) {
        switch answer.status {
        case 429, 503, 529: self = .later
        case 500, 502, 504: self = Self.code(answer.body) == "provider_unreachable" ? .later : .failed
        default: self = .final
        }
    }

    /// `error.code` of OpenAI's dialect, `error.details.error_code` of Anthropic's.
    private static func code(_ body: [UInt8]) -> String? {
        let error = (try? JSONParser.parse(body, depthMax: Limits.jsonDepthStored))?["error"]
        return error?["code"]?.string ?? error?["details"]?["error_code"]?.string
    }
}
