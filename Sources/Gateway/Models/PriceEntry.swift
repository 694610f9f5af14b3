import Kernel

/// The prices of a model from one day on.
struct PriceEntry: Sendable, Equatable {
    /// One list of prices, with what changes where a call's input is long.
    struct Scale: Sendable, Equatable {
        var rates: PriceRates
        /// Where all tokens of a call cost something else once its input is larger than so many tokens.
        var longContext: LongContext?

        /// The rates for a call with so many input tokens.
        func rates(inputTokens: Int64) -> PriceRates {
            guard let longContext, inputTokens > longContext.aboveInputTokens else { return rates }
            return longContext.rates
        }
    }

    struct LongContext: Sendable, Equatable {
        var aboveInputTokens: Int64
        var rates: PriceRates
    }

    /// The first day, in days since 1970-01-01 UTC; `nil` where it holds from ever.
    var firstDay: Int64?
    var standard: Scale
    /// Tiers with prices of their own; a tier that is not here costs the standard prices.
    var tiers: [ServiceTier: Scale] = [:]
    /// Nano-dollars for a thousand web searches that the provider made.
    var webSearchPerThousand: Int64?

    /// The first day as `2026-01-31`.
    var from: String? {
        firstDay.map { day in
            let date = Timestamp.civil(fromDays: day)
            return "\(Self.padded(date.year, 4))-\(Self.padded(date.month, 2))-\(Self.padded(date.day, 2))"
        }
    }

    func scale(_ tier: ServiceTier?) -> Scale { tier.flatMap { tiers[$0] } ?? standard }

    /// The cost of one call, rounded up once to a whole nano-dollar; `nil` where a token has no price. Saturates.
    func cost(of buckets: TokenBuckets) -> NanoDollars? {
        let rates = scale(buckets.serviceTier).rates(inputTokens: buckets.inputTotal)
        var sum: UInt128 = 0
        for kind in TokenKind.allCases where buckets[kind] > 0 {
            guard let rate = rates.rate(of: kind, unstated: buckets.defaultLifetime) else { return nil }
            sum += UInt128(buckets[kind]) * UInt128(rate)
        }
        sum += searches(buckets.toolUses[.webSearch] ?? 0)
        return Self.rounded(sum)
    }

    /// What of a call ``cost(of:)`` does not price as it should: searches without a price, a tier without its own.
    func unpriced(of buckets: TokenBuckets) -> [String] {
        var names: [String] = []
        if webSearchPerThousand == nil, buckets.toolUses[.webSearch] ?? 0 > 0 { names.append("webSearchPerThousand") }
        if let tier = buckets.serviceTier, tiers[tier] == nil { names.append("serviceTiers/\(tier.rawValue)") }
        return names
    }

    /// In nano-dollars × 10^6, the unit of counts times rates.
    func searches(_ count: Int64) -> UInt128 { UInt128(max(0, count)) * UInt128(webSearchPerThousand ?? 0) * 1_000 }

    /// Up to a whole nano-dollar, from nano-dollars × 10^6.
    static func rounded(_ sum: UInt128) -> NanoDollars {
        let (quotient, remainder) = sum.quotientAndRemainder(dividingBy: 1_000_000)
        return NanoDollars(Int64(clamping: quotient + (remainder > 0 ? 1 : 0)))
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = "\(value)"
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

extension PriceEntry {
    private static let scaleKeys = PriceKey.allCases.map(\.rawValue)

    /// From `{from, input, output, …, longContext: {aboveInputTokens, input, …}, serviceTiers: {batch: {input, …}}}`.
    init(_ fields: Fields) throws {
        try fields.refuseOthers(
            than: ["from", "longContext", "serviceTiers", "webSearchPerThousand"] + Self.scaleKeys)
        firstDay = try fields.optionalString("from", max: 40).map { text in
            guard text.utf8.count == 10, let start = Timestamp(rfc3339: text + "T00:00:00Z") else {
                throw Problem.invalid(fields.path("from"), "a day in UTC such as 2026-01-31 is expected")
            }
            return start.utcDay
        }
        standard = Scale(rates: try PriceRates(fields), longContext: try Self.longContext(fields))
        if let tierFields = try fields.optionalFields("serviceTiers") {
            try tierFields.refuseOthers(than: ServiceTier.allCases.map(\.rawValue))
            for tier in ServiceTier.allCases {
                guard let scale = try tierFields.optionalFields(tier.rawValue) else { continue }
                try scale.refuseOthers(than: ["longContext"] + Self.scaleKeys)
                tiers[tier] = Scale(rates: try PriceRates(scale), longContext: try Self.longContext(scale))
            }
        }
        webSearchPerThousand = try fields.value("webSearchPerThousand").map {
            try PriceRates.rate($0, path: fields.path("webSearchPerThousand"))
        }
    }

    private static func longContext(_ fields: Fields) throws -> LongContext? {
        guard let long = try fields.optionalFields("longContext") else { return nil }
        try long.refuseOthers(than: ["aboveInputTokens"] + scaleKeys)
        return LongContext(
            aboveInputTokens: try long.int("aboveInputTokens", in: 0...UsageCounts.tokensMax),
            rates: try PriceRates(long))
    }
}

extension Timestamp {
    /// Whole days since 1970-01-01 in UTC.
    var utcDay: Int64 {
        let (day, inDay) = microseconds.quotientAndRemainder(dividingBy: 86_400_000_000)
        return inDay < 0 ? day - 1 : day
    }
}
