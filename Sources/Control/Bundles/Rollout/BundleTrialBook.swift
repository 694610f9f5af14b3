import Kernel

/// What bundles themselves need to know of roll-outs.
struct BundleTrialBook: Sendable {
    private let store = BundleTrialStore()

    /// The one that an agent is in, or else the latest that it had a part in.
    func current(_ agent: Agent, in transaction: Transaction) throws -> BundleTrial? {
        try store.current(agent, in: transaction)
    }

    /// Roll-outs that took a version back from an agent, by version; of several, the latest.
    func takenBack(
        of agent: String, _ versions: [String], in transaction: Transaction
    ) throws -> [String: BundleVersion.TakenBack] {
        try store.takenBack(of: agent, versions, in: transaction)
    }
}
