import Kernel

/// Escalations follow their incidents where two become one.
extension OnCallService {
    /// Forgets what was escalated of incidents that are forgotten.
    public func forget(incidents: [String], in transaction: Transaction) throws {
        try store.forget(ofIncidents: incidents, in: transaction)
    }

    /// Who was told of an incident at last.
    public func lastTold(of incident: String, in transaction: Transaction) throws -> String? {
        try store.lastTold(ofIncident: incident, in: transaction)
    }

    /// Of two chains that go on, one does: the one that somebody acknowledged, else the one that still has steps, else
    /// the worse one. What both told of is the second incident's from then on.
    ///
    /// - Parameter isAcknowledged: Whether somebody sees to what they became.
    public func merge(
        incident: String, into other: String, isAcknowledged: Bool, in transaction: Transaction
    ) throws {
        let mine = try store.escalation(incident: incident, in: transaction)
        let theirs = try store.escalation(incident: other, in: transaction)
        if let mine, let theirs {
            func rank(_ escalation: Escalation) -> Int {
                switch escalation.state {
                case .acknowledged: 2
                case .open: 1
                case .exhausted, .ended: 0
                }
            }
            let isMine =
                rank(mine) == rank(theirs)
                ? Escalation.isWorse(mine.severity, than: theirs.severity) : rank(mine) > rank(theirs)
            let (rest, kept) = isMine ? (other, mine) : (incident, theirs)
            try end(incident: rest, in: transaction)
            // Both have been told of: neither is worse than what was known.
            if let worse = [mine, theirs].first(where: { Escalation.isWorse($0.severity, than: kept.severity) }) {
                var kept = kept
                kept.severity = worse.severity
                try store.update(kept, in: transaction)
            }
        }
        try store.move(ofIncident: incident, to: other, in: transaction)
        if isAcknowledged { try acknowledge(incident: other, by: .system, in: transaction) }
    }
}
