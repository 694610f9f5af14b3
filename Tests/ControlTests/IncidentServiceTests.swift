import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Incidents: opening, joining, coming back")
struct IncidentServiceTests {
    @Test("an alert opens an incident, the same condition joins it", arguments: TestEngine.available)
    func opens(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("AgentDown", ["agent": "writer", "severity": "critical"])
            let incident = try await bench.incident(id)
            #expect(incident.title == "AgentDown is on")
            #expect(incident.severity == .critical)
            #expect(incident.state == .detected)
            #expect(incident.subjects == ["agent:writer"])
            // Another label set of the same rule about the same agent.
            #expect(try await bench.fire("AgentDown", ["agent": "writer", "host": "b"]) == id)
            #expect(try await bench.fire("TaskStuck", ["agent": "writer"]) == id)
            #expect(try await bench.fire("AgentDown", ["agent": "reader"]) != id)
            #expect(try await bench.story(id).count == 3)
            #expect(
                bench.followed.all.prefix(3) == ["opened by AgentDown", "joined by AgentDown", "joined by TaskStuck"])
            #expect(
                try await bench.events("incident.*").map(\.type).prefix(2) == ["incident.opened", "incident.joined"])
        }
    }

    @Test("severities are understood, and `none` opens nothing")
    func severities() {
        let table: [(String, Incident.Severity?)] = [
            ("critical", .critical), ("page", .critical), ("error", .critical), ("warning", .warning), ("", .warning),
            ("strange", .warning), ("info", .info), ("INFO", .info), ("none", nil),
        ]
        for (text, expected) in table { #expect(Incident.Severity(alert: text) == expected, "\(text)") }
    }

    @Test("an alert may say that it opens nothing", arguments: TestEngine.available)
    func optOut(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let told = try await bench.fire("PostmortemOverdue", ["incident": "none"])
            let always = try await bench.fire("Watchdog", ["severity": "none"])
            #expect([told, always] == ["", ""])
            #expect(try await bench.events("incident.*").isEmpty)
        }
    }

    @Test("the worst severity and the first mode count", arguments: TestEngine.available)
    func worsens(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("CostSpike", ["agent": "writer"])
            try await bench.fire(
                "ToolStorm", ["agent": "writer", "severity": "critical", "failure_mode": "infinite-loop"])
            try await bench.fire("Budget", ["agent": "writer", "severity": "info", "failure_mode": "budget-runaway"])
            let incident = try await bench.incident(id)
            #expect(incident.severity == .critical)
            #expect(incident.mode == .infiniteLoop)
            #expect(incident.kind == .behavioural)
        }
    }

    @Test("agents of one type have nothing else in common", arguments: TestEngine.available)
    func typesApart(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let first = try await bench.fire("AgentDown", ["agent": "w1", "agent_type": "writer"])
            let second = try await bench.fire("AgentDown", ["agent": "w2", "agent_type": "writer"])
            #expect(first != second)
            // An alert about the type belongs to one of them.
            let third = try await bench.fire("CostSpike", ["agent_type": "writer"])
            #expect([first, second].contains(third))
        }
    }

    @Test(
        "an alert about an agent belongs to that about its provider, in either order", arguments: TestEngine.available)
    func providers(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            try await bench.call()
            try await bench.call {
                $0.agent = "loner"
                $0.target = "other/big"
                $0.model = "big"
            }
            let outage = try await bench.fire("ProviderOutage", ["provider": "main", "failure_mode": "llm-outage"])
            #expect(try await bench.fire("HighErrorRate", ["agent": "writer"]) == outage)
            #expect(try await bench.fire("ModelTimeouts", ["provider": "main", "model": "small"]) == outage)
            #expect(try await bench.fire("HighErrorRate", ["agent": "loner"]) != outage)
        }
        try await IncidentFixture.on(engine) { bench in
            try await bench.call()
            let errors = try await bench.fire("HighErrorRate", ["agent": "writer"])
            #expect(try await bench.fire("ProviderOutage", ["provider": "main"]) == errors)
        }
    }

    @Test("two agents that only share a provider are two incidents", arguments: TestEngine.available)
    func sharedProvider(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            try await bench.call()
            try await bench.call { $0.agent = "reader" }
            let first = try await bench.fire("TaskStuck", ["agent": "writer"])
            #expect(try await bench.fire("TaskStuck", ["agent": "reader"]) != first)
        }
    }

    @Test("agents whose tasks build on each other belong together", arguments: TestEngine.available)
    func taskGraph(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let made = try await bench.tasks.graph([
                ["ref": "a"], ["ref": "b", "dependsOn": ["a"]], ["ref": "c", "queue": "other"],
            ])
            let first = try await bench.tasks.claimOne("researcher")
            #expect(first.id == made[0].id)
            _ = try await bench.tasks.complete(first, "researcher")
            _ = try await bench.tasks.claimOne("author")
            _ = try await bench.tasks.claim("loner", queues: ["other"])
            let id = try await bench.fire("HighErrorRate", ["agent": "researcher"])
            #expect(try await bench.fire("TaskStuck", ["agent": "author"]) == id)
            #expect(try await bench.fire("TaskStuck", ["agent": "loner"]) != id)
        }
    }

    @Test("an alert that comes back opens its incident again, for a while", arguments: TestEngine.available)
    func reopens(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("AgentDown", ["agent": "writer"])
            try await bench.end("AgentDown", ["agent": "writer"])
            try await bench.state(.resolved, of: id)
            bench.time.advance(by: .minutes(29))
            #expect(try await bench.fire("AgentDown", ["agent": "writer"]) == id)
            let incident = try await bench.incident(id)
            #expect(incident.isOpen)
            #expect(incident.reopenings == 1)
            #expect(incident.milestones.keys.sorted() == [.detected])
            // What is about the same joins it again.
            #expect(try await bench.fire("TaskStuck", ["agent": "writer"]) == id)
            for name in ["AgentDown", "TaskStuck"] { try await bench.end(name, ["agent": "writer"]) }
            try await bench.state(.resolved, of: id)
            bench.time.advance(by: .minutes(31))
            #expect(try await bench.fire("AgentDown", ["agent": "writer"]) != id)
        }
    }

    @Test("an alert that flaps is counted, and quiet is longer then", arguments: TestEngine.available)
    func flaps(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            var id = ""
            for _ in 0..<12 {
                id = try await bench.fire("AgentDown", ["agent": "writer"])
                bench.time.advance(by: .seconds(Int64(30)))
                try await bench.end("AgentDown", ["agent": "writer"])
            }
            let told = try await bench.story(id).filter { $0.hasPrefix("alert") }
            #expect(told.count { $0.contains("fired") } == Int(IncidentPolicy.flapsFrom) - 1)
            #expect(told.count { $0.contains("flapping") } == 1)
            let known = id
            let alerts = try await bench.storage.read { [links = bench.incidents.links] in
                try links.alerts(of: Identifier(stored: known), limit: 10, in: $0)
            }
            #expect(alerts.map(\.times) == [12])
            #expect(try await bench.pass(.minutes(6)) == 0)
            #expect(try await bench.incident(id).state == .mitigated)
            try await bench.pass(.minutes(25))
            #expect(try await bench.incident(id).state == .verified)
        }
    }

    @Test("what is full opens another one", arguments: TestEngine.available)
    func full(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("Noise", ["host": "first"])
            let known = Identifier<Incident>(stored: id)
            try await bench.change { incidents, transaction in
                for number in 1..<Incident.alertsMax {
                    try incidents.links.put(
                        IncidentAlert(
                            fingerprint: "f\(number)", name: "Noise", severity: "info", summary: "",
                            labels: LabelSet([]), times: 1, firstAt: incidents.world.now,
                            lastAt: incidents.world.now), of: known, in: transaction)
                }
            }
            #expect(try await bench.fire("Noise", ["host": "beyond"]) != id)
        }
    }

    @Test("as many are open as there may be: the newest takes what comes", arguments: TestEngine.available)
    func mostOpen(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let store = bench.incidents.store
            let newest = try await bench.change { incidents, transaction in
                var last = ""
                for number in 0..<Incident.openMax {
                    let incident = Incident(
                        id: Identifier(incidents.world), title: "\(number)", severity: .info, groupKey: "\(number)",
                        subjects: [], milestones: [.detected: incidents.world.now], openedBy: "x")
                    try store.insert(incident, in: transaction)
                    last = max(last, incident.id.text)
                }
                return last
            }
            #expect(try await bench.fire("AgentDown", ["agent": "writer"]) == newest)
            #expect(await code { try await bench.open(["title": "x", "severity": "info"]) } == "conflict")
        }
    }

    // MARK: By hand

    @Test("people merge and split, and alerts go along", arguments: TestEngine.available)
    func mergeAndSplit(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let first = try await bench.fire("AgentDown", ["agent": "a"])
            let second = try await bench.fire("AgentDown", ["agent": "b", "severity": "critical"])
            let merged = try await bench.change {
                try $0.merge(second, into: first, by: IncidentFixture.ada, in: $1)
            }
            #expect(merged.subjects == ["agent:a", "agent:b"])
            #expect(merged.severity == .critical)
            #expect(try await bench.incident(second).mergedInto == first)
            #expect(try await !bench.incident(second).isOpen)
            // What is about b goes on in the first.
            #expect(try await bench.fire("TaskStuck", ["agent": "b"]) == first)
            try await bench.end("AgentDown", ["agent": "b", "severity": "critical"])
            #expect(try await bench.story(first).contains("alert resolved alert:AgentDown"))
            #expect(await code { try await bench.state(.acknowledged, of: second) } == "conflict")
            let fingerprint = IncidentFixture.labels("TaskStuck", ["agent": "b"]).fingerprintText
            let other = try await bench.change {
                try $0.split(first, alerts: [fingerprint], title: nil, by: IncidentFixture.ada, in: $1)
            }
            #expect(other.subjects == ["agent:b"])
            try await bench.end("TaskStuck", ["agent": "b"])
            #expect(try await bench.incident(other.id.text).state == .mitigated)
            #expect(try await bench.incident(first).state == .detected)
            let all = IncidentFixture.labels("AgentDown", ["agent": "a"]).fingerprintText
            #expect(
                await code {
                    try await bench.change {
                        try $0.split(other.id.text, alerts: [all], title: nil, by: IncidentFixture.ada, in: $1)
                    }
                } == "conflict")
        }
    }

    @Test("the log of a busy fleet is not read back for ever", arguments: TestEngine.available)
    func firstSeq(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let begin = bench.world.now
            for number in 0..<20 {
                try await bench.note("custom.\(number)")
                bench.time.advance(by: .seconds(Int64(10)))
            }
            let store = bench.tasks.events.store
            for (seconds, expected) in [(-5, 1), (0, 1), (1, 2), (10, 2), (189, 20), (190, 20), (191, nil)]
                as [(Int64, Int64?)]
            {
                let found = try await bench.storage.read { try store.firstSeq(from: begin + .seconds(seconds), in: $0) }
                #expect(found == expected, "\(seconds)")
            }
        }
    }
}
