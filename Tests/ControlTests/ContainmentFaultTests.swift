import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("A store that fails while a plan is made")
struct ContainmentFaultTests {
    private static func rename(_ fixture: ContainmentFixture, _ table: String, to name: String) async throws {
        try await fixture.storage.write { try $0.define("ALTER TABLE \(table) RENAME TO \(name)") }
    }

    private static func late(_ fixture: ContainmentFixture) async throws -> Int {
        let now = fixture.base.world.now + .hours(1)
        return try await fixture.storage.read { [store = fixture.service.store] in
            try store.latePlans(at: now, limit: 10, in: $0).count
        }
    }

    private static let labels = [("scope", "project:p")]

    @Test("the alert is kept with its incident, and the plan is made later, once", arguments: TestEngine.available)
    func kept(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine, policy: try .acting) { fixture in
            try await fixture.register("writer", project: "p")
            // Whom the plan reaches cannot be asked.
            try await Self.rename(fixture, "callers", to: "callers_away")
            let incident = try await fixture.fire("Burn", Self.labels, mode: .budgetRunaway)
            #expect(try await fixture.eventTypes("alert.") == ["alert.fired"])
            #expect(try await fixture.timeline(incident).map(\.kind).contains("alert"))
            #expect(try await fixture.containments(incident).isEmpty)
            // Not at once, and each time a while later.
            try await fixture.loop.makeUp()
            fixture.time.advance(by: ContainmentService.latePlanWait)
            await #expect(throws: (any Error).self) { try await fixture.loop.makeUp() }
            #expect(try await fixture.containments(incident).isEmpty)
            try await Self.rename(fixture, "callers_away", to: "callers")
            fixture.time.advance(by: ContainmentService.latePlanWait)
            try await fixture.loop.makeUp()
            #expect(try await fixture.containments(incident).isEmpty)
            fixture.time.advance(by: ContainmentService.latePlanWait)
            for _ in 0..<3 {
                try await fixture.loop.makeUp()
                try await fixture.act()
            }
            #expect(try await fixture.containments(incident).map(\.state) == [.acted])
            #expect(try await fixture.budget("project:p")?.limit.nanoUSD == 0)
            #expect(try await Self.late(fixture) == 0)
            #expect(try await fixture.eventTypes("alert.") == ["alert.fired"])
        }
    }

    @Test("what is over by then needs no plan")
    func over() async throws {
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("writer", project: "p")
            try await Self.rename(fixture, "callers", to: "callers_away")
            let incident = try await fixture.fire("Burn", Self.labels, mode: .budgetRunaway)
            #expect(try await Self.late(fixture) == 1)
            try await Self.rename(fixture, "callers_away", to: "callers")
            try await fixture.end("Burn", Self.labels, mode: .budgetRunaway)
            fixture.time.advance(by: ContainmentService.latePlanWait)
            try await fixture.loop.makeUp()
            #expect(try await fixture.containments(incident).isEmpty)
            #expect(try await Self.late(fixture) == 0)
        }
    }

    @Test("the wait grows up to a bound, for as long as the incident goes on")
    func patient() async throws {
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("writer", project: "p")
            try await Self.rename(fixture, "callers", to: "callers_away")
            let incident = try await fixture.fire("Burn", Self.labels, mode: .budgetRunaway)
            for _ in 0..<20 {
                fixture.time.advance(by: ContainmentService.latePlanWaitMax)
                await #expect(throws: (any Error).self) { try await fixture.loop.makeUp() }
                #expect(try await Self.late(fixture) == 1)
            }
            try await Self.rename(fixture, "callers_away", to: "callers")
            fixture.time.advance(by: ContainmentService.latePlanWaitMax)
            try await fixture.loop.makeUp()
            #expect(try await fixture.containments(incident).count == 1)
        }
    }
}
