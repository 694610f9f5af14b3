extension PromQLNode {
    /// What it says, however it was written: two expressions of one shape are worth the same.
    var shape: String {
        switch kind {
        case .number(let value): "\(value.bitPattern)"
        case .string(let text): QueryText.quoted(text)
        case .selector(let selector): selector.shape
        case .range(let selector, let range): "\(selector.shape)[\(range)]"
        case .subquery(let subquery):
            "(\(subquery.inner.shape))[\(subquery.range):\(subquery.step ?? -1)]\(subquery.time.shape)"
        case .call(let function, let arguments): "\(function.name)(\(arguments.map(\.shape).joined(separator: ",")))"
        case .aggregation(let aggregation): aggregation.shape
        case .binary(let binary): binary.shape
        case .negation(let inner): "-(\(inner.shape))"
        case .parentheses(let inner): inner.shape
        }
    }
}

extension PromQLOffset {
    fileprivate var shape: String {
        let at =
            switch anchor {
            case .time(let time): "@\(time)"
            case .start: "@s"
            case .end: "@e"
            case nil: ""
            }
        return "\(at)o\(offset)"
    }
}

extension PromQLSelector {
    fileprivate var shape: String { "{\(matchers.map(\.description).joined(separator: ","))}\(time.shape)" }
}

extension PromQLAggregation {
    fileprivate var shape: String {
        let grouping = "\(isWithout ? "without" : "by")(\(labels.joined(separator: ",")))"
        return "\(self.operator.rawValue) \(grouping)(\(parameter.map { $0.shape + ";" } ?? "")\(inner.shape))"
    }
}

extension PromQLBinary {
    fileprivate var shape: String {
        let side =
            switch grouping {
            case .left: "left"
            case .right: "right"
            case nil: ""
            }
        let matching =
            "\(isBool ? "bool" : "") \(isOn ? "on" : "ignoring")(\(labels.joined(separator: ",")))"
            + "\(side)(\(include.joined(separator: ",")))"
        return "(\(left.shape)) \(self.operator.rawValue) \(matching) (\(right.shape))"
    }
}
