import Kernel

/// What a call used: the disjoint buckets, and how far they are to be believed.
struct TokenUsage: Sendable, Equatable {
    var buckets: TokenBuckets
    /// Whether a number in the buckets is a guess of ours.
    var isEstimated = false
    var suspicions: [UsageSuspicion] = []

    /// Bytes of text that a token stands for when nobody counted: about right for English and for JSON.
    static let bytesPerToken: Int64 = 4

    /// A guess from the bytes that went out and came in; at least one token for any byte.
    static func tokens(bytes: Int64) -> Int64 {
        let bytes = min(max(0, bytes), UsageCounts.tokensMax * bytesPerToken)
        return (bytes + bytesPerToken - 1) / bytesPerToken
    }

    /// The usage of a call whose provider said nothing of it.
    static func estimated(inputBytes: Int64, outputBytes: Int64, dialect: UsageDialect) -> TokenUsage {
        let buckets = TokenBuckets(
            [.input: tokens(bytes: inputBytes), .output: tokens(bytes: outputBytes)],
            defaultLifetime: dialect.defaultLifetime)
        return TokenUsage(buckets: buckets, isEstimated: true)
    }

    /// Guesses a side that the provider left out, or called empty although it had bytes. A side without bytes stays at
    /// nothing and is no guess: embeddings have no output.
    func filled(inputBytes: Int64, outputBytes: Int64) -> TokenUsage {
        var usage = self
        if buckets.inputTotal == 0, inputBytes > 0 {
            usage.buckets[.input] = Self.tokens(bytes: inputBytes)
            usage.isEstimated = true
        }
        if buckets.outputTotal == 0, outputBytes > 0 {
            usage.buckets[.output] = Self.tokens(bytes: outputBytes)
            usage.isEstimated = true
        }
        return usage
    }

    /// The usage of a stream that broke off: what was told before the end may count less than what had come. (At its
    /// beginning an Anthropic stream tells one output token or so.)
    func cutShort(outputBytes: Int64) -> TokenUsage {
        let guess = Self.tokens(bytes: outputBytes)
        guard guess > buckets.outputTotal else { return self }
        var usage = self
        usage.buckets[.output] += guess - buckets.outputTotal
        usage.isEstimated = true
        return usage
    }

    /// `{raw, buckets, estimated}`, and `suspicions` where there are any.
    func json(raw: JSONValue?) -> JSONValue {
        var object = JSONObject()
        object.append("raw", raw ?? .null)
        object.append("buckets", buckets.json)
        object.append("estimated", .bool(isEstimated))
        if !suspicions.isEmpty { object.append("suspicions", .list(suspicions)) }
        return .object(object)
    }
}
