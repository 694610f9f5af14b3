import Foundation

/// What a template works with, printed as Go prints it (pkg.go.dev/fmt, `%v`).
enum TemplateValue: Sendable, Equatable {
    case nothing
    case bool(Bool)
    case int(Int)
    case float(Double)
    case string(String)
    case list([TemplateValue])
    case map([String: TemplateValue])
    /// A series of a query's answer.
    case sample(LabelSet, Double)

    /// Whether a condition holds with it.
    var isTrue: Bool {
        switch self {
        case .nothing: false
        case .bool(let flag): flag
        case .int(let number): number != 0
        case .float(let number): number != 0
        case .string(let text): !text.isEmpty
        case .list(let values): !values.isEmpty
        case .map(let values): !values.isEmpty
        case .sample: true
        }
    }

    var text: String {
        switch self {
        case .nothing: "<no value>"
        case .bool(let flag): flag ? "true" : "false"
        case .int(let number): "\(number)"
        case .float(let number): Self.text(number)
        case .string(let text): text
        case .list(let values): "[\(values.map(\.text).joined(separator: " "))]"
        case .map(let values):
            "map[\(values.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value.text)" }.joined(separator: " "))]"
        case .sample(let labels, let value): "{\(Self.map(labels).text) \(Self.text(value))}"
        }
    }

    /// The shortest digits that tell it apart, with an exponent below 1e-4 and from 1e6 on, as Go's `%g` has it.
    private static func text(_ value: Double) -> String {
        guard value.isFinite, value != 0, value.magnitude < 1e-4 || value.magnitude >= 1e6 else {
            return QueryText.number(value, isPlain: true)
        }
        let (digits, exponent) = QueryText.digits(value)
        let power = exponent - 1
        return "\(value < 0 ? "-" : "")\(digits.prefix(1))\(digits.count > 1 ? "." : "")\(digits.dropFirst())"
            + "e\(power < 0 ? "-" : "+")\(power.magnitude < 10 ? "0" : "")\(power.magnitude)"
    }

    static func map(_ labels: LabelSet) -> TemplateValue {
        .map(Dictionary(labels.pairs.map { ($0.name, .string($0.value)) }) { $1 })
    }

    /// - Throws: ``TemplateFault`` for a field that there is none of.
    func field(_ name: String) throws -> TemplateValue {
        switch (self, name) {
        // A label that is not there is empty.
        case (.map(let values), _): return values[name] ?? .string("")
        case (.sample(let labels, _), "Labels"): return .map(labels)
        case (.sample(_, let value), "Value"): return .float(value)
        default: throw TemplateFault("there is no field \(name) in \(text)")
        }
    }

    /// A number, also of a text that is one, as Prometheus' own functions take it.
    func number() throws -> Double {
        switch self {
        case .float(let number): return number
        case .int(let number): return Double(number)
        case .string(let text):
            if let number = Double(text) { return number }
            throw TemplateFault("\"\(text)\" is no number")
        default: throw TemplateFault("\(self.text) is no number")
        }
    }
}
