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
        _ engine: TestEngine, shares: AlertShares = AlertShares(),
        _ body: (AlertService, any Storage, ManualTime) async throws -> Void
    ) async throws {
        let time = ManualTime()
        let world = World.test(time: time)
        let events = Events(world: world)
        let incidents = IncidentService(events: events, audit: AuditService(world: world), world: world)
        let service = AlertService(events: events, world: world, follower: incidents, shares: shares)
        let migrations =
            AlertSchema.migrations + AlertSchema.sourceMigrations + IncidentSchema.migrations + AuditSchema.migrations
            + EventSchema.migrations + RetentionSchema.migrations
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

    @Test("what a rule says is the rule's, whoever told of it before or besides", arguments: TestEngine.available)
    func ofRules(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, time in
            let long = AlertPost(
                labels: Self.hot, annotations: ["summary": "theirs"], endsAt: time.now + .hours(24 * 20))
            let ours = AlertPost(labels: Self.hot, annotations: ["summary": "ours"])
            for posts in [[long], [ours], [long]] {
                try await storage.write { transaction in
                    let isOurs = posts.first?.annotations == ours.annotations
                    try service.take(
                        posts, origin: isOurs ? .rule : .external, from: isOurs ? "rules" : "other", in: transaction)
                }
            }
            let alert = try await storage.read { try service.firing(in: $0).first }
            #expect(alert?.origin == .rule && alert?.summary == "ours")
            time.advance(by: .seconds(1))
            let end = AlertPost(labels: Self.hot, endsAt: time.now)
            let ended = try await storage.write { try service.take([end], origin: .rule, from: "rules", in: $0) }
            #expect(ended.count == 1)
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

    // MARK: Room

    private static func posts(_ names: String..., end: Timestamp? = nil) -> [AlertPost] {
        names.map { AlertPost(labels: LabelSet([("alertname", $0)]), endsAt: end) }
    }

    @Test("whoever floods takes nobody else's room, and never that of rules", arguments: TestEngine.available)
    func shares(_ engine: TestEngine) async throws {
        var shares = AlertShares()
        (shares.ofRules, shares.posted, shares.ofSource) = (2, 3, 2)
        try await Self.with(engine, shares: shares) { service, storage, _ in
            func take(_ posts: [AlertPost], _ origin: Alert.Origin, _ source: String) async throws -> AlertIntake {
                try await storage.write { try service.takeWhatFits(posts, origin: origin, from: source, in: $0) }
            }
            let flood = try await take(Self.posts("a1", "a2", "a3", "a4"), .external, "a")
            #expect(flood.changes.map(\.alert.name) == ["a1", "a2"])
            #expect(
                flood.problem?.detail.contains("2 refused, such as {\"alertname\":\"a3\"}: 2 alerts of this sender")
                    == true)
            let other = try await take(Self.posts("b1", "b2"), .external, "b")
            #expect(other.changes.map(\.alert.name) == ["b1"])
            #expect(other.refused[.posted]?.count == 1)
            // All that fires already is heard, and what is said of it by others too.
            #expect(try await take(Self.posts("a1", "a2", "b1"), .external, "a").problem == nil)
            let rules = try await take(Self.posts("r1", "r2", "r3"), .rule, "rules:one")
            #expect(rules.changes.count == 2)
            #expect(rules.refused[.rules]?.first["alertname"] == "r3")
            #expect(rules.isRefused(Self.posts("r3")[0].labels) && !rules.isRefused(Self.posts("r1")[0].labels))
            var page = MetricPage()
            service.meters.collect(into: &page)
            let told = page.samples.map { "\($0.labels[0].value) \(Int($0.value))" }
            #expect(Set(told) == ["rules 1", "posted 1", "source 2", "size 0"])
        }
    }

    @Test("room is counted once, whatever ends and begins meanwhile")
    func roomIsCountedOnce() throws {
        var counted = 0
        let shares = AlertShares()
        var room = AlertRoom(shares, .external) {
            counted += 1
            return (Int64(shares.posted), Int64(shares.ofSource))
        }
        room.free(isAlert: true, isClaim: true)
        for _ in 0..<5_000 {
            #expect(try room.lack() == .source)
            room.free(isAlert: true, isClaim: true)
            #expect(try room.lack() == nil)
            room.use()
        }
        room.free(isAlert: false, isClaim: true)
        #expect(try room.lack() == .posted && counted == 1)
    }

    @Test("ends make room for what begins with them, in whatever order they come", arguments: TestEngine.available)
    func endsFirst(_ engine: TestEngine) async throws {
        var shares = AlertShares()
        shares.ofRules = 1
        try await Self.with(engine, shares: shares) { service, storage, time in
            try await storage.write { try service.take(Self.posts("old"), origin: .rule, from: "r", in: $0) }
            time.advance(by: .seconds(1))
            let now = time.now
            let intake = try await storage.write { transaction in
                try service.takeWhatFits(
                    Self.posts("new") + Self.posts("old", end: now) + Self.posts("gone") + Self.posts("gone", end: now),
                    origin: .rule, from: "r", in: transaction)
            }
            #expect(intake.problem == nil)
            #expect(try await storage.read { try service.firing(in: $0).map(\.name) } == ["new"])
        }
    }

    @Test("one alert has so many bytes at most: annotations are cut, labels are not", arguments: TestEngine.available)
    func size(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, _ in
            let long = String(repeating: "é", count: 8_000)
            let texts = ["description": long, "summary": "short", "further": String(repeating: "x", count: 900)]
            let post = AlertPost(labels: Self.hot, annotations: texts)
            let wide = AlertPost(
                labels: LabelSet((0..<20).map { ("l\($0)", String(repeating: "y", count: 1_000)) }))
            let intake = try await storage.write {
                try service.takeWhatFits([post, wide], origin: .rule, from: "a", in: $0)
            }
            let alert = try #require(intake.changes.first?.alert)
            #expect(alert.summary == "short" && alert.annotations["further"]?.count == 900)
            let kept = try #require(alert.annotations["description"])
            #expect(kept.hasSuffix("é…") && kept.utf8.count > 15_000)
            #expect(AlertPost(labels: alert.labels, annotations: alert.annotations).bytes <= Alert.bytesMax)
            #expect(intake.changes.count == 1 && intake.refused[.size]?.count == 1)
        }
    }

    @Test("the door refuses an alert that is too large, and says by how much")
    func door() throws {
        func read(_ characters: Int) -> Result<AlertPost, AlertmanagerPost.Fault> {
            let texts = JSONObject(
                (0..<3).map { .init(name: "a\($0)", value: .string(String(repeating: "x", count: characters))) })
            return AlertmanagerPost.read(
                ["labels": ["alertname": "Hot"], "annotations": .object(texts)],
                now: Timestamp(microseconds: 0))
        }
        #expect(throws: Never.self) { try read((Alert.bytesMax - 18) / 3).get() }
        guard case .failure(let fault) = read(6_000) else {
            Issue.record("it is taken")
            return
        }
        #expect(fault.isOfSize)
        #expect(
            fault.reason.contains("the alert \"Hot\" has 18018 bytes") && fault.reason.contains("16384 are the most"))
    }

    // MARK: Pages

    @Test("a list has each alert once, whatever begins and ends between its pages", arguments: TestEngine.available)
    func pages(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, time in
            let routes = AlertRoutes(
                service: service, pending: service, storage: storage, world: World.test(time: time))
            func change(_ posts: [AlertPost]) async throws {
                try await storage.write { try service.take(posts, origin: .rule, from: "r", in: $0) }
                time.advance(by: .seconds(1))
            }
            for name in ["a", "b", "c", "d"] { try await change(Self.posts(name)) }
            try await change(Self.posts("d", end: time.now))
            let start = time.now
            let states = Set(AlertView.State.allCases)
            var seen: [String] = []
            var last: AlertPlace?
            func page() async throws {
                let rest = try await routes.views(states, asOf: last?.asOf ?? start).filter { one in
                    last.map { $0 < one.place } ?? true
                }
                guard let next = rest.first else { return }
                seen.append(next.view.labels["alertname"])
                last = AlertPlace(cursor: next.place.cursor)
            }
            try await page()
            // One that was read ends, and so does one that was not; another begins.
            time.advance(by: .seconds(1))
            try await change(Self.posts("a", end: start) + Self.posts("b", end: start) + Self.posts("e"))
            for _ in 0..<6 { try await page() }
            #expect(seen == ["a", "b", "c", "e", "d"])
            #expect(AlertPlace(cursor: "alert_1") == nil)
        }
    }

    @Test("what waited when the list began has the same place once it fires")
    func placeOfPending() throws {
        let world = World.test(time: ManualTime())
        let (active, fired) = (world.now, world.now + .minutes(5))
        let waiting = AlertView(PendingAlert(labels: Self.hot, annotations: [:], activeAt: active))
        let alert = Alert(
            id: Identifier(world), labels: Self.hot, annotations: [:], value: nil, origin: .rule, activeAt: active,
            startsAt: fired, updatedAt: fired, generatorURL: "")
        let before = fired - .minutes(1)
        #expect(AlertPlace(waiting, asOf: before) == AlertPlace(AlertView(alert), asOf: before))
        #expect(AlertPlace(AlertView(alert), asOf: fired) < AlertPlace(waiting, asOf: fired))
    }
}
