import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Keys that take each other's place")
struct KeyRotationTests {
    @Test("both are in force for the overlap, and browsers stay logged in beyond it", arguments: TestEngine.available)
    func overlap(_ engine: TestEngine) async throws {
        try await AccessFixture.with(engine) { bench in
            let old = try await bench.issue(.viewer)
            let cookie = try #require(try await bench.access.openSession(key: old.secret, remoteAddress: ""))
            let new = try await bench.replace(old)
            for key in [old, new] { #expect(try await bench.isGood(key)) }
            let session = try await bench.access.authenticate(.session(cookie))
            #expect(session?.keyID == new.key.id.text)
            bench.time.advance(by: .seconds(24 * 3_600 - 1))
            try await bench.access.retire()
            #expect(try await bench.isGood(old))
            bench.time.advance(by: .seconds(1))
            for _ in 0..<2 { try await bench.access.retire() }
            #expect(try await !bench.isGood(old))
            #expect(try await bench.isGood(new))
            #expect(try await bench.access.authenticate(.session(cookie))?.keyID == new.key.id.text)
            #expect(try await bench.events() == ["key.created", "key.created", "key.rotated", "key.revoked"])
            // What is over, or was replaced, is not replaced again.
            for key in [old] { await #expect(throws: Problem.self) { try await bench.replace(key) } }
            let third = try await bench.replace(new, overlap: .zero)
            await #expect(throws: Problem.self) { try await bench.replace(new) }
            try await bench.access.retire()
            #expect(try await !bench.isGood(new))
            #expect(try await bench.isGood(third))
        }
    }

    @Test("one that waits for its users ends once nobody used it for as long", arguments: TestEngine.available)
    func unused(_ engine: TestEngine) async throws {
        try await AccessFixture.with(engine) { bench in
            let old = try await bench.issue(.viewer)
            _ = try await bench.replace(old, overlap: .hours(24), waits: true)
            bench.time.advance(by: .hours(23))
            #expect(try await bench.isGood(old))
            bench.time.advance(by: .hours(1))
            try await bench.access.retire()
            #expect(try await bench.isGood(old))
            // It was used just now.
            bench.time.advance(by: .hours(24))
            try await bench.access.retire()
            let stored = try await bench.storage.read { try bench.access.key(old.key.id, in: $0) }
            #expect(stored.revokedAt == nil && stored.lastUsedAt != nil)
            bench.time.advance(by: .hours(24) + AccessService.useDelay)
            try await bench.access.retire()
            #expect(try await !bench.isGood(old))
        }
    }

    @Test("the last admin key stays, whatever was planned", arguments: TestEngine.available)
    func lastAdmin(_ engine: TestEngine) async throws {
        try await AccessFixture.with(engine) { bench in
            let old = try await bench.issue(.admin)
            let new = try await bench.replace(old, overlap: .hours(1))
            try await bench.storage.write { try bench.access.revoke(new.key.id, by: .system, in: $0) }
            bench.time.advance(by: .hours(2))
            try await bench.access.retire()
            #expect(try await bench.isGood(old))
            let other = try await bench.issue(.admin)
            bench.time.advance(by: AccessService.keyOverlap)
            try await bench.access.retire()
            #expect(try await !bench.isGood(old))
            #expect(try await bench.isGood(other))
        }
    }
}

extension AccessFixture {
    fileprivate func replace(
        _ old: IssuedKey, overlap: Span = .hours(24), waits: Bool = false
    ) async throws -> IssuedKey {
        let next = try access.draft(role: old.key.role, name: old.key.name, agent: old.key.agent, by: .system)
        try await storage.write { transaction in
            _ = try access.replace(
                old.key.id, by: next, overlap: overlap, waitsForUse: waits, as: .system, in: transaction)
        }
        return next
    }

    fileprivate func isGood(_ key: IssuedKey) async throws -> Bool {
        try await access.authenticate(key: key.secret) != nil
    }

    fileprivate func events() async throws -> [String] {
        try await storage.read { try $0.rows("SELECT type FROM events ORDER BY seq").map { $0.text("type") } }
    }
}
