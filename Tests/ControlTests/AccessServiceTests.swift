import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Keys and what is remembered of them")
struct AccessServiceTests {
    @Test("what another replica revoked is known within seconds", arguments: TestEngine.available)
    func replicas(_ engine: TestEngine) async throws {
        try await AccessFixture.with(engine) { bench in
            let issued = try await bench.issue(.viewer)
            #expect(try await bench.access.authenticate(key: issued.secret) == issued.key.principal)
            // Another process, which this one hears nothing of.
            let other = AccessService(
                storage: bench.storage, audit: AuditService(world: bench.world), events: Events(world: bench.world),
                world: bench.world, limits: Limits())
            try await bench.storage.write { try other.revoke(issued.key.id, by: .system, in: $0) }
            #expect(try await bench.access.authenticate(key: issued.secret) != nil)
            bench.time.advance(by: AccessCache.lifetime)
            #expect(try await bench.access.authenticate(key: issued.secret) == nil)
            #expect(try await bench.access.isInForce(keyID: issued.key.id.text) == false)
        }
    }

    @Test("an answer that was read before a revocation is not kept after it")
    func race() throws {
        let cache = AccessCache()
        let now = Timestamp(microseconds: 1)
        let principal = Principal(keyID: "key_a", name: "a", role: .viewer)
        let generation = cache.generation
        cache.forget(keyID: "key_a")
        cache.keep(principal, for: "f", generation: generation, at: now)
        #expect(cache.principal("f", at: now) == nil)
        cache.keep(principal, for: "f", generation: cache.generation, at: now)
        #expect(cache.principal("f", at: now) == principal)
    }

    @Test("no more is remembered than the bound")
    func bound() {
        let cache = AccessCache()
        let now = Timestamp(microseconds: 1)
        for index in 0...AccessCache.entriesMax {
            let principal = Principal(keyID: "key_\(index)", name: "x", role: .viewer)
            cache.keep(principal, for: "f\(index)", generation: cache.generation, at: now)
        }
        #expect(cache.principal("f\(AccessCache.entriesMax)", at: now) != nil)
        #expect(cache.principal("f0", at: now) == nil)
        #expect(cache.takeUses(limit: 10).count == 10)
    }

    @Test("each administrative act has its row, in the transaction of the act", arguments: TestEngine.available)
    func audited(_ engine: TestEngine) async throws {
        try await AccessFixture.with(engine) { bench in
            let issued = try await bench.issue(.admin, "first")
            let viewer = try await bench.issue(.viewer, "vera")
            let link = bench.access.draftLink()
            try await bench.storage.write { try bench.access.issue(link, for: issued.key.principal, in: $0) }
            let session = try #require(
                try await bench.access.openSession(linkToken: link.token, remoteAddress: "127.0.0.1"))
            try await bench.access.closeSession(session, by: issued.key.principal)
            try await bench.storage.write { try bench.access.revoke(viewer.key.id, by: issued.key.principal, in: $0) }
            let audit = AuditService(world: bench.world)
            let entries = try await bench.storage.read { try audit.list(after: 0, limit: 50, in: $0) }
            #expect(
                entries.map(\.action) == [
                    "key.created", "key.created", "login_link.created", "session.opened", "session.closed",
                    "key.revoked",
                ])
            let text = JSONValue.list(entries).text
            for secret in [issued.secret, viewer.secret, link.token, session] { #expect(!text.contains(secret)) }
        }
    }

    @Test("a link and a session of a revoked key open nothing", arguments: TestEngine.available)
    func revokedWithAll(_ engine: TestEngine) async throws {
        try await AccessFixture.with(engine) { bench in
            _ = try await bench.issue(.admin, "first")
            let second = try await bench.issue(.admin, "second")
            let link = bench.access.draftLink()
            try await bench.storage.write { try bench.access.issue(link, for: second.key.principal, in: $0) }
            let session = try #require(try await bench.access.openSession(key: second.secret, remoteAddress: ""))
            try await bench.storage.write { try bench.access.revoke(second.key.id, by: .system, in: $0) }
            #expect(try await bench.access.openSession(linkToken: link.token, remoteAddress: "") == nil)
            #expect(try await bench.access.openSession(key: second.secret, remoteAddress: "") == nil)
            #expect(try await bench.access.authenticate(.session(session)) == nil)
        }
    }

    @Test("what is past its time is dropped", arguments: TestEngine.available)
    func purge(_ engine: TestEngine) async throws {
        try await AccessFixture.with(engine) { bench in
            let issued = try await bench.issue(.admin)
            let session = try #require(try await bench.access.openSession(key: issued.secret, remoteAddress: ""))
            bench.time.advance(by: AccessService.sessionLifetime)
            try await bench.access.purge()
            bench.time.advance(by: .seconds(-60))
            #expect(try await bench.access.authenticate(.session(session)) == nil)
        }
    }
}

@Suite("Token buckets")
struct RateLimiterTests {
    private let second = Timestamp(microseconds: 1_000_000)

    @Test("a bucket holds its burst and fills at its rate")
    func fills() {
        let limiter = RateLimiter(perSecond: 2, burst: 3)
        for _ in 0..<3 { #expect(limiter.take("a", at: second) == nil) }
        #expect(limiter.take("a", at: second) == 1)
        #expect(limiter.take("b", at: second) == nil)
        #expect(limiter.take("a", at: second + .milliseconds(500)) == nil)
        #expect(limiter.take("a", at: second + .milliseconds(500)) == 1)
        for _ in 0..<3 { #expect(limiter.take("a", at: second + .seconds(100)) == nil) }
        #expect(limiter.take("a", at: second + .seconds(100)) == 1)
    }

    @Test("the wait is told in whole seconds, and looking costs nothing")
    func waits() {
        let limiter = RateLimiter(perSecond: 1.0 / 3, burst: 1)
        #expect(limiter.wait("a", at: second) == nil)
        #expect(limiter.take("a", at: second) == nil)
        #expect(limiter.wait("a", at: second) == 3)
        #expect(limiter.wait("a", at: second + .seconds(2)) == 1)
        #expect(limiter.wait("a", at: second + .seconds(3)) == nil)
        limiter.giveBack("a")
        #expect(limiter.take("a", at: second) == nil)
    }

    @Test("a clock that is set back gives nothing, and takes nothing for long")
    func clockSetBack() {
        let limiter = RateLimiter(perSecond: 1, burst: 1)
        #expect(limiter.take("a", at: second + .hours(1)) == nil)
        #expect(limiter.take("a", at: second) == 1)
        #expect(limiter.take("a", at: second + .seconds(1)) == nil)
    }

    @Test("no more names are kept than the bound, and nobody pays for others' flood")
    func bound() {
        let limiter = RateLimiter(perSecond: 1, burst: 1)
        for index in 0..<RateLimiter.namesMax { _ = limiter.take("name \(index)", at: second) }
        #expect(limiter.take("one more", at: second) == nil)
        #expect(limiter.take("name 7", at: second) == nil)
    }
}
