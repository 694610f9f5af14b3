/// Money: billionths of a US dollar, as every ledger and budget keeps it. Sums saturate and never trap.
public struct NanoDollars: Sendable, Hashable, Comparable, JSONConvertible {
    public static let digits = 9
    public static let zero = NanoDollars(0)
    /// About 9.2 billion dollars.
    public static let max = NanoDollars(.max)

    public var value: Int64

    public init(_ value: Int64) {
        self.value = value
    }

    /// Dollars from a document, exact to nine decimals and not negative; errors name `path`.
    public init(dollars: JSONValue, path: String) throws {
        do throws(ScaledDecimal.Failure) {
            value = try ScaledDecimal.scaled(dollars, digits: Self.digits)
        } catch {
            throw Problem.invalid(path, error.words(digits: Self.digits), hint: "Write dollars such as 2.50.")
        }
        guard value >= 0 else { throw Problem.invalid(path, "it may not be negative") }
    }

    public static func < (left: NanoDollars, right: NanoDollars) -> Bool { left.value < right.value }

    public static func + (left: NanoDollars, right: NanoDollars) -> NanoDollars {
        let (sum, isOver) = left.value.addingReportingOverflow(right.value)
        return NanoDollars(isOver ? (right.value > 0 ? .max : .min) : sum)
    }

    public static func - (left: NanoDollars, right: NanoDollars) -> NanoDollars {
        let (difference, isOver) = left.value.subtractingReportingOverflow(right.value)
        return NanoDollars(isOver ? (right.value < 0 ? .max : .min) : difference)
    }

    public var json: JSONValue { .int(value) }

    /// Dollars with all nine decimals, such as `0.000000750`.
    public var dollars: String {
        let (whole, rest) = value.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
        let decimals = "\(rest)"
        let padding = String(repeating: "0", count: Self.digits - decimals.count)
        return "\(value < 0 ? "-" : "")\(whole).\(padding)\(decimals)"
    }
}
