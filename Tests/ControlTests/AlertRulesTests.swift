import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Control
@testable import Telemetry

/// Rules over a store that lives by a clock of the test.
private struct RuleHouse {
    let time: ManualTime
    let world: World
    let series: SeriesStore
    let storage: any Storage
    let service: AlertService

    static let text = """
        groups:
          - name: rooms
            interval: 1m
            rules:
              - alert: Hot
                expr: heat > 30
                labels: {severity: warning}
              - alert: HotForLong
                expr: heat > 30
                for: 10m
                labels: {severity: critical}
        """

    static func with(_ engine: TestEngine, _ body: (RuleHouse) async throws -> Void) async throws {
        try await TestStorage.withFolder { folder in
            let time = ManualTime()
            let world = World.test(time: time)
            let events = Events(world: world)
            let incidents = IncidentService(events: events, audit: AuditService(world: world), world: world)
            let migrations =
                AlertSchema.migrations + AlertSchema.sourceMigrations + IncidentSchema.migrations
                + AuditSchema.migrations + EventSchema.migrations + RetentionSchema.migrations
            try await withStorage(engine, migrations: migrations) { storage in
                let series = try SeriesStore(folder: folder, quota: 16 << 20, days: 30, world: world)
                try await body(
                    RuleHouse(
                        time: time, world: world, series: series, storage: storage,
                        service: AlertService(events: events, world: world, follower: incidents)))
                try await series.close()
            }
        }
    }

    /// A start of the server, with these rules.
    func begin(
        _ text: String = text, over other: (any Storage)? = nil, replica: String = "one",
        temporary: (any TemporaryRules)? = nil, onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> AlertRules {
        let engine = RuleEngine(store: series, externalURL: { "http://here" }, world: world)
        let rules = AlertRules(
            engine: engine, service: service, sources: RuleBook.Sources(), temporary: temporary,
            storage: other ?? storage, replica: replica, world: world, onWarning: onWarning)
        try await rules.resume(
            RuleBook(
                try RuleReader.read(text).groups.map {
                    RuleBook.Entry(file: "rooms.yml", group: $0, interval: $0.interval ?? 60_000)
                }))
        return rules
    }

    /// Minutes of one heat, with a look at the rules in each.
    func pass(_ minutes: Int, heat: Double, _ rules: AlertRules) async throws {
        for _ in 0..<minutes {
            time.advance(by: .minutes(1))
            var batch = SampleBatch()
            batch.append(
                LabelSet([(LabelSet.metricName, "heat"), ("room", "attic")]),
                Sample(time.now.microseconds / 1_000, heat))
            try await series.keep(batch)
            try await rules.step()
        }
    }

    func firing() async throws -> [String] {
        try await storage.read { try service.firing(in: $0).map(\.name).sorted() }
    }

    func fired() async throws -> [String] {
        try await storage.read { transaction in
            try EventStore().list(after: 0, limit: 500, in: transaction).filter { $0.type == "alert.fired" }
                .compactMap { $0.data["alertname"]?.string }
        }
    }
}

/// A store whose changes fail when a test says so.
private final class FailingStorage: Storage {
    struct Down: Error {}

    let inner: any Storage
    let isDown = Mutex(false)

    init(_ inner: any Storage) { self.inner = inner }

    var dialect: SQLDialect { inner.dialect }

    func write<Value: Sendable>(
        _ urgency: WriteUrgency, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        if isDown.withLock({ $0 }) { throw Down() }
        return try await inner.write(urgency, body)
    }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
        try await inner.read(body)
    }

    func close() async {}
}

private final class WarningSink: Sendable {
    private let texts = Mutex<[String]>([])
    var all: [String] { texts.withLock { $0 } }
    func add(_ text: String) { texts.withLock { $0.append(text) } }
}

/// Rules for a while, as a test says.
private final class StillGuests: TemporaryRules {
    let now = Mutex<[(name: String, text: String)]>([])
    func temporaryRules(in transaction: Transaction) throws -> [(name: String, text: String)] { now.withLock { $0 } }
}

@Suite("Rules that a server evaluates")
struct AlertRulesTests {
    @Test("what rules for a while had ends with them, also where that fails at first")
    func guestsThatLeave() async throws {
        try await RuleHouse.with(.sqlite) { house in
            let (guests, storage) = (StillGuests(), FailingStorage(house.storage))
            let rules = try await house.begin("groups: []", over: storage, temporary: guests)
            guests.now.withLock { $0 = [("drill", RuleHouse.text)] }
            try await house.pass(3, heat: 31, rules)
            #expect(try await house.firing() == ["Hot"] && rules.isHurried)
            guests.now.withLock { $0 = [] }
            storage.isDown.withLock { $0 = true }
            await #expect(throws: FailingStorage.Down.self) { try await house.pass(1, heat: 31, rules) }
            #expect(try await house.firing() == ["Hot"])
            storage.isDown.withLock { $0 = false }
            try await house.pass(1, heat: 31, rules)
            #expect(try await house.firing().isEmpty && !rules.isHurried)
        }
    }

    @Test("rules for a while that cannot be read keep nobody else waiting")
    func guestsThatAreNone() async throws {
        try await RuleHouse.with(.sqlite) { house in
            let (guests, sink) = (StillGuests(), WarningSink())
            let rules = try await house.begin(temporary: guests) { sink.add($0) }
            guests.now.withLock { $0 = [("odd", "groups: 3")] }
            try await house.pass(3, heat: 31, rules)
            #expect(try await house.firing() == ["Hot"])
            #expect(sink.all.filter { $0.contains("odd") }.count == 1)
        }
    }

    @Test("alerts fire after their time, and end", arguments: TestEngine.available)
    func course(_ engine: TestEngine) async throws {
        try await RuleHouse.with(engine) { house in
            let rules = try await house.begin()
            try await house.pass(9, heat: 31, rules)
            #expect(try await house.firing() == ["Hot"])
            let pending = try await house.storage.read { try rules.pending(in: $0) }
            #expect(pending.map { $0.labels["alertname"] } == ["HotForLong"])
            #expect(pending.map(\.value) == [31])
            try await house.pass(3, heat: 31, rules)
            #expect(try await house.firing() == ["Hot", "HotForLong"])
            try await house.pass(2, heat: 12, rules)
            #expect(try await house.firing().isEmpty)
            #expect(try await house.fired() == ["Hot", "HotForLong"])
        }
    }

    @Test("a start in between changes nothing, and time without a look does not count", arguments: TestEngine.available)
    func restart(_ engine: TestEngine) async throws {
        try await RuleHouse.with(engine) { house in
            try await house.pass(8, heat: 31, try await house.begin())
            house.time.advance(by: .minutes(30))
            let rules = try await house.begin()
            #expect(try await house.firing() == ["Hot"])
            try await rules.expire()
            #expect(try await house.firing() == ["Hot"])
            try await house.pass(2, heat: 31, rules)
            // Eight minutes before, the one or two that were not noted, and two since: not ten yet.
            #expect(try await house.firing() == ["Hot"])
            try await house.pass(3, heat: 31, rules)
            #expect(try await house.firing() == ["Hot", "HotForLong"])
            #expect(try await house.fired() == ["Hot", "HotForLong"])
        }
    }

    @Test("what ended while nobody looked ends once series had the time to come again")
    func endedMeanwhile() async throws {
        try await RuleHouse.with(.sqlite) { house in
            try await house.pass(3, heat: 31, try await house.begin())
            house.time.advance(by: .minutes(30))
            let rules = try await house.begin()
            try await house.pass(4, heat: 12, rules)
            #expect(try await house.firing() == ["Hot"])
            try await house.pass(3, heat: 12, rules)
            #expect(try await house.firing().isEmpty)
        }
    }

    @Test("alerts of rules that are gone end")
    func gone() async throws {
        try await RuleHouse.with(.sqlite) { house in
            try await house.pass(3, heat: 31, try await house.begin())
            _ = try await house.begin(RuleHouse.text.replacing("alert: Hot\n", with: "alert: Warm\n"))
            #expect(try await house.firing().isEmpty)
        }
    }

    @Test("what could not be written down is written with the next round, once")
    func storeDown() async throws {
        try await RuleHouse.with(.sqlite) { house in
            let failing = FailingStorage(house.storage)
            let rules = try await house.begin(over: failing)
            failing.isDown.withLock { $0 = true }
            for _ in 0..<3 {
                await #expect(throws: FailingStorage.Down.self) { try await house.pass(1, heat: 31, rules) }
            }
            failing.isDown.withLock { $0 = false }
            try await house.pass(1, heat: 31, rules)
            #expect(try await house.firing() == ["Hot"])
            failing.isDown.withLock { $0 = true }
            await #expect(throws: FailingStorage.Down.self) { try await house.pass(1, heat: 12, rules) }
            failing.isDown.withLock { $0 = false }
            try await house.pass(1, heat: 12, rules)
            #expect(try await house.firing().isEmpty)
            #expect(try await house.fired() == ["Hot"])
        }
    }

    @Test("what a rule had that went while nobody looked ends, and does not fire anew", arguments: TestEngine.available)
    func goneMeanwhile(_ engine: TestEngine) async throws {
        try await RuleHouse.with(engine) { house in
            let rules = try await house.begin()
            try await house.pass(3, heat: 31, rules)
            // Somebody else let it end: nobody had spoken of it for too long.
            house.time.advance(by: .minutes(30))
            try await rules.expire()
            #expect(try await house.firing().isEmpty)
            let changed = try await house.begin(RuleHouse.text.replacing("alert: Hot\n", with: "alert: Warm\n"))
            #expect(try await house.firing().isEmpty)
            #expect(try await house.fired() == ["Hot"])
            let kept = try await house.storage.read { try AlertRuleStateStore().all(replica: "one", in: $0) }
            #expect(kept.map { $0.instance.labels["alertname"] } == ["HotForLong"])
            try await house.pass(2, heat: 31, changed)
            #expect(try await house.firing() == ["Warm"])
        }
    }

    @Test(
        "what waits is the same for all who ask, and that of a replica that is gone is forgotten",
        arguments: TestEngine.available)
    func waiting(_ engine: TestEngine) async throws {
        try await RuleHouse.with(engine) { house in
            let (one, two) = (try await house.begin(), try await house.begin(replica: "two"))
            try await house.pass(2, heat: 31, one)
            try await house.pass(2, heat: 32, two)
            func waiting(_ asked: any PendingAlerts) async throws -> [String] {
                try await house.storage.read { try asked.pending(in: $0).map { "\($0.labels["alertname"])" } }
            }
            func rows() async throws -> Set<String> {
                let all = try await house.storage.read { transaction in
                    try ["one", "two"].filter {
                        try !AlertRuleStateStore().all(replica: $0, in: transaction).isEmpty
                    }
                }
                return Set(all)
            }
            for asked in [one, two, house.service] as [any PendingAlerts] {
                #expect(try await waiting(asked) == ["HotForLong"])
            }
            house.time.advance(by: .minutes(11))
            #expect(try await waiting(house.service).isEmpty)
            try await one.forget()
            #expect(try await rows() == ["one", "two"])
            house.time.advance(by: .hours(24))
            try await one.forget()
            #expect(try await rows() == ["one"])
        }
    }

    @Test("files that are read anew leave groups that are the same as they were")
    func reload() async throws {
        try await RuleHouse.with(.sqlite) { house in
            let engine = RuleEngine(store: house.series, externalURL: { "" }, world: house.world)
            func book(_ further: String) throws -> RuleBook {
                let text = """
                    groups:
                      - name: rooms
                        interval: 1m
                        rules: [{record: warm, expr: heat}, {alert: Hot, expr: heat > 30, for: 5m}]
                    \(further)
                    """
                return RuleBook(
                    try RuleReader.read(text).groups.map {
                        RuleBook.Entry(file: "rooms.yml", group: $0, interval: $0.interval ?? 60_000)
                    })
            }
            func heat(_ value: Double) async throws {
                var batch = SampleBatch()
                batch.append(
                    LabelSet([(LabelSet.metricName, "heat")]), Sample(house.time.now.microseconds / 1_000, value))
                try await house.series.keep(batch)
            }
            func evaluate() async { for due in await engine.due() { _ = await engine.evaluate(due) } }
            func value(_ name: String) throws -> Double? {
                let now = house.time.now.microseconds / 1_000
                guard
                    case .vector(let found) = try PromQLQuery(name).answer(
                        at: now, from: house.series, isOver: { false })
                else {
                    return nil
                }
                return found.first?.samples.first?.value
            }
            let other = """
                  - name: other
                    interval: 1m
                    rules: [{record: cold, expr: 0 * heat}, {alert: Any, expr: heat > 0}]
                """
            await engine.load(try book(other))
            for _ in 0..<3 {
                house.time.advance(by: .minutes(1))
                try await heat(31)
                await evaluate()
            }
            #expect(try value("cold") == 0 && value("warm") == 31)
            #expect(try value("ALERTS{alertname=\"Any\"}") == 1)
            // What is due when files change is evaluated all the same; what is gone has no value any more.
            house.time.advance(by: .minutes(1))
            try await heat(31)
            let gone = await engine.load(try book(""))
            #expect(gone.map(\.rule) == ["rooms.yml;other;Any"])
            #expect(await engine.programs.flatMap(\.rules).map(\.name) == ["warm", "Hot"])
            #expect(try value("cold") == nil && value("ALERTS{alertname=\"Any\"}") == nil)
            #expect(await engine.due().count == 1)
            // Series that end behind a change get their stale mark, and an alert goes on to wait.
            house.time.advance(by: .minutes(1))
            try await heat(Sample.stale)
            await engine.load(try book(""))
            #expect(try value("warm") == 31)
            for _ in 0..<2 {
                await evaluate()
                house.time.advance(by: .minutes(1))
            }
            #expect(try value("warm") == nil && value("ALERTS") == nil)
        }
    }
}
