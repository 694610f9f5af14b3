import Kernel

/// What agents are to run with, as other features decide it and as they report it.
extension AgentService {
    /// Makes a version what the agent is to run with; an agent that is not there yet is registered.
    func want(
        _ version: String, of name: String, by principal: Principal, in transaction: Transaction
    ) throws -> Agent {
        guard let agent = try store.agent(named: name, in: transaction) else {
            var draft = AgentDraft(name: name, project: Agent.projectDefault)
            draft.configDesired = version
            _ = try register(draft, by: principal, in: transaction)
            return try known(name, in: transaction)
        }
        var edit = AgentEdit()
        edit.configDesired = .some(version)
        _ = try change(agent, edit, by: principal, in: transaction)
        return try known(name, in: transaction)
    }

    /// Agents that are looked at for those of one type.
    static let typedMax = 20_000

    /// Agents whose label `type` is this, by name; one more than `limit` where there are more.
    func names(ofType type: String, limit: Int, in transaction: Transaction) throws -> [String] {
        let names = try store.names(limit: Self.typedMax, in: transaction)
        let labels = try store.labels(of: names, in: transaction)
        return Array(names.filter { labels[$0]?["type"] == type }.prefix(limit + 1))
    }

    /// Agents that are to run with something or say that they do, by name.
    func configStates(
        isBehind: Bool?, after: String?, limit: Int, in transaction: Transaction
    ) throws -> [AgentConfigState] {
        try store.configStates(isBehind: isBehind, after: after, limit: limit, in: transaction)
    }
}

extension AgentService: AgentBundles {
    /// Its claims ask the roll-out from now on.
    func joinRollout(_ rollout: String, _ name: String, in transaction: Transaction) throws {
        try store.joinRollout(rollout, name, in: transaction)
    }

    func leaveRollout(_ rollout: String, _ name: String, in transaction: Transaction) throws {
        try store.leaveRollout(rollout, name, in: transaction)
    }

    /// Something was set above what the agent is to run with.
    func configRevised(_ name: String, in transaction: Transaction) throws {
        try store.countConfigRevision(of: name, in: transaction)
    }

    public func bundles(of agents: [String], in transaction: Transaction) throws -> [String: String] {
        try store.configReported(by: agents, in: transaction)
    }
}

extension Agent {
    /// `{desired, reported, behind}`.
    var configJSON: JSONValue {
        [
            "desired": .of(configDesired), "reported": .of(configReported),
            "behind": .bool(AgentConfigState.isBehind(desired: configDesired, reported: configReported)),
        ]
    }
}
