import Kernel

/// A moment as pages show it: relative words, with the full time behind them. `app.js` writes the same words, so that
/// they stay true while the page is open.
struct TimeView: PageView {
    let iso: String
    let full: String
    /// `ago` for "3m ago", `span` for a bare "3m".
    let style: String
    let text: String

    static func ago(_ time: Timestamp, now: Timestamp) -> TimeView {
        let age = now - time
        let text =
            age < Span.seconds(-1.0)
            ? "in \(PageText.span(now - time))"
            : age < Span.seconds(2.0) ? "just now" : "\(PageText.span(age)) ago"
        return TimeView(iso: PageText.iso(time), full: PageText.full(time), style: "ago", text: text)
    }

    static func ago(_ time: Timestamp?, now: Timestamp) -> TimeView? { time.map { ago($0, now: now) } }

    /// How long ago, without the word: for ages and for how long something has lasted.
    static func span(_ time: Timestamp, now: Timestamp) -> TimeView {
        TimeView(
            iso: PageText.iso(time), full: PageText.full(time), style: "span",
            text: PageText.span(max(.zero, now - time)))
    }
}

/// Numbers, sizes and names in words for people.
enum PageText {
    /// `42s`, `3m 20s`, `2h 5m`, `4d 3h`; the sign is left out.
    static func span(_ span: Span) -> String {
        let seconds = Int64((span.microseconds.magnitude / 1_000_000))
        if seconds < 60 { return "\(seconds)s" }
        if seconds < 600, seconds % 60 != 0 { return "\(seconds / 60)m \(seconds % 60)s" }
        if seconds < 3_600 { return "\(seconds / 60)m" }
        if seconds < 86_400 { return "\(seconds / 3_600)h \(seconds % 3_600 / 60)m" }
        return "\(seconds / 86_400)d \(seconds % 86_400 / 3_600)h"
    }

    /// RFC 3339 without the fraction.
    static func iso(_ time: Timestamp) -> String { String(time.rfc3339.prefix(19)) + "Z" }

    static func full(_ time: Timestamp) -> String {
        let text = time.rfc3339
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8)) UTC"
    }

    /// `812 B`, `14.2 KB`, `3.0 MB`: powers of 1,000.
    static func bytes(_ count: Int64) -> String {
        if count < 1_000 { return "\(count) B" }
        var value = Double(count)
        for unit in ["KB", "MB", "GB"] {
            value /= 1_000
            if value < 999.95 || unit == "GB" { return "\(decimal(value, digits: value < 100 ? 1 : 0)) \(unit)" }
        }
        return "\(count) B"
    }

    /// `12,480`.
    static func count(_ number: Int64) -> String {
        let digits = Array(String(number.magnitude))
        var text = number < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }

    /// Dollars with two digits behind the point, or four below ten cents.
    static func dollars(nano: Int64) -> String {
        "$" + decimal(Double(nano) / 1e9, digits: nano.magnitude < 100_000_000 && nano != 0 ? 4 : 2)
    }

    static func percent(_ value: Double) -> String { "\(Int(value.rounded())) %" }

    static func decimal(_ value: Double, digits: Int) -> String {
        let scale = (0..<digits).reduce(1.0) { result, _ in result * 10 }
        guard value.isFinite, let scaled = Int64(exactly: (value.magnitude * scale).rounded()) else { return "?" }
        let whole = scaled / Int64(scale)
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(count(whole))" }
        let fraction = String(scaled % Int64(scale))
        return "\(sign)\(count(whole)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }

    /// `in_review` as "In review".
    static func label(_ word: String) -> String {
        let text = word.split(separator: "_").joined(separator: " ")
        return text.prefix(1).uppercased() + text.dropFirst()
    }

    /// "1 agent", "2 agents".
    static func plural(_ count: some BinaryInteger, _ noun: String) -> String {
        "\(self.count(Int64(count))) \(noun)\(count == 1 ? "" : "s")"
    }

    /// At most `max` characters, with an ellipsis in place of the rest.
    static func clipped(_ text: String, _ max: Int) -> String {
        text.count <= max ? text : text.prefix(max) + "…"
    }
}

/// Addresses of our own pages, with every part encoded.
enum PagePath {
    static func task(_ id: String) -> String { "/tasks/\(encoded(id))" }
    static func agent(_ name: String) -> String { "/agents/\(encoded(name))" }
    static func incident(_ id: String) -> String { "/incidents/\(encoded(id))" }
    static func trace(_ id: String) -> String { "/traces/\(encoded(id))" }

    /// The trace that a `traceparent` names (W3C Trace Context).
    static func traceID(_ traceparent: String) -> String? {
        let parts = traceparent.split(separator: "-")
        return parts.count >= 2 && parts[1].utf8.count == 32 ? String(parts[1]) : nil
    }

    /// A path with a query; pairs without a value are left out.
    static func query(_ path: String, _ pairs: [(name: String, value: String?)]) -> String {
        let given = pairs.compactMap { name, value in
            value.flatMap { $0.isEmpty ? nil : "\(name)=\(encoded($0))" }
        }
        return given.isEmpty ? path : "\(path)?\(given.joined(separator: "&"))"
    }

    /// Percent-encodes all but RFC 3986's unreserved characters.
    static func encoded(_ text: String) -> String {
        var output = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "~"):
                output.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                output += "%" + Hexadecimal.encode([byte]).uppercased()
            }
        }
        return output
    }
}
