import Kernel

/// The tools that a request offers to a model, in any dialect. Pure.
enum ToolOffer {
    /// Where tools stand at the top of a request, and what is only said where there are some.
    static let members = ["tools", "functions"]
    private static let besides = ["tool_choice", "function_call", "parallel_tool_calls"]
    /// Lists of tools within tools that are looked at.
    private static let depthMax = 3

    /// What a tool may be called by: its own name, what it is where it has none, and the server that it comes from.
    static func names(of tool: JSONValue) -> [String] {
        let kind = tool["type"]?.string.flatMap { ["function", "custom", "namespace"].contains($0) ? nil : $0 }
        return [
            tool["name"]?.string, tool["function"]?["name"]?.string, tool["custom"]?["name"]?.string,
            tool["server_label"]?.string, tool["mcp_server_name"]?.string, kind,
        ].compactMap(\.self)
    }

    /// A request without tools that may not be used.
    struct Cut {
        var document: JSONObject
        /// Those that were taken out.
        var removed: [String]
    }

    /// `nil` where it offers none of them. Throws where it cannot do without one: it demands it, or demands any while
    /// none is left, or goes on with its calls where the dialect wants tools for that.
    static func without(_ denied: [String: CallDecider], _ document: JSONObject, _ dialect: Dialect) throws -> Cut? {
        var cut = Cut(document: document, removed: [])
        for member in members {
            guard let tools = document[member]?.array else { continue }
            let left = allowed(tools, denied, &cut.removed, depth: 0)
            guard left.count < tools.count || left != tools else { continue }
            cut.document[member] = left.isEmpty ? nil : .array(left)
        }
        try demand(&cut, denied)
        guard !cut.removed.isEmpty else { return nil }
        guard members.allSatisfy({ cut.document[$0]?.array?.isEmpty ?? true }) else { return cut }
        if let choice = document["tool_choice"] ?? document["function_call"], demandsAny(choice) {
            throw refusal(cut.removed[0], denied, "The request demands that a tool is used, and no other is left.")
        }
        if dialect == .messages, callsTools(document["messages"]) {
            throw refusal(cut.removed[0], denied, "The conversation has calls of tools, and no other tool is left.")
        }
        for member in besides { cut.document[member] = nil }
        return cut
    }

    private static func allowed(
        _ tools: [JSONValue], _ denied: [String: CallDecider], _ removed: inout [String], depth: Int
    ) -> [JSONValue] {
        tools.compactMap { tool in
            if let name = names(of: tool).first(where: { denied[$0] != nil }) {
                if !removed.contains(name) { removed.append(name) }
                return nil
            }
            guard depth < depthMax, var object = tool.object, let inner = object["tools"]?.array else { return tool }
            let left = allowed(inner, denied, &removed, depth: depth + 1)
            object["tools"] = .array(left)
            return left.isEmpty && !inner.isEmpty ? nil : .object(object)
        }
    }

    /// What the request demands of tools by name.
    private static func demand(_ cut: inout Cut, _ denied: [String: CallDecider]) throws {
        for member in ["tool_choice", "function_call"] {
            guard let choice = cut.document[member], choice.object != nil else { continue }
            if let name = names(of: choice).first(where: { denied[$0] != nil }) {
                throw refusal(name, denied, "The request demands it (`\(member)`).")
            }
            // OpenAI API reference, "Allowed tools": chat completions nest them once more.
            let nested = choice["allowed_tools"] != nil
            guard let tools = (choice["allowed_tools"] ?? choice)["tools"]?.array else { continue }
            let left = allowed(tools, denied, &cut.removed, depth: 0)
            guard left.count < tools.count else { continue }
            guard !left.isEmpty else {
                throw refusal(cut.removed.last ?? "", denied, "The request allows no other (`\(member)`).")
            }
            var changed = choice
            changed.set(.array(left), at: (nested ? [.member("allowed_tools")] : []) + [.member("tools")])
            cut.document[member] = changed
        }
    }

    private static func demandsAny(_ choice: JSONValue) -> Bool {
        let word = choice.string ?? choice["mode"]?.string ?? choice["type"]?.string ?? ""
        return ["required", "any"].contains(word)
    }

    private static func callsTools(_ messages: JSONValue?) -> Bool {
        (messages?.array ?? []).contains { message in
            (message["content"]?.array ?? []).contains { $0["type"]?.string == "tool_use" }
        }
    }

    /// What a caller is told of a tool that it may not use.
    static func refusal(_ name: String, _ denied: [String: CallDecider], _ why: String) -> DialectError {
        let decider = denied[name].map { "\($0.key) is false: \($0.words). " } ?? ""
        return DialectError(
            .permission, code: "tool_not_permitted", param: "tools",
            "The tool `\(name.prefix(DialectError.paramCharactersMax))` may not be used now. \(why) \(decider)"
                + "Go on without it, or have it permitted again.")
    }
}
