import Kernel

/// Metric queries; see ``LogMetric``.
extension LogQLParser {
    /// Ranges and steps, in milliseconds: a year.
    static let durationMax: Int64 = 31_536_000_000
    /// Levels of an expression.
    static let depthMax = 20

    /// A metric query to its end.
    mutating func metric() throws(LogQL.Failure) -> LogMetric {
        let found = try comparison(depth: 0)
        skipSpace()
        guard isAtEnd else { throw failure("the end of the query is expected") }
        return found
    }

    private mutating func comparison(depth: Int) throws(LogQL.Failure) -> LogMetric {
        var left = try sum(depth: depth)
        while true {
            skipSpace()
            let start = position
            let found = ["==", "!=", ">=", "<=", ">", "<"].first { take($0) }.flatMap(LogMetric.Comparison.init)
            guard let found else { return left }
            if case .constant = left { throw failure("a constant is not compared here", at: start) }
            skipSpace()
            let isBool = takeWord("bool")
            left = .compare(left, found, try number(), isBool: isBool)
        }
    }

    /// Constants may be added up: `vector(1)+vector(1)` is how Grafana asks whether there is somebody.
    private mutating func sum(depth: Int) throws(LogQL.Failure) -> LogMetric {
        var left = try operand(depth: depth)
        while true {
            skipSpace()
            let start = position
            if let sign = ["+", "-", "*", "/", "%", "^"].first(where: { take($0) }) {
                guard sign == "+", case .constant(let one) = left, case .constant(let other) = try operand(depth: depth)
                else { throw failure("arithmetic is not answered here", at: start) }
                left = .constant(one + other)
            } else {
                return left
            }
        }
    }

    private mutating func operand(depth: Int) throws(LogQL.Failure) -> LogMetric {
        guard depth < Self.depthMax else { throw failure("the query has more than \(Self.depthMax) levels") }
        skipSpace()
        if take("(") {
            let inner = try comparison(depth: depth + 1)
            try close()
            return inner
        }
        let start = position
        let name = word()
        if let measure = LogMetric.Measure(rawValue: name) { return try range(measure) }
        if let operation = LogMetric.Operator(rawValue: name) { return try aggregation(operation, depth: depth) }
        if name == "vector" {
            try open()
            let value = try number()
            try close()
            return .constant(value)
        }
        let known = LogMetric.Measure.allCases.map(\.rawValue) + LogMetric.Operator.allCases.map(\.rawValue)
        throw failure(
            name.isEmpty
                ? "a selector or a function is expected"
                : "`\(name)` is not answered here; \(known.joined(separator: ", ")) are",
            at: start)
    }

    private mutating func aggregation(
        _ operation: LogMetric.Operator, depth: Int
    ) throws(LogQL.Failure) -> LogMetric {
        var grouping = try self.grouping()
        try open()
        var count = 0
        if operation == .topk {
            let start = position
            let value = try number()
            guard value >= 1, value <= Double(LogTally.seriesMax), value == value.rounded() else {
                throw failure("a whole number from 1 to \(LogTally.seriesMax) is expected", at: start)
            }
            count = Int(value)
            skipSpace()
            guard take(",") else { throw failure("`,` is expected") }
        }
        let inner = try comparison(depth: depth + 1)
        if case .constant = inner { throw failure("what is put together is a range of lines") }
        try close()
        if grouping == nil { grouping = try self.grouping() }
        return .aggregate(operation, grouping ?? .by([]), number: count, inner)
    }

    private mutating func grouping() throws(LogQL.Failure) -> LogGrouping? {
        skipSpace()
        let isBy = takeWord("by")
        guard isBy || takeWord("without") else { return nil }
        try open()
        var names: [String] = []
        skipSpace()
        while !take(")") {
            if !names.isEmpty {
                guard take(",") else { throw failure("`,` or `)` is expected") }
                skipSpace()
            }
            let name = word()
            guard LogQL.isLabelName(name) else { throw failure("a label's name is expected") }
            guard names.count < LogQuery.conditionsMax else {
                throw failure("more than \(LogQuery.conditionsMax) labels are named")
            }
            names.append(name)
            skipSpace()
        }
        return isBy ? .by(names) : .without(names)
    }

    private mutating func range(_ measure: LogMetric.Measure) throws(LogQL.Failure) -> LogMetric {
        try open()
        let query = try logQuery(isOfRange: true)
        guard take("[") else { throw failure("a range such as `[5m]` is expected") }
        let range = try duration()
        guard take("]") else { throw failure("`]` is expected") }
        skipSpace()
        var offset: Int64 = 0
        if takeWord("offset") {
            skipSpace()
            offset = try duration()
        }
        try close()
        return .range(measure, query, range: range * 1_000_000, offset: offset * 1_000_000)
    }

    private mutating func open() throws(LogQL.Failure) {
        skipSpace()
        guard take("(") else { throw failure("`(` is expected") }
        skipSpace()
    }

    private mutating func close() throws(LogQL.Failure) {
        skipSpace()
        guard take(")") else { throw failure("`)` is expected") }
    }

    private mutating func takeWord(_ wanted: String) -> Bool {
        guard peekWord() == wanted else { return false }
        return take(wanted)
    }

    /// Milliseconds above zero.
    private mutating func duration() throws(LogQL.Failure) -> Int64 {
        let start = position
        guard let milliseconds = PromQLLexer.duration(word()), milliseconds > 0, milliseconds <= Self.durationMax else {
            throw failure("a length of time from 1ms to 365d is expected, such as `5m`", at: start)
        }
        return milliseconds
    }

    private mutating func number() throws(LogQL.Failure) -> Double {
        skipSpace()
        let start = position
        var text = take("-") ? "-" : ""
        text += word()
        if take(".") { text += "." + word() }
        guard let value = Double(text), value.isFinite else { throw failure("a number is expected", at: start) }
        return value
    }
}
