import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control
@testable import Telemetry

/// Each shipped runbook on an incident of the very labels that its rule gives its alert, in a fleet that has the fault.
@Suite("Shipped runbooks")
struct ShippedRunbookTests {
    /// Runbooks without an action, and why that is so.
    static let manual = [
        "AlertEvaluationStalled": "what stands still is Reeve itself",
        "MemoryStoreSlow": "the store is somebody else's, and who may ask less of it only people know",
        "TelemetryLoss": "records are the senders' to mend",
        "TracesNotKept": "room is a setting",
        "FleetPaused": "somebody meant it; the alert opens no incident",
        "Watchdog": "it always fires, and opens no incident",
        "AnswerQualityDrop": "golden sets and what they pin back are not there yet",
        "silent-drift": "golden sets and what they pin back are not there yet",
        "PostmortemOverdue": "somebody has to write; the alert opens no incident",
        "SecretRotationDue": "values are made and revoked elsewhere",
        "SecretLeaked": "who wrote it is not known, and whether others saw it only people can say",
    ]
    /// What has nothing by which it could be verified.
    static let unverified: Set<String> = ["Watchdog", "silent-drift"]

    /// An alert and what a runbook without approval for each step does about it. `stuck` and `other` stand for what ann
    /// has in hand, `next` for what builds on both. Of two that are ended and given to others, one was ann's alone.
    struct Row: CustomTestStringConvertible, Sendable {
        let alert: String
        let acted: [Set<String>]
        var testDescription: String { alert }

        init(_ alert: String, _ acted: Set<String>...) { (self.alert, self.acted) = (alert, acted) }
    }

    static let rows: [Row] = [
        Row("AgentDown", ["agent:ann"], ["task:stuck", "task:other"]),
        Row("TaskStuck", ["task:stuck"], ["task:stuck"], ["task:stuck"]),
        Row("HighErrorRate", [], ["agent:ann"]),
        Row("ErrorRateSpike", ["model:m"], ["target:main/large"]),
        Row("ProviderOutage", ["model:m"], ["target:main/large"], []),
        Row("ModelTimeouts", ["model:m"], ["target:main/large"]),
        Row("CostSpike", ["budget:agent:ann"]),
        Row("ContextExhaustion", ["agent:ann"]),
        Row("SessionAbnormal", ["task:stuck", "task:other"], ["agent:ann"]),
        Row(
            "ToolStorm", ["task:stuck", "task:other"], ["agent:ann"], ["task:stuck", "task:other"],
            ["task:stuck"]),
        Row("ContextPoisoning", ["agent:ann"]),
        Row("CascadingFailure", ["task:next"], ["agent:ann"]),
        Row("DeliverablesRejected", ["task:next"], ["agent:ann"]),
        Row("ModelSlow", ["model:m"], ["target:main/large"]),
        Row("BreakerFlapping", ["model:m"]),
        Row("BudgetRunaway", ["budget:agent:ann"]),
        Row("MemoryErrors", ["agent:ann"]),
        // Nobody is paused there, and the alert names no agent.
        Row("QueueBackup", []), Row("ToolTimeouts", []),
        Row("MemoryStoreSlow"), Row("TelemetryLoss"), Row("TracesNotKept"),
        Row("AnswerQualityDrop"), Row("FleetPaused"), Row("Watchdog"), Row("PostmortemOverdue"),
    ]

    /// What others' alerts say of a mode of failure, for the runbooks that no shipped alert has.
    static let modes: [(FailureMode, [(String, String)], [Set<String>])] = [
        (.llmOutage, [("provider", "main")], [["model:m"], ["target:main/large"], [], []]),
        (.llmOutage, [("agent", "ann")], [[], [], [], ["agent:ann"]]),
        (.modelDegradation, [("model", "m")], [["model:m"], ["target:main/large"], []]),
        (.memoryCorruption, [("agent", "ann")], [["agent:ann"]]),
        (
            .infiniteLoop, [("agent", "ann")],
            [["task:stuck", "task:other"], ["agent:ann"], ["task:stuck", "task:other"], ["task:stuck"]]
        ),
        (.cascadingFailure, [("agent", "ann")], [["task:next"], ["agent:ann"]]),
        (.staleContext, [("agent", "ann")], [["agent:ann"]]),
        (.contextPoisoning, [("agent", "ann")], [["agent:ann"]]),
        (.silentDrift, [("agent", "ann"), ("model", "m")], []),
        (.budgetRunaway, [("agent_type", "writer")], [["budget:agent:ann"]]),
    ]

    /// What Reeve tells of secrets without a rule: the labels of an incident, and whom its runbook acts on once a
    /// person has named them.
    static let secretRows: [(alert: String, labels: [(String, String)], acted: [Set<String>])] = [
        ("SecretRotationDue", [("secret", "org/github")], []), ("SecretLeaked", [("secret", "org/github")], []),
        ("SecretCompromised", [("secret", "org/github"), ("version", "1")], [[]]),
        ("SecretCompromised", [("secret", "org/github"), ("agent", "ann")], [["agent:ann"]]),
    ]

    private struct Fleet {
        let fixture: ContainmentFixture
        let names: [String: String]

        init(_ fixture: ContainmentFixture) async throws {
            self.fixture = fixture
            try await fixture.register("ann", "bob", labels: ["type": "writer"])
            try await fixture.register("cay")
            // ann's report is the oldest of all, and nobody else was to take it.
            let base = fixture.base
            var known: [String: AgentTask] = [:]
            known["stuck"] = try await base.create(["type": "report", "agent": "ann"])
            known["other"] = try await base.create(["type": "letter"])
            for (name, agent) in [("stuck", "ann"), ("other", "ann"), ("bobs", "bob")] {
                if known[name] == nil { known[name] = try await base.create(["type": "report"]) }
                let task = try await base.claimOne(agent)
                #expect(task.id == known[name]?.id)
                _ = try await base.beat(task, agent)
                fixture.time.advance(by: .seconds(10))
            }
            let roots = ["stuck", "other"].compactMap { known[$0].map { JSONValue.string($0.id.text) } }
            known["next"] = try await base.create(["type": "print", "dependsOn": .array(roots)])
            names = Dictionary(known.map { ($0.value.id.text, $0.key) }) { first, _ in first }
            let call = Call(
                id: Identifier(fixture.base.world), status: .done, startedAt: fixture.base.world.now, agent: "ann",
                project: "books", door: "openai.chat", model: "m", target: "main/large",
                usage: CallUsage(buckets: ["input": 10]), cost: CallCost(nanoUSD: 1_000_000_000), durationMs: 120)
            let calls = CallService(
                live: NoLiveCalls(), retentionDays: 90, events: fixture.base.events,
                audit: AuditService(world: fixture.base.world), world: fixture.base.world)
            try await fixture.storage.write { _ = try calls.record([call], in: $0) }
        }

        /// The targets that each action acted on.
        func acted(_ run: RunbookRun) -> [Set<String>] {
            run.steps.filter { $0.kind == .action }.map { step in
                Set(
                    (step.evidence["outcomes"]?.array ?? []).compactMap { outcome in
                        guard outcome["outcome"] == "acted", let target = outcome["target"]?.string else { return nil }
                        guard target.hasPrefix("task:") else { return target }
                        return "task:\(names[String(target.dropFirst(5))] ?? target)"
                    })
            }
        }

        /// Runs the runbook of an incident until it waits for its verification.
        func run(on incident: String, _ reader: some RunbookReading) async throws -> RunbookRun {
            let service = RunbookService(
                containments: fixture.service, events: fixture.base.events,
                audit: AuditService(world: fixture.base.world), world: fixture.base.world)
            let loop = RunbookLoop(service: service, reader: reader, storage: fixture.storage)
            let run = try await fixture.storage.write {
                try service.start(nil, on: incident, approves: true, by: TaskFixture.operatorKey, in: $0).run
            }
            while true {
                try await loop.act()
                let now = try await fixture.storage.read { try service.run(run.id.text, in: $0) }
                guard now.steps.contains(where: { $0.kind == .action && !$0.state.isOver }) else { return now }
                try await fixture.act()
            }
        }
    }

    private func on(_ body: (Fleet) async throws -> Void) async throws {
        try await ContainmentFixture.on(
            .sqlite, models: StillModels(["m": ["main/large"], "n": ["backup/large"]])
        ) { try await body(Fleet($0)) }
    }

    private func check(_ run: RunbookRun, _ fleet: Fleet, _ acted: [Set<String>]) throws {
        for step in run.steps where step.kind == .diagnosis {
            let answer = step.evidence["answer"] ?? .null
            #expect(step.state == .done, "\(run.runbook): \(step.title): \(step.evidence.text)")
            #expect((answer["items"]?.array ?? answer.array)?.isEmpty != true, "\(run.runbook): \(step.title)")
        }
        #expect(fleet.acted(run) == acted, "\(run.runbook)")
        let mayFindNobody: Set<String> = ["QueueBackup", "ToolTimeouts"]
        #expect(
            Self.manual[run.runbook] != nil || mayFindNobody.contains(run.runbook) || acted.contains { !$0.isEmpty })
        let first = run.steps.first { $0.kind == .verify }
        #expect(first?.state == .started || Self.unverified.contains(run.runbook), "\(run.runbook)")
    }

    @Test("each answers its alert: it finds out, and acts on what has the fault and on nothing else", arguments: rows)
    func alerts(_ row: Row) async throws {
        let rule = try #require(ShippedRules.alerts[row.alert])
        let opens = rule.severity != .none && !rule.labels.contains { $0.name == "incident" }
        for example in ShippedRules.entries.flatMap(\.cases) where example.alert == row.alert && !example.firing.isEmpty
        {
            try await on { fleet in
                let (reader, firing) = try FaultyFleet.firing(example) { ["id": .string($0)] }
                let alert = try #require(firing.first { row.alert != "BudgetRunaway" || $0.labels["agent"] == "ann" })
                guard opens else { return try await silent(row.alert, reader) }
                let incident = try await fleet.fixture.storage.write { [alerts = fleet.fixture.alerts] in
                    try alerts.take(
                        [AlertPost(labels: alert.labels, annotations: alert.annotations)], origin: .rule,
                        from: "rules", in: $0
                    ).first?.alert.incidentID
                }
                let run = try await fleet.run(on: try #require(incident), reader)
                #expect(run.runbook == row.alert || run.runbook == rule.mode?.rawValue)
                #expect(RunbookLibrary.shipped.runbook(run.runbook)?.alerts.contains(row.alert) == true)
                // Where nobody is named, what failed leads to who began it, and nothing has failed here.
                guard row.alert != "CascadingFailure" || !alert.labels["agent"].isEmpty else { return }
                try check(run, fleet, row.acted)
            }
        }
    }

    /// What opens no incident is looked up by hand.
    private func silent(_ name: String, _ reader: FaultyFleet) async throws {
        let runbook = try #require(RunbookLibrary.shipped.runbook(name))
        #expect(Self.manual[name] != nil && runbook.actions.isEmpty)
        for question in runbook.diagnosis {
            #expect(RunbookSubjects.places(in: question.text).isEmpty)
            guard question.kind == .query else { continue }
            let path = PagePath.query("/prometheus/api/v1/query", [("query", question.text)])
            #expect(try await reader.get(path)["data"]?["result"]?.array?.isEmpty == false, "\(question.title)")
        }
    }

    @Test("each mode's own runbook answers what others tell of it", arguments: Array(0..<10))
    func answersMode(_ index: Int) async throws {
        let (mode, labels, acted) = Self.modes[index]
        let example = try #require(ShippedRules.entries.flatMap(\.cases).first { $0.alert == "AgentDown" })
        try await on { fleet in
            let reader = try FaultyFleet.firing(example) { ["id": .string($0)] }.fleet
            let incident = try await fleet.fixture.fire("Theirs", labels, mode: mode, origin: .external)
            let run = try await fleet.run(on: incident, reader)
            #expect(run.runbook == mode.rawValue)
            try check(run, fleet, acted)
        }
    }

    @Test("what Reeve tells of secrets has runbooks too", arguments: Array(0..<4))
    func secrets(_ index: Int) async throws {
        let (name, labels, acted) = Self.secretRows[index]
        try await on { fleet in
            let reader = try FaultyFleet([
                (#"reeve_secrets_due{scope="org"}"#, "1x200"),
                (#"reeve_secrets_redacted_total{kind="known",door="logs"}"#, "0+1x200"),
            ])
            let incident = try await fleet.fixture.fire(name, labels)
            let run = try await fleet.run(on: incident, reader)
            #expect(run.runbook == name)
            for step in run.steps where step.kind == .diagnosis {
                let answer = step.evidence["answer"] ?? .null
                #expect(step.state == .done, "\(name): \(step.title): \(step.evidence.text)")
                #expect((answer["items"]?.array ?? answer.array)?.isEmpty != true, "\(name): \(step.title)")
            }
            #expect(fleet.acted(run) == acted)
        }
    }

    @Test("all shipped runbooks are looked at, and those without actions say why")
    func complete() {
        let library = RunbookLibrary.shipped
        // Its alert is none of a rule.
        let seen = Set(Self.rows.map(\.alert)).union(Self.modes.map { $0.0.rawValue })
            .subtracting(["ContextPoisoning"]).union([AlertHeart.alertName]).union(Self.secretRows.map(\.alert))
        #expect(seen == Set(library.runbooks.map(\.name)))
        #expect(Set(library.runbooks.filter(\.actions.isEmpty).map(\.name)) == Set(Self.manual.keys))
        #expect(Set(library.runbooks.filter(\.verify.isEmpty).map(\.name)) == Self.unverified)
    }
}
