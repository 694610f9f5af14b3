import Kernel

/// How the OFREP door answers (OpenFeature Remote Evaluation Protocol 0.3.0).
enum OFREPReply {
    /// One decision. `variant` always comes with it: the protocol lets it be left out, and clients stumble there.
    static func json(_ decision: FlagDecision) -> JSONValue {
        var metadata = decision.flag.definition.document["metadata"]?.object ?? JSONObject()
        metadata["flagVersion"] = .int(decision.flag.version)
        if let rule = decision.rule { metadata["rule"] = .string(rule) }
        if decision.isPinned { metadata["pinned"] = .bool(true) }
        return [
            "key": .string(decision.flag.key), "value": decision.value, "reason": .string(decision.reason.rawValue),
            "variant": .string(decision.variant), "metadata": .object(metadata),
        ]
    }

    static func json(_ failure: FlagFailure, key: String?) -> JSONValue {
        var object = JSONObject()
        if let key { object["key"] = .string(key) }
        object["errorCode"] = .string(failure.code.rawValue)
        object["errorDetails"] = .string(failure.details)
        return .object(object)
    }

    static func reply(_ failure: FlagFailure, key: String?) -> APIReply {
        .json(json(failure, key: key), status: failure.code == .flagNotFound ? 404 : 400)
    }

    /// What stops a request before it is evaluated: a missing key, a rate, a body that is no JSON.
    static func refusal(_ problem: Problem, _ requestID: String) -> APIReply {
        let details = problem.hint.isEmpty ? problem.detail : "\(problem.detail) \(problem.hint)"
        let isUnreadable = [ProblemCode.invalidJSON, .invalid, .badRequest].contains(problem.code)
        let failure = FlagFailure(isUnreadable ? .parseError : .general, details)
        var reply = APIReply.json(json(failure, key: nil), status: isUnreadable ? 400 : problem.code.status)
        if let seconds = problem.retryAfterSeconds { reply.headers.append(("retry-after", String(seconds))) }
        if problem.code == .unauthenticated {
            reply.headers.append(("www-authenticate", "Bearer realm=\"reeve\""))
        }
        return reply
    }
}
