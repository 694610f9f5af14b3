import Kernel

/// Looks whom a drill touched, of all agents that there are: what befell each of them since its beginning, and how
/// each stood before and stands behind it.
struct DrillWitness: Sendable {
    /// What is looked at: more of either is more than a drill of 40 seconds leaves.
    private static let agentsMax = 10_000
    private static let eventsMax = 10_000
    /// What containments leave in the log, and people who do the same by hand.
    private static let acts = [
        "agent.paused", "agent.quarantined", "agent.draining", "task.hold_set", "task.reassigned", "queue.paused",
        "budget.updated", "budget.created",
    ]
    /// What befalls a fleet by itself too, and never an agent of a drill that only does its work.
    private static let losses = ["task.held", "task.canceled", "task.lease_lost"]

    private let client: ReeveClient
    private let project: String
    private let prefix: String
    /// The number of the event that it began with.
    private let begin: Int64
    private let before: [String: String]

    /// - Parameter drill: As the server describes it, before anything has gone wrong.
    init(of drill: JSONValue, by client: ReeveClient) async throws {
        self.client = client
        (project, prefix) = (drill["project"]?.string ?? "", drill["prefix"]?.string ?? "")
        let id = drill["id"]?.string ?? ""
        let begun = try await Self.events("drill.started", after: 0, client)
        begin = begun.last { $0["data"]?["drillId"]?.string == id }?["seq"]?.int ?? 0
        before = try await Self.standing(client)
    }

    /// Agents that somebody held, paused, cut or took a task from, and what else was: `queue:NAME`, `budget:SCOPE`.
    ///
    /// - Parameters:
    ///   - healthy: The drill's own agents that nothing is wrong with.
    ///   - faulty: Those that it is about.
    func touched(healthy: [String], faulty: [String]) async throws -> [String] {
        var touched: Set<String> = []
        for type in Self.acts {
            for event in try await Self.events(type, after: begin, client) {
                if let name = name(of: event), healthy.contains(name) || !isOwn(event, name) { touched.insert(name) }
            }
        }
        for type in Self.losses {
            for event in try await Self.events(type, after: begin, client) {
                if let name = event["agent"]?.string, healthy.contains(name) { touched.insert(name) }
            }
        }
        for (name, standing) in try await Self.standing(client) where !standing.isEmpty && !faulty.contains(name) {
            if before[name] ?? "" != standing { touched.insert(name) }
        }
        return touched.sorted()
    }

    private func isOwn(_ event: JSONValue, _ name: String) -> Bool {
        event["project"]?.string == project || name.hasPrefix(prefix) || name.contains(":\(prefix)")
            || name.hasSuffix(":\(project)")
    }

    /// Whom an event is about.
    private func name(of event: JSONValue) -> String? {
        if let agent = event["agent"]?.string { return agent }
        if let task = event["taskId"]?.string { return "task:\(task)" }
        if let queue = event["data"]?["queue"]?.string { return "queue:\(queue)" }
        guard let scope = event["data"]?["scope"]?.string else { return nil }
        return scope.hasPrefix("agent:") ? String(scope.dropFirst("agent:".count)) : "budget:\(scope)"
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
