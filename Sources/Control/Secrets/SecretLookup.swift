import Kernel

/// Which secret of a name holds for somebody: the user's own, else the project's, else the organisation's, else the
/// platform's. It says where, never what.
public struct SecretLookup: Sendable, Equatable {
    public enum Policy: String, Sendable, CaseIterable {
        case fallback
        /// The user's own or none.
        case strictUser = "strict_user"
    }

    /// What was found in one place.
    public enum State: String, Sendable {
        /// Nothing, or nothing that the asker may read.
        case absent
        /// Its newest version was deleted.
        case expired
        case used
    }

    public struct Place: Sendable, Equatable, JSONConvertible {
        public let path: SecretPath
        public let state: State

        public var json: JSONValue { ["path": .string(path.description), "state": .string(state.rawValue)] }
    }

    let name: String
    let user: String?
    let project: String?
    let policy: Policy
    /// Whether a deleted one is passed over like one that is not there.
    let passesExpired: Bool

    init(
        name: String, user: String? = nil, project: String? = nil, policy: Policy = .fallback,
        passesExpired: Bool = false
    ) throws {
        (self.name, self.user, self.project) = (name, user, project)
        (self.policy, self.passesExpired) = (policy, passesExpired)
        guard policy == .fallback || user != nil else {
            throw Problem.invalid("user", "with strict_user it is the user's own: whose?")
        }
        _ = try paths()
    }

    /// Where it is looked for, in this order.
    func paths() throws -> [SecretPath] {
        var texts: [String] = []
        if let user { texts.append("user/\(user)/\(name)") }
        if policy == .fallback {
            if let project { texts.append("project/\(project)/\(name)") }
            texts += ["org/\(name)", "platform/\(name)"]
        }
        return try texts.map { try SecretPath($0) }
    }

    /// Stops at the first that there is.
    ///
    /// - Parameter find: Whether there is one whose newest version can be read; `nil` where there is none.
    func look(_ find: (SecretPath) throws -> Bool?) throws -> [Place] {
        var places: [Place] = []
        for path in try paths() {
            guard let isReadable = try find(path) else {
                places.append(Place(path: path, state: .absent))
                continue
            }
            places.append(Place(path: path, state: isReadable ? .used : .expired))
            if isReadable || !passesExpired { break }
        }
        return places
    }
}

extension SecretService {
    /// Finds which secret holds. Written down with what was used, and never with the value.
    func resolve(_ lookup: SecretLookup, by principal: Principal) async throws -> JSONValue {
        let (places, version) = try await storage.write { transaction in
            var version: Int?
            let places = try lookup.look { path in
                guard try maySee(path, principal, in: transaction),
                    let secret = try store.find(path, in: transaction), secret.version > 0,
                    let (newest, _) = try store.version(secret.version, of: path, in: transaction)
                else { return nil }
                version = newest.number
                return newest.isReadable
            }
            let used = places.last { $0.state == .used }
            var detail = JSONObject([.init(name: "name", value: .string(lookup.name))])
            detail["user"] = lookup.user.map { .string($0) }
            detail["project"] = lookup.project.map { .string($0) }
            detail["scope"] = .string(used?.path.scope.rawValue ?? "none")
            if used != nil { detail["version"] = .of(version) }
            try audit.record(
                "secret.resolved", by: principal, target: used.map { "secret:\($0.path)" } ?? "secrets",
                detail: .object(detail), in: transaction)
            return (places, version)
        }
        guard let last = places.last, last.state == .used else { throw Self.unresolved(lookup, places) }
        return [
            "name": .string(lookup.name), "used": .string(last.path.description),
            "scope": .string(last.path.scope.rawValue), "version": .of(version),
            "policy": .string(lookup.policy.rawValue),
            "looked": .list(places),
        ]
    }

    private static func unresolved(_ lookup: SecretLookup, _ places: [SecretLookup.Place]) -> Problem {
        let looked = JSONObject([.init(name: "looked", value: .list(places))])
        if !lookup.passesExpired, let expired = places.last, expired.state == .expired {
            return Problem(
                .conflict, "The newest version of \(expired.path) was deleted, and no other secret is used instead.",
                hint: "Write a new version, forget it for good, or ask with fallbackOn=absent,expired.",
                members: looked)
        }
        let list = places.map(\.path.description).joined(separator: ", ")
        return Problem(
            .notFound, "No secret \"\(lookup.name)\" holds here: looked for \(list).",
            hint: "Write one of them, and grant it to the agent that asks.", members: looked)
    }
}
