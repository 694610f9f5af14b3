import Kernel

/// Reads the `usage` of the Messages API (Anthropic API reference, Messages): input, cache reads and cache writes stand
/// beside each other, and thinking lies inside the output.
struct AnthropicUsage {
    /// Steps of one call that its `iterations` may list.
    static let iterationsMax = 100

    private let object: JSONObject
    private var counts = UsageCounts()

    init(_ object: JSONObject) {
        self.object = object
    }

    mutating func read() -> TokenUsage? {
        let input = counts.count("input_tokens", in: object)
        let output = counts.count("output_tokens", in: object)
        var buckets = TokenBuckets()
        let hasCache = add(object, to: &buckets)
        guard input != nil || output != nil || hasCache else { return nil }
        buckets[.input] = input ?? 0
        let thinking = counts.count("thinking_tokens", in: object["output_tokens_details"]?.object) ?? 0
        buckets[.reasoning] = counts.part(thinking, of: output ?? 0, "thinking_tokens")
        buckets[.output] = (output ?? 0) - buckets[.reasoning]
        addIterations(to: &buckets)
        let uses = object["server_tool_use"]?.object
        let names: [(ToolUse, String)] = [
            (.webSearch, "web_search_requests"), (.webFetch, "web_fetch_requests"),
            (.codeExecution, "code_execution_requests"), (.toolSearch, "tool_search_requests"),
        ]
        for (use, name) in names {
            if let count = counts.count(name, in: uses, max: UsageCounts.usesMax), count > 0 {
                buckets.toolUses[use] = count
            }
        }
        return TokenUsage(buckets: buckets, suspicions: counts.suspicions)
    }

    /// Adds cache reads and writes. `cache_creation` splits `cache_creation_input_tokens` by lifetime; what the split
    /// leaves over has no stated lifetime, and where it says more than the sum, the split counts.
    private mutating func add(_ object: JSONObject, to buckets: inout TokenBuckets) -> Bool {
        let read = counts.count("cache_read_input_tokens", in: object)
        let written = counts.count("cache_creation_input_tokens", in: object)
        buckets[.cacheRead] += read ?? 0
        var stated: Int64 = 0
        for lifetime in CacheLifetime.allCases {
            let name = "ephemeral_\(lifetime.rawValue)_input_tokens"
            let count = counts.count(name, in: object["cache_creation"]?.object) ?? 0
            buckets[lifetime.kind] += count
            stated += count
        }
        if let written, stated > written { counts.suspect(.partLargerThanWhole, "cache_creation") }
        buckets[.cacheWrite] += max(0, (written ?? 0) - stated)
        return read != nil || written != nil || stated > 0
    }

    /// Compaction runs as a step of its own, which the counts at the top leave out although it is billed (Anthropic
    /// documentation, Compaction). Steps of another model have another price and are only noted.
    private mutating func addIterations(to buckets: inout TokenBuckets) {
        for step in (object["iterations"]?.array ?? []).prefix(Self.iterationsMax) {
            guard let step = step.object else { continue }
            switch step["type"]?.string {
            case "compaction":
                buckets[.input] += counts.count("input_tokens", in: step) ?? 0
                buckets[.output] += counts.count("output_tokens", in: step) ?? 0
                _ = add(step, to: &buckets)
            case "message": continue
            default: counts.suspect(.otherModel, "iterations")
            }
        }
    }

    /// The usage of a stream after another event of it. The counts of `message_delta` are cumulative (Anthropic
    /// documentation, Streaming messages): input and cache counts replace those of `message_start`, unless all of them
    /// are nothing, as some servers send; the output never shrinks.
    static func merged(_ old: JSONObject, _ new: JSONObject) -> JSONObject {
        var merged = old
        let inputNames = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
        let tellsInput = inputNames.contains { (new[$0]?.int ?? 0) > 0 }
        for member in new.members where !member.value.isNull {
            switch member.name {
            case "cache_creation" where !tellsInput: continue
            case "output_tokens":
                let known = old["output_tokens"]?.int ?? 0
                if let count = member.value.int, count < known { continue }
                merged[member.name] = member.value
            case let name where inputNames.contains(name):
                guard tellsInput else { continue }
                merged[name] = member.value
                // A split of the old sum says nothing of a new one.
                let isOtherSum = name == "cache_creation_input_tokens" && old[name]?.int != member.value.int
                if isOtherSum, new["cache_creation"] == nil { merged["cache_creation"] = nil }
            default: merged[member.name] = member.value
            }
        }
        return merged
    }
}
