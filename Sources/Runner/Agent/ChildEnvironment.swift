/// The environment of a supervised program: its supervisor's, with the addresses that every SDK reads of itself.
public enum ChildEnvironment {
    /// Names that are set for the program, whatever the supervisor's own environment says.
    public static let names = [
        "REEVE_URL", "REEVE_KEY", "REEVE_AGENT", "OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL",
        "ANTHROPIC_API_KEY", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME",
    ]

    /// `overrides` win over everything. `url` has no slash at its end; `key` is the agent's own.
    public static func make(
        inherited: [String: String], url: String, key: String, agent: String, overrides: [String: String] = [:]
    ) -> [String: String] {
        var environment = inherited
        environment["REEVE_URL"] = url
        environment["REEVE_KEY"] = key
        environment["REEVE_AGENT"] = agent
        // OpenAI's SDKs append `/chat/completions`, so their base holds the version; Anthropic's append `/v1/messages`.
        environment["OPENAI_BASE_URL"] = url + "/v1"
        environment["OPENAI_API_KEY"] = key
        environment["ANTHROPIC_BASE_URL"] = url
        environment["ANTHROPIC_API_KEY"] = key
        // OpenTelemetry protocol exporter specification: signal paths are appended to the endpoint, and headers are
        // written as W3C baggage, so a blank is `%20`.
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        environment["OTEL_EXPORTER_OTLP_HEADERS"] = "authorization=Bearer%20\(key)"
        environment["OTEL_SERVICE_NAME"] = agent
        if environment["OTEL_EXPORTER_OTLP_PROTOCOL"] == nil {
            // Some SDKs speak gRPC unless told; the server's one port speaks HTTP.
            environment["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
        }
        return environment.merging(overrides) { _, override in override }
    }
}
