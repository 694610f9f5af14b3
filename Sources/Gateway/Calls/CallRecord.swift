import Kernel

/// What a call leaves behind: who asked for what, what was tried, what came of it, what it cost.
public struct CallRecord: Sendable {
    public enum Status: String, Sendable {
        case running, done, failed, canceled
    }

    /// One exchange with a target.
    public struct Attempt: Sendable {
        /// `provider/model`.
        public var target: String
        public var startedAt: Timestamp
        public var duration: Span
        /// Of the provider's answer; `nil` where none came.
        public var status: Int?
        /// The name of the failure's class; `nil` for the attempt that answered.
        public var failure: String?
        /// Why this target was asked, or why none was (`AttemptPlan.Reason`).
        public var reason: String
        /// What was booked for it; `nil` where nothing was, see ``CallRecord/attemptCosts``.
        var cost: NanoDollars?
    }

    public let id: String
    public var status = Status.running
    public let door: ModelDoor
    /// What the caller asked for.
    public var model = ""
    public var tier: String?
    /// Who answered, as `provider/model`.
    public var target: String?
    /// Who was asked last, in OpenTelemetry's words: `openai`, `anthropic`, `azure.ai.openai`.
    public var provider: String?
    public var isStreamed = false
    public var agent: String?
    public var keyID: String
    public var task: String?
    public var session: String?
    public var project: String?
    public var tags: [String] = []
    public var attempts: [Attempt] = []
    /// The provider's own words on what was used.
    public var rawUsage: JSONValue?
    /// What was used, as it is priced; `nil` where nothing was.
    var usage: TokenUsage?
    /// `nil` where no price is known; never 0 for that.
    public var cost: NanoDollars?
    /// `hit`, `semantic`, `miss` or `shared`; `nil` where no cache was asked, and nobody else.
    public var cache: String?
    /// What an answer of another call would have cost.
    public var saved = NanoDollars.zero
    /// The UTC day from which the price held; `nil` for a price without a date.
    public var priceFrom: String?
    /// Of the answer that the caller got.
    public var httpStatus = 0
    /// The class of the failure that the caller was told.
    public var failure: String?
    public var correlationID: String
    public var trace = CallTrace()
    public let startedAt: Timestamp
    public var duration = Span.zero
    public var firstToken: Span?
    /// What Reeve itself took: everything but waiting for providers.
    public var overhead = Span.zero
    public var requestBytes = 0
    public var answerBytes = 0
    /// The targets of the model, in their order.
    var candidates: [String] = []
    /// Those of them, by their number, whose breaker was open at the beginning.
    var open: [Int] = []
    /// The call for embeddings that was made for this one and others.
    var joint: JointPart?
    /// How long it stood in line for a provider's limits, and whether it was sent away there.
    var line: (span: Span, isRefused: Bool)?
    /// What was held of budgets for it.
    var purse: CallPurse?
    /// The budget that refused it, and what the caller was told.
    public var refusal: (scope: String, code: String, detail: String)?
    /// What else there is to say of it: its keys' sources, its context, its quality, what was taken out.
    var notes = JSONObject()
    /// What was said, for its span; `nil` where that is not kept.
    var content: CallContent?
    /// How it was decided, step by step.
    var steps: [AttemptPlan.Step] = []
}

extension CallRecord {
    /// What was held for it, by the budgets that count it.
    public var holds: [(scope: String, nanoUSD: Int64, tokens: Int64)] {
        guard let purse else { return [] }
        return purse.counting.map { ($0.description, purse.amounts.nanoUSD, purse.amounts.tokens) }
    }

    /// Disjoint counts by kind of token.
    public var buckets: JSONValue { usage?.buckets.json ?? [:] }
    public var inputTokens: Int64 { usage?.buckets.inputTotal ?? 0 }
    public var outputTokens: Int64 { usage?.buckets.outputTotal ?? 0 }
    /// Whether a number among them is a guess of ours.
    public var isEstimated: Bool { usage?.isEstimated ?? false }
    /// How it was decided: `{candidates: [{target}], steps: […], priceVersion, provider}`.
    public var decision: JSONValue {
        let targets = candidates
        let course: JSONValue = [
            "candidates": .array(
                targets.indices.map { index in
                    ["target": .string(targets[index]), "breaker": open.contains(index) ? "open" : "closed"]
                }),
            "steps": .array(
                steps.map { step in
                    var object = step.json.object ?? JSONObject()
                    if let index = step.target, targets.indices.contains(index) {
                        object["target"] = .string(targets[index])
                    }
                    return .object(object)
                }), "priceVersion": .of(priceFrom), "hold": purse?.json ?? .null, "provider": .of(provider),
        ]
        return .object(JSONObject((course.object?.members ?? []) + notes.members))
    }
}
