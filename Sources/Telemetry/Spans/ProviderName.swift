/// Who runs the models, under one name each: OpenTelemetry's values of `gen_ai.provider.name`.
enum ProviderName {
    /// What instrumentations say instead: OpenTelemetry's older values of `gen_ai.system`, OpenLLMetry's,
    /// OpenInference's values of `llm.provider`, and LiteLLM's prefixes.
    private static let others = [
        "azure": "azure.ai.openai", "azure_openai": "azure.ai.openai", "az.ai.openai": "azure.ai.openai",
        "azure.openai": "azure.ai.openai", "az.ai.inference": "azure.ai.inference", "mistral": "mistral_ai",
        "mistralai": "mistral_ai", "aws": "aws.bedrock", "aws_bedrock": "aws.bedrock", "bedrock": "aws.bedrock",
        "amazon": "aws.bedrock", "vertexai": "gcp.vertex_ai", "vertex_ai": "gcp.vertex_ai", "google": "gcp.gemini",
        "gemini": "gcp.gemini", "google_genai": "gcp.gemini", "xai": "x_ai", "watsonx": "ibm.watsonx.ai",
    ]

    static func read(_ name: String) -> String {
        let name = name.lowercased()
        return others[name] ?? name
    }
}
