import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Flags: what a context gets")
struct FlagEvaluationTests {
    private static let conditions: [(JSONValue, JSONValue, Bool)] = [
        (["in": ["a", "b"]], "b", true), (["in": ["a", "b"]], "c", false), (["in": [1, 2]], 2.0, true),
        (["in": ["1"]], 1, false), (["in": [true]], true, true), (["in": ["a"]], ["x", "a"], true),
        (["notIn": ["a"]], "b", true), (["notIn": ["a"]], ["b", "a"], false), (["equals": "a"], "a", true),
        (["equals": "a"], "A", false), (["notEquals": "a"], "b", true), (["notEquals": "a"], "a", false),
        (["startsWith": "gpt-"], "gpt-5", true), (["startsWith": ["x", "gpt-"]], "gpt-5", true),
        (["startsWith": "gpt-"], 5, false), (["endsWith": "@example.org"], "eva@example.org", true),
        (["endsWith": "@example.org"], "eva@example.com", false), (["contains": "mid"], "amidst", true),
        (["contains": "mid"], "most", false), (["greater": 5], 5, false), (["greater": 5], 5.5, true),
        (["greaterOrEqual": 5], 5, true), (["less": 5], 4, true), (["lessOrEqual": 5], 6, false),
        (["greater": "2026-01-01"], "2026-03-01", true), (["greater": 5], "6", false), (["greater": "5"], 6, false),
        (["semver": ">=1.2.0"], "1.10.0", true), (["semver": ">=1.2.0 <2"], "2.0.0", false),
        (["semver": "^1.2"], "1.9.9", true), (["semver": "^1.2"], "2.0.0", false),
        (["semver": "~1.2.3"], "1.2.9", true),
        (["semver": "~1.2.3"], "1.3.0", false), (["semver": "<1.0.0"], "1.0.0-rc.1", true),
        (["semver": "=1.0.0"], "v1.0.0+build.7", true), (["semver": ">1.0.0-alpha.2"], "1.0.0-alpha.10", true),
        (["semver": ">=1"], "one", false), (["semver": ">=1"], "1.2.3.4", false),
        (["semver": "!=1.4.2"], "1.4.3", true),
        (["exists": true], 0, true), (["exists": false], 0, false), (["greater": 1, "less": 3], 2, true),
        (["greater": 1, "less": 3], 3, false), ("plain", "plain", true), (["a", "b"], "b", true), (7, 7, true),
    ]

    @Test("each test of a condition", arguments: conditions)
    func condition(_ row: (JSONValue, JSONValue, Bool)) throws {
        let condition = try FlagCondition("x", row.0, path: "when/x")
        #expect(condition.holds(row.1) == row.2, "\(row.0.text) of \(row.1.text)")
    }

    @Test("what is not there holds notIn, notEquals and exists: false alone")
    func absent() throws {
        for name in FlagCondition.operators {
            let operand: JSONValue =
                switch name {
                case "in", "notIn": ["a"]
                case "exists": false
                case "semver": ">=0"
                default: "a"
                }
            let condition = try FlagCondition("x", .object(JSONObject([.init(name: name, value: operand)])), path: "x")
            let holds = ["notIn", "notEquals", "exists"].contains(name)
            #expect(condition.holds(nil) == holds, "\(name)")
            #expect(condition.holds(.null) == holds, "\(name)")
        }
    }

    @Test("switched off, the first rule, a schedule, the default: with their reasons")
    func order() throws {
        let flag = try FlagSample.flag(
            "f",
            [
                "type": "string", "variants": ["a": "A", "b": "B", "c": "C", "off": "-"], "defaultVariant": "a",
                "offVariant": "off",
                "rules": [
                    ["id": "staff", "when": ["user.team": "core", "plan": ["in": ["pro"]]], "variant": "b"],
                    ["id": "late", "when": ["user.team": "core"], "variant": "c"],
                ],
                "schedules": [
                    ["id": "night", "from": "2026-11-20T20:00:00Z", "until": "2026-11-21T04:00:00Z", "variant": "c"]
                ],
            ])
        let team: JSONValue = ["team": "core"]
        let first = try FlagSample.decide([flag], ["user": team, "plan": "pro"])
        #expect((first.variant, first.value, first.reason, first.rule) == ("b", "B", .targetingMatch, "staff"))
        #expect(try FlagSample.decide([flag], ["user": team]).rule == "late")
        #expect(try FlagSample.decide([flag], ["user.team": "core"]).rule == "late")
        let plain = try FlagSample.decide([flag], [:])
        #expect((plain.variant, plain.reason, plain.rule) == ("a", .fixed, nil))
        let night = try FlagSample.decide([flag], [:], at: FlagSample.now + .hours(12))
        #expect((night.variant, night.reason, night.rule) == ("c", .fixed, "night"))
        #expect(try FlagSample.decide([flag], [:], at: FlagSample.now + .hours(20)).variant == "a")
        #expect(flag.definition.nextTurn(after: FlagSample.now) == FlagSample.now + .hours(12))
        let off = FeatureFlag(
            key: "f", definition: flag.definition.switched(false), shares: [:], version: 2, revision: 2,
            createdAt: flag.createdAt, createdBy: "", updatedAt: flag.updatedAt, updatedBy: "")
        let disabled = try FlagSample.decide([off], ["user": team])
        #expect((disabled.variant, disabled.value, disabled.reason) == ("off", "-", .disabled))
        let toggle = try FlagSample.flag("t", FlagSample.toggle(["enabled": false, "defaultVariant": "on"]))
        #expect(try FlagSample.decide([toggle], [:]).variant == "on")
    }

    @Test("a prerequisite that is not met, or that is gone, switches off; a circle ends")
    func prerequisites() throws {
        let base = try FlagSample.flag(
            "base", FlagSample.toggle(["rules": [["when": ["beta": true], "variant": "on"]]]))
        let next = try FlagSample.flag(
            "next",
            FlagSample.toggle([
                "defaultVariant": "on", "offVariant": "off",
                "prerequisites": [
                    ["flag": "base", "variants": ["on"]]
                ],
            ]))
        #expect(try FlagSample.decide([next, base], ["beta": true]).reason == .fixed)
        let unmet = try FlagSample.decide([next, base], [:])
        #expect((unmet.variant, unmet.reason) == ("off", .disabled))
        #expect(try FlagSample.decide([next], ["beta": true]).reason == .disabled)
        let circle = try FlagSample.flag(
            "circle", FlagSample.toggle(["prerequisites": [["flag": "circle", "variants": ["on"]]]]))
        #expect(try FlagSample.decide([circle], [:]).reason == .disabled)
    }

    @Test("a split without a targeting key fails, and only where it decides")
    func targetingKey() throws {
        let flag = try FlagSample.flag(
            "f",
            FlagSample.toggle(["rules": [["when": ["vip": true], "variant": "on"], ["split": ["on": 50, "off": 50]]]]))
        for context: JSONValue in [[:], ["targetingKey": ""], ["targetingKey": .null]] {
            #expect(throws: FlagFailure.self) { try FlagSample.decide([flag], context) }
        }
        #expect(try FlagSample.decide([flag], ["vip": true]).variant == "on")
        let split = try FlagSample.decide([flag], ["targetingKey": "u"])
        #expect((split.reason, split.rule) == (.split, "rule-2"))
    }

    @Test("a context that is none, or too large")
    func contexts() throws {
        let many = JSONObject((0...FlagContext.attributesMax).map { .init(name: "a\($0)", value: 1) })
        let long = String(repeating: "x", count: FlagContext.keyMax + 1)
        let refused: [JSONValue] = [
            "text", [1], .object(many), ["targetingKey": 7], ["sessionId": true], ["targetingKey": .string(long)],
        ]
        for context in refused {
            let failure = #expect(throws: FlagFailure.self) { try FlagContext(context) }
            #expect(failure?.code == .invalidContext, "\(context.text.prefix(40))")
        }
        #expect(try FlagContext(nil).targetingKey == nil)
        let own = try FlagContext(["agent": "other"], agent: "writer")
        #expect(own.value("agent") == "writer")
        let deep = (0..<40).reduce(JSONValue.int(1)) { value, _ in ["a": value] }
        #expect(try FlagContext(["a": deep]).value("a.a.a.a.a.a.a.a.a.a.a.a") == nil)
    }

    // MARK: Shares

    private static func serves(_ flag: FeatureFlag, _ count: Int, variant: String = "on") throws -> Set<Int> {
        Set(
            try (0..<count).filter { number in
                let context: JSONValue = ["targetingKey": .string("user-\(number)")]
                return try FlagSample.decide([flag], context).variant == variant
            })
    }

    @Test("shares are what they say", arguments: [0.01, 0.5, 1, 10, 33.33, 50, 99.99])
    func distribution(_ percent: Double) throws {
        let count = 20_000
        let flag = try FlagSample.flag(
            "f", FlagSample.split(["on": .double(percent), "off": .double(((100 - percent) * 100).rounded() / 100)]))
        let (got, wanted) = (Double(try Self.serves(flag, count).count), Double(count) * percent / 100)
        // Five standard deviations of a binomial.
        let deviation = (wanted * (1 - percent / 100)).squareRoot()
        #expect(abs(got - wanted) <= 5 * deviation + 1, "\(got) of \(count), \(wanted) wanted")
    }

    @Test("one flag's share says nothing of another's, nor of the same with another salt")
    func independence() throws {
        let count = 10_000
        let one = try Self.serves(FlagSample.flag("one", FlagSample.split(["on": 50, "off": 50])), count)
        let other = try Self.serves(FlagSample.flag("other", FlagSample.split(["on": 50, "off": 50])), count)
        let salted = try Self.serves(FlagSample.flag("one", FlagSample.split(["on": 50, "off": 50]), salt: "x"), count)
        for both in [one.intersection(other).count, one.intersection(salted).count] {
            #expect(abs(Double(both) - 2_500) < 5 * (10_000 * 0.25 * 0.75).squareRoot())
        }
        // The same salt, flag and key give the same place on every machine.
        let bucket = FlagBucket.of(salt: "salt", flag: "one", targetingKey: "user-1")
        #expect(bucket == 1_473)
    }

    @Test("whoever has a variant keeps it while its share grows, whatever the others do")
    func monotony() {
        let names = ["a", "b", "c", "d"]
        var generator = FlagChance(seed: 7)
        func wishes() -> [FlagShares.Wish] {
            var cuts = (0..<3).map { _ in Int(generator.next() % 10_001) }.sorted()
            cuts = [0] + cuts + [10_000]
            return zip(names, zip(cuts, cuts.dropFirst()).map { $1 - $0 }).map { FlagShares.Wish($0, $1) }
        }
        var known = wishes()
        var shares = FlagShares(known)
        for _ in 0..<20 {
            let next = wishes()
            let moved = shares.moved(to: next)
            let (before, after) = (Self.owners(shares), Self.owners(moved))
            let grown = Set(names.filter { Self.size($0, next) >= Self.size($0, known) })
            let lost = zip(before, after).filter { $0 != $1 && grown.contains($0) }
            #expect(lost.isEmpty, "\(known) to \(next)")
            for name in names { #expect(after.count { $0 == name } == Self.size(name, next)) }
            #expect(FlagShares(moved.json) == moved)
            (known, shares) = (next, moved)
        }
    }

    @Test("a share that is raised and lowered again has the same people")
    func reversible() {
        let small: [FlagShares.Wish] = [.init("on", 1_000), .init("off", 9_000)]
        let shares = FlagShares(small)
        let large = shares.moved(to: [.init("off", 5_000), .init("on", 5_000)])
        #expect(Self.owners(large.moved(to: small)) == Self.owners(shares))
        #expect(large.moved(to: [.init("on", 10_000)]).parts.allSatisfy { $0.variant == "on" })
    }

    @Test("too many parts begin anew, so that an evaluation stays short")
    func parts() {
        var shares = FlagShares([.init("a", 5_000), .init("b", 5_000)])
        let names = (0..<50).map { "v\($0)" }
        var mostParts = 0
        for round in 0..<200 {
            let wishes = names.enumerated().map { index, name in
                FlagShares.Wish(name, (index + round).isMultiple(of: 2) ? 300 : 100)
            }
            shares = shares.moved(to: wishes)
            mostParts = max(mostParts, shares.parts.count)
        }
        #expect(mostParts <= FlagShares.partsMax)
        #expect(Self.owners(shares).count == 10_000)
    }

    /// Whose each bucket is.
    private static func owners(_ shares: FlagShares) -> [String] {
        var owners = Array(repeating: "nobody", count: FlagShares.buckets)
        for part in shares.parts {
            for bucket in part.from..<part.to { owners[bucket] = part.variant }
        }
        return owners
    }

    private static func size(_ name: String, _ wishes: [FlagShares.Wish]) -> Int {
        wishes.first { $0.variant == name }?.buckets ?? 0
    }
}

/// A chance that is the same at each run: a linear congruential generator (Knuth's MMIX constants), its high half.
struct FlagChance {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }
}
