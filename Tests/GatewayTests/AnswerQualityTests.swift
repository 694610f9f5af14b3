import Kernel
import NIOCore
import Testing

@testable import Gateway

/// What is read of an answer after the fact, and how it is judged.
@Suite struct AnswerQualityTests {
    private static func said(_ body: String, isStreamed: Bool = false) -> SaidAnswer? {
        var capture = AnswerCapture()
        capture.begin(200, [("content-type", "application/json")])
        capture.add(ByteBuffer(string: body))
        capture.isWhole = true
        return SaidAnswer(capture, dialect: .chat, isStreamed: isStreamed)
    }

    private static func chat(_ message: String, finish: String = "stop") -> String {
        #"{"id":"c","model":"m","choices":[{"index":0,"message":\#(message),"finish_reason":"\#(finish)"}]}"#
    }

    private static let rules = #"{"rules":["empty","refusal","invalid_json","truncated"],"minCharacters":3}"#

    @Test(
        arguments: [
            (#"{"content":"fine"}"#, "stop", false, []),
            (#"{"content":" \n"}"#, "stop", false, ["empty", "min_characters"]),
            (#"{"content":"{]"}"#, "stop", true, ["invalid_json", "min_characters"]),
            (#"{"content":"{\"a\":1}"}"#, "stop", true, []),
            (#"{"content":"no","refusal":"never"}"#, "stop", false, ["refusal", "min_characters"]),
            (#"{"content":"and then"}"#, "length", false, ["truncated"]),
            (
                #"{"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
                "tool_calls", true, []
            ),
        ] as [(String, String, Bool, [String])])
    func judged(message: String, finish: String, asksForJSON: Bool, expected: [String]) throws {
        let document = try JSONParser.parse(Array(Self.rules.utf8), depthMax: 4)
        let settings = try QualitySettings(Fields(document.object ?? JSONObject(), limits: Limits()))
        let said = try #require(Self.said(Self.chat(message, finish: finish)))
        #expect(settings.failures(said, asksForJSON: asksForJSON) == expected)
    }

    @Test func theSameWordsAreTheSameAnswer() throws {
        let whole = try #require(Self.said(Self.chat(#"{"content":"one two"}"#)))
        let events = ["one", " two"].map {
            #"data: {"id":"x","choices":[{"index":0,"delta":{"content":"\#($0)"}}]}"# + "\n\n"
        }
        let end =
            #"data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"# + "\n\ndata: [DONE]\n\n"
        let streamed = try #require(Self.said(events.joined() + end, isStreamed: true))
        #expect(whole.hash == streamed.hash)
        #expect(whole.hash != Self.said(Self.chat(#"{"content":"one"}"#))?.hash)
        #expect(Self.said(events.joined(), isStreamed: true) == nil)
        #expect(Self.said("[]") == nil && Self.said("x") == nil && Self.said("") == nil)
    }

    @Test func askingForJSON() throws {
        for (body, expected) in [
            (#"{"response_format":{"type":"json_object"}}"#, true),
            (#"{"text":{"format":{"type":"json_schema"}}}"#, true),
            (#"{"output_config":{"format":{"type":"json_schema"}}}"#, true),
            (#"{"response_format":{"type":"text"}}"#, false),
            ("{}", false),
        ] {
            #expect(QualitySettings.asksForJSON(try JSONParser.parse(Array(body.utf8), depthMax: 8)) == expected)
        }
    }

    @Test func tooMuchIsNotKept() {
        var capture = AnswerCapture()
        capture.isWhole = true
        for _ in 0..<3 { capture.add(ByteBuffer(repeating: 0x20, count: 1 << 20)) }
        #expect(capture.isTooLong && capture.body.readableBytes == 0)
        #expect(AnswerCapture.bytesMax == 2_097_152)
        #expect(SaidAnswer(capture, dialect: .chat, isStreamed: false) == nil)
    }
}
