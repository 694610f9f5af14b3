import Kernel

/// One model call: who asked for what, who answered, what it used and cost, and how that was decided.
///
/// A call is kept once, when it has ended; while it runs, ``LiveCalls`` knows it. Its id is made when it starts, as ids
/// sort by time and lists go by them. Everything in it may come from an agent or a provider: ``bounded()`` is the door.
public struct Call: Sendable, Equatable, Identified {
    public static let idPrefix = "call"

    public enum Status: String, Sendable, CaseIterable {
        case running
        /// The caller got its whole answer.
        case done
        /// The caller got an error, or a stream that ended in one.
        case failed
        /// The caller left, or somebody stopped it.
        case canceled
    }

    public let id: Identifier<Call>
    public var status: Status
    public var startedAt: Timestamp

    // Who asked.
    public var agent: String?
    public var project: String?
    public var taskID: String?
    public var session: String?
    public var run: String?
    public var keyID: String?
    public var tags: [String]
    public var correlationID: String?
    /// The trace and the span that tell of it, in hexadecimal digits.
    public var traceID: String?
    public var spanID: String?

    // For what.
    /// The door that it came in by, with its dialect: `openai.chat`, `anthropic.messages`.
    public var door: String
    /// The model as the caller named it.
    public var model: String
    public var tier: String?
    public var isStream: Bool

    // Who answered.
    /// Provider and model of the target that answered, or of the last one tried: `main/gpt-4o-mini-2024-07-18`.
    public var target: String?
    /// The model that the provider says it was.
    public var answeredModel: String?
    public var attempts: [CallAttempt]

    // What it used and cost.
    public var usage: CallUsage
    /// All attempts together; `nil` where a price is unknown, which is not the same as nothing.
    public var cost: CallCost?
    /// What a cached or shared answer would have cost.
    public var savedNanoUSD: Int64
    /// What was reserved in budgets while it ran.
    public var holds: [CallHold]
    /// The budget that refused it.
    public var refusal: CallRefusal?

    // How it ended.
    /// Why it failed, in one word: `rate_limited`, `silent`, `content_filter`.
    public var failure: String?
    /// The status that the caller got.
    public var httpStatus: Int64?
    /// `hit`, `semantic`, `miss`, `shared`; `nil` where no cache was asked.
    public var cache: String?
    public var durationMs: Int64?
    /// Until the first byte of content.
    public var ttftMs: Int64?
    /// The part of the duration that was Reeve's own.
    public var overheadMicroseconds: Int64?
    public var requestBytes: Int64
    public var responseBytes: Int64
    /// The release that the agent ran as.
    public var bundle: String?
    /// How it was decided; ``CallExplanation`` has the words that it knows.
    public var decision: JSONValue

    // What became of its cost later.
    /// What was booked when it ended, where it was priced anew since; `nil` then means that no price was known.
    public internal(set) var bookedCost: CallCost?
    public internal(set) var repricedAt: Timestamp?

    public init(
        id: Identifier<Call>, status: Status, startedAt: Timestamp, agent: String? = nil, project: String? = nil,
        taskID: String? = nil, session: String? = nil, run: String? = nil, keyID: String? = nil, tags: [String] = [],
        correlationID: String? = nil, door: String, model: String, tier: String? = nil, isStream: Bool = false,
        target: String? = nil, answeredModel: String? = nil, attempts: [CallAttempt] = [],
        usage: CallUsage = CallUsage(), cost: CallCost? = nil, savedNanoUSD: Int64 = 0, holds: [CallHold] = [],
        refusal: CallRefusal? = nil, failure: String? = nil, httpStatus: Int64? = nil, cache: String? = nil,
        durationMs: Int64? = nil, ttftMs: Int64? = nil, overheadMicroseconds: Int64? = nil, requestBytes: Int64 = 0,
        responseBytes: Int64 = 0, bundle: String? = nil, decision: JSONValue = [:]
    ) {
        self.id = id
        self.status = status
        self.startedAt = startedAt
        self.agent = agent
        self.project = project
        self.taskID = taskID
        self.session = session
        self.run = run
        self.keyID = keyID
        self.tags = tags
        self.correlationID = correlationID
        self.door = door
        self.model = model
        self.tier = tier
        self.isStream = isStream
        self.target = target
        self.answeredModel = answeredModel
        self.attempts = attempts
        self.usage = usage
        self.cost = cost
        self.savedNanoUSD = savedNanoUSD
        self.holds = holds
        self.refusal = refusal
        self.failure = failure
        self.httpStatus = httpStatus
        self.cache = cache
        self.durationMs = durationMs
        self.ttftMs = ttftMs
        self.overheadMicroseconds = overheadMicroseconds
        self.requestBytes = requestBytes
        self.responseBytes = responseBytes
        self.bundle = bundle
        self.decision = decision
    }

    /// What attempts that failed cost, of a call that was answered in the end.
    var retryNanoUSD: Int64 {
        guard status == .done else { return 0 }
        let lost = attempts.filter { $0.failure != nil }.reduce(Int64(0)) {
            let (sum, isOver) = $0.addingReportingOverflow($1.costNanoUSD ?? 0)
            return isOver ? .max : sum
        }
        return min(lost, cost?.nanoUSD ?? lost)
    }
}

extension Call: JSONConvertible {
    /// What the decision record says of the call itself, where it does.
    private static let notes = [
        "context", "quality", "redacted", "keys", "asked", "batch", "judge", "semantic", "config",
    ]

    /// Without the decision record, which ``CallExplanation`` shows.
    public var json: JSONValue {
        var object = JSONObject()
        let identity: [(String, (any JSONConvertible)?)] = [
            ("id", id), ("status", status.rawValue), ("agent", agent), ("project", project), ("task", taskID),
            ("session", session), ("run", run), ("key", keyID), ("tags", JSONValue.list(tags)), ("door", door),
            ("model", model), ("tier", tier), ("stream", isStream), ("target", target),
            ("answeredModel", answeredModel), ("attempts", JSONValue.list(attempts)), ("usage", usage), ("cost", cost),
        ]
        for (name, value) in identity { object.append(name, .of(value)) }
        if let repricedAt {
            object.append("bookedCost", .of(bookedCost))
            object.append("repricedAt", repricedAt.json)
        }
        let course: [(String, (any JSONConvertible)?)] = [
            ("savedNanoUSD", savedNanoUSD), ("holds", JSONValue.list(holds)), ("refusal", refusal),
            ("failure", failure), ("httpStatus", httpStatus), ("cache", cache), ("startedAt", startedAt),
            ("durationMs", durationMs), ("ttftMs", ttftMs), ("overheadMicroseconds", overheadMicroseconds),
            ("requestBytes", requestBytes), ("responseBytes", responseBytes), ("correlationId", correlationID),
            ("traceId", traceID), ("spanId", spanID),
            ("bundle", bundle),
        ]
        for (name, value) in course { object.append(name, .of(value)) }
        for name in Self.notes { if let note = decision[name] { object.append(name, note) } }
        return .object(object)
    }
}
