import Kernel
import Synchronization
import Telemetry

/// Who leaned on a provider as it went out: what they are in trouble with follows from that, and what others are in
/// trouble with does not.
public struct ProviderDependents: Sendable, Equatable {
    /// What began so long before an outage was told of may be of it: calls fail before the last breaker opens.
    static let before = Span.minutes(10)

    var agents: Set<String> = []
    var models: Set<String> = []
    /// Queues half of whose agents, or more, are among ``agents``.
    var queues: Set<String> = []

    /// Why an alert follows from an outage; `nil` where it does not. What it is about most closely counts.
    func reason(_ alert: Alert, follows cause: Alert) -> String? {
        let (labels, provider) = (alert.labels, cause.labels["provider"])
        guard !provider.isEmpty, alert.activeAt >= cause.activeAt - Self.before else { return nil }
        let (target, agent, queue, model) = (labels["target"], labels["agent"], labels["queue"], labels["model"])
        if !target.isEmpty { return target.hasPrefix("\(provider)/") ? "\(target) is one of its targets" : nil }
        if !agent.isEmpty { return agents.contains(agent) ? "\(agent) called \(provider)" : nil }
        if !queue.isEmpty { return queues.contains(queue) ? "the agents of \(queue) called \(provider)" : nil }
        if !model.isEmpty { return models.contains(model) ? "\(provider) answered for \(model)" : nil }
        // What names somebody of whom nothing is known may have troubles of its own.
        guard IncidentGrouping.subjects(of: alert).isEmpty, alert.activeAt >= cause.activeAt else { return nil }
        return "it is about nobody in particular, and began after that"
    }
}

/// Finds out who leaned on providers that are out: once for each outage and no matter how many alerts there are, and
/// never while none is.
final class AlertDependence: Sendable {
    /// Outages that keep others quiet; those beyond keep nobody.
    static let causesMax = 20
    /// Queues whose agents are looked at; the alerts of others are told.
    static let queuesMax = 100
    /// Calls of this time before an outage tell who leaned on the provider.
    static let calledWithin = Span.hours(1)
    /// Calls of this time after its beginning count as well. Later ones do not get there.
    static let settled = Span.minutes(5)
    /// What was found out is looked at anew after this, until the outage is ``settled``.
    static let keptFor = Span.seconds(30)

    private struct Finding {
        var dependents = ProviderDependents()
        /// Queues that were looked at.
        var queues: Set<String> = []
        let at: Timestamp
    }

    private let findings = Mutex<[String: Finding]>([:])

    /// - Returns: By the ids of the alerts that are causes.
    func dependents(
        among firing: [Alert], _ rules: [AlertInhibition], at now: Timestamp, in transaction: Transaction
    ) throws -> [Identifier<Alert>: ProviderDependents] {
        let rules = rules.filter(\.isByProvider)
        guard !rules.isEmpty else { return [:] }
        let causes = firing.filter { alert in
            !alert.labels["provider"].isEmpty && rules.contains { $0.isCause(alert) }
        }.prefix(Self.causesMax)
        let targets =
            causes.isEmpty ? [] : firing.filter { alert in rules.contains { $0.targets.match(alert.labels) } }
        guard !targets.isEmpty else {
            if causes.isEmpty { findings.withLock { $0 = [:] } }
            return [:]
        }
        let queues = Set(Set(targets.map { $0.labels["queue"] }).subtracting([""]).sorted().prefix(Self.queuesMax))
        var found: [Identifier<Alert>: ProviderDependents] = [:]
        for cause in causes {
            let finding = try finding(of: cause, queues, at: now, in: transaction)
            found[cause.id] = finding.dependents
            findings.withLock { $0[cause.id.text] = finding }
        }
        let ids = Set(causes.map(\.id.text))
        findings.withLock { findings in findings = findings.filter { ids.contains($0.key) } }
        return found
    }

    private func finding(
        of cause: Alert, _ queues: Set<String>, at now: Timestamp, in transaction: Transaction
    ) throws -> Finding {
        let times = (cause.activeAt - Self.calledWithin)..<(cause.activeAt + Self.settled)
        let known = findings.withLock { $0[cause.id.text] }
        var finding: Finding
        if let known, known.at >= times.upperBound || (now >= known.at && now - known.at < Self.keptFor) {
            finding = known
        } else {
            finding = Finding(at: now)
            let provider = cause.labels["provider"]
            finding.dependents.agents = try CallService.leaning(.agent, on: provider, times, in: transaction)
            finding.dependents.models = try CallService.leaning(.model, on: provider, times, in: transaction)
        }
        for queue in queues.subtracting(finding.queues) {
            finding.queues.insert(queue)
            let workers = try TaskService.workers(ofQueue: queue, since: times.lowerBound, in: transaction)
            let leaning = workers.count(where: finding.dependents.agents.contains)
            if leaning > 0, leaning * 2 >= workers.count { finding.dependents.queues.insert(queue) }
        }
        return finding
    }
}
