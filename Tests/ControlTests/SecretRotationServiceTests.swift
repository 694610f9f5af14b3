import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Rotations of secrets in the store")
struct SecretRotationServiceTests {
    private typealias Fixture = RotationFixture
    private static let ada = RotationFixture.ada

    @Test(
        "who reads gets what is given out, and the old value goes when nobody needs it", arguments: TestEngine.available
    )
    func wholeWay(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            let (writer, reader) = (Fixture.agent("writer"), Fixture.agent("reader"))
            #expect(try await fixture.read(writer) == "old-value")
            try await fixture.go(to: .verified)
            // Nobody gets what is staged, by its number neither.
            #expect(try await fixture.read(writer) == "old-value")
            #expect(try await fixture.read(Self.ada, 2) == "not_found")
            #expect(try await fixture.secrets.describe(fixture.path, by: Self.ada).versions.map(\.number) == [1])
            #expect(fixture.secrets.watch.clean("x new-value", at: "test") == "x [redacted:\(fixture.path)]")
            _ = try await fixture.service.issue(fixture.path, by: Self.ada)
            #expect(try await fixture.read(reader) == "new-value")
            #expect(try await fixture.read(writer, 1) == "old-value")
            // Who had not the old value does not get it now.
            #expect(try await fixture.read(reader, 1) == "conflict")
            let view = try await fixture.service.view(fixture.path)
            #expect(view.users.map(\.actor) == ["agent:writer"] && view.waitsFor.count == 1)
            fixture.time.advance(by: .hours(24))
            try await fixture.service.act()
            #expect(try await fixture.state() == .draining)
            try await fixture.service.act()
            #expect(try await fixture.state() == .retired)
            #expect(try await fixture.read(writer, 1) == "gone")
            #expect(try await fixture.read(writer) == "new-value")
            let steps = try await fixture.events("secret.rotation").map { $0.dropFirst("secret.rotation_".count) }
            #expect(steps == ["staged", "verified", "issued", "draining", "retired"])
            #expect(try await fixture.audit().filter { $0.hasPrefix("secret.rotation") }.count == 5)
        }
    }

    @Test("the old value stays while somebody reads it, or something runs with it", arguments: TestEngine.available)
    func draining(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            let writer = Fixture.agent("writer")
            _ = try await fixture.read(writer)
            try await fixture.go(to: .draining)
            #expect(try await fixture.read(writer, 1) == "old-value")
            let start = fixture.time.now
            try await fixture.service.act()
            #expect(try await fixture.state() == .draining)
            fixture.users.set([RunningUse(agent: "writer", since: start - .hours(30))])
            fixture.time.advance(by: .hours(24))
            try await fixture.service.act()
            var view = try await fixture.service.view(fixture.path)
            #expect(view.kept?.rotation.state == .draining && view.users.first?.running == 1)
            #expect(await fixture.code { try await fixture.service.retire(fixture.path, by: Self.ada) } == "conflict")
            // A task that began behind the agent's first reading of the new value runs with that.
            #expect(try await fixture.read(writer) == "new-value")
            fixture.users.set([RunningUse(agent: "writer", since: fixture.time.now)])
            fixture.sessions.set(["writer": start])
            view = try await fixture.service.view(fixture.path)
            #expect(view.users.first?.running == 1 && view.users.first?.hasMoved == true)
            fixture.sessions.set(["writer": fixture.time.now])
            #expect(try await fixture.service.view(fixture.path).waitsFor.isEmpty)
            fixture.deployment.set("a roll-out to end")
            try await fixture.service.act()
            #expect(try await fixture.service.view(fixture.path).waitsFor.map(\.text) == ["a roll-out to end"])
            fixture.deployment.set(nil)
            let retired = try await fixture.service.retire(fixture.path, by: Self.ada)
            #expect(retired.kept?.rotation.state == .retired)
        }
    }

    @Test("a lease of the old value keeps it, and the cut ends those of that version", arguments: TestEngine.available)
    func leases(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            let writer = Fixture.agent("writer")
            func lease() async throws -> Identifier<SecretLease> {
                try #require(
                    try await fixture.secrets.lease(fixture.path, version: nil, seconds: 86_400, by: writer).lease
                ).id
            }
            func renewal(_ id: Identifier<SecretLease>) async -> String? {
                await fixture.code { try await fixture.secrets.renewLease(id, seconds: 86_400, by: writer) }
            }
            let old = try await lease()
            try await fixture.go(to: .overlap)
            fixture.time.advance(by: .hours(12))
            #expect(await renewal(old) == nil)
            fixture.time.advance(by: .hours(12))
            try await fixture.service.act()
            #expect(try await fixture.state() == .draining)
            fixture.time.advance(by: .hours(11))
            var view = try await fixture.service.view(fixture.path)
            #expect(view.users.first?.running == 1 && view.users.first?.hasMoved == false)
            let new = try await lease()
            view = try await fixture.service.view(fixture.path)
            #expect(view.users.first?.running == 1 && view.users.first?.hasMoved == true)
            _ = try await fixture.service.compromise(
                fixture.path, version: 1, reason: "it was in a log", data: nil, by: Self.ada)
            #expect(await renewal(old) == "lease_lost")
            #expect(await renewal(new) == nil)
        }
    }

    @Test("nothing is given out while something is deployed", arguments: TestEngine.available)
    func deploying(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            try await fixture.go(to: .verified)
            fixture.deployment.set("a roll-out to end")
            let code = await fixture.code { try await fixture.service.issue(fixture.path, by: Self.ada) }
            #expect(code == "deployment_window")
            #expect(try await fixture.state() == .verified)
            #expect(try await fixture.read(Self.ada) == "old-value")
            // The way back and the cut never wait.
            let cut = try await fixture.service.compromise(
                fixture.path, version: 1, reason: "it was in a log", data: nil, by: Self.ada)
            #expect(cut.view.kept?.rotation.state == .retired)
            #expect(try await fixture.read(Self.ada) == "new-value")
        }
    }

    @Test(
        "the way back gives the old value out again, and numbers are never given twice", arguments: TestEngine.available
    )
    func wayBack(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            for state in [SecretRotation.State.staged, .verified, .overlap, .draining] {
                try await fixture.go(to: state)
                let view = try await fixture.service.takeBack(fixture.path, "it was slow", by: Self.ada)
                #expect(view.kept?.rotation.state == .returned && view.secret.version == 1)
                #expect(try await fixture.read(Self.ada) == "old-value")
                let number = try #require(view.kept?.rotation.newVersion)
                #expect(try await fixture.read(Self.ada, number) == "gone")
                let code = await fixture.code { try await fixture.service.takeBack(fixture.path, nil, by: Self.ada) }
                #expect(code == "conflict")
            }
            let (secret, _) = try await fixture.secrets.write(
                fixture.path, .put(Fixture.data("a-third")), cas: 1, by: Self.ada)
            #expect(secret.version == 6)
            #expect(try await fixture.read(Self.ada) == "a-third")
        }
    }

    @Test("nobody writes beside a rotation", arguments: TestEngine.available)
    func alone(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            try await fixture.go(to: .staged)
            let before = try await fixture.events()
            // The same again is a client that did not hear the answer.
            _ = try await fixture.service.stage(fixture.path, Fixture.data("new-value"), overlap: nil, by: Self.ada)
            for refused in ["other", "new-value"] {
                let write = await fixture.code {
                    try await fixture.secrets.write(fixture.path, .put(Fixture.data(refused)), by: Self.ada)
                }
                #expect(write == "conflict")
            }
            let other = await fixture.code {
                try await fixture.service.stage(fixture.path, Fixture.data("other"), overlap: nil, by: Self.ada)
            }
            #expect(other == "conflict")
            // Versions that are staged are not deleted, shown or pruned by other ways.
            try await fixture.secrets.act(.destroyed, on: fixture.path, versions: [2], by: Self.ada)
            try await fixture.secrets.set(.init(versionsMax: 1), of: fixture.path, by: Self.ada)
            #expect(try await fixture.events() == before + ["secret.described"])
            _ = try await fixture.service.verify(fixture.path, .word("seen"), by: Self.ada)
            _ = try await fixture.service.issue(fixture.path, by: Self.ada)
            try await fixture.secrets.set(.init(versionsMax: 1), of: fixture.path, by: Self.ada)
            #expect(try await fixture.read(Self.ada, 1) == "old-value")
            #expect(
                await fixture.code { try await fixture.service.issue(fixture.path, by: Self.ada) } == "bad_transition")
        }
    }

    @Test("a probe proves, and one that fails leaves everything as it was", arguments: TestEngine.available)
    func probes(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            let fields = try #require(
                JSONParser.parse(
                    #"{"url":"https://api.example.com/v1/me","headers":{"authorization":"Bearer {{ value }}"}}"#
                ).object)
            let probe = try SecretProbe(Fields(fields, limits: Limits()))
            try await fixture.go(to: .staged)
            let path = fixture.path
            #expect(
                await fixture.code { try await fixture.service.verify(path, .probe(nil), by: Self.ada) } == "invalid")
            _ = try await fixture.service.set(rotateEvery: .hours(24 * 30), probe: probe, of: path, by: Self.ada)
            #expect(
                await fixture.code { try await fixture.service.verify(path, .word("x"), by: Self.ada) } == "invalid")
            #expect(fixture.prober.calls.isEmpty)
            for answer in [Result.success(401), .failure(SecretProbeFault(reason: "no answer in time"))] {
                fixture.prober.set(answer)
                let code = await fixture.code { try await fixture.service.verify(path, .probe(nil), by: Self.ada) }
                #expect(code == "probe_failed")
                #expect(try await fixture.state() == .staged)
            }
            fixture.prober.set(.success(204))
            let view = try await fixture.service.verify(path, .probe(nil), by: Self.ada)
            #expect(view.kept?.rotation.state == .verified)
            #expect(view.json["proof"]?["detail"] == "HTTP 204 from https://api.example.com/v1/me")
            #expect(view.json["rotateEveryDays"] == 30)
            let call = "https://api.example.com/v1/me authorization=Bearer new-value"
            #expect(fixture.prober.calls == [call, call, call])
            #expect(try await fixture.audit().filter { $0 == "secret.probed" }.count == 3)
            let texts = try await fixture.storage.read { transaction in
                try transaction.rows("SELECT detail FROM audit").map { $0.text("detail") }
                    + transaction.rows("SELECT data FROM events").map { $0.text("data") }
            }
            #expect(!texts.contains { $0.contains("new-value") })
            // Where nothing can be written down, nothing is called.
            _ = try await fixture.service.takeBack(path, nil, by: Self.ada)
            _ = try await fixture.service.stage(path, Fixture.data("another"), overlap: nil, by: Self.ada)
            try await fixture.storage.write { try $0.define("DROP TABLE audit") }
            #expect(await fixture.code { try await fixture.service.verify(path, .probe(nil), by: Self.ada) } != nil)
            #expect(fixture.prober.calls.count == 3)
        }
    }

    @Test(
        "what is no probe",
        arguments: [
            #"{"url":"ftp://x","headers":{"a":"{{value}}"}}"#,
            #"{"url":"https://x/{{value}}","headers":{"a":"{{value}}"}}"#,
            #"{"url":"https://u:p@x","headers":{"a":"{{value}}"}}"#, #"{"url":"https://x"}"#,
            #"{"url":"https://x","headers":{"a":"b"}}"#, #"{"url":"https://x","headers":{"a b":"{{value}}"}}"#,
            #"{"url":"https://x","headers":{"a":"{{value}}\r\nb: c"}}"#, #"{"url":"https://x","header":{}}"#,
            #"{"url":"https://x","headers":{"a":"{{value}}"},"method":"DELETE"}"#,
            #"{"url":"https://x","headers":{"a":"{{value}}"},"expect":[42]}"#,
        ])
    func noProbe(text: String) throws {
        let object = try #require(JSONParser.parse(text).object)
        #expect(throws: Problem.self) { try SecretProbe(Fields(object, limits: Limits())) }
    }

    @Test("a value with lines in it goes into no header")
    func filled() throws {
        let object = try #require(JSONParser.parse(#"{"url":"https://x","headers":{"a":"k={{b}};{{ c}}"}}"#).object)
        let probe = try SecretProbe(Fields(object, limits: Limits()))
        let good = try probe.call(with: #require(JSONParser.parse(#"{"b":"1","c":"{{b}}"}"#).object))
        #expect(good.headers.map(\.value) == ["k=1;{{b}}"])
        for text in [#"{"b":"1"}"#, #"{"b":"1","c":"2\r\nx: y"}"#, #"{"b":1,"c":"2"}"#] {
            let data = try #require(JSONParser.parse(text).object)
            #expect(throws: Problem.self) { try probe.call(with: data) }
        }
        #expect(SecretProbe(stored: probe.json.text) == probe)
    }

    @Test("what others know is cut at once, told once, and holders are named", arguments: TestEngine.available)
    func compromise(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            let (path, writer) = (fixture.path, Fixture.agent("writer"))
            _ = try await fixture.read(writer)
            try await fixture.go(to: .overlap)
            fixture.users.set([RunningUse(agent: "writer", since: nil)])
            fixture.deployment.set("a roll-out to end")
            for _ in 0..<2 {
                let cut = try await fixture.service.compromise(
                    path, version: 1, reason: "it was in a log", data: nil, by: Self.ada)
                #expect(cut.holders.map(\.actor) == ["agent:writer"])
                #expect(cut.view.kept?.rotation.isCompromise == true)
            }
            #expect(try await fixture.read(writer, 1) == "gone")
            try await fixture.secrets.act(.undeleted, on: path, versions: [1], by: Self.ada)
            #expect(try await fixture.read(writer, 1) == "gone")
            #expect(try await fixture.read(writer) == "new-value")
            #expect(try await fixture.events("secret.compromised").count == 1)
            #expect(try await fixture.firing().count == 1)
            // Where nothing is staged, another value comes with the cut, or there is none.
            _ = try await fixture.service.compromise(
                path, version: 2, reason: "again", data: Fixture.data("third-value"), by: Self.ada)
            #expect(try await fixture.read(writer) == "third-value")
            _ = try await fixture.service.compromise(path, version: 3, reason: "again", data: nil, by: Self.ada)
            #expect(try await fixture.read(writer) == "gone")
            let stage = await fixture.code {
                try await fixture.service.stage(path, Fixture.data("x"), overlap: nil, by: Self.ada)
            }
            #expect(stage == "conflict")
            let none = await fixture.code {
                try await fixture.service.compromise(path, version: 9, reason: "x", data: nil, by: Self.ada)
            }
            #expect(none == "not_found")
            let (secret, _) = try await fixture.secrets.write(path, .put(Fixture.data("fourth")), by: Self.ada)
            #expect(secret.version == 4)
        }
    }

    @Test("a new value that others know is taken back", arguments: TestEngine.available)
    func compromisedNew(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            try await fixture.go(to: .overlap)
            let cut = try await fixture.service.compromise(
                fixture.path, version: 2, reason: "it was in a log", data: nil, by: Self.ada)
            #expect(cut.view.kept?.rotation.state == .returned)
            #expect(try await fixture.read(Self.ada) == "old-value")
            #expect(try await fixture.read(Self.ada, 2) == "gone")
        }
    }

    @Test("a value that is old is told of, until another is given out", arguments: TestEngine.available)
    func due(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            let path = fixture.path
            _ = try await fixture.service.set(rotateEvery: .hours(24 * 7), probe: nil, of: path, by: Self.ada)
            fixture.time.advance(by: .seconds(7 * 24 * 3_600 - 1))
            try await fixture.service.tellDue()
            #expect(try await fixture.firing().isEmpty)
            fixture.time.advance(by: .seconds(1))
            for _ in 0..<2 { try await fixture.service.tellDue() }
            let firing = try await fixture.firing()
            #expect(firing.count == 1 && firing.first?.contains("SecretRotationDue") == true)
            try await fixture.go(to: .overlap)
            #expect(try await fixture.service.view(path).json["due"] == false)
            _ = try await fixture.service.set(rotateEvery: nil, probe: nil, of: path, by: Self.ada)
            let dueAt = try await fixture.service.view(path).secret.dueAt
            #expect(dueAt == fixture.time.now + .hours(24 * 90))
        }
    }

    @Test("many that are due at once are one alert for each scope", arguments: TestEngine.available)
    func manyDue(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            let few = try (0..<Int(SecretRotationService.dueAloneMax)).map { try SecretPath("org/key-\($0)") }
            let many = try (0..<200).map { try SecretPath("project/books/key-\($0)") }
            for path in few + many {
                _ = try await fixture.secrets.write(path, .put(Fixture.data("some-value")), by: Self.ada)
            }
            fixture.time.advance(by: SecretRotation.ageMax)
            for _ in 0..<2 { try await fixture.service.tellDue() }
            var firing = try await fixture.firing()
            #expect(firing.count == few.count + 1)
            #expect(firing.filter { $0.contains("org/key-") }.count == few.count)
            #expect(firing.filter { $0.contains(#""secret_scope":"project""#) }.count == 1)
            // A label that is called so would be a budget's.
            #expect(!firing.contains { $0.contains(#""scope""#) })
            let words = try await fixture.storage.read { transaction in
                try transaction.rows("SELECT annotations FROM alerts").map { $0.text("annotations") }
            }.filter { $0.contains("201 values") }
            #expect(words.count == 1 && words.first?.contains("and 191 more") == true)
            var page = MetricPage()
            fixture.service.meters.collect(into: &page)
            let due = page.samples.filter { $0.name == "reeve_secrets_due" }.map(\.value)
            #expect(due.sorted() == [0, 0, 5, 201])
            // One more of the few, and they are one too; the others end by themselves.
            _ = try await fixture.secrets.write(
                try SecretPath("org/key-new"), .put(Fixture.data("some-value")), by: Self.ada)
            fixture.time.advance(by: SecretRotation.ageMax)
            try await fixture.service.tellDue()
            firing = try await fixture.firing()
            #expect(firing.filter { $0.contains(#""secret_scope":"org""#) }.count == 1)
        }
    }

    @Test("what is kept of rotations is bounded")
    func kept() async throws {
        try await Fixture.with(.sqlite) { fixture in
            for _ in 0..<SecretRotationStore.keptMax + 3 {
                try await fixture.go(to: .staged)
                _ = try await fixture.service.takeBack(fixture.path, nil, by: Self.ada)
            }
            let count = try await fixture.storage.read {
                try $0.first("SELECT COUNT(*) AS n FROM secret_rotations")?.int("n")
            }
            #expect(count == Int64(SecretRotationStore.keptMax))
            try await fixture.secrets.remove(fixture.path, by: Self.ada)
            let left = try await fixture.storage.read { transaction in
                try transaction.rows("SELECT path FROM secret_rotations").count
                    + transaction.rows("SELECT path FROM secret_version_uses").count
            }
            #expect(left == 0)
        }
    }
}
