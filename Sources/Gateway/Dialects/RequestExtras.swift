import Kernel

extension ModelRequest {
    /// Keeps the members that no reader took, but for those that say nothing.
    mutating func keepExtras(of body: LocatedJSON, besides known: Set<String>) throws {
        for member in try body.object.members where !known.contains(member.name) {
            if !Self.isNeutral(member.name, member.value) {
                extras.append(Extra(name: member.name, value: member.value))
            }
        }
    }

    /// Whether leaving the member out means the same: clients send defaults in full.
    private static func isNeutral(_ name: String, _ value: JSONValue) -> Bool {
        switch value {
        case .null: return true
        case .array(let values) where values.isEmpty: return true
        case .object(let object) where object.isEmpty: return true
        case .bool(false): return ["logprobs", "store", "background"].contains(name)
        case .int, .double:
            return ["frequency_penalty", "presence_penalty", "top_logprobs"].contains(name) && value.double == 0
        default: return defaults[name] == value
        }
    }

    private static let defaults: [String: JSONValue] = [
        "modalities": ["text"], "verbosity": "medium", "truncation": "disabled", "stream_options": [:],
        "prompt_cache_retention": "in_memory", "speed": "standard",
    ]

    /// Writes back the extras of the writer's own dialect.
    private func restoreExtras(to body: inout JSONObject) {
        for extra in extras where body[extra.name] == nil { body.append(extra.name, extra.value) }
    }

    /// Refuses the extras that change what the call means, and names the others as dropped.
    ///
    /// - Parameter passing: Members that the target has under the same name and in the same sense.
    func dropExtras(
        for target: Dialect, passing: Set<String>, to body: inout JSONObject, _ dropped: inout DroppedFields
    ) throws {
        dropped.insert(unread)
        guard source != target else { return restoreExtras(to: &body) }
        for extra in extras {
            if passing.contains(extra.name) {
                body.append(extra.name, extra.value)
            } else if Self.indispensable.contains(extra.name) {
                throw DialectError.unsupported(extra.name, "'\(extra.name)' has no like for this model.")
            } else {
                dropped.insert(extra.name)
            }
        }
    }

    /// Members without which the call would be another one: state that the provider keeps, other kinds of answers,
    /// tools of the provider, and where data may be processed.
    static let indispensable: Set<String> = [
        "functions", "function_call", "audio", "modalities", "moderation", "previous_response_id", "conversation",
        "prompt", "background", "background_options", "mcp_servers", "inference_geo",
        "max_tool_calls",
    ]
}
