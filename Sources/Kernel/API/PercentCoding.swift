/// Percent-encoding as addresses (RFC 3986 §2.1) and HTML forms (WHATWG URL Standard §5.1) carry it.
public enum PercentCoding {
    /// The decoded text; `nil` for a broken escape, for what is not UTF-8, and for NUL, which PostgreSQL cannot keep.
    public static func decode(_ bytes: some Collection<UInt8>, plusIsSpace: Bool = false) -> String? {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index != bytes.endIndex {
            var byte = bytes[index]
            bytes.formIndex(after: &index)
            if byte == UInt8(ascii: "%") {
                guard let high = digit(bytes, &index), let low = digit(bytes, &index) else { return nil }
                byte = high << 4 | low
            } else if byte == UInt8(ascii: "+"), plusIsSpace {
                byte = UInt8(ascii: " ")
            }
            guard byte != 0 else { return nil }
            output.append(byte)
        }
        return String(validating: output, as: UTF8.self)
    }

    /// The pairs of a query or of a form, in their order; `nil` where one cannot be decoded.
    public static func pairs(_ bytes: some Collection<UInt8>) -> [(name: String, value: String)]? {
        var pairs: [(name: String, value: String)] = []
        for part in bytes.split(separator: UInt8(ascii: "&")) {
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let value = equals == part.endIndex ? part[equals...] : part[part.index(after: equals)...]
            guard let name = decode(part[..<equals], plusIsSpace: true), let text = decode(value, plusIsSpace: true)
            else { return nil }
            pairs.append((name, text))
        }
        return pairs
    }

    private static func digit<Bytes: Collection<UInt8>>(_ bytes: Bytes, _ index: inout Bytes.Index) -> UInt8? {
        guard index != bytes.endIndex else { return nil }
        defer { bytes.formIndex(after: &index) }
        let byte = bytes[index]
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): return byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): return byte - UInt8(ascii: "A") + 10
        default: return nil
        }
    }
}

extension APIRequest {
    /// The pairs of a form sent as `application/x-www-form-urlencoded`.
    public func form() throws -> [(name: String, value: String)] {
        guard let pairs = PercentCoding.pairs(body) else {
            throw Problem(
                .badRequest, "The form cannot be decoded.", hint: "Send application/x-www-form-urlencoded in UTF-8.")
        }
        return pairs
    }

    /// One value of the form; `nil` where it is absent.
    public func formValue(_ name: String) throws -> String? { try form().first { $0.name == name }?.value }
}
