import Kernel
import Telemetry

/// Forgets incidents that are over for long, with all that belongs to them: the timeline, alerts, the postmortem,
/// action items, containments, runs, escalations. What is open stays, and so does what is under a legal hold.
public struct IncidentRetention: Sendable {
    public static let interval = Span.hours(1)
    /// Incidents of one commit: each has some thousand rows.
    static let commitMax = 5
    /// Commits of one round.
    static let commitsMax = 2_000
    /// Drills of one commit.
    static let drillsMax = 500

    let service: IncidentService
    let storage: any Storage

    public init(service: IncidentService, storage: any Storage) { (self.service, self.storage) = (service, storage) }

    /// Returns how many incidents it forgot.
    @discardableResult
    public func forget() async throws -> Int {
        var (done, place): (Int, IncidentCursor?) = (0, IncidentCursor())
        var last = ""
        for _ in 0..<Self.commitsMax {
            guard let from = place else { break }
            let (count, next, id) = try await storage.write(.soon) { [service, last] transaction in
                try service.forget(behind: from.time, last, limit: Self.commitMax, in: transaction)
            }
            done += count
            place = next.map { IncidentCursor(time: $0, seq: 0) }
            last = id
        }
        let before = service.world.now - service.policy.keptDrills
        while try await storage.write(.soon, { try DrillService.forget(before: before, limit: Self.drillsMax, in: $0) })
            == Self.drillsMax
        {}
        return done
    }
}

extension IncidentService {
    /// Looks at the next ones that are over for long enough, the longest first.
    ///
    /// - Parameters: behind: Where the round before ended, with its last id.
    /// - Returns: How many were forgotten, and where it ended; `nil` at the end.
    func forget(
        behind time: Timestamp, _ last: String, limit: Int, in transaction: Transaction
    ) throws -> (count: Int, next: Timestamp?, last: String) {
        let old = try store.over(
            before: world.now - policy.kept, behind: time, last, limit: limit, in: transaction)
        let holds = try RetentionService.activeHolds(in: transaction)
        var ids: [Identifier<Incident>] = []
        for incident in old {
            guard try !postmortems.hasOpenItem(incident.id, in: transaction),
                try !followers.contains(where: { try $0.keeps(incident.id, in: transaction) }),
                try !isHeld(incident, by: holds, in: transaction)
            else { continue }
            // Those that became a part of it stay as long as it does, to lead there.
            ids += [incident.id] + (try store.parts(of: incident.id, in: transaction))
        }
        if !ids.isEmpty {
            for follower in followers { try follower.forget(ids, in: transaction) }
            try store.forget(ids, in: transaction)
        }
        let isMore = old.count == limit
        return (ids.count, isMore ? old.last?.milestones[.resolved] : nil, old.last?.id.text ?? "")
    }

    /// Whether a legal hold keeps an incident: one on its time, on an agent, on a trace or a correlation id of it, or
    /// on a subject whom anything of it names.
    private func isHeld(
        _ incident: Incident, by holds: [TelemetryHold], in transaction: Transaction
    ) throws -> Bool {
        guard !holds.isEmpty else { return false }
        let alerts = try links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction)
        let traces = try links.traces(of: incident.id, limit: IncidentTraces.tracesMax, in: transaction)
        let window = window(incident)
        return try holds.contains { hold in
            switch hold.target {
            case .times(let times):
                return window.lowerBound.microseconds &* 1_000 < times.upperBound
                    && window.upperBound.microseconds &* 1_000 >= times.lowerBound
            case .agent(let agent):
                return incident.subjects.contains("agent:\(agent)") || alerts.contains { $0.labels["agent"] == agent }
                    || traces.contains { $0.agent == agent }
            case .trace(let trace): return traces.contains { $0.id == trace.description }
            case .correlation(let id):
                if traces.contains(where: { $0.correlationID == id || $0.id == id.lowercased() }) { return true }
                return try entries(of: incident.id, in: transaction).contains {
                    $0.detail["correlationId"]?.string == id
                }
            case .subject(let subject): return try names(subject, incident, alerts, in: transaction)
            }
        }
    }

    /// Rather too often than not: a part of a text suffices.
    private func names(
        _ subject: String, _ incident: Incident, _ alerts: [IncidentAlert], in transaction: Transaction
    ) throws -> Bool {
        let document = try postmortems.postmortem(incident.id, in: transaction)?.document
        var texts = [incident.title, incident.status?.text, document].compactMap(\.self) + incident.subjects
        texts += alerts.flatMap { [$0.summary, $0.labels.object.text] }
        texts += try postmortems.items(of: incident.id, in: transaction).flatMap { [$0.summary, $0.owner] }
        if texts.contains(where: { $0.contains(subject) }) { return true }
        return try entries(of: incident.id, in: transaction).contains { entry in
            [entry.target, entry.actor, entry.detail.text].contains { $0.contains(subject) }
        }
    }
}
