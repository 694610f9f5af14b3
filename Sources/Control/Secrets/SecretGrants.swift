import Kernel

/// That an agent may read a secret.
public struct SecretGrant: Sendable, Equatable {
    public let agent: String
    public let grantedAt: Timestamp
    public let grantedBy: String
}

/// Grants one by one: two people who each grant to another agent do not undo each other's work, as lists would.
extension SecretService {
    /// - Returns: The agents that may read it now.
    func grant(_ path: SecretPath, to agent: String, by principal: Principal) async throws -> [String] {
        try await change(path, by: principal) { before in
            guard before.count < KeptSecret.grantsMax || before.contains(agent) else {
                throw Problem(
                    .conflict, "\(path) is granted to \(KeptSecret.grantsMax) agents; more cannot have it.",
                    hint: "Revoke it from those that do not use it: see who read it last.")
            }
            return before.contains(agent) ? before : (before + [agent]).sorted()
        }
    }

    /// - Returns: The agents that may still read it.
    func revoke(_ path: SecretPath, from agent: String, by principal: Principal) async throws -> [String] {
        try await change(path, by: principal) { before in before.filter { $0 != agent } }
    }

    private func change(
        _ path: SecretPath, by principal: Principal, _ change: @escaping @Sendable ([String]) throws -> [String]
    ) async throws -> [String] {
        try await storage.write { transaction in
            guard try store.find(path, in: transaction) != nil else {
                throw Problem.notFound("secret", path.description)
            }
            let before = try store.grants(of: path, in: transaction)
            return try setGrants(of: path, from: before, to: change(before), by: principal, in: transaction)
        }
    }

    /// - Parameter limit: One more than are shown tells whether there are more.
    func granted(_ path: SecretPath, limit: Int) async throws -> [SecretGrant] {
        try await storage.read { try store.granted(path, limit: limit, in: $0) }
    }
}
