extension PromQLNode {
    /// The expressions that this one is made of.
    var parts: [PromQLNode] {
        switch kind {
        case .number, .string, .selector, .range: []
        case .subquery(let subquery): [subquery.inner]
        case .call(_, let arguments): arguments
        case .aggregation(let aggregation): (aggregation.parameter.map { [$0] } ?? []) + [aggregation.inner]
        case .binary(let binary): [binary.left, binary.right]
        case .negation(let inner), .parentheses(let inner): [inner]
        }
    }

    /// Every selector within it, from the left.
    var selectors: [PromQLSelector] {
        switch kind {
        case .selector(let selector), .range(let selector, _): [selector]
        default: parts.flatMap(\.selectors)
        }
    }

    /// How far behind a moment the samples lie that it may ask for, in milliseconds; `nil` where it asks for those of
    /// fixed moments, or of the query's own ends.
    var reach: Int64? {
        switch kind {
        case .selector(let selector): selector.time.anchor == nil ? selector.time.offset + QueryLimits.lookback : nil
        case .range(let selector, let range): selector.time.anchor == nil ? selector.time.offset + range : nil
        case .subquery(let subquery):
            subquery.time.anchor == nil ? subquery.inner.reach.map { $0 + subquery.range + subquery.time.offset } : nil
        default: parts.reduce(0) { reach, part in reach.flatMap { reach in part.reach.map { max(reach, $0) } } }
        }
    }

    /// Whether it may ask for samples behind its moment.
    var looksAhead: Bool {
        func isAhead(_ time: PromQLOffset) -> Bool { time.anchor != nil || time.offset < 0 }
        return switch kind {
        case .selector(let selector), .range(let selector, _): isAhead(selector.time)
        case .subquery(let subquery): isAhead(subquery.time) || subquery.inner.looksAhead
        default: parts.contains(where: \.looksAhead)
        }
    }

    /// Whether it holds for small values, as far as its first comparison says.
    var isForSmallValues: Bool {
        switch kind {
        case .binary(let binary) where binary.operator == .less || binary.operator == .lessOrEqual: true
        case .binary(let binary) where binary.operator.isSet: binary.left.isForSmallValues
        case .parentheses(let inner): inner.isForSmallValues
        default: false
        }
    }

    /// Whether it asks for the ends of the query: a moment's are others than those of a range.
    var usesBounds: Bool {
        func isBound(_ time: PromQLOffset) -> Bool { time.anchor == .start || time.anchor == .end }
        return switch kind {
        case .selector(let selector), .range(let selector, _): isBound(selector.time)
        case .subquery(let subquery): isBound(subquery.time) || subquery.inner.usesBounds
        default: parts.contains(where: \.usesBounds)
        }
    }
}
