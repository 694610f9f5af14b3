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
        #expect(DrillNames.isOfDrill(LabelSet([("scope", "agent:\(name)")])) == isOfDrill)
        #expect(DrillNames.project(of: name) == (isOfDrill ? "drill-01a2b3c4" : nil))
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
        #expect(try evaluation.found(rule, alert, in: evaluation.vector(rule.query, at: 2_000), at: 2_000).count == 2)
        evaluation.leavesOutDrills = true
        let found = try evaluation.found(rule, alert, in: evaluation.vector(rule.query, at: 2_000), at: 2_000)
        #expect(found.map { $0.labels["agent"] } == ["ann"])
    }

    @Test("no series makes a drill of a fleet's alert, which nobody would hear of")
    func forged() throws {
        let bench = SeriesBench()
        bench.add(
            LabelSet([
                (LabelSet.metricName, "up"), ("agent", "ann"), ("drill", "drill_0193a2b1c3d47e5f8a9b0c1d2e3f4a5b"),
            ]),
            1_000, 0)
        let text = "groups: [{name: g, rules: [{alert: Down, expr: up == 0, labels: {drill: '{{ $labels.drill }}'}}]}]"
        let rule = try RuleReader.read(text).rules[0]
        let alert = try #require(rule.alert)
        var evaluation = RuleEvaluation(reader: bench)
        evaluation.leavesOutDrills = true
        let found = try evaluation.found(rule, alert, in: evaluation.vector(rule.query, at: 2_000), at: 2_000)
        #expect(found.map { $0.labels["drill"] } == [""])
        #expect(found.map { $0.labels["exported_drill"] } == ["drill_0193a2b1c3d47e5f8a9b0c1d2e3f4a5b"])
    }
}
