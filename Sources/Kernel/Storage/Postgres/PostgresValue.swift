import CPostgres

/// PostgreSQL's types by their number (`pg_type.dat`), and their binary forms.
enum PostgresValue {
    static let bytea: Oid = 17
    static let int8: Oid = 20
    static let text: Oid = 25
    static let float8: Oid = 701

    /// A value of a result; `nil` for a type that Reeve's tables and queries have not.
    static func decode(_ bytes: UnsafeRawBufferPointer, type: Oid) -> SQLValue? {
        switch type {
        case int8: integer(bytes, Int64.self)
        case 23: integer(bytes, Int32.self)
        case 21: integer(bytes, Int16.self)
        case 26: integer(bytes, UInt32.self)
        case 16: .integer(bytes.first == 0 ? 0 : 1)
        case float8: integer(bytes, UInt64.self) { .real(Double(bitPattern: $0)) }
        case 700: integer(bytes, UInt32.self) { .real(Double(Float(bitPattern: $0))) }
        case 1700: numeric(bytes)
        // text, varchar, bpchar, name, "char", unknown, json, xml: their binary form is their text.
        case text, 1043, 1042, 19, 18, 705, 114, 142: .text(String(decoding: bytes, as: UTF8.self))
        case bytea: .blob(Array(bytes))
        // void: what a function without a value returns.
        case 2278: .null
        default: nil
        }
    }

    private static func integer<Value: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, _: Value.Type) -> SQLValue? {
        integer(bytes, Value.self) { .integer(Int64($0)) }
    }

    private static func integer<Value: FixedWidthInteger>(
        _ bytes: UnsafeRawBufferPointer, _: Value.Type, _ make: (Value) -> SQLValue
    ) -> SQLValue? {
        guard bytes.count == MemoryLayout<Value>.size else { return nil }
        return make(Value(bigEndian: bytes.loadUnaligned(as: Value.self)))
    }

    /// `numeric` (`numeric_send`): four 16-bit words (count of digits, weight of the first, sign, digits of fraction),
    /// then the digits in base 10,000. Without fraction it is a sum of integers, and reads as one; else as a real.
    private static func numeric(_ bytes: UnsafeRawBufferPointer) -> SQLValue? {
        guard bytes.count >= 8, bytes.count % 2 == 0 else { return nil }
        let words = (0..<bytes.count / 2).map { index in
            UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
        }
        let (count, weight, fraction) = (Int(words[0]), Int(Int16(bitPattern: words[1])), Int(words[3]))
        guard words.count == 4 + count, words[2] == 0 || words[2] == 0x4000 else {
            return words[2] == 0xC000 ? .real(.nan) : .real(words[2] == 0xF000 ? -.infinity : .infinity)
        }
        // The digit of 10,000 to the power: places between the point and the first digit are not sent.
        let digits = { (power: Int) in
            let index = weight - power
            return padded(index >= 0 && index < count ? words[4 + index] : 0)
        }
        var text = words[2] == 0x4000 ? "-" : ""
        for power in (0...max(weight, 0)).reversed() { text += digits(power) }
        if fraction == 0, let value = Int64(text) { return .integer(value) }
        let last = weight - count + 1
        if last < 0 { text += "." }
        for power in stride(from: -1, through: last, by: -1) { text += digits(power) }
        return Double(text).map(SQLValue.real)
    }

    private static func padded(_ digit: UInt16) -> String {
        let text = String(digit)
        return String(repeating: "0", count: max(0, 4 - text.count)) + text
    }
}
