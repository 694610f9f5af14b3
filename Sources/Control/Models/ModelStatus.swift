import Kernel

/// A model that agents may ask for, and how its targets do at this moment.
public struct ModelStatus: Sendable {
    public var name: String
    public var tier: String?
    /// Tokens that its context holds; `nil` where the settings do not say.
    public var contextTokens: Int64?
    /// How far the tasks that ask for it are handed out, by what this process knows of its targets.
    public var dispatch: ModelDispatch
    /// In the order in which they are asked.
    public var targets: [TargetStatus]

    public init(
        name: String, tier: String? = nil, contextTokens: Int64? = nil, dispatch: ModelDispatch? = nil,
        targets: [TargetStatus]
    ) {
        self.dispatch = dispatch ?? ModelDispatch(model: name)
        self.name = name
        self.tier = tier
        self.contextTokens = contextTokens
        self.targets = targets
    }
}

/// One place where a model can be had.
public struct TargetStatus: Sendable {
    public enum Breaker: String, Sendable, CaseIterable {
        case closed
        /// The next call probes whether the target is well again.
        case halfOpen = "half_open"
        /// The target is left alone.
        case open
    }

    /// A limit of the provider as its last answer told it.
    public struct Limit: Sendable {
        /// `requests`, `tokens`, `inputTokens`, `outputTokens`.
        public var kind: String
        public var limit: Int64
        public var remaining: Int64
        public var resetAt: Timestamp?

        public init(kind: String, limit: Int64, remaining: Int64, resetAt: Timestamp? = nil) {
            self.kind = kind
            self.limit = limit
            self.remaining = remaining
            self.resetAt = resetAt
        }
    }

    /// Exchanges of the last minutes.
    public struct Recent: Sendable {
        public var calls = 0
        public var failures = 0
        /// Quantiles of those that answered; `nil` where none did.
        public var latency50: Span?
        public var latency95: Span?
        public var latency99: Span?
        /// Of those that streamed.
        public var firstToken50: Span?
        public var firstToken95: Span?

        public init(
            calls: Int = 0, failures: Int = 0, latency50: Span? = nil, latency95: Span? = nil, latency99: Span? = nil,
            firstToken50: Span? = nil, firstToken95: Span? = nil
        ) {
            self.calls = calls
            self.failures = failures
            self.latency50 = latency50
            self.latency95 = latency95
            self.latency99 = latency99
            self.firstToken50 = firstToken50
            self.firstToken95 = firstToken95
        }

        /// `nil` where there was no call.
        public var errorRate: Double? { calls > 0 ? Double(failures) / Double(calls) : nil }
    }

    /// The provider's name in the settings, and its name of the model.
    public var provider: String
    public var model: String
    public var breaker = Breaker.closed
    /// When the breaker came into its state; `nil` where it never left the closed one.
    public var changedAt: Timestamp?
    public var openUntil: Timestamp?
    /// Why it opened, in one word, and the failure that came last.
    public var cause: String?
    public var lastFailure: String?
    /// How often it opened since the start.
    public var openings = 0
    public var recent = Recent()
    public var limits: [Limit] = []
    /// When the provider last told its limits.
    public var limitsAt: Timestamp?
    /// Until when the provider asked to be left alone.
    public var limitedUntil: Timestamp?
    /// Today's prices in nano-dollars per million tokens, by kind; empty where there are none.
    public var prices: [(kind: String, nanoUSD: Int64)] = []
    public var priceFrom: String?

    public init(provider: String, model: String) {
        self.provider = provider
        self.model = model
    }

    /// How records name it.
    public var name: String { "\(provider)/\(model)" }
}

extension ModelStatus: JSONConvertible {
    public var json: JSONValue {
        [
            "name": .string(name), "tier": .of(tier), "contextTokens": .of(contextTokens),
            "dispatch": dispatch.json, "targets": .list(targets),
        ]
    }
}

extension TargetStatus: JSONConvertible {
    public var json: JSONValue {
        let breaker: JSONValue = [
            "state": .string(breaker.rawValue), "changedAt": .of(changedAt), "openUntil": .of(openUntil),
            "cause": .of(cause), "lastFailure": .of(lastFailure), "openings": .int(Int64(openings)),
        ]
        let limits = limits.map { limit -> JSONObject.Member in
            .init(
                name: limit.kind,
                value: [
                    "limit": .int(limit.limit), "remaining": .int(limit.remaining), "resetAt": .of(limit.resetAt),
                ])
        }
        return [
            "target": .string(name), "provider": .string(provider), "model": .string(model), "breaker": breaker,
            "recent": recent.json, "limits": .object(JSONObject(limits)), "limitsAt": .of(limitsAt),
            "limitedUntil": .of(limitedUntil), "price": price,
        ]
    }

    /// Dollars per million tokens; `null` where no price is known.
    private var price: JSONValue {
        guard !prices.isEmpty else { return .null }
        var object = JSONObject()
        object.append("from", .of(priceFrom))
        for price in prices { object.append(price.kind, .double(Double(price.nanoUSD) / 1e9)) }
        return .object(object)
    }
}

extension TargetStatus.Recent: JSONConvertible {
    public var json: JSONValue {
        func milliseconds(_ span: Span?) -> JSONValue {
            span.map { .double(Double($0.microseconds) / 1_000) } ?? .null
        }
        return [
            "calls": .int(Int64(calls)), "failures": .int(Int64(failures)),
            "errorRate": errorRate.map { .double($0) } ?? .null,
            "latencyMs": [
                "p50": milliseconds(latency50), "p95": milliseconds(latency95), "p99": milliseconds(latency99),
            ],
            "firstTokenMs": ["p50": milliseconds(firstToken50), "p95": milliseconds(firstToken95)],
        ]
    }
}

/// The models as memory knows them. The gateway's side implements it.
public protocol LiveModels: Sendable {
    /// All of them, in the order of the settings.
    func models() -> [ModelStatus]
    /// Closes breakers: the one of a target, named `provider/model`, or all of a model. Returns the targets' names.
    func reset(model: String, target: String?) -> [String]
}

/// Where there is no gateway.
public struct NoLiveModels: LiveModels {
    public init() {}
    public func models() -> [ModelStatus] { [] }
    public func reset(model: String, target: String?) -> [String] { [] }
}
