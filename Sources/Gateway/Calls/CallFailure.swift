import Kernel

/// What the caller is told where no target answered: the provider's own words where they help, ours where not.
extension DialectError {
    /// - Parameters:
    ///   - end: How the plan ended.
    ///   - told: What the provider of the failure that is told answered with, if anything.
    init(_ end: AttemptPlan.End, told: DialectError?, model: String) {
        let name = model.prefix(Self.paramCharactersMax)
        guard let failure = end.failure else {
            if end.reason == .allLimited {
                self.init(
                    .rateLimit,
                    "The provider's limits for `\(name)` are used up. Come back when Retry-After has passed.")
                return
            }
            self.init(
                .unavailable,
                "No target of the model `\(name)` can be asked now (\(end.reason.rawValue)). Try again in a moment.")
            return
        }
        switch failure {
        case .unauthorized, .forbidden:
            self.init(
                .badGateway, code: "provider_credentials",
                "The provider refused the gateway's own key for `\(name)`. Whoever runs Reeve has to see to it.")
        case .silent:
            self.init(.timeout, "The provider of `\(name)` did not begin to answer in time.")
        case .connectionRefused:
            self.init(.badGateway, code: "provider_unreachable", "The provider of `\(name)` cannot be reached.")
        case .reset, .cut, .stalled:
            self.init(.badGateway, code: "provider_reset", "The provider of `\(name)` broke its answer off.")
        case .malformed:
            self.init(.badGateway, code: "provider_malformed", "The provider of `\(name)` sent what cannot be read.")
        case .rateLimited, .quotaExhausted, .overloaded, .serverError, .contextLength, .tooLarge, .contentFilter,
            .invalidRequest, .notFound:
            self = told ?? DialectError(.badGateway, "The provider of `\(name)` failed (\(failure.name)).")
        }
    }
}

extension AttemptPlan.Step: JSONConvertible {
    /// `{at, kind, reason, target, failure, waitMs}`, what is absent left out.
    var json: JSONValue {
        var object = JSONObject()
        object.append("at", at.json)
        object.append("kind", .string(kind.rawValue))
        if let reason { object.append("reason", .string(reason.rawValue)) }
        if let target { object.append("target", target.json) }
        if let failure { object.append("failure", .string(failure.name)) }
        if wait > .zero { object.append("waitMs", .int(wait.microseconds / 1_000)) }
        return .object(object)
    }
}
