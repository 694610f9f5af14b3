import Kernel

/// Writes what came of a request as its line of the output.
///
/// Sources: OpenAI API reference, "The request output object"; Anthropic API reference, "Retrieve Message Batch
/// results".
struct BatchResult {
    let dialect: Batch.Dialect
    let batchID: String

    /// A line for what a model's door answered.
    func line(_ line: BatchLine, _ answer: BatchAnswer) -> [UInt8] {
        let body = Self.oneLine(answer.body) ?? unreadable(answer)
        var bytes: [UInt8] = []
        switch dialect {
        case .openAI:
            bytes += Array("{\"id\":".utf8) + id(line).bytes + Array(",\"custom_id\":".utf8)
            bytes += JSONValue.of(line.customID).bytes
            bytes += Array(",\"response\":{\"status_code\":\(answer.status),\"request_id\":".utf8)
            bytes += JSONValue.of(answer.callID).bytes + Array(",\"body\":".utf8) + body
            bytes += Array("},\"error\":null}\n".utf8)
        case .anthropic:
            let (type, member) = answer.isSuccess ? ("succeeded", "message") : ("errored", "error")
            bytes += Array("{\"custom_id\":".utf8) + JSONValue.of(line.customID).bytes
            bytes += Array(",\"result\":{\"type\":\"\(type)\",\"\(member)\":".utf8) + body
            bytes += Array("}}\n".utf8)
        }
        return bytes
    }

    /// A line for a request that no model answered.
    func line(_ line: BatchLine) -> [UInt8] {
        let value: JSONValue
        switch dialect {
        case .openAI:
            value = [
                "id": id(line), "custom_id": .of(line.customID), "response": .null, "error": openAIError(line),
            ]
        case .anthropic: value = ["custom_id": .of(line.customID), "result": anthropicResult(line)]
        }
        return value.bytes + [UInt8(ascii: "\n")]
    }

    private func id(_ line: BatchLine) -> JSONValue { .string("batch_req_\(batchID.suffix(32))\(line.number)") }

    private func openAIError(_ line: BatchLine) -> JSONValue {
        switch line.state {
        case .canceled:
            ["code": "batch_cancelled", "message": "The batch was cancelled before this request was asked."]
        case .expired:
            [
                "code": "batch_expired",
                "message": "This request could not be executed before the completion window expired.",
            ]
        case .waiting, .succeeded, .errored: line.flaw?.json ?? .null
        }
    }

    private func anthropicResult(_ line: BatchLine) -> JSONValue {
        switch line.state {
        case .canceled: ["type": "canceled"]
        case .expired: ["type": "expired"]
        case .waiting, .succeeded, .errored:
            [
                "type": "errored",
                "error": [
                    "type": "error",
                    "error": [
                        "type": .of(line.flaw?.anthropicType), "message": .of(line.flaw?.message),
                    ],
                ],
            ]
        }
    }

    /// A JSON object as it may stand in a line of a file; `nil` for what is none.
    private static func oneLine(_ body: [UInt8]) -> [UInt8]? {
        guard let value = try? JSONParser.parse(body, depthMax: Limits.jsonDepthStored), value.object != nil else {
            return nil
        }
        let isOneLine = !body.contains { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
        return isOneLine ? body : value.bytes
    }

    /// A provider may answer an error with a page.
    private func unreadable(_ answer: BatchAnswer) -> [UInt8] {
        let message = "The provider answered \(answer.status) with something that is no JSON object."
        let error: JSONValue =
            dialect == .openAI
            ? ["error": ["message": .string(message), "type": "server_error", "param": .null, "code": .null]]
            : ["type": "error", "error": ["type": "api_error", "message": .string(message)]]
        return error.bytes
    }
}
