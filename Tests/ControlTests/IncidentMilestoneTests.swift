import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Incidents: how far they are, and what is owed after them")
struct IncidentMilestoneTests {
    private static let labels = ["agent": "writer"]

    @Test("quiet alerts mitigate, verify and resolve by themselves", arguments: TestEngine.available)
    func byItself(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("AgentDown", Self.labels)
            try await bench.fire("TaskStuck", Self.labels)
            try await bench.end("AgentDown", Self.labels)
            #expect(try await bench.incident(id).state == .detected)
            bench.time.advance(by: .minutes(1))
            try await bench.end("TaskStuck", Self.labels)
            #expect(try await bench.incident(id).state == .mitigated)
            #expect(try await bench.pass(.minutes(4)) == 0)
            #expect(try await bench.pass(.minutes(1)) == 1)
            #expect(try await bench.incident(id).state == .verified)
            #expect(try await bench.pass(.minutes(29)) == 0)
            #expect(try await bench.pass(.minutes(1)) == 1)
            let incident = try await bench.incident(id)
            #expect(incident.state == .resolved)
            #expect(incident.actedAt == nil)
            #expect(bench.followed.all.suffix(3) == ["mitigated", "verified", "resolved"])
            #expect(try await bench.pass(.hours(1)) == 0)
        }
    }

    @Test("an alert that comes back takes the mitigation back", arguments: TestEngine.available)
    func regresses(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("AgentDown", Self.labels)
            try await bench.end("AgentDown", Self.labels)
            try await bench.pass(.minutes(5))
            #expect(try await bench.incident(id).state == .verified)
            try await bench.fire("AgentDown", Self.labels)
            let incident = try await bench.incident(id)
            #expect(incident.state == .detected)
            #expect(incident.quietSince == nil)
            #expect(try await bench.story(id).contains("milestone regressed incident:\(id)"))
            try await bench.end("AgentDown", Self.labels)
            #expect(try await bench.incident(id).state == .mitigated)
        }
    }

    @Test("nobody resolves but a person, where the settings say so", arguments: TestEngine.available)
    func byPerson(_ engine: TestEngine) async throws {
        var settings = Settings().incidents
        (settings.resolveMinutes, settings.quietMinutes) = (0, 1)
        try await IncidentFixture.on(engine, policy: IncidentPolicy(settings)) { bench in
            let id = try await bench.fire("AgentDown", Self.labels)
            try await bench.end("AgentDown", Self.labels)
            try await bench.pass(.minutes(1))
            try await bench.pass(.hours(48))
            #expect(try await bench.incident(id).state == .verified)
        }
    }

    @Test("verification steps have their say", arguments: TestEngine.available)
    func verification(_ engine: TestEngine) async throws {
        let steps = StubbornVerification()
        try await IncidentFixture.on(engine, verifications: [steps]) { bench in
            let id = try await bench.fire("AgentDown", Self.labels)
            try await bench.end("AgentDown", Self.labels)
            #expect(try await bench.pass(.hours(1)) == 0)
            #expect(await code { try await bench.state(.verified, of: id) } == "conflict")
            steps.relent()
            // It is asked again after a while, not with each look.
            #expect(try await bench.pass(.seconds(Int64(9))) == 0)
            #expect(try await bench.pass(.seconds(Int64(1))) == 1)
            #expect(try await bench.incident(id).state == .verified)
        }
    }

    @Test("milestones have an order that people keep too", arguments: TestEngine.available)
    func order(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("AgentDown", Self.labels)
            // What fires is not mitigated.
            for milestone in [Incident.Milestone.mitigated, .verified, .postmortem] {
                #expect(await code { try await bench.state(milestone, of: id) } == "conflict", "\(milestone)")
            }
            let first = try await bench.state(.acknowledged, of: id)
            bench.time.advance(by: .minutes(1))
            #expect(try await bench.state(.acknowledged, of: id).milestones == first.milestones)
            #expect(try await bench.events("incident.acknowledged").count == 1)
            try await bench.state(.contained, of: id)
            try await bench.state(.resolved, of: id)
            let incident = try await bench.incident(id)
            #expect(incident.state == .resolved)
            #expect(incident.milestones[.mitigated] == nil)
            #expect(await code { try await bench.state(.mitigated, of: id) } == "conflict")
            #expect(incident.actedAt == first.milestones[.acknowledged])
            try await bench.end("AgentDown", Self.labels)
            #expect(try await bench.incident(id).state == .resolved)
        }
    }

    // MARK: Postmortems

    @Test("a postmortem is reminded of and becomes overdue, each once", arguments: TestEngine.available)
    func clock(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.open(["title": "It broke", "severity": "critical"]).id.text
            try await bench.state(.resolved, of: id)
            let meters = IncidentMeters()
            func overdue() async throws -> Double? {
                try await meters.look(bench.incidents, bench.storage)
                var page = MetricPage()
                meters.collect(into: &page)
                return page.samples.first { $0.name == "reeve_incident_postmortems_overdue" }?.value
            }
            for (hours, reminders, late) in [
                (23, 0, 0), (1, 1, 0), (19, 1, 0), (1, 2, 0), (3, 2, 0), (1, 2, 1), (9, 2, 1),
            ] {
                try await bench.pass(.hours(Int64(hours)))
                #expect(try await bench.events("incident.postmortem_due").count == reminders)
                #expect(try await bench.events("incident.postmortem_overdue").count == late)
                #expect(try await overdue() == Double(late))
            }
            _ = try await bench.change { try $0.publish(id, note: "", by: IncidentFixture.ada, in: $1) }
            #expect(try await overdue() == 0)
            #expect(try await bench.incident(id).state == .postmortem)
        }
    }

    @Test("what somebody says of it afterwards begins and ends what is owed", arguments: TestEngine.available)
    func weighed(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.open(["title": "It broke", "severity": "info"]).id.text
            try await bench.state(.resolved, of: id)
            func due(_ severity: Incident.Severity) async throws -> Timestamp? {
                try await bench.change { incidents, transaction in
                    let edit = IncidentService.Edit(severity: severity)
                    let incident = try incidents.edit(
                        id, edit, ifMatch: nil, by: IncidentFixture.ada, in: transaction)
                    return try incidents.postmortem(incident, in: transaction).dueAt
                }
            }
            bench.time.advance(by: .hours(1))
            let owed = bench.world.now + .hours(48)
            #expect(try await due(.critical) == owed)
            bench.time.advance(by: .hours(1))
            // Worse or less bad, it is still owed by then.
            #expect(try await due(.warning) == owed)
            #expect(try await due(.info) == nil)
            #expect(try await bench.pass(.hours(60)) == 0)
            #expect(try await bench.events("incident.postmortem_due").isEmpty)
        }
    }

    @Test("none is owed for what only informs, and none that is waived", arguments: TestEngine.available)
    func waived(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let small = try await bench.open(["title": "a notice", "severity": "info"]).id.text
            let big = try await bench.open(["title": "a drill", "severity": "warning"]).id.text
            for id in [small, big] { try await bench.state(.resolved, of: id) }
            for _ in 0..<2 {
                _ = try await bench.change { try $0.waive(big, why: "a drill", by: IncidentFixture.ada, in: $1) }
            }
            #expect(try await bench.events("incident.postmortem_waived").count == 1)
            #expect(try await bench.pass(.hours(100)) == 0)
        }
    }

    typealias Naming = (labels: [String: String], agents: [String], cents: Int, sessions: Int)

    @Test("what it cost is known whatever the alert names, from its beginning on", arguments: TestEngine.available)
    func impact(_ engine: TestEngine) async throws {
        let namings: [Naming] = [
            (["agent": "ann"], ["ann"], 2, 1), (["agent_type": "writer"], ["ann", "ben"], 6, 2),
            (["scope": "org"], ["ann", "ben", "cid"], 14, 3),
            (["scope": "project:alpha", "project": "alpha"], ["ann", "ben"], 6, 2),
            (["scope": "session:s-cid"], ["cid"], 8, 1), (["model": "small"], ["ann", "ben", "cid"], 14, 3),
            (["agent_type": "nobody"], [], 0, 0),
        ]
        try await IncidentFixture.on(engine) { bench in
            for (agent, project, type) in [
                ("ann", "alpha", "writer"), ("ben", "alpha", "writer"), ("cid", "beta", "r"),
            ] {
                try await bench.enrol(agent, project: project, type: type)
            }
            bench.time.advance(by: .minutes(20))
            for (agent, project, cents) in [("ann", "alpha", 2), ("ben", "alpha", 4), ("cid", "beta", 8)] {
                try await bench.call {
                    ($0.agent, $0.project, $0.session) = (agent, project, "s-\(agent)")
                    $0.cost = CallCost(nanoUSD: Int64(cents) * 10_000_000)
                    ($0.status, $0.failure) = (.failed, "server_error")
                }
            }
            let began = bench.world.now - .minutes(5)
            bench.time.advance(by: .minutes(5))
            for (number, naming) in namings.enumerated() {
                let id = try await bench.fire("Cost\(number)", naming.labels, since: began)
                let impact = try await bench.storage.read { [incidents = bench.incidents] in
                    try incidents.impact(incidents.known(id, in: $0), in: $0)
                }
                #expect(impact.from == began)
                #expect(impact.agents == naming.agents, "\(naming.labels)")
                #expect(impact.spend.nanoUSD == Int64(naming.cents) * 10_000_000, "\(naming.labels)")
                #expect(impact.spend.sessions == naming.sessions && !impact.spend.isCut, "\(naming.labels)")
            }
        }
    }

    @Test("a draft tells the story, and an edit keeps it", arguments: TestEngine.available)
    func document(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            try await bench.call {
                $0.status = .failed
                $0.failure = "server_error"
                $0.session = "s1"
            }
            let id = try await bench.fire(
                "ProviderOutage", ["provider": "main", "agent": "writer", "failure_mode": "llm-outage"])
            bench.time.advance(by: .minutes(3))
            try await bench.call { $0.session = "s2" }
            try await bench.end(
                "ProviderOutage", ["provider": "main", "agent": "writer", "failure_mode": "llm-outage"])
            bench.time.advance(by: .minutes(1))
            try await bench.state(.resolved, of: id)
            let edit = IncidentService.ActionEdit(summary: "Add | a fallback", owner: "ada", dueOn: "2026-12-01")
            _ = try await bench.change { try $0.addAction(edit, to: id, by: IncidentFixture.ada, in: $1) }
            let draft = try await bench.document(id)
            for part in [
                "# Postmortem: ProviderOutage is on", "## Impact", "## Timeline", "## Contributing factors",
                "## Action items", "- [ ] #1 Add \\| a fallback: ada, due 2026-12-01", "Failure mode: llm-outage",
                "- Sessions: 2", "- Cost in that time: $0.0040",
                "| fired: ProviderOutage is on | alert:ProviderOutage |",
            ] { #expect(draft.contains(part), "\(part)\n\(draft)") }

            let edited = draft.replacing("## Impact\n", with: "## Impact\n\nNobody noticed.\n")
            try await bench.write(edited, id, ifMatch: "\"0\"")
            #expect(try await bench.document(id) == edited)
            #expect(await code { try await bench.write(edited, id, ifMatch: "\"0\"") } == "precondition_failed")
            #expect(await code { try await bench.write("# Nothing", id, ifMatch: nil) } == "invalid")
            let long = edited + String(repeating: "x", count: Postmortem.documentMax)
            #expect(await code { try await bench.write(long, id, ifMatch: nil) } == "invalid")

            let done = IncidentService.ActionEdit(state: .done)
            _ = try await bench.change { try $0.editAction(1, done, of: id, by: IncidentFixture.ada, in: $1) }
            let later = try await bench.document(id)
            #expect(later.contains("- [x] #1 Add"))
            #expect(later.contains("Nobody noticed."))
            #expect(!later.contains("- [ ] #1"))
        }
    }

    @Test("there are so many action items and no more", arguments: TestEngine.available)
    func items(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.open(["title": "x", "severity": "info"]).id.text
            let edit = IncidentService.ActionEdit(summary: "do", owner: "ada")
            _ = try await bench.change { incidents, transaction in
                for _ in 0..<ActionItem.itemsMax {
                    _ = try incidents.addAction(edit, to: id, by: IncidentFixture.ada, in: transaction)
                }
            }
            #expect(
                await code {
                    try await bench.change { try $0.addAction(edit, to: id, by: IncidentFixture.ada, in: $1) }
                } == "conflict")
        }
    }
}

extension IncidentFixture {
    fileprivate func document(_ id: String) async throws -> String {
        try await storage.read { [incidents] in try incidents.document(try incidents.known(id, in: $0), in: $0).text }
    }

    fileprivate func write(_ text: String, _ id: String, ifMatch: String?) async throws {
        _ = try await change { try $0.write(text, of: id, ifMatch: ifMatch, by: Self.ada, in: $1) }
    }
}
