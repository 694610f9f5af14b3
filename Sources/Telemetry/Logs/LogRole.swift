/// Attributes of OpenTelemetry's logs that the shared schema has fields for.
enum LogRole {
    /// In the order in which they count.
    static let names: [(name: String, field: any WritableKeyPath<LogRecord, String?> & Sendable)] = [
        ("correlation_id", \.correlationID), ("correlation.id", \.correlationID), ("agent_id", \.agent),
        ("gen_ai.agent.name", \.agent), ("session_id", \.session), ("session.id", \.session),
        ("gen_ai.conversation.id", \.session), ("tool", \.tool), ("gen_ai.tool.name", \.tool),
        ("logger.name", \.logger),
    ]
}
