/// Samples in the short form of rule tests: `1+2x5 _ stale`
/// (prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules).
enum SampleNotation {
    /// Samples of one series.
    static let samplesMax = 1_000_000

    /// - Returns: One for each step; `nil` where there is none.
    static func values(_ text: String) throws -> [Double?] {
        var values: [Double?] = []
        for word in text.split(whereSeparator: \.isWhitespace) {
            let (first, step, count) = try run(String(word))
            guard values.count + count <= samplesMax else {
                throw RuleTestFault("a series has at most \(samplesMax) samples")
            }
            guard let first else {
                values += [Double?](repeating: nil, count: count)
                continue
            }
            // Added up one after the other, as Prometheus does it: so do the roundings.
            var value = first
            for _ in 0..<count {
                values.append(value)
                value += step
            }
        }
        return values
    }

    /// `a`, `axn`, `a+bxn`, `a-bxn`, `_`, `_xn` or `stale`; a number of `n` means n more behind the first.
    private static func run(_ word: String) throws -> (first: Double?, step: Double, count: Int) {
        if word == "stale" { return (Sample.stale, 0, 1) }
        if word == "_" { return (nil, 0, 1) }
        let fault = RuleTestFault("\"\(word)\" are no samples; such as 1+2x5, _ or stale are")
        // `0x5` is no hexadecimal number: promtool takes it for six zeros.
        guard let times = word.lastIndex(of: "x") else {
            guard let value = number(word) else { throw fault }
            return (value, 0, 1)
        }
        guard let count = Int(word[word.index(after: times)...]), (0...samplesMax).contains(count) else { throw fault }
        let before = String(word[..<times])
        if before == "_" { return (nil, 0, count) }
        if let value = number(before) { return (value, 0, count + 1) }
        // The sign between the two numbers is one that neither begins the word nor belongs to an exponent.
        let characters = Array(before)
        for place in characters.indices.dropFirst().reversed() where "+-".contains(characters[place]) {
            guard !"eE".contains(characters[place - 1]), let first = number(String(characters[..<place])),
                let step = number(String(characters[(place + 1)...]))
            else { continue }
            return (first, characters[place] == "-" ? -step : step, count + 1)
        }
        throw fault
    }

    private static func number(_ text: String) -> Double? {
        switch text.lowercased() {
        case "inf", "+inf": .infinity
        case "-inf": -.infinity
        case "nan": .nan
        default:
            text.allSatisfy { "0123456789+-.eE".contains($0) } ? Double(text) : nil
        }
    }
}

/// What is wrong with a file of rule tests.
public struct RuleTestFault: Error, Sendable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
