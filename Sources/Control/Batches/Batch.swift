import Kernel

/// Many requests for models that are answered when there is time.
///
/// Reeve runs them itself, each as a model call with all that such a call passes. See ``BatchRunner``.
struct Batch: Sendable, Equatable {
    enum Dialect: String, Sendable, CaseIterable {
        case openAI = "openai"
        case anthropic
    }

    /// As OpenAI names them; Anthropic's three follow from these.
    enum State: String, Sendable, CaseIterable {
        case validating
        case inProgress = "in_progress"
        case finalizing, cancelling, completed, failed, expired, cancelled

        var hasEnded: Bool {
            switch self {
            case .validating, .inProgress, .finalizing, .cancelling: false
            case .completed, .failed, .expired, .cancelled: true
            }
        }

        /// What it ends as, once no line of it waits.
        func end(hasExpired: Bool) -> State {
            if self == .cancelling { return .cancelled }
            return hasExpired ? .expired : .completed
        }
    }

    struct Counts: Sendable, Equatable {
        var total: Int64 = 0
        var succeeded: Int64 = 0
        var errored: Int64 = 0
        var canceled: Int64 = 0
        var expired: Int64 = 0
    }

    /// `batch_…`, or `msgbatch_…` of Anthropic's dialect.
    let id: String
    let dialect: Dialect
    let owner: String
    /// Who asked for it: the calls are this key's.
    let principal: Principal
    /// The door that each request goes to: `/v1/chat/completions`.
    let endpoint: String
    let inputFile: String
    /// Headers of the request that made it which its calls get too.
    let headers: JSONValue
    let metadata: JSONValue
    /// How long what it makes is kept.
    let outputSpan: Span
    let correlationID: String
    let createdAt: Timestamp
    let expiresAt: Timestamp

    var state = State.validating
    /// The model of its first request.
    var model: String?
    /// What is wrong with it or with some of its lines: `[{code, message, line, param}]`.
    var flaws: JSONValue = .array([])
    var counts = Counts()
    var outputFile: String?
    var errorFile: String?
    var inProgressAt: Timestamp?
    var finalizingAt: Timestamp?
    var cancellingAt: Timestamp?
    var endedAt: Timestamp?
}

enum OpenAIBatchID: Identified {
    static let idPrefix = "batch"
}

enum MessageBatchID: Identified {
    static let idPrefix = "msgbatch"
}

extension Batch.Dialect {
    func newID(_ world: World) -> String {
        switch self {
        case .openAI: Identifier<OpenAIBatchID>(world).text
        case .anthropic: Identifier<MessageBatchID>(world).text
        }
    }
}

extension Batch {
    /// OpenAI API reference, "The batch object".
    var openAI: JSONValue {
        func time(_ time: Timestamp?, _ isIt: Bool = true) -> JSONValue { isIt ? time?.unixSeconds ?? .null : .null }
        let told: JSONValue = flaws == .array([]) ? .null : ["object": "list", "data": flaws]
        return [
            "id": .string(id), "object": "batch", "endpoint": .string(endpoint), "model": .of(model), "errors": told,
            "input_file_id": .string(inputFile), "completion_window": "24h", "status": .string(state.rawValue),
            "output_file_id": .of(outputFile), "error_file_id": .of(errorFile), "created_at": createdAt.unixSeconds,
            "in_progress_at": time(inProgressAt), "expires_at": expiresAt.unixSeconds,
            "finalizing_at": time(finalizingAt), "completed_at": time(endedAt, state == .completed),
            "failed_at": time(endedAt, state == .failed), "expired_at": time(endedAt, state == .expired),
            "cancelling_at": time(cancellingAt), "cancelled_at": time(endedAt, state == .cancelled),
            "request_counts": [
                "total": .int(counts.total), "completed": .int(counts.succeeded), "failed": .int(counts.errored),
            ], "metadata": metadata,
        ]
    }

    /// Anthropic API reference, "Message Batch". Until it has ended all its requests are told as `processing`.
    ///
    /// - Parameter origin: What the address of the results begins with.
    func anthropic(origin: String) -> JSONValue {
        let status = state.hasEnded ? "ended" : state == .cancelling ? "canceling" : "in_progress"
        let shown = state.hasEnded ? counts : Counts()
        let hasResults = state.hasEnded && outputFile != nil
        return [
            "id": .string(id), "type": "message_batch", "processing_status": .string(status),
            "request_counts": [
                "processing": .int(state.hasEnded ? 0 : counts.total), "succeeded": .int(shown.succeeded),
                "errored": .int(shown.errored), "canceled": .int(shown.canceled), "expired": .int(shown.expired),
            ], "created_at": createdAt.json, "expires_at": expiresAt.json, "ended_at": .of(endedAt),
            "cancel_initiated_at": .of(cancellingAt), "archived_at": .null,
            "results_url": hasResults ? .string("\(origin)/v1/messages/batches/\(id)/results") : .null,
        ]
    }

    /// For events.
    var summary: JSONValue {
        [
            "batchId": .string(id), "endpoint": .string(endpoint), "state": .string(state.rawValue),
            "requests": .int(counts.total), "succeeded": .int(counts.succeeded), "errored": .int(counts.errored),
            "canceled": .int(counts.canceled), "expired": .int(counts.expired),
        ]
    }
}
