import Foundation
import Kernel

/// The functions of templates: those of Go's text/template, and Prometheus' own (2.42, `template/template.go`).
enum TemplateFunctions {
    typealias Body = @Sendable ([TemplateValue], TemplateFilling) throws -> TemplateValue

    static let names = Set(all.keys)

    static func call(_ name: String, _ arguments: [TemplateValue], _ filling: TemplateFilling) throws -> TemplateValue {
        guard let function = all[name] else { throw TemplateFault("function \"\(name)\" is not known") }
        try filling.step()
        guard function.arguments.contains(arguments.count) else {
            throw TemplateFault("\(name) does not take \(arguments.count) arguments")
        }
        do { return try function.body(arguments, filling) } catch let fault as TemplateFault {
            throw TemplateFault("\(name): \(fault)")
        }
    }

    private static let all: [String: (arguments: ClosedRange<Int>, body: Body)] =
        general
        .merging(texts) { $1 }.merging(numbers) { $1 }.merging(queries) { $1 }

    // MARK: Go's own

    private static let general: [String: (arguments: ClosedRange<Int>, body: Body)] = [
        "and": (1...many, { arguments, _ in arguments.first { !$0.isTrue } ?? arguments[arguments.count - 1] }),
        "or": (1...many, { arguments, _ in arguments.first(where: \.isTrue) ?? arguments[arguments.count - 1] }),
        "not": (1...1, { arguments, _ in .bool(!arguments[0].isTrue) }),
        "len": (1...1, { arguments, _ in .int(try length(arguments[0])) }),
        "index": (1...many, { arguments, _ in try arguments.dropFirst().reduce(arguments[0], element) }),
        "slice": (1...3, { arguments, _ in try slice(arguments) }),
        "print": (0...many, { arguments, _ in .string(printed(arguments)) }),
        "println": (0...many, { arguments, _ in .string(arguments.map(\.text).joined(separator: " ") + "\n") }),
        "printf": (
            1...many,
            { arguments, _ in
                .string(try TemplateFormat.text(try text(arguments[0]), Array(arguments.dropFirst())))
            }
        ),
        "html": (1...1, { arguments, _ in .string(escaped(arguments[0].text)) }),
        "js": (1...1, { arguments, _ in .string(String(QueryText.quoted(arguments[0].text).dropFirst().dropLast())) }),
        "urlquery": (1...1, { arguments, _ in .string(queryEscaped(arguments[0].text)) }),
        "eq": (
            2...many,
            { arguments, _ in
                .bool(try arguments.dropFirst().contains { try compare(arguments[0], $0) == .orderedSame })
            }
        ),
        "ne": (2...2, { arguments, _ in .bool(try compare(arguments[0], arguments[1]) != .orderedSame) }),
        "lt": (2...2, { arguments, _ in .bool(try compare(arguments[0], arguments[1]) == .orderedAscending) }),
        "le": (2...2, { arguments, _ in .bool(try compare(arguments[0], arguments[1]) != .orderedDescending) }),
        "gt": (2...2, { arguments, _ in .bool(try compare(arguments[0], arguments[1]) == .orderedDescending) }),
        "ge": (2...2, { arguments, _ in .bool(try compare(arguments[0], arguments[1]) != .orderedAscending) }),
    ]

    private static let many = 100

    // MARK: Texts

    private static let texts: [String: (arguments: ClosedRange<Int>, body: Body)] = [
        "title": (1...1, { arguments, _ in .string(title(try text(arguments[0]))) }),
        "toUpper": (1...1, { arguments, _ in .string(try text(arguments[0]).uppercased()) }),
        "toLower": (1...1, { arguments, _ in .string(try text(arguments[0]).lowercased()) }),
        "reReplaceAll": (
            3...3,
            { arguments, _ in
                let words = try arguments.map(text)
                guard let replaced = LabelPattern.replacing(try pattern(words[0]), in: words[2], by: words[1]) else {
                    throw TemplateFault("the pattern takes too long")
                }
                return .string(replaced)
            }
        ),
        "match": (
            2...2,
            { arguments, _ in
                var steps = LabelPattern.stepsMax
                return .bool(try pattern(try text(arguments[0])).isFound(in: try text(arguments[1]), stepsLeft: &steps))
            }
        ),
        "safeHtml": (1...1, { arguments, _ in .string(try text(arguments[0])) }),
        "stripPort": (1...1, { arguments, _ in .string(stripPort(try text(arguments[0]))) }),
        "stripDomain": (1...1, { arguments, _ in .string(stripDomain(try text(arguments[0]))) }),
        "pathPrefix": (0...0, { _, filling in .string(URL(string: filling.data.externalURL)?.path ?? "") }),
        "externalURL": (0...0, { _, filling in .string(filling.data.externalURL) }),
        "graphLink": (
            1...1,
            { arguments, _ in
                .string("/graph?g0.expr=\(queryEscaped(try text(arguments[0])))&g0.tab=0")
            }
        ),
        "tableLink": (
            1...1,
            { arguments, _ in
                .string("/graph?g0.expr=\(queryEscaped(try text(arguments[0])))&g0.tab=1")
            }
        ),
        "args": (
            0...many,
            { arguments, _ in
                .map(Dictionary(uniqueKeysWithValues: arguments.enumerated().map { ("arg\($0.offset)", $0.element) }))
            }
        ),
        "tmpl": (
            2...2,
            { arguments, filling in
                .string(try filling.called(try text(arguments[0]), with: arguments[1]))
            }
        ),
    ]

    // MARK: Numbers

    private static let numbers: [String: (arguments: ClosedRange<Int>, body: Body)] = [
        "humanize": (1...1, { arguments, _ in .string(TemplateNumbers.humanize(try arguments[0].number())) }),
        "humanize1024": (1...1, { arguments, _ in .string(TemplateNumbers.humanize1024(try arguments[0].number())) }),
        "humanizeDuration": (1...1, { arguments, _ in .string(TemplateNumbers.duration(try arguments[0].number())) }),
        "humanizePercentage": (
            1...1,
            { arguments, _ in
                .string(TemplateNumbers.percentage(try arguments[0].number()))
            }
        ),
        "humanizeTimestamp": (
            1...1,
            { arguments, _ in
                .string(TemplateNumbers.timestamp(try arguments[0].number()))
            }
        ),
        "toTime": (1...1, { arguments, _ in .string(TemplateNumbers.timestamp(try arguments[0].number())) }),
        "parseDuration": (
            1...1,
            { arguments, _ in
                guard let milliseconds = PromQLLexer.duration(try text(arguments[0])) else {
                    throw TemplateFault("\"\(arguments[0].text)\" is no duration")
                }
                return .float(Double(milliseconds) / 1_000)
            }
        ),
    ]

    // MARK: Queries

    private static let queries: [String: (arguments: ClosedRange<Int>, body: Body)] = [
        "query": (
            1...1,
            { arguments, filling in
                .list(try filling.data.query(try text(arguments[0])).map { .sample($0.labels, $0.value) })
            }
        ),
        "first": (
            1...1,
            { arguments, _ in
                guard case .list(let values) = arguments[0], let first = values.first else {
                    throw TemplateFault("first() called on vector with no elements")
                }
                return first
            }
        ),
        "label": (2...2, { arguments, _ in .string(try sample(arguments[1]).labels[try text(arguments[0])]) }),
        "value": (1...1, { arguments, _ in .float(try sample(arguments[0]).value) }),
        "strvalue": (1...1, { arguments, _ in .string(try sample(arguments[0]).labels["__value__"]) }),
        "sortByLabel": (
            2...2,
            { arguments, _ in
                guard case .list(let values) = arguments[1] else { throw TemplateFault("it sorts a query's answer") }
                let name = try text(arguments[0])
                return .list(
                    try values.map { ($0, try sample($0).labels[name]) }.sorted { $0.1 < $1.1 }.map(\.0))
            }
        ),
    ]

    // MARK: Helpers

    private static func sample(_ value: TemplateValue) throws -> (labels: LabelSet, value: Double) {
        guard case .sample(let labels, let number) = value else { throw TemplateFault("\(value.text) is no sample") }
        return (labels, number)
    }

    private static func text(_ value: TemplateValue) throws -> String {
        guard case .string(let text) = value else { throw TemplateFault("\(value.text) is no text") }
        return text
    }

    private static func pattern(_ text: String) throws -> BoundedPattern {
        do { return try BoundedPattern(text, syntax: .re2) } catch {
            throw TemplateFault("\"\(text)\" is no regular expression: \(error)")
        }
    }

    private static func length(_ value: TemplateValue) throws -> Int {
        switch value {
        case .string(let text): return text.utf8.count
        case .list(let values): return values.count
        case .map(let values): return values.count
        default: throw TemplateFault("\(value.text) has no length")
        }
    }

    private static func element(_ value: TemplateValue, _ key: TemplateValue) throws -> TemplateValue {
        switch (value, key) {
        case (.list(let values), .int(let place)):
            guard values.indices.contains(place) else { throw TemplateFault("there is no element \(place)") }
            return values[place]
        case (.map(let values), .string(let name)): return values[name] ?? .string("")
        case (.string(let text), .int(let place)):
            let bytes = Array(text.utf8)
            guard bytes.indices.contains(place) else { throw TemplateFault("there is no byte \(place)") }
            return .int(Int(bytes[place]))
        default: throw TemplateFault("\(value.text) has no element \(key.text)")
        }
    }

    private static func slice(_ arguments: [TemplateValue]) throws -> TemplateValue {
        let count = try length(arguments[0])
        let ends = try arguments.dropFirst().map { argument -> Int in
            guard case .int(let place) = argument, (0...count).contains(place) else {
                throw TemplateFault("\(argument.text) is out of its bounds")
            }
            return place
        }
        let (start, end) = (ends.first ?? 0, ends.count > 1 ? ends[1] : count)
        guard start <= end else { throw TemplateFault("its bounds are swapped") }
        switch arguments[0] {
        case .string(let text): return .string(String(decoding: Array(text.utf8)[start..<end], as: UTF8.self))
        case .list(let values): return .list(Array(values[start..<end]))
        default: throw TemplateFault("\(arguments[0].text) cannot be cut")
        }
    }

    /// As Go's `Sprint`: with a space between two that are both no texts.
    private static func printed(_ values: [TemplateValue]) -> String {
        var output = ""
        var before: TemplateValue?
        for value in values {
            if case .string = value {
            } else if let before {
                if case .string = before {} else { output += " " }
            }
            output += value.text
            before = value
        }
        return output
    }

    private static func compare(_ left: TemplateValue, _ right: TemplateValue) throws -> ComparisonResult {
        func order<Value: Comparable>(_ left: Value, _ right: Value) -> ComparisonResult {
            left == right ? .orderedSame : left < right ? .orderedAscending : .orderedDescending
        }
        switch (left, right) {
        case (.int(let left), .int(let right)): return order(left, right)
        case (.float(let left), .float(let right)): return order(left, right)
        case (.string(let left), .string(let right)):
            return left == right
                ? .orderedSame
                : left.utf8.lexicographicallyPrecedes(right.utf8) ? .orderedAscending : .orderedDescending
        case (.bool(let left), .bool(let right)): return left == right ? .orderedSame : .orderedAscending
        default: throw TemplateFault("incompatible types for comparison")
        }
    }

    private static func title(_ text: String) -> String {
        var output = ""
        var isInside = false
        for character in text {
            output += isInside ? String(character) : character.uppercased()
            isInside = character.isLetter || character.isNumber || character == "_" || character == "'"
        }
        return output
    }

    private static func stripPort(_ text: String) -> String {
        guard let colon = text.lastIndex(of: ":") else { return text }
        let host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { return String(host.dropFirst().dropLast()) }
        return host.contains(":") ? text : String(host)
    }

    /// The first part of a host's name; a port stays, and so does an address of numbers.
    private static func stripDomain(_ text: String) -> String {
        let host = stripPort(text)
        let isAddress = host.contains(":") || host.split(separator: ".").allSatisfy { UInt8($0) != nil }
        guard !isAddress else { return text }
        let port = text.dropFirst(host.count)
        return String(host.prefix { $0 != "." }) + port
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&#34;").replacing("'", with: "&#39;")
    }

    private static let unreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~ ")

    private static func queryEscaped(_ text: String) -> String {
        (text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? "").replacing(" ", with: "+")
    }
}
