import Kernel

/// How an OTLP door reads and answers: in the type that the request came in (OTLP specification, "OTLP/HTTP Response").
struct OTLPReply {
    let isJSON: Bool

    /// For what is refused before its type was looked at.
    static let json = OTLPReply(isJSON: true)

    private init(isJSON: Bool) { self.isJSON = isJSON }

    /// - Throws: ``Problem`` for a type that the protocol does not have.
    init(_ request: APIRequest) throws {
        switch request.mediaType {
        case "application/x-protobuf": isJSON = false
        case "application/json": isJSON = true
        default:
            throw Problem(
                .unsupportedMedia, "\"\(request.mediaType.prefix(80))\" is no content type of this door.",
                hint: "Send Content-Type: application/x-protobuf or application/json.")
        }
    }

    /// 200, with what was not taken: a client must not send that again.
    ///
    /// - Parameter name: What the records are called in the protocol, such as `Spans`.
    func success(rejected: [RecordFlaw: Int], name: String) -> APIReply {
        let count = rejected.values.reduce(0, +)
        let reasons = rejected.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.value) of them: it \($0.key.message)" }.joined(separator: "; ")
        if isJSON {
            guard count > 0 else { return reply(200, JSONValue.object(JSONObject()).bytes) }
            let partial = JSONObject([
                .init(name: "rejected\(name)", value: .string(String(count))),
                .init(name: "errorMessage", value: .string(reasons)),
            ])
            return reply(
                200, JSONValue.object(JSONObject([.init(name: "partialSuccess", value: .object(partial))])).bytes)
        }
        var writer = ProtobufWriter()
        if count > 0 {
            writer.message(OTLPField.Response.partialSuccess) { partial in
                partial.varint(OTLPField.PartialSuccess.rejected, UInt64(count))
                partial.string(OTLPField.PartialSuccess.message, reasons)
            }
        }
        return reply(200, writer.bytes)
    }

    /// A refusal of the whole, as a `google.rpc.Status`.
    func refusal(_ problem: Problem) -> APIReply {
        let text = problem.hint.isEmpty ? problem.detail : "\(problem.detail) \(problem.hint)"
        let code = Self.rpcCode(problem.code.status)
        var answer: APIReply
        if isJSON {
            let status: JSONValue = ["code": .int(Int64(code)), "message": .string(text)]
            answer = reply(problem.code.status, status.bytes)
        } else {
            var writer = ProtobufWriter()
            writer.varint(OTLPField.RPCStatus.code, UInt64(code))
            writer.string(OTLPField.RPCStatus.message, text)
            answer = reply(problem.code.status, writer.bytes)
        }
        if let seconds = problem.retryAfterSeconds { answer.headers.append(("retry-after", String(seconds))) }
        return answer
    }

    private func reply(_ status: Int, _ bytes: [UInt8]) -> APIReply {
        let type = isJSON ? "application/json" : "application/x-protobuf"
        return APIReply(status: status, headers: [("content-type", type)], body: .bytes(bytes))
    }

    /// google.rpc.Code for an HTTP status (google/rpc/code.proto).
    private static func rpcCode(_ status: Int) -> Int {
        switch status {
        case 401: 16
        case 403: 7
        case 405: 12
        case 413, 429: 8
        case 503: 14
        case 400..<500: 3
        default: 13
        }
    }
}

extension ProblemCode {
    public static let unsupportedMedia = ProblemCode("unsupported_media", 415, "The body's type is not read here")
}
