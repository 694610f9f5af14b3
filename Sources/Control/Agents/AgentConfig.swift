import Kernel

/// What agents are to run with, as other features decide it and as they report it.
extension AgentService {
    /// Makes a version what the agent is to run with; an agent that is not there yet is registered.
    func want(
        _ version: String, of name: String, by principal: Principal, in transaction: Transaction
    ) throws -> Agent {
        guard try store.agent(named: name, in: transaction) != nil else {
            var draft = AgentDraft(name: name, project: Agent.projectDefault)
            draft.configDesired = version
            _ = try register(draft, by: principal, in: transaction)
            return try known(name, in: transaction)
        }
        var edit = AgentEdit()
        edit.configDesired = .some(version)
        _ = try self.edit(name, edit, ifMatch: nil, by: principal, in: transaction)
        return try known(name, in: transaction)
    }

    /// Agents that are to run with something or say that they do, by name.
    func configStates(
        isBehind: Bool?, after: String?, limit: Int, in transaction: Transaction
    ) throws -> [AgentConfigState] {
        try store.configStates(isBehind: isBehind, after: after, limit: limit, in: transaction)
    }
}

extension AgentService: AgentBundles {
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
