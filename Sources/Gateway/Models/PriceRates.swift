import Kernel

/// What each kind of token costs: nano-dollars per million tokens, exact integers, never negative.
struct PriceRates: Sendable, Equatable {
    private var rates: [PriceKey: Int64] = [:]

    init(_ rates: [PriceKey: Int64]) {
        self.rates = rates.mapValues { max(0, $0) }
    }

    /// The rate that a table states under a name, without looking at parents.
    subscript(key: PriceKey) -> Int64? { rates[key] }

    /// The rate of a kind of token: its own, else its nearest parent's; `nil` where none is stated.
    func rate(of kind: TokenKind, unstated lifetime: CacheLifetime) -> Int64? {
        switch kind {
        case .input: rates[.input]
        case .cacheRead: first(.cacheRead, .input)
        case .cacheWrite: first(.cacheWrite, lifetime.priceKey, .input)
        case .cacheWrite5m: first(.cacheWrite5m, .cacheWrite, .input)
        case .cacheWrite30m: first(.cacheWrite30m, .cacheWrite, .input)
        case .cacheWrite1h: first(.cacheWrite1h, .cacheWrite, .input)
        case .cacheWrite12h: first(.cacheWrite12h, .cacheWrite, .input)
        case .audioInput: first(.audioInput, .input)
        case .imageInput: first(.imageInput, .image, .input)
        case .output: rates[.output]
        case .reasoning: first(.reasoning, .output)
        case .audioOutput: first(.audioOutput, .output)
        case .imageOutput: first(.imageOutput, .image, .output)
        }
    }

    private func first(_ keys: PriceKey...) -> Int64? {
        for key in keys { if let rate = rates[key] { return rate } }
        return nil
    }

    /// The price keys among the members of a table.
    init(_ fields: Fields) throws {
        var rates: [PriceKey: Int64] = [:]
        for key in PriceKey.allCases {
            guard let value = fields.value(key.rawValue) else { continue }
            rates[key] = try Self.rate(value, path: fields.path(key.rawValue))
        }
        guard rates[.input] != nil else {
            throw Problem.invalid(
                fields.path(PriceKey.input.rawValue), "it is missing", hint: "Every table states the price of input.")
        }
        self.init(rates)
    }

    /// Dollars with at most nine decimals as nano-dollars.
    static func rate(_ value: JSONValue, path: String) throws -> Int64 {
        let price = try NanoDollars(dollars: value, path: path)
        guard price.value <= GatewayLimits.priceDollars * 1_000_000_000 else {
            throw Problem.invalid(path, "at most \(GatewayLimits.priceDollars) dollars are allowed")
        }
        return price.value
    }
}
