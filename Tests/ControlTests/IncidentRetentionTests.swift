import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Incidents: what is kept, and what is forgotten")
struct IncidentRetentionTests {
    private static let tables: [SQLText] = [
        "incidents", "incident_entries", "incident_alerts", "incident_subjects", "incident_actions", "postmortems",
        "containments", "containment_steps", "runbook_runs", "runbook_steps",
    ]

    private static func rows(_ bench: IncidentMergeTests.Bench) async throws -> Int64 {
        try await bench.base.storage.read { transaction in
            try tables.reduce(0) {
                $0 + (try transaction.first("SELECT count(*) AS n FROM \(sql: $1)")?.int("n") ?? 0)
            }
        }
    }

    private static func retention(_ bench: IncidentMergeTests.Bench) -> IncidentRetention {
        IncidentRetention(service: bench.incidents, storage: bench.base.storage)
    }

    /// An incident with an alert, a run, a containment and a document that is over.
    private static func over(_ bench: IncidentMergeTests.Bench, _ agent: String) async throws -> String {
        let id = try await bench.fire("AgentDown", agent)
        let pause = try await bench.base.propose(.pauseAgent, [.agents: [agent]], for: id)
        try await bench.base.act()
        _ = try await bench.base.reverse(pause.id)
        let run = try await bench.run(on: id)
        try await bench.base.storage.write { [runbooks = bench.runbooks, incidents = bench.incidents] in
            _ = try runbooks.stop(run.id.text, reason: nil, by: IncidentFixture.ada, in: $0)
            _ = try incidents.state(.resolved, of: id, note: "", by: IncidentFixture.ada, in: $0)
        }
        try await bench.end("AgentDown", agent)
        return id
    }

    @Test("all that belongs to an old incident goes, and nothing of a younger one", arguments: TestEngine.available)
    func whole(_ engine: TestEngine) async throws {
        try await IncidentMergeTests.on(engine) { bench in
            let first = try await bench.fire("TaskStuck", "a")
            let merged = try await bench.fire("TaskStuck", "b")
            _ = try await bench.merge(merged, into: first)
            for name in ["a", "b"] { try await bench.end("TaskStuck", name) }
            try await bench.base.storage.write { [incidents = bench.incidents] in
                _ = try incidents.state(.resolved, of: first, note: "", by: IncidentFixture.ada, in: $0)
            }
            _ = try await Self.over(bench, "a")
            bench.base.time.advance(by: .hours(24 * 399))
            let young = try await Self.over(bench, "b")
            #expect(try await Self.retention(bench).forget() == 0)
            bench.base.time.advance(by: .hours(25))
            // With the one goes what became a part of it.
            #expect(try await Self.retention(bench).forget() == 3)
            for id in [first, merged] {
                #expect(await code { try await bench.read { try $0.known(id, in: $1) } } == "not_found")
            }
            #expect(try await bench.read { try $0.known(young, in: $1).state } == .resolved)
            bench.base.time.advance(by: .hours(24 * 401))
            #expect(try await Self.retention(bench).forget() == 1)
            #expect(try await Self.rows(bench) == 0)
        }
    }

    @Test("what is open stays, however old it is", arguments: TestEngine.available)
    func open(_ engine: TestEngine) async throws {
        try await IncidentMergeTests.on(engine) { bench in
            let open = try await bench.fire("AgentDown", "a")
            let owed = try await Self.over(bench, "b")
            let item = IncidentService.ActionEdit(summary: "do", owner: "ada")
            try await bench.base.storage.write { [incidents = bench.incidents] in
                _ = try incidents.addAction(item, to: owed, by: IncidentFixture.ada, in: $0)
            }
            bench.base.time.advance(by: .hours(24 * 1_000))
            #expect(try await Self.retention(bench).forget() == 0)
            // Its item is done: nothing of it is open any more.
            try await bench.base.storage.write { [incidents = bench.incidents] in
                _ = try incidents.editAction(
                    1, IncidentService.ActionEdit(state: .done), of: owed, by: IncidentFixture.ada, in: $0)
            }
            #expect(try await Self.retention(bench).forget() == 1)
            #expect(try await bench.read { try $0.known(open, in: $1).isOpen })
        }
    }

    @Test("a legal hold keeps incidents and alerts until it is lifted", arguments: TestEngine.available)
    func holds(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let retention = RetentionService(
                events: bench.tasks.events, audit: AuditService(world: bench.world), world: bench.world)
            let begin = bench.world.now
            let id = try await bench.fire("AgentDown", ["agent": "writer", "host": "kay-9"])
            try await bench.end("AgentDown", ["agent": "writer", "host": "kay-9"])
            try await bench.state(.resolved, of: id)
            let other = try await bench.fire("AgentDown", ["agent": "reader"])
            try await bench.end("AgentDown", ["agent": "reader"])
            try await bench.state(.resolved, of: other)
            bench.time.advance(by: .hours(24 * 500))
            let nanoseconds = begin.microseconds * 1_000
            let targets: [(TelemetryHold.Target, Int)] = [
                (.agent("writer"), 1), (.subject("kay-9"), 1), (.times(nanoseconds - 1_000..<nanoseconds + 1_000), 2),
                (.agent("nobody"), 0), (.subject("nobody else"), 0), (.times(5..<6), 0), (.correlation("order-1"), 0),
            ]
            for (target, kept) in targets {
                // What would go is seen in a transaction that is not kept.
                struct Undone: Error { let incidents: Int, alerts: Int }
                do {
                    try await bench.storage.write { [incidents = bench.incidents, alerts = bench.alerts] transaction in
                        _ = try retention.hold(target, reason: "a case", by: IncidentFixture.ada, in: transaction)
                        let begin = Timestamp(microseconds: 0)
                        let gone = try incidents.forget(behind: begin, "", limit: 10, in: transaction).count
                        try alerts.forget(before: incidents.world.now, in: transaction)
                        let left = try alerts.ended(since: begin, limit: 10, in: transaction).count
                        throw Undone(incidents: 2 - gone, alerts: left)
                    }
                } catch let undone as Undone {
                    #expect((undone.incidents, undone.alerts) == (kept, kept), "\(target)")
                }
            }
            let found = IncidentRetention(service: bench.incidents, storage: bench.storage)
            #expect(try await found.forget() == 2)
        }
    }

    @Test(
        "many are forgotten in bounded commits, and one that is held holds up nobody", arguments: TestEngine.available)
    func bounded(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            for number in 0..<23 {
                let name = number < 6 ? "held" : "other"
                let id = try await bench.open([
                    "title": "x", "severity": "info", "subjects": .list(["agent:\(name)"]),
                ]).id.text
                try await bench.state(.resolved, of: id)
            }
            let retention = RetentionService(
                events: bench.tasks.events, audit: AuditService(world: bench.world), world: bench.world)
            try await bench.storage.write {
                _ = try retention.hold(.agent("held"), reason: "a case", by: IncidentFixture.ada, in: $0)
            }
            bench.time.advance(by: .hours(24 * 500))
            let loop = IncidentRetention(service: bench.incidents, storage: bench.storage)
            #expect(try await loop.forget() == 17)
            #expect(try await loop.forget() == 0)
        }
    }
}
