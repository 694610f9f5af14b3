import Kernel
import TestSupport
import Testing

@testable import Control

/// Two processes on one database, as replicas are; on SQLite, where one process has it, two services on one store.
@Suite("What another replica hears of holds an old value back")
struct SecretReplicaTests {
    private typealias Fixture = RotationFixture
    private static let ada = RotationFixture.ada

    private static func pair(
        _ engine: TestEngine, _ body: (_ one: RotationFixture, _ two: RotationFixture) async throws -> Void
    ) async throws {
        try await TestStorage.withLocation(engine) { location in
            let time = ManualTime()
            func open() throws -> any Storage {
                try StorageOpener.open(
                    location, migrations: Fixture.migrations, world: .test(time: time), limits: TestStorage.limits)
            }
            let first = try open()
            let second = engine == .postgres ? try open() : first
            func close() async {
                await first.close()
                if engine == .postgres { await second.close() }
            }
            do {
                let one = try Fixture(first, time: time, replica: "one")
                try await one.begin()
                try await body(one, try Fixture(second, time: time, seed: 2, replica: "two"))
            } catch {
                await close()
                throw error
            }
            await close()
        }
    }

    private static func rows(_ fixture: RotationFixture) async throws -> Set<String> {
        try await fixture.storage.read { transaction in
            Set(
                try transaction.rows("SELECT replica, agent FROM secret_sessions").map {
                    "\($0.text("replica")) \($0.text("agent"))"
                })
        }
    }

    @Test("a session that one hears of keeps the value for the other", arguments: TestEngine.available)
    func sessions(_ engine: TestEngine) async throws {
        try await Self.pair(engine) { one, two in
            _ = try await one.read(Fixture.agent("writer"))
            let start = one.time.now
            two.sessions.set(["writer": start, "stranger": start])
            try await two.service.tellSessions()
            // Nothing is being replaced, so nobody has to know.
            #expect(try await Self.rows(one).isEmpty)
            try await one.go(to: .draining)
            try await two.service.tellSessions()
            #expect(try await Self.rows(one) == ["two writer"])
            try await one.service.act()
            #expect(try await one.state() == .draining)
            for fixture in [one, two] {
                let view = try await fixture.service.view(one.path)
                #expect(view.users.first?.running == 1 && view.waitsFor.count == 1)
            }
            #expect(await one.code { try await one.service.retire(one.path, by: Self.ada) } == "conflict")
            // What this one hears of itself counts once, and as it is now.
            one.sessions.set(["writer": start])
            try await one.service.tellSessions()
            #expect(try await one.service.view(one.path).users.first?.running == 1)
            one.sessions.set([:])
            // The agent has moved, and its session began behind that.
            #expect(try await two.read(Fixture.agent("writer")) == "new-value")
            one.time.advance(by: .seconds(60))
            two.sessions.set(["writer": one.time.now])
            try await two.service.tellSessions()
            #expect(try await one.service.view(one.path).users.first?.running == 0)
            try await one.service.tellSessions()
            #expect(try await Self.rows(one) == ["two writer"])
            try await one.service.act()
            #expect(try await one.state() == .retired)
            try await two.service.tellSessions()
            #expect(try await Self.rows(one).isEmpty)
        }
    }

    @Test("a replica that is gone holds nothing back for long", arguments: TestEngine.available)
    func gone(_ engine: TestEngine) async throws {
        try await Self.pair(engine) { one, two in
            _ = try await one.read(Fixture.agent("writer"))
            two.sessions.set(["writer": one.time.now])
            try await one.go(to: .draining)
            try await two.service.tellSessions()
            // Said again each minute, and otherwise not written.
            one.time.advance(by: SecretRotationService.sessionInterval)
            try await two.service.tellSessions()
            one.time.advance(by: .seconds(SecretRotationService.sessionStanding.seconds - 1))
            try await one.service.tellSessions()
            try await one.service.act()
            #expect(try await one.state() == .draining)
            one.time.advance(by: .seconds(1))
            try await one.service.tellSessions()
            #expect(try await Self.rows(one).isEmpty)
            try await one.service.act()
            #expect(try await one.state() == .retired)
        }
    }

    @Test("a lease that one gave holds for the other, and its end too", arguments: TestEngine.available)
    func leases(_ engine: TestEngine) async throws {
        try await Self.pair(engine) { one, two in
            let writer = Fixture.agent("writer")
            let lease = try await two.secrets.lease(one.path, version: nil, seconds: 86_400, by: writer).lease
            let id = try #require(lease).id
            try await one.go(to: .overlap)
            one.time.advance(by: .hours(20))
            _ = try await two.secrets.renewLease(id, seconds: 86_400, by: writer)
            one.time.advance(by: .hours(23))
            for _ in 0..<2 { try await one.service.act() }
            let view = try await one.service.view(one.path)
            #expect(view.kept?.rotation.state == .draining && view.users.first?.running == 1)
            try await two.secrets.revokeLease(id, by: writer)
            #expect(try await one.service.view(one.path).users.first?.running == 0)
            one.time.advance(by: .hours(1))
            try await one.service.act()
            #expect(try await one.state() == .retired)
        }
    }
}
