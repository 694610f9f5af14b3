import Kernel

/// A bundle on its way to agents: its contents are kept already.
struct BundlePush: Sendable {
    let bundle: AgentBundle
    let files: [(path: String, sha256: String, bytes: Int)]
    let message: String
    /// How it is given out step by step; `nil` where it is given to all at once.
    let rollout: BundleTrialDraft?
}

/// Pushes and returns, as far as roll-outs have a word in them.
extension BundleTrialService {
    /// Makes a bundle what agents are to run with, or begins to: all of them or none.
    func push(
        _ push: BundlePush, to names: [String], by principal: Principal, in transaction: Transaction
    ) throws -> (versions: [(version: BundleVersion, isNew: Bool)], trial: BundleTrial?) {
        let versions = try names.map { name in
            if let agent = try bundles.agents.agent(named: name, in: transaction),
                push.rollout != nil || agent.configDesired != push.bundle.version
            {
                try refuseSecond(agent, in: transaction)
            }
            guard push.rollout == nil else {
                return try bundles.add(
                    push.bundle, files: push.files, to: name, message: push.message, by: principal, in: transaction)
            }
            return try bundles.push(
                push.bundle, files: push.files, to: name, message: push.message, by: principal, in: transaction)
        }
        let trial = try push.rollout.map {
            try begin(push.bundle.version, to: names, $0, by: principal, in: transaction)
        }
        return (versions, trial)
    }

    /// Makes an earlier version what the agent is to run with. Whoever goes back need not wait for a roll-out: it ends.
    func rollback(
        _ name: String, to version: String, message: String, by principal: Principal, in transaction: Transaction
    ) throws -> BundleChange {
        if let agent = try bundles.agents.agent(named: name, in: transaction) {
            // Where there is no such version nothing ends.
            let known = try bundles.version(version, of: name, in: transaction)
            try supersede(
                agent, "\(name) was rolled back to \(AgentBundle.short(known.version))", by: principal,
                in: transaction)
        }
        return try bundles.rollback(name, to: version, message: message, by: principal, in: transaction)
    }

    /// The agents whose label `type` is this.
    func names(ofType type: String, in transaction: Transaction) throws -> [String] {
        let names = try bundles.agents.names(ofType: type, limit: BundleTrial.membersMax, in: transaction)
        guard !names.isEmpty else {
            throw Problem(
                .notFound, "No agent has the type \"\(type)\".",
                hint: "The type is an agent's label `type`: `reeve agents list` shows who there is.")
        }
        guard names.count <= BundleTrial.membersMax else {
            throw Problem.invalid(
                "type", "more than \(BundleTrial.membersMax) agents have it; name some of them at a time")
        }
        return names
    }
}
