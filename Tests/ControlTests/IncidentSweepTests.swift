import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Incidents: what comes by itself costs nothing until it is due")
struct IncidentSweepTests {
    /// Never content about those that it is told of.
    private struct Picky: IncidentVerification {
        func pending(_ incident: Incident, in transaction: Transaction) throws -> [String] {
            incident.title.hasPrefix("stuck") ? ["the golden tasks pass"] : []
        }
    }

    private func hasWork(_ bench: IncidentFixture) async throws -> Bool {
        try await bench.storage.read { [incidents = bench.incidents] in try incidents.hasWork(in: $0) }
    }

    /// Incidents that are quiet since now.
    private static func fill(_ bench: IncidentFixture, _ count: Int, title: String) async throws {
        try await bench.change { incidents, transaction in
            for number in 0..<count {
                let id = Identifier<Incident>(incidents.world)
                var incident = Incident(
                    id: id, title: "\(title) \(number)", severity: .info, groupKey: id.text,
                    subjects: ["agent:\(title)\(number)"],
                    milestones: [.detected: incidents.world.now, .mitigated: incidents.world.now], openedBy: "reeve")
                try incidents.insert(&incident, near: [], in: transaction)
                incident.quietSince = incidents.world.now
                try incidents.save(incident, in: transaction)
            }
        }
    }

    @Test("a thousand incidents each have their turn", arguments: TestEngine.available)
    func fair(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine, verifications: [Picky()]) { bench in
            try await Self.fill(bench, 600, title: "stuck")
            bench.time.advance(by: .seconds(Int64(1)))
            try await Self.fill(bench, 400, title: "fine")
            bench.time.advance(by: .minutes(5))
            var (rounds, verified) = (0, 0)
            while verified < 400, rounds < 20 {
                verified += try await bench.change { try $0.sweep(in: $1) }
                rounds += 1
            }
            // Those that wait stand behind those that are due, not before them.
            #expect((verified, rounds) == (400, 5))
            #expect(try await !hasWork(bench))
            bench.time.advance(by: .seconds(Int64(10)))
            #expect(try await hasWork(bench))
        }
    }

    @Test("nothing is looked at before its time, for as long as it waits", arguments: TestEngine.available)
    func idle(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("AgentDown", ["agent": "writer"])
            #expect(try await !hasWork(bench))
            try await bench.end("AgentDown", ["agent": "writer"])
            bench.time.advance(by: .seconds(Int64(299)))
            #expect(try await !hasWork(bench))
            #expect(try await bench.pass(.seconds(Int64(1))) == 1)
            #expect(try await !hasWork(bench))
            try await bench.state(.resolved, of: id)
            bench.time.advance(by: .seconds(Int64(24 * 3_600 - 1)))
            #expect(try await !hasWork(bench))
            bench.time.advance(by: .seconds(Int64(1)))
            #expect(try await hasWork(bench))
            #expect(try await bench.pass(.zero) == 1)
            #expect(try await !hasWork(bench))
        }
    }

    @Test("other settings count from the next start on", arguments: TestEngine.available)
    func arms(_ engine: TestEngine) async throws {
        var settings = Settings().incidents
        settings.resolveMinutes = 0
        try await IncidentFixture.on(engine, policy: IncidentPolicy(settings)) { bench in
            let id = try await bench.fire("AgentDown", ["agent": "writer"])
            try await bench.end("AgentDown", ["agent": "writer"])
            try await bench.pass(.minutes(5))
            #expect(try await bench.pass(.hours(9)) == 0)
            let next = IncidentService(
                events: bench.tasks.events, audit: AuditService(world: bench.world), world: bench.world)
            try await bench.storage.write { transaction in
                try next.arm(in: transaction)
                #expect(try next.sweep(in: transaction) == 1)
            }
            #expect(try await bench.incident(id).state == .resolved)
        }
    }

    @Test("a look at nothing is a look into an index", arguments: TestEngine.available)
    func plan(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            try await Self.fill(bench, 300, title: "fine")
            let now = bench.world.now
            for (statement, index) in [
                (IncidentStore.isDue(at: now), "incidents_due"), (PostmortemStore.isDue(at: now), "postmortems_remind"),
            ] {
                let plan = try await bench.storage.write { transaction in
                    if engine != .sqlite {
                        // A table of a test is so small that reading all of it would be cheaper.
                        try transaction.run("SET LOCAL enable_seqscan = off")
                    }
                    let explain: SQLText = engine == .sqlite ? "EXPLAIN QUERY PLAN " : "EXPLAIN "
                    return try transaction.rows(explain + statement).map {
                        engine == .sqlite ? $0.text("detail") : $0.text("QUERY PLAN")
                    }.joined(separator: "\n")
                }
                #expect(plan.contains(index), "\(plan)")
            }
        }
    }

    @Test("where the log does not grow, timelines ask for its end alone", arguments: TestEngine.available)
    func timelines(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("AgentDown", ["agent": "writer"])
            for _ in 0..<30 { try await bench.note("custom.thing") }
            try await bench.timelines.follow()
            // One that another replica brings is followed as well.
            try await bench.note("agent.paused", agent: "writer")
            try await bench.timelines.follow()
            let other = try await bench.fire("AgentDown", ["agent": "reader"])
            try await bench.note("agent.paused", agent: "reader")
            try await bench.timelines.follow()
            #expect(try await bench.story(id).last == "agent agent.paused agent:writer")
            #expect(try await bench.story(other).last == "agent agent.paused agent:reader")
        }
    }

    @Test("each incident has its turn where there are more than one look takes")
    func turns() {
        let all = (0..<45).map { "incident_\(100 - $0)" }.sorted(by: >)
        var seen: [String: Int] = [:]
        var last: String?
        for _ in 0..<9 {
            let turn = IncidentTraces.turn(all, behind: last)
            #expect(turn.count == IncidentTraces.incidentsMax)
            for id in turn { seen[id, default: 0] += 1 }
            last = turn.last
        }
        #expect(Set(seen.values) == [4], "\(seen)")
    }
}
