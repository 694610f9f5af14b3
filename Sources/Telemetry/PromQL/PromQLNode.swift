/// What a PromQL expression says, with where each part of it stands in its text.
public struct PromQLNode: Sendable {
    public indirect enum Kind: Sendable {
        case number(Double)
        case string(String)
        case selector(PromQLSelector)
        /// A selector with the milliseconds before each moment that are taken.
        case range(PromQLSelector, Int64)
        case subquery(PromQLSubquery)
        case call(PromQLFunction, [PromQLNode])
        case aggregation(PromQLAggregation)
        case binary(PromQLBinary)
        case negation(PromQLNode)
        case parentheses(PromQLNode)
    }

    public let kind: Kind
    /// Bytes of the text.
    public let place: Range<Int>
    /// Levels of nodes below and with this one.
    let depth: Int
    /// What is known of it once and for all, where it is worth remembering what it came to.
    let remembered: PromQLRemembered?

    init(kind: Kind, place: Range<Int>, depth: Int) {
        (self.kind, self.place, self.depth) = (kind, place, depth)
        remembered = kind.isCostly ? PromQLRemembered() : nil
    }

    /// What it is worth at a moment.
    public var type: PromQLType {
        switch kind {
        case .number: .scalar
        case .string: .string
        case .selector, .aggregation: .vector
        case .range, .subquery: .range
        case .call(let function, _): function.result
        case .binary(let binary):
            binary.left.type == .scalar && binary.right.type == .scalar ? .scalar : .vector
        case .negation(let inner), .parentheses(let inner): inner.type
        }
    }

    /// Without the parentheses around it.
    var bare: PromQLNode {
        if case .parentheses(let inner) = kind { inner.bare } else { self }
    }
}

/// Types of values, with their names in messages.
public enum PromQLType: String, Sendable {
    case scalar
    case vector = "instant vector"
    case range = "range vector"
    case string
}

/// The moment that a selector looks at, where it is not that of the query.
public struct PromQLOffset: Sendable {
    public enum Anchor: Sendable, Equatable {
        case time(Int64)
        case start
        case end
    }

    /// Milliseconds into the past.
    public var offset: Int64 = 0
    /// `@`.
    public var anchor: Anchor?
}

/// `name{label="value"} offset 5m`.
public struct PromQLSelector: Sendable {
    public let matchers: [LabelMatcher]
    public var time = PromQLOffset()
}

/// `expression[30m:1m]`.
public struct PromQLSubquery: Sendable {
    public let inner: PromQLNode
    public let range: Int64
    /// `nil` for the default one.
    public let step: Int64?
    public var time = PromQLOffset()
}

/// `sum by (job) (expression)`.
public struct PromQLAggregation: Sendable {
    public enum Operator: String, Sendable, CaseIterable {
        case sum, avg, min, max, count, group, stddev, stdvar, topk, bottomk, quantile
        case countValues = "count_values"

        var parameter: PromQLType? {
            switch self {
            case .topk, .bottomk, .quantile: .scalar
            case .countValues: .string
            default: nil
            }
        }
    }

    public let `operator`: Operator
    public let parameter: PromQLNode?
    public let inner: PromQLNode
    public let labels: [String]
    public let isWithout: Bool
}

/// Two expressions with an operator between them.
public struct PromQLBinary: Sendable {
    public enum Operator: String, Sendable, CaseIterable {
        case add = "+"
        case subtract = "-"
        case multiply = "*"
        case divide = "/"
        case modulo = "%"
        case power = "^"
        case atan2
        case equal = "=="
        case notEqual = "!="
        case greater = ">"
        case less = "<"
        case greaterOrEqual = ">="
        case lessOrEqual = "<="
        case and, or, unless

        var isComparison: Bool {
            switch self {
            case .equal, .notEqual, .greater, .less, .greaterOrEqual, .lessOrEqual: true
            default: false
            }
        }

        var isSet: Bool { self == .and || self == .or || self == .unless }

        /// The higher binds tighter.
        var precedence: Int {
            switch self {
            case .or: 1
            case .and, .unless: 2
            case .add, .subtract: 4
            case .multiply, .divide, .modulo, .atan2: 5
            case .power: 6
            default: 3
            }
        }
    }

    public enum Grouping: Sendable {
        case left, right
    }

    public let `operator`: Operator
    public let left: PromQLNode
    public let right: PromQLNode
    public let isBool: Bool
    public let isOn: Bool
    public let labels: [String]
    public let grouping: Grouping?
    public let include: [String]
}
