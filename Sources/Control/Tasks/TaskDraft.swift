import Kernel
import Telemetry

/// A task as a client asks for it: every field checked, nothing looked up yet.
public struct TaskDraft: Sendable {
    /// What it depends on: a task's id, or the `ref` of another one of the same graph.
    struct Dependency: Sendable, Equatable {
        let name: String
        let ifUnmet: UnmetPolicy
        let path: String
    }

    var ref: String?
    var project: String
    var queue: String
    var type: String
    var title: String
    var input: JSONValue
    var model: String?
    var priority: Int64
    var dependsOn: [Dependency]
    var agent: String?
    var requires: [String]
    var deliverableSchema: JSONValue?
    var review: ReviewPolicy?
    var budget: TaskBudget?
    var maxAttempts: Int64
    var timeout: Span?
    var lease: Span
    var startWithin: Span
    var progressWithin: Span?
    var startBy: Timestamp?
    var scheduledFor: Timestamp?
    var uniqueKey: String?
    var concurrencyKey: String?
    var correlationID: String?
    var traceparent: String?
    var tracestate: String?
    var onLeaseLost: LeaseLostPolicy
    var onExhausted: ExhaustedPolicy

    static let typeDefault = "task"

    /// Seconds of a million years: far beyond use, far from overflow.
    private static let secondsMax = 1e9
    static let priorities: ClosedRange<Int64> = -1_000_000_000...1_000_000_000

    public init(_ fields: Fields, policy: TaskPolicy) throws {
        ref = try fields.optionalName("ref")
        project = try fields.optionalName("project") ?? "default"
        queue = try fields.optionalName("queue") ?? "default"
        type = try fields.optionalName("type") ?? Self.typeDefault
        title = try fields.optionalString("title", max: 1_000) ?? type
        input = fields.object["input"] ?? .null
        model = try ModelWish.read(fields)
        priority = try fields.optionalInt("priority", in: Self.priorities) ?? 0
        dependsOn = try Self.dependencies(fields)
        agent = try fields.optionalName("agent")
        requires = try fields.optionalNames("requires", max: 100) ?? []
        deliverableSchema = try Self.schema(fields)
        review = try Self.review(fields)
        budget = try Self.budget(fields)
        maxAttempts = try fields.optionalInt("maxAttempts", in: 1...1_000) ?? policy.maxAttemptsDefault
        timeout = try fields.optionalSpan("timeoutSeconds", in: 1...Self.secondsMax) ?? policy.timeoutDefault
        let leaseMax = Double(fields.limits.leaseSeconds)
        lease = try fields.optionalSpan("leaseSeconds", in: 1...leaseMax) ?? policy.leaseDefault
        startWithin = try fields.optionalSpan("startSeconds", in: 1...leaseMax) ?? policy.startWithin
        progressWithin = try fields.optionalSpan("progressSeconds", in: 1...Self.secondsMax)
        scheduledFor = try fields.optionalTime("scheduledFor")
        startBy = try fields.optionalTime("startBy")
        uniqueKey = try fields.optionalString("uniqueKey", max: fields.limits.nameCharacters)
        concurrencyKey = try fields.optionalString("concurrencyKey", max: fields.limits.nameCharacters)
        (correlationID, traceparent, tracestate) = try Self.place(fields)
        onLeaseLost = try fields.optionalChoice("onLeaseLost", LeaseLostPolicy.self) ?? .retry
        onExhausted = try fields.optionalChoice("onExhausted", ExhaustedPolicy.self) ?? .hold
    }

    /// What it belongs to, where the request says so in its body.
    private static func place(
        _ fields: Fields
    ) throws -> (correlationID: String?, traceparent: String?, tracestate: String?) {
        let id = try fields.optionalString("correlationId", max: CorrelationID.bytesMax)
        if let id, CorrelationID.accepted(id) == nil {
            throw Problem.invalid(
                fields.path("correlationId"), "1 to \(CorrelationID.bytesMax) visible ASCII characters are expected")
        }
        let trace = try fields.optionalString("traceparent", max: CorrelationID.bytesMax)
        if let trace, TraceContext(trace) == nil {
            throw Problem.invalid(
                fields.path("traceparent"), "a traceparent of version 00 is expected",
                hint: "Send 00-<32 digits>-<16 digits>-<2 digits>, hexadecimal in lower case (W3C Trace Context).")
        }
        let state = try fields.optionalString("tracestate", max: TraceContext.stateBytesMax)
        if let state, trace == nil || TraceContext.acceptedState(state) == nil {
            throw Problem.invalid(
                fields.path("tracestate"),
                "at most \(TraceContext.stateBytesMax) printable ASCII characters beside a traceparent are expected")
        }
        return (id, trace, state)
    }

    private static func dependencies(_ fields: Fields) throws -> [Dependency] {
        let path = fields.path("dependsOn")
        var names: Set<String> = []
        let items = try fields.optionalArray("dependsOn", max: fields.limits.dependenciesPerTask) ?? []
        return try items.enumerated().compactMap { index, item in
            let itemPath = "\(path)/\(index)"
            var name = item.string
            var ifUnmet = UnmetPolicy.hold
            if let object = item.object {
                let edge = Fields(object, limits: fields.limits, path: itemPath)
                name = try edge.string("task", max: fields.limits.nameCharacters)
                ifUnmet = try edge.optionalChoice("ifUnmet", UnmetPolicy.self) ?? .hold
            }
            guard let name, !name.isEmpty else {
                throw Problem.invalid(itemPath, "a task's id, a ref, or {\"task\":…,\"ifUnmet\":…} is expected")
            }
            return names.insert(name).inserted ? Dependency(name: name, ifUnmet: ifUnmet, path: itemPath) : nil
        }
    }

    private static func schema(_ fields: Fields) throws -> JSONValue? {
        guard let schema = fields.value("deliverableSchema") else { return nil }
        do {
            _ = try JSONSchema(schema)
        } catch let problem as Problem {
            throw Problem.invalid(fields.path("deliverableSchema"), problem.detail, hint: problem.hint)
        }
        return schema
    }

    private static func review(_ fields: Fields) throws -> ReviewPolicy? {
        switch fields.value("review") {
        case nil, .bool(false)?: return nil
        case .bool(true)?: return ReviewPolicy()
        case .object(let object)?:
            let review = Fields(object, limits: fields.limits, path: fields.path("review"))
            return ReviewPolicy(
                approvals: Int(try review.optionalInt("approvals", in: 1...100) ?? 1),
                roundsMax: try review.optionalInt("maxRounds", in: 1...1_000).map(Int.init))
        case let other?:
            throw Problem.invalid(
                fields.path("review"),
                "true, false or {\"approvals\":…,\"maxRounds\":…} is expected, not \(other.typeName)")
        }
    }

    /// A billion dollars.
    private static let usdMax = NanoDollars(1_000_000_000_000_000_000)

    private static func budget(_ fields: Fields) throws -> TaskBudget? {
        guard let budget = try fields.optionalFields("budget") else { return nil }
        let counts: ClosedRange<Int64> = 0...1_000_000_000_000
        let usd = try budget.value("usd").map { try NanoDollars(dollars: $0, path: budget.path("usd")).value }
        guard usd ?? 0 <= usdMax.value else {
            throw Problem.invalid(budget.path("usd"), "at most \(usdMax.value / 1_000_000_000) is allowed")
        }
        let parsed = TaskBudget(
            nanoUSD: usd, tokens: try budget.optionalInt("tokens", in: counts),
            toolCalls: try budget.optionalInt("toolCalls", in: counts),
            steps: try budget.optionalInt("steps", in: counts),
            time: try budget.optionalSpan("seconds", in: 1...secondsMax))
        return parsed == TaskBudget() ? nil : parsed
    }

    /// The task as it begins, its dependencies counted by the caller.
    func task(
        _ id: TaskID, pending: Int, by principal: Principal, in place: TaskPlace, supersedes: TaskID? = nil,
        now: Timestamp
    ) -> AgentTask {
        var task = AgentTask(
            id: id, project: project, queue: queue, type: type, title: title, input: input, model: model,
            requires: requires,
            deliverableSchema: deliverableSchema, review: review, budget: budget, lease: lease,
            startWithin: startWithin, timeout: timeout, progressWithin: progressWithin, startBy: startBy,
            uniqueKey: uniqueKey, concurrencyKey: concurrencyKey, onLeaseLost: onLeaseLost, onExhausted: onExhausted,
            supersedes: supersedes, correlationID: place.correlationID, traceparent: place.traceparent,
            tracestate: place.tracestate, createdBy: principal.actor, createdAt: now,
            state: .ready, priority: priority, maxAttempts: maxAttempts, updatedAt: now)
        task.pinnedAgent = agent
        task.scheduledFor = scheduledFor
        task.pendingDependencies = Int64(pending)
        task.enqueue(now: now)
        return task
    }
}
