import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("What is in force, and what others ended")
struct ContainmentReleaseTests {
    /// What each place says of what is in force, by id.
    private static func places(_ fixture: ContainmentFixture) async throws -> [String: [String]] {
        let page = Page(limit: 100, after: nil)
        let (listed, view, claims) = try await fixture.storage.read { [service = fixture.service] transaction in
            (
                try service.held(page, in: transaction), try service.heldView(page, in: transaction),
                try transaction.rows("SELECT step FROM containment_claims ORDER BY step").map { $0.text("step") }
            )
        }
        #expect(listed.allSatisfy { $0.json["inForce"] == true && $0.json["releasedAt"] == .null })
        return [
            "list": listed.map(\.id.text), "page": view.rows.map(\.item.id),
            "claims": claims.map { String($0.split(separator: "/")[0]) },
        ]
    }

    private static func metric(_ fixture: ContainmentFixture) async throws -> Double {
        let meters = IncidentMeters()
        try await meters.look(fixture.incidents, fixture.storage)
        var page = MetricPage()
        meters.collect(into: &page)
        return page.samples.filter { $0.name == "reeve_containments_in_force" }.reduce(0) { $0 + $1.value }
    }

    private static func claims(_ fixture: ContainmentFixture) async throws -> Int {
        try await fixture.storage.read { try $0.rows("SELECT kind FROM containment_claims").count }
    }

    @Test(
        "what outlives its incident and is ended by hand is over everywhere, and may be done anew",
        arguments: TestEngine.available)
    func outlived(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine) { fixture in
            try await fixture.register("writer")
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            let done = try await fixture.propose(.pauseAgent, [.agents: ["writer"]], for: incident)
            try await fixture.act()
            try await fixture.end("HighErrorRate", [("agent", "writer")])
            try await fixture.storage.write { [incidents = fixture.incidents] in
                _ = try incidents.reach(.resolved, of: Identifier(stored: incident), by: .system, in: $0)
            }
            fixture.time.advance(by: .hours(24 * 401))
            let retention = IncidentRetention(service: fixture.incidents, storage: fixture.storage)
            #expect(try await retention.forget() == 1)
            try await fixture.loop.release()
            let id = done.id.text
            #expect(try await Self.places(fixture) == ["list": [id], "page": [id], "claims": [id]])
            #expect(try await Self.metric(fixture) == 1)
            try await fixture.direct(.resume, "writer")
            try await fixture.loop.release()
            #expect(try await Self.places(fixture) == ["list": [], "page": [], "claims": []])
            #expect(try await Self.metric(fixture) == 0)
            #expect(await code { try await fixture.containment(done.id) } == "not_found")
            #expect(try await fixture.eventTypes("containment.").last == "containment.released")
            // The next one acts, and is taken back whole.
            let second = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            let next = try await fixture.propose(.pauseAgent, [.agents: ["writer"]], for: second)
            try await fixture.act()
            #expect(try await fixture.containment(next.id).steps[0].outcomes.map(\.word) == [.acted])
            try await fixture.reverse(next.id)
            #expect(try await !fixture.agent("writer").isPaused)
            #expect(try await Self.claims(fixture) == 0)
        }
    }

    @Test("what was ended by hand is planned anew when it comes back within its incident")
    func plannedAnew() async throws {
        let labels = [("agent", "writer")]
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("writer")
            let incident = try await fixture.fire("ToolStorm", labels, mode: .infiniteLoop)
            try await fixture.act()
            let first = try #require(try await fixture.containments(incident).first)
            try await fixture.direct(.resume, "writer")
            // No round looked in between.
            try await fixture.end("ToolStorm", labels, mode: .infiniteLoop)
            // Ids sort by time.
            fixture.time.advance(by: .seconds(1))
            #expect(try await fixture.fire("ToolStorm", labels, mode: .infiniteLoop) == incident)
            try await fixture.act()
            let all = try await fixture.containments(incident)
            #expect(all.map(\.state) == [.acted, .acted] && all.map(\.isInForce) == [false, true])
            #expect(all[0].json["reversible"] == false && all[0].json["releasedAt"] != .null)
            #expect(await code { try await fixture.reverse(first.id) } == "conflict")
            #expect(try await fixture.agent("writer").isPaused)
            // The same reason stands twice; the second alone holds it.
            try await fixture.reverse(all[1].id)
            #expect(try await !fixture.agent("writer").isPaused)
            #expect(try await Self.claims(fixture) == 0)
        }
    }

    @Test("a claim that others ended keeps nobody from taking back")
    func stale() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer")
            var done: [Containment] = []
            for (alert, label) in [("HighErrorRate", "agent"), ("QueueBackup", "queue")] {
                let incident = try await fixture.fire(alert, [(label, "writer")])
                done.append(try await fixture.propose(.pauseAgent, [.agents: ["writer"]], for: incident))
                try await fixture.act()
                if done.count == 1 { try await fixture.direct(.resume, "writer") }
            }
            #expect(try await fixture.agent("writer").isPaused)
            try await fixture.reverse(done[1].id)
            #expect(try await !fixture.agent("writer").isPaused)
        }
    }

    @Test("a pause that a second containment took over is in force until both are taken back")
    func shared() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer")
            var ids: [String] = []
            for (alert, label) in [("HighErrorRate", "agent"), ("QueueBackup", "queue")] {
                let incident = try await fixture.fire(alert, [(label, "writer")])
                ids.append(try await fixture.propose(.pauseAgent, [.agents: ["writer"]], for: incident).id.text)
                try await fixture.act()
                fixture.time.advance(by: .seconds(1))
            }
            try await fixture.loop.release()
            // The newest first, in pages.
            #expect(try await Self.places(fixture)["list"] == ids.reversed())
            let rest = try await fixture.storage.read { [service = fixture.service, ids] in
                try service.held(Page(limit: 1, after: ids[1]), in: $0).map(\.id.text)
            }
            #expect(rest == [ids[0]])
            try await fixture.reverse(Identifier(stored: ids[1]))
            try await fixture.loop.release()
            #expect(try await Self.places(fixture)["list"] == [ids[0]])
        }
    }

    /// What each kind of hold is ended by.
    enum Hand: String, Sendable, CaseIterable {
        case pause, quarantine, resume, hold, queue, budget, config, process
    }

    @Test("each kind of hold is over once somebody ends it", arguments: Hand.allCases)
    func ended(_ hand: Hand) async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer")
            let task = try await fixture.base.create(["title": "a", "queue": "inbox"])
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            func act(_ action: ContainmentAction, _ values: [ContainmentParameter: [String]]) async throws {
                _ = try await fixture.propose(action, values, for: incident)
                try await fixture.act()
                try await fixture.loop.release()
            }
            let agents: [ContainmentParameter: [String]] = [.agents: ["writer"]]
            let by = TaskFixture.operatorKey
            switch hand {
            case .pause: try await act(.pauseAgent, agents)
            case .quarantine: try await act(.quarantineAgent, agents)
            case .resume:
                try await fixture.direct(.pause, "writer", reason: "mine")
                try await act(.resumeAgent, agents)
            case .hold: try await act(.holdTask, [.tasks: [task.id.text]])
            case .queue: try await act(.pauseQueue, [.queues: ["inbox"]])
            case .budget: try await act(.cutBudget, [.scopes: ["agent:writer"]])
            case .config: try await act(.pinBack, [.agents: ["writer"], .version: ["v1"]])
            case .process: try await act(.killProcess, [.tasks: [task.id.text]])
            }
            // What is final holds nothing from the beginning.
            #expect(try await Self.metric(fixture) == (hand == .process ? 0 : 1))
            switch hand {
            case .pause: try await fixture.direct(.resume, "writer")
            case .quarantine: try await fixture.direct(.releaseQuarantine, "writer")
            case .resume: try await fixture.direct(.pause, "writer", reason: "mine again")
            case .hold:
                _ = try await fixture.base.change {
                    try $0.resume(task.id.text, .incident, answer: .null, token: nil, by: by, in: $1)
                }
            case .queue:
                try await fixture.storage.write { [queues = fixture.base.queues] in
                    _ = try queues.setPause(queue: "inbox", reason: nil, by: by, in: $0)
                }
            case .budget: try await fixture.put("agent:writer", ["limit": ["usd": 1]])
            case .config:
                var edit = AgentEdit()
                edit.configDesired = .some("v2")
                try await fixture.storage.write { [agents = fixture.base.agents, edit] in
                    _ = try agents.edit("writer", edit, ifMatch: nil, by: by, in: $0)
                }
            case .process: break
            }
            try await fixture.loop.release()
            #expect(try await Self.places(fixture) == ["list": [], "page": [], "claims": []])
            #expect(try await Self.metric(fixture) == 0)
            let now = try #require(try await fixture.containments(incident).first)
            #expect(now.state == .acted && !now.isInForce && !now.canReverse)
            let told = try await fixture.eventTypes("containment.released").count
            #expect(told == (hand == .process ? 0 : 1))
        }
    }

    @Test("a round looks at a bounded number, and the next one goes on behind them")
    func bounded() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            let count = ContainmentLoop.heldMax + 5
            let incidents = try await Array(0..<2).asyncMap { try await fixture.fire("A\($0)", [("queue", "q\($0)")]) }
            for number in 0..<count {
                try await fixture.register("a\(number)")
                _ = try await fixture.propose(
                    .pauseAgent, [.agents: ["a\(number)"]], for: incidents[number % incidents.count])
            }
            for _ in 0..<4 { try await fixture.act() }
            for number in 0..<count { try await fixture.direct(.resume, "a\(number)") }
            try await fixture.loop.release()
            #expect(try await Self.metric(fixture) == 5)
            try await fixture.loop.release()
            #expect(try await Self.metric(fixture) == 0)
        }
    }
}
