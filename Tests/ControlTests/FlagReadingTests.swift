import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Flags: what is refused")
struct FlagReadingTests {
    private static func rule(_ rule: JSONValue) -> JSONValue { FlagSample.toggle(["rules": [rule]]) }

    private static let many = JSONValue.object(
        JSONObject((0...FlagDefinition.variantsMax).map { .init(name: "v\($0)", value: true) }))
    private static let refused: [(what: String, json: JSONValue, field: String)] = [
        ("no type", ["variants": ["a": true], "defaultVariant": "a"], "type"),
        ("a type that there is not", FlagSample.toggle(["type": "integer"]), "type"),
        ("a mode that there is not", FlagSample.toggle(["mode": "sticky"]), "mode"),
        ("no variants", ["type": "boolean", "defaultVariant": "on"], "variants"),
        ("an empty set of variants", FlagSample.toggle(["variants": [:]]), "variants"),
        ("too many variants", FlagSample.toggle(["variants": many]), "variants"),
        ("a value of another type", FlagSample.toggle(["variants": ["on": true, "off": "no"]]), "variants/off"),
        (
            "a name that is none", FlagSample.toggle(["variants": ["on": true, "off": false, "a b": true]]),
            "variants/a b"
        ),
        (
            "a value that is too large",
            [
                "type": "string", "defaultVariant": "a",
                "variants": ["a": .string(String(repeating: "x", count: FlagDefinition.valueBytesMax))],
            ], "variants/a"
        ),
        ("no default", ["type": "boolean", "variants": ["on": true]], "defaultVariant"),
        ("a default that there is not", FlagSample.toggle(["defaultVariant": "maybe"]), "defaultVariant"),
        ("an off variant that there is not", FlagSample.toggle(["offVariant": "maybe"]), "offVariant"),
        ("a member that is not known", FlagSample.toggle(["defualtVariant": "on"]), "defualtVariant"),
        ("a rule without an outcome", rule(["when": ["a": 1]]), "rules/0/variant"),
        ("a rule with two", rule(["variant": "on", "split": ["on": 100]]), "rules/0/split"),
        ("a rule of no variant", rule(["variant": "maybe"]), "rules/0/variant"),
        ("a split of no variant", rule(["split": ["maybe": 100]]), "rules/0/split/maybe"),
        ("a split that is no whole", rule(["split": ["on": 10, "off": 80]]), "rules/0/split"),
        ("a split beyond the whole", rule(["split": ["on": 60, "off": 60]]), "rules/0/split"),
        ("a share below nothing", rule(["split": ["on": -1, "off": 101]]), "rules/0/split/on"),
        ("a share that is too fine", rule(["split": ["on": 0.001, "off": 99.999]]), "rules/0/split/on"),
        ("a test that there is not", rule(["when": ["a": ["like": "x"]], "variant": "on"]), "rules/0/when/a/like"),
        ("an empty condition", rule(["when": ["a": [:]], "variant": "on"]), "rules/0/when/a"),
        ("a list that is empty", rule(["when": ["a": ["in": []]], "variant": "on"]), "rules/0/when/a/in"),
        ("a list of objects", rule(["when": ["a": ["in": [["b": 1]]]], "variant": "on"]), "rules/0/when/a/in/0"),
        ("no range", rule(["when": ["a": ["semver": ">=x"]], "variant": "on"]), "rules/0/when/a/semver"),
        ("no number to compare", rule(["when": ["a": ["greater": true]], "variant": "on"]), "rules/0/when/a/greater"),
        ("an id that is none", rule(["id": "a/b", "variant": "on"]), "rules/0/id"),
        (
            "an id twice",
            FlagSample.toggle(["rules": [["id": "x", "variant": "on"], ["id": "x", "variant": "off"]]]),
            "rules/1/id"
        ),
        ("a schedule at all times", FlagSample.toggle(["schedules": [["variant": "on"]]]), "schedules/0/from"),
        (
            "a schedule that ends before it begins",
            FlagSample.toggle([
                "schedules": [["from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z", "variant": "on"]]
            ]), "schedules/0/until"
        ),
        ("no time", FlagSample.toggle(["schedules": [["from": "tomorrow", "variant": "on"]]]), "schedules/0/from"),
        (
            "a prerequisite of nothing", FlagSample.toggle(["prerequisites": [["flag": "a"]]]),
            "prerequisites/0/variants"
        ),
        ("metadata that are no plain value", FlagSample.toggle(["metadata": ["a": ["b": 1]]]), "metadata/a"),
    ]

    @Test("an inconsistent flag is refused with the place of what is wrong", arguments: refused.indices)
    func inconsistent(_ index: Int) throws {
        let row = Self.refused[index]
        let problem = #expect(throws: Problem.self) { try FlagSample.definition(row.json) }
        #expect(problem?.code == .invalid, "\(row.what)")
        #expect(problem?.field == row.field, "\(row.what)")
    }

    @Test("no more rules, conditions and values than are allowed, and no larger a whole")
    func bounds() throws {
        let rules = (0...FlagDefinition.rulesMax).map {
            JSONValue.object(
                JSONObject([
                    .init(name: "id", value: .string("r\($0)")), .init(name: "variant", value: "on"),
                ]))
        }
        #expect(throws: Problem.self) { try FlagSample.definition(FlagSample.toggle(["rules": .array(rules)])) }
        _ = try FlagSample.definition(FlagSample.toggle(["rules": .array(Array(rules.dropLast()))]))
        let values = (0...FlagCondition.valuesMax).map { JSONValue.int(Int64($0)) }
        #expect(throws: Problem.self) {
            try FlagSample.definition(Self.rule(["when": ["a": ["in": .array(values)]], "variant": "on"]))
        }
        let texts = (0..<FlagCondition.valuesMax).map { JSONValue.string(String(repeating: "x", count: 500) + "\($0)") }
        #expect(throws: Problem.self) {
            try FlagSample.definition(Self.rule(["when": ["a": ["in": .array(texts)]], "variant": "on"]))
        }
        let conditions = JSONObject((0...FlagDefinition.conditionsMax).map { .init(name: "a\($0)", value: 1) })
        #expect(throws: Problem.self) {
            try FlagSample.definition(Self.rule(["when": .object(conditions), "variant": "on"]))
        }
    }

    @Test("a flag that was read may be sent back as it is")
    func readBack() throws {
        let flag = try FlagSample.flag("f", Self.rule(["id": "all", "split": ["on": 12.34, "off": 87.66]]))
        #expect(try FlagSample.definition(flag.json, salt: "another") == flag.definition)
    }
}
