import Testing

@testable import Telemetry

/// What groups of rule files may say since Prometheus 3.
@Suite("Members of groups")
struct RuleGroupMembersTests {
    private static func group(_ members: String) throws -> RuleProgram.Group {
        let rules = #"[{alert: A, expr: "x > 0", labels: {team: own}}, {record: y, expr: x}]"#
        return try RuleReader.read("groups: [{name: g, \(members), rules: \(rules)}]").groups[0]
    }

    @Test("Labels of a group are all of its rules', and a rule's own of the same name replace them")
    func labels() throws {
        let group = try Self.group("labels: {team: shared, site: b}")
        func labels(_ rule: RuleProgram.Rule) -> [String] { rule.labels.map { "\($0.name)" }.sorted() }
        #expect(group.rules.map(labels) == [["site", "team"], ["site", "team"]])
        let bench = SeriesBench()
        bench.add(LabelSet([("__name__", "x")]), 0, 1)
        var runner = RuleRunner()
        var recorded: [LabelSet] = []
        _ = runner.evaluate(group, number: 0, by: RuleEvaluation(reader: bench), at: 0) { labels, _ in
            recorded.append(labels)
        }
        let alert = try #require(runner.firing.first)
        #expect(alert.labels["team"] == "own" && alert.labels["site"] == "b")
        #expect(recorded.contains { $0["__name__"] == "y" && $0["team"] == "shared" && $0["site"] == "b" })
    }

    @Test("What is wrong with them is told once, where it stands")
    func wrongLabels() throws {
        let refusal = #expect(throws: RuleReader.Refusal.self) { try Self.group(#"labels: {"a b": c}"#) }
        #expect(refusal?.faults.count == 1 && refusal?.faults.first?.reason.contains("a b") == true)
    }

    @Test("An offset of none is taken; another one is refused with what to do instead")
    func queryOffset() throws {
        #expect(try Self.group("query_offset: 0s").rules.count == 2)
        let refusal = #expect(throws: RuleReader.Refusal.self) { try Self.group("query_offset: 1m") }
        #expect(refusal?.faults.map(\.reason).first?.contains("`offset`") == true)
        #expect(throws: RuleReader.Refusal.self) { try Self.group("query_offset: soon") }
        #expect(throws: RuleReader.Refusal.self) { try Self.group("partial_response_strategy: warn") }
    }
}
