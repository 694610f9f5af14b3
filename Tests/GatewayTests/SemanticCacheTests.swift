import Kernel
import NIOCore
import Testing

@testable import Gateway

/// Answers to questions that mean the same: what may be compared at all, and what is near enough.
@Suite struct SemanticCacheTests {
    static let start = Timestamp(microseconds: 1_700_000_000_000_000)

    private func settings(_ semantic: JSONValue) throws -> CacheSettings {
        try #require(try CacheSettings(["ttlSeconds": 10, "semantic": semantic], path: "cache"))
    }

    private func question(_ door: ModelDoor, _ body: JSONValue, temperatureMax: Double = 1) throws -> SemanticQuestion?
    {
        let semantic = try settings(["model": "e", "temperatureMax": .double(temperatureMax)]).semantic
        return SemanticQuestion(request(door, body), try #require(semantic))
    }

    private func request(_ door: ModelDoor, _ body: JSONValue) -> DoorRequest {
        DoorRequest(
            door: door, headers: [:], body: body.bytes, principal: .system, requestID: "r", correlationID: "c",
            traceparent: "")
    }

    private func answer(_ bytes: Int = 10, at time: Timestamp = start) -> KeptAnswer {
        KeptAnswer(
            contentType: "application/json", body: ByteBuffer(repeating: 0x20, count: bytes), isStreamed: false,
            dropped: DroppedFields(), target: "main/m", cost: nil, madeAt: time)
    }

    private func vector(_ numbers: [Double]) throws -> SemanticVector { try #require(SemanticVector(numbers)) }

    // MARK: Settings

    @Test("It is off by default, and its settings are within bounds")
    func bounds() throws {
        #expect(try CacheSettings(true, path: "cache")?.semantic == nil)
        #expect(try CacheSettings(["ttlSeconds": 1], path: "cache")?.semantic == nil)
        let usual = try #require(try settings(["model": "e"]).semantic)
        #expect(usual.similarity == 0.97)
        #expect(usual.entries == 500)
        #expect(usual.temperatureMax == 0.5)
        #expect(usual.wait == .seconds(2))
        for odd: JSONValue in [
            [:], ["model": 7], ["model": "e", "similarity": 0.4], ["model": "e", "similarity": 1.1],
            ["model": "e", "entries": 2_001], ["model": "e", "entries": 0], ["model": "e", "temperatureMax": 3],
            ["model": "e", "waitSeconds": 31], ["model": "e", "odd": 1],
        ] {
            #expect(throws: Problem.self) { _ = try settings(odd) }
        }
    }

    @Test("The model that embeds is one of the file's")
    func unknownModel() {
        #expect(throws: Problem.self) {
            _ = try GatewaySettings([
                "providers": ["main": ["kind": "openai", "baseURL": "http://127.0.0.1:1/v1"]],
                "models": [
                    "m": [
                        "targets": [["provider": "main", "model": "gpt-4o-mini-2024-07-18"]],
                        "cache": ["semantic": ["model": "nobody"]],
                    ]
                ],
            ])
        }
    }

    // MARK: What is compared

    @Test("The last user message is compared, in each dialect")
    func questions() throws {
        let system: JSONValue = ["role": "system", "content": "Be brief."]
        func turns(_ content: JSONValue) -> JSONValue { [system, ["role": "user", "content": content]] }
        let chat = try question(.chat, ["model": "m", "messages": turns("why?")])
        #expect(chat?.text == "why?")
        #expect(chat?.rest == ["model": "m", "messages": turns(.null)])
        let parts: JSONValue = [["type": "text", "text": "a"], ["type": "text", "text": "b"]]
        #expect(try question(.messages, ["model": "m", "messages": turns(parts)])?.text == "a\nb")
        let response = try question(.responses, ["model": "m", "input": "why?"])
        #expect(response?.text == "why?")
        #expect(response?.rest == ["model": "m", "input": .null])
        let items: JSONValue = [["role": "user", "content": [["type": "input_text", "text": "why?"]]]]
        #expect(try question(.responses, ["model": "m", "input": items])?.text == "why?")
    }

    @Test("All but the question makes the group")
    func rest() throws {
        func rest(_ system: String, _ ask: String, _ more: String? = nil) throws -> JSONValue? {
            var body: JSONObject = JSONObject()
            body["model"] = "m"
            body["messages"] = [
                ["role": "system", "content": .string(system)], ["role": "user", "content": .string(ask)],
            ]
            if let more { body["tools"] = [["type": "function", "function": ["name": .string(more)]]] }
            return try question(.chat, .object(body))?.rest
        }
        #expect(try rest("a", "x") == rest("a", "y"))
        #expect(try rest("a", "x") != rest("b", "x"))
        #expect(try rest("a", "x") != rest("a", "x", "tool"))
        #expect(try rest("a", "x", "one") != rest("a", "x", "two"))
    }

    @Test("Where tools were called, something else than text is asked, or chance is wanted, nothing is compared")
    func excluded() throws {
        let ask: JSONValue = ["role": "user", "content": "why?"]
        func chat(_ turns: JSONValue) throws -> SemanticQuestion? {
            try question(.chat, ["model": "m", "messages": turns])
        }
        #expect(try chat([ask]) != nil)
        let called: JSONValue = ["role": "assistant", "tool_calls": [["id": "1"]]]
        #expect(try chat([ask, called, ["role": "tool", "content": "x"], ask]) == nil)
        #expect(try chat([["role": "tool", "content": "x"], ask]) == nil)
        #expect(try chat([["role": "user", "content": [["type": "tool_result"]]], ask]) == nil)
        #expect(try chat([ask, ["role": "assistant", "content": "no"]]) == nil)
        #expect(try chat([["role": "user", "content": [["type": "image_url"]]]]) == nil)
        #expect(try chat([["role": "user", "content": ""]]) == nil)
        #expect(try chat([]) == nil)
        #expect(try chat("why?") == nil)
        #expect(try chat([["role": "user", "content": .string(String(repeating: "a", count: 8_193))]]) == nil)
        #expect(try question(.responses, ["model": "m", "input": [["type": "function_call_output"], ask]]) == nil)
        #expect(try question(.embeddings, ["model": "m", "input": "why?"]) == nil)
        // A temperature that is not stated is 1.
        let body: JSONValue = ["model": "m", "messages": [ask]]
        #expect(try question(.chat, body, temperatureMax: 0.5) == nil)
        let cool: JSONValue = ["model": "m", "messages": [ask], "temperature": 0.5]
        #expect(try question(.chat, cool, temperatureMax: 0.5) != nil)
        let warm: JSONValue = ["model": "m", "messages": [ask], "temperature": 0.51]
        #expect(try question(.chat, warm, temperatureMax: 0.5) == nil)
    }

    // MARK: Vectors

    @Test("A vector is a direction; what has none is none")
    func vectors() throws {
        let one = try vector([3, 4])
        #expect(one.numbers == [0.6, 0.8])
        #expect(abs((one.cosine(try vector([6, 8])) ?? 0) - 1) < 1e-6)
        #expect(abs((one.cosine(try vector([-4, 3])) ?? 9)) < 1e-6)
        #expect(one.cosine(try vector([1, 2, 3])) == nil)
        for odd: [Double] in [[], [0, 0], [.infinity], [.nan], [Double](repeating: 1, count: 8_193)] {
            #expect(SemanticVector(odd) == nil)
        }
        #expect(SemanticVector(reply: ["data": [["embedding": [3, 4]]]]) == one)
        for odd: JSONValue in [[:], ["data": []], ["data": [["embedding": ["a"]]]], ["data": [["embedding": "AA"]]]] {
            #expect(SemanticVector(reply: odd) == nil)
        }
    }

    // MARK: Entries

    @Test("The nearest that is near enough, of the same group, and young enough")
    func finding() throws {
        let settings = try settings(["model": "e", "similarity": 0.9])
        var cache = SemanticCache(try #require(settings.semantic), settings)
        cache.keep(answer(1), "a", try vector([1, 0]))
        cache.keep(answer(2), "a", try vector([1, 0.3]))
        cache.keep(answer(3), "b", try vector([1, 0.2]))
        // Cosines 0.981 and 0.995.
        let found = cache.find("a", try vector([1, 0.2]), at: Self.start)
        #expect(found?.answer.body.readableBytes == 2)
        #expect(abs((found?.similarity ?? 0) - 0.9954) < 0.001)
        #expect(cache.find("a", try vector([0, 1]), at: Self.start) == nil)
        #expect(cache.find("c", try vector([1, 0]), at: Self.start) == nil)
        #expect(cache.find("a", try vector([1, 0, 0]), at: Self.start) == nil)
        #expect(cache.find("a", try vector([1, 0]), at: Self.start + .seconds(10)) == nil)
        #expect(cache.count == 0 && cache.bytes == 0)
    }

    @Test("Entries and bytes are bounded; the oldest go, and the same question stands once")
    func bounded() throws {
        let settings = try settings(["model": "e", "entries": 2])
        var cache = SemanticCache(try #require(settings.semantic), settings)
        for number in 0..<5 { cache.keep(answer(number), "a", try vector([1, Double(number)])) }
        #expect(cache.count == 2)
        #expect(cache.find("a", try vector([1, 0]), at: Self.start) == nil)
        #expect(cache.find("a", try vector([1, 4]), at: Self.start)?.answer.body.readableBytes == 4)
        cache.keep(answer(9), "a", try vector([1, 4]))
        #expect(cache.count == 2)
        #expect(cache.find("a", try vector([1, 4]), at: Self.start)?.answer.body.readableBytes == 9)
        // Sixteen megabytes.
        cache.keep(answer(17 << 20), "a", try vector([5, 1]))
        #expect(cache.count == 2)
        cache.keep(answer(16 << 20 - 1_000), "a", try vector([5, 1]))
        #expect(cache.count == 1)
        #expect(cache.bytes <= 16 << 20)
    }
}
