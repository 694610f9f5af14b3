import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Incidents: action items are proposed from evidence")
struct ActionProposalTests {
    private static let begin = Timestamp(microseconds: 1_790_000_000_000_000)

    private static func entry(
        _ kind: String, _ action: String, _ target: String, minutes: Int64, _ detail: JSONValue = [:]
    ) -> IncidentEntry {
        IncidentEntry(
            kind: kind, action: action, target: target, actor: "reeve", at: begin + .minutes(minutes), detail: detail)
    }

    private static func alert(_ name: String, times: Int64 = 1) -> IncidentAlert {
        IncidentAlert(
            fingerprint: name, name: name, severity: "critical", summary: "", labels: LabelSet([]), times: times,
            firstAt: begin, lastAt: begin)
    }

    private static func proposals(
        _ entries: [IncidentEntry], ground: (inout ActionProposals.Ground) -> Void = { _ in },
        incident change: (inout Incident) -> Void = { _ in }
    ) -> [ActionProposal] {
        var incident = Incident(
            id: Identifier(stored: "incident_1"), title: "x", severity: .critical, groupKey: "x",
            subjects: ["agent:writer"], milestones: [.detected: begin], openedBy: "reeve")
        change(&incident)
        var facts = IncidentFacts(detectedAt: begin, subjects: incident.subjects)
        facts.entries = entries
        var known = ActionProposals.Ground()
        known.candidates = RootCauseRanking.candidates(facts)
        ground(&known)
        return ActionProposals.of(incident, facts, known)
    }

    static let rows: [(name: String, found: [ActionProposal], keys: [String])] = [
        ("nothing is known", proposals([]), []),
        ("one alert, answered at once", proposals([], ground: { $0.alerts = [alert("AgentDown")] }), []),
        (
            "the first sign came long before the alert",
            proposals(
                [entry("task", "task.failed", "task:1", minutes: -20)], ground: { $0.alerts = [alert("AgentDown")] }),
            ["detection:AgentDown"]
        ),
        (
            "a sign just before is no late alert",
            proposals(
                [entry("task", "task.failed", "task:1", minutes: -4)], ground: { $0.alerts = [alert("AgentDown")] }), []
        ),
        (
            "containment was asked for and waited",
            proposals([
                entry("containment", "asked", "containment:llm-outage", minutes: 0, ["containment": "c1"]),
                entry("containment", "pauseDispatch", "model:x", minutes: 12, ["containment": "c1", "step": 1]),
            ]), ["containment:llm-outage"]
        ),
        (
            "containment acted at once",
            proposals([
                entry("containment", "proposed", "containment:llm-outage", minutes: 0, ["containment": "c1"]),
                entry("containment", "pauseDispatch", "model:x", minutes: 0, ["containment": "c1", "step": 1]),
            ]), []
        ),
        (
            "nobody answered",
            proposals([
                entry("containment", "asked", "containment:budget-runaway", minutes: 0, ["containment": "c1"]),
                entry("containment", "expired", "containment:budget-runaway", minutes: 60, ["containment": "c1"]),
            ]), ["containment:budget-runaway"]
        ),
        (
            "no runbook is written for it",
            proposals(
                [],
                ground: {
                    $0.alerts = [alert("Mine")]
                    $0.hasRunbook = false
                }), ["runbook:Mine"]
        ),
        (
            "checks were not done",
            proposals([
                entry("runbook", "started", "runbook:agent-down", minutes: 1, ["run": "r1"]),
                entry("runbook", "checking", "runbook:agent-down", minutes: 2, ["run": "r1"]),
            ]), ["runbook:agent-down:checks"]
        ),
        (
            "checks were done",
            proposals([
                entry("runbook", "checking", "runbook:agent-down", minutes: 2, ["run": "r1"]),
                entry("runbook", "done", "runbook:agent-down", minutes: 5, ["run": "r1"]),
            ]), []
        ),
        (
            "a deploy just before",
            proposals([entry("change", "deploy.finished", "agent:writer", minutes: -3, ["version": "v7"])]),
            ["change:deploy.finished agent:writer"]
        ),
        (
            "a provider was out",
            proposals([entry("breaker", "model.breaker_opened", "provider:main", minutes: -1)]),
            ["provider:provider:main"]
        ),
        (
            "money ran away", proposals([], incident: { $0.mode = .budgetRunaway }), ["budget:agent:writer"]
        ),
        (
            "a budget is spent",
            proposals([entry("budget", "budget.exhausted", "agent:writer", minutes: 0)]), ["budget:agent:writer"]
        ),
        (
            "an alert flapped", proposals([], ground: { $0.alerts = [alert("Noisy", times: 9)] }), ["noise:Noisy"]
        ),
        (
            "nobody said for long that they see to it",
            proposals([], incident: { $0.milestones[.acknowledged] = begin + .minutes(40) }), ["acknowledgement"]
        ),
        (
            "of what an item was made nothing is proposed",
            proposals(
                [], ground: { $0.taken = ["budget:agent:writer"] }, incident: { $0.mode = .budgetRunaway }), []
        ),
    ]

    @Test("what the evidence speaks for, and no more", arguments: rows.indices)
    func table(_ index: Int) {
        let row = Self.rows[index]
        #expect(row.found.map(\.key) == row.keys, "\(row.name): \(row.found)")
        for one in row.found {
            #expect(!one.because.isEmpty && !one.summary.isEmpty && !one.owner.isEmpty, "\(row.name)")
            #expect(one.dueOn == "2026-09-28", "\(one.dueOn)")
        }
    }

    @Test("an agent's owner comes before who saw to it, and nobody is invented", arguments: TestEngine.available)
    func owners(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            func found(_ id: String) async throws -> [ActionProposal] {
                try await bench.storage.read { [incidents = bench.incidents] in
                    let incident = try incidents.known(id, in: $0)
                    return try incidents.analysis(incident, .whole, in: $0).proposals
                }
            }
            let id = try await bench.open([
                "title": "x", "severity": "critical", "mode": "budget-runaway", "subjects": ["agent:writer"],
            ]).id.text
            #expect(try await found(id).map(\.owner) == [ActionProposals.nobody])
            try await bench.state(.acknowledged, of: id)
            #expect(try await found(id).map(\.owner) == ["ada"])
            var draft = AgentDraft(name: "writer")
            draft.labels = ["owner": "grace"]
            try await bench.storage.write { [agents = bench.tasks.agents, draft] in
                _ = try agents.register(draft, by: TaskFixture.operatorKey, in: $0)
            }
            let proposal = try #require(try await found(id).first)
            #expect(proposal.owner == "grace")
            // It stands in the draft as what nobody decided, and goes once somebody has taken it.
            func document() async throws -> String {
                try await bench.storage.read { [incidents = bench.incidents] in
                    try incidents.document(try incidents.known(id, in: $0), in: $0).text
                }
            }
            let part = "## Action items\n\nNone yet.\n\n- Proposed: Set a limit for agent:writer"
            #expect(try await document().contains(part))
            let edit = IncidentService.ActionEdit(
                summary: "A limit", owner: "grace", dueOn: proposal.dueOn, proposal: proposal.key)
            for _ in 0..<2 {
                let item = try await bench.change { try $0.addAction(edit, to: id, by: IncidentFixture.ada, in: $1) }
                #expect(item.number == 1)
            }
            #expect(try await found(id).isEmpty)
            #expect(try await !document().contains("Proposed"))
        }
    }
}
