import Kernel
import Telemetry

/// Runs follow their incidents: where two become one, where one becomes two, and where one is forgotten.
extension RunbookService: IncidentFollower {
    public func opened(_ incident: Incident, by alert: Alert?, in transaction: Transaction) throws {}
    public func joined(_ incident: Incident, by alert: Alert, in transaction: Transaction) throws {}
    public func reached(
        _ milestone: Incident.Milestone, _ incident: Incident, by principal: Principal, in transaction: Transaction
    ) throws {}

    /// Of a part, runs go along whose runbooks are written for its alerts and for none that stays.
    public func moved(_ move: IncidentMove, in transaction: Transaction) throws {
        let (from, to) = (move.from.id, move.to.id)
        guard let part = move.part else {
            return try store.move(nil, ofIncident: from.text, to: to.text, in: transaction)
        }
        let runs = try store.runs(
            of: from.text, page: Page(limit: Int(RunbookRun.perIncidentMax), after: nil), in: transaction)
        let moved = runs.filter { run in
            let alerts = library.runbook(run.runbook)?.alerts ?? []
            return !part.alerts.isDisjoint(with: alerts)
        }
        try store.move(Set(moved.map(\.runbook)).sorted(), ofIncident: from.text, to: to.text, in: transaction)
        for run in moved {
            try containments.incidents.moveEntries(
                of: "runbook", naming: "run", run.id.text, from: from, to: to, in: transaction)
        }
    }

    public func keeps(_ incident: Identifier<Incident>, in transaction: Transaction) throws -> Bool {
        let page = Page(limit: Int(RunbookRun.perIncidentMax), after: nil)
        return try store.runs(of: incident.text, page: page, in: transaction).contains { $0.state == .running }
    }

    public func forget(_ ids: [Identifier<Incident>], in transaction: Transaction) throws {
        try store.forget(ofIncidents: ids.map(\.text), in: transaction)
    }
}
