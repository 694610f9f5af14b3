import Kernel

/// Counts of tokens that do not overlap, for carrying usage from one dialect to another.
struct DialectUsage: Sendable, Equatable {
    /// Beyond this no count is believed, so that sums cannot overflow.
    static let tokensMax = 1 << 40

    /// Read anew: neither from the cache nor into it.
    var input = 0
    var cacheRead = 0
    /// Written into the cache, however long it lives.
    var cacheWrite = 0
    /// The part of ``cacheWrite`` that lives for an hour.
    var cacheWriteHour = 0
    /// Without reasoning.
    var output = 0
    var reasoning = 0
    /// Searches of the web that the provider made.
    var webSearches = 0
    /// As the provider sent it.
    var raw: JSONValue = .null

    var inputTotal: Int { input + cacheRead + cacheWrite }
    var outputTotal: Int { output + reasoning }

    // MARK: OpenAI

    /// OpenAI API reference, `usage` of Chat Completions and of Responses. Cached and written tokens lie inside of the
    /// input, reasoning inside of the output, unless the total says that it stands outside.
    init(openAI usage: LocatedJSON) throws {
        func count(_ names: String...) throws -> Int? {
            for name in names {
                if let value = try usage.optional(name) { return try value.count }
            }
            return nil
        }
        func detail(_ parents: [String], _ name: String) throws -> Int? {
            for parent in parents {
                if let value = try usage.optional(parent)?.optional(name) { return try value.count }
            }
            return nil
        }
        let inputs = ["prompt_tokens_details", "input_tokens_details"]
        let outputs = ["completion_tokens_details", "output_tokens_details"]
        let read = try detail(inputs, "cached_tokens") ?? count("prompt_cache_hit_tokens") ?? 0
        let written = try detail(inputs, "cache_write_tokens") ?? 0
        let allInput = try count("prompt_tokens", "input_tokens") ?? 0
        let allOutput = try count("completion_tokens", "output_tokens") ?? 0
        let thought = try detail(outputs, "reasoning_tokens") ?? 0
        let isOutside = try thought > 0 && count("total_tokens") == allInput + allOutput + thought
        cacheRead = min(read, allInput)
        cacheWrite = min(written, allInput - cacheRead)
        input = allInput - cacheRead - cacheWrite
        reasoning = isOutside ? thought : min(thought, allOutput)
        output = isOutside ? allOutput : allOutput - reasoning
        raw = usage.value
    }

    var chat: JSONValue {
        [
            "prompt_tokens": inputTotal.json, "completion_tokens": outputTotal.json,
            "total_tokens": (inputTotal + outputTotal).json,
            "prompt_tokens_details": ["cached_tokens": cacheRead.json, "cache_write_tokens": cacheWrite.json],
            "completion_tokens_details": ["reasoning_tokens": reasoning.json],
        ]
    }

    var responses: JSONValue {
        [
            "input_tokens": inputTotal.json,
            "input_tokens_details": ["cached_tokens": cacheRead.json, "cache_write_tokens": cacheWrite.json],
            "output_tokens": outputTotal.json, "output_tokens_details": ["reasoning_tokens": reasoning.json],
            "total_tokens": (inputTotal + outputTotal).json,
        ]
    }

    // MARK: Anthropic

    /// Anthropic API reference, `usage` of Messages: cached tokens stand beside the input, thinking inside of the
    /// output.
    init(messages usage: LocatedJSON) throws {
        func count(_ name: String) throws -> Int { try usage.optional(name)?.count ?? 0 }
        input = try count("input_tokens")
        cacheRead = try count("cache_read_input_tokens")
        let lifetimes = try usage.optional("cache_creation")
        let hour = try lifetimes?.optional("ephemeral_1h_input_tokens")?.count ?? 0
        let minutes = try lifetimes?.optional("ephemeral_5m_input_tokens")?.count ?? 0
        cacheWrite = try max(count("cache_creation_input_tokens"), hour + minutes)
        cacheWriteHour = hour
        let all = try count("output_tokens")
        reasoning = min(all, try usage.optional("output_tokens_details")?.optional("thinking_tokens")?.count ?? 0)
        output = all - reasoning
        webSearches = try usage.optional("server_tool_use")?.optional("web_search_requests")?.count ?? 0
        raw = usage.value
    }

    init() {}

    var messages: JSONValue {
        var usage = JSONObject([
            .init(name: "input_tokens", value: input.json),
            .init(name: "cache_creation_input_tokens", value: cacheWrite.json),
            .init(name: "cache_read_input_tokens", value: cacheRead.json),
            .init(name: "output_tokens", value: outputTotal.json),
        ])
        if reasoning > 0 { usage.append("output_tokens_details", ["thinking_tokens": reasoning.json]) }
        return .object(usage)
    }
}
