import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Alerts in the store")
struct AlertServiceTests {
    private static let hot = LabelSet([("alertname", "Hot"), ("severity", "warning"), ("agent", "ann")])

    /// A service, its store, and the time that both live by.
    private static func with(
        _ engine: TestEngine, _ body: (AlertService, any Storage, ManualTime) async throws -> Void
    ) async throws {
        let time = ManualTime()
        let world = World.test(time: time)
        let events = Events(world: world)
        let incidents = IncidentService(events: events, audit: AuditService(world: world), world: world)
        let service = AlertService(events: events, world: world, follower: incidents)
        let migrations =
            AlertSchema.migrations + IncidentSchema.migrations + AuditSchema.migrations + EventSchema.migrations
            + RetentionSchema.migrations
        try await withStorage(engine, migrations: migrations) { try await body(service, $0, time) }
    }

    private static func types(_ storage: any Storage) async throws -> [String] {
        try await storage.read { try EventStore().list(after: 0, limit: 100, in: $0).map(\.type) }
    }

    @Test("the same alert told again is one alert", arguments: TestEngine.available)
    func once(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, time in
            for round in 0..<3 {
                let post = AlertPost(labels: Self.hot, annotations: ["summary": "round \(round)"], value: Double(round))
                try await storage.write {
                    try service.take([post, post], origin: .rule, from: "a", in: $0)
                }
                time.advance(by: .minutes(1))
            }
            let firing = try await storage.read { try service.firing(in: $0) }
            #expect(firing.count == 1)
            #expect(firing.first?.summary == "round 2")
            #expect(firing.first?.value == 2)
            #expect(firing.first?.incidentID?.hasPrefix("incident_") == true)
            #expect(try await Self.types(storage) == ["incident.opened", "alert.fired"])
        }
    }

    @Test("it fires until all who said so say otherwise", arguments: TestEngine.available)
    func sources(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, time in
            let start = AlertPost(labels: Self.hot)
            try await storage.write { transaction in
                try service.take([start], origin: .rule, from: "a", in: transaction)
                try service.take([start], origin: .rule, from: "b", in: transaction)
            }
            time.advance(by: .seconds(1))
            let end = AlertPost(labels: Self.hot, endsAt: time.now)
            let first = try await storage.write { try service.take([end], origin: .rule, from: "a", in: $0) }
            #expect(first.isEmpty)
            #expect(try await storage.read { try service.firing(in: $0).count } == 1)
            let second = try await storage.write { try service.take([end], origin: .rule, from: "b", in: $0) }
            #expect(second.count == 1)
            #expect(try await storage.read { try service.firing(in: $0).isEmpty })
            // An end that is told again is none.
            #expect(try await storage.write { try service.take([end], origin: .rule, from: "b", in: $0) }.isEmpty)
        }
    }

    @Test("who falls silent lets an alert end, at the moment up to which it was said", arguments: TestEngine.available)
    func silence(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, time in
            let until = time.now + .minutes(2)
            let post = AlertPost(labels: Self.hot, endsAt: until)
            try await storage.write { try service.take([post], origin: .external, from: "api", in: $0) }
            time.advance(by: .seconds(119))
            #expect(try await storage.write { try service.expire(in: $0) }.isEmpty)
            time.advance(by: .minutes(10))
            let changes = try await storage.write { try service.expire(in: $0) }
            #expect(changes.map { $0.alert.endsAt } == [until])
            #expect(try await storage.write { try service.expire(in: $0) }.isEmpty)
            let since = time.now - .hours(1)
            let ended = try await storage.read { try service.ended(since: since, limit: 10, in: $0) }
            #expect(ended.map(\.labels) == [Self.hot])
            let types = try await Self.types(storage).filter { $0.hasPrefix("alert.") }
            #expect(types == ["alert.fired", "alert.resolved"])
        }
    }

    @Test("an alert that begins anew is another one", arguments: TestEngine.available)
    func anew(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, time in
            var ids: Set<String> = []
            for _ in 0..<2 {
                let post = AlertPost(labels: Self.hot)
                let changes = try await storage.write { try service.take([post], origin: .rule, from: "a", in: $0) }
                ids.formUnion(changes.map { $0.alert.id.text })
                time.advance(by: .seconds(1))
                let end = AlertPost(labels: Self.hot, endsAt: time.now)
                try await storage.write { try service.take([end], origin: .rule, from: "a", in: $0) }
            }
            #expect(ids.count == 2)
        }
    }

    @Test("numbers that JSON and SQL have no word for come back", arguments: TestEngine.available)
    func numbers(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, _ in
            for (index, value) in [Double.infinity, -.infinity, .nan, 1e300, -0.0].enumerated() {
                let labels = Self.hot.setting("number", "\(index)")
                let post = AlertPost(labels: labels, value: value)
                let changes = try await storage.write { try service.take([post], origin: .rule, from: "a", in: $0) }
                let id = try #require(changes.first?.alert.id)
                let found = try #require(try await storage.read { try service.alert(id, in: $0) }?.value)
                #expect(found == value || found.isNaN && value.isNaN)
            }
        }
    }

    @Test("what ended long ago is forgotten, what fires is not", arguments: TestEngine.available)
    func forgotten(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, time in
            let other = Self.hot.setting("agent", "bob")
            try await storage.write { transaction in
                let posts = [AlertPost(labels: Self.hot), AlertPost(labels: other)]
                try service.take(posts, origin: .rule, from: "a", in: transaction)
                try service.take(
                    [AlertPost(labels: other, endsAt: time.now)], origin: .rule, from: "a", in: transaction)
            }
            let end = time.now
            for (before, left) in [(end, 1), (end + .seconds(1), 0)] {
                try await storage.write { try service.forget(before: before, in: $0) }
                let ended = try await storage.read { try service.ended(since: end, limit: 10, in: $0) }
                #expect(ended.count == left)
            }
            #expect(try await storage.read { try service.firing(in: $0).map(\.labels) } == [Self.hot])
        }
    }
}
