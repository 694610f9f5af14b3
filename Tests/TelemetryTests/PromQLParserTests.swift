import Testing

@testable import Telemetry

@Suite("PromQL is read")
struct PromQLParserTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let text: String
        let tree: String
        var testDescription: String { text }

        init(_ text: String, _ tree: String) {
            self.text = text
            self.tree = tree
        }
    }

    static let rows: [Row] = [
        Row("1 + 2 * 3 ^ 4 ^ 5", "(1 + (2 * (3 ^ (4 ^ 5))))"), Row("-2 ^ 2", "-(2 ^ 2)"), Row("-1", "-1"),
        Row("2 ^ -3 * 4", "((2 ^ -3) * 4)"), Row("a - b - c", "((a - b) - c)"), Row("-a * b", "(-a * b)"),
        Row("a or b and c unless d", "(a or ((b and c) unless d))"), Row("a == b + c", "(a == (b + c))"),
        Row("0x10 + 017 + .5 + 1.5e3 + 1.", "((((16 + 15) + 0.5) + 1500) + 1)"), Row("Inf + nan", "(+Inf + NaN)"),
        Row("a{b='c',d!=\"e\",f=~`g`,h!~'i',}", #"{__name__="a",b="c",d!="e",f=~"g",h!~"i"}"#),
        Row("{__name__='a b'}", #"{__name__="a b"}"#), Row("job:a:rate5m", "job:a:rate5m"), Row("sum", "sum"),
        Row("by + offset", "(by + offset)"), Row("a[1h30m]", "a[5400000]"),
        Row("a[2d] offset -1w", "a[172800000] @-604800000"),
        Row("a @ 1.5 offset 1m", "a @60000=1500"), Row("a @ start()", "a @0=start"),
        Row("(a)[5m:1m]", "(a)[300000:60000]"),
        Row("rate(a[1m])[5m:]", "rate(a[60000])[300000:]"), Row("SUM BY (b, c,) (a)", "sum by(b,c)(a)"),
        Row("sum(a) without ()", "sum without()(a)"), Row("topk(3, a)", "topk by()(3, a)"),
        Row("a + on (b) group_left (c) d", "(a + on(b) left(c) d)"),
        Row("a > bool ignoring (b) d", "(a > bool ignoring(b) d)"),
        Row("a and on () b", "(a and on() b)"), Row("time()", "time()"), Row("hour()", "hour()"),
        Row("label_join(a, 'b', ',')", #"label_join(a, "b", ",")"#), Row(#""\x41\u00e9\101\n""#, #""AéA\n""#),
        Row("a # no more\n + b", "(a + b)"), Row("1e-3 - 1", "(0.001 - 1)"), Row("5 -3", "(5 - 3)"),
    ]

    @Test("by precedence, with every form", arguments: rows)
    func read(_ row: Row) throws { #expect(try PromQLParser.parse(row.text).tree == row.tree) }

    struct Refusal: CustomTestStringConvertible, Sendable {
        let text: String
        let line: Int
        let column: Int
        let word: String
        var testDescription: String { text }

        init(_ text: String, _ line: Int, _ column: Int, _ word: String) {
            (self.text, self.line, self.column, self.word) = (text, line, column, word)
        }
    }

    static let refusals: [Refusal] = [
        Refusal("", 1, 1, "no expression"), Refusal("a +", 1, 4, "end of input"), Refusal("a +\n * b", 2, 2, "\"*\""),
        Refusal("rate(a)", 1, 6, "range vector"), Refusal("sum(a) + nosuch(b)", 1, 10, "unknown function"),
        Refusal("1 + holt_winters(a[5m], 1, 2)", 1, 5, "not among those that Reeve evaluates"),
        Refusal("a{b=~\"(\"}", 1, 6, "regular expression"), Refusal("é", 1, 1, "unexpected character"),
        Refusal("'é' + 'b'", 1, 1, "scalar and instant vector"), Refusal("'é' é", 1, 5, "unexpected character"),
        Refusal("a[0s]", 1, 3, "greater than 0"), Refusal("a[5m] + b", 1, 1, "scalar and instant vector"),
        Refusal("{}", 1, 1, "non-empty matcher"), Refusal("1 < 2", 1, 1, "BOOL"),
        Refusal("a[1h1h]", 1, 3, "bad number"),
        Refusal("a offset 5m offset 1m", 1, 13, "multiple times"), Refusal("clamp(a, 1)", 1, 1, "expected 3"),
    ]

    @Test("and refused at its place", arguments: refusals)
    func refuse(_ row: Refusal) {
        do {
            _ = try PromQLParser.parse(row.text)
            Issue.record("it was read")
        } catch let error as PromQLSyntaxError {
            #expect("\(error.line):\(error.column)" == "\(row.line):\(row.column)", "\(error)")
            #expect(error.reason.contains(row.word), "\(error)")
        } catch { Issue.record("\(error)") }
    }

    @Test("an expression is bounded in length and in depth, whatever it nests")
    func bounds() throws {
        let max = QueryLimits.depthMax
        let forms: [(Int) -> String] = [
            { String(repeating: "(", count: $0) + "a" + String(repeating: ")", count: $0) },
            { String(repeating: "abs(", count: $0) + "a" + String(repeating: ")", count: $0) },
            { String(repeating: "a + ", count: $0) + "a" }, { String(repeating: "2 ^ ", count: $0) + "2" },
            { String(repeating: "-", count: $0) + "a" },
            { "a" + String(repeating: "[5m:1m]", count: 1) + String(repeating: ")", count: $0) },
        ]
        for form in forms.dropLast() {
            _ = try PromQLParser.parse(form(max / 2 - 2))
            for count in [max + 1, 8_000] {
                #expect(throws: PromQLSyntaxError.self) { try PromQLParser.parse(form(count)) }
            }
        }
        let long = "a" + String(repeating: " ", count: QueryLimits.textBytes)
        #expect(throws: PromQLSyntaxError.self) { try PromQLParser.parse(long) }
        _ = try PromQLParser.parse(String(long.dropLast()))
    }
}

extension PromQLNode {
    /// The tree as text, with all that was read.
    fileprivate var tree: String {
        switch kind {
        case .number(let value): return QueryText.number(value)
        case .string(let text): return QueryText.quoted(text)
        case .selector(let selector): return selector.tree + selector.time.tree
        case .range(let selector, let range): return "\(selector.tree)[\(range)]\(selector.time.tree)"
        case .subquery(let query):
            return "\(query.inner.tree)[\(query.range):\(query.step.map(String.init) ?? "")]\(query.time.tree)"
        case .call(let function, let arguments):
            return "\(function.name)(\(arguments.map(\.tree).joined(separator: ", ")))"
        case .aggregation(let one):
            let inner = [one.parameter, one.inner].compactMap { $0?.tree }.joined(separator: ", ")
            let word = one.isWithout ? "without" : "by"
            guard !one.labels.isEmpty || one.isWithout || one.parameter != nil else {
                return "\(one.operator.rawValue)(\(inner))"
            }
            return "\(one.operator.rawValue) \(word)(\(one.labels.joined(separator: ",")))(\(inner))"
        case .binary(let one):
            var words = [one.operator.rawValue]
            if one.isBool { words.append("bool") }
            if one.isOn || !one.labels.isEmpty {
                words.append("\(one.isOn ? "on" : "ignoring")(\(one.labels.joined(separator: ",")))")
            }
            if let grouping = one.grouping { words.append("\(grouping)(\(one.include.joined(separator: ",")))") }
            return "(\(one.left.tree) \(words.joined(separator: " ")) \(one.right.tree))"
        case .negation(let inner): return "-\(inner.tree)"
        case .parentheses(let inner): return inner.tree.hasPrefix("(") ? inner.tree : "(\(inner.tree))"
        }
    }
}

extension PromQLSelector {
    fileprivate var tree: String {
        if matchers.count == 1, let name = matchers.metricName, !name.contains(" ") { return name }
        return "{\(matchers.map(\.description).joined(separator: ","))}"
    }
}

extension PromQLOffset {
    fileprivate var tree: String {
        switch anchor {
        case .time(let time): " @\(offset)=\(time)"
        case .start: " @\(offset)=start"
        case .end: " @\(offset)=end"
        case nil: offset == 0 ? "" : " @\(offset)"
        }
    }
}
