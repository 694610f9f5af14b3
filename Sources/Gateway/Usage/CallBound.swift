import Kernel

/// How large a call can become before it is sent: what a hold is sized by.
struct CallBound: Sendable, Equatable {
    /// What a call may contain beside plain text, as each may have a dearer price.
    struct Traits: OptionSet, Sendable {
        let rawValue: Int
        static let audioInput = Traits(rawValue: 1)
        static let audioOutput = Traits(rawValue: 2)
        static let images = Traits(rawValue: 4)
        static let cacheWrites = Traits(rawValue: 8)
        static let all: Traits = [.audioInput, .audioOutput, .images, .cacheWrites]
    }

    var inputTokensMax: Int64
    /// Of one answer, reasoning included.
    var outputTokensMax: Int64
    /// How many answers were asked for (`n`).
    var answers: Int64 = 1
    var webSearchesMax: Int64 = 0
    var traits: Traits = .all
    var serviceTier: ServiceTier?

    /// Tokens that a text of so many bytes cannot exceed: every tokenizer in use makes at least one byte a token.
    static func inputTokensMax(bytes: Int64) -> Int64 { min(max(0, bytes), UsageCounts.tokensMax) }

    fileprivate func kinds(_ isInput: Bool) -> [TokenKind] {
        TokenKind.allCases.filter { kind in
            guard kind.isInput == isInput else { return false }
            switch kind {
            case .audioInput: return traits.contains(.audioInput)
            case .audioOutput: return traits.contains(.audioOutput)
            case .imageInput, .imageOutput: return traits.contains(.images)
            case .cacheWrite, .cacheWrite5m, .cacheWrite30m, .cacheWrite1h, .cacheWrite12h:
                return traits.contains(.cacheWrites)
            default: return true
            }
        }
    }
}

extension PriceTable {
    /// What a call within the bound cannot cost more than at this moment: each token at the dearest price it may have,
    /// rounded up once. `nil` where a price is unknown. Saturates.
    func upperBound(of call: CallBound, at time: Timestamp) -> NanoDollars? {
        guard let entry = entry(at: time) else { return nil }
        let scale = entry.scale(call.serviceTier)
        var candidates = [scale.rates]
        if let long = scale.longContext, call.inputTokensMax > long.aboveInputTokens { candidates.append(long.rates) }
        func dearest(_ isInput: Bool) -> Int64? {
            var dearest: Int64 = 0
            for rates in candidates {
                for kind in call.kinds(isInput) {
                    // The dearer of both default lifetimes, as it is not known here who will answer.
                    for lifetime in [CacheLifetime.fiveMinutes, .thirtyMinutes] {
                        guard let rate = rates.rate(of: kind, unstated: lifetime) else { return nil }
                        dearest = max(dearest, rate)
                    }
                }
            }
            return dearest
        }
        var sum = entry.searches(min(call.webSearchesMax, UsageCounts.usesMax))
        let sizes = [
            (true, UInt128(Self.tokens(call.inputTokensMax))),
            (false, UInt128(Self.tokens(call.outputTokensMax)) * UInt128(Self.tokens(call.answers))),
        ]
        for (isInput, tokens) in sizes where tokens > 0 {
            guard let rate = dearest(isInput) else { return nil }
            let (product, isOver) = tokens.multipliedReportingOverflow(by: UInt128(rate))
            let (total, isTooMuch) = sum.addingReportingOverflow(product)
            guard !isOver, !isTooMuch else { return .max }
            sum = total
        }
        return PriceEntry.rounded(sum)
    }

    private static func tokens(_ count: Int64) -> Int64 { min(max(0, count), UsageCounts.tokensMax) }
}
