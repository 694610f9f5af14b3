/// Numbers and texts as Prometheus writes them.
public enum QueryText {
    /// A text within quotes, as a label's value stands in a query.
    public static func quoted(_ text: String) -> String {
        var output = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": output += "\\\\"
            case "\"": output += "\\\""
            case "\n": output += "\\n"
            case "\r": output += "\\r"
            case "\t": output += "\\t"
            default:
                if scalar.value < 32 || scalar.value == 127 {
                    let digits = String(scalar.value, radix: 16)
                    output += "\\x" + (digits.count < 2 ? "0" : "") + digits
                } else {
                    output.unicodeScalars.append(scalar)
                }
            }
        }
        return output + "\""
    }

    /// A number with as few digits as tell it apart, and without an exponent unless it is very small or large (Go,
    /// `strconv.FormatFloat(f, 'f', -1, 64)`; Prometheus' JSON takes `'e'` below 1e-6 and from 1e21 on).
    ///
    /// - Parameter isPlain: Never with an exponent, as in a label.
    static func number(_ value: Double, isPlain: Bool = false) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == 0 { return value.sign == .minus ? "-0" : "0" }
        if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return "\(whole)" }
        let (digits, exponent) = digits(value)
        let sign = value < 0 ? "-" : ""
        if !isPlain, value.magnitude < 1e-6 || value.magnitude >= 1e21 {
            let behind = digits.dropFirst()
            let power = exponent - 1
            return "\(sign)\(digits.prefix(1))\(behind.isEmpty ? "" : ".\(behind)")e\(power < 0 ? "-" : "+")"
                + (power.magnitude < 10 ? "0" : "") + "\(power.magnitude)"
        }
        if exponent <= 0 { return "\(sign)0.\(String(repeating: "0", count: -exponent))\(digits)" }
        guard digits.count > exponent else {
            return sign + digits + String(repeating: "0", count: exponent - digits.count)
        }
        return "\(sign)\(digits.prefix(exponent)).\(digits.dropFirst(exponent))"
    }

    /// The shortest digits that tell a number apart, without zeros around them, and where the point stands among them.
    static func digits(_ value: Double) -> (digits: String, exponent: Int) {
        let halves = "\(value.magnitude)".split(separator: "e")
        let power = halves.count > 1 ? Int(halves[1]) ?? 0 : 0
        let around = halves[0].split(separator: ".", omittingEmptySubsequences: false)
        var digits = Substring(around.joined())
        var exponent = around[0].count + power
        while digits.hasPrefix("0") {
            digits.removeFirst()
            exponent -= 1
        }
        while digits.hasSuffix("0") { digits.removeLast() }
        return (String(digits), exponent)
    }

    /// A time in seconds, with as many digits behind the point as milliseconds need.
    static func time(_ milliseconds: Int64) -> String {
        let seconds = milliseconds / 1_000
        let rest = milliseconds % 1_000
        guard rest != 0 else { return "\(seconds)" }
        let text = "\(rest.magnitude)"
        return
            "\(milliseconds < 0 ? "-" : "")\(seconds.magnitude).\(String(repeating: "0", count: 3 - text.count))\(text)"
    }
}
