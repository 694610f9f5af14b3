/// One part of a `multipart/form-data` body.
public struct MultipartPart: Sendable, Equatable {
    public let name: String
    public let filename: String?
    public let contentType: String?
    public let body: [UInt8]
}

/// Reads `multipart/form-data` (RFC 7578) from a body that is already in memory and within its limit.
public enum Multipart {
    /// Parts of one body; more are refused.
    public static let partsMax = 100
    private static let headerBytesMax = 8_192

    /// The boundary that a content type names; `nil` where it is not multipart.
    public static func boundary(of contentType: String) -> String? {
        guard contentType.lowercased().hasPrefix("multipart/form-data") else { return nil }
        for parameter in contentType.split(separator: ";").dropFirst() {
            let pair = parameter.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, pair[0].filter({ $0 != " " }).lowercased() == "boundary" else { continue }
            let value = unquoted(String(pair[1]))
            return (1...70).contains(value.utf8.count) ? value : nil
        }
        return nil
    }

    /// Throws ``Problem`` where the body is not what its boundary promises.
    public static func parse(_ body: [UInt8], boundary: String) throws -> [MultipartPart] {
        let delimiter = Array("--\(boundary)".utf8)
        var parts: [MultipartPart] = []
        guard var position = find(delimiter, in: body, from: 0) else { throw malformed("the boundary does not occur") }
        while true {
            position += delimiter.count
            if starts(body, at: position, with: Array("--".utf8)) { return parts }
            guard starts(body, at: position, with: [13, 10]) else {
                throw malformed("a line does not end after a boundary")
            }
            guard parts.count < partsMax else { throw malformed("more than \(partsMax) parts") }
            guard let end = find([13, 10] + delimiter, in: body, from: position) else {
                throw malformed("the last boundary is missing")
            }
            parts.append(try part(Array(body[min(position + 2, end)..<end])))
            position = end + 2
        }
    }

    private static func part(_ bytes: [UInt8]) throws -> MultipartPart {
        guard let end = find([13, 10, 13, 10], in: bytes, from: 0), end <= headerBytesMax else {
            throw malformed("a part without the empty line behind its headers")
        }
        guard let head = String(validating: bytes[..<end], as: UTF8.self) else {
            throw malformed("headers not in UTF-8")
        }
        var name: String?
        var filename: String?
        var contentType: String?
        for line in head.split(separator: "\r\n") {
            let pair = line.split(separator: ":", maxSplits: 1)
            guard pair.count == 2 else { continue }
            let value = String(pair[1].drop { $0 == " " })
            switch pair[0].lowercased() {
            case "content-disposition":
                for parameter in parameters(value) {
                    if parameter.name == "name" { name = parameter.value }
                    if parameter.name == "filename" { filename = parameter.value }
                }
            case "content-type": contentType = value
            default: break
            }
        }
        guard let name else { throw malformed("a part without a name") }
        return MultipartPart(name: name, filename: filename, contentType: contentType, body: Array(bytes[(end + 4)...]))
    }

    /// `; name="value"` pairs; a quoted value may hold semicolons and escaped quotes.
    private static func parameters(_ text: String) -> [(name: String, value: String)] {
        var pairs: [(name: String, value: String)] = []
        var rest = Substring(text)
        while let semicolon = rest.firstIndex(of: ";") {
            rest = rest[rest.index(after: semicolon)...].drop { $0 == " " }
            guard let equals = rest.firstIndex(of: "=") else { break }
            let name = rest[..<equals].lowercased()
            rest = rest[rest.index(after: equals)...]
            var value = ""
            if rest.first == "\"" {
                rest = rest.dropFirst()
                while let character = rest.popFirst(), character != "\"" {
                    if character == "\\", let next = rest.popFirst() {
                        value.append(next)
                    } else {
                        value.append(character)
                    }
                }
            } else {
                value = String(rest.prefix { $0 != ";" })
                rest = rest.dropFirst(value.count)
            }
            pairs.append((name, value))
        }
        return pairs
    }

    private static func unquoted(_ text: String) -> String {
        text.count >= 2 && text.hasPrefix("\"") && text.hasSuffix("\"") ? String(text.dropFirst().dropLast()) : text
    }

    private static func starts(_ bytes: [UInt8], at position: Int, with prefix: [UInt8]) -> Bool {
        position + prefix.count <= bytes.count && bytes[position..<position + prefix.count].elementsEqual(prefix)
    }

    private static func find(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard let first = needle.first, bytes.count >= needle.count else { return nil }
        var position = start
        let last = bytes.count - needle.count
        while position <= last {
            guard let candidate = bytes[position...last].firstIndex(of: first) else { return nil }
            if starts(bytes, at: candidate, with: needle) { return candidate }
            position = candidate + 1
        }
        return nil
    }

    private static func malformed(_ reason: String) -> Problem {
        Problem(
            .badRequest, "The multipart body cannot be read: \(reason).",
            hint: "Send multipart/form-data as RFC 7578 describes it, or a JSON body.")
    }
}
