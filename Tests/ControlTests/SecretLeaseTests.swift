import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Leases of secrets, and which secret holds")
struct SecretLeaseTests {
    private static let ada = Principal(keyID: "key_ada", name: "ada", role: .operator_)
    private static let writer = Principal(keyID: "key_w", name: "w", role: .agent, agent: "writer")
    private static let other = Principal(keyID: "key_o", name: "o", role: .agent, agent: "other")

    private struct Bench {
        let service: SecretService
        let storage: any Storage
        let time: ManualTime
    }

    private static func with(_ engine: TestEngine, _ body: (Bench) async throws -> Void) async throws {
        let time = ManualTime()
        let world = World.test(time: time)
        let ring = try MasterKeyRing(SecretBytes("1 " + String(repeating: "1a", count: 32)), from: "the test")
        let migrations = SecretSchema.migrations + AuditSchema.migrations + EventSchema.migrations
        try await withStorage(engine, migrations: migrations) { storage in
            let service = SecretService(
                sealing: SecretSealing(Sealer(ring: ring, entropy: world.entropy)),
                watch: SecretWatch(entropy: world.entropy), events: Events(world: world),
                audit: AuditService(world: world), storage: storage, world: world)
            try await body(Bench(service: service, storage: storage, time: time))
        }
    }

    private static func put(_ bench: Bench, _ path: SecretPath, _ value: String = "some-long-value") async throws {
        _ = try await bench.service.write(
            path, .put(JSONObject([.init(name: "value", value: .string(value))])), by: ada)
    }

    private static func code(_ body: () async throws -> some Any) async -> String? {
        do {
            _ = try await body()
            return nil
        } catch {
            return (error as? Problem)?.code.name ?? "\(error)"
        }
    }

    private static func holders(_ bench: Bench, _ path: SecretPath) async throws -> [String: Timestamp?] {
        let holders = try await bench.service.describe(path, by: ada).holders
        return Dictionary(uniqueKeysWithValues: holders.map { ($0.actor, $0.leasedUntil) })
    }

    private static func audit(_ bench: Bench) async throws -> [String] {
        try await bench.storage.read { transaction in
            try AuditService(world: .test()).list(after: 0, limit: 100, in: transaction).map {
                "\($0.action) \($0.actor)"
            }
        }
    }

    @Test("a lease runs, is renewed by its holder, and ends", arguments: TestEngine.available)
    func aLeaseRuns(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let path = try SecretPath("org/github")
            let start = bench.time.now
            try await Self.put(bench, path)
            _ = try await bench.service.grant(path, to: ["writer"], by: Self.ada)
            #expect(
                await Self.code { try await bench.service.lease(path, version: nil, seconds: 60, by: Self.other) }
                    == "forbidden")
            let given = try await bench.service.lease(path, version: nil, seconds: 60, by: Self.writer).lease
            let lease = try #require(given)
            #expect(lease.version == 1 && lease.secondsLeft(at: start) == 60)
            #expect(try await Self.holders(bench, path)["agent:writer"] == .some(start + .seconds(60)))
            try await Self.put(bench, path, "another-long-value")
            bench.time.advance(by: .seconds(40))
            let renewed = try await bench.service.renewLease(lease.id, seconds: 60, by: Self.writer)
            #expect(renewed.newest == 2 && renewed.lease.version == 1)
            #expect(renewed.lease.secondsLeft(at: bench.time.now) == 60)
            #expect(
                await Self.code { try await bench.service.renewLease(lease.id, seconds: 60, by: Self.other) }
                    == "not_found")
            #expect(await Self.code { try await bench.service.revokeLease(lease.id, by: Self.other) } == "not_found")
            bench.time.advance(by: .seconds(60))
            #expect(
                await Self.code { try await bench.service.renewLease(lease.id, seconds: 60, by: Self.writer) }
                    == "lease_lost")
            #expect(try await Self.holders(bench, path)["agent:writer"] == .some(nil))
            bench.time.advance(by: SecretLease.kept + .seconds(1))
            try await bench.service.purgeLeases()
            #expect(
                await Self.code { try await bench.service.renewLease(lease.id, seconds: 60, by: Self.writer) }
                    == "not_found")
        }
    }

    @Test("a lease ends with its revocation, its grant, its version and its secret", arguments: TestEngine.available)
    func aLeaseEnds(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let path = try SecretPath("org/github")
            try await Self.put(bench, path)
            _ = try await bench.service.grant(path, to: ["writer"], by: Self.ada)
            func lease() async throws -> Identifier<SecretLease> {
                try #require(try await bench.service.lease(path, version: nil, seconds: 600, by: Self.writer).lease).id
            }
            func renewal(_ id: Identifier<SecretLease>) async -> String? {
                await Self.code { try await bench.service.renewLease(id, seconds: 600, by: Self.writer) }
            }
            let first = try await lease()
            try await bench.service.revokeLease(first, by: Self.writer)
            try await bench.service.revokeLease(first, by: Self.ada)
            #expect(await renewal(first) == "lease_lost")
            let (second, third) = (try await lease(), try await lease())
            let ended = try await bench.storage.write {
                try bench.service.revokeLeases(of: path, version: 1, by: Self.ada, in: $0)
            }
            #expect(ended == 2)
            #expect(await renewal(second) == "lease_lost")
            #expect(await renewal(third) == "lease_lost")
            let again = try await bench.storage.write {
                try bench.service.revokeLeases(of: path, version: 1, by: Self.ada, in: $0)
            }
            #expect(again == 0)
            let fourth = try await lease()
            _ = try await bench.service.grant(path, to: [], by: Self.ada)
            #expect(await renewal(fourth) == "forbidden")
            _ = try await bench.service.grant(path, to: ["writer"], by: Self.ada)
            try await bench.service.act(.deleted, on: path, versions: [], by: Self.ada)
            #expect(await renewal(fourth) == "lease_lost")
            try await bench.service.act(.undeleted, on: path, versions: [1], by: Self.ada)
            #expect(await renewal(fourth) == nil)
            try await bench.service.remove(path, by: Self.ada)
            #expect(await renewal(fourth) == "not_found")
            let told = try await Self.audit(bench)
            #expect(told.filter { $0 == "secret.lease_revoked agent:writer" }.count == 1)
            #expect(told.filter { $0 == "secret.leases_revoked operator:ada" }.count == 1)
        }
    }

    @Test("a lease is renewed for so long and no longer")
    func theEnd() throws {
        let start = Timestamp(microseconds: 0)
        var lease = SecretLease(
            id: Identifier(.test()), path: try SecretPath("org/x"), version: 1, actor: "a", agent: nil,
            grantedAt: start, expiresAt: start + .seconds(86_400))
        var now = start
        while lease.isRenewable {
            now = lease.expiresAt - .seconds(1)
            try lease.renew(for: 86_400, at: now)
        }
        #expect(lease.expiresAt == start + SecretLease.lifeMax)
        #expect(throws: Problem.self) { try lease.renew(for: 60, at: start + SecretLease.lifeMax) }
        // A shorter renewal takes nothing away.
        try lease.renew(for: 10, at: start)
        #expect(lease.expiresAt == start + SecretLease.lifeMax)
    }

    /// What there is, whose is asked for, how, and what is found.
    @Test(
        arguments: [
            (["user/ann/k", "org/k"], "ann", "web", SecretLookup.Policy.fallback, false, ["used"]),
            (["project/web/k", "platform/k"], "ann", "web", .fallback, false, ["absent", "used"]),
            (["platform/k"], nil, nil, .fallback, false, ["absent", "used"]),
            ([], "ann", "web", .fallback, false, ["absent", "absent", "absent", "absent"]),
            (["-user/ann/k", "org/k"], "ann", nil, .fallback, false, ["expired"]),
            (["-user/ann/k", "org/k"], "ann", nil, .fallback, true, ["expired", "used"]),
            (["org/k"], "ann", "web", .strictUser, false, ["absent"]),
            (["user/ann/k"], "ann", nil, .strictUser, false, ["used"]),
        ] as [([String], String?, String?, SecretLookup.Policy, Bool, [String])])
    func theNearestHolds(
        there: [String], user: String?, project: String?, policy: SecretLookup.Policy, passes: Bool, states: [String]
    ) throws {
        let lookup = try SecretLookup(
            name: "k", user: user, project: project, policy: policy, passesExpired: passes)
        let places = try lookup.look { path in
            there.contains(path.description) ? true : there.contains("-\(path)") ? false : nil
        }
        #expect(places.map(\.state.rawValue) == states)
    }

    @Test func aLookupIsWellFormed() {
        #expect(throws: Problem.self) { try SecretLookup(name: "k", policy: .strictUser) }
        #expect(throws: Problem.self) { try SecretLookup(name: "a/b") }
        #expect(throws: Problem.self) { try SecretLookup(name: "k", user: "a/b") }
    }

    @Test("a secret is lent with a row of the audit, or not at all", arguments: TestEngine.available)
    func lending(_ engine: TestEngine) async throws {
        try await Self.with(engine) { bench in
            let path = try SecretPath("user/ann/openai")
            #expect(try await bench.service.lend(path, to: .gateway, for: Self.writer) == nil)
            #expect(try await Self.audit(bench).isEmpty)
            try await Self.put(bench, path, "sk-anns\n")
            let loan = try #require(try await bench.service.lend(path, to: .gateway, for: Self.writer))
            #expect(loan.value?.text == "sk-anns" && loan.version == 1)
            let holder = try await bench.service.describe(path, by: Self.ada).holders.first
            #expect(holder?.actor == "gateway" && holder?.version == 1)
            #expect(try await Self.audit(bench).contains("secret.read gateway"))
            _ = try await bench.service.write(
                path, .put(JSONObject([.init(name: "a", value: "1"), .init(name: "b", value: "2")])), by: Self.ada)
            #expect(await Self.code { try await bench.service.lend(path, to: .gateway, for: Self.writer) } == "invalid")
            try await bench.service.act(.destroyed, on: path, versions: [2], by: Self.ada)
            #expect(try await bench.service.lend(path, to: .gateway, for: Self.writer)?.value == nil)
        }
    }
}
