import Foundation
import Yams

/// Documents that people write: YAML, of which JSON is a part (yaml.org/spec/1.2.2 §1.3).
public enum YAMLDocument {
    /// Reads one document; throws `invalid` with the place where it is none.
    public static func parse(_ text: String) throws -> JSONValue {
        do {
            guard let root = try Yams.compose(yaml: text) else { return .null }
            return value(root)
        } catch {
            throw Problem.invalid("", "this is not acceptable YAML: \(words(error))")
        }
    }

    static func value(_ node: Node) -> JSONValue {
        switch node {
        case .mapping(let mapping):
            return .object(
                JSONObject(mapping.map { .init(name: $0.key.scalar?.string ?? "?", value: value($0.value)) }))
        case .sequence(let sequence): return .array(sequence.map(value))
        case .scalar:
            switch node.any {
            case let flag as Bool: return .bool(flag)
            case let number as Int: return .int(Int64(number))
            case let number as Double: return .double(number)
            case is NSNull: return .null
            default: return .string(node.scalar?.string ?? "")
            }
        default: return .null
        }
    }

    /// Writes one document: members in their order, text of several lines as a block of its own.
    public static func text(_ value: JSONValue) -> String {
        // What JSON can say, YAML can: only a node that refers to itself would fail, and none of ours does.
        (try? Yams.serialize(node: node(value), width: -1, allowUnicode: true, sortKeys: false)) ?? ""
    }

    private static func node(_ value: JSONValue) -> Node {
        switch value {
        case .null: Node("null")
        case .bool(let flag): Node(flag ? "true" : "false")
        case .int(let number): Node("\(number)")
        case .double(let number): Node("\(number)")
        case .string(let text): node(text)
        case .array(let values):
            Node(values.map(node), .implicit, values.isEmpty ? .flow : .block)
        case .object(let object):
            Node(
                object.members.map { (node($0.name), node($0.value)) }, .implicit, object.isEmpty ? .flow : .block)
        }
    }

    /// Text that a reader would take for something else (`5`, `yes`, nothing at all) stands in quotes. YAML 1.1, which
    /// many programs still read, knows more such words than YAML 1.2.
    private static func node(_ text: String) -> Node {
        if text.contains("\n") { return Node(text, Tag(.str), .literal) }
        let isPlain = Node(text).tag == Tag(.str) && !odd.contains(text.lowercased())
        return isPlain ? Node(text) : Node(text, Tag(.str), .doubleQuoted)
    }

    private static let odd: Set<String> = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", ""]

    /// What the YAML library says, on one line.
    static func words(_ error: any Error) -> String {
        let text = (error as? YamlError)?.description ?? "\(error)"
        return text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty && $0 != "^" }.joined(separator: " ").prefix(300).description
    }
}
