import Kernel
import Synchronization

/// By which rules a drill is found, and how soon.
struct DrillTerms: Sendable {
    /// The alert that finds it.
    let alert: String
    /// The label by which its alert is known among others.
    let label: (name: String, value: String)
    /// Seconds from the fault on within which each step is to be reached.
    let bounds: (detect: Int64, contain: Int64, recover: Int64)
    /// Between two beats of the fault, and of what goes on once it is mended.
    var beat = Span.milliseconds(300)
    var calmBeat = Span.milliseconds(300)
    /// Who says yes in the drill's name, as the server calls it.
    var policy = ""
    /// Whether its seconds are a clock's that is moved on where waiting is long. No policy of a drill's is at work
    /// then: who plays it is also the person who orders and approves what is done.
    var isVirtual = false

    /// Those of a rule as it is shipped, in the time of a clock that is moved on.
    init(
        alert: String, bounds: (detect: Int64, contain: Int64, recover: Int64), beat: Span, calmBeat: Span
    ) {
        (self.alert, self.bounds, self.beat, self.calmBeat) = (alert, bounds, beat, calmBeat)
        label = ("alertname", alert)
        isVirtual = true
    }

    /// Whether Reeve decided by itself: by its settings, or by what a drill lets it do with its own.
    func isPolicy(_ decider: String) -> Bool {
        decider == "reeve" || (!policy.isEmpty && decider == policy)
    }

    /// Those of a drill as its server describes it: rules tightened to seconds.
    init(drill: JSONValue) {
        let given = drill["bounds"]
        func seconds(_ name: String) -> Int64 { given?[name]?.int ?? 0 }
        alert = drill["alert"]?.string ?? ""
        label = (drill["label"]?.string ?? "", drill["id"]?.string ?? "")
        policy = drill["policy"]?.string ?? ""
        bounds = (seconds("detectSeconds"), seconds("containSeconds"), seconds("recoverSeconds"))
    }
}

/// The course of a drill: its fault is brought about, found, contained and mended.
struct DrillCourse: Sendable {
    /// The agent that goes on with its work meanwhile; nobody may touch it.
    private static let healthy = "steady"
    /// Beats within which the server is to have verified that all is well.
    private static let verifyBeats = 25

    private let client: ReeveClient
    private let drill: JSONValue
    private let fault: any DrillFault
    private let terms: DrillTerms
    private let board: DrillBoard
    private let tell: @Sendable (String) -> Void

    /// - Parameters:
    ///   - drill: What its things are called, as the server describes it.
    ///   - client: With a key of an operator or an administrator.
    init(
        _ name: String, _ fault: any DrillFault, of drill: JSONValue, on terms: DrillTerms, by client: ReeveClient,
        tell: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        (self.drill, self.fault, self.terms, self.client, self.tell) = (drill, fault, terms, client, tell)
        board = DrillBoard(
            DrillReport(
                drill: name, terms: terms, prefix: drill["prefix"]?.string ?? "", faulty: fault.faulty,
                healthy: [Self.healthy]))
    }

    /// How far it is.
    var report: DrillReport { board.report }

    func run() async throws {
        var fault = fault
        let witness = try await DrillWitness(of: drill, by: client)
        let fleet = try await DrillFleet.gather(fault.faulty + [Self.healthy], of: drill, by: client)
        try await fault.prepare(fleet)
        var failure: (any Error)?
        do { try await follow(&fault, fleet) } catch { failure = error }
        do {
            let touched = try await witness.touched(
                healthy: [fleet.name(Self.healthy)], faulty: fault.faulty.map(fleet.name),
                incident: board.report.incident)
            board.note { $0.touched = touched }
        } catch {
            failure = failure ?? error
        }
        if let failure { throw failure }
    }

    private func follow(_ fault: inout any DrillFault, _ fleet: DrillFleet) async throws {
        let start = client.world.now
        let bounds = terms.bounds
        tell("the fault is brought about")
        var found: JSONValue?
        while found == nil, since(start) < Double(bounds.detect) {
            try await round(&fault, fleet)
            found = try await alert()
        }
        guard let incident = found?["incident"]?.string else { return }
        board.note {
            $0.incident = incident
            $0.detectedAfter = since(start)
        }
        tell("found by \(board.report.alert) in \(incident)")
        var isOrdered = false
        while board.report.containedAfter == nil, since(start) < Double(bounds.contain) {
            try await round(&fault, fleet)
            if terms.isVirtual, !isOrdered, let order = fault.order(fleet) {
                try await propose(order, incident)
                isOrdered = true
            }
            if try await isContained(incident, fleet) { board.note { $0.containedAfter = since(start) } }
        }
        guard board.report.containedAfter != nil else { return }
        tell("contained")
        try? await reach("contained", incident)
        try await mend(&fault, fleet, incident)
        while board.report.recoveredAfter == nil, since(start) < Double(bounds.recover) {
            try await work(fleet)
            try await fault.resume(fleet)
            if try await alert() == nil { board.note { $0.recoveredAfter = since(start) } }
            try await client.world.time.sleep(for: terms.calmBeat)
        }
        guard board.report.recoveredAfter != nil else { return }
        tell("recovered")
        try? await reach("mitigated", incident)
        try? await verify(incident, &fault, fleet)
        try? await reach("resolved", incident)
        let isDrafted = try await hasPostmortem(incident)
        board.note { $0.hasPostmortem = isDrafted }
        _ = try? await client.post(
            ReeveClient.path("api", "v1", "incidents", incident, "postmortem", "waive"), ["reason": "It was a drill."])
    }

    private func since(_ start: Timestamp) -> Double { (client.world.now - start).seconds }

    private func round(_ fault: inout any DrillFault, _ fleet: DrillFleet) async throws {
        try await work(fleet)
        // What a contained agent is refused is the containment at work.
        try? await fault.provoke(fleet)
        try await client.world.time.sleep(for: terms.beat)
    }

    /// The healthy agent's day.
    private func work(_ fleet: DrillFleet) async throws {
        try await fleet.beat(Self.healthy)
        try await fleet.create(queue: Self.healthy, title: "goes on")
        guard let hold = try await fleet.claim(Self.healthy, from: Self.healthy) else { return }
        try await fleet.write(Self.healthy, "complete", hold)
    }

    /// The drill's alert, while it fires.
    private func alert() async throws -> JSONValue? {
        let items = try await client.list(
            ["api", "v1", "alerts"], query: [("state", "firing,suppressed")], limit: 5_000)
        return items.items.first { $0["labels"]?[terms.label.name]?.string == terms.label.value }
    }

    private func propose(_ order: JSONValue, _ incident: String) async throws {
        var body = order.object ?? JSONObject()
        body["approve"] = true
        _ = try await client.post(
            ReeveClient.path("api", "v1", "incidents", incident, "containments"), .object(body))
    }

    /// Says whether something has acted and nothing waits. What the server asks a person about is answered in that
    /// person's stead, where it reaches nobody but the drill's own.
    private func isContained(_ incident: String, _ fleet: DrillFleet) async throws -> Bool {
        let path = ["api", "v1", "incidents", incident, "containments"]
        let all = try await client.list(path, limit: 100).items
        let asked = terms.isVirtual ? ["proposed", "asked"] : ["asked"]
        for one in all.reversed() where asked.contains(one["state"]?.string ?? "") {
            let id = one["id"]?.string ?? ""
            let radius = try await client.get(ReeveClient.path("api", "v1", "containments", id, "preview"))
            let others = try await fleet.others(in: radius["blastRadius"] ?? .null)
            guard others.isEmpty else {
                tell("\(id) would reach \(others.joined(separator: ", ")): somebody else has to say yes to that")
                continue
            }
            _ = try await client.post(ReeveClient.path("api", "v1", "containments", id, "approve"))
        }
        let acted = all.filter { $0["state"]?.string == "acted" }
        guard !acted.isEmpty, !all.contains(where: { ["proposed", "asked", "acting"].contains($0["state"]?.string) })
        else { return false }
        let isAlone = acted.allSatisfy { terms.isPolicy($0["decidedBy"]?.string ?? "") }
        board.note { $0.containedBy = isAlone ? .policy : .person }
        return true
    }

    /// Ends the fault, and then takes back what was done against it: the other way round, a worker that was resumed
    /// would be paused again before it has worked off what waited for it.
    private func mend(
        _ fault: inout any DrillFault, _ fleet: DrillFleet, _ incident: String
    ) async throws {
        try await fault.mend(fleet)
        let path = ["api", "v1", "incidents", incident, "containments"]
        for one in try await client.list(path, limit: 100).items where one["state"]?.string == "acted" {
            _ = try? await client.post(
                ReeveClient.path("api", "v1", "containments", one["id"]?.string ?? "", "reverse"))
        }
    }

    /// It is verified once the server has seen its rule clear for a while, with the healthy agent at work.
    private func verify(
        _ incident: String, _ fault: inout any DrillFault, _ fleet: DrillFleet
    ) async throws {
        for _ in 0..<Self.verifyBeats {
            if (try? await reach("verified", incident)) != nil { return }
            try await work(fleet)
            try await fault.resume(fleet)
            try await client.world.time.sleep(for: terms.calmBeat)
        }
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
}

/// What is known of a drill so far.
private final class DrillBoard: Sendable {
    private let state: Mutex<DrillReport>

    init(_ report: DrillReport) { state = Mutex(report) }

    var report: DrillReport { state.withLock { $0 } }

    func note(_ change: (inout DrillReport) -> Void) { state.withLock { change(&$0) } }
}
