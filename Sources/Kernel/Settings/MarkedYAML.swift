import Yams

/// A document that somebody wrote, each part with where it stands, so that what is wrong with it can be shown there.
public struct MarkedYAML: Sendable {
    public enum Content: Sendable {
        case null
        /// As it was written; `isText` where it stood in quotes or as a block.
        case scalar(String, isText: Bool)
        case sequence([MarkedYAML])
        case mapping([(key: MarkedYAML, value: MarkedYAML)])
    }

    /// Why a text is no acceptable document, or why a part of it is not.
    public struct Fault: Error, Sendable, Equatable, CustomStringConvertible {
        /// Counted from 1; 0 where it is not known.
        public let line: Int
        public let column: Int
        public let reason: String

        public init(line: Int, column: Int, reason: String) {
            self.line = line
            self.column = column
            self.reason = reason
        }

        public var description: String { "\(line):\(column): \(reason)" }
    }

    /// Parts of a document, with those that anchors repeat.
    public static let partsMax = 1_000_000
    /// Parts within each other.
    public static let depthMax = 50

    public let content: Content
    /// Both counted from 1.
    public let line: Int
    public let column: Int
    private let style: ScalarPlaces.Style
    private let source: Source

    /// The whole document.
    private final class Source: Sendable {
        let text: String

        init(_ text: String) { self.text = text }
    }

    /// Reads one document.
    ///
    /// - Throws: ``Fault``.
    public init(_ text: String) throws(Fault) {
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch {
            let mark = Self.mark(error)
            throw Fault(line: mark.line, column: mark.column, reason: YAMLDocument.words(error))
        }
        guard let root else {
            self.init(content: .null, mark: nil, Source(text))
            return
        }
        var parts = 0
        self = try Self.read(root, 0, &parts, Source(text))
    }

    private init(content: Content, mark: Mark?, _ source: Source, style: ScalarPlaces.Style = .plain) {
        self.content = content
        self.source = source
        self.style = style
        line = mark?.line ?? 1
        column = mark?.column ?? 1
    }

    private static func mark(_ error: any Error) -> (line: Int, column: Int) {
        switch error {
        case YamlError.scanner(_, _, let mark, _), YamlError.parser(_, _, let mark, _),
            YamlError.composer(_, _, let mark, _):
            (mark.line, mark.column)
        case YamlError.duplicatedKeysInMapping(_, let context): (context.mark.line, context.mark.column)
        default: (1, 1)
        }
    }

    private static func read(
        _ node: Node, _ depth: Int, _ parts: inout Int, _ source: Source
    ) throws(Fault) -> MarkedYAML {
        parts += 1
        guard parts <= partsMax, depth <= depthMax else {
            throw Fault(
                line: node.mark?.line ?? 1, column: node.mark?.column ?? 1,
                reason: "the document has more than \(partsMax) parts, or more than \(depthMax) within each other")
        }
        switch node {
        case .scalar(let scalar):
            let style: ScalarPlaces.Style =
                switch scalar.style {
                case .any, .plain: .plain
                case .singleQuoted: .singleQuoted
                case .doubleQuoted: .doubleQuoted
                case .literal: .literal
                case .folded: .folded
                }
            let isText = style != .plain
            let isNull = !isText && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
            return MarkedYAML(
                content: isNull ? .null : .scalar(scalar.string, isText: isText), mark: scalar.mark, source,
                style: style)
        case .sequence(let sequence):
            var elements: [MarkedYAML] = []
            for element in sequence { elements.append(try read(element, depth + 1, &parts, source)) }
            return MarkedYAML(content: .sequence(elements), mark: sequence.mark, source)
        case .mapping(let mapping):
            var members: [(key: MarkedYAML, value: MarkedYAML)] = []
            for (key, value) in mapping {
                members.append((try read(key, depth + 1, &parts, source), try read(value, depth + 1, &parts, source)))
            }
            return MarkedYAML(content: .mapping(members), mark: mapping.mark, source)
        default: return MarkedYAML(content: .null, mark: node.mark, source)
        }
    }

    // MARK: Taking parts

    public func fault(_ reason: String) -> Fault { Fault(line: line, column: column, reason: reason) }

    /// As ``fault(_:)``, where a character of its text stands in the document.
    ///
    /// - Parameter offset: Of the text's UTF-8.
    public func fault(_ reason: String, at offset: Int) -> Fault {
        guard case .scalar(let text, _) = content,
            let place = ScalarPlaces.place(of: offset, in: text, style, source.text, from: (line, column))
        else { return fault(reason) }
        return Fault(line: place.line, column: place.column, reason: reason)
    }

    /// Its members by name, which are among these.
    public func members(_ known: Set<String>) throws(Fault) -> [String: MarkedYAML] {
        if case .null = content { return [:] }
        guard case .mapping(let members) = content else { throw fault("members are expected here, such as `name: …`") }
        var found: [String: MarkedYAML] = [:]
        for (key, value) in members {
            let name = try key.text()
            guard known.contains(name) else { throw key.fault("field \(name) is not known here") }
            found[name] = value
        }
        return found
    }

    public func elements() throws(Fault) -> [MarkedYAML] {
        switch content {
        case .null: return []
        case .sequence(let elements): return elements
        default: throw fault("a list is expected here")
        }
    }

    /// Names and texts, in their order.
    public func texts() throws(Fault) -> [(name: String, value: MarkedYAML)] {
        if case .null = content { return [] }
        guard case .mapping(let members) = content else { throw fault("members are expected here, such as `name: …`") }
        var found: [(name: String, value: MarkedYAML)] = []
        for (key, value) in members {
            _ = try value.text()
            found.append((try key.text(), value))
        }
        return found
    }

    /// Any scalar as it was written; an empty text for nothing.
    public func text() throws(Fault) -> String {
        switch content {
        case .null: return ""
        case .scalar(let text, _): return text
        default: throw fault("a text is expected here")
        }
    }

    public func integer() throws(Fault) -> Int {
        guard case .scalar(let text, false) = content, let number = Int(text) else {
            throw fault("a whole number is expected here")
        }
        return number
    }
}
