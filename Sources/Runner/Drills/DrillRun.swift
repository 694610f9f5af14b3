import Kernel

/// Runs a drill from end to end: a fault is brought about, found, contained and mended, and all is cleared away.
public struct DrillRun: Sendable {
    /// The names of all drills.
    public static let names = DrillFaults.names
    /// Between two beats.
    private static let beat = Span.milliseconds(300)
    /// The agent that goes on with its work meanwhile; nobody may touch it.
    private static let healthy = "steady"
    /// Tries to clear away what a drill leaves.
    private static let endTries = 3

    private let client: ReeveClient
    private let name: String
    private let tell: @Sendable (String) -> Void

    /// - Parameters:
    ///   - client: With a key of an operator or an administrator.
    ///   - tell: Hears of each step.
    public init(_ name: String, client: ReeveClient, tell: @escaping @Sendable (String) -> Void = { _ in }) {
        self.name = name
        self.client = client
        self.tell = tell
    }

    /// - Throws: ``ClientFailure``.
    public func run() async throws -> DrillReport {
        guard var fault = DrillFaults.named(name) else { return DrillReport(drill: name) }
        let drill = try await client.post("/api/v1/drills", ["name": .string(name)])
        var report = DrillReport(drill: name, started: drill, faulty: fault.faulty, healthy: [Self.healthy])
        do {
            let fleet = try await DrillFleet.gather(fault.faulty + [Self.healthy], of: drill, by: client)
            try await fault.prepare(fleet)
            try await course(&fault, fleet, &report)
            report.touched = try await touched(fleet)
        } catch {
            try? await end(drill)
            throw error
        }
        try await end(drill)
        return report
    }

    // MARK: The course

    private func course(
        _ fault: inout any DrillFault, _ fleet: DrillFleet, _ report: inout DrillReport
    ) async throws {
        let start = client.world.now
        let bounds = report.bounds
        tell("the fault is brought about")
        var found: JSONValue?
        while found == nil, since(start) < Double(bounds.detect) {
            try await round(&fault, fleet)
            found = try await alert(fleet)
        }
        guard let incident = found?["incident"]?.string else { return }
        report.incident = incident
        report.detectedAfter = since(start)
        tell("found by \(report.alert) in \(incident)")
        var isOrdered = false
        while report.containedAfter == nil, since(start) < Double(bounds.contain) {
            try await round(&fault, fleet)
            if !isOrdered, let order = fault.order(fleet) {
                try await propose(order, incident)
                isOrdered = true
            }
            if try await isContained(incident) { report.containedAfter = since(start) }
        }
        guard report.containedAfter != nil else { return }
        tell("contained")
        try? await reach("contained", incident)
        try await mend(&fault, fleet, incident)
        while report.recoveredAfter == nil, since(start) < Double(bounds.recover) {
            try await work(fleet)
            if try await alert(fleet) == nil { report.recoveredAfter = since(start) }
            try await client.world.time.sleep(for: Self.beat)
        }
        guard report.recoveredAfter != nil else { return }
        tell("recovered")
        for milestone in ["mitigated", "verified", "resolved"] { try? await reach(milestone, incident) }
        report.hasPostmortem = try await hasPostmortem(incident)
        _ = try? await client.post(
            ReeveClient.path("api", "v1", "incidents", incident, "postmortem", "waive"), ["reason": "It was a drill."])
    }

    private func since(_ start: Timestamp) -> Double { (client.world.now - start).seconds }

    private func round(_ fault: inout any DrillFault, _ fleet: DrillFleet) async throws {
        try await work(fleet)
        // What a contained agent is refused is the containment at work.
        try? await fault.provoke(fleet)
        try await client.world.time.sleep(for: Self.beat)
    }

    /// The healthy agent's day.
    private func work(_ fleet: DrillFleet) async throws {
        try await fleet.beat(Self.healthy)
        try await fleet.create(queue: Self.healthy, title: "goes on")
        guard let hold = try await fleet.claim(Self.healthy, from: Self.healthy) else { return }
        try await fleet.write(Self.healthy, "complete", hold)
    }

    /// The drill's alert, while it fires.
    private func alert(_ fleet: DrillFleet) async throws -> JSONValue? {
        let items = try await client.list(
            ["api", "v1", "alerts"], query: [("state", "firing,suppressed")], limit: 5_000)
        return items.items.first { $0["labels"]?["drill"]?.string == fleet.id }
    }

    private func propose(_ order: JSONValue, _ incident: String) async throws {
        var body = order.object ?? JSONObject()
        body["approve"] = true
        _ = try await client.post(
            ReeveClient.path("api", "v1", "incidents", incident, "containments"), .object(body))
    }

    /// Lets act what waits for somebody's yes, and says whether something has acted.
    private func isContained(_ incident: String) async throws -> Bool {
        let path = ["api", "v1", "incidents", incident, "containments"]
        let all = try await client.list(path, limit: 100).items
        for one in all where ["proposed", "asked"].contains(one["state"]?.string) {
            _ = try await client.post(
                ReeveClient.path("api", "v1", "containments", one["id"]?.string ?? "", "approve"))
        }
        return all.contains { $0["state"]?.string == "acted" }
            && !all.contains { ["proposed", "asked", "acting"].contains($0["state"]?.string) }
    }

    /// Ends the fault, and takes back what was done against it.
    private func mend(
        _ fault: inout any DrillFault, _ fleet: DrillFleet, _ incident: String
    ) async throws {
        let path = ["api", "v1", "incidents", incident, "containments"]
        for one in try await client.list(path, limit: 100).items where one["state"]?.string == "acted" {
            _ = try? await client.post(
                ReeveClient.path("api", "v1", "containments", one["id"]?.string ?? "", "reverse"))
        }
        try await fault.mend(fleet)
    }

    private func reach(_ milestone: String, _ incident: String) async throws {
        _ = try await client.post(
            ReeveClient.path("api", "v1", "incidents", incident, "milestones"), ["milestone": .string(milestone)])
    }

    private func hasPostmortem(_ incident: String) async throws -> Bool {
        let bytes = try await client.bytes(ReeveClient.path("api", "v1", "incidents", incident, "postmortem"))
        let text = String(decoding: bytes, as: UTF8.self)
        return ["## Impact", "## Timeline", "## Contributing factors", "## Action items"].allSatisfy(text.contains)
    }

    // MARK: The end

    /// Healthy agents that somebody paused, set apart or took a task from.
    private func touched(_ fleet: DrillFleet) async throws -> [String] {
        let name = fleet.name(Self.healthy)
        let events = try await client.list(["api", "v1", "events"], query: [("agent", name)], limit: 5_000).items
        let harm: Set<String> = [
            "agent.paused", "agent.quarantined", "agent.draining", "task.held", "task.canceled", "task.lease_lost",
        ]
        return events.contains { harm.contains($0["type"]?.string ?? "") } ? [name] : []
    }

    private func end(_ drill: JSONValue) async throws {
        _ = try await client.post(ReeveClient.path("api", "v1", "drills", drill["id"]?.string ?? "", "end"))
    }
}
