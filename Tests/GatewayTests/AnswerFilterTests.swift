import Kernel
import NIOCore
import Testing

@testable import Gateway

/// Secrets are taken out of answers, whole or streamed, however they are cut.
@Suite struct AnswerFilterTests {
    private static let secret = "sk-ant-Ab1Cd2Ef3Gh4Ab1Cd2Ef3Gh4"

    private static func settings(_ text: String) throws -> OutputGuardSettings {
        let document = try JSONParser.parse(Array(text.utf8), depthMax: 4)
        return try OutputGuardSettings(Fields(document.object ?? JSONObject(), limits: Limits()))
    }

    private static func filtered(_ text: String, _ dialect: Dialect, pieceBytes: Int) throws -> (String, [String: Int])
    {
        var filter = AnswerFilter(try settings(#"{"secrets":true}"#), dialect)
        var output = ByteBuffer()
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            var piece = filter.take(ByteBuffer(bytes: bytes[start..<min(start + pieceBytes, bytes.count)]))
            output.writeBuffer(&piece)
        }
        var last = filter.finish()
        output.writeBuffer(&last)
        return (String(buffer: output), filter.findings)
    }

    /// The data of the events of a stream.
    private static func documents(_ text: String) -> [JSONValue] {
        text.split(separator: "\n").filter { $0.hasPrefix("data: {") }
            .compactMap { try? JSONParser.parse(Array($0.dropFirst(6).utf8), depthMax: 16) }
    }

    /// A chat stream with the secret cut at an index.
    private static func chat(_ cut: Int) -> String {
        let text = "it is \(secret) now"
        let index = text.utf8.index(text.startIndex, offsetBy: cut)
        let pieces = [String(text[..<index]), String(text[index...])]
        let events = pieces.map { #"data: {"id":"c","choices":[{"index":0,"delta":{"content":"\#($0)"}}]}"# + "\n\n" }
        return events.joined() + #"data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#
            + "\n\ndata: [DONE]\n\n"
    }

    @Test(arguments: 0...45)
    func aSecretThatIsCut(_ cut: Int) throws {
        for pieceBytes in [1, 7, 4_096] {
            let (output, findings) = try Self.filtered(Self.chat(min(cut, 40)), .chat, pieceBytes: pieceBytes)
            let said = Self.documents(output).compactMap { $0["choices"]?.array?.first?["delta"]?["content"]?.string }
            #expect(said.joined() == "it is [redacted:anthropic_key] now")
            #expect(findings == ["anthropic_key": 1])
            #expect(output.hasSuffix("data: [DONE]\n\n"))
            let reasons = Self.documents(output).map { $0["choices"]?.array?.first?["finish_reason"]?.string }
            #expect(reasons.last == "stop" && reasons.compactMap(\.self).count == 1)
        }
    }

    @Test func nothingFoundIsNothingChanged() throws {
        let plain = Self.chat(6).replacing(Self.secret, with: "fine,")
        let (output, findings) = try Self.filtered(plain, .chat, pieceBytes: 11)
        #expect(output == plain && findings.isEmpty)
        var filter = AnswerFilter(try Self.settings(#"{"secrets":true,"personalData":true}"#), .messages)
        let body = ByteBuffer(string: #"{ "id":"msg_1","content":[{"type":"text","text":"caf\u00e9"}] }"#)
        #expect(filter.whole(body) == body)
    }

    @Test func whatIsHeldBackComesBeforeItsBlockEnds() throws {
        func event(_ type: String, _ rest: String) -> String {
            "event: \(type)\n" + #"data: {"type":"\#(type)","index":0\#(rest)}"# + "\n\n"
        }
        let text =
            event("content_block_start", #","content_block":{"type":"text","text":""}"#)
            + event("content_block_delta", #","delta":{"type":"text_delta","text":"so sk-ant-"}"#)
            + event("content_block_stop", "")
        let (output, _) = try Self.filtered(text, .messages, pieceBytes: 64)
        let types = Self.documents(output).compactMap { $0["type"]?.string }
        #expect(
            types == ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"])
        let said = Self.documents(output).compactMap { $0["delta"]?["text"]?.string }
        #expect(said.joined() == "so sk-ant-")
    }

    @Test func numbersOfEventsStayInOrder() throws {
        let place = #""output_index":0,"content_index":0"#
        let output = #"[{"content":[{"text":"\#(Self.secret)"}]}]"#
        let lines = [
            #"{"type":"response.output_text.delta",\#(place),"delta":"x sk-","sequence_number":4}"#,
            #"{"type":"response.output_text.done",\#(place),"text":"x sk-","sequence_number":5}"#,
            #"{"type":"response.completed","response":{"output":\#(output)},"sequence_number":6}"#,
        ]
        let text = lines.map { "event: e\ndata: \($0)\n\n" }.joined()
        let (clean, findings) = try Self.filtered(text, .responses, pieceBytes: 30)
        #expect(Self.documents(clean).compactMap { $0["sequence_number"]?.int } == [4, 5, 6, 7])
        #expect(findings == ["anthropic_key": 1] && !clean.contains(Self.secret))
    }

    @Test func hostileStreams() throws {
        for text in [
            "data: {\"choices\":7}\n\n", "data: \(Self.secret)\n\n", "data: {\"choices\":[{\"delta\":\"x\"}]}\n\n",
        ] {
            let (output, _) = try Self.filtered(text, .chat, pieceBytes: 3)
            #expect(!output.contains(Self.secret) && !output.isEmpty)
        }
        // Lanes without end are cleaned piece by piece.
        let many = (0..<(AnswerFilter.lanesMax + 100)).map {
            #"data: {"choices":[{"index":\#($0),"delta":{"content":"a \#(Self.secret) b"}}]}"# + "\n\n"
        }
        let (output, findings) = try Self.filtered(many.joined(), .chat, pieceBytes: 4_096)
        #expect(!output.contains(Self.secret) && findings["anthropic_key"] == 1_100)
        #expect(AnswerFilter.lanesMax == 1_000)
    }
}
