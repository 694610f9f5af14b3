import Foundation

/// `printf` of Go (pkg.go.dev/fmt), as far as annotations use it.
enum TemplateFormat {
    /// Of a width or a precision.
    static let widthMax = 256

    static func text(_ format: String, _ arguments: [TemplateValue]) throws -> String {
        var output = ""
        var rest = arguments[...]
        var signs = Array(format)[...]
        while let sign = signs.popFirst() {
            guard sign == "%" else {
                output.append(sign)
                continue
            }
            let flags = take(&signs) { "+-# 0".contains($0) }
            let width = try number(&signs)
            var precision: Int?
            if signs.first == "." {
                signs.removeFirst()
                precision = try number(&signs) ?? 0
            }
            guard let verb = signs.popFirst() else { return output + "%!(NOVERB)" }
            if verb == "%" {
                output.append("%")
            } else if let argument = rest.popFirst() {
                output += padded(one(argument, verb, flags, precision), flags, width)
            } else {
                output += "%!\(verb)(MISSING)"
            }
        }
        guard rest.isEmpty else {
            let extra = rest.map { "\(type($0))=\($0.text)" }.joined(separator: ", ")
            return output + "%!(EXTRA \(extra))"
        }
        return output
    }

    private static func take(_ signs: inout ArraySlice<Character>, while isMeant: (Character) -> Bool) -> String {
        let taken = signs.prefix(while: isMeant)
        signs = signs.dropFirst(taken.count)
        return String(taken)
    }

    private static func number(_ signs: inout ArraySlice<Character>) throws -> Int? {
        let digits = take(&signs) { ("0"..."9").contains($0) }
        guard !digits.isEmpty else { return nil }
        guard let number = Int(digits), number <= widthMax else {
            throw TemplateFault("a width of printf is \(widthMax) at most")
        }
        return number
    }

    private static func padded(_ text: String, _ flags: String, _ width: Int?) -> String {
        guard let width, text.count < width else { return text }
        let missing = width - text.count
        if flags.contains("-") { return text + String(repeating: " ", count: missing) }
        guard flags.contains("0") else { return String(repeating: " ", count: missing) + text }
        let sign = text.prefix { $0 == "-" || $0 == "+" }
        return sign + String(repeating: "0", count: missing) + text.dropFirst(sign.count)
    }

    private static func one(_ value: TemplateValue, _ verb: Character, _ flags: String, _ precision: Int?) -> String {
        let plus = flags.contains("+")
        switch (verb, value) {
        case ("v", .float(let number)) where precision != nil: return float(number, "g", precision, plus)
        case ("v", _): return value.text
        case ("s", .string(let text)): return String(text.prefix(precision ?? .max))
        case ("s", .list), ("s", .map): return value.text
        case ("q", .string(let text)): return QueryText.quoted(text)
        case ("t", .bool): return value.text
        case ("d", .int(let number)): return plus && number >= 0 ? "+\(number)" : "\(number)"
        case ("x", .int(let number)): return String(number, radix: 16)
        case ("X", .int(let number)): return String(number, radix: 16, uppercase: true)
        case ("o", .int(let number)): return String(number, radix: 8)
        case ("b", .int(let number)): return String(number, radix: 2)
        case ("c", .int(let number)): return Unicode.Scalar(UInt32(clamping: number)).map { String($0) } ?? "\u{FFFD}"
        case ("x", .string(let text)): return text.utf8.map { String(format: "%02x", $0) }.joined()
        case ("f", .float(let number)), ("F", .float(let number)): return float(number, "f", precision ?? 6, plus)
        case ("e", .float(let number)), ("E", .float(let number)):
            return float(number, "\(verb)", precision ?? 6, plus)
        case ("g", .float(let number)), ("G", .float(let number)):
            return precision == nil
                ? (plus && number >= 0 ? "+" : "") + value.text
                : float(number, "\(verb)", precision, plus)
        default: return "%!\(verb)(\(type(value))=\(value.text))"
        }
    }

    private static func float(_ number: Double, _ verb: String, _ precision: Int?, _ plus: Bool) -> String {
        TemplateNumbers.format(number, "%\(plus ? "+" : "").\(precision ?? 6)\(verb)")
    }

    /// Go's name of a value's type, as its complaints have it.
    private static func type(_ value: TemplateValue) -> String {
        switch value {
        case .nothing: "<nil>"
        case .bool: "bool"
        case .int: "int"
        case .float: "float64"
        case .string: "string"
        case .list: "[]interface {}"
        case .map: "map[string]string"
        case .sample: "*template.sample"
        }
    }
}
