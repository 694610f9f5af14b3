import Kernel

/// What OpenAI's two dialects say alike: functions, the choice between them, calls, and cache marks.
enum OpenAITools {
    /// A function's definition: a member `function` in Chat Completions, the tool itself in Responses.
    static func function(_ function: LocatedJSON, at path: String) throws -> ModelTool {
        let schema = try function.optional("parameters")
        return ModelTool(
            name: try function.required("name").string, description: try function.optional("description")?.string,
            schema: try schema.map { .object(try $0.object) }, isStrict: try function.optional("strict")?.bool,
            path: path)
    }

    static func choice(_ choice: LocatedJSON) throws -> ModelRequest.ToolChoice {
        if case .string(let word) = choice.value {
            switch word {
            case "auto": return .auto
            case "none": return .never
            case "required": return .required
            default: throw choice.wrong("must be `auto`, `none`, `required` or an object")
            }
        }
        switch try choice.type {
        case "function":
            let named = try choice.optional("function") ?? choice
            return .tool(try named.required("name").string)
        case "allowed_tools":
            // Chat Completions wraps them, Responses does not.
            let allowed = try choice.optional("allowed_tools") ?? choice
            let names = try allowed.required("tools").array(max: ModelRequest.itemsMax).map { tool in
                try (tool.optional("function") ?? tool).required("name").string
            }
            return .allowed(names, isRequired: try allowed.required("mode").string == "required")
        case "custom":
            throw DialectError.unsupported(choice.path, "'\(choice.path)' names a tool without a schema.")
        default:
            throw DialectError.unsupported(choice.path, "'\(choice.path)' names a tool that the provider runs.")
        }
    }

    /// A call in an assistant's message of Chat Completions.
    static func call(_ call: LocatedJSON) throws -> ModelPart.Kind {
        if try call.optional("type")?.string == "custom" { return .foreign(call.value) }
        let function = try call.required("function")
        return .toolCall(
            ToolCall(
                id: try call.required("id").string, name: try function.required("name").string,
                arguments: try function.optional("arguments")?.string ?? ""))
    }

    /// OpenAI's own mark, or Anthropic's, which gateways let callers of either dialect send.
    static func cacheMark(_ part: LocatedJSON) throws -> CacheMark? {
        let mark = try part.optional("prompt_cache_breakpoint") ?? part.optional("cache_control")
        guard let mark else { return nil }
        return CacheMark(lifetime: try mark.optional("ttl")?.string, path: mark.path)
    }
}
