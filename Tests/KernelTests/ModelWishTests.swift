import Kernel
import Testing

/// What may be said of the model that tasks ask for.
@Suite struct ModelWishTests {
    private func read(_ json: String) throws -> String? {
        let object = try JSONParser.parse(Array(json.utf8)).object ?? JSONObject()
        return try ModelWish.read(Fields(object, limits: Limits()))
    }

    @Test(
        arguments: [
            ("{}", nil), (#"{"model":null,"tier":null}"#, nil), (#"{"model":"gpt-4o-mini"}"#, "gpt-4o-mini"),
            (#"{"model":"meta/llama:8b"}"#, "meta/llama:8b"), (#"{"tier":"cheap"}"#, "tier:cheap"),
            (#"{"model":"premium"}"#, "tier:premium"), (#"{"model":"tier:standard"}"#, "tier:standard"),
        ] as [(String, String?)])
    func names(_ json: String, _ expected: String?) throws {
        #expect(try read(json) == expected)
    }

    @Test(arguments: [
        (#"{"model":"a","tier":"cheap"}"#, "model"), (#"{"model":"tier:dear"}"#, "model"),
        (#"{"model":"tier:task"}"#, "model"), (#"{"model":"tier:"}"#, "model"), (#"{"model":""}"#, "model"),
        (#"{"model":"a b"}"#, "model"), (#"{"model":"a\u0007"}"#, "model"), (#"{"model":7}"#, "model"),
        (#"{"tier":"dear"}"#, "tier"), (#"{"tier":"tier:cheap"}"#, "tier"), (#"{"tier":1}"#, "tier"),
    ])
    func mistakes(_ json: String, _ field: String) {
        let problem = #expect(throws: Problem.self) { try read(json) }
        #expect(problem?.field == field)
    }

    @Test func aNameIsBounded() throws {
        let longest = String(repeating: "x", count: ModelWish.charactersMax)
        #expect(ModelWish.charactersMax == 200)
        #expect(try read("{\"model\":\"\(longest)\"}") == longest)
        #expect(throws: Problem.self) { try read("{\"model\":\"\(longest)x\"}") }
    }

    @Test(
        arguments: [("tier:cheap", "cheap"), ("cheap", nil), ("gpt", nil), (nil, nil), ("tier:x", nil)]
            as [(
                String?, String?
            )])
    func tiers(_ model: String?, _ expected: String?) {
        #expect(ModelWish.tier(of: model) == expected)
    }
}
