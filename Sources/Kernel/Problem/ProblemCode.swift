/// What went wrong, in one stable word that programs may rely on, and the HTTP status that goes with it.
///
/// Codes are open: a feature adds its own in an extension beside its rules. The reference lists them all.
public struct ProblemCode: Sendable, Hashable {
    public let name: String
    public let status: Int
    public let title: String

    public init(_ name: String, _ status: Int, _ title: String) {
        self.name = name
        self.status = status
        self.title = title
    }

    public static let badRequest = ProblemCode("bad_request", 400, "The request cannot be read")
    public static let invalidJSON = ProblemCode("invalid_json", 400, "The body is not acceptable JSON")
    public static let unauthenticated = ProblemCode("unauthenticated", 401, "No valid key came with the request")
    public static let forbidden = ProblemCode("forbidden", 403, "The key does not allow this")
    public static let notFound = ProblemCode("not_found", 404, "There is nothing at this address")
    public static let methodNotAllowed = ProblemCode(
        "method_not_allowed", 405, "This address does not take that method")
    public static let requestTimeout = ProblemCode("request_timeout", 408, "The request took too long to come")
    public static let conflict = ProblemCode("conflict", 409, "It is not as the request expects")
    public static let badTransition = ProblemCode("bad_transition", 409, "The task's state does not allow this")
    public static let staleFence = ProblemCode("stale_fence", 409, "Another attempt owns the task now")
    public static let leaseLost = ProblemCode("lease_lost", 410, "The lease ran out")
    public static let preconditionFailed = ProblemCode("precondition_failed", 412, "It has changed since it was read")
    public static let bodyTooLarge = ProblemCode("body_too_large", 413, "The body is too large")
    public static let invalid = ProblemCode("invalid", 422, "The request has a value that is not acceptable")
    public static let idempotencyMismatch = ProblemCode(
        "idempotency_mismatch", 422, "The idempotency key was used for another request")
    public static let schemaViolation = ProblemCode("schema_violation", 422, "The content does not match its schema")
    public static let rateLimited = ProblemCode("rate_limited", 429, "Too many requests")
    public static let internalError = ProblemCode("internal_error", 500, "Reeve failed at this request")
    public static let overloaded = ProblemCode("overloaded", 503, "Reeve has too much to do at this moment")
    public static let storageUnavailable = ProblemCode("storage_unavailable", 503, "The store does not answer")
    public static let storageFull = ProblemCode("storage_full", 507, "The disk is full")
    public static let outcomeUnknown = ProblemCode(
        "outcome_unknown", 503, "It is not known whether the change was kept")
}
