import Testing

@testable import Telemetry

@Suite("Rules of a group share what they ask for")
struct RuleRunnerTests {
    private static func firing(_ rules: String, _ bench: SeriesBench) throws -> [String] {
        let program = try RuleReader.read("groups: [{name: g, rules: [\(rules)]}]")
        var runner = RuleRunner()
        _ = runner.evaluate(program.groups[0], number: 0, by: RuleEvaluation(reader: bench), at: 0) {
            bench.add($0, 0, $1)
        }
        return runner.firing.map { $0.labels["alertname"] }.sorted()
    }

    @Test("What a rule recorded is seen by those behind it that asked for it before")
    func recorded() throws {
        let rules = """
            {alert: Before, expr: "sum(x) > 0"}, {record: x, expr: "vector(1)"}, {alert: Behind, expr: "sum(x) > 0"}, \
            {alert: None, expr: 'count(ALERTS{alertname="Late"}) > 0'}, {alert: Late, expr: "vector(1)"}, \
            {alert: All, expr: 'count(ALERTS{alertname="Late"}) > 0'}, \
            {alert: Any, expr: 'count({__name__=~"x|y"}) > 0'}
            """
        #expect(try Self.firing(rules, SeriesBench()) == ["All", "Any", "Behind", "Late"])
    }

    @Test("Parts that are alike and not the same are worked out each")
    func shapes() throws {
        let bench = SeriesBench()
        bench.add(LabelSet([("__name__", "x"), ("a", "1"), ("b", "1")]), 0, 1)
        bench.add(LabelSet([("__name__", "x"), ("a", "2"), ("b", "1")]), 0, 5)
        let rules = """
            {alert: A, expr: "sum(x) == 6"}, {alert: B, expr: "sum by (a) (x) == 5"}, \
            {alert: C, expr: "sum(x) == 6.5"}, \
            {alert: D, expr: "sum without (a) (x) == 6"}, {alert: E, expr: 'sum(x{a="1"}) == 1'}, \
            {alert: F, expr: 'sum(x{a!="1"}) == 5'}, {alert: G, expr: "sum(x offset 1m) == 6"}, \
            {alert: H, expr: "topk(1, x) == 5"}, {alert: I, expr: "count(topk(2, x)) == 2"}, \
            {alert: J, expr: "quantile(0.5, x) == 3"}, {alert: K, expr: "quantile(0, x) == 1"}, \
            {alert: L, expr: "clamp_max(x, 2) == 2"}, {alert: M, expr: "clamp_max(x, 3) == 3"}, \
            {alert: N, expr: "abs(x - 5) == 4"}, {alert: O, expr: "abs(x + 5) == 6"}
            """
        #expect(
            try Self.firing(rules, bench)
                == ["A", "B", "D", "E", "F", "H", "I", "J", "K", "L", "M", "N", "O"])
        let texts = [
            "sum(x)", "sum by (a) (x)", "sum(x offset 1m)", "sum(x @ 5)", "sum(x @ start())", "sum(-x)",
            "sum(x > bool 1)",
            "sum(x > 1)", "sum(x * on (a) x)", "sum(x * ignoring (a) x)", "sum(x * on (a) group_left (b) x)",
            "sum(x * on (a) group_right (b) x)", "sum(rate(x[5m]))", "sum(rate(x[6m]))", "sum(rate(x[5m:1m]))",
            #"label_replace(x, "a", "b", "c", "d")"#, #"label_replace(x, "a", "b", "c", "e")"#,
        ]
        #expect(Set(try texts.map { try PromQLParser.parse($0).shape }).count == texts.count)
        #expect(try PromQLParser.parse("sum((x)) by(a,)").shape == PromQLParser.parse("sum by (a) (x)").shape)
    }
}
