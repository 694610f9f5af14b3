import Kernel
import Telemetry

/// How long incidents took, and how much of what alerts said was worth saying.
struct IncidentReport: Sendable {
    /// Incidents that are looked at: the newest.
    static let incidentsMax = 10_000
    static let daysRange: ClosedRange<Int64> = 1...366
    /// Rules that are told apart.
    static let rulesMax = 500

    /// Times from the detection to a milestone; to the detection itself it is the time from the fault's beginning,
    /// which is the earliest moment at which the condition of one of the incident's alerts held (`activeAt`).
    static let milestones: [Incident.Milestone] = [
        .detected, .acknowledged, .contained, .mitigated, .verified, .resolved,
    ]

    /// Times of several incidents, in seconds.
    struct Times: Sendable, Equatable {
        let milestone: Incident.Milestone
        let count: Int
        let median: Double?
        let p90: Double?

        init(_ milestone: Incident.Milestone, _ incidents: [(incident: Incident, begun: Timestamp?)]) {
            self.milestone = milestone
            let times = incidents.compactMap { $0.incident.seconds(to: milestone, begun: $0.begun) }.sorted()
            count = times.count
            median = Self.quantile(0.5, times)
            p90 = Self.quantile(0.9, times)
        }

        /// By linear interpolation between the closest ranks (Hyndman and Fan 1996, type 7).
        static func quantile(_ q: Double, _ sorted: [Double]) -> Double? {
            guard let last = sorted.last else { return nil }
            let place = q * Double(sorted.count - 1)
            let low = Int(place)
            guard low + 1 < sorted.count else { return last }
            return sorted[low] + (place - Double(low)) * (sorted[low + 1] - sorted[low])
        }
    }

    /// What became of the alerts of one rule.
    struct Noise: Sendable, Equatable {
        let rule: String
        /// How often it began.
        var fired: Int64 = 0
        /// Of those, in incidents about which somebody, or a containment, did something.
        var actedOn: Int64 = 0
        /// In incidents that ended without anybody having done anything.
        var ignored: Int64 = 0
        /// In incidents that go on.
        var pending: Int64 { fired - actedOn - ignored }
    }

    /// The times of those that have something in common; the name is empty where they have none.
    struct Part: Sendable {
        let name: String
        let incidents: Int
        let times: [Times]

        static func all(
            _ incidents: [(incident: Incident, begun: Timestamp?)], by name: (Incident) -> String
        ) -> [Part] {
            Dictionary(grouping: incidents) { name($0.incident) }.sorted { $0.key < $1.key }.map { name, some in
                Part(name: name, incidents: some.count, times: milestones.map { Times($0, some) })
            }
        }

        func json(_ member: String) -> JSONValue {
            .object(
                JSONObject([
                    .init(name: member, value: name.isEmpty ? .null : .string(name)),
                    .init(name: "incidents", value: .int(Int64(incidents))), .init(name: "times", value: .list(times)),
                ]))
        }
    }

    let days: Int64
    let incidents: Int
    let isCut: Bool
    let times: [Times]
    let byMode: [Part]
    let bySeverity: [Part]
    let weeks: [(start: String, count: Int)]
    let noise: [Noise]

    /// - Parameter begins: When each began, by its id, where that is known.
    init(
        _ incidents: [Incident], begins: [String: Timestamp] = [:], days: Int64,
        alerts: [(rule: String, times: Int64, isActedOn: Bool, isOpen: Bool)]
    ) {
        self.days = days
        self.incidents = incidents.count
        isCut = incidents.count >= Self.incidentsMax
        let known = incidents.map { (incident: $0, begun: begins[$0.id.text]) }
        times = Self.milestones.map { Times($0, known) }
        byMode = Part.all(known) { $0.mode?.rawValue ?? "" }
        bySeverity = Incident.Severity.allCases.flatMap { severity in
            Part.all(known.filter { $0.incident.severity == severity }) { $0.severity.rawValue }
        }
        weeks = Dictionary(grouping: incidents) { Self.week(of: $0.begin) }.sorted { $0.key < $1.key }
            .map { ($0.key, $0.value.count) }
        var noise: [String: Noise] = [:]
        for alert in alerts {
            var rule = noise[alert.rule] ?? Noise(rule: alert.rule)
            rule.fired += alert.times
            if alert.isActedOn { rule.actedOn += alert.times } else if !alert.isOpen { rule.ignored += alert.times }
            noise[alert.rule] = rule
        }
        self.noise = noise.values.sorted { ($1.ignored, $1.fired, $0.rule) < ($0.ignored, $0.fired, $1.rule) }
    }

    /// The Monday of a moment's week, in UTC.
    static func week(of time: Timestamp) -> String {
        let day = Int64((Double(time.microseconds) / 86_400e6).rounded(.down))
        // 1970-01-01 was a Thursday.
        let monday = day - ((day + 3) % 7 + 7) % 7
        return String(Timestamp(microseconds: monday * 86_400_000_000).rfc3339.prefix(10))
    }
}

extension Incident {
    /// Seconds from the detection to a milestone; to the detection those from when it began, where that is known.
    func seconds(to milestone: Milestone, begun: Timestamp?) -> Double? {
        guard milestone == .detected else { return milestones[milestone].map { max(0, ($0 - begin).seconds) } }
        // What was opened by hand before its alerts was detected by a person; nobody knows when it began.
        return begun.flatMap { $0 <= begin ? (begin - $0).seconds : nil }
    }
}

extension IncidentReport.Times: JSONConvertible {
    var json: JSONValue {
        [
            "milestone": .string(milestone.rawValue), "count": .int(Int64(count)), "medianSeconds": .of(median),
            "p90Seconds": .of(p90),
        ]
    }
}

extension IncidentReport.Noise: JSONConvertible {
    var json: JSONValue {
        [
            "rule": .string(rule), "fired": .int(fired), "actedOn": .int(actedOn), "ignored": .int(ignored),
            "pending": .int(pending),
        ]
    }
}

extension IncidentReport: JSONConvertible {
    var json: JSONValue {
        [
            "days": .int(days), "incidents": .int(Int64(incidents)), "atLeast": .bool(isCut), "times": .list(times),
            "byMode": .array(byMode.map { $0.json("mode") }),
            "bySeverity": .array(bySeverity.map { $0.json("severity") }),
            "weeks": .array(weeks.map { ["start": .string($0.start), "incidents": .int(Int64($0.count))] }),
            "rules": .list(noise),
        ]
    }
}

extension IncidentService {
    /// Incidents that were detected in the last days.
    func report(days: Int64, in transaction: Transaction) throws -> IncidentReport {
        let since = world.now - .hours(24 * days)
        // Drills say how the playbook does, not how the fleet does.
        let own = try store.detected(since: since, limit: IncidentReport.incidentsMax, in: transaction).filter {
            $0.drill == nil
        }
        let alerts = try links.noise(since: since, limit: IncidentReport.rulesMax * 4, in: transaction)
        let begins = try links.begins(since: since, in: transaction)
        return IncidentReport(
            own, begins: begins, days: days, alerts: alerts.filter { !Drill.alerts.contains($0.rule) })
    }
}
