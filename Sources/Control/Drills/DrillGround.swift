import Kernel

/// What a drill leaves behind and takes with it: the tasks and agents of its project, the agents' keys, and its money.
public protocol DrillGround: Sendable {
    /// Sees to it that the drill spends no more than ``Drill/dollarsMax``.
    func prepare(_ drill: Drill, in transaction: Transaction) throws
    /// Removes what can be removed at this moment.
    ///
    /// - Returns: Whether nothing is left.
    func clear(_ drill: Drill, in transaction: Transaction) throws -> Bool
    /// Lets the model of drills be asked again.
    func mendModel()
}

extension Transaction {
    /// Does all of something or nothing of it, and says whether it was done: what is refused at this moment may go
    /// later. What is gone already counts as done.
    public func isAllowed(_ body: () throws -> Void) throws -> Bool {
        do {
            try part(body)
            return true
        } catch let problem as Problem where problem.code.status < 500 {
            return problem.code == .notFound
        }
    }
}
