import Kernel
import Testing

@testable import Gateway

/// Errors in each dialect's own shape.
struct DialectErrorTests {
    static let cases: [(DialectError, status: Int, openAI: (String, String?), anthropic: String)] = [
        (.wrongKey(), 401, ("invalid_request_error", "invalid_api_key"), "authentication_error"),
        (.unknownModel("x"), 404, ("invalid_request_error", "model_not_found"), "not_found_error"),
        (.budgetExceeded("No."), 402, ("insufficient_quota", "budget_exceeded"), "billing_error"),
        (.budgetInFlight("No."), 429, ("rate_limit_error", "budget_in_flight"), "rate_limit_error"),
        (DialectError(.rateLimit, "No."), 429, ("rate_limit_error", "rate_limit_exceeded"), "rate_limit_error"),
        (.invalid("n", "No."), 400, ("invalid_request_error", nil), "invalid_request_error"),
        (DialectError(.tooLarge, "No."), 413, ("invalid_request_error", "request_too_large"), "request_too_large"),
        (DialectError(.server, "No."), 500, ("server_error", nil), "api_error"),
        (DialectError(.badGateway, "No."), 502, ("server_error", nil), "api_error"),
        (DialectError(.unavailable, "No."), 503, ("server_error", "service_unavailable"), "overloaded_error"),
        (DialectError(.timeout, "No."), 504, ("server_error", "timeout"), "timeout_error"),
        (DialectError(.permission, "No."), 403, ("invalid_request_error", "permission_denied"), "permission_error"),
        (
            DialectError(.contextLength, "No."), 400, ("invalid_request_error", "context_length_exceeded"),
            "invalid_request_error"
        ),
    ]

    @Test(arguments: cases.indices)
    func eachDialectHasItsShape(_ index: Int) {
        let (error, status, openAI, anthropic) = Self.cases[index]
        for dialect in [Dialect.chat, .responses] {
            let body = error.body(for: dialect)
            #expect(body.object?.names == ["error"])
            #expect(body["error"]?.object?.names == ["message", "type", "param", "code"])
            #expect(body["error"]?["message"] == .string(error.message))
            #expect(body["error"]?["type"]?.string == openAI.0)
            #expect(body["error"]?["code"] == openAI.1.map(JSONValue.string) ?? .null)
            #expect(error.status(for: dialect) == status)
        }
        let body = error.body(for: .messages, requestID: "req_1")
        #expect(body["type"] == "error")
        #expect(body["error"]?["type"]?.string == anthropic)
        #expect(body["error"]?["message"] == .string(error.message))
        #expect(body["request_id"] == "req_1")
        #expect(error.status(for: .messages) == status)
    }

    @Test func overloadIs529OnlyAtHome() {
        let error = DialectError(
            reading: ["type": "error", "error": ["type": "overloaded_error", "message": "Overloaded"]], status: 529)
        #expect(error.status(for: .messages) == 529)
        #expect(error.status(for: .chat) == 503)
        #expect(error.status(for: .responses) == 503)
        #expect(error.body(for: .messages)["error"]?["type"] == "overloaded_error")
        #expect(error.body(for: .chat)["error"]?["type"] == "server_error")
        #expect(error.message == "Overloaded")
    }

    static let answers: [(String, Int, DialectError.Kind, String)] = [
        (
            #"""
            {"error":{"message":"a","type":"invalid_request_error","param":"n","code":null}}
            """#, 400, .invalidRequest, "a"
        ),
        (#"{"error":{"message":"a","type":"tokens","code":"rate_limit_exceeded"}}"#, 429, .rateLimit, "a"),
        (#"{"error":{"message":"a","type":"insufficient_quota","code":"insufficient_quota"}}"#, 429, .rateLimit, "a"),
        (#"{"error":{"message":"a","code":"context_length_exceeded"}}"#, 400, .contextLength, "a"),
        (
            #"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 1 > 0"}}"#, 400,
            .contextLength, "prompt is too long: 1 > 0"
        ),
        (#"{"error":{"message":"a","code":"content_filter"}}"#, 400, .contentFilter, "a"),
        (#"{"type":"error","error":{"type":"rate_limit_error","message":"a"}}"#, 429, .rateLimit, "a"),
        (#"{"type":"error","error":{"type":"authentication_error","message":"a"}}"#, 401, .authentication, "a"),
        (#"{"error":{"message":"a","type":"invalid_request_error","code":null}}"#, 401, .authentication, "a"),
        (#"{"error":{"message":"a","type":"invalid_request_error"}}"#, 404, .notFound, "a"),
        (#"{"type":"error","error":{"type":"api_error","message":"a"}}"#, 200, .server, "a"),
        (#"{"error":"model not found"}"#, 404, .notFound, "model not found"),
        (#"{"object":"error","message":"a","type":"BadRequestError","code":400}"#, 400, .invalidRequest, "a"),
        (#"{"detail":"Not Found"}"#, 404, .notFound, "Not Found"), (#"{"error":{"message":5}}"#, 500, .server, ""),
        (#"[]"#, 503, .unavailable, ""), (#"{"error":null}"#, 418, .invalidRequest, ""),
    ]

    @Test(arguments: answers.indices)
    func whatProvidersSayIsUnderstood(_ index: Int) throws {
        let (text, status, kind, message) = Self.answers[index]
        let error = DialectError(reading: try DialectSamples.json(text), status: status)
        #expect(error.kind == kind)
        #expect(error.status == (status == 200 ? kind.status : status))
        #expect(error.message == (message.isEmpty ? "The provider answered with status \(status)." : message))
    }

    @Test func anAnswerThatIsNoJSONIsAnError() {
        let error = DialectError(reading: nil, status: 502)
        #expect(error.kind == .badGateway)
        #expect(error.message == "The provider answered with status 502.")
    }

    @Test func messagesAndPathsHaveBounds() {
        let error = DialectError(
            .server, param: String(repeating: "p", count: 9_999), String(repeating: "m", count: 9_999))
        #expect(error.message.count == DialectError.messageCharactersMax)
        #expect(error.param?.count == DialectError.paramCharactersMax)
    }

    @Test func droppedFieldsMakeAHarmlessHeader() {
        var dropped = DroppedFields()
        dropped.insert(["a\r\nset-cookie: x", "b,c", "messages[0].ü", "b,c"])
        #expect(dropped.headerValue == "a??set-cookie:?x, b?c, messages[0].?")
        for number in 0..<100 { dropped.insert("f\(number)") }
        #expect(dropped.paths.count == DroppedFields.pathsMax)
        #expect(dropped.headerValue.hasSuffix(", +53"))
        dropped = DroppedFields()
        dropped.insert(String(repeating: "x", count: 500))
        #expect(dropped.headerValue.count == DroppedFields.pathCharactersMax)
    }
}
