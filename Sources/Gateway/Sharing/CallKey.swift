import Kernel

/// What makes two calls the same: the door, who shares with whom, the model with its targets, the headers that change
/// an answer, and the whole body with the members of its objects in order. A digest, so that nothing of a prompt is
/// kept.
enum CallKey {
    /// Headers that change what a provider answers.
    private static let headers = ["anthropic-version", "anthropic-beta", "openai-beta", CallHeaders.translation]
    /// Members of a body that make a call more than a question: it changes something at the provider, or rests on what
    /// is kept there (OpenAI API reference, Responses and Chat Completions; Anthropic API reference, Messages).
    private static let stateful = [
        "previous_response_id", "conversation", "background", "container", "mcp_servers", "web_search_options",
        "prompt",
    ]

    /// `nil` for a call whose answer may not be another call's.
    static func make(_ request: DoorRequest, _ model: ModelSettings, scope: String) -> String? {
        guard request.door != .countTokens,
            let document = try? JSONParser.parse(request.body, depthMax: TopLevelScan.depthMax),
            document.object != nil
        else { return nil }
        return digest(request, document, model, scope: scope)
    }

    /// The same of a body that was read already, or of a part of one.
    static func digest(
        _ request: DoorRequest, _ document: JSONValue, _ model: ModelSettings, scope: String
    ) -> String? {
        guard let body = document.object, !hasEffects(body) else { return nil }
        var parts = [request.door.rawValue, scope, model.name]
        parts += model.targets.map(\.label)
        parts += headers.map { request.headers[$0] ?? "" }
        parts.append(canonical(document).text)
        // Lengths in front, so that no two lists of parts look alike.
        return Digest.sha256(parts.map { "\($0.utf8.count):\($0)" }.joined().utf8)
    }

    /// The digest of a body that was read already.
    static func canonical(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let object):
            let members = object.members.sorted { $0.name < $1.name }
            return .object(JSONObject(members.map { .init(name: $0.name, value: canonical($0.value)) }))
        case .array(let values): return .array(values.map(canonical))
        default: return value
        }
    }

    private static func hasEffects(_ body: JSONObject) -> Bool {
        if stateful.contains(where: { name in body[name].map { !$0.isNull && $0.bool != false } ?? false }) {
            return true
        }
        if body["store"]?.bool == true { return true }
        // A tool that the caller runs is described; any other kind is run by the provider.
        return (body["tools"]?.array ?? []).contains { tool in
            guard let type = tool["type"]?.string else { return tool["type"] != nil || tool["name"] == nil }
            return type != "function" && type != "custom"
        }
    }
}
