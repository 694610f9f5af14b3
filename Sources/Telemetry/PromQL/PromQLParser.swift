/// Reads the PromQL that Reeve answers (Prometheus 2.42, `promql/parser`), and refuses what it does not by its place.
public struct PromQLParser {
    private let text: [UInt8]
    private let tokens: [PromQLToken]
    private var index = 0
    private var nesting = 0

    /// - Throws: ``PromQLSyntaxError``.
    public static func parse(_ text: String) throws -> PromQLNode {
        let bytes = Array(text.utf8)
        guard bytes.count <= QueryLimits.textBytes else {
            throw PromQLSyntaxError(
                "an expression has at most \(QueryLimits.textBytes) bytes", QueryLimits.textBytes..<bytes.count,
                in: bytes)
        }
        var parser = PromQLParser(text: bytes, tokens: try PromQLLexer.tokens(bytes))
        guard parser.token.kind != .end else {
            throw PromQLSyntaxError("no expression found in input", 0..<bytes.count, in: bytes)
        }
        let node = try parser.expression(0)
        guard parser.token.kind == .end else { throw parser.unexpected("after the expression") }
        return node
    }

    private init(text: [UInt8], tokens: [PromQLToken]) {
        self.text = text
        self.tokens = tokens
    }

    // MARK: Tokens

    private var token: PromQLToken { tokens[index] }
    private var following: PromQLToken { tokens[min(index + 1, tokens.count - 1)] }

    private mutating func advance() { index = min(index + 1, tokens.count - 1) }

    private func isSign(_ sign: String) -> Bool { token.kind == .sign(sign) }

    private mutating func take(_ sign: String) -> Bool {
        guard isSign(sign) else { return false }
        advance()
        return true
    }

    private mutating func expect(_ sign: String, _ context: String) throws {
        guard take(sign) else { throw unexpected("\(context), expected \"\(sign)\"") }
    }

    /// The word in lower case, as keywords are taken; `nil` for anything else.
    private var keyword: String? {
        if case .word(let word) = token.kind { word.lowercased() } else { nil }
    }

    private mutating func take(keyword word: String) -> Bool {
        guard keyword == word else { return false }
        advance()
        return true
    }

    func failure(_ reason: String, _ place: Range<Int>) -> PromQLSyntaxError {
        PromQLSyntaxError(reason, place, in: text)
    }

    private func unexpected(_ context: String) -> PromQLSyntaxError {
        failure("unexpected \(token.name) \(context)", token.place)
    }

    private func node(_ kind: PromQLNode.Kind, _ place: Range<Int>, over inner: [PromQLNode]) throws -> PromQLNode {
        let depth = 1 + (inner.map(\.depth).max() ?? 0)
        guard depth <= QueryLimits.depthMax else {
            throw failure("an expression has at most \(QueryLimits.depthMax) levels", place)
        }
        return PromQLNode(kind: kind, place: place, depth: depth)
    }

    // MARK: Operators

    /// An expression whose operators bind at least as tightly as `precedence`.
    private mutating func expression(_ precedence: Int) throws -> PromQLNode {
        nesting += 1
        defer { nesting -= 1 }
        guard nesting <= QueryLimits.depthMax else {
            throw failure("an expression has at most \(QueryLimits.depthMax) levels", token.place)
        }
        var left = try unary()
        while let operation = binaryOperator, operation.precedence >= precedence {
            advance()
            left = try binary(operation, left)
        }
        return left
    }

    private var binaryOperator: PromQLBinary.Operator? {
        switch token.kind {
        case .sign(let sign): PromQLBinary.Operator(rawValue: sign)
        case .word(let word):
            ["and", "or", "unless", "atan2"].contains(word.lowercased())
                ? PromQLBinary.Operator(rawValue: word.lowercased()) : nil
        default: nil
        }
    }

    private mutating func unary() throws -> PromQLNode {
        let start = token.place.lowerBound
        let isNegative = isSign("-")
        guard isNegative || isSign("+") else { return try postfix() }
        advance()
        // Only a power binds tighter than the sign before it.
        let inner = try expression(PromQLBinary.Operator.power.precedence)
        let place = start..<inner.place.upperBound
        guard inner.type == .scalar || inner.type == .vector else {
            throw failure(
                "unary expression only allowed on expressions of type scalar or instant vector, got "
                    + "\"\(inner.type.rawValue)\"", place)
        }
        guard isNegative else { return inner }
        if case .number(let value) = inner.kind { return try node(.number(-value), place, over: []) }
        return try node(.negation(inner), place, over: [inner])
    }

    private mutating func binary(_ operation: PromQLBinary.Operator, _ left: PromQLNode) throws -> PromQLNode {
        let isBool = keyword == "bool" && !isSelectorAhead
        let boolPlace = token.place
        if isBool { advance() }
        var isOn = false
        var labels: [String] = []
        var grouping: PromQLBinary.Grouping?
        var include: [String] = []
        let matchingPlace = token.place
        var isMatching = false
        if keyword == "on" || keyword == "ignoring", following.kind == .sign("(") {
            isOn = keyword == "on"
            isMatching = true
            advance()
            labels = try labelList()
            if keyword == "group_left" || keyword == "group_right" {
                grouping = keyword == "group_left" ? .left : .right
                advance()
                if isSign("(") { include = try labelList() }
            }
        }
        let next = operation.precedence + (operation == .power ? 0 : 1)
        let right = try expression(next)
        let binary = PromQLBinary(
            operator: operation, left: left, right: right, isBool: isBool, isOn: isOn, labels: labels,
            grouping: grouping, include: include)
        try check(binary, boolPlace: boolPlace, matchingPlace: matchingPlace, isMatching: isMatching)
        return try node(.binary(binary), left.place.lowerBound..<right.place.upperBound, over: [left, right])
    }

    /// Whether the word is a metric of this name after all, such as `bool{a="b"}`.
    private var isSelectorAhead: Bool { following.kind == .sign("{") || following.kind == .end }

    private func check(
        _ binary: PromQLBinary, boolPlace: Range<Int>, matchingPlace: Range<Int>, isMatching: Bool
    ) throws {
        let operation = binary.operator
        for side in [binary.left, binary.right] where side.type != .scalar && side.type != .vector {
            throw failure("binary expression must contain only scalar and instant vector types", side.place)
        }
        if binary.isBool, !operation.isComparison {
            throw failure("bool modifier can only be used on comparison operators", boolPlace)
        }
        let areVectors = binary.left.type == .vector && binary.right.type == .vector
        let areScalars = binary.left.type == .scalar && binary.right.type == .scalar
        if operation.isComparison, !binary.isBool, areScalars {
            throw failure("comparisons between scalars must use BOOL modifier", binary.left.place)
        }
        if operation.isSet, !areVectors {
            throw failure(
                "set operator \"\(operation.rawValue)\" not allowed in binary scalar expression", binary.left.place)
        }
        if isMatching, !areVectors, !binary.labels.isEmpty || binary.grouping != nil {
            throw failure("vector matching only allowed between instant vectors", matchingPlace)
        }
        if operation.isSet, binary.grouping != nil {
            throw failure("no grouping allowed for \"\(operation.rawValue)\" operation", matchingPlace)
        }
        if binary.isOn, let both = binary.include.first(where: binary.labels.contains) {
            throw failure(
                "label \"\(both)\" must not occur in ON and GROUP clause at once", matchingPlace)
        }
    }

    /// `(a, b)`, perhaps with a comma behind the last.
    private mutating func labelList() throws -> [String] {
        try expect("(", "in grouping opts")
        var labels: [String] = []
        while !take(")") {
            guard case .word(let word) = token.kind, !word.contains(":") else {
                throw unexpected("in grouping opts, expected label")
            }
            labels.append(word)
            advance()
            guard take(",") || isSign(")") else { throw unexpected("in grouping opts, expected \",\" or \")\"") }
        }
        return labels
    }

    // MARK: What stands behind an expression

    private mutating func postfix() throws -> PromQLNode {
        var result = try primary()
        while true {
            if isSign("[") {
                result = try bracket(result)
            } else if keyword == "offset" {
                result = try offset(result)
            } else if isSign("@") {
                result = try anchor(result)
            } else {
                return result
            }
        }
    }

    private mutating func duration(_ context: String, isPositive: Bool = true) throws -> Int64 {
        guard case .duration(let value) = token.kind else { throw unexpected("\(context), expected duration") }
        guard !isPositive || value > 0 else { throw failure("duration must be greater than 0", token.place) }
        advance()
        return value
    }

    private mutating func bracket(_ inner: PromQLNode) throws -> PromQLNode {
        advance()
        let range = try duration("in range")
        if take(":") {
            let step = isSign("]") ? nil : try duration("in subquery selector")
            let end = token.place.upperBound
            try expect("]", "in subquery selector")
            guard inner.type == .vector else {
                throw failure(
                    "subquery is only allowed on instant vector, got \(inner.type.rawValue) instead", inner.place)
            }
            return try node(
                .subquery(PromQLSubquery(inner: inner, range: range, step: step)), inner.place.lowerBound..<end,
                over: [inner])
        }
        let end = token.place.upperBound
        try expect("]", "in range")
        guard case .selector(let selector) = inner.kind else {
            throw failure("ranges only allowed for vector selectors", inner.place)
        }
        guard selector.time.offset == 0 else { throw failure("no offset modifiers allowed before range", inner.place) }
        guard selector.time.anchor == nil else { throw failure("no @ modifiers allowed before range", inner.place) }
        return try node(.range(selector, range), inner.place.lowerBound..<end, over: [])
    }

    private mutating func offset(_ inner: PromQLNode) throws -> PromQLNode {
        let word = token.place
        advance()
        let isNegative = take("-")
        if !isNegative { _ = take("+") }
        let end = token.place.upperBound
        let value = try duration("in offset", isPositive: false)
        return try moved(inner, "offset", word, to: end) { time in
            guard time.offset == 0 else { return false }
            time.offset = isNegative ? -value : value
            return true
        }
    }

    private mutating func anchor(_ inner: PromQLNode) throws -> PromQLNode {
        let sign = token.place
        advance()
        let place: PromQLOffset.Anchor
        if keyword == "start" || keyword == "end" {
            place = keyword == "start" ? .start : .end
            advance()
            try expect("(", "in @")
        } else {
            let isNegative = take("-")
            if !isNegative { _ = take("+") }
            guard case .number(let seconds) = token.kind, seconds.isFinite, seconds.magnitude < 1e14 else {
                throw unexpected("in @, expected timestamp")
            }
            place = .time(Int64(((isNegative ? -seconds : seconds) * 1_000).rounded()))
        }
        let end = token.place.upperBound
        if place == .start || place == .end { try expect(")", "in @") } else { advance() }
        return try moved(inner, "@", sign, to: end) { time in
            guard time.anchor == nil else { return false }
            time.anchor = place
            return true
        }
    }

    private func moved(
        _ inner: PromQLNode, _ word: String, _ place: Range<Int>, to end: Int, _ change: (inout PromQLOffset) -> Bool
    ) throws -> PromQLNode {
        let whole = inner.place.lowerBound..<end
        var isFirst = false
        let moved: PromQLNode.Kind
        switch inner.kind {
        case .selector(var selector):
            isFirst = change(&selector.time)
            moved = .selector(selector)
        case .range(var selector, let range):
            isFirst = change(&selector.time)
            moved = .range(selector, range)
        case .subquery(var subquery):
            isFirst = change(&subquery.time)
            moved = .subquery(subquery)
        default:
            throw failure(
                "\(word) modifier must be preceded by an instant vector selector or range vector selector or a "
                    + "subquery", place)
        }
        guard isFirst else { throw failure("\(word) may not be set multiple times", place) }
        return PromQLNode(kind: moved, place: whole, depth: inner.depth)
    }

    // MARK: Primary expressions

    private mutating func primary() throws -> PromQLNode {
        let place = token.place
        switch token.kind {
        case .number(let value):
            advance()
            return try node(.number(value), place, over: [])
        case .string(let text):
            advance()
            return try node(.string(text), place, over: [])
        case .sign("("):
            advance()
            let inner = try expression(0)
            let end = token.place.upperBound
            try expect(")", "in parentheses")
            return try node(.parentheses(inner), place.lowerBound..<end, over: [inner])
        case .sign("{"): return try selector(nil, from: place.lowerBound)
        case .word(let word): return try named(word, place)
        default: throw unexpected("where an expression begins")
        }
    }

    private mutating func named(_ word: String, _ place: Range<Int>) throws -> PromQLNode {
        let lower = word.lowercased()
        if let operation = PromQLAggregation.Operator(rawValue: lower),
            following.kind == .sign("(") || isGroupingAhead
        {
            advance()
            return try aggregation(operation, from: place.lowerBound)
        }
        advance()
        if lower == "inf" { return try node(.number(.infinity), place, over: []) }
        if lower == "nan" { return try node(.number(.nan), place, over: []) }
        if isSign("(") { return try call(word, place) }
        guard !["ignoring", "on", "bool", "group_left", "group_right", "atan2"].contains(lower) else {
            throw failure("unexpected \"\(word)\" where an expression begins", place)
        }
        return try selector(word, from: place.lowerBound)
    }

    private var isGroupingAhead: Bool {
        guard case .word(let word) = following.kind else { return false }
        return ["by", "without"].contains(word.lowercased())
            && tokens[min(index + 2, tokens.count - 1)].kind == .sign("(")
    }

    private mutating func selector(_ name: String?, from start: Int) throws -> PromQLNode {
        var matchers: [LabelMatcher] = []
        if let name { matchers.append(try LabelMatcher(LabelSet.metricName, .equal, name)) }
        var end = tokens[max(0, index - 1)].place.upperBound
        if take("{") {
            while !isSign("}") {
                let matcher = try self.matcher()
                if name != nil, matcher.name == LabelSet.metricName {
                    throw failure(
                        "metric name must not be set twice: \"\(name ?? "")\" or \"\(matcher.value)\"",
                        start..<token.place.upperBound)
                }
                matchers.append(matcher)
                guard take(",") || isSign("}") else {
                    throw unexpected("in label matching, expected \",\" or \"}\"")
                }
            }
            end = token.place.upperBound
            advance()
        }
        guard matchers.contains(where: { !$0.matches("") }) else {
            throw failure("vector selector must contain at least one non-empty matcher", start..<end)
        }
        return try node(.selector(PromQLSelector(matchers: matchers)), start..<end, over: [])
    }

    private mutating func matcher() throws -> LabelMatcher {
        guard case .word(let label) = token.kind, !label.contains(":") else {
            throw unexpected("in label matching, expected identifier or \"}\"")
        }
        advance()
        guard case .sign(let sign) = token.kind, let kind = LabelMatcher.Kind(rawValue: sign) else {
            throw unexpected("in label matching, expected label matching operator")
        }
        advance()
        guard case .string(let value) = token.kind else { throw unexpected("in label matching, expected string") }
        let place = token.place
        advance()
        do { return try LabelMatcher(label, kind, value) } catch {
            throw failure("\(QueryText.quoted(value)) is no regular expression: \(error)", place)
        }
    }

    private mutating func arguments() throws -> (nodes: [PromQLNode], end: Int) {
        try expect("(", "in a call")
        var nodes: [PromQLNode] = []
        if !isSign(")") {
            repeat { nodes.append(try expression(0)) } while take(",")
        }
        let end = token.place.upperBound
        try expect(")", "in a call")
        return (nodes, end)
    }

    private mutating func aggregation(
        _ operation: PromQLAggregation.Operator, from start: Int
    ) throws -> PromQLNode {
        var grouping: (labels: [String], isWithout: Bool)?
        func isGrouping() -> Bool { keyword == "by" || keyword == "without" }
        if isGrouping() {
            let isWithout = keyword == "without"
            advance()
            grouping = (try labelList(), isWithout)
        }
        var (nodes, end) = try arguments()
        if grouping == nil, isGrouping(), following.kind == .sign("(") {
            let isWithout = keyword == "without"
            advance()
            grouping = (try labelList(), isWithout)
            end = tokens[index - 1].place.upperBound
        }
        let place = start..<end
        let wanted = operation.parameter == nil ? 1 : 2
        guard nodes.count == wanted, let inner = nodes.last else {
            throw failure(
                "wrong number of arguments for aggregate expression provided, expected \(wanted), got \(nodes.count)",
                place)
        }
        if let type = operation.parameter {
            try expectType(nodes[0], type, "aggregation parameter")
        }
        try expectType(inner, .vector, "aggregation expression")
        let aggregation = PromQLAggregation(
            operator: operation, parameter: wanted == 2 ? nodes[0] : nil, inner: inner,
            labels: grouping?.labels ?? [], isWithout: grouping?.isWithout ?? false)
        return try node(.aggregation(aggregation), place, over: nodes)
    }

    private func expectType(_ node: PromQLNode, _ type: PromQLType, _ context: String) throws {
        guard node.type == type else {
            throw failure(
                "expected type \(type.rawValue) in \(context), got \(node.type.rawValue)", node.place)
        }
    }

    private mutating func call(_ name: String, _ place: Range<Int>) throws -> PromQLNode {
        guard let function = PromQLFunction.all[name] else {
            let reason =
                PromQLFunction.unsupported.contains(name)
                ? "function \"\(name)\" is not among those that Reeve evaluates"
                : "unknown function with name \"\(name.prefix(60))\""
            throw failure(reason, place)
        }
        let (nodes, end) = try arguments()
        let whole = place.lowerBound..<end
        let most = function.optional == nil ? Int.max : function.parameters.count
        let least = function.parameters.count - (function.optional ?? 1)
        guard nodes.count >= least, nodes.count <= most else {
            let many = nodes.count < least ? (least == most ? "" : "at least ") : (least == most ? "" : "at most ")
            throw failure(
                "expected \(many)\(nodes.count < least ? least : most) argument(s) in call to \"\(name)\", got "
                    + "\(nodes.count)", whole)
        }
        for (index, argument) in nodes.enumerated() {
            let type = function.parameters[min(index, function.parameters.count - 1)]
            try expectType(argument, type, "call to function \"\(name)\"")
        }
        return try node(.call(function, nodes), whole, over: nodes)
    }
}
