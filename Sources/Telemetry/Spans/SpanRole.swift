/// What an attribute of a span tells, whatever its instrumentation calls it.
enum SpanRole: Int, CaseIterable {
    case agent, session, correlation, task, operation, kind, provider, model, tool, entity
    case inputTokens, outputTokens, totalTokens, cacheRead, cacheWrite, reasoning, category, state, pendingParent

    /// The names of each, the first that is there counts: OpenTelemetry's conventions for generative AI (those of
    /// today, then older ones), OpenInference, OpenLLMetry, and the log schema's own names.
    private static let names: [SpanRole: [StaticString]] = [
        .agent: ["agent_id", "gen_ai.agent.name", "agent.name", "gen_ai.agent.id", "reeve.agent"],
        .session: [
            "session_id", "gen_ai.conversation.id", "session.id", "langfuse.session.id",
            "traceloop.association.properties.session_id",
        ],
        .correlation: ["correlation_id", "correlation.id"],
        .task: ["task_id", "reeve.task"],
        .operation: ["gen_ai.operation.name", "llm.request.type"],
        .kind: ["openinference.span.kind", "traceloop.span.kind"],
        .provider: ["gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "decision.provider"],
        .model: [
            "gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "llm.response.model",
            "llm.request.model", "llm.response.model_name", "llm.request.model_name", "embedding.model_name",
            "decision.model_name", "reranker.model_name",
        ],
        .tool: ["gen_ai.tool.name", "tool.name", "tool", "ai.toolCall.name"],
        .entity: ["traceloop.entity.name"],
        .inputTokens: [
            "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt",
            "llm.usage.prompt_tokens", "decision.token_count.input",
        ],
        .outputTokens: [
            "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
            "llm.usage.completion_tokens", "decision.token_count.output",
        ],
        .totalTokens: ["gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens"],
        .cacheRead: [
            "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
            "llm.token_count.prompt_details.cache_read",
        ],
        .cacheWrite: [
            "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
            "llm.token_count.prompt_details.cache_write",
        ],
        .reasoning: [
            "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
            "llm.token_count.completion_details.reasoning", "llm.usage.reasoning_tokens",
        ],
        .category: ["reeve.category", "category"],
        // Pydantic Logfire sends pending spans with ids of their own, below the span that they stand for.
        .state: ["reeve.span.state", "logfire.span_type"],
        .pendingParent: ["logfire.pending_parent_id"],
    ]

    /// A name with its role, and its place among the role's names.
    struct Entry {
        let name: StaticString
        let role: SpanRole
        let rank: Int
    }

    /// By the names' length and then their bytes: an attribute of another length is told apart without reading it.
    private static let byLength: [[Entry]] = {
        var table: [[Entry]] = []
        for (role, names) in names {
            for (rank, name) in names.enumerated() {
                let length = name.utf8CodeUnitCount
                while table.count <= length { table.append([]) }
                table[length].append(Entry(name: name, role: role, rank: rank))
            }
        }
        return table
    }()

    static func entry(_ name: UnsafeRawBufferPointer) -> Entry? {
        guard name.count < byLength.count else { return nil }
        return byLength[name.count].first { entry in
            UnsafeRawBufferPointer(start: entry.name.utf8Start, count: name.count).elementsEqual(name)
        }
    }
}
