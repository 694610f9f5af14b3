import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

/// Secrets in the store: what is kept, who gets it, and that nothing is read that cannot be written down.
@Suite struct SecretServiceTests {
    private static let ada = Principal(keyID: "key_ada", name: "ada", role: .operator_)
    private static let value = "correct-horse-battery"

    private static func writer(_ name: String = "writer") -> Principal {
        Principal(keyID: "key_\(name)", name: name, role: .agent, agent: name)
    }

    private static func ring(_ lines: [String]) throws -> MasterKeyRing {
        try MasterKeyRing(SecretBytes(lines.joined(separator: "\n")), from: "the test")
    }

    private static let keys = ["1 " + String(repeating: "1a", count: 32), "2 " + String(repeating: "2b", count: 32)]

    private static func service(
        _ storage: any Storage, _ world: World, keys: [String] = [keys[0]]
    ) throws -> SecretService {
        SecretService(
            sealing: SecretSealing(Sealer(ring: try ring(keys), entropy: world.entropy)),
            watch: SecretWatch(entropy: world.entropy), events: Events(world: world),
            audit: AuditService(world: world), storage: storage, world: world)
    }

    private static func with(
        _ engine: TestEngine, _ body: (SecretService, any Storage, World) async throws -> Void
    ) async throws {
        let world = World.test()
        let migrations = SecretSchema.migrations + AuditSchema.migrations + EventSchema.migrations
        try await withStorage(engine, migrations: migrations) { storage in
            try await body(try service(storage, world), storage, world)
        }
    }

    private static func data(_ value: String = value) -> JSONObject {
        JSONObject([.init(name: "value", value: .string(value))])
    }

    private static func audit(_ storage: any Storage, _ world: World) async throws -> [String] {
        try await storage.read { transaction in
            try AuditService(world: world).list(after: 0, limit: 100, in: transaction).map {
                "\($0.action) \($0.actor)"
            }
        }
    }

    private static func code(_ body: () async throws -> some Any) async -> String? {
        do {
            _ = try await body()
            return nil
        } catch {
            return (error as? Problem)?.code.name ?? "\(error)"
        }
    }

    @Test(arguments: [
        ("user/ada/openai", true), ("project/marketing/openai", true), ("org/openai", true), ("platform/x.y-z_1", true),
        ("user/jo@example.com/k", true), ("org/a/b", false), ("user/openai", false), ("team/a/b", false),
        ("org/", false),
        ("org", false), ("", false), ("org/..", false), ("org/a b", false), ("org/grants", false), ("/org/a", false),
        ("user//a", false), ("org/a/", false), ("org/\(String(repeating: "x", count: 129))", false), ("org/ü", false),
    ])
    func paths(text: String, isPath: Bool) {
        let path = try? SecretPath(text)
        #expect((path != nil) == isPath)
        if let path { #expect(path.description == text && SecretPath(stored: text) == path) }
    }

    @Test(arguments: TestEngine.available)
    func whatIsWrittenIsRead(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, world in
            let path = try SecretPath("project/marketing/openai")
            _ = try await service.write(path, .put(Self.data()), by: Self.ada)
            let (secret, version) = try await service.write(path, .put(Self.data("another-value")), by: Self.ada)
            #expect(secret.version == 2 && version.number == 2)
            #expect(try await service.read(path, by: Self.ada).data == Self.data("another-value"))
            #expect(try await service.read(path, version: 1, by: Self.ada).data == Self.data())
            #expect(await Self.code { try await service.read(path, version: 3, by: Self.ada) } == "not_found")
            #expect(service.watch.clean("x \(Self.value) y", at: "test") == "x [redacted:\(path)] y")
            #expect(
                try await Self.audit(storage, world) == [
                    "secret.written operator:ada", "secret.written operator:ada", "secret.read operator:ada",
                    "secret.read operator:ada",
                ])
            let shown = try await service.list(scope: .project, owner: "marketing", page: Page(limit: 10), by: Self.ada)
            #expect(shown.map(\.secret.version) == [2])
            #expect(shown.first?.json["holders"]?.array?.first?["actor"] == "operator:ada")
            #expect(!(shown.first?.json.text.contains(Self.value) ?? true))
        }
    }

    @Test(arguments: TestEngine.available)
    func agentsReadWhatTheyWereGranted(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, world in
            let (one, two) = (try SecretPath("org/one"), try SecretPath("org/two"))
            for path in [one, two] { _ = try await service.write(path, .put(Self.data()), by: Self.ada) }
            #expect(await Self.code { try await service.read(one, by: Self.writer()) } == "forbidden")
            // What is not there is refused alike, so that nobody learns what there is.
            #expect(
                await Self.code { try await service.read(SecretPath("org/none"), by: Self.writer()) } == "forbidden")
            #expect(try await service.grant(one, to: ["writer", "other"], by: Self.ada) == ["other", "writer"])
            #expect(try await service.read(one, by: Self.writer()).data == Self.data())
            #expect(await Self.code { try await service.read(two, by: Self.writer()) } == "forbidden")
            #expect(try await service.names(below: "org", by: Self.writer()) == ["one"])
            #expect(try await service.names(below: "", by: Self.ada) == ["org/"])
            #expect(try await service.grant(one, to: [], by: Self.ada) == [])
            #expect(await Self.code { try await service.read(one, by: Self.writer()) } == "forbidden")
            let viewer = Principal(keyID: "key_v", name: "v", role: .viewer)
            #expect(await Self.code { try await service.read(one, by: viewer) } == "forbidden")
            let refused = try await Self.audit(storage, world).filter { $0.hasPrefix("secret.refused") }
            #expect(refused.count == 5)
        }
    }

    @Test(arguments: TestEngine.available)
    func whereNothingIsWrittenDownNothingIsRead(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, _ in
            let path = try SecretPath("org/one")
            _ = try await service.write(path, .put(Self.data()), by: Self.ada)
            try await storage.write { try $0.define("DROP TABLE audit") }
            #expect(await Self.code { try await service.read(path, by: Self.ada) } != nil)
            #expect(await Self.code { try await service.write(path, .put(Self.data()), by: Self.ada) } != nil)
            #expect(try await service.describe(path, by: Self.ada).secret.version == 1)
        }
    }

    @Test(arguments: TestEngine.available)
    func versionsComeAndGo(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, _, _ in
            let path = try SecretPath("org/one")
            #expect(
                await Self.code { try await service.write(path, .put(Self.data()), cas: 1, by: Self.ada) } == "conflict"
            )
            for cas in 0..<3 {
                _ = try await service.write(path, .put(Self.data("value \(cas)")), cas: cas, by: Self.ada)
            }
            #expect(
                await Self.code { try await service.write(path, .put(Self.data()), cas: 0, by: Self.ada) } == "conflict"
            )
            try await service.act(.deleted, on: path, versions: [], by: Self.ada)
            #expect(try await service.read(path, by: Self.ada).data == nil)
            #expect(try await service.read(path, version: 2, by: Self.ada).data == Self.data("value 1"))
            try await service.act(.undeleted, on: path, versions: [3], by: Self.ada)
            #expect(try await service.read(path, by: Self.ada).data == Self.data("value 2"))
            try await service.act(.destroyed, on: path, versions: [2, 99], by: Self.ada)
            try await service.act(.undeleted, on: path, versions: [2], by: Self.ada)
            #expect(try await service.read(path, version: 2, by: Self.ada).data == nil)
            #expect(try await service.describe(path, by: Self.ada).versions.map(\.isDestroyed) == [false, true, false])
            try await service.set(.init(versionsMax: 1, isCASRequired: true), of: path, by: Self.ada)
            #expect(try await service.describe(path, by: Self.ada).versions.map(\.number) == [3])
            #expect(await Self.code { try await service.write(path, .put(Self.data()), by: Self.ada) } == "invalid")
            try await service.remove(path, by: Self.ada)
            #expect(await Self.code { try await service.read(path, by: Self.ada) } == "not_found")
        }
    }

    @Test(arguments: TestEngine.available)
    func patches(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, _, _ in
            let path = try SecretPath("org/one")
            let first = try #require(JSONParser.parse(#"{"a":"1","b":{"c":"2","d":"3"},"e":"4"}"#).object)
            let patch = try #require(JSONParser.parse(#"{"a":null,"b":{"c":"5","d":null},"f":"6"}"#).object)
            #expect(await Self.code { try await service.write(path, .merge(patch), by: Self.ada) } == "not_found")
            _ = try await service.write(path, .put(first), by: Self.ada)
            _ = try await service.write(path, .merge(patch), by: Self.ada)
            let merged = try await service.read(path, by: Self.ada).data
            #expect(merged.map { JSONValue.object($0).text } == #"{"b":{"c":"5"},"e":"4","f":"6"}"#)
        }
    }

    @Test(arguments: TestEngine.available)
    func limits(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, _, _ in
            let path = try SecretPath("org/one")
            let large = String(repeating: "x", count: KeptSecret.dataBytesMax)
            #expect(
                await Self.code { try await service.write(path, .put(Self.data(large)), by: Self.ada) } == "invalid")
            for number in 0..<KeptSecret.versionsDefault + 2 {
                _ = try await service.write(path, .put(Self.data("value \(number)")), by: Self.ada)
            }
            let versions = try await service.describe(path, by: Self.ada).versions
            #expect(versions.map(\.number) == Array(3...12))
        }
    }

    @Test(arguments: TestEngine.available)
    func aNewMasterKeySealsAnew(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, world in
            let paths = try (0..<3).map { try SecretPath("org/number-\($0)") }
            for path in paths { _ = try await service.write(path, .put(Self.data("\(path) value")), by: Self.ada) }
            let both = try Self.service(storage, world, keys: Self.keys)
            #expect(try await both.rewrap() == 3)
            #expect(try await both.rewrap() == 0)
            let new = try Self.service(storage, world, keys: [Self.keys[1]])
            for path in paths { #expect(try await new.read(path, by: Self.ada).data == Self.data("\(path) value")) }
            #expect(await Self.code { try await service.read(paths[0], by: Self.ada) } == "master_key")
            // A key that never sealed anything here opens nothing, and makes nothing worse.
            let other = try Self.service(storage, world, keys: ["2 " + String(repeating: "3c", count: 32)])
            #expect(await Self.code { try await other.read(paths[0], by: Self.ada) } == "master_key")
            #expect(try await other.rewrap() == 0)
        }
    }

    @Test(arguments: TestEngine.available)
    func whatWasChangedBehindItsBackIsNotOpened(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, _ in
            let (one, two) = (try SecretPath("org/one"), try SecretPath("org/two"))
            for path in [one, two] { _ = try await service.write(path, .put(Self.data()), by: Self.ada) }
            try await storage.write { transaction in
                try transaction.run(
                    """
                    UPDATE secret_versions SET sealed =
                      (SELECT sealed FROM secret_versions AS other WHERE other.path = 'org/two')
                    WHERE path = 'org/one'
                    """)
            }
            #expect(await Self.code { try await service.read(one, by: Self.ada) } == "seal_broken")
            #expect(try await service.read(two, by: Self.ada).data == Self.data())
        }
    }

    @Test(arguments: TestEngine.available)
    func otherReplicasLearnTheValues(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, world in
            let other = try Self.service(storage, world)
            try await other.learn()
            _ = try await service.write(SecretPath("org/one"), .put(Self.data()), by: Self.ada)
            #expect(other.watch.clean(Self.value, at: "test") == Self.value)
            try await other.learn()
            #expect(other.watch.clean(Self.value, at: "test") == "[redacted:org/one]")
            #expect(other.watch.takeLeaks() == [SecretLeak(path: "org/one", door: "test"): 1])
            #expect(other.watch.takeLeaks().isEmpty)
        }
    }

    @Test(arguments: TestEngine.available)
    func aMasterKeyBelongsToItsStore(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage, world in
            try await TestStorage.withFolder { folder in
                let path = "\(folder)/master.key"
                let made = try await SecretSealing.open(.made(path), storage: storage, world: world)
                #expect(made.fault == nil && made.madeAt == path)
                #expect(try await SecretSealing.open(.made(path), storage: storage, world: world).madeAt == nil)
                // A replica with a folder of its own makes no key of its own.
                let other = try await SecretSealing.open(.made("\(folder)/other.key"), storage: storage, world: world)
                #expect(other.fault?.code == .masterKey)
                #expect(!FileManager.default.fileExists(atPath: "\(folder)/other.key"))
                try Data((Self.keys[0] + "\n").utf8).write(to: URL(fileURLWithPath: "\(folder)/foreign.key"))
                chmod("\(folder)/foreign.key", 0o400)
                let foreign = try await SecretSealing.open(
                    .file("\(folder)/foreign.key"), storage: storage, world: world)
                #expect(foreign.fault?.code == .masterKey)
                let code = await Self.code {
                    try await SecretSealing.open(.file("\(folder)/none.key"), storage: storage, world: world)
                }
                #expect(code == "master_key")
            }
        }
    }
}
