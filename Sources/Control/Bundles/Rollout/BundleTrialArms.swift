import Kernel

/// Gives tasks to the versions of roll-outs, in the transaction that claims them.
public struct BundleTrialArms: TaskBundles {
    private let store = BundleTrialStore()

    public init() {}

    public func arms(
        of rollout: String, agent: AgentStanding, takesBundle: Bool, in transaction: Transaction
    ) throws -> (any TaskArms)? {
        guard let trial = try store.trial(rollout, in: transaction), !trial.record.state.isOver,
            let member = trial.members.first(where: { $0.agent == agent.name })
        else { return nil }
        return OneTrial(trial: trial, stable: member.stable, agent: agent, takesBundle: takesBundle)
    }

    private struct OneTrial: TaskArms {
        let store = BundleTrialStore()
        let trial: BundleTrial
        let stable: String
        let agent: AgentStanding
        let takesBundle: Bool

        func bundle(for task: AgentTask, in transaction: Transaction) throws -> TaskBundle? {
            // Nothing is learnt while it stands still, and nothing begins with the new version.
            guard trial.record.state != .frozen else {
                return trial.unit == .tasks && takesBundle ? TaskBundle(version: stable) : nil
            }
            let known = try store.given(task.id, of: trial.id, in: transaction)
            guard let isNew = isNew(task, known) else { return nil }
            let share = known?.share ?? trial.share
            if known == nil || known?.state == .void {
                try store.keep(
                    .init(
                        task: task.id, fence: task.fence, step: known?.step ?? trial.record.step, isNew: isNew,
                        share: share, isBegun: known?.isBegun ?? false, state: .open),
                    of: trial.id, in: transaction)
            }
            return TaskBundle(
                version: isNew ? trial.version : stable, arm: isNew ? .new : .old, share: share,
                rollout: trial.id.text)
        }

        private func isNew(_ task: AgentTask, _ known: BundleTrialStore.Given?) -> Bool? {
            switch trial.unit {
            case .tasks:
                guard takesBundle else { return nil }
                // A task stays with its version, so that one that is tried again tells of one version alone.
                return known?.isNew ?? (BundleTrial.place(of: task.id.text, salt: trial.id.text) < trial.share)
            case .agents:
                switch agent.configReported {
                case trial.version: return true
                case stable: return false
                default: return nil
                }
            }
        }
    }
}
