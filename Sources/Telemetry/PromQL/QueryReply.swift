import Kernel

/// Answers in the words of Prometheus' HTTP API (Prometheus documentation, "HTTP API").
enum QueryReply {
    /// Why a request is refused.
    struct Refusal: Error {
        enum Kind: String {
            case badData = "bad_data"
            case execution, timeout, unavailable
            case notFound = "not_found"
            case `internal`

            var status: Int {
                switch self {
                case .badData: 400
                case .execution: 422
                case .timeout, .unavailable: 503
                case .notFound: 404
                case .internal: 500
                }
            }
        }

        let kind: Kind
        let text: String

        static func bad(_ parameter: String, _ text: String) -> Refusal {
            Refusal(kind: .badData, text: "invalid parameter \"\(parameter)\": \(text)")
        }

        var reply: APIReply {
            let document: JSONValue = [
                "status": "error", "errorType": .string(kind.rawValue), "error": .string(text),
            ]
            return .json(document, status: kind.status)
        }
    }

    /// What was refused before it came here.
    static func refusal(_ problem: Problem) -> APIReply {
        let kind =
            switch problem.code.status {
            case 401: "unauthorized"
            case 403: "forbidden"
            case 404: "not_found"
            case 429, 503: "unavailable"
            case 500...: "internal"
            default: "bad_data"
            }
        let text = problem.hint.isEmpty ? problem.detail : "\(problem.detail) \(problem.hint)"
        var reply = APIReply.json(
            ["status": "error", "errorType": .string(kind), "error": .string(text)], status: problem.code.status)
        if let seconds = problem.retryAfterSeconds { reply.headers.append(("retry-after", String(seconds))) }
        return reply
    }

    static func success(_ data: JSONValue) -> APIReply { .json(["status": "success", "data": data]) }

    /// Written piece by piece: a tree of values would take several times as much memory.
    static func success(_ answer: PromQLQuery.Answer) -> APIReply {
        var bytes: [UInt8] = []
        bytes.append(contentsOf: "{\"status\":\"success\",\"data\":{\"resultType\":\"".utf8)
        switch answer {
        case .scalar(let sample):
            bytes.append(contentsOf: "scalar\",\"result\":".utf8)
            append(sample, to: &bytes)
        case .string(let text, let time):
            bytes.append(contentsOf: "string\",\"result\":[\(QueryText.time(time)),".utf8)
            JSONValue.string(text).write(to: &bytes)
            bytes.append(UInt8(ascii: "]"))
        case .vector(let series):
            bytes.append(contentsOf: "vector\",\"result\":".utf8)
            append(series, "value", to: &bytes) { bytes, samples in
                if let only = samples.first { append(only, to: &bytes) }
            }
        case .matrix(let series):
            bytes.append(contentsOf: "matrix\",\"result\":".utf8)
            append(series, "values", to: &bytes) { bytes, samples in
                bytes.append(UInt8(ascii: "["))
                for (index, sample) in samples.enumerated() {
                    if index > 0 { bytes.append(UInt8(ascii: ",")) }
                    append(sample, to: &bytes)
                }
                bytes.append(UInt8(ascii: "]"))
            }
        }
        bytes.append(contentsOf: "}}".utf8)
        return APIReply(status: 200, headers: [("content-type", "application/json")], body: .bytes(bytes))
    }

    private static func append(
        _ series: [PromQLQuery.Series], _ word: String, to bytes: inout [UInt8],
        _ write: (inout [UInt8], [Sample]) -> Void
    ) {
        bytes.append(UInt8(ascii: "["))
        for (index, one) in series.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: "{\"metric\":".utf8)
            one.labels.json.write(to: &bytes)
            bytes.append(contentsOf: ",\"\(word)\":".utf8)
            write(&bytes, one.samples)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: "]"))
    }

    private static func append(_ sample: Sample, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: "[\(QueryText.time(sample.time)),\"\(QueryText.number(sample.value))\"]".utf8)
    }
}

extension LabelSet: JSONConvertible {
    public var json: JSONValue {
        .object(JSONObject(pairs.map { .init(name: $0.name, value: .string($0.value)) }))
    }
}
