import Kernel

/// Looks whom a drill touched, of all agents that there are: what befell each of them since its beginning, and how
/// each stood before and stands behind it.
///
/// What people do meanwhile, and what Reeve does against other incidents, is not the drill's.
struct DrillWitness: Sendable {
    /// What is looked at: more of either is more than a drill of 40 seconds leaves.
    private static let agentsMax = 10_000
    private static let eventsMax = 10_000
    private static let incidentsMax = 200
    private static let containmentsMax = 200
    /// What containments leave in the log, and people who do the same by hand.
    private static let acts = [
        "agent.paused", "agent.quarantined", "agent.draining", "task.hold_set", "task.reassigned", "queue.paused",
        "budget.updated", "budget.created",
    ]
    /// What befalls a fleet by itself too, and never an agent of a drill that only does its work.
    private static let losses = ["task.held", "task.canceled", "task.lease_lost"]
    /// What a containment's reason begins with; the incident follows.
    private static let mark = "contained in "

    /// What was done against a drill's fault.
    private struct Deeds {
        var incidents: Set<String> = []
        /// `agent:NAME`, `task:ID`, `queue:NAME`, `budget:SCOPE`…
        var targets: Set<String> = []
    }

    private let client: ReeveClient
    private let drill: JSONValue
    /// The number of the event that it began with.
    private let begin: Int64
    private let before: [String: String]

    /// - Parameter drill: As the server describes it, before anything has gone wrong.
    init(of drill: JSONValue, by client: ReeveClient) async throws {
        (self.client, self.drill) = (client, drill)
        let id = drill["id"]?.string ?? ""
        let begun = try await Self.events("drill.started", after: 0, client)
        begin = begun.last { $0["data"]?["drillId"]?.string == id }?["seq"]?.int ?? 0
        before = try await Self.standing(client)
    }

    /// Agents that the drill held, paused, cut or took a task from, and what else it did so with: `queue:NAME`,
    /// `budget:SCOPE`.
    ///
    /// - Parameters:
    ///   - healthy: The drill's own agents that nothing is wrong with.
    ///   - faulty: Those that it is about.
    ///   - incident: The one that it is known to have; empty where there is none.
    func touched(healthy: [String], faulty: [String], incident: String) async throws -> [String] {
        let deeds = try await deeds(incident)
        var touched = Set(
            deeds.targets.filter { !DrillFleet.isOwn($0, drill) && !$0.hasPrefix("task:") }.map(Self.short))
        // Whom somebody else did the same to: how they stand now is nothing of the drill's.
        var explained: Set<String> = []
        for type in Self.acts {
            for event in try await Self.events(type, after: begin, client) {
                guard let name = name(of: event) else { continue }
                if healthy.contains(name) {
                    touched.insert(name)
                } else if !isOwn(event, name) {
                    if isDrills(event, deeds) { touched.insert(name) } else { explained.insert(name) }
                }
            }
        }
        for type in Self.losses {
            for event in try await Self.events(type, after: begin, client) {
                if let name = event["agent"]?.string, healthy.contains(name) { touched.insert(name) }
            }
        }
        for (name, standing) in try await Self.standing(client) where !standing.isEmpty && !faulty.contains(name) {
            guard before[name] ?? "" != standing, !explained.contains(name) else { continue }
            if isDrills(standing, deeds) ?? true { touched.insert(name) }
        }
        return touched.sorted()
    }

    /// The drill's incidents, and what was acted on in them.
    private func deeds(_ known: String) async throws -> Deeds {
        var deeds = Deeds()
        if !known.isEmpty { deeds.incidents.insert(known) }
        if let id = drill["id"]?.string, let label = drill["label"]?.string, !id.isEmpty {
            let found = try await client.list(["api", "v1", "incidents"], limit: Self.incidentsMax).items
            for one in found where one["subjects"]?.array?.contains(.string("\(label):\(id)")) == true {
                if let incident = one["id"]?.string { deeds.incidents.insert(incident) }
            }
        }
        for incident in deeds.incidents {
            let path = ["api", "v1", "incidents", incident, "containments"]
            let found = try await client.list(path, limit: Self.containmentsMax).items
            for outcome in found.flatMap({ $0["steps"]?.array ?? [] }).flatMap({ $0["outcomes"]?.array ?? [] }) {
                // What was taken back was done before.
                guard ["acted", "restored"].contains(outcome["outcome"]?.string ?? "") else { continue }
                if let target = outcome["target"]?.string { deeds.targets.insert(target) }
            }
        }
        return deeds
    }

    /// Whether an act upon somebody else is the drill's.
    private func isDrills(_ event: JSONValue, _ deeds: Deeds) -> Bool {
        let actor = event["actor"]?.string ?? ""
        guard ["reeve", drill["policy"]?.string].contains(actor) else { return false }
        let data = event["data"]
        if let reason = data?["reason"]?.string, let isDrills = isDrills(reason, deeds) { return isDrills }
        // What has no reason stands among the targets of whatever acted.
        let targets = [
            event["taskId"]?.string.map { "task:\($0)" }, data?["queue"]?.string.map { "queue:\($0)" },
            data?["scope"]?.string.map { "budget:\($0)" },
        ].compactMap(\.self)
        return targets.contains(where: deeds.targets.contains)
    }

    /// Whether a reason is that of the drill's containments; `nil` where it is that of none at all.
    private func isDrills(_ reason: String, _ deeds: Deeds) -> Bool? {
        guard reason.contains(Self.mark) else { return nil }
        return deeds.incidents.contains { reason.contains(Self.mark + $0) }
    }

    private func isOwn(_ event: JSONValue, _ name: String) -> Bool {
        event["project"]?.string == drill["project"]?.string || DrillFleet.isOwn(name, drill)
    }

    /// An agent by its name alone.
    private static func short(_ target: String) -> String {
        for head in ["agent:", "budget:agent:"] where target.hasPrefix(head) {
            return String(target.dropFirst(head.count))
        }
        return target
    }

    /// Whom an event is about.
    private func name(of event: JSONValue) -> String? {
        if let agent = event["agent"]?.string { return agent }
        if let task = event["taskId"]?.string { return "task:\(task)" }
        if let queue = event["data"]?["queue"]?.string { return "queue:\(queue)" }
        return event["data"]?["scope"]?.string.map { Self.short("budget:\($0)") }
    }

    private static func events(_ type: String, after: Int64, _ client: ReeveClient) async throws -> [JSONValue] {
        let query: [(String, String?)] = [("type", type), ("after", after > 0 ? String(after) : nil)]
        return try await client.list(["api", "v1", "events"], query: query, limit: eventsMax).items
    }

    /// Why each agent is kept from its work; nothing where it is not.
    private static func standing(_ client: ReeveClient) async throws -> [String: String] {
        let agents = try await client.list(["api", "v1", "agents"], limit: agentsMax).items
        let named = agents.compactMap { agent -> (String, String)? in
            guard let name = agent["name"]?.string else { return nil }
            let reasons = ["pausedReason", "drainingReason", "quarantineReason"].compactMap { agent[$0]?.string }
            return (name, reasons.joined(separator: "; "))
        }
        return Dictionary(named, uniquingKeysWith: { first, _ in first })
    }
}
