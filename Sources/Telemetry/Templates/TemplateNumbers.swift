import Foundation
import Kernel

/// Numbers for people, with four digits that count (Prometheus 2.42, `template/template.go`).
enum TemplateNumbers {
    /// With a prefix of SI: `12.35k`.
    static func humanize(_ value: Double) -> String {
        guard value != 0, value.isFinite else { return short(value) }
        return value.magnitude >= 1
            ? scaled(value, by: 1_000, ["k", "M", "G", "T", "P", "E", "Z", "Y"]) : fraction(value)
    }

    /// With a binary prefix: `1.5ki`.
    static func humanize1024(_ value: Double) -> String {
        guard value.magnitude > 1, value.isFinite else { return short(value) }
        return scaled(value, by: 1_024, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
    }

    /// Of seconds: `2d 3h 0m 1s`.
    static func duration(_ value: Double) -> String {
        guard value.isFinite else { return short(value) }
        if value == 0 { return short(value) + "s" }
        guard value.magnitude >= 1 else { return fraction(value) + "s" }
        let sign = value < 0 ? "-" : ""
        guard let whole = Int(exactly: value.magnitude.rounded(.towardZero)) else { return short(value) + "s" }
        let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3_600 % 24, whole / 86_400)
        if days > 0 { return "\(sign)\(days)d \(hours)h \(minutes)m \(seconds)s" }
        if hours > 0 { return "\(sign)\(hours)h \(minutes)m \(seconds)s" }
        if minutes > 0 { return "\(sign)\(minutes)m \(seconds)s" }
        return "\(sign)\(short(value.magnitude))s"
    }

    static func percentage(_ value: Double) -> String { short(value * 100) + "%" }

    /// Of seconds since 1970: `2015-01-01 00:00:00 +0000 UTC`, with as many digits of a second as it takes.
    static func timestamp(_ value: Double) -> String {
        // Years of four digits, which is what is written.
        guard value.isFinite, (-62_135_596_800..<253_402_300_800).contains(value) else { return short(value) }
        let milliseconds = Int64((value * 1_000).rounded(.down))
        var text = Timestamp(microseconds: milliseconds * 1_000).rfc3339.replacing("T", with: " ").dropLast()
        while text.hasSuffix("0") { text.removeLast() }
        if text.hasSuffix(".") { text.removeLast() }
        return "\(text) +0000 UTC"
    }

    private static func scaled(_ value: Double, by step: Double, _ prefixes: [String]) -> String {
        var value = value
        var prefix = ""
        for next in prefixes {
            if value.magnitude < step { break }
            prefix = next
            value /= step
        }
        return short(value) + prefix
    }

    private static func fraction(_ value: Double) -> String {
        var value = value
        var prefix = ""
        for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            if value.magnitude >= 1 { break }
            prefix = next
            value *= 1_000
        }
        return short(value) + prefix
    }

    private static func short(_ value: Double) -> String { format(value, "%.4g") }

    /// As C's `printf` does, with Go's words for what is no number.
    static func format(_ value: Double, _ form: String) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return String(format: form, value)
    }
}
