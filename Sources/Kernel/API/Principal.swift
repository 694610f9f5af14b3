/// What a key may do. Roles do not contain each other; a route names those that it admits.
public enum Role: String, Sendable, CaseIterable {
    /// Everything, and the only one for keys and settings.
    case admin
    /// Runs the fleet: tasks, reviews, queues, agents.
    case operator_ = "operator"
    /// One agent: its own heartbeats, and the tasks it holds.
    case agent
    /// Reads everything, changes nothing.
    case viewer
    /// Sends events and heartbeats for agents it names, reads nothing.
    case ingest
}

/// Who sends a request: a key, or a browser session that was opened with one.
public struct Principal: Sendable, Equatable {
    public let keyID: String
    public let name: String
    public let role: Role
    /// The agent that the key is bound to; present for the role `agent` and only there.
    public let agent: String?
    /// What the request belongs to, for whoever writes down what the principal did.
    public private(set) var correlationID: String?

    public init(keyID: String, name: String, role: Role, agent: String? = nil) {
        self.keyID = keyID
        self.name = name
        self.role = role
        self.agent = agent
    }

    /// Reeve itself: sweeps, schedules and migrations act as this.
    public static let system = Principal(keyID: "system", name: "reeve", role: .admin)

    /// The gateway, which uses kept keys for its callers.
    public static let gateway = Principal(keyID: "gateway", name: "gateway", role: .operator_)

    /// The same, within what a request belongs to.
    public func on(_ correlationID: String) -> Principal {
        var principal = self
        principal.correlationID = correlationID
        return principal
    }

    public static func == (left: Principal, right: Principal) -> Bool {
        (left.keyID, left.name, left.role, left.agent) == (right.keyID, right.name, right.role, right.agent)
    }

    /// How events and the audit log name this principal.
    public var actor: String {
        if keyID == Self.system.keyID || keyID == Self.gateway.keyID { return name }
        return agent.map { "agent:\($0)" } ?? "\(role.rawValue):\(name)"
    }

    /// The agent to act for: the key's own, or for operators and `ingest` the one that the request names.
    public func actingAgent(named: String?) throws -> String {
        if let agent {
            guard named == nil || named == agent else {
                throw Problem(
                    .forbidden, "This key belongs to the agent \"\(agent)\" and cannot act for another one.",
                    hint: "Leave `agent` out, or use that agent's own key.", field: "agent")
            }
            return agent
        }
        guard let named else {
            throw Problem.invalid(
                "agent", "this key is bound to no agent, so the request must name one",
                hint: "Add \"agent\": \"its-name\", or use a key made with {\"role\":\"agent\",\"agent\":\"its-name\"}."
            )
        }
        return named
    }
}

/// Whom a route admits. Every route states one; there is no default.
public enum Permission: Sendable, Equatable {
    /// Anybody, without a key.
    case open
    case roles(Set<Role>)

    /// Looks, does not touch.
    public static let read = Permission.roles([.admin, .operator_, .viewer, .agent])
    /// Runs the fleet.
    public static let operate = Permission.roles([.admin, .operator_])
    /// Keys, audit and settings.
    public static let administer = Permission.roles([.admin])
    /// Claims tasks and writes to those it holds.
    public static let work = Permission.roles([.admin, .operator_, .agent])
    /// Says what is wrong with anybody. An agent speaks for itself alone, so none may.
    public static let tell = Permission.roles([.admin, .operator_, .ingest])
    /// Sends heartbeats and events. A viewer never may.
    public static let ingest = Permission.roles([.admin, .operator_, .agent, .ingest])

    public func admits(_ role: Role) -> Bool {
        switch self {
        case .open: true
        case .roles(let roles): roles.contains(role)
        }
    }
}
