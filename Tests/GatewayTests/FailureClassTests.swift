import Kernel
import Testing

@testable import Gateway

/// How a provider's failures are told apart.
@Suite struct FailureClassTests {
    @Test(
        arguments: [
            (
                400, #"{"error":{"message":"bad","type":"invalid_request_error","param":"x","code":null}}"#,
                .invalidRequest
            ),
            (400, #"{"error":{"message":"too long","code":"context_length_exceeded"}}"#, .contextLength),
            (
                400,
                #"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 2 > 1"}}"#,
                .contextLength
            ),
            (400, #"{"error":{"code":400,"message":"full","type":"exceed_context_size_error"}}"#, .contextLength),
            (
                400, #"{"object":"error","message":"This model's Maximum Context Length is 8","code":400}"#,
                .contextLength
            ),
            (
                400, #"{"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
                .contentFilter
            ),
            (
                400, #"{"type":"error","error":{"message":"Output blocked by content filtering policy"}}"#,
                .contentFilter
            ),
            (400, #"{"error":{"message":"Your credit balance is too low to go on"}}"#, .quotaExhausted),
            (400, #"{"error":{"message":"no such model","code":"model_not_found"}}"#, .notFound),
            (403, #"{"error":{"message":"your input was flagged"}}"#, .contentFilter),
            (500, #"{"error":{"message":"moderation service failed"}}"#, .serverError(retryAfter: nil)),
            (401, "{}", .unauthorized), (401, #"{"error":{"message":"content policy"}}"#, .unauthorized),
            (402, "{}", .quotaExhausted), (403, "{}", .forbidden),
            (404, #"{"error":"model 'x' not found"}"#, .notFound), (408, "{}", .serverError(retryAfter: nil)),
            (409, "{}", .invalidRequest), (422, #"{"detail":[]}"#, .invalidRequest), (413, "{}", .tooLarge),
            (413, #"{"error":{"message":"Please reduce the length of the messages"}}"#, .contextLength),
            (429, "{}", .rateLimited(retryAfter: nil)),
            (
                429, #"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
                .quotaExhausted
            ),
            (429, #"{"error":{"message":"Request too large for m on tokens per min"}}"#, .tooLarge),
            (500, "{}", .serverError(retryAfter: nil)), (502, "<html>", .serverError(retryAfter: nil)),
            (503, "{}", .serverError(retryAfter: nil)),
            (
                503, #"[{"error":{"code":503,"status":"UNAVAILABLE","message":"The model is overloaded"}}]"#,
                .overloaded(retryAfter: nil)
            ),
            (504, "{}", .serverError(retryAfter: nil)), (529, "{}", .overloaded(retryAfter: nil)),
            (500, #"{"error":{"code":"context_length_exceeded"}}"#, .contextLength),
            (302, "", .malformed), (200, "{}", .malformed), (700, "{}", .malformed), (-1, "{}", .malformed),
        ] as [(Int, String, FailureClass)])
    func statusAndBody(status: Int, body: String, expected: FailureClass) {
        let detail = (try? JSONParser.parse(body)).map { FailureDetail($0) } ?? FailureDetail()
        #expect(FailureClass.classify(status: status, detail: detail) == expected)
    }

    @Test(
        arguments: [
            (#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#, .overloaded(retryAfter: nil)),
            (#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#, .rateLimited(retryAfter: nil)),
            (#"{"error":{"code":502,"message":"Provider disconnected"}}"#, .serverError(retryAfter: nil)),
            (#"{"error":{"type":"server_error","message":"x"}}"#, .serverError(retryAfter: nil)),
            (#"{"error":{"type":"invalid_request_error","message":"x"}}"#, .invalidRequest),
            (#"{"error":{"code":"content_filter","message":"x"}}"#, .contentFilter),
            (#"{"error":{"code":"context_length_exceeded","message":"x"}}"#, .contextLength),
            (#"{"error":{"type":"what is this"}}"#, .serverError(retryAfter: nil)),
            ("[]", .serverError(retryAfter: nil)),
        ] as [(String, FailureClass)])
    func errorsInStreams(body: String, expected: FailureClass) throws {
        #expect(FailureClass.classify(streamError: FailureDetail(try JSONParser.parse(body))) == expected)
    }

    @Test func retryAfterIsKept() {
        #expect(
            FailureClass.classify(status: 429, retryAfter: .seconds(7)) == .rateLimited(retryAfter: .seconds(7)))
        #expect(FailureClass.classify(status: 503, retryAfter: .seconds(2)).retryAfter == .seconds(2))
        #expect(FailureClass.classify(status: 400, retryAfter: .seconds(2)).retryAfter == nil)
    }

    /// Each class with its course, whether a breaker counts it, and whether time mends it.
    @Test(
        arguments: [
            (.rateLimited(retryAfter: nil), .sameTarget, false, true), (.quotaExhausted, .nextTarget, false, false),
            (.overloaded(retryAfter: nil), .sameTarget, true, true),
            (.serverError(retryAfter: nil), .sameTarget, true, true), (.silent, .nextTarget, true, true),
            (.connectionRefused, .nextTarget, true, true), (.reset, .sameTarget, true, true),
            (.stalled, .nextTarget, true, true), (.cut, .nextTarget, true, true), (.malformed, .nextTarget, true, true),
            (.contextLength, .nextTarget, false, false), (.tooLarge, .nextTarget, false, false),
            (.contentFilter, .caller, false, false), (.invalidRequest, .caller, false, false),
            (.unauthorized, .nextTarget, true, false), (.forbidden, .nextTarget, false, false),
            (.notFound, .nextTarget, false, false),
        ] as [(FailureClass, FailureClass.Course, Bool, Bool)])
    func courses(failure: FailureClass, course: FailureClass.Course, counts: Bool, passes: Bool) {
        #expect(failure.course == course)
        #expect(failure.countsForBreaker == counts)
        #expect(failure.passesWithTime == passes)
        #expect(failure.isHidden == (failure == .unauthorized))
    }

    @Test func transport() {
        let classes = TransportFailure.allCases.map { FailureClass($0).name }
        #expect(classes == ["connection_refused", "reset", "silent", "stalled", "cut", "malformed"])
    }

    @Test func wordsAreBounded() {
        let detail = FailureDetail(
            type: String(repeating: "A", count: 100), code: "É" + String(repeating: "B", count: 100),
            message: String(repeating: "x", count: FailureDetail.messageBytesMax) + "context length")
        #expect(detail.type == String(repeating: "a", count: FailureDetail.codeBytesMax))
        #expect(detail.code.utf8.count == FailureDetail.codeBytesMax)
        #expect(detail.message.utf8.count == FailureDetail.messageBytesMax)
        #expect(!detail.saysContextLength)
    }
}
