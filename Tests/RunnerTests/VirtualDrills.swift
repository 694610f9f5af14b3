import Foundation
import Kernel
import TestSupport
import Testing

@testable import Runner

/// A clock that is moved on by whoever waits on it: everything else that runs on the same time has its turn, once, and
/// sleeps again before the wait is over.
struct SteppedTime: TimeSource {
    let time: ManualTime
    /// How many sleep where nothing is under way.
    let sleepers: Int

    var now: Timestamp { time.now }

    /// Seconds of each beat that pass one by one: what one loop finds, the next one acts upon a second later, whoever
    /// of those that a beat wakes comes first.
    private static let settling: Int64 = 4

    func sleep(for span: Span) async throws {
        let singly = span > .seconds(2 * Self.settling) ? Self.settling : 0
        for step in [span + .seconds(-singly)] + (0..<singly).map({ _ in Span.seconds(1) }) {
            await time.sleepers(atLeast: sleepers)
            time.advance(by: step)
        }
        await time.sleepers(atLeast: sleepers)
        try Task.checkCancellation()
    }
}

/// A drill under the rules as they are shipped, in a fleet of ordinary agents.
struct VirtualDrill: Sendable, CustomTestStringConvertible {
    let name: String
    let alert: String
    let fault: any DrillFault
    /// Seconds.
    let bounds: (detect: Int64, contain: Int64, recover: Int64)
    let beat: Span
    let calmBeat: Span
    /// Why it takes as long as it does, for the page.
    let waits: String

    var testDescription: String { "\(name), by \(alert)" }

    private init(
        _ name: String, by alert: String, _ fault: any DrillFault, _ bounds: (Int64, Int64, Int64), beat: Span,
        calmBeat: Span? = nil, waits: String
    ) {
        (self.name, self.alert, self.fault, self.bounds) = (name, alert, fault, bounds)
        (self.beat, self.calmBeat, self.waits) = (beat, calmBeat ?? beat, waits)
    }

    private static let minute: Int64 = 60
    private static let hour: Int64 = 3_600

    static let all = [
        VirtualDrill(
            "model-outage", by: "ProviderOutage", ModelOutageFault(), (4 * minute, 5 * minute, 20 * minute),
            beat: .seconds(15), waits: "all breakers open for two minutes"),
        VirtualDrill(
            "hung-agent", by: "AgentDown", HungAgentFault(), (33 * minute, 35 * minute, 40 * minute),
            beat: .minutes(1), waits: "silent for half an hour"),
        VirtualDrill(
            "hung-agent", by: "TaskStuck", StuckTaskFault(), (4 * hour + 11 * minute, 4 * hour + 21 * minute, 5 * hour),
            beat: .minutes(5), waits: "a task in progress for four hours"),
        VirtualDrill(
            "looping-agent", by: "ToolStorm", LoopingAgentFault(), (7 * minute, 8 * minute, 20 * minute),
            beat: .seconds(10), calmBeat: .minutes(1), waits: "more than 30 repeated calls in five minutes"),
        VirtualDrill(
            "bad-deliverable", by: "DeliverablesRejected", BadDeliverableFault(count: 9),
            (20 * minute, 22 * minute, 2 * hour), beat: .minutes(1), calmBeat: .minutes(5),
            waits: "more than five verdicts against it in an hour"),
        VirtualDrill(
            "cost-spike", by: "CostSpike", RememberedCosts(), (30 * minute, 35 * minute, 26 * hour),
            beat: .minutes(1), calmBeat: .minutes(25), waits: "more than $5, and twice the average of the days before"),
        VirtualDrill(
            "queue-backup", by: "QueueBackup", QueueBackupFault(), (65 * minute, 69 * minute, 80 * minute),
            beat: .minutes(2), waits: "more than ten tasks for an hour"),
        VirtualDrill(
            "tool-timeout", by: "ToolTimeouts", ToolTimeoutFault(), (6 * minute, 7 * minute, 25 * minute),
            beat: .seconds(15), calmBeat: .minutes(1), waits: "a fifth of the calls, for two minutes"),
    ]

    /// What its fleet is called; the words are those of ``script``.
    private static let names: JSONValue = [
        "id": "", "prefix": "fleet-", "project": "fleet", "agentType": "worker", "model": "small",
        "provider": "main", "tool": "search",
        "words": ["fails": "let it fail", "burns": "let it burn"],
    ]

    private static let script = """
        rules:
          - {contains: let it fail, fault: {status: 503}}
          - {contains: let it burn, say: a lot, usage: {input: 100000, output: 10000}}
        """

    private static func configure(_ settings: inout Settings, _ folder: ScratchFolder) throws {
        try folder.write("script.yaml", script)
        settings.catalogue.file = "\(folder.path)/reeve.yaml"
        settings.catalogue.document = [
            "providers": ["main": ["kind": "scripted", "script": "script.yaml"]],
            "models": [
                "small": [
                    "targets": [["provider": "main", "model": "scripted-2026-01-01"]],
                    "price": ["input": 3, "output": 15], "retries": 0,
                ]
            ],
        ]
    }

    /// Runs it against a whole server whose clock is moved on; returns what came of it, and of its incident.
    func run() async throws -> (report: DrillReport, incident: JSONValue, others: [String]) {
        let folder = try ScratchFolder()
        var fault: (any Error)?
        return try await withApp(
            configure: { settings in
                do { try Self.configure(&settings, folder) } catch { fault = error }
            },
            { app in
                guard let time = app.time else { throw Problem(.internalError, "The clock stands not still.") }
                let stepped = SteppedTime(time: time, sleepers: app.app.features.loops.count)
                let client = ReeveClient(
                    url: app.url, key: try await app.key(.operator_),
                    world: World(time: stepped, entropy: SystemEntropy()))
                // Everything has its first turn.
                try await stepped.sleep(for: .seconds(15))
                let course = DrillCourse(
                    name, self.fault, of: Self.names,
                    on: DrillTerms(alert: alert, bounds: bounds, beat: beat, calmBeat: calmBeat), by: client)
                try await course.run()
                let report = course.report
                guard !report.incident.isEmpty else { return (report, .null, []) }
                let incident = try await client.get(ReeveClient.path("api", "v1", "incidents", report.incident))
                let agents = try await client.list(["api", "v1", "agents"], limit: 100).items
                let stopped = agents.filter { $0["pausedReason"]?.string != nil }.compactMap { $0["name"]?.string }
                return (report, incident, stopped)
            })
    }
}

/// An agent that says that it works on its task, and never comes to an end with it.
struct StuckTaskFault: DrillFault {
    let faulty = ["mill"]
    private var hold: DrillFleet.Hold?

    mutating func prepare(_ fleet: DrillFleet) async throws {
        // Its lease outlasts the beats of a clock that is moved on, and its work may take a day.
        try await fleet.create(
            queue: "mills", title: "goes round", more: [("leaseSeconds", 900), ("timeoutSeconds", 86_400)])
        hold = try await fleet.claim("mill", from: "mills")
    }

    func provoke(_ fleet: DrillFleet) async throws {
        try await fleet.beat("mill")
        if let hold { try await fleet.write("mill", "heartbeat", hold) }
    }

    func order(_ fleet: DrillFleet) -> JSONValue? { Self.pause(faulty, fleet) }

    mutating func mend(_ fleet: DrillFleet) async throws {
        try await fleet.beat("mill")
        // Somebody held it, or it is finished now.
        if let hold { _ = try? await fleet.write("mill", "complete", hold) }
    }
}

/// An agent that spent a little each day, and then much.
struct RememberedCosts: DrillFault {
    /// The rule asks for what it was three days ago.
    private static let hours: Int64 = 3 * 24 + 6
    private var spike = CostSpikeFault()

    var faulty: [String] { spike.faulty }

    mutating func prepare(_ fleet: DrillFleet) async throws {
        let time = fleet.operator_.world
        let end = time.now + .hours(Self.hours)
        while time.now < end {
            for agent in faulty + ["steady"] { try await fleet.beat(agent) }
            try await fleet.ask("spender", .question("what is new?"))
            try await time.time.sleep(for: .minutes(25))
        }
    }

    mutating func provoke(_ fleet: DrillFleet) async throws { try await spike.provoke(fleet) }

    func order(_ fleet: DrillFleet) -> JSONValue? {
        ["action": "cutBudget", "parameters": ["scopes": .list(faulty.map { "agent:\(fleet.name($0))" })]]
    }
}
