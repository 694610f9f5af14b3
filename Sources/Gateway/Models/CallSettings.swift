import Kernel

/// How long parts of a call may take. The first two bound one attempt, the last the call with all its attempts.
struct DeadlineSettings: Sendable, Equatable {
    var firstByte = Span.seconds(120)
    var interToken = Span.seconds(60)
    var total = Span.seconds(600)

    init() {}

    init(_ fields: Fields) throws {
        try fields.refuseOthers(than: ["firstByteSeconds", "interTokenSeconds", "totalSeconds"])
        let range = 0.001...GatewayLimits.deadlineSeconds
        let first = try fields.optionalSpan("firstByteSeconds", in: range)
        let inter = try fields.optionalSpan("interTokenSeconds", in: range)
        let whole = try fields.optionalSpan("totalSeconds", in: range)
        if let first, let whole, first > whole {
            throw Problem.invalid(fields.path("firstByteSeconds"), "it may not exceed totalSeconds")
        }
        if let inter, let whole, inter > whole {
            throw Problem.invalid(fields.path("interTokenSeconds"), "it may not exceed totalSeconds")
        }
        total = whole ?? total
        firstByte = min(first ?? firstByte, total)
        interToken = min(inter ?? interToken, total)
    }
}

/// When a target is left alone for a while.
struct BreakerSettings: Sendable, Equatable {
    /// Failures in a row that open it.
    var failures = 5
    /// The share of failed calls in the window that opens it.
    var errorRate = 0.5
    /// Calls in the window before shares and quantiles count.
    var callsMin = 20
    var window = Span.seconds(60)
    var open = Span.seconds(30)
    /// How long it takes after an outage until all tasks that ask for the model are handed out again.
    var ramp = Span.seconds(60)
    /// The latency that this share of calls must keep; absent, latency opens nothing.
    var latencyQuantile = 0.95
    var latency: Span?
    /// The time to the first token that the same share of calls must keep.
    var firstToken: Span?

    static let failuresMax: Int64 = 10

    init() {}

    init(_ fields: Fields) throws {
        try fields.refuseOthers(than: [
            "failures", "errorRate", "callsMin", "windowSeconds", "openSeconds", "latencyQuantile", "latencySeconds",
            "firstTokenSeconds", "rampSeconds",
        ])
        let range = 0.001...GatewayLimits.deadlineSeconds
        failures = Int(try fields.optionalInt("failures", in: 1...Self.failuresMax) ?? Int64(failures))
        errorRate = try fields.optionalDouble("errorRate", in: 0.01...1) ?? errorRate
        callsMin = Int(try fields.optionalInt("callsMin", in: 1...10_000) ?? Int64(callsMin))
        window = try fields.optionalSpan("windowSeconds", in: 1...3_600) ?? window
        open = try fields.optionalSpan("openSeconds", in: range) ?? open
        ramp = try fields.optionalSpan("rampSeconds", in: 0...3_600) ?? ramp
        latencyQuantile = try fields.optionalDouble("latencyQuantile", in: 0.5...0.999) ?? latencyQuantile
        latency = try fields.optionalSpan("latencySeconds", in: range)
        firstToken = try fields.optionalSpan("firstTokenSeconds", in: range)
    }
}

/// How often and how patiently a call is sent again.
struct RetrySettings: Sendable, Equatable {
    /// Further tries at one target where others follow.
    var atTarget = 1
    /// Further tries at the last target.
    var atLastTarget = 2
    var backoffBase = Span.milliseconds(250)
    var backoffCap = Span.seconds(8)
    /// The longest `Retry-After` that is waited for; a longer one leads to the next target.
    var retryAfterMax = Span.seconds(3)

    init() {}

    /// From a number, which is for both kinds of targets, or an object.
    init(_ value: JSONValue, path: String) throws {
        if value.int != nil {
            let fields = Fields(JSONObject([.init(name: "retries", value: value)]), limits: Limits())
            guard let count = try? fields.int("retries", in: 0...GatewayLimits.retries) else {
                throw Problem.invalid(path, "0 to \(GatewayLimits.retries) is allowed")
            }
            (atTarget, atLastTarget) = (Int(count), Int(count))
            return
        }
        guard let object = value.object else {
            throw Problem.invalid(path, "a whole number or an object is expected, not \(value.typeName)")
        }
        let fields = Fields(object, limits: Limits(), path: path)
        try fields.refuseOthers(than: [
            "atTarget", "atLastTarget", "backoffBaseSeconds", "backoffCapSeconds", "retryAfterSecondsMax",
        ])
        let counts = 0...GatewayLimits.retries
        atTarget = Int(try fields.optionalInt("atTarget", in: counts) ?? Int64(atTarget))
        atLastTarget = Int(try fields.optionalInt("atLastTarget", in: counts) ?? Int64(atLastTarget))
        backoffBase = try fields.optionalSpan("backoffBaseSeconds", in: 0...60) ?? backoffBase
        backoffCap = try fields.optionalSpan("backoffCapSeconds", in: 0...600) ?? backoffCap
        retryAfterMax = try fields.optionalSpan("retryAfterSecondsMax", in: 0...600) ?? retryAfterMax
        guard backoffBase <= backoffCap else {
            throw Problem.invalid(fields.path("backoffBaseSeconds"), "it may not exceed backoffCapSeconds")
        }
    }
}

/// Calls that wait where the provider's limits are used up.
struct QueueSettings: Sendable, Equatable {
    /// For each target.
    var calls = Pacer.queueMax
    var wait = Pacer.queueWaitMax

    init() {}

    init(_ fields: Fields) throws {
        try fields.refuseOthers(than: ["calls", "waitSeconds"])
        calls = Int(try fields.optionalInt("calls", in: 0...Int64(Pacer.queueMax)) ?? Int64(calls))
        wait = try fields.optionalSpan("waitSeconds", in: 0...Pacer.queueWaitMax.seconds) ?? wait
    }
}

/// What becomes of a call whose client has gone.
enum DisconnectPolicy: Sendable, Equatable {
    /// It is stopped at once.
    case cancel
    /// It is read to its end, and booked.
    case drain
    /// It is read on while it costs no more than this.
    case drainUpTo(NanoDollars)

    init(_ value: JSONValue, path: String) throws {
        switch value {
        case .string("cancel"): self = .cancel
        case .string("drain"): self = .drain
        case .object(let object):
            let fields = Fields(object, limits: Limits(), path: path)
            try fields.refuseOthers(than: ["drainUpTo"])
            guard let dollars = fields.value("drainUpTo") else {
                throw Problem.invalid(fields.path("drainUpTo"), "it is missing")
            }
            self = .drainUpTo(try NanoDollars(dollars: dollars, path: fields.path("drainUpTo")))
        default: throw Problem.invalid(path, "cancel, drain or {drainUpTo: dollars} is expected")
        }
    }
}

/// The exact-match cache of answers; off where a model has none.
struct CacheSettings: Sendable, Equatable {
    /// Who shares answers.
    enum Scope: String, Sendable, CaseIterable {
        case key, agent, project, shared
    }

    var lifetime = Span.seconds(300)
    var scope = Scope.key
    /// Answers, and bytes of all of them; those that were not asked for longest go first.
    var entries = 1_000
    var bytes = 16 << 20
    /// Answers to questions that mean the same; `nil` for the very same calls only.
    var semantic: SemanticSettings?

    static let entriesMax: Int64 = 100_000
    static let bytesMax: Int64 = 1 << 30

    /// From `true` or `{ttlSeconds, scope, entries, bytes, semantic}`; `nil` for `false`.
    init?(_ value: JSONValue, path: String) throws {
        let names = ["ttlSeconds", "scope", "entries", "bytes", "semantic"]
        guard let fields = try Fields.ifOn(value, path: path, names: names) else { return nil }
        entries = Int(try fields.optionalInt("entries", in: 1...Self.entriesMax) ?? Int64(entries))
        bytes = Int(try fields.optionalInt("bytes", in: 1_024...Self.bytesMax) ?? Int64(bytes))
        lifetime = try fields.optionalSpan("ttlSeconds", in: 1...2_592_000) ?? lifetime
        scope = try fields.optionalChoice("scope", Scope.self) ?? scope
        semantic = try fields.optionalFields("semantic").map(SemanticSettings.init)
    }
}
