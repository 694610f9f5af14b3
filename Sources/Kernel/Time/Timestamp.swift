/// A moment: microseconds since 1970-01-01T00:00:00Z, as every table keeps it; RFC 3339 in JSON.
public struct Timestamp: Sendable, Hashable, Comparable {
    public var microseconds: Int64

    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    public static let distantFuture = Timestamp(microseconds: .max)

    public static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }

    /// Saturates at the ends of the range, so that a hostile duration cannot trap.
    public static func + (left: Timestamp, right: Span) -> Timestamp {
        let (sum, overflow) = left.microseconds.addingReportingOverflow(right.microseconds)
        return Timestamp(microseconds: overflow ? (right.microseconds > 0 ? .max : .min) : sum)
    }

    /// Saturates like `+`.
    public static func - (left: Timestamp, right: Span) -> Timestamp {
        let (difference, overflow) = left.microseconds.subtractingReportingOverflow(right.microseconds)
        return Timestamp(microseconds: overflow ? (right.microseconds < 0 ? .max : .min) : difference)
    }

    public static func - (left: Timestamp, right: Timestamp) -> Span {
        Span(microseconds: left.microseconds.subtractingReportingOverflow(right.microseconds).partialValue)
    }
}

/// A length of time in microseconds. (`Duration` is Swift's, with attoseconds that no table keeps.)
public struct Span: Sendable, Hashable, Comparable {
    public var microseconds: Int64

    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    public static let zero = Span(microseconds: 0)
    public static func milliseconds(_ value: Int64) -> Span { Span(microseconds: saturating(value, 1_000)) }
    public static func seconds(_ value: Int64) -> Span { Span(microseconds: saturating(value, 1_000_000)) }
    public static func minutes(_ value: Int64) -> Span { seconds(value * 60) }
    public static func hours(_ value: Int64) -> Span { seconds(value * 3_600) }

    /// Fractions of a second, rounded to the microsecond. A whole literal means the other one.
    @_disfavoredOverload
    public static func seconds(_ value: Double) -> Span {
        Span(microseconds: Int64(exactly: (value * 1_000_000).rounded()) ?? (value < 0 ? .min : .max))
    }

    public var seconds: Double { Double(microseconds) / 1_000_000 }
    public var duration: Duration { .microseconds(microseconds) }

    public static func < (left: Span, right: Span) -> Bool { left.microseconds < right.microseconds }
    public static func + (left: Span, right: Span) -> Span {
        Span(microseconds: left.microseconds + right.microseconds)
    }
    public static func * (left: Span, right: Double) -> Span { .seconds(left.seconds * right) }

    private static func saturating(_ value: Int64, _ factor: Int64) -> Int64 {
        let (product, overflow) = value.multipliedReportingOverflow(by: factor)
        return overflow ? (value > 0 ? .max : .min) : product
    }
}

extension Timestamp: JSONConvertible, CustomStringConvertible {
    public var json: JSONValue { .string(rfc3339) }
    public var description: String { rfc3339 }

    /// `2026-11-20T08:15:30.123456Z`: always UTC, always six digits, so that text order is time order.
    public var rfc3339: String {
        let (days, inDay) = Self.floorDivide(microseconds, 86_400_000_000)
        let date = Self.civil(fromDays: days)
        let second = inDay / 1_000_000
        var text: [UInt8] = []
        text.reserveCapacity(27)
        Self.append(date.year, 4, to: &text, then: "-")
        Self.append(date.month, 2, to: &text, then: "-")
        Self.append(date.day, 2, to: &text, then: "T")
        Self.append(second / 3_600, 2, to: &text, then: ":")
        Self.append(second / 60 % 60, 2, to: &text, then: ":")
        Self.append(second % 60, 2, to: &text, then: ".")
        Self.append(inDay % 1_000_000, 6, to: &text, then: "Z")
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads RFC 3339 with any offset and up to nine fraction digits; `nil` where the text is not a time of the years
    /// 1970–9999.
    public init?(rfc3339 text: String) {
        var reader = Reader(bytes: Array(text.utf8))
        guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"),
            let day = reader.number(2), reader.takeAny("Tt "), let hour = reader.number(2), reader.take(":"),
            let minute = reader.number(2), reader.take(":"), let second = reader.number(2),
            (1970...9999).contains(year), (1...12).contains(month), (1...Self.daysIn(month, of: year)).contains(day),
            hour < 24, minute < 60, second < 61, let fraction = reader.fraction(), let offset = reader.offset(),
            reader.isAtEnd
        else { return nil }
        let days = Self.days(year: year, month: month, day: day)
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset * 60
        // An offset may lead out of the years that text order holds for.
        guard (0..<253_402_300_800).contains(seconds) else { return nil }
        self.init(microseconds: seconds * 1_000_000 + fraction)
    }

    private static func append(_ value: Int64, _ width: Int, to text: inout [UInt8], then separator: Unicode.Scalar) {
        let digits = String(value).utf8
        text.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: max(0, width - digits.count)))
        text.append(contentsOf: digits)
        text.append(UInt8(ascii: separator))
    }

    private static func floorDivide(_ value: Int64, _ by: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: by)
        return remainder < 0 ? (quotient - 1, remainder + by) : (quotient, remainder)
    }

    /// Days of a month of the Gregorian calendar.
    public static func daysIn(_ month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days since 1970-01-01 of a Gregorian date. Years are counted from March, so that the leap day is the last one.
    public static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let era = floorDivide(year, 400).quotient
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The inverse of ``days(year:month:day:)``.
    public static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
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

        mutating func takeAny(_ characters: String) -> Bool { characters.unicodeScalars.contains { take($0) } }

        mutating func number(_ width: Int) -> Int64? {
            guard position + width <= bytes.count else { return nil }
            var value: Int64 = 0
            for byte in bytes[position..<position + width] {
                guard (48...57).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - 48)
            }
            position += width
            return value
        }

        /// Microseconds after the point; zero where there is none.
        mutating func fraction() -> Int64? {
            guard take(".") else { return 0 }
            var value: Int64 = 0
            var count = 0
            while let digit = number(1) {
                if count < 6 { value = value * 10 + digit }
                count += 1
            }
            guard (1...9).contains(count) else { return nil }
            for _ in min(count, 6)..<6 { value *= 10 }
            return value
        }

        /// Minutes east of UTC.
        mutating func offset() -> Int64? {
            if takeAny("Zz") { return 0 }
            let sign: Int64 = take("-") ? -1 : 1
            guard sign < 0 || take("+"), let hour = number(2), take(":"), let minute = number(2), hour < 24, minute < 60
            else { return nil }
            return sign * (hour * 60 + minute)
        }
    }
}
