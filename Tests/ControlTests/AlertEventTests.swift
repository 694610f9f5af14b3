import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Events of PagerDuty's form in the store")
struct AlertEventTests {
    private struct Bench: Sendable {
        let time = ManualTime()
        let storage: any Storage
        let alerts: AlertService
        let service: AlertEventService

        init(_ storage: any Storage) {
            let world = World.test(time: time)
            self.storage = storage
            alerts = AlertService(events: Events(world: world), world: world)
            service = AlertEventService(alerts: alerts, events: Events(world: world), world: world)
        }

        func send(_ action: String) async throws {
            let body = JSONObject([
                .init(name: "event_action", value: .string(action)), .init(name: "dedup_key", value: "d1"),
                .init(name: "payload", value: ["summary": "s", "source": "db", "severity": "critical"]),
            ])
            let event = try AlertEvent(Fields(body, limits: Limits()))
            try await storage.write { [service] in
                _ = try service.take(event, from: "events:k", by: .system, in: $0)
            }
        }

        func pass(days: Int64) async throws {
            time.advance(by: .hours(24 * days))
            try await storage.write { [service] in try service.forget(in: $0) }
        }

        var firing: Int {
            get async throws { try await storage.read { [alerts] in try alerts.firing(in: $0).count } }
        }
    }

    @Test("one that is triggered again and again is still known when it is resolved", arguments: TestEngine.available)
    func triggeredAgain(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: NotificationSchemaOfEvents.migrations) { storage in
            let bench = Bench(storage)
            try await bench.send("trigger")
            for _ in 0..<3 {
                try await bench.pass(days: 20)
                try await bench.send("trigger")
            }
            // Long after it began, and within the time of its last trigger.
            try await bench.pass(days: 15)
            #expect(try await bench.firing == 1)
            try await bench.send("resolve")
            #expect(try await bench.firing == 0)
        }
    }

    @Test("one that begins anew is acknowledged anew", arguments: TestEngine.available)
    func acknowledgedAgain(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: NotificationSchemaOfEvents.migrations) { storage in
            let bench = Bench(storage)
            for _ in 0..<2 {
                for action in ["trigger", "acknowledge", "acknowledge"] { try await bench.send(action) }
                // It ends by itself, as nobody spoke of it.
                bench.time.advance(by: AlertEvent.lastsAtMost + .seconds(1))
                try await storage.write { [alerts = bench.alerts] in _ = try alerts.expire(in: $0) }
            }
            let types = try await storage.read { transaction in
                try Events(world: .test()).store.list(after: 0, limit: 100, in: transaction).map { String($0.type) }
            }
            #expect(types.count { $0 == "alert.acknowledged" } == 2, "\(types)")
        }
    }
}

private enum NotificationSchemaOfEvents {
    static let migrations = AlertSchema.migrations + NotificationSchema.migrations + EventSchema.migrations
}
