import Kernel
import Testing

@testable import Gateway

/// How scripts are read, and tokens counted.
struct ScriptTests {
    @Test(
        arguments: [
            ("", []), ("a", ["a"]), ("You said: hello", ["You", " said:", " hello"]),
            ("abcdefghijklm", ["abcdef", "ghijkl", "m"]), ("  two  spaces ", ["  two", "  spaces", " "]),
            ("Grüße, Welt", ["Grüße,", " Welt"]),
        ] as [(String, [String])])
    func tokensCanBeCountedByHand(text: String, pieces: [String]) {
        #expect(ScriptedTokens.pieces(of: text) == pieces)
        #expect(ScriptedTokens.pieces(of: text).joined() == text)
        #expect(ScriptedTokens.count(text) == pieces.count)
    }

    @Test func aScriptIsYAMLOrJSON() throws {
        let yaml = """
            rules:
              - {model: gpt-*, contains: weather, times: 2, calls: [{name: look, arguments: {city: Oslo}}]}
              - {fault: {status: 429, retryAfterSeconds: 2}}
              - {say: hello, usage: {input: 5, cacheRead: 3}}
              - {say: hello, usage: none}
            """
        let script = try Script(YAMLDocument.parse(yaml))
        #expect(script.rules.count == 4)
        #expect(script.rules[0].answer.calls == [Script.Call(name: "look", arguments: ["city": "Oslo"])])
        #expect(script.rules[0].matches(model: "gpt-4o", text: "the weather in Oslo"))
        #expect(!script.rules[0].matches(model: "claude", text: "the weather in Oslo"))
        #expect(!script.rules[0].matches(model: "gpt-4o", text: "hello"))
        #expect(script.rules[1].fault == Script.Fault(status: 429, retryAfterSeconds: 2))
        #expect(script.rules[2].answer.usage == Script.Usage(input: 5, cacheRead: 3))
        #expect(script.rules[3].answer.usage == Script.Usage(isMissing: true))
        #expect(try Script(YAMLDocument.parse(#"{"rules":[{"say":"hi"}]}"#)).rules.count == 1)
    }

    @Test(arguments: [
        ("[]", ""), ("rule: []", "rule"), ("rules: [{sya: hello}]", "rules/0/sya"), ("rules: [5]", "rules/0"),
        ("rules: [{fault: {status: 200}}]", "rules/0/fault/status"), ("rules: [{times: 0}]", "rules/0/times"),
        ("rules: [{finish: never}]", "rules/0/finish"), ("dimensions: 0", "dimensions"), ("rules: [", ""),
    ])
    func aWrongScriptIsRefusedWithItsPlace(text: String, field: String) {
        let problem = #expect(throws: Problem.self) { try Script(YAMLDocument.parse(text)) }
        #expect(problem?.field ?? "" == field)
    }

    @Test func aScriptHasAnEnd() throws {
        let rule: JSONValue = ["say": "hello"]
        func script(_ count: Int) -> JSONValue { ["rules": .array(Array(repeating: rule, count: count))] }
        #expect(try Script(script(Script.rulesMax)).rules.count == Script.rulesMax)
        let problem = #expect(throws: Problem.self) { try Script(script(Script.rulesMax + 1)) }
        #expect(problem?.field == "rules")
        #expect(try Script(["dimensions": .int(Int64(Script.dimensionsMax))]).dimensions == Script.dimensionsMax)
        #expect(throws: Problem.self) { try Script(["dimensions": .int(Int64(Script.dimensionsMax) + 1)]) }
    }

    @Test func onlyTheLastRequestsAreRemembered() throws {
        let model = ScriptedModel()
        for number in 0...ScriptedModel.receivedMax {
            _ = model.reply("POST", "/v1/chat/completions", headers: [:], body: Array("\(number)".utf8))
        }
        let shown = model.reply("GET", "/scripted/requests", headers: [:], body: [])
        guard case .send(let bytes)? = shown.steps.first else { throw Problem.invalid("", "there is no body") }
        let items = try JSONParser.parse(bytes, depthMax: 8)["items"]?.array ?? []
        #expect(items.count == ScriptedModel.receivedMax)
        #expect(items.first?["body"] == "1")
    }
}
