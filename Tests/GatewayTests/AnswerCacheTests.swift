import Kernel
import NIOCore
import Testing

@testable import Gateway

/// Answers that other calls may get.
@Suite struct AnswerCacheTests {
    static let start = Timestamp(microseconds: 1_000_000_000)

    private static func settings(_ text: String) throws -> CacheSettings {
        try #require(try CacheSettings(JSONParser.parse(Array(text.utf8), depthMax: 4), path: "cache"))
    }

    private static func answer(_ bytes: Int, at time: Timestamp = start) -> KeptAnswer {
        KeptAnswer(
            contentType: "application/json", body: ByteBuffer(repeating: 0x20, count: bytes), isStreamed: false,
            dropped: DroppedFields(), target: "main/m", cost: nil, madeAt: time)
    }

    @Test func anAnswerGrowsOld() throws {
        var cache = AnswerCache(try Self.settings(#"{"ttlSeconds":2}"#))
        cache.keep(Self.answer(10), for: "a")
        #expect(cache.find("a", at: Self.start + .milliseconds(1_999)) != nil)
        #expect(cache.find("b", at: Self.start) == nil)
        #expect(cache.find("a", at: Self.start + .seconds(2)) == nil)
        #expect(cache.count == 0 && cache.bytes == 0)
        // A clock that was set back.
        cache.keep(Self.answer(10), for: "a")
        #expect(cache.find("a", at: Self.start - .seconds(1)) == nil)
    }

    @Test func entriesAreBounded() throws {
        var cache = AnswerCache(try Self.settings(#"{"entries":2}"#))
        for key in ["a", "b"] { cache.keep(Self.answer(10), for: key) }
        _ = cache.find("a", at: Self.start)
        cache.keep(Self.answer(10), for: "c")
        #expect(cache.find("b", at: Self.start) == nil)
        #expect(cache.find("a", at: Self.start) != nil && cache.find("c", at: Self.start) != nil)
        #expect(cache.bytes == 2 * (10 + AnswerCache.overheadBytes))
    }

    @Test func bytesAreBounded() throws {
        var cache = AnswerCache(try Self.settings(#"{"bytes":4000}"#))
        for number in 0..<100 {
            cache.keep(Self.answer(1_000), for: "\(number)")
            #expect(cache.bytes <= 4_000)
        }
        #expect(cache.count == 2)
        cache.keep(Self.answer(4_000), for: "large")
        #expect(cache.find("large", at: Self.start) == nil && cache.count == 2)
        // The same key again takes no more room.
        cache.keep(Self.answer(500), for: "99")
        #expect(cache.count == 2 && cache.bytes == 1_000 + 500 + 2 * AnswerCache.overheadBytes)
    }

    private static func key(_ body: String, door: ModelDoor = .chat, scope: String = "key:1") throws -> String? {
        let settings: JSONValue = [
            "providers": ["p": ["kind": "openai"]],
            "models": ["m": ["targets": [["provider": "p", "model": "a-2024-07-18"]]]],
        ]
        let model = try #require(try GatewaySettings(settings).model("m"))
        let request = DoorRequest(
            door: door, headers: RequestHeaders([]), body: Array(body.utf8), principal: .system, requestID: "r",
            correlationID: "c", traceparent: "t")
        return CallKey.make(request, model, scope: scope)
    }

    @Test func sameCallsHaveTheSameKey() throws {
        let plain = try #require(try Self.key(#"{"model":"m","messages":[{"role":"user","content":"é"}]}"#))
        #expect(try Self.key(#"{ "messages":[{"content":"\u00e9","role":"user"}], "model":"m" }"#) == plain)
        for other in [
            #"{"model":"m","messages":[{"role":"user","content":"e"}]}"#,
            #"{"model":"m","messages":[{"role":"user","content":"é"}],"stream":true}"#,
            #"{"model":"m","messages":[{"role":"user","content":"é"}],"tools":[{"type":"function","function":{}}]}"#,
        ] {
            let key = try Self.key(other)
            #expect(key != nil && key != plain)
        }
        let body = #"{"model":"m","messages":[{"role":"user","content":"é"}]}"#
        #expect(try Self.key(body, scope: "key:2") != plain)
        #expect(try Self.key(body, door: .messages) != plain)
    }

    @Test(
        "a call that does something has no key",
        arguments: [
            #""tools":[{"type":"web_search_20250305","name":"web_search"}]"#, #""tools":[{"type":"web_search"}]"#,
            #""tools":[{"type":"code_interpreter"}]"#, #""tools":[{"type":"mcp","server_url":"x"}]"#,
            #""mcp_servers":[{"url":"x"}]"#, #""conversation":"conv_1""#, #""background":true"#,
            #""previous_response_id":"resp_1""#, #""web_search_options":{}"#, #""store":true"#,
            #""tools":[{"type":3}]"#,
        ])
    func effects(_ member: String) throws {
        #expect(try Self.key(#"{"model":"m",\#(member)}"#, door: .responses) == nil)
        #expect(try Self.key(#"{"model":"m","background":false,"tools":[{"name":"own","input_schema":{}}]}"#) != nil)
    }

    @Test func followersAreBoundedAndLandOnce() {
        let flights = CallsInFlight()
        #expect(flights.join("k", id: "leader") { _ in } == .leader)
        for number in 0..<CallsInFlight.followersMax {
            #expect(flights.join("k", id: "\(number)") { _ in } == .follower)
        }
        #expect(flights.join("k", id: "more") { _ in } == .alone)
        #expect(CallsInFlight.followersMax == 1_000)
        flights.leave("k", id: "7")
        #expect(flights.join("k", id: "another") { _ in } == .follower)
        flights.land("k", nil)
        #expect(flights.count == 0)
        #expect(flights.join("k", id: "next") { _ in } == .leader)
    }
}
