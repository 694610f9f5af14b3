import Kernel

/// Reads how long a provider wants to be left alone, in every spelling that providers use. Pure, bounded; `nil` for
/// what is no such thing.
///
/// `Retry-After` is RFC 9110 §10.2.3 (seconds, or an HTTP date of §5.6.7); `retry-after-ms` is what Azure and OpenAI
/// send and their SDKs read first; `x-ratelimit-reset-*` are durations (OpenAI guide "Rate limits": `1s`, `6m0s`);
/// `anthropic-ratelimit-*-reset` are RFC 3339 times (Anthropic API reference, "Rate limits").
enum RetryAfter {
    /// Longer waits are taken for this one.
    static let longest = Span.hours(24)
    /// Longer texts are not looked at.
    static let charactersMax = 64

    /// What the headers of an answer ask for. `header` looks a header up by its name in lower case.
    ///
    /// A 429 without a plain wish may still say when its empty allowance is full again.
    static func read(status: Int, at now: Timestamp, header: (String) -> String?) -> Span? {
        if let text = header("retry-after-ms"), let span = milliseconds(text) { return span }
        if let text = header("retry-after"), let span = parse(text, at: now) { return span }
        guard status == 429 else { return nil }
        return RateLimitHeaders(at: now, header: header).emptyReset
    }

    /// `Retry-After`: seconds, whole or not, or an HTTP date; a time that has passed is zero.
    static func parse(_ text: String, at now: Timestamp) -> Span? {
        guard let text = trimmed(text) else { return nil }
        if let seconds = decimal(text[...]) { return bounded(seconds: seconds) }
        return HTTPDate.parse(text).map { until($0, from: now) }
    }

    /// `retry-after-ms`.
    static func milliseconds(_ text: String) -> Span? {
        guard let text = trimmed(text), let value = decimal(text[...]) else { return nil }
        return bounded(seconds: value / 1_000)
    }

    /// A reset: a duration (`1s`, `6m0s`, `20ms`, `1h2m3.5s`), seconds, an RFC 3339 time, or seconds or milliseconds
    /// since 1970 (OpenRouter).
    static func reset(_ text: String, at now: Timestamp) -> Span? {
        guard let text = trimmed(text) else { return nil }
        if let value = decimal(text[...]) {
            if value >= 1e12 { return until(Timestamp(microseconds: 0) + .seconds(value / 1_000), from: now) }
            if value >= 1e9 { return until(Timestamp(microseconds: 0) + .seconds(value), from: now) }
            return bounded(seconds: value)
        }
        if let span = duration(text) { return span }
        return Timestamp(rfc3339: String(decoding: text, as: UTF8.self)).map { until($0, from: now) }
    }

    private static func trimmed(_ text: String) -> [UInt8]? {
        guard text.utf8.count <= charactersMax else { return nil }
        let bytes = Array(text.utf8)
        guard let first = bytes.firstIndex(where: { $0 != 0x20 && $0 != 0x09 }),
            let last = bytes.lastIndex(where: { $0 != 0x20 && $0 != 0x09 })
        else { return nil }
        return Array(bytes[first...last])
    }

    /// Digits with at most one point among them; no sign and no exponent.
    private static func decimal(_ text: ArraySlice<UInt8>) -> Double? {
        guard let first = text.first, (48...57).contains(first) else { return nil }
        var value = 0.0
        var scale = 0.0
        for byte in text {
            switch byte {
            case 48...57:
                value = value * 10 + Double(byte - 48)
                scale *= 10
            case UInt8(ascii: ".") where scale == 0: scale = 1
            default: return nil
            }
        }
        return scale > 1 ? value / scale : value
    }

    /// Numbers with units, one behind the other, as Go prints a `time.Duration`.
    private static func duration(_ text: [UInt8]) -> Span? {
        var seconds = 0.0
        var rest = text[...]
        while !rest.isEmpty {
            let number = rest.prefix { (48...57).contains($0) || $0 == UInt8(ascii: ".") }
            guard let value = decimal(number) else { return nil }
            rest = rest.dropFirst(number.count)
            let unit = rest.prefix { !(48...57).contains($0) }
            rest = rest.dropFirst(unit.count)
            switch String(decoding: unit, as: UTF8.self) {
            case "d": seconds += value * 86_400
            case "h": seconds += value * 3_600
            case "m": seconds += value * 60
            case "s": seconds += value
            case "ms": seconds += value / 1e3
            case "us", "µs", "μs": seconds += value / 1e6
            case "ns": seconds += value / 1e9
            default: return nil
            }
        }
        return bounded(seconds: seconds)
    }

    private static func bounded(seconds: Double) -> Span { min(longest, max(.zero, .seconds(seconds))) }

    private static func until(_ moment: Timestamp, from now: Timestamp) -> Span {
        guard moment > now else { return .zero }
        // A clock far off must not wrap the difference around.
        guard now.microseconds >= 0 else { return longest }
        return min(longest, moment - now)
    }
}

/// The dates of HTTP, in the three shapes of RFC 9110 §5.6.7.
enum HTTPDate {
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` or `Sun Nov  6 08:49:37 1994`.
    static func parse(_ text: [UInt8]) -> Timestamp? {
        let separators: Set<UInt8> = [0x20, UInt8(ascii: "-"), UInt8(ascii: ",")]
        let words = text.split(whereSeparator: separators.contains).map { String(decoding: $0, as: UTF8.self) }
        let fields: (day: String, month: String, year: String, time: String)
        switch words.count {
        case 6 where words[5].lowercased() == "gmt" || words[5].lowercased() == "utc":
            fields = (words[1], words[2], words[3], words[4])
        case 5: fields = (words[2], words[1], words[4], words[3])
        default: return nil
        }
        guard let month = months.firstIndex(of: fields.month.lowercased()).map({ Int64($0 + 1) }),
            let year = number(fields.year, in: 0...9_999).map({ full($0, digits: fields.year.utf8.count) }),
            (1970...9_999).contains(year),
            let day = number(fields.day, in: 1...Timestamp.daysIn(month, of: year))
        else { return nil }
        let parts = fields.time.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, let hour = number(parts[0], in: 0...23), let minute = number(parts[1], in: 0...59),
            let second = number(parts[2], in: 0...60)
        else { return nil }
        let days = Timestamp.days(year: year, month: month, day: day)
        return Timestamp(microseconds: (days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000)
    }

    /// Two digits stand for the years that this can mean here.
    private static func full(_ year: Int64, digits: Int) -> Int64 {
        guard digits <= 2 else { return year }
        return year < 70 ? 2_000 + year : 1_900 + year
    }

    private static func number(_ text: String, in range: ClosedRange<Int64>) -> Int64? {
        guard text.utf8.count <= 4, text.utf8.allSatisfy({ (48...57).contains($0) }), let value = Int64(text),
            range.contains(value)
        else { return nil }
        return value
    }
}
