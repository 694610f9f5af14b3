import Kernel

/// What a span's record is about; how long it is kept goes by it.
public enum TelemetryCategory: String, Sendable, CaseIterable {
    case reasoning, tool, model, error, audit, system
}

/// What is known of a span without its body: enough for lists, the tree of its trace, and metrics.
public struct SpanHead: Sendable, Equatable {
    public enum Status: String, Sendable {
        case unset, ok, error

        static let all = [Status.unset, .ok, .error]
    }

    /// How far it is.
    public enum State: String, Sendable, CaseIterable {
        case running, ended
        /// It began, and nobody will hear of its end.
        case lost
    }

    public let traceID: TraceID
    public let spanID: SpanID
    public var parentID: SpanID?
    public var name = ""
    public var status = Status.unset
    /// Nanoseconds since 1970, as the sender's clock had it.
    public var startedAt: Int64 = 0
    /// Never before ``startedAt``.
    public var endedAt: Int64 = 0
    public var service = SpanHead.unknownService
    public var agent: String?
    public var session: String?
    public var correlationID: String?
    public var task: String?
    public var operation = SpanOperation.other
    public var provider: String?
    public var model: String?
    public var tool: String?
    public var usage: SpanUsage?
    public var category = TelemetryCategory.system
    public var state = State.ended
    /// When it came in, by Reeve's clock; `nil` for one that was kept without.
    public var ingestedAt: Timestamp?

    /// Tells records apart of which each is kept once: a lost span may be followed by its end.
    var identity: UInt64 { state == .lost ? ~spanID.value : spanID.value }

    /// What a resource without a name is called (OpenTelemetry semantic conventions, `service.name`).
    public static let unknownService = "unknown_service"

    init(_ traceID: TraceID, _ spanID: SpanID) {
        self.traceID = traceID
        self.spanID = spanID
    }
}

/// What a span does, in one vocabulary for all instrumentations.
public enum SpanOperation: String, Sendable, CaseIterable {
    case agent, workflow, model, embeddings, tool, retrieval, memory, guardrail, evaluation, plan, other

    var category: TelemetryCategory {
        switch self {
        case .model, .embeddings: .model
        case .tool, .retrieval, .memory: .tool
        case .agent, .workflow, .plan, .guardrail, .evaluation: .reasoning
        case .other: .system
        }
    }

    /// From `gen_ai.operation.name` (OpenTelemetry's conventions for generative AI), `openinference.span.kind`,
    /// `traceloop.span.kind` or `llm.request.type`.
    init?(named text: String) {
        switch text.lowercased() {
        case "chat", "text_completion", "completion", "generate_content", "llm", "rerank", "realtime_inference",
            "decision":
            self = .model
        case "embeddings", "embedding": self = .embeddings
        case "execute_tool", "tool": self = .tool
        case "invoke_agent", "create_agent", "agent": self = .agent
        case "invoke_workflow", "workflow", "chain", "task": self = .workflow
        case "retrieval", "retriever", "reranker": self = .retrieval
        case "plan": self = .plan
        case "guardrail": self = .guardrail
        case "evaluator", "evaluation": self = .evaluation
        case let name where name.hasSuffix("_memory") || name.hasSuffix("_memory_store"): self = .memory
        default: return nil
        }
    }
}

/// Tokens in disjoint buckets.
public struct SpanUsage: Sendable, Equatable {
    /// Neither read from a cache nor written to one.
    public var input: Int64 = 0
    public var cacheRead: Int64 = 0
    public var cacheWrite: Int64 = 0
    /// Without reasoning.
    public var output: Int64 = 0
    public var reasoning: Int64 = 0

    /// None.
    public init() {}

    /// From counts as instrumentations tell them: what went in holds the cached tokens, and what came out the reasoning
    /// (OpenTelemetry, `gen_ai.usage.input_tokens`: "should include all types of input tokens, including cached
    /// tokens"; OpenInference's and OpenLLMetry's instrumentations of OpenAI's and Anthropic's clients add them up so).
    /// A part was told beside its whole where it is larger, or where only so the sum is what `total` says.
    init(
        inputTotal: Int64, cacheRead: Int64, cacheWrite: Int64, outputTotal: Int64, reasoning: Int64,
        total: Int64? = nil
    ) {
        func bounded(_ count: Int64) -> Int64 { min(max(0, count), Self.countMax) }
        self.cacheRead = bounded(cacheRead)
        self.cacheWrite = bounded(cacheWrite)
        self.reasoning = bounded(reasoning)
        let (input, output) = (bounded(inputTotal), bounded(outputTotal))
        let cached = self.cacheRead + self.cacheWrite
        let beside = total.map { $0 - input - output } ?? 0
        let isCacheBeside = cached > 0 && (beside == cached || beside == cached + self.reasoning)
        let isReasoningBeside = self.reasoning > 0 && (beside == self.reasoning || beside == cached + self.reasoning)
        self.input = cached <= input && !isCacheBeside ? input - cached : input
        self.output = self.reasoning <= output && !isReasoningBeside ? output - self.reasoning : output
    }

    /// From the buckets in their order.
    init(columns: [Int64]) {
        (input, cacheRead, cacheWrite, output, reasoning) = (columns[0], columns[1], columns[2], columns[3], columns[4])
    }

    /// A count beyond this is believed no more.
    static let countMax: Int64 = 1_000_000_000_000
}
