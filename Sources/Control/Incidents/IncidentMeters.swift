import Kernel
import Synchronization
import Telemetry

/// How incidents stand, as metrics. Looked up now and then: a scrape answers from memory.
public final class IncidentMeters: MetricSource {
    public static let interval = Span.seconds(5)
    /// Between two looks at all incidents of ``days``.
    public static let reviewInterval = Span.minutes(1)
    /// The days of which times are told.
    static let days: Int64 = 30

    static let incidents = Metric.gauge(
        "reeve_incidents", "Open incidents by how far they are, and resolved ones that owe a postmortem.",
        labels: ["state", "severity"])
    static let overdue = Metric.gauge(
        "reeve_incident_postmortems_overdue", "Postmortems that should be published by now.")
    static let actions = Metric.gauge(
        "reeve_incident_actions_overdue", "Action items of incidents that are open and whose day is over.")
    static let times = Metric.gauge(
        "reeve_incident_seconds",
        "Time from detection to a milestone (to `detected` from when an alert's condition first held), of the "
            + "incidents of the last \(days) days: median and 90th percentile.",
        labels: ["milestone", "quantile"])
    static let detected = Metric.gauge(
        "reeve_incidents_detected", "Incidents of the last \(days) days.")

    static let containments = Metric.gauge(
        "reeve_containments_in_force",
        "Containments that act, are taken back, or hold something, by who thought of them.",
        labels: ["origin"])

    public static let metrics = [incidents, overdue, actions, times, detected, containments]

    private struct State {
        var counts: [(state: Incident.Milestone, severity: String, count: Int64)] = []
        var overdue: Int64 = 0
        var actions: Int64 = 0
        var containments: [(origin: String, count: Int64)] = []
        var report: IncidentReport?
    }

    private let state = Mutex(State())

    public init() {}

    /// Looks at what is open, and what is owed.
    public func look(_ service: IncidentService, _ storage: any Storage) async throws {
        let found = try await storage.read { transaction in
            let now = service.world.now
            return State(
                counts: try service.store.counts(in: transaction),
                overdue: try service.postmortems.overdueCount(at: now, in: transaction),
                actions: try service.postmortems.overdueItems(on: String(now.rfc3339.prefix(10)), in: transaction),
                containments: try ContainmentService.inForceCounts(in: transaction))
        }
        state.withLock { state in
            let report = state.report
            state = found
            state.report = report
        }
    }

    /// Looks at the times of all incidents of the last days.
    public func review(_ service: IncidentService, _ storage: any Storage) async throws {
        let report = try await storage.read { try service.report(days: Self.days, in: $0) }
        state.withLock { $0.report = report }
    }

    public func collect(into page: inout MetricPage) {
        let state = state.withLock { $0 }
        var incidents = GaugeFamily(Self.incidents)
        for milestone in Incident.Milestone.allCases where milestone != .postmortem {
            for severity in Incident.Severity.allCases { incidents.set(0, [milestone.rawValue, severity.rawValue]) }
        }
        for one in state.counts { incidents.set(Double(one.count), [one.state.rawValue, one.severity]) }
        page.add(incidents)
        page.add(Self.overdue, Double(state.overdue))
        page.add(Self.actions, Double(state.actions))
        var times = GaugeFamily(Self.times)
        for one in state.report?.times ?? [] {
            if let median = one.median { times.set(median, [one.milestone.rawValue, "0.5"]) }
            if let p90 = one.p90 { times.set(p90, [one.milestone.rawValue, "0.9"]) }
        }
        page.add(times)
        page.add(Self.detected, Double(state.report?.incidents ?? 0))
        var containments = GaugeFamily(Self.containments)
        for origin in Containment.Origin.allCases { containments.set(0, [origin.rawValue]) }
        for one in state.containments { containments.set(Double(one.count), [one.origin]) }
        page.add(containments)
    }
}
