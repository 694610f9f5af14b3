/// Files of `NAME=VALUE` lines, as many programs keep their settings in. Nothing is expanded: a value is what stands
/// there.
public enum DotEnv {
    /// What stands wrong, and where.
    public struct Failure: Error, Equatable, CustomStringConvertible {
        public let line: Int
        public let reason: String
        public var description: String { "line \(line): \(reason)" }
    }

    /// The variables in their order; of a name that stands twice the last one counts.
    public static func parse(_ text: String) throws(Failure) -> [(name: String, value: String)] {
        var found: [(name: String, value: String)] = []
        var lines = text.replacing("\r\n", with: "\n").split(separator: "\n", omittingEmptySubsequences: false)[...]
        var number = 0
        while let first = lines.popFirst() {
            number += 1
            let start = number
            var line = first.drop { $0 == " " || $0 == "\t" }
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            if line.hasPrefix("export ") { line = line.dropFirst(7).drop { $0 == " " } }
            guard let equals = line.firstIndex(of: "=") else {
                throw Failure(line: start, reason: "there is no =")
            }
            let name = line[..<equals].trimmed
            guard isName(name) else { throw Failure(line: start, reason: "the name is not one of a variable") }
            var rest = line[line.index(after: equals)...].drop { $0 == " " || $0 == "\t" }
            if let quote = rest.first, quote == "\"" || quote == "'" {
                var body = String(rest.dropFirst())
                while end(of: quote, in: body) == nil {
                    guard let next = lines.popFirst() else {
                        throw Failure(line: start, reason: "a quote is not closed")
                    }
                    number += 1
                    body += "\n" + next
                }
                guard let end = end(of: quote, in: body) else { continue }
                let behind = body[body.index(after: end)...].trimmed
                guard behind.isEmpty || behind.hasPrefix("#") else {
                    throw Failure(line: number, reason: "something stands behind the closing quote")
                }
                add(name, quote == "'" ? String(body[..<end]) : unescaped(body[..<end]), to: &found)
                continue
            }
            if let comment = rest.range(of: " #") { rest = rest[..<comment.lowerBound] }
            add(name, rest.trimmed, to: &found)
        }
        return found
    }

    private static func add(_ name: String, _ value: String, to found: inout [(name: String, value: String)]) {
        found.removeAll { $0.name == name }
        found.append((name, value))
    }

    private static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(48...57).contains(first), text.utf8.count <= 128 else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case 48...57, 65...90, 97...122: true
            default: byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
            }
        }
    }

    /// Where the closing quote stands; between double ones a backslash hides one.
    private static func end(of quote: Character, in text: String) -> String.Index? {
        var index = text.startIndex
        while index < text.endIndex {
            if quote == "\"", text[index] == "\\" {
                index = text.index(after: index)
                guard index < text.endIndex else { return nil }
            } else if text[index] == quote {
                return index
            }
            index = text.index(after: index)
        }
        return nil
    }

    private static func unescaped(_ text: Substring) -> String {
        var output = ""
        var isEscaped = false
        for character in text {
            guard isEscaped else {
                if character == "\\" { isEscaped = true } else { output.append(character) }
                continue
            }
            isEscaped = false
            switch character {
            case "n": output.append("\n")
            case "r": output.append("\r")
            case "t": output.append("\t")
            case "\\", "\"", "$", "`": output.append(character)
            default: output += "\\" + String(character)
            }
        }
        return output
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}
