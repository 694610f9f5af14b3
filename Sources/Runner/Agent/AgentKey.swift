import Kernel

/// The key that a supervised program gets: never the one of a person.
///
/// Where the runner was started with an administrator's or operator's key, a key bound to the agent is made for the
/// run and revoked after it; an agent's own key is handed on as it is.
public struct AgentKey: Sendable {
    /// A client that acts as the agent.
    public let client: ReeveClient
    /// The id of the key made for this run; `nil` where none was made.
    public let madeID: String?
    private let owner: ReeveClient

    /// Asks the server who the runner is and makes a key where needed. Throws ``ClientFailure``.
    public static func obtain(
        _ client: ReeveClient, agent: AgentIdentity, purpose: String, patience: Patience
    ) async throws -> AgentKey {
        let me = try await client.get("/api/v1/me", patience: patience)
        switch me["role"]?.string {
        case "agent":
            guard me["agent"]?.string == agent.name else {
                throw ClientFailure.noKey(
                    "This key belongs to the agent \"\(me["agent"]?.string ?? "?")\", not to \"\(agent.name)\".")
            }
            return AgentKey(client: client, madeID: nil, owner: client)
        case "admin", "operator":
            return try await make(client, agent: agent, purpose: purpose)
        case let role:
            throw ClientFailure.noKey(
                "A key with the role \"\(role ?? "?")\" cannot run agents: it takes admin, operator or its own.")
        }
    }

    /// A repeated request brings the key's id without its secret, which the server has not kept: then that key is
    /// revoked and another made.
    private static func make(
        _ client: ReeveClient, agent: AgentIdentity, purpose: String
    ) async throws -> AgentKey {
        for _ in 0..<3 {
            let reply = try await client.post(
                "/api/v1/keys",
                ["role": "agent", "name": .string("\(purpose) \(agent.name)"), "agent": .string(agent.name)])
            let made = AgentKey(client: client, madeID: reply["id"]?.string, owner: client)
            guard let key = reply["key"]?.string else {
                await made.retire()
                continue
            }
            return AgentKey(client: client.with(key: key), madeID: made.madeID, owner: client)
        }
        throw ClientFailure.unreadable("a new key came without its secret")
    }

    /// Revokes the key that was made, if one was; silent where that fails.
    public func retire() async {
        guard let madeID else { return }
        _ = try? await owner.delete(ReeveClient.path("api", "v1", "keys", madeID))
    }
}
