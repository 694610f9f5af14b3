import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Incidents: what caused them, what they are, how long they took")
struct IncidentJudgementTests {
    private static let begin = Timestamp(microseconds: 1_790_000_000_000_000)

    private static func entry(
        _ kind: String, _ action: String, _ target: String, minutes: Double, actor: String = "reeve",
        _ detail: JSONValue = [:]
    ) -> IncidentEntry {
        IncidentEntry(
            kind: kind, action: action, target: target, actor: actor, at: begin + .seconds(minutes * 60), detail: detail
        )
    }

    private static func facts(_ change: (inout IncidentFacts) -> Void) -> IncidentFacts {
        var facts = IncidentFacts(detectedAt: begin, subjects: ["agent:writer"])
        change(&facts)
        return facts
    }

    private static let opened = entry(
        "breaker", "model.breaker_opened", "provider:main", minutes: -3, ["cause": "errors"])

    /// What is known, and who is suspected first of how many.
    static let causes: [(name: String, facts: IncidentFacts, first: String?, count: Int)] = [
        ("nothing is known", facts { _ in }, nil, 0),
        ("a breaker opened", facts { $0.entries = [opened] }, "provider:main", 1),
        (
            "the breaker that opened first, though another agent's",
            facts {
                $0.entries = [
                    opened, entry("breaker", "model.breaker_opened", "provider:backup", minutes: -1),
                ]
            }, "provider:main", 2
        ),
        (
            "the breaker of the provider that its agents call",
            facts {
                $0.entries = [
                    entry("breaker", "model.breaker_opened", "provider:other", minutes: -1),
                    entry("breaker", "model.breaker_opened", "provider:main", minutes: -1),
                ]
                $0.providers = ["main": ["writer"]]
            }, "provider:main", 2
        ),
        (
            "a breaker that opened long after is no cause",
            facts { $0.entries = [entry("breaker", "model.breaker_opened", "provider:main", minutes: 5)] }, nil, 0
        ),
        (
            "a change just before outranks an older one",
            facts {
                $0.entries = [
                    entry("change", "deploy.finished", "agent:ci", minutes: -25, actor: "ingest:ci"),
                    entry("change", "queue.changed", "queue:inbox", minutes: -1, actor: "operator:ada"),
                ]
            }, "queue.changed queue:inbox", 2
        ),
        (
            "an older change of the agent itself outranks a younger of somebody else's",
            facts {
                $0.entries = [
                    entry("change", "agent.updated", "agent:writer", minutes: -10, actor: "operator:ada"),
                    entry("change", "queue.changed", "queue:inbox", minutes: -8, actor: "operator:ada"),
                ]
            }, "agent.updated agent:writer", 2
        ),
        (
            "somebody's new key is hardly a cause",
            facts {
                $0.entries = [
                    entry("change", "key.created", "name:ci", minutes: -1, actor: "admin:ada"),
                    entry("change", "key.revoked", "name:old", minutes: -8, actor: "admin:ada"),
                ]
            }, "key.revoked name:old", 2
        ),
        (
            "a change afterwards is no cause",
            facts { $0.entries = [entry("change", "queue.changed", "queue:inbox", minutes: 3)] }, nil, 0
        ),
        (
            "the agent whose rejected result others build on",
            facts {
                $0.entries = [
                    entry(
                        "task", "task.reviewed", "task:1", minutes: -5, ["verdict": "reject", "agent": "researcher"]),
                    entry("task", "task.failed", "task:2", minutes: -1, ["agent": "writer"]),
                ]
                $0.edges = [
                    TaskEdge(upstream: "1", downstream: "2", upstreamAgent: "researcher", downstreamAgent: "writer"),
                    TaskEdge(upstream: "2", downstream: "3", upstreamAgent: "writer", downstreamAgent: "editor"),
                ]
            }, "agent:researcher", 2
        ),
        (
            "a failed task that feeds nobody accuses nobody",
            facts { $0.entries = [entry("task", "task.failed", "task:2", minutes: -1)] }, nil, 0
        ),
        (
            "its own agent goes in circles",
            facts {
                $0.entries = [
                    entry("loop", "model.loop_detected", "agent:writer", minutes: 1, ["agent": "writer"]),
                    entry("loop", "model.loop_detected", "agent:other", minutes: 0, ["agent": "other"]),
                ]
            }, "agent:writer", 2
        ),
        (
            "a budget that is spent",
            facts { $0.entries = [entry("budget", "budget.exhausted", "agent:writer", minutes: -1)] }, "agent:writer", 1
        ),
        (
            "an agent that fell silent",
            facts {
                $0.entries = [entry("agent", "agent.status_changed", "agent:writer", minutes: -1, ["to": "offline"])]
            }, "agent:writer", 1
        ),
        (
            "a provider that is out, though the agents that call it fail and others build on them",
            facts {
                $0.entries =
                    [opened]
                    + (1...3).map {
                        entry(
                            "task", "task.reviewed", "task:\($0)", minutes: Double($0) - 2,
                            ["verdict": "reject", "agent": "writer"])
                    }
                $0.edges = (1...3).flatMap { from in
                    (10...14).map {
                        TaskEdge(
                            upstream: "\(from)", downstream: "\($0)", upstreamAgent: "writer",
                            downstreamAgent: "editor")
                    }
                }
                $0.providers = ["main": ["writer", "editor"]]
            }, "provider:main", 2
        ),
        (
            "a provider that all call is none's fault while it answers",
            facts {
                $0.providers = ["main": ["writer", "reader", "editor"]]
                $0.entries = [
                    entry("task", "task.failed", "task:1", minutes: -1, ["agent": "reader"])
                ]
                $0.edges = [
                    TaskEdge(upstream: "1", downstream: "2", upstreamAgent: "reader", downstreamAgent: "writer")
                ]
            }, "agent:reader", 1
        ),
        (
            "a deploy just before a provider's outage comes second",
            facts {
                $0.entries = [
                    opened, entry("change", "deploy.finished", "agent:ci", minutes: -4, actor: "ingest:ci"),
                ]
                $0.providers = ["main": ["writer"]]
            }, "provider:main", 2
        ),
        (
            "a deploy of the agent itself, just before",
            facts {
                $0.entries = [
                    entry("change", "deploy.finished", "agent:writer", minutes: -1, actor: "ingest:ci"),
                    entry("task", "task.failed", "task:9", minutes: 0, ["agent": "writer"]),
                ]
            }, "deploy.finished agent:writer", 1
        ),
        (
            "the root of a cascade, however much fails further down",
            facts {
                $0.entries = (1...4).map {
                    entry("task", "task.failed", "task:\($0)", minutes: Double($0) - 5, ["agent": .string("a\($0)")])
                }
                $0.edges = (1...3).map {
                    TaskEdge(
                        upstream: "\($0)", downstream: "\($0 + 1)", upstreamAgent: "a\($0)",
                        downstreamAgent: "a\($0 + 1)")
                }
            }, "agent:a1", 3
        ),
        (
            "a circle of tasks has a beginning in time",
            facts {
                $0.entries = [
                    entry("task", "task.failed", "task:1", minutes: -3, ["agent": "a1"]),
                    entry("task", "task.failed", "task:2", minutes: -4, ["agent": "a2"]),
                ]
                $0.edges = [
                    TaskEdge(upstream: "1", downstream: "2", upstreamAgent: "a1", downstreamAgent: "a2"),
                    TaskEdge(upstream: "2", downstream: "1", upstreamAgent: "a2", downstreamAgent: "a1"),
                ]
            }, "agent:a2", 2
        ),
        (
            "of two that are as likely the first one",
            facts {
                $0.entries = [
                    entry("task", "task.failed", "task:1", minutes: -2, ["agent": "a1"]),
                    entry("task", "task.failed", "task:2", minutes: -3, ["agent": "a2"]),
                ]
                $0.edges = [
                    TaskEdge(upstream: "1", downstream: "8", upstreamAgent: "a1", downstreamAgent: "w"),
                    TaskEdge(upstream: "2", downstream: "9", upstreamAgent: "a2", downstreamAgent: "w"),
                ]
            }, "agent:a2", 2
        ),
        (
            "an agent that came back",
            facts {
                $0.entries = [entry("agent", "agent.status_changed", "agent:writer", minutes: -1, ["to": "idle"])]
            }, nil, 0
        ),
    ]

    @Test("root causes are ranked by their evidence", arguments: causes.indices)
    func ranking(_ index: Int) {
        let row = Self.causes[index]
        let found = RootCauseRanking.candidates(row.facts)
        #expect(found.first?.target == row.first, "\(row.name): \(found)")
        #expect(found.count == row.count, "\(row.name): \(found)")
        for cause in found {
            #expect((0...1).contains(cause.score), "\(row.name)")
            #expect(!cause.evidence.isEmpty, "\(row.name)")
        }
        #expect(RootCauseRanking.candidates(row.facts) == found)
    }

    @Test("there are so many candidates and no more, and their order does not change")
    func bounded() {
        let entries = (0..<50).map {
            Self.entry("change", "deploy.finished", "agent:ci\($0)", minutes: -Double($0 % 7), actor: "ingest:ci")
        }
        let found = RootCauseRanking.candidates(Self.facts { $0.entries = entries })
        #expect(found.count == RootCauseRanking.candidatesMax)
        #expect(RootCauseRanking.candidates(Self.facts { $0.entries = entries.reversed() }) == found)
    }

    static let natures: [(name: String, facts: IncidentFacts, kind: FailureKind?)] = [
        ("nothing is known", facts { _ in }, nil),
        ("a breaker opened", facts { $0.entries = [opened] }, .infrastructure),
        ("an alert says so", facts { $0.modes = [.infiniteLoop] }, .behavioural),
        (
            "calls fail at the provider",
            facts {
                $0.failures = [
                    CallFailures(agent: "writer", model: "m", target: "main/m", failure: "server_error", count: 9)
                ]
            }, .infrastructure
        ),
        (
            "calls ask for too much",
            facts {
                $0.failures = [
                    CallFailures(agent: "writer", model: "m", target: "main/m", failure: "context_length", count: 9)
                ]
            }, .behavioural
        ),
        (
            "agents fell silent",
            facts {
                $0.entries = [entry("agent", "agent.status_changed", "agent:a", minutes: 0, ["to": "unreachable"])]
            }, .infrastructure
        ),
        (
            "results are sent back",
            facts { $0.entries = [entry("task", "task.reviewed", "task:1", minutes: 0, ["verdict": "changes"])] },
            .behavioural
        ),
        (
            "runs go in circles while a breaker is open",
            facts {
                $0.entries =
                    [opened] + (0..<3).map { entry("loop", "model.loop_detected", "agent:w", minutes: Double($0)) }
            }, .behavioural
        ),
        (
            "as much speaks for either",
            facts {
                $0.entries = [opened, entry("loop", "model.loop_detected", "agent:w", minutes: 0)]
            }, nil
        ),
        (
            "money runs away",
            facts { $0.entries = [entry("budget", "budget.exhausted", "agent:w", minutes: 0)] }, .behavioural
        ),
    ]

    @Test("infrastructure or behaviour is told from evidence", arguments: natures.indices)
    func nature(_ index: Int) {
        let row = Self.natures[index]
        let found = IncidentAssessment.of(row.facts)
        #expect(found.kind == row.kind, "\(row.name): \(found)")
        #expect((0...1).contains(found.confidence))
        #expect((found.confidence > 0) == (row.kind != nil), "\(row.name)")
        if row.kind != nil { #expect(!found.evidence.isEmpty) }
    }

    @Test("the answer says why, and changes as evidence comes in", arguments: TestEngine.available)
    func growing(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("Odd", ["agent": "writer", "provider": "main"])
            func assessed() async throws -> IncidentAssessment {
                try await bench.timelines.follow()
                return try await bench.storage.read { [incidents = bench.incidents] in
                    try incidents.analysis(try incidents.known(id, in: $0), .whole, in: $0).assessment
                }
            }
            #expect(try await assessed().kind == nil)
            try await bench.note("model.breaker_opened", ["model": "small", "target": "main/x"])
            let first = try await assessed()
            #expect(first.kind == .infrastructure)
            #expect(first.evidence.map(\.text) == ["breakers opened: provider:main"])
            for _ in 0..<3 { try await bench.note("model.loop_detected", agent: "writer") }
            let second = try await assessed()
            #expect(second.kind == .behavioural)
            #expect(second.evidence.first?.text == "3 runs went in circles")
            // A person's word counts, and the evidence is still shown.
            _ = try await bench.change {
                try $0.edit(
                    id, IncidentService.Edit(kind: .infrastructure), ifMatch: nil, by: IncidentFixture.ada, in: $1)
            }
            let third = try await assessed()
            #expect(third.saidBy == .infrastructure)
            #expect(third.evidence == second.evidence)
        }
    }

    // MARK: Reports

    @Test("medians and ninetieth percentiles are as by hand")
    func quantiles() {
        let table: [([Double], Double?, Double?)] = [
            ([], nil, nil), ([4], 4, 4), ([1, 3], 2, 2.8), ([1, 2, 3, 4, 5], 3, 4.6),
            ((1...101).map(Double.init), 51, 91),
        ]
        for (values, median, p90) in table {
            let found = [0.5, 0.9].map { IncidentReport.Times.quantile($0, values) }
            for (one, expected) in zip(found, [median, p90]) {
                #expect((one == nil) == (expected == nil))
                if let one, let expected { #expect(abs(one - expected) < 1e-9, "\(values)") }
            }
        }
    }

    @Test("weeks begin on Monday")
    func weeks() throws {
        for (day, monday) in [
            ("2026-11-23", "2026-11-23"), ("2026-11-29", "2026-11-23"), ("2026-11-30", "2026-11-30"),
            ("2026-01-01", "2025-12-29"), ("1970-01-01", "1969-12-29"),
        ] {
            let time = try #require(Timestamp(rfc3339: "\(day)T23:59:59Z"))
            #expect(IncidentReport.week(of: time) == monday)
        }
    }

    @Test("what was acted on, ignored and is open is told apart", arguments: TestEngine.available)
    func noise(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let acted = try await bench.fire("HighErrorRate", ["agent": "a"])
            bench.time.advance(by: .minutes(2))
            try await bench.state(.acknowledged, of: acted)
            try await bench.fire("TaskStuck", ["agent": "b"])
            try await bench.end("TaskStuck", ["agent": "b"])
            try await bench.pass(.minutes(5))
            try await bench.pass(.minutes(30))
            try await bench.fire("TaskStuck", ["agent": "c"])
            let report = try await bench.storage.read { [incidents = bench.incidents] in
                try incidents.report(days: 7, in: $0)
            }
            #expect(report.incidents == 3)
            #expect(
                report.noise == [
                    IncidentReport.Noise(rule: "TaskStuck", fired: 2, actedOn: 0, ignored: 1),
                    IncidentReport.Noise(rule: "HighErrorRate", fired: 1, actedOn: 1, ignored: 0),
                ])
            #expect(report.times.first { $0.milestone == .acknowledged }?.median == 120)
            #expect(report.times.first { $0.milestone == .resolved }?.count == 1)
            bench.time.advance(by: .hours(24 * 8))
            let later = try await bench.storage.read { [incidents = bench.incidents] in
                try incidents.report(days: 7, in: $0)
            }
            #expect(later.incidents == 0)
            #expect(later.noise.isEmpty)
        }
    }

    @Test(
        "times to detect are told by mode and severity, from when a condition first held",
        arguments: TestEngine.available)
    func detection(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            func fire(_ name: String, after seconds: Int64, _ labels: [String: String]) async throws -> String {
                let (alerts, now) = (bench.alerts, bench.world.now)
                let post = AlertPost(
                    labels: IncidentFixture.labels(name, labels), activeAt: now - .seconds(seconds), startsAt: now)
                let changes = try await bench.storage.write {
                    try alerts.take([post], origin: .rule, from: "test", in: $0)
                }
                return try #require(changes.first?.alert.incidentID)
            }
            let down = ["failure_mode": "llm-outage", "severity": "critical"]
            let first = try await fire("ProviderOutage", after: 60, down.merging(["provider": "a"]) { $1 })
            bench.time.advance(by: .seconds(Int64(30)))
            // One whose condition held earlier, and that took longer to be sure.
            #expect(try await fire("HighErrorRate", after: 150, ["provider": "a"]) == first)
            _ = try await fire("ProviderOutage", after: 240, down.merging(["provider": "b"]) { $1 })
            _ = try await fire("TaskStuck", after: 14_400, ["agent": "writer"])
            // Nobody knows when what a person saw began.
            try await bench.open(["title": "odd", "severity": "info"])
            bench.time.advance(by: .minutes(2))
            try await bench.state(.contained, of: first)
            let report = try await bench.storage.read { [incidents = bench.incidents] in
                try incidents.report(days: 7, in: $0)
            }
            func time(_ part: [IncidentReport.Part], _ name: String, _ milestone: Incident.Milestone) -> [Double?] {
                let times = part.first { $0.name == name }?.times.first { $0.milestone == milestone }
                return [times.map { Double($0.count) }, times?.median, times?.p90]
            }
            #expect(time(report.byMode, "llm-outage", .detected) == [2, 180, 228])
            #expect(time(report.byMode, "llm-outage", .contained) == [1, 150, 150])
            #expect(time(report.bySeverity, "critical", .detected) == [2, 180, 228])
            #expect(time(report.bySeverity, "warning", .detected) == [1, 14_400, 14_400])
            #expect(time(report.bySeverity, "info", .detected) == [0, nil, nil])
            #expect(report.bySeverity.map(\.name) == ["critical", "warning", "info"])
            #expect(report.times.first?.milestone == .detected)
            let text = try await bench.storage.read { [incidents = bench.incidents] in
                try incidents.document(try incidents.known(first, in: $0), in: $0).text
            }
            #expect(text.contains("2m after the condition of HighErrorRate first held"))
        }
    }

    @Test("metrics tell how incidents stand", arguments: TestEngine.available)
    func metrics(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("HighErrorRate", ["agent": "a", "severity": "critical"])
            bench.time.advance(by: .minutes(2))
            try await bench.state(.acknowledged, of: id)
            let meters = IncidentMeters()
            try await meters.look(bench.incidents, bench.storage)
            try await meters.review(bench.incidents, bench.storage)
            var page = MetricPage()
            meters.collect(into: &page)
            func value(_ name: String, _ labels: [String]) -> Double? {
                page.samples.first { $0.name == name && $0.labels.map(\.value) == labels }?.value
            }
            #expect(value("reeve_incidents", ["acknowledged", "critical"]) == 1)
            #expect(value("reeve_incidents", ["detected", "critical"]) == 0)
            #expect(value("reeve_incident_seconds", ["acknowledged", "0.5"]) == 120)
            #expect(value("reeve_incidents_detected", []) == 1)
        }
    }
}
