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

    /// What the YAML library says, on one line.
    static func words(_ error: any Error) -> String {
        let text = (error as? YamlError)?.description ?? "\(error)"
        return text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty && $0 != "^" }.joined(separator: " ").prefix(300).description
    }
}
