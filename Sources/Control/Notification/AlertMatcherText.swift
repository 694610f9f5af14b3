import Kernel
import Telemetry

/// Matchers as Alertmanager writes them: `severity="critical"`, or several as `{team="a", env=~"prod.*"}`
/// (Alertmanager 0.25, `pkg/labels/parse.go`).
public enum AlertMatcherText {
    /// Matchers of one text.
    public static let matchersMax = 50

    /// - Throws: ``Kernel/Problem`` of the code `invalid` for the field.
    public static func parse(_ text: String, field: String) throws -> [LabelMatcher] {
        var rest = text[...].trimmed
        if rest.first == "{" {
            guard rest.last == "}", rest.count > 1 else { throw invalid(field, text, "a brace is missing") }
            rest = rest.dropFirst().dropLast()
        }
        var matchers: [LabelMatcher] = []
        for part in try parts(rest, field, text) {
            // A comma may stand at the end.
            if part.isEmpty { continue }
            guard matchers.count < matchersMax else {
                throw invalid(field, text, "\(matchersMax) matchers are the most")
            }
            matchers.append(try matcher(part, field, text))
        }
        return matchers
    }

    private static func invalid(_ field: String, _ text: String, _ reason: String) -> Problem {
        Problem.invalid(
            field, "\"\(text.prefix(200))\" is no matcher: \(reason)",
            hint: "Write them as severity=\"critical\", env=~\"prod.*\".")
    }

    /// Divided by commas that do not stand in quotes.
    private static func parts(_ text: Substring, _ field: String, _ whole: String) throws -> [Substring] {
        var parts: [Substring] = []
        var start = text.startIndex
        var isQuoted = false
        var isEscaped = false
        for index in text.indices {
            switch text[index] {
            case _ where isEscaped: isEscaped = false
            case "\\": isEscaped = true
            case "\"": isQuoted.toggle()
            case "," where !isQuoted:
                parts.append(text[start..<index].trimmed)
                start = text.index(after: index)
            default: break
            }
        }
        guard !isQuoted else { throw invalid(field, whole, "a quote is missing") }
        return parts + [text[start...].trimmed]
    }

    private static func matcher(_ text: Substring, _ field: String, _ whole: String) throws -> LabelMatcher {
        let name = text.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") }
        guard let first = name.first, !first.isNumber else { throw invalid(field, whole, "a label's name is missing") }
        let behind = text[name.endIndex...].trimmed
        let kinds: [LabelMatcher.Kind] = [.matches, .matchesNot, .notEqual, .equal]
        guard let kind = kinds.first(where: { behind.hasPrefix($0.rawValue) }) else {
            throw invalid(field, whole, "one of = != =~ !~ is expected behind \(name)")
        }
        let value = try value(behind.dropFirst(kind.rawValue.count).trimmed, field, whole)
        do { return try LabelMatcher(String(name), kind, value) } catch {
            throw invalid(field, whole, "\"\(value)\" is no regular expression: \(error)")
        }
    }

    private static func value(_ text: Substring, _ field: String, _ whole: String) throws -> String {
        var inside = text
        if text.first == "\"" {
            guard text.count > 1, text.last == "\"" else { throw invalid(field, whole, "a quote is missing") }
            inside = text.dropFirst().dropLast()
        }
        var value = ""
        var isEscaped = false
        for character in inside {
            if isEscaped {
                switch character {
                case "n": value.append("\n")
                case "\"", "\\": value.append(character)
                // What is no escape stands for itself, as in regular expressions without quotes around them.
                default: value += "\\\(character)"
                }
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                throw invalid(field, whole, "a quote within a value has a \\ before it")
            } else {
                value.append(character)
            }
        }
        return isEscaped ? value + "\\" : value
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var rest = self
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return rest
    }
}
