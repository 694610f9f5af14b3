/// A decimal number taken exactly as it is written: `coefficient` × 10^`exponent`.
///
/// `multipleOf: 0.01` means the decimal 0.01; binary fractions would refuse 0.07. A double stands for the shortest
/// decimal that reads back as it.
struct ExactDecimal: Sendable, Equatable {
    let coefficient: UInt64
    let exponent: Int

    /// The magnitude of a number; `nil` for what is none.
    init?(_ value: JSONValue) {
        switch value {
        case .int(let number): self.init(coefficient: number.magnitude, exponent: 0)
        case .double(let number) where number.isFinite: self.init(text: "\(number.magnitude)")
        default: return nil
        }
    }

    private init(coefficient: UInt64, exponent: Int) {
        self.coefficient = coefficient
        self.exponent = exponent
    }

    /// Reads Swift's own form of a double: `12.5`, `1e-07`, `1.5e+300`; at most 17 digits, so they fit.
    private init?(text: String) {
        let parts = text.split(separator: "e")
        guard let mantissa = parts.first, let exponent = parts.count > 1 ? Int(parts[1]) : 0 else { return nil }
        let digits = mantissa.split(separator: ".")
        guard let whole = digits.first else { return nil }
        let fraction = digits.count > 1 && digits[1] != "0" ? digits[1] : ""
        guard let coefficient = UInt64(whole + fraction) else { return nil }
        self.init(coefficient: coefficient, exponent: exponent - fraction.count)
    }

    func isMultiple(of divisor: ExactDecimal) -> Bool {
        guard coefficient != 0 else { return true }
        guard divisor.coefficient != 0 else { return false }
        var shift = exponent - divisor.exponent
        var rest = coefficient
        while shift < 0 {
            guard rest % 10 == 0 else { return false }
            rest /= 10
            shift += 1
        }
        let modulus = UInt128(divisor.coefficient)
        var product = UInt128(rest) % modulus
        var power = UInt128(10) % modulus
        // 10^shift by squaring, all within the modulus, so nothing overflows 128 bits.
        while shift > 0 {
            if shift & 1 == 1 { product = product * power % modulus }
            power = power * power % modulus
            shift >>= 1
        }
        return product == 0
    }
}

extension JSONValue {
    /// Compares numbers exactly, whichever of the two forms they have; `nil` where one is none.
    static func compare(_ left: JSONValue, _ right: JSONValue) -> Int? {
        switch (left, right) {
        case (.int(let left), .int(let right)): left < right ? -1 : left > right ? 1 : 0
        case (.double(let left), .double(let right)): left < right ? -1 : left > right ? 1 : 0
        case (.int(let left), .double(let right)): compare(left, right)
        case (.double(let left), .int(let right)): -compare(right, left)
        default: nil
        }
    }

    private static func compare(_ left: Int64, _ right: Double) -> Int {
        // 2^63 is the first double that no Int64 reaches.
        if right >= 0x1p63 { return -1 }
        if right < -0x1p63 { return 1 }
        let floor = right.rounded(.down)
        let whole = Int64(floor)
        if left != whole { return left < whole ? -1 : 1 }
        return floor < right ? -1 : 0
    }

    /// Bytes that are equal exactly for values that JSON Schema calls equal: `1` and `1.0` are, the order of members
    /// does not count, and text is compared by its code points.
    var canonicalBytes: [UInt8] {
        var output: [UInt8] = []
        writeCanonical(to: &output)
        return output
    }

    private func writeCanonical(to output: inout [UInt8]) {
        switch self {
        case .double(let number):
            if let whole = Int64(exactly: number) { return JSONValue.int(whole).write(to: &output) }
            write(to: &output)
        case .array(let values):
            output.append(UInt8(ascii: "["))
            for value in values {
                value.writeCanonical(to: &output)
                output.append(UInt8(ascii: ","))
            }
            output.append(UInt8(ascii: "]"))
        case .object(let object):
            output.append(UInt8(ascii: "{"))
            let members = object.members.map { (name: Array($0.name.utf8), value: $0.value) }
            for member in members.sorted(by: { $0.name.lexicographicallyPrecedes($1.name) }) {
                JSONValue.string(String(decoding: member.name, as: UTF8.self)).write(to: &output)
                output.append(UInt8(ascii: ":"))
                member.value.writeCanonical(to: &output)
                output.append(UInt8(ascii: ","))
            }
            output.append(UInt8(ascii: "}"))
        default: write(to: &output)
        }
    }
}
