import Foundation
import Testing

@testable import Kernel

@Suite("JSON Schema")
struct JSONSchemaTests {
    /// A schema, a document, and the keywords of the violations with their places.
    typealias Case = (schema: String, document: String, violations: [String])

    static let cases: [Case] = [
        (##"{"type":"integer"}"##, "3.0", []), (##"{"type":"integer"}"##, "3.5", ["type "]),
        (##"{"type":["string","null"]}"##, "null", []), (##"{"type":["string","null"]}"##, "{}", ["type "]),
        (##"{"type":"number"}"##, "true", ["type "]), (##"{"type":"boolean"}"##, "0", ["type "]),
        (##"{"enum":[1,"a",{"x":[1]}]}"##, ##"{"x":[1.0]}"##, []), (##"{"enum":[1]}"##, "true", ["enum "]),
        (##"{"const":{"a":1,"b":2}}"##, ##"{"b":2,"a":1}"##, []), (##"{"const":[]}"##, "{}", ["const "]),
        (##"{"minimum":9007199254740993}"##, "9007199254740992", ["minimum "]),
        (##"{"maximum":9007199254740992.0}"##, "9007199254740993", ["maximum "]),
        (##"{"exclusiveMinimum":1}"##, "1.0", ["exclusiveMinimum "]), (##"{"exclusiveMaximum":1}"##, "0.99", []),
        (##"{"multipleOf":0.01}"##, "0.07", []), (##"{"multipleOf":0.01}"##, "0.075", ["multipleOf "]),
        (##"{"multipleOf":0.5}"##, "1e308", []), (##"{"multipleOf":0.123456789}"##, "1e308", ["multipleOf "]),
        (##"{"multipleOf":3}"##, "9007199254740993", []), (##"{"multipleOf":1e-20}"##, "1", []),
        (##"{"minLength":2}"##, ##""😀""##, ["minLength "]), (##"{"maxLength":2}"##, ##""é""##, []),
        (##"{"maxLength":1}"##, "\"e\u{301}\"", ["maxLength "]),
        (##"{"pattern":"^a+$"}"##, ##""aab""##, ["pattern "]), (##"{"pattern":"b"}"##, ##""abc""##, []),
        (##"{"items":{"type":"string"}}"##, ##"["a",1,"b",null]"##, ["type /1", "type /3"]),
        (##"{"prefixItems":[{"type":"string"}],"items":false}"##, ##"["a",1]"##, ["items "]),
        (##"{"items":[{"type":"string"}],"additionalItems":false}"##, ##"["a",1]"##, ["additionalItems "]),
        (##"{"contains":{"type":"string"},"minContains":2,"maxContains":2}"##, ##"["a",1]"##, ["contains "]),
        (##"{"contains":{"type":"string"},"maxContains":1}"##, ##"["a","b"]"##, ["maxContains "]),
        (##"{"contains":true,"minContains":0}"##, "[]", []),
        (##"{"minItems":1,"uniqueItems":true}"##, "[]", ["minItems "]),
        (##"{"uniqueItems":true}"##, ##"[{"a":1,"b":2},{"b":2,"a":1.0}]"##, ["uniqueItems "]),
        (##"{"uniqueItems":true}"##, ##"[1,"1",[1],true,null]"##, []),
        (##"{"required":["a","b~/"]}"##, ##"{"a":null}"##, ["required "]),
        (##"{"properties":{"b~/":{"type":"null"}}}"##, ##"{"b~/":1}"##, ["type /b~0~1"]),
        (
            ##"{"properties":{"a":{}},"patternProperties":{"^x":{"type":"integer"}},"additionalProperties":false}"##,
            ##"{"a":1,"xy":"s","q":2}"##, ["type /xy", "additionalProperties /q"]
        ),
        (##"{"propertyNames":{"maxLength":1}}"##, ##"{"ab":1}"##, ["maxLength /ab"]),
        (##"{"minProperties":1,"maxProperties":1}"##, "{}", ["minProperties "]),
        (##"{"dependentRequired":{"a":["b"]}}"##, ##"{"a":1}"##, ["dependentRequired "]),
        (##"{"dependentSchemas":{"a":{"required":["b"]}}}"##, ##"{"a":1}"##, ["required "]),
        (
            ##"{"dependencies":{"a":["b"],"c":{"minProperties":3}}}"##, ##"{"a":1,"c":1}"##,
            ["dependentRequired ", "minProperties "]
        ),
        (##"{"allOf":[{"type":"integer"},{"minimum":3}]}"##, "2", ["minimum "]),
        (##"{"anyOf":[{"type":"string"},{"minimum":3}]}"##, "2", ["anyOf "]),
        (##"{"oneOf":[{"minimum":1},{"minimum":2}]}"##, "3", ["oneOf "]), (##"{"oneOf":[true,false]}"##, "3", []),
        (##"{"not":{"type":"integer"}}"##, "3", ["not "]),
        (##"{"if":{"minimum":5},"then":{"multipleOf":2},"else":{"maximum":1}}"##, "7", ["multipleOf "]),
        (##"{"if":{"minimum":5},"then":{"multipleOf":2},"else":{"maximum":1}}"##, "3", ["maximum "]),
        (##"{"$ref":"#/$defs/a%25b","$defs":{"a%b":{"type":"null"}}}"##, "1", ["type "]),
        (##"{"$ref":"#/definitions/a","definitions":{"a":{"type":"null"}}}"##, "null", []),
        (##"{"$ref":"#n","$defs":{"a":{"$anchor":"n","type":"null"}}}"##, "1", ["type "]),
        (
            ##"{"$id":"http://x/root","$ref":"sub#n","$defs":{"a":{"$id":"sub","$anchor":"n","type":"null"}}}"##, "1",
            ["type "]
        ),
        (##"{"$ref":"#/$defs/a","maxItems":1,"$defs":{"a":{"minItems":1}}}"##, "[1,2]", ["maxItems "]),
        (
            ##"{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"$ref":"#/definitions/n","##
                + ##""maximum":1}},"definitions":{"n":{"type":"integer"}}}"##, ##"{"a":2}"##, []
        ),
        (
            ##"{"properties":{"kids":{"items":{"$ref":"#"}}},"additionalProperties":false}"##,
            ##"{"kids":[{"kids":[]},{"kid":[]}]}"##, ["additionalProperties /kids/1/kid"]
        ),
        (
            ##"{"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false}"##, ##"{"a":1,"b":2}"##,
            ["unevaluatedProperties /b"]
        ),
        (
            ##"{"anyOf":[{"prefixItems":[{"const":1}]},{"prefixItems":[true,true]}],"unevaluatedItems":false}"##,
            "[1,2,3]", ["unevaluatedItems /2"]
        ),
        ("true", "1", []), ("false", "1", ["false "]), ("{}", "[null]", []),
        (##"{"format":"date-time"}"##, ##""2026-02-29T00:00:00Z""##, ["format "]),
        (##"{"format":"date-time"}"##, ##""1969-12-31t23:59:60.5+00:00""##, []),
        (##"{"format":"ipv4"}"##, ##""1.2.3.04""##, ["format "]), (##"{"format":"ipv6"}"##, ##""::ffff:1.2.3.4""##, []),
        (##"{"format":"ipv6"}"##, ##""1::2::3""##, ["format "]), (##"{"format":"uuid"}"##, ##""nope""##, ["format "]),
        (##"{"format":"email"}"##, ##""a@b@c""##, ["format "]), (##"{"format":"uri"}"##, ##""https://a/b?c#d""##, []),
        (##"{"format":"uri"}"##, ##""/relative""##, ["format "]), (##"{"format":"colour"}"##, ##""anything""##, []),
    ]

    @Test("documents are judged as the specification has it", arguments: cases)
    func judgement(schema: String, document: String, violations: [String]) throws {
        let compiled = try JSONSchema(JSONParser.parse(schema))
        let found = compiled.validate(try JSONParser.parse(document))
        #expect(found.map { "\($0.keyword) \($0.path)" } == violations, "\(schema) \(document)")
        #expect(found.allSatisfy { $0.sentence.hasSuffix(".") })
    }

    static let refusals: [(schema: String, field: String)] = [
        ("3", ""), (##"{"type":"int"}"##, "/type"), (##"{"type":[]}"##, "/type"),
        (##"{"type":["null","null"]}"##, "/type"),
        (##"{"properties":[]}"##, "/properties"),
        (##"{"properties":{"a/b":{"minLength":-1}}}"##, "/properties/a~1b/minLength"),
        (##"{"required":["a","a"]}"##, "/required"), (##"{"enum":3}"##, "/enum"),
        (##"{"multipleOf":0}"##, "/multipleOf"),
        (##"{"items":3}"##, "/items"), (##"{"allOf":[]}"##, "/allOf"), (##"{"not":null}"##, "/not"),
        (##"{"pattern":"("}"##, "/pattern"), (##"{"patternProperties":{"[":{}}}"##, "/patternProperties/["),
        (##"{"$ref":"#/$defs/none"}"##, "/$ref"), (##"{"$ref":"https://example.com/schema"}"##, "/$ref"),
        (##"{"$ref":"other.json"}"##, "/$ref"), (##"{"$dynamicRef":"#a"}"##, "/$dynamicRef"),
        (##"{"$schema":"http://json-schema.org/draft-04/schema#"}"##, "/$schema"),
        (##"{"$schema":"https://json-schema.org/draft/2020-12/schema","items":[{}]}"##, "/items"),
        (##"{"$defs":{"a":{"minimum":"1"}}}"##, "/$defs/a/minimum"), (##"{"uniqueItems":1}"##, "/uniqueItems"),
        (##"{"dependentRequired":{"a":"b"}}"##, "/dependentRequired/a"), (##"{"$anchor":"1"}"##, "/$anchor"),
        (##"{"$ref":"#"}"##, ""),
        (##"{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"}]}}}"##, "/$defs/a"),
    ]

    @Test("what is no schema is refused with its path", arguments: refusals)
    func refusal(schema: String, field: String) throws {
        let document = try JSONParser.parse(schema)
        do {
            _ = try JSONSchema(document, field: "deliverableSchema")
            Issue.record("\(schema) was taken")
        } catch let problem as Problem {
            #expect(problem.code == .invalidSchema)
            #expect(problem.field == "deliverableSchema" + field)
        }
    }

    @Test("violations are bounded, and the nearest form of anyOf is told")
    func messages() throws {
        let schema = try JSONSchema(["items": ["type": "string"]])
        #expect(schema.validate(.array(Array(repeating: 1, count: 100))).count == JSONSchema.violationsMax)
        let forms = try JSONSchema([
            "anyOf": [["type": "null"], ["properties": ["name": ["type": "string"]]]]
        ])
        #expect(
            forms.validate(["name": 3]).first?.sentence
                == "It matches none of the 2 allowed forms; the nearest one fails at /name: "
                + "It must be of type string, not integer.")
        #expect(throws: Problem.self) { try forms.check(["name": 3]) }
        try forms.check(["name": "x"])
    }

    @Test("what costs too much is a violation, never a pass")
    func budget() throws {
        var definitions: JSONObject = JSONObject()
        for index in 0..<60 {
            let next: JSONValue = ["$ref": .string("#/$defs/d\(index + 1)")]
            definitions["d\(index)"] = ["allOf": [next, next]]
        }
        definitions["d60"] = true
        for keyword in ["not", "if", "contains"] {
            let schema = try JSONSchema([
                "$defs": .object(definitions), keyword == "if" ? "if" : keyword: ["$ref": "#/$defs/d0"],
            ])
            #expect(schema.validate([1], stepsMax: 100_000).map(\.keyword) == ["limit"])
        }
    }

    @Test("the deepest application fits a storage thread's stack")
    func depth() throws {
        var definitions = JSONObject()
        for index in 0..<1_500 { definitions["d\(index)"] = ["anyOf": [["$ref": .string("#/$defs/d\(index + 1)")]]] }
        definitions["d1500"] = true
        let schema = try JSONSchema(["$ref": "#/$defs/d0", "$defs": .object(definitions)])
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            #expect(schema.validate(1).map(\.keyword) == ["limit"])
            done.signal()
        }
        thread.stackSize = 4 << 20
        thread.start()
        done.wait()
    }

    @Test("a schema's size is bounded")
    func size() {
        let many = JSONValue.array(Array(repeating: true, count: JSONSchema.subschemasMax + 1))
        #expect(throws: Problem.self) { try JSONSchema(["allOf": many]) }
        #expect(throws: Problem.self) {
            try JSONSchema(["enum": .array(Array(repeating: 1, count: JSONSchema.valuesMax + 1))])
        }
        let patterns = (0..<20).map { ["pattern": .string("(a{90}){90}|\($0)")] as JSONValue }
        #expect(throws: Problem.self) { try JSONSchema(["allOf": .array(patterns)]) }
    }
}
