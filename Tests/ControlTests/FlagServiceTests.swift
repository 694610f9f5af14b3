import Kernel
import TestSupport
import Testing

@testable import Control

/// Flags on a real store, with time in the test's hand.
private struct FlagFixture: Sendable {
    static let olga = Principal(keyID: "key_1", name: "olga", role: .operator_)

    let time = ManualTime()
    let storage: any Storage
    let events: Events
    let service: FlagService

    static func on(_ engine: TestEngine, _ body: (FlagFixture) async throws -> Void) async throws {
        let migrations =
            IdempotencySchema.migrations + EventSchema.migrations + AuditSchema.migrations + FlagSchema.migrations
        try await withStorage(engine, migrations: migrations) { storage in
            let fixture = FlagFixture(storage)
            try await fixture.service.book.open()
            try await body(fixture)
        }
    }

    init(_ storage: any Storage) {
        self.storage = storage
        let world = World.test(time: time)
        events = Events(world: world)
        service = FlagService(storage: storage, events: events, audit: AuditService(world: world), world: world)
    }

    /// Another replica over the same store.
    var replica: FlagService {
        let world = World.test(time: time)
        return FlagService(storage: storage, events: events, audit: AuditService(world: world), world: world)
    }

    @discardableResult
    func put(_ key: String, _ json: JSONValue, reason: String? = nil, ifMatch: String? = nil) async throws
        -> FeatureFlag
    {
        let definition = try FlagSample.definition(json)
        let flag = try await storage.write { [service] in
            try service.put(key, definition, reason: reason, ifMatch: ifMatch, by: Self.olga, in: $0)
        }
        try await service.book.refresh()
        return flag
    }

    func remove(_ key: String) async throws {
        try await storage.write { [service] in try service.remove(key, by: Self.olga, in: $0) }
        try await service.book.refresh()
    }

    func decide(
        _ key: String, _ context: JSONValue, pins: Bool = true, by other: FlagService? = nil
    ) async throws -> FlagDecision {
        let service = other ?? service
        let found = try await service.decide(
            [key], in: service.book.edition, for: try FlagContext(context), pins: pins)
        return try #require(try found.first?.get())
    }

    func types() async throws -> [String] {
        try await storage.read { try EventStore().list(after: 0, limit: 500, in: $0).map(\.type) }
    }

    func pinCount() async throws -> Int64 {
        try await storage.read { [service] in try service.pins.store.count(in: $0) }
    }
}

@Suite("Flags: the service")
struct FlagServiceTests {
    @Test("a change reads what it names, and not all flags", arguments: TestEngine.available)
    func narrow(_ engine: TestEngine) async throws {
        try await FlagFixture.on(engine) { fixture in
            // Each takes its time to be read.
            let names: [JSONValue] = (0..<400).map { .string("somebody-with-a-long-name-\($0)") }
            let large = FlagSample.toggle(["rules": [["when": ["user": .array(names)], "variant": "on"]]])
            let definition = try FlagSample.definition(large)
            let now = fixture.time.now
            let store = fixture.service.store
            try await fixture.storage.write { transaction in
                for number in 0..<300 {
                    try store.save(
                        FeatureFlag(
                            key: "planted-\(number)", definition: definition, shares: [:], version: 1, revision: 0,
                            createdAt: now, createdBy: "test", updatedAt: now, updatedBy: "test"), in: transaction)
                }
            }
            let all = try await fixture.storage.read { transaction in
                try ContinuousClock().measure { _ = try store.all(in: transaction) }
            }
            _ = try await fixture.put("base", FlagSample.toggle())
            let asking = FlagSample.toggle(["prerequisites": [["flag": "base", "variants": ["on"]]]])
            let begun = ContinuousClock.now
            _ = try await fixture.put("top", asking)
            _ = try await fixture.put("base", FlagSample.toggle(["description": "changed"]))
            #expect(ContinuousClock.now - begun < all, "two changes take longer than to read all once")
            // And the rules hold as before.
            await #expect(throws: Problem.self) { try await fixture.remove("base") }
            await #expect(throws: Problem.self) {
                try await fixture.put(
                    "base", FlagSample.toggle(["prerequisites": [["flag": "top", "variants": ["on"]]]]))
            }
            await #expect(throws: Problem.self) {
                try await fixture.put("base", ["type": "boolean", "variants": ["off": false], "defaultVariant": "off"])
            }
            try await fixture.remove("top")
            try await fixture.remove("base")
        }
    }

    @Test("what flags ask for that are older than the table of it is written down", arguments: TestEngine.available)
    func learns(_ engine: TestEngine) async throws {
        try await FlagFixture.on(engine) { fixture in
            _ = try await fixture.put("base", FlagSample.toggle())
            _ = try await fixture.put(
                "top", FlagSample.toggle(["prerequisites": [["flag": "base", "variants": ["on"]]]]))
            try await fixture.storage.write { try $0.run("DELETE FROM flag_wants") }
            let replica = fixture.replica
            try await replica.book.open()
            let users = try await fixture.storage.read { try replica.store.users(of: "base", in: $0) }
            #expect(users == ["top"])
        }
    }

    @Test(
        "a flag is made, changed under its ETag, switched, deleted, and remembers all of it",
        arguments: TestEngine.available)
    func life(_ engine: TestEngine) async throws {
        try await FlagFixture.on(engine) { fixture in
            let made = try await fixture.put("f", FlagSample.toggle(), reason: "for a trial")
            #expect((made.version, made.etag) == (1, "\"1\""))
            #expect(try await fixture.put("f", FlagSample.toggle()).version == 1)
            await #expect(throws: Problem.self) {
                try await fixture.put("f", FlagSample.toggle(["mode": "pinned"]), ifMatch: "\"7\"")
            }
            await #expect(throws: Problem.self) { try await fixture.put("g", FlagSample.toggle(), ifMatch: "\"1\"") }
            let changed = try await fixture.put("f", FlagSample.toggle(["defaultVariant": "on"]), ifMatch: "\"1\"")
            #expect((changed.version, changed.createdAt) == (2, made.createdAt))
            let off = try await fixture.storage.write { [service = fixture.service] in
                try service.turn("f", on: false, reason: "it hurts", by: FlagFixture.olga, in: $0)
            }
            #expect(off.definition.isEnabled == false && off.version == 3)
            try await fixture.remove("f")
            #expect(fixture.service.book.edition.flags.isEmpty)
            #expect(
                try await fixture.types() == [
                    "flag.created", "flag.updated", "flag.switched_off", "flag.deleted",
                ])
            // Made again it goes on counting, so that no ETag names two things.
            #expect(try await fixture.put("f", FlagSample.toggle()).version == 5)
            let history = try await fixture.storage.read { [service = fixture.service] in
                try service.history(of: "f", before: .max, limit: 50, in: $0)
            }
            #expect(history.map(\.record.version) == [5, 4, 3, 2, 1])
            let second = history[3].record.json(since: history[3].previous)
            #expect(second["changes"]?.array == [["path": "defaultVariant", "from": "off", "to": "on"]])
            #expect(history[2].record.reason == "it hurts" && history[4].record.reason == "for a trial")
        }
    }

    @Test("prerequisites hold together through every change", arguments: TestEngine.available)
    func prerequisites(_ engine: TestEngine) async throws {
        try await FlagFixture.on(engine) { fixture in
            let wish: JSONValue = ["prerequisites": [["flag": "base", "variants": ["on"]]]]
            await #expect(throws: Problem.self) { try await fixture.put("next", FlagSample.toggle(wish)) }
            try await fixture.put("base", FlagSample.toggle())
            try await fixture.put("next", FlagSample.toggle(wish))
            await #expect(throws: Problem.self) { try await fixture.remove("base") }
            await #expect(throws: Problem.self) {
                try await fixture.put(
                    "base", ["type": "boolean", "variants": ["off": false], "defaultVariant": "off"])
            }
            await #expect(throws: Problem.self) {
                try await fixture.put(
                    "base", FlagSample.toggle(["prerequisites": [["flag": "next", "variants": ["on"]]]]))
            }
            await #expect(throws: Problem.self) {
                try await fixture.put(
                    "third", FlagSample.toggle(["prerequisites": [["flag": "base", "variants": ["maybe"]]]]))
            }
            #expect(try await fixture.types() == ["flag.created", "flag.created"])
        }
    }

    @Test("a session keeps what it began with of pinned flags, on every replica", arguments: TestEngine.available)
    func pins(_ engine: TestEngine) async throws {
        try await FlagFixture.on(engine) { fixture in
            try await fixture.put("pinned", FlagSample.toggle(["mode": "pinned"]))
            try await fixture.put("live", FlagSample.toggle())
            let session: JSONValue = ["sessionId": "s1"]
            // Who only looks pins nothing.
            #expect(try await fixture.decide("pinned", ["sessionId": "s0"], pins: false).variant == "off")
            #expect(try await fixture.pinCount() == 0)
            #expect(try await fixture.decide("pinned", session).isPinned)
            #expect(try await fixture.decide("live", session).variant == "off")
            #expect(try await fixture.pinCount() == 1)
            for key in ["pinned", "live"] {
                var change: JSONValue = ["defaultVariant": "on"]
                if key == "pinned" { change = ["defaultVariant": "on", "mode": "pinned", "enabled": false] }
                try await fixture.put(key, FlagSample.toggle(change))
            }
            let replica = fixture.replica
            try await replica.book.open()
            for service in [fixture.service, replica] {
                let kept = try await fixture.decide("pinned", session, by: service)
                #expect((kept.variant, kept.reason, kept.isPinned) == ("off", .fixed, true))
                #expect(try await fixture.decide("live", session, by: service).variant == "on")
            }
            #expect(try await fixture.decide("pinned", ["sessionId": "s2"]).reason == .disabled)
            // A flag of another type, or that was deleted, is another flag.
            try await fixture.put(
                "pinned", ["type": "string", "mode": "pinned", "variants": ["x": "X"], "defaultVariant": "x"])
            #expect(try await fixture.decide("pinned", session).value == "X")
            try await fixture.remove("pinned")
            fixture.time.advance(by: .seconds(1))
            try await fixture.put("pinned", FlagSample.toggle(["mode": "pinned", "defaultVariant": "on"]))
            #expect(try await fixture.decide("pinned", session).variant == "on")
        }
    }

    @Test("as a layer of configuration a flag says what its key is, and nothing once it is off")
    func configuration() async throws {
        try await FlagFixture.on(.sqlite) { fixture in
            func said(_ key: String, user: String? = nil) -> ConfigLayerValue? {
                fixture.service.value(of: key, for: ConfigSubject(agent: "writer", user: user))
            }
            let flag: JSONValue = [
                "type": "string", "mode": "live", "configKey": "parameters.style", "defaultVariant": "formal",
                "variants": ["formal": "formal", "plain": "plain"],
                "rules": [["id": "ann", "when": ["user": ["in": ["ann"]]], "variant": "plain"]],
            ]
            try await fixture.put("style", flag)
            #expect(said("parameters.other") == nil)
            let everybody = try #require(said("parameters.style"))
            #expect((everybody.layer, everybody.value, everybody.rule) == (.flag, "formal", nil))
            #expect((everybody.flag, everybody.version, everybody.author) == ("style", "1", "operator:olga"))
            let ann = try #require(said("parameters.style", user: "ann"))
            #expect((ann.value, ann.rule) == ("plain", "ann"))
            var off = try #require(flag.object)
            off["enabled"] = false
            try await fixture.put("style", .object(off))
            #expect(said("parameters.style") == nil)
            off["offVariant"] = "plain"
            try await fixture.put("style", .object(off))
            #expect(said("parameters.style")?.value == "plain")
        }
    }

    @Test("pins go some time after the session's last question", arguments: TestEngine.available)
    func pruning(_ engine: TestEngine) async throws {
        try await FlagFixture.on(engine) { fixture in
            try await fixture.put("f", FlagSample.toggle(["mode": "pinned"]))
            for session in ["quiet", "busy"] { _ = try await fixture.decide("f", ["sessionId": .string(session)]) }
            for _ in 0..<8 {
                fixture.time.advance(by: .hours(23))
                _ = try await fixture.decide("f", ["sessionId": "busy"])
                try await fixture.service.pins.keepUp()
            }
            #expect(try await fixture.pinCount() == 1)
            let audience = try await fixture.storage.read { [pins = fixture.service.pins] in
                try pins.store.audience(of: "f", in: $0)
            }
            #expect(audience == ["off": 1])
        }
    }

    @Test("listeners wake once the book has the change, and where a schedule begins")
    func listening() async throws {
        try await FlagFixture.on(.sqlite) { fixture in
            let book = fixture.service.book
            let before = book.edition.count
            try await fixture.put(
                "f", FlagSample.toggle(["schedules": [["from": "2026-11-20T09:00:00Z", "variant": "on"]]]))
            await book.next(after: before)
            #expect(book.edition.flags["f"] != nil && book.edition.count == before + 1)
            let tag = book.edition.tag
            book.look()
            #expect(book.edition.tag == tag)
            fixture.time.advance(by: .hours(1))
            book.look()
            #expect(book.edition.count == before + 2 && book.edition.tag != tag)
            #expect(FlagBook.Edition.revision(ofTag: book.edition.tag) == book.edition.revision)
            #expect(try await fixture.decide("f", [:]).variant == "on")
        }
    }

    @Test("no more flags than are allowed, and no more deleted ones than are remembered")
    func bounds() async throws {
        try await FlagFixture.on(.sqlite) { fixture in
            try await fixture.put("f0", FlagSample.toggle())
            try await fixture.storage.write { [service = fixture.service] transaction in
                for index in 1..<Int(FeatureFlag.flagsMax) {
                    try service.store.save(FlagSample.flag("f\(index)", FlagSample.toggle()), in: transaction)
                }
            }
            await #expect(throws: Problem.self) { try await fixture.put("one-more", FlagSample.toggle()) }
            try await fixture.remove("f0")
            fixture.time.advance(by: FlagService.removalKept + .hours(1))
            let hasMore = try await fixture.storage.write { [service = fixture.service] in
                try service.purge(limit: 10, in: $0)
            }
            #expect(!hasMore)
            await #expect(throws: Problem.self) {
                try await fixture.storage.read { [service = fixture.service] in
                    _ = try service.history(of: "f0", before: .max, limit: 5, in: $0)
                }
            }
        }
    }

    @Test("what is counted is bounded, whatever flags there are")
    func counting() async throws {
        try await FlagFixture.on(.sqlite) { fixture in
            try await fixture.put("f", FlagSample.split(["on": 50, "off": 50]))
            _ = try await fixture.decide("f", ["targetingKey": "u"])
            let keys = ["f", "unknown"]
            _ = try await fixture.service.decide(
                keys, in: fixture.service.book.edition, for: FlagContext(nil), pins: false)
            #expect(fixture.service.meters.served("f").values.reduce(0, +) == 1)
            #expect(fixture.service.meters.served("unknown").isEmpty)
            #expect(fixture.service.meters.served() == ["f": 2])
        }
    }

    @Test("a ticket is good for its key and its time alone")
    func tickets() {
        let now = FlagSample.now
        let text = FlagTicket(keyID: "key_1", at: now).text(secret: "s")
        #expect(FlagTicket.keyID(of: text, secret: "s", at: now) == "key_1")
        #expect(FlagTicket.keyID(of: text, secret: "s", at: now + .minutes(30)) == "key_1")
        for (ticket, secret, time) in [
            (text, "other", now), (text, "", now), (text, "s", now + .minutes(61)), (text + "0", "s", now),
            (text.replacing("key_1", with: "key_2"), "s", now), ("", "s", now), ("a.b.c", "s", now),
        ] { #expect(FlagTicket.keyID(of: ticket, secret: secret, at: time) == nil, "\(ticket)") }
    }
}
