import Kernel

/// What each kind of token costs: nano-dollars per million tokens, exact integers, never negative.
struct PriceRates: Sendable, Equatable {
    private let rates: [PriceKey: Int64]
    /// What each kind costs, for each lifetime that may be meant: found once, as it is asked for with every call.
    private let resolved: [Int64?]

    init(_ rates: [PriceKey: Int64]) {
        self.rates = rates.mapValues { max(0, $0) }
        resolved = CacheLifetime.allCases.flatMap { [rates = self.rates] lifetime in
            TokenKind.allCases.map { kind in kind.priceKeys(lifetime).lazy.compactMap { rates[$0] }.first }
        }
    }

    /// The rate that a table states under a name, without looking at parents.
    subscript(key: PriceKey) -> Int64? { rates[key] }

    /// The rate of a kind of token: its own, else its nearest parent's; `nil` where none is stated.
    func rate(of kind: TokenKind, unstated lifetime: CacheLifetime) -> Int64? {
        resolved[lifetime.index * TokenKind.count + kind.index]
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

extension TokenKind {
    static let count = allCases.count

    /// The names of its price, the nearest first.
    fileprivate func priceKeys(_ lifetime: CacheLifetime) -> [PriceKey] {
        switch self {
        case .input: [.input]
        case .cacheRead: [.cacheRead, .input]
        case .cacheWrite: [.cacheWrite, lifetime.priceKey, .input]
        case .cacheWrite5m: [.cacheWrite5m, .cacheWrite, .input]
        case .cacheWrite30m: [.cacheWrite30m, .cacheWrite, .input]
        case .cacheWrite1h: [.cacheWrite1h, .cacheWrite, .input]
        case .cacheWrite12h: [.cacheWrite12h, .cacheWrite, .input]
        case .audioInput: [.audioInput, .input]
        case .imageInput: [.imageInput, .image, .input]
        case .output: [.output]
        case .reasoning: [.reasoning, .output]
        case .audioOutput: [.audioOutput, .output]
        case .imageOutput: [.imageOutput, .image, .output]
        }
    }
}

extension CacheLifetime {
    /// Its place among all.
    fileprivate var index: Int {
        switch self {
        case .fiveMinutes: 0
        case .thirtyMinutes: 1
        case .oneHour: 2
        case .twelveHours: 3
        }
    }
}
