import TestSupport
import Testing

@testable import Kernel

/// How members of a body are read, and what a client hears of a wrong one.
struct FieldsTests {
    private enum Colour: String, CaseIterable {
        case red
        case green
    }

    private static func fields(_ object: JSONValue, path: String = "") -> Fields {
        Fields(object.object ?? JSONObject(), limits: Limits(), path: path)
    }

    @Test func readsEveryType() throws {
        let fields = Self.fields([
            "text": "words", "name": "a name", "yes": true, "count": 3, "whole": 4.0, "ratio": 0.5, "wait": 1.5,
            "at": "2026-11-20T08:00:00Z", "list": [1, "a"], "names": ["b", "a", "b"], "nested": ["deep": ["x": 1]],
            "objects": [["a": 1], [:]], "colour": "green", "nothing": .null,
        ])
        #expect(try fields.string("text") == "words")
        #expect(try fields.name("name") == "a name")
        #expect(try fields.optionalBool("yes") == true)
        #expect(try fields.int("count", in: 0...3) == 3)
        #expect(try fields.int("whole", in: 0...9) == 4)
        #expect(try fields.optionalDouble("ratio", in: 0...1) == 0.5)
        #expect(try fields.optionalDouble("count", in: 0...3) == 3)
        #expect(try fields.optionalSpan("wait", in: 0...2) == .milliseconds(1_500))
        #expect(try fields.optionalTime("at") == ManualTime().now)
        #expect(try fields.optionalArray("list", max: 2) == [1, "a"])
        #expect(try fields.optionalNames("names", max: 3) == ["b", "a"])
        #expect(try fields.optionalFields("nested")?.optionalFields("deep")?.path("x") == "nested/deep/x")
        #expect(try fields.objects("objects", max: 2).map { $0.path("a") } == ["objects/0/a", "objects/1/a"])
        #expect(try fields.choice("colour", Colour.self) == .green)
    }

    /// `null` and an absent member are the same.
    @Test(arguments: [[:], ["x": .null]] as [JSONValue])
    func absentIsNil(_ object: JSONValue) throws {
        let fields = Self.fields(object)
        #expect(try fields.optionalString("x") == nil)
        #expect(try fields.optionalName("x") == nil)
        #expect(try fields.optionalBool("x") == nil)
        #expect(try fields.optionalInt("x", in: 0...1) == nil)
        #expect(try fields.optionalDouble("x", in: 0...1) == nil)
        #expect(try fields.optionalSpan("x", in: 0...1) == nil)
        #expect(try fields.optionalTime("x") == nil)
        #expect(try fields.optionalArray("x", max: 1) == nil)
        #expect(try fields.optionalNames("x", max: 1) == nil)
        #expect(try fields.optionalFields("x") == nil)
        #expect(try fields.optionalChoice("x", Colour.self) == nil)
    }

    typealias Reading = @Sendable (Fields) throws -> Void
    private static let refusals: [(JSONValue, String, String, Reading)] = [
        ([:], "x", "missing", { _ = try $0.string("x") }),
        ([:], "x", "missing", { _ = try $0.name("x") }),
        ([:], "x", "missing", { _ = try $0.int("x", in: 0...1) }),
        ([:], "x", "missing", { _ = try $0.objects("x", max: 1) }),
        ([:], "x", "missing", { _ = try $0.choice("x", Colour.self) }),
        (["x": 1], "x", "a string is expected, not integer", { _ = try $0.string("x") }),
        (["x": "abc"], "x", "at most 2 characters", { _ = try $0.string("x", max: 2) }),
        (["x": "e\u{301}\u{301}"], "x", "at most 2 characters", { _ = try $0.string("x", max: 2) }),
        (["x": [:]], "x", "a string is expected, not object", { _ = try $0.name("x") }),
        (["x": "a/b"], "x", "may not contain", { _ = try $0.name("x") }),
        (["x": "true"], "x", "true or false is expected, not string", { _ = try $0.optionalBool("x") }),
        (["x": 1.5], "x", "a whole number is expected, not number", { _ = try $0.int("x", in: 0...9) }),
        (["x": "1"], "x", "a whole number is expected, not string", { _ = try $0.int("x", in: 0...9) }),
        (["x": 10], "x", "0 to 9 is allowed, not 10", { _ = try $0.int("x", in: 0...9) }),
        (["x": -1], "x", "0 to 9 is allowed, not -1", { _ = try $0.int("x", in: 0...9) }),
        (["x": true], "x", "a number is expected, not boolean", { _ = try $0.optionalDouble("x", in: 0...1) }),
        (["x": 1.5], "x", "0.0 to 1.0 is allowed", { _ = try $0.optionalDouble("x", in: 0...1) }),
        (["x": 1e300], "x", "is allowed", { _ = try $0.optionalSpan("x", in: 0...9) }),
        (["x": "tomorrow"], "x", "a time such as", { _ = try $0.optionalTime("x") }),
        (["x": 5], "x", "a string is expected", { _ = try $0.optionalTime("x") }),
        (["x": "a"], "x", "an array is expected, not string", { _ = try $0.optionalArray("x", max: 1) }),
        (["x": [1, 2]], "x", "at most 1 items", { _ = try $0.optionalArray("x", max: 1) }),
        (["x": ["a", 2]], "x/1", "a string is expected, not integer", { _ = try $0.optionalNames("x", max: 9) }),
        (["x": ["a", ".b"]], "x/1", "begin with a dot", { _ = try $0.optionalNames("x", max: 9) }),
        (["x": []], "x", "an object is expected, not array", { _ = try $0.optionalFields("x") }),
        (["x": [[:], 1]], "x/1", "an object is expected, not integer", { _ = try $0.objects("x", max: 9) }),
        (["x": "blue"], "x", "none of: red, green", { _ = try $0.optionalChoice("x", Colour.self) }),
    ]

    @Test(arguments: refusals.indices)
    func refuses(_ index: Int) {
        let (object, field, words, reading) = Self.refusals[index]
        let problem = #expect(throws: Problem.self) { try reading(Self.fields(object)) }
        #expect(problem?.code == .invalid)
        #expect(problem?.field == field)
        #expect(problem?.detail.contains(words) == true, "\(String(describing: problem))")
        let nested = #expect(throws: Problem.self) { try reading(Self.fields(object, path: "tasks/2")) }
        #expect(nested?.field == "tasks/2/\(field)")
    }

    @Test(
        arguments: [
            "", ".", "..", ".hidden", "a/b", "a\\b", "a\u{0}b", "a\nb", "\u{7F}", "\u{85}", ".\u{301}a",
            String(repeating: "a", count: 201), "a" + String(repeating: "\u{301}", count: 200),
        ])
    func refusesNamesThatCouldDoHarm(_ name: String) {
        #expect(throws: Problem.self) { try Fields.checkedName(name, path: "name", limits: Limits()) }
    }

    @Test(arguments: ["a", "a.b", "Ünï 🦉", "a:b@c", String(repeating: "ä", count: 200)])
    func takesOtherNames(_ name: String) throws {
        #expect(try Fields.checkedName(name, path: "name", limits: Limits()) == name)
    }
}
