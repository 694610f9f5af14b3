import Kernel

/// What a call used: the provider's own words beside disjoint counts.
public struct CallUsage: Sendable, Equatable, JSONConvertible {
    /// The provider's `usage`, as it came.
    public var raw: JSONValue?
    /// Tokens by kind, each token in one of them: `input`, `cacheRead`, `cacheWrite…`, `output`, `reasoning`, …
    public var buckets: JSONValue
    /// Whether a count is a guess of ours.
    public var isEstimated: Bool

    public init(raw: JSONValue? = nil, buckets: JSONValue = [:], isEstimated: Bool = false) {
        self.raw = raw
        self.buckets = buckets
        self.isEstimated = isEstimated
    }

    /// The counts, summed up for ledgers and lists.
    public var tokens: CallTokens { CallTokens(buckets: buckets) }

    public var json: JSONValue { ["raw": .of(raw), "buckets": buckets, "estimated": .bool(isEstimated)] }
}

/// The tokens of a call in the five groups that ledgers keep. No token is in two of them.
public struct CallTokens: Sendable, Equatable {
    public var input: Int64 = 0
    public var cacheRead: Int64 = 0
    public var cacheWrite: Int64 = 0
    public var output: Int64 = 0
    public var reasoning: Int64 = 0

    /// More tokens of one kind than any call has: what a provider says beyond is not believed.
    static let countMax: Int64 = 1 << 40

    init(buckets: JSONValue) {
        for member in buckets.object?.members ?? [] {
            guard let count = member.value.int.map({ min(max(0, $0), Self.countMax) }) else { continue }
            switch member.name {
            case "input", "audioInput", "imageInput": input += count
            case "cacheRead": cacheRead += count
            case "cacheWrite", "cacheWrite5m", "cacheWrite30m", "cacheWrite1h", "cacheWrite12h": cacheWrite += count
            case "output", "audioOutput", "imageOutput": output += count
            case "reasoning": reasoning += count
            default: break
            }
        }
    }

    public var total: Int64 { input + cacheRead + cacheWrite + output + reasoning }
}

/// What a call cost, in billionths of a dollar, and by which price.
public struct CallCost: Sendable, Equatable, JSONConvertible {
    public var nanoUSD: Int64
    /// The first day of the price, or another name of its version; `nil` where it has none.
    public var priceFrom: String?

    /// A million dollars: no call costs that.
    static let nanoUSDMax: Int64 = 1_000_000_000_000_000

    public init(nanoUSD: Int64, priceFrom: String? = nil) {
        self.nanoUSD = nanoUSD
        self.priceFrom = priceFrom
    }

    public var json: JSONValue { ["nanoUSD": .int(nanoUSD), "priceFrom": .of(priceFrom)] }
}

/// What was reserved in one budget while a call ran.
public struct CallHold: Sendable, Equatable, JSONConvertible {
    /// The budget's scope, such as `agent:writer`.
    public var scope: String
    /// At most so much; `nil` where the budget does not count dollars.
    public var nanoUSD: Int64?
    public var tokens: Int64?

    public init(scope: String, nanoUSD: Int64? = nil, tokens: Int64? = nil) {
        self.scope = scope
        self.nanoUSD = nanoUSD
        self.tokens = tokens
    }

    public var json: JSONValue {
        ["scope": .string(scope), "nanoUSD": .of(nanoUSD), "tokens": .of(tokens)]
    }

    init(json: JSONValue) {
        self.init(
            scope: json["scope"]?.string ?? "", nanoUSD: json["nanoUSD"]?.int, tokens: json["tokens"]?.int)
    }
}

/// The budget that kept a call from being made, or from going on.
public struct CallRefusal: Sendable, Equatable, JSONConvertible {
    /// The budget's scope, such as `project:default`.
    public var scope: String
    /// `budget_exceeded`, `budget_in_flight`.
    public var code: String
    /// What the caller was told.
    public var detail: String

    public init(scope: String, code: String, detail: String) {
        self.scope = scope
        self.code = code
        self.detail = detail
    }

    public var json: JSONValue {
        ["scope": .string(scope), "code": .string(code), "detail": .string(detail)]
    }

    init?(json: JSONValue) {
        guard json.object != nil else { return nil }
        self.init(
            scope: json["scope"]?.string ?? "", code: json["code"]?.string ?? "",
            detail: json["detail"]?.string ?? "")
    }
}

/// One try at one target.
public struct CallAttempt: Sendable, Equatable, JSONConvertible {
    /// Provider and model: `main/gpt-4o-mini-2024-07-18`.
    public var target: String
    public var startedAt: Timestamp
    public var durationMs: Int64?
    /// The provider's HTTP status; `nil` where none came.
    public var status: Int64?
    /// Why it failed, in one word; `nil` where it answered.
    public var failure: String?
    /// What the provider bills for it; `nil` where that is unknown.
    public var costNanoUSD: Int64?

    public init(
        target: String, startedAt: Timestamp, durationMs: Int64? = nil, status: Int64? = nil, failure: String? = nil,
        costNanoUSD: Int64? = nil
    ) {
        self.target = target
        self.startedAt = startedAt
        self.durationMs = durationMs
        self.status = status
        self.failure = failure
        self.costNanoUSD = costNanoUSD
    }

    public var json: JSONValue {
        [
            "target": .string(target), "startedAt": startedAt.json, "durationMs": .of(durationMs),
            "status": .of(status), "failure": .of(failure), "costNanoUSD": .of(costNanoUSD),
        ]
    }

    init(json: JSONValue) {
        self.init(
            target: json["target"]?.string ?? "",
            startedAt: json["startedAt"]?.string.flatMap(Timestamp.init(rfc3339:)) ?? Timestamp(microseconds: 0),
            durationMs: json["durationMs"]?.int, status: json["status"]?.int, failure: json["failure"]?.string,
            costNanoUSD: json["costNanoUSD"]?.int)
    }
}
