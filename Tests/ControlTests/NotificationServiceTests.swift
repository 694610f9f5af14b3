import Kernel
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Control

/// Takes what it is given, and answers as the test says.
private final class ScriptedCourier: NotificationCourier {
    private let state = Mutex<(sent: [NotificationRequest], answers: [NotificationOutcome])>(([], []))
    private let onSend: @Sendable () async throws -> Void

    init(onSend: @escaping @Sendable () async throws -> Void = {}) { self.onSend = onSend }

    var sent: [NotificationRequest] { state.withLock { $0.sent } }

    func answer(_ outcomes: NotificationOutcome...) { state.withLock { $0.answers = outcomes } }

    func send(_ request: NotificationRequest) async -> NotificationOutcome {
        let outcome = state.withLock { state in
            state.sent.append(request)
            return state.answers.isEmpty ? NotificationOutcome.http(200, "ok") : state.answers.removeFirst()
        }
        try? await onSend()
        return outcome
    }

    func send(_ mail: NotificationMail) async -> NotificationOutcome { NotificationOutcome(.delivered) }
}

/// Takes all but what has a word in it.
private final class PickyCourier: NotificationCourier {
    private let word: String
    private let count = Mutex(0)

    init(refusing word: String) { self.word = word }

    var taken: Int { count.withLock { $0 } }

    func send(_ request: NotificationRequest) async -> NotificationOutcome {
        guard !String(decoding: request.body, as: UTF8.self).contains("\"\(word)\"") else { return .http(500, "no") }
        count.withLock { $0 += 1 }
        return .http(200, "ok")
    }

    func send(_ mail: NotificationMail) async -> NotificationOutcome { NotificationOutcome(.delivered) }
}

@Suite("Receivers are told of alerts")
struct NotificationServiceTests {
    /// A store with alerts, and services of several replicas over it.
    private struct Bench: Sendable {
        let time: ManualTime
        let world: World
        let storage: any Storage
        let alerts: AlertService
        let settings: NotificationSettings

        func service(_ replica: String, _ courier: any NotificationCourier) -> NotificationService {
            let (events, audit) = (Events(world: world), AuditService(world: world))
            return NotificationService(
                settings: settings, alerts: alerts,
                silences: SilenceService(events: events, audit: audit, world: world), courier: courier,
                storage: storage, externalURL: { "https://reeve.example.org" }, replica: replica, world: world)
        }

        var receiver: AlertReceiver { settings.receivers[0] }

        func fire(_ name: String, ended: Bool = false) async throws {
            let (alerts, now) = (alerts, world.now)
            let post = AlertPost(
                labels: LabelSet([("alertname", name)]), endsAt: ended ? now : now + .hours(200))
            try await storage.write { _ = try alerts.take([post], origin: .rule, from: "test", in: $0) }
        }
    }

    private static func with(
        _ engine: TestEngine, _ document: String? = nil, _ body: (Bench) async throws -> Void
    ) async throws {
        let text =
            document
                ?? #"""
                {"receivers":[{"name":"a","kind":"webhook","url":"https://example.org/hook"}],
                 "route":{"receiver":"a","groupWait":"10s","groupInterval":"60s"}}
                """#
        let time = ManualTime()
        let world = World.test(time: time)
        let settings = try NotificationSettings(try JSONParser.parse(text))
        let migrations =
            AlertSchema.migrations + NotificationSchema.migrations + AuditSchema.migrations + EventSchema.migrations
        try await withStorage(engine, migrations: migrations) { storage in
            let alerts = AlertService(events: Events(world: world), world: world)
            try await body(Bench(time: time, world: world, storage: storage, alerts: alerts, settings: settings))
        }
    }

    private static func deliveries(_ service: NotificationService) async throws -> [NotificationDelivery] {
        try await service.storage.read { try service.store.deliveries(of: nil, page: Page(limit: 50), in: $0) }
    }

    @Test("what was told is not told again after a restart, and the end is", arguments: TestEngine.available)
    func restart(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let courier = ScriptedCourier()
            try await bench.fire("A")
            try await bench.service("one", courier).round(bench.receiver)
            #expect(courier.sent.isEmpty)
            bench.time.advance(by: .seconds(11))
            try await bench.service("one", courier).round(bench.receiver)
            #expect(courier.sent.count == 1)
            // Another process, which knows what the store knows.
            let next = bench.service("one", courier)
            for _ in 0..<5 {
                bench.time.advance(by: .seconds(30))
                try await next.round(bench.receiver)
            }
            #expect(courier.sent.count == 1)
            try await bench.fire("A", ended: true)
            bench.time.advance(by: .seconds(61))
            try await bench.service("one", courier).round(bench.receiver)
            let body = try JSONParser.parse(try #require(courier.sent.last).body)
            #expect(courier.sent.count == 2)
            #expect(body["status"] == "resolved")
            #expect(try await Self.deliveries(next).map(\.reason) == ["allResolved", "first"])
        }
    }

    @Test("an end is told however long ago the beginning was", arguments: TestEngine.available)
    func lateEnd(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let courier = ScriptedCourier()
            let service = bench.service("one", courier)
            try await bench.fire("A")
            bench.time.advance(by: .seconds(11))
            try await service.round(bench.receiver)
            try await bench.fire("A", ended: true)
            // Nobody was there for a day.
            bench.time.advance(by: .hours(30))
            try await service.round(bench.receiver)
            #expect(courier.sent.count == 2)
        }
    }

    @Test("of several replicas one sends", arguments: TestEngine.available)
    func replicas(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let courier = ScriptedCourier()
            try await bench.fire("A")
            bench.time.advance(by: .seconds(11))
            let services = ["one", "two", "three"].map { bench.service($0, courier) }
            let receiver = bench.receiver
            try await withThrowingTaskGroup(of: Void.self) { group in
                for service in services { group.addTask { for _ in 0..<5 { try await service.round(receiver) } } }
                try await group.waitForAll()
            }
            #expect(courier.sent.count == 1)
        }
    }

    @Test(
        "a replica that dies between sending and noting it repeats that once, with the same id",
        arguments: TestEngine.available)
    func death(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let courier = ScriptedCourier()
            try await bench.fire("A")
            bench.time.advance(by: .seconds(11))
            let dying = bench.service("one", courier)
            let plan = try await bench.storage.read { try dying.plan(bench.receiver, in: $0) }
            let job = try #require(plan.jobs.first)
            // It claims, sends, and is gone.
            #expect(try await dying.claim(plan).count == 1)
            let other = bench.service("two", courier)
            try await other.round(bench.receiver)
            #expect(courier.sent.isEmpty)
            bench.time.advance(by: NotificationService.claimFor + .seconds(1))
            try await other.round(bench.receiver)
            #expect(courier.sent.count == 1)
            let again = try await bench.storage.read { try other.store.groups(of: "a", in: $0) }
            #expect(again.map(\.version) == [1])
            // What the dead one would have noted does not count any more.
            #expect(try await bench.storage.write { try dying.store.keep(job.after, in: $0) } == false)
            #expect(job.group.messageID != again.first?.messageID)
        }
    }

    @Test("one that fails is tried again later, one that refuses with the next news", arguments: TestEngine.available)
    func failures(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let courier = ScriptedCourier()
            let service = bench.service("one", courier)
            courier.answer(
                .http(503, "busy", retryAfter: .seconds(30)), NotificationOutcome(.failed, "no answer in time"),
                .http(400, "what is this"))
            try await bench.fire("A")
            bench.time.advance(by: .seconds(11))
            var moments: [Int] = []
            for second in 0..<200 {
                let before = courier.sent.count
                try await service.round(bench.receiver)
                if courier.sent.count > before { moments.append(second) }
                bench.time.advance(by: .seconds(1))
            }
            // Retry-After, then the second step of the backoff, then the group's interval.
            #expect(moments == [0, 30, 34, 94])
            let kept = try await Self.deliveries(service)
            #expect(kept.map(\.outcome.state) == [.delivered, .refused, .failed, .failed])
            #expect(kept.map(\.outcome.status) == [200, 400, nil, 503])
            #expect(kept.map(\.attempt) == [4, 3, 2, 1])
        }
    }

    @Test("no secret stands in what is kept of an answer", arguments: TestEngine.available)
    func secrets(_ engine: TestEngine) async throws {
        try await TestStorage.withFolder { folder in
            try "s3cret-address".write(toFile: folder + "/key", atomically: true, encoding: .utf8)
            let document = """
                {"receivers":[{"name":"a","kind":"webhook","url":"https://example.org/","bearerFile":"\(folder)/key"}]}
                """
            try await Self.with(engine, document) { bench in
                let courier = ScriptedCourier()
                courier.answer(.http(403, "no such key: s3cret-address\r\n"))
                let service = bench.service("one", courier)
                let delivery = try await service.sendTest(to: "a")
                #expect(delivery.outcome.answer == "no such key: …  ")
                let headers = try #require(courier.sent.first).headers
                #expect(headers.contains { $0.name == "authorization" && $0.value == "Bearer s3cret-address" })
                #expect(try await Self.deliveries(service).map(\.reason) == ["test"])
                await #expect(throws: Problem.self) { try await service.sendTest(to: "b") }
            }
        }
    }

    @Test("groups that are never taken do not hold up those behind them", arguments: TestEngine.available)
    func starvation(_ engine: TestEngine) async throws {
        let document = #"""
            {"receivers":[{"name":"a","kind":"webhook","url":"https://example.org/hook"}],
             "route":{"receiver":"a","groupWait":"0s","groupInterval":"1s","groupBy":["..."]}}
            """#
        try await Self.with(engine, document) { bench in
            let courier = PickyCourier(refusing: "bad")
            let count = NotificationService.jobsMax + 20
            let posts = (0..<2 * count).map { number in
                AlertPost(
                    labels: LabelSet([("alertname", number < count ? "bad" : "good"), ("n", "\(number)")]),
                    endsAt: bench.world.now + .hours(1))
            }
            try await bench.storage.write { _ = try bench.alerts.take(posts, origin: .rule, from: "t", in: $0) }
            let service = bench.service("one", courier)
            for _ in 0..<8 {
                try await service.round(bench.receiver)
                bench.time.advance(by: .seconds(1))
            }
            #expect(courier.taken == count)
        }
    }

    @Test("a round changes so many groups and no more, and the rest comes with the next one")
    func bounded() async throws {
        let group = NotificationGroup(
            receiver: "a", key: "k", routeKey: "{}", labels: .none, createdAt: Timestamp(microseconds: 0),
            nextAt: Timestamp(microseconds: 0))
        var plan = NotificationPlan()
        (plan.added, plan.passed) = (Array(repeating: group, count: 5), [group])
        #expect(plan.isLonger(than: 4) && !plan.isLonger(than: 5))
        #expect((plan.cut(to: 4).added.count, plan.cut(to: 4).passed.count) == (4, 1))
    }

    @Test(
        "the loop forgets attempts by their time, and those of receivers that are gone", arguments: TestEngine.available
    )
    func forgotten(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let service = bench.service("one", ScriptedCourier())
            let loop = try #require(service.loops.first { $0.name == "alerts.deliveries" })
            _ = try await service.sendTest(to: "a")
            let gone = NotificationGroup(
                receiver: "gone", key: "k", routeKey: "{}", labels: .none, createdAt: bench.world.now,
                nextAt: bench.world.now)
            try await bench.storage.write { try service.store.insert(gone, in: $0) }
            bench.time.advance(by: NotificationDelivery.kept)
            try await loop.body()
            #expect(try await Self.deliveries(service).count == 1)
            #expect(try await bench.storage.read { try service.store.groups(of: "gone", in: $0) }.isEmpty)
            bench.time.advance(by: .seconds(2))
            try await loop.body()
            #expect(try await Self.deliveries(service).isEmpty)
        }
    }

    @Test("of too many attempts no more go at once than the loop may remove", arguments: TestEngine.available)
    func tooMany(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let service = bench.service("one", ScriptedCourier())
            for _ in 0..<6 {
                _ = try await service.sendTest(to: "a")
                bench.time.advance(by: .seconds(1))
            }
            let store = service.store
            let before = bench.world.now - .hours(1)
            try await bench.storage.write { try store.forget(before: before, beyond: 1, limit: 2, in: $0) }
            #expect(try await Self.deliveries(service).count == 4)
        }
    }

    @Test("attempts are kept for a while, and so many", arguments: TestEngine.available)
    func retention(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let service = bench.service("one", ScriptedCourier())
            for _ in 0..<6 {
                _ = try await service.sendTest(to: "a")
                bench.time.advance(by: .hours(1))
            }
            let (store, now) = (service.store, bench.world.now)
            try await bench.storage.write {
                try store.forget(before: now - .hours(4), beyond: 3, limit: 100, in: $0)
            }
            #expect(try await Self.deliveries(service).count == 3)
        }
    }
}

@Suite("Silences")
struct SilenceServiceTests {
    private static let ada = Principal(keyID: "key_ada", name: "ada", role: .operator_)

    @Test("one that has begun keeps its id while its matchers stay", arguments: TestEngine.available)
    func changes(_ engine: TestEngine) async throws {
        let time = ManualTime()
        let world = World.test(time: time)
        let events = Events(world: world)
        let service = SilenceService(events: events, audit: AuditService(world: world), world: world)
        let migrations = NotificationSchema.migrations + AuditSchema.migrations + EventSchema.migrations
        try await withStorage(engine, migrations: migrations) { storage in
            func set(_ id: String?, _ value: String, hours: Int64) async throws -> Silence {
                let draft = SilenceService.Draft(
                    id: id, matchers: [try LabelMatcher("alertname", .equal, value)], startsAt: nil,
                    endsAt: world.now + .hours(hours), createdBy: "ada", comment: "")
                return try await storage.write { try service.set(draft, by: Self.ada, in: $0) }
            }
            let first = try await set(nil, "A", hours: 1)
            time.advance(by: .seconds(60))
            let longer = try await set(first.id, "A", hours: 2)
            #expect(longer.id == first.id)
            #expect(longer.startsAt == first.startsAt)
            let other = try await set(first.id, "B", hours: 2)
            #expect(other.id != first.id)
            let states = try await storage.read { transaction in
                try [first.id, other.id].map { try service.store.silence($0, in: transaction)?.state(at: world.now) }
            }
            #expect(states == [.expired, .active])
            await #expect(throws: Problem.self) { _ = try await set("nobody", "A", hours: 1) }
            // Its end comes by itself, and is told of once.
            time.advance(by: .hours(3))
            for _ in 0..<2 { try await storage.write { try service.sweep(in: $0) } }
            let types = try await storage.read { transaction in
                try events.store.list(after: 0, limit: 100, in: transaction).map(\.type)
            }
            #expect(
                types == [
                    "silence.created", "silence.updated", "silence.expired", "silence.created", "silence.expired",
                ])
            time.advance(by: Silence.kept)
            try await storage.write { try service.sweep(in: $0) }
            #expect(try await storage.read { try service.store.silence(other.id, in: $0) } == nil)
        }
    }
}

@Suite("Whether anything is evaluated")
struct AlertHeartTests {
    @Test("silence of what evaluates is an alert, which ends with the next round", arguments: TestEngine.available)
    func stalled(_ engine: TestEngine) async throws {
        let time = ManualTime()
        let world = World.test(time: time)
        let alerts = AlertService(events: Events(world: world), world: world)
        try await withStorage(engine, migrations: AlertSchema.migrations + EventSchema.migrations) { storage in
            let heart = AlertHeart(
                alerts: alerts, storage: storage, replica: "one", externalURL: { "https://reeve.example" }, world: world
            )
            func names() async throws -> [String] {
                try await heart.listen()
                return try await storage.read { try alerts.firing(in: $0).map(\.name) }
            }
            time.advance(by: .hours(1))
            let seen1 = try await names()
            #expect(seen1.isEmpty)
            heart.beat()
            time.advance(by: AlertHeart.silence)
            let seen2 = try await names()
            #expect(seen2.isEmpty)
            time.advance(by: .seconds(1))
            let seen3 = try await names()
            #expect(seen3 == [AlertHeart.alertName])
            let runbook = try await storage.read { try alerts.firing(in: $0).first?.annotations["runbook_url"] }
            #expect(runbook == "https://reeve.example/runbooks/\(AlertHeart.alertName)")
            #expect(RunbookLibrary.shipped.runbook(AlertHeart.alertName)?.alerts == [AlertHeart.alertName])
            heart.beat()
            time.advance(by: .seconds(15))
            let seen4 = try await names()
            #expect(seen4.isEmpty)
        }
    }
}
