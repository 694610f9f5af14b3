/// A refusal or failure as its caller sees it: what happened, what it means, what to do next (RFC 9457).
///
/// Services throw it; the server renders it. The `cause` is for the log alone and never leaves the process.
public struct Problem: Error, Sendable {
    public let code: ProblemCode
    public let detail: String
    /// The next step, in words that also tell a language model what to do.
    public let hint: String
    /// The path of the field at fault, such as `tasks/2/dependsOn`.
    public let field: String?
    /// Further members for programs, such as `currentFence` or `allowed`.
    public let members: JSONObject
    /// Seconds after which to try again, sent as `Retry-After`.
    public let retryAfterSeconds: Int?
    public let cause: (any Error)?

    public init(
        _ code: ProblemCode, _ detail: String, hint: String = "", field: String? = nil,
        members: JSONObject = JSONObject(), retryAfterSeconds: Int? = nil, cause: (any Error)? = nil
    ) {
        self.code = code
        self.detail = detail
        self.hint = hint
        self.field = field
        self.members = members
        self.retryAfterSeconds = retryAfterSeconds
        self.cause = cause
    }

    /// A value that is not acceptable, named by its path.
    public static func invalid(_ field: String, _ detail: String, hint: String = "") -> Problem {
        Problem(.invalid, "\(field): \(detail)", hint: hint, field: field)
    }

    /// Something named that is not there.
    public static func notFound(_ noun: String, _ id: String) -> Problem {
        Problem(
            .notFound, "There is no \(noun) \"\(id.prefix(80))\".",
            hint: "List what there is, and use an id from there.")
    }

    /// The body of the reply: `application/problem+json`.
    public func document(requestID: String) -> JSONValue {
        var object = JSONObject()
        object["type"] = .string("urn:reeve:problem:\(code.name)")
        object["title"] = .string(code.title)
        object["status"] = .int(Int64(code.status))
        object["detail"] = .string(detail)
        object["code"] = .string(code.name)
        if !hint.isEmpty { object["hint"] = .string(hint) }
        if let field { object["field"] = .string(field) }
        for member in members.members { object[member.name] = member.value }
        object["requestId"] = .string(requestID)
        return .object(object)
    }
}

extension Problem: CustomStringConvertible {
    public var description: String { hint.isEmpty ? "\(code.name): \(detail)" : "\(code.name): \(detail) \(hint)" }
}
