import Foundation

/// How a value may stand in a text: as it is, as others write it, and in parts.
enum SecretForms {
    /// Every form that is long enough to be told from ordinary text, each once.
    static func all(of value: SecretBytes) -> [[UInt8]] {
        value.withBytes { bytes in
            let whole = Array(bytes)
            guard whole.count >= KnownSecrets.valueMin else { return [] }
            var forms: [[UInt8]] = []
            var seen: Set<[UInt8]> = []
            for text in [whole] + lines(of: whole) {
                for form in written(text) where form.count >= KnownSecrets.valueMin {
                    for piece in pieces(of: form) where seen.insert(piece).inserted { forms.append(piece) }
                }
            }
            return forms
        }
    }

    /// The lines of a value that has more than one; not the first and last of a key's armour, which all keys have.
    private static func lines(of value: [UInt8]) -> [[UInt8]] {
        let lines = value.split { $0 == 0x0A || $0 == 0x0D }
        guard lines.count > 1 else { return [] }
        return lines.prefix(KnownSecrets.linesMax).filter {
            $0.count >= KnownSecrets.lineMin && !$0.starts(with: "-----".utf8)
        }.map(Array.init)
    }

    /// A form that is too long goes in pieces, of which the last one overlaps the one before.
    private static func pieces(of form: [UInt8]) -> [[UInt8]] {
        let size = KnownSecrets.pieceMax
        guard form.count > size else { return [form] }
        var starts = Array(stride(from: 0, to: form.count - size, by: size))
        starts.append(form.count - size)
        return starts.map { Array(form[$0..<$0 + size]) }
    }

    private static func written(_ value: [UInt8]) -> [[UInt8]] {
        var forms = [value]
        if let text = String(validating: value, as: UTF8.self) {
            forms += json(text, depth: jsonDepth)
            forms.append(
                inner(JSONValue.string(text).bytes).flatMap { $0 == UInt8(ascii: "/") ? Array("\\/".utf8) : [$0] })
        }
        forms.append(percent(value, keeping: "-._~"))
        forms.append(percent(value, keeping: "-._~", digits: lowerDigits))
        forms.append(percent(value, keeping: "-._~/"))
        forms.append(percent(value, keeping: "-._", space: UInt8(ascii: "+")))
        forms.append(percent(value, keeping: "-_.!~*'()"))
        for shift in 0..<3 {
            let form = base64(value, behind: shift)
            forms.append(form)
            forms.append(form.map { $0 == UInt8(ascii: "+") ? 45 : $0 == UInt8(ascii: "/") ? 95 : $0 })
        }
        let digits = Hexadecimal.encode(value)
        forms.append(Array(digits.utf8))
        forms.append(Array(digits.uppercased().utf8))
        return forms
    }

    /// A document within a document, within the body that brings it.
    private static let jsonDepth = 3

    /// As JSON writes a text, and as it writes that again, by both kinds of writers: those that keep to ASCII, and
    /// those that do not.
    private static func json(_ text: String, depth: Int) -> [[UInt8]] {
        guard depth > 0 else { return [] }
        let plain = inner(JSONValue.string(text).bytes)
        let ascii = asciiJSON(text)
        return [plain, ascii].flatMap { [$0] + json(String(decoding: $0, as: UTF8.self), depth: depth - 1) }
    }

    /// Without the quotes.
    private static func inner(_ bytes: [UInt8]) -> [UInt8] { Array(bytes.dropFirst().dropLast()) }

    /// As writers do that keep to ASCII, such as Python's.
    private static func asciiJSON(_ text: String) -> [UInt8] {
        var output: [UInt8] = []
        for unit in text.utf16 {
            if unit < 0x80 {
                output += inner(JSONValue.string(String(UnicodeScalar(UInt8(unit)))).bytes)
            } else {
                output += Array("\\u".utf8) + Hexadecimal.encode([UInt8(unit >> 8), UInt8(unit & 0xFF)]).utf8
            }
        }
        return output
    }

    private static let upperDigits = Array("0123456789ABCDEF".utf8)
    private static let lowerDigits = Array("0123456789abcdef".utf8)

    private static func percent(
        _ value: [UInt8], keeping others: String, digits: [UInt8] = upperDigits, space: UInt8? = nil
    ) -> [UInt8] {
        let plain = ByteSet("0"..."9", "A"..."Z", "a"..."z", and: others)
        var output: [UInt8] = []
        for byte in value {
            if plain.contains(byte) {
                output.append(byte)
            } else if let space, byte == 0x20 {
                output.append(space)
            } else {
                output += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return output
    }

    /// The characters of Base64 that depend on the value alone, where so many bytes stand before it.
    private static func base64(_ value: [UInt8], behind shift: Int) -> [UInt8] {
        let text = Data([UInt8](repeating: 0, count: shift) + value).base64EncodedData()
        let (first, end) = ((shift * 8 + 5) / 6, (shift + value.count) * 8 / 6)
        return Array(text[first..<end])
    }
}
