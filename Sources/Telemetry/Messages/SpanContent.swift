import Kernel

/// What went into a span and what came out of it, as messages, whatever its instrumentation calls them: a pure reading
/// of the attributes, which stay as they were sent. A model's are its conversation; a tool's, the call and its
/// response; those of all else, what was given and what came back.
public struct SpanContent: Sendable, Equatable {
    /// Counts up when the same attributes are read differently.
    public static let version = 1

    /// Who told it; `nil` where nothing was told.
    public private(set) var dialect: SpanDialect?
    /// `nil` where nothing was told.
    public private(set) var input: [SpanMessage]?
    public private(set) var output: [SpanMessage]?
    public private(set) var finishReasons: [String] = []
    /// Whether all of it is here, see ``MessageReader/messagesMax``.
    public private(set) var isWhole = true

    public init(_ span: SpanDetail) {
        let found = FoundContent(span)
        read(found, .input, span.head)
        read(found, .output, span.head)
        if let reasons = found.finishReasons { finishReasons = reasons }
    }

    private mutating func read(_ found: FoundContent, _ side: FoundContent.Side, _ head: SpanHead) {
        for source in head.operation == .tool ? SpanDialect.toolSources : SpanDialect.sources {
            var reader = MessageReader()
            guard found.read(source, side, head, into: &reader), !reader.isEmpty else { continue }
            if side == .input { input = reader.messages } else { output = reader.messages }
            dialect = dialect ?? source.dialect
            isWhole = isWhole && reader.isWhole && found.isWhole
            if side == .output { finishReasons = reader.finishReasons }
            return
        }
    }
}

/// An instrumentation's way to tell what was said.
public enum SpanDialect: String, Sendable {
    case openTelemetry = "opentelemetry"
    /// OpenTelemetry's conventions up to 1.36, which had messages as events.
    case openTelemetryEvents = "opentelemetry_events"
    case openInference = "openinference"
    case openLLMetry = "openllmetry"
    case langfuse, vercel, mlflow, pydantic

    /// Where one side of a span may be told.
    struct Source {
        enum Place {
            /// A list of messages, or anything that has some.
            case messages(String)
            case flat(String)
            case events
            /// The arguments or the result of a tool.
            case tool(String)
        }

        let dialect: SpanDialect
        let input: Place?
        let output: Place?

        init(_ dialect: SpanDialect, _ input: Place?, _ output: Place?) {
            (self.dialect, self.input, self.output) = (dialect, input, output)
        }
    }

    /// In the order in which they are believed: what is told in messages before what is told as one value.
    static let sources = [
        Source(.openTelemetry, .messages("gen_ai.input.messages"), .messages("gen_ai.output.messages")),
        Source(.openInference, .flat("llm.input_messages."), .flat("llm.output_messages.")),
        Source(.openLLMetry, .flat("gen_ai.prompt."), .flat("gen_ai.completion.")),
        Source(.openTelemetryEvents, .events, .events),
        Source(.openLLMetry, .messages("gen_ai.prompt"), .messages("gen_ai.completion")),
        Source(.openInference, .flat("llm.prompts."), .flat("llm.choices.")),
        Source(.pydantic, .messages("pydantic_ai.all_messages"), .messages("final_result")),
        Source(.vercel, .messages("ai.prompt.messages"), .messages("ai.response.text")),
        Source(.vercel, .messages("ai.prompt"), .messages("ai.response.toolCalls")),
        Source(.langfuse, .messages("langfuse.observation.input"), .messages("langfuse.observation.output")),
        Source(.mlflow, .messages("mlflow.spanInputs"), .messages("mlflow.spanOutputs")),
        Source(.openTelemetry, .messages("gen_ai.retrieval.query.text"), .messages("gen_ai.retrieval.documents")),
        Source(.openInference, .flat("embedding.embeddings."), .flat("retrieval.documents.")),
        Source(.openInference, .messages("input.value"), .messages("output.value")),
        Source(.openLLMetry, .messages("traceloop.entity.input"), .messages("traceloop.entity.output")),
        Source(.openTelemetry, .tool("gen_ai.tool.call.arguments"), .tool("gen_ai.tool.call.result")),
    ]

    static let toolSources = [
        Source(.openTelemetry, .tool("gen_ai.tool.call.arguments"), .tool("gen_ai.tool.call.result")),
        Source(.openLLMetry, .tool("traceloop.entity.input"), .tool("traceloop.entity.output")),
        Source(.openInference, .tool("input.value"), .tool("output.value")),
        Source(.openInference, .tool("tool.parameters"), nil),
        Source(.vercel, .tool("ai.toolCall.args"), .tool("ai.toolCall.result")),
        Source(.langfuse, .tool("langfuse.observation.input"), .tool("langfuse.observation.output")),
        Source(.mlflow, .tool("mlflow.spanInputs"), .tool("mlflow.spanOutputs")),
        Source(.openTelemetry, .messages("gen_ai.input.messages"), .messages("gen_ai.output.messages")),
    ]
}
