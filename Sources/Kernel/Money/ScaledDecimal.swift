/// A decimal number as people write it, times a power of ten, as an exact integer: no digit passes through binary
/// fractions.
public enum ScaledDecimal {
    public enum Failure: Error, Equatable {
        case notANumber
        /// It has digits behind those that are kept.
        case tooPrecise
        case outOfRange
        /// A JSON number whose digits the reader of JSON did not keep; in quotes it can be read.
        case notExact
    }

    static let charactersMax = 60
    /// A decimal of so many digits survives the way through a `Double` and back (IEEE 754, binary64).
    static let digitsOfDouble = 15

    /// `value` × 10^`digits`. A JSON number that is no integer is read through its shortest decimal form, which is the
    /// one that was written as long as that had at most ``digitsOfDouble`` digits.
    public static func scaled(_ value: JSONValue, digits: Int) throws(Failure) -> Int64 {
        switch value {
        case .int(let whole): return try scaled("\(whole)", digits: digits)
        case .double(let number):
            let text = "\(number)"
            let mantissa = text.utf8.prefix { $0 != UInt8(ascii: "e") }.filter { (48...57).contains($0) }
            let significant = mantissa.drop { $0 == 48 }.reversed().drop { $0 == 48 }
            guard significant.count <= digitsOfDouble else { throw .notExact }
            return try scaled(text, digits: digits)
        case .string(let text): return try scaled(text, digits: digits)
        default: throw .notANumber
        }
    }

    /// Reads `-12.5`, `0.075`, `1e-7`; signs of plus, spaces and separators are not taken.
    public static func scaled(_ text: String, digits: Int) throws(Failure) -> Int64 {
        guard text.utf8.count <= charactersMax else { throw .notANumber }
        var reader = Reader(bytes: Array(text.utf8))
        let isNegative = reader.take("-")
        var mantissa = reader.digits()
        guard !mantissa.isEmpty else { throw .notANumber }
        var power = digits
        if reader.take(".") {
            let fraction = reader.digits()
            guard !fraction.isEmpty else { throw .notANumber }
            mantissa += fraction
            power -= fraction.count
        }
        if reader.take("e") || reader.take("E") {
            let isDown = reader.take("-")
            if !isDown { _ = reader.take("+") }
            let exponent = reader.digits()
            guard (1...4).contains(exponent.count) else { throw .notANumber }
            let value = exponent.reduce(0) { $0 * 10 + Int($1) }
            power += isDown ? -value : value
        }
        guard reader.isAtEnd else { throw .notANumber }
        while power < 0, mantissa.last == 0 {
            mantissa.removeLast()
            power += 1
        }
        if mantissa.allSatisfy({ $0 == 0 }) { return 0 }
        guard power >= 0 else { throw .tooPrecise }
        let magnitude = try multiplied(mantissa, tens: power)
        return isNegative ? -magnitude : magnitude
    }

    private static func multiplied(_ digits: [UInt8], tens: Int) throws(Failure) -> Int64 {
        guard tens < charactersMax else { throw .outOfRange }
        var value: Int64 = 0
        for digit in digits + Array(repeating: 0, count: tens) {
            let (product, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isOver) = product.addingReportingOverflow(Int64(digit))
            guard !isTooLarge, !isOver else { throw .outOfRange }
            value = sum
        }
        return value
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        var isAtEnd: Bool { position == bytes.count }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        mutating func digits() -> [UInt8] {
            let start = position
            while position < bytes.count, (48...57).contains(bytes[position]) { position += 1 }
            return bytes[start..<position].map { $0 - 48 }
        }
    }
}

extension ScaledDecimal.Failure {
    /// What a message says of it; `digits` are those kept behind the point.
    public func words(digits: Int) -> String {
        switch self {
        case .notANumber: "a decimal number is expected"
        case .tooPrecise: "at most \(digits) digits behind the point are kept"
        case .outOfRange: "the number is too large"
        case .notExact: "it has more digits than a JSON number keeps; write it in quotes"
        }
    }
}
