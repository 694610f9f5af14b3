import Testing

@testable import Telemetry

@Suite("What drills are called")
struct DrillNamesTests {
    @Test(
        "a fleet's own names are never taken for a drill's",
        arguments: [
            ("drill-01a2b3c4", true), ("drill-01a2b3c4-hung", true), ("drill-01a2b3c4-", true), ("drill-bit", false),
            ("drill-01a2b3c", false), ("drill-01a2b3c45", false), ("drill-01A2B3C4-x", false), ("drill-", false),
            ("adrill-01a2b3c4", false), ("", false),
        ])
    func names(_ name: String, _ isOfDrill: Bool) {
        #expect(DrillNames.isOfDrill(name) == isOfDrill)
        #expect(DrillNames.isOfDrill(LabelSet([("agent", name)])) == isOfDrill)
        #expect(DrillNames.isOfDrill(LabelSet([("queue", name)])) == isOfDrill)
    }

    @Test("rules leave out what drills do, but for a drill's own")
    func rules() throws {
        let bench = SeriesBench()
        for agent in ["ann", "drill-01a2b3c4-hung"] {
            bench.add(LabelSet([(LabelSet.metricName, "up"), ("agent", agent)]), 1_000, 0)
        }
        let program = try RuleReader.read("groups: [{name: g, rules: [{alert: Down, expr: up == 0}]}]")
        let rule = program.rules[0]
        let alert = try #require(rule.alert)
        var evaluation = RuleEvaluation(reader: bench)
        #expect(try evaluation.found(rule, alert, at: 2_000).count == 2)
        evaluation.leavesOut = DrillNames.isOfDrill
        #expect(try evaluation.found(rule, alert, at: 2_000).map { $0.labels["agent"] } == ["ann"])
    }
}
