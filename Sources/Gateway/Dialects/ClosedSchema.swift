import Kernel

/// JSON Schemas as providers take them for structured output: every object closed.
enum ClosedSchema {
    /// Nesting that is looked at; bodies go no deeper.
    static let depthMax = 128

    /// `schema` with `additionalProperties: false` wherever an object says nothing of other members, as Anthropic
    /// wants it (Anthropic API reference, Structured outputs).
    static func close(_ schema: JSONValue, depth: Int = 0) -> JSONValue {
        guard depth < depthMax else { return schema }
        switch schema {
        case .array(let items): return .array(items.map { close($0, depth: depth + 1) })
        case .object(let object):
            var closed = JSONObject(
                object.members.map { member in
                    // What stands in these is data, not schemas.
                    let isData = ["enum", "const", "default", "examples", "required"].contains(member.name)
                    return JSONObject.Member(
                        name: member.name, value: isData ? member.value : close(member.value, depth: depth + 1))
                })
            if object["properties"]?.object != nil, object["type"]?.string == "object",
                object["additionalProperties"] == nil
            {
                closed.append("additionalProperties", false)
            }
            return .object(closed)
        default: return schema
        }
    }

    /// Whether every object is closed and requires all of its members, as OpenAI's strict mode wants it.
    static func isClosed(_ schema: JSONValue, depth: Int = 0) -> Bool {
        guard depth < depthMax else { return false }
        switch schema {
        case .array(let items): return items.allSatisfy { isClosed($0, depth: depth + 1) }
        case .object(let object):
            if let properties = object["properties"]?.object, object["type"]?.string == "object" {
                let required = Set(object["required"]?.array?.compactMap(\.string) ?? [])
                guard object["additionalProperties"] == false, properties.names.allSatisfy(required.contains) else {
                    return false
                }
            }
            return object.members.allSatisfy { isClosed($0.value, depth: depth + 1) }
        default: return true
        }
    }
}
