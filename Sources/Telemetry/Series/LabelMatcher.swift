import Kernel

/// What a selector asks of one label. A label that is absent has the empty value.
public struct LabelMatcher: Sendable {
    public enum Kind: String, Sendable {
        case equal = "="
        case notEqual = "!="
        case matches = "=~"
        case matchesNot = "!~"
    }

    public let name: String
    public let kind: Kind
    public let value: String
    private let pattern: LabelPattern?
    private let nameBytes: [UInt8]
    private let valueBytes: [UInt8]
    /// The label that it asks for as a set of its own, where it asks for one.
    let single: LabelSet?

    /// - Throws: ``BoundedPattern/Failure`` for a regular expression that is none.
    public init(_ name: String, _ kind: Kind, _ value: String) throws {
        self.name = name
        self.kind = kind
        self.value = value
        (nameBytes, valueBytes) = (Array(name.utf8), Array(value.utf8))
        single = kind == .equal && !value.isEmpty ? LabelSet([(name, value)]) : nil
        pattern = kind == .matches || kind == .matchesNot ? try LabelPattern(value) : nil
    }

    public func matches(_ text: String) -> Bool {
        switch kind {
        case .equal: text.utf8.elementsEqual(value.utf8)
        case .notEqual: !text.utf8.elementsEqual(value.utf8)
        case .matches: pattern?.isMatch(text) == true
        case .matchesNot: pattern?.isMatch(text) == false
        }
    }

    public func matches(_ labels: LabelSet) -> Bool {
        switch kind {
        case .equal: labels.has(valueBytes, at: nameBytes)
        case .notEqual: !labels.has(valueBytes, at: nameBytes)
        case .matches, .matchesNot: matches(labels[name])
        }
    }
}

extension LabelMatcher: CustomStringConvertible {
    public var description: String { "\(name)\(kind.rawValue)\(QueryText.quoted(value))" }
}

extension [LabelMatcher] {
    /// Whether all of them do.
    public func match(_ labels: LabelSet) -> Bool { allSatisfy { $0.matches(labels) } }

    /// The metric that is asked for by its name.
    var metricName: String? { first { $0.name == LabelSet.metricName && $0.kind == .equal }?.value }
}
