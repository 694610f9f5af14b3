import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Kernel

/// A changing request under an `Idempotency-Key`: once, whatever the client repeats.
struct ExchangeTests {
    private static let migrations =
        IdempotencySchema.migrations
        + StorageConformanceTests.migrations.map {
            Migration("0009_items", $0.statements)
        }

    private static func request(
        key: String?, body: String = "{}", path: String = "/api/v1/items", keyID: String = "key_1",
        method: APIRequest.Method = .post
    ) -> APIRequest {
        APIRequest(
            method: method, route: "/api/v1/items", path: path,
            headers: key.map { ["idempotency-key": $0] } ?? [:], body: Array(body.utf8),
            principal: Principal(keyID: keyID, name: "test", role: .operator_))
    }

    /// Adds one to a counter and replies with it, so that a second run shows.
    private static func add(_ transaction: Transaction) throws -> APIReply {
        let row = try transaction.first(
            """
            INSERT INTO items (name, count) VALUES ('counter', 1)
            ON CONFLICT (name) DO UPDATE SET count = items.count + 1 RETURNING count
            """)
        return .created(["count": .int(row?.int("count") ?? 0)])
    }

    private static func text(_ reply: APIReply) -> String {
        if case .bytes(let bytes) = reply.body { String(decoding: bytes, as: UTF8.self) } else { "" }
    }

    private static func purge(_ storage: any Storage, _ now: Timestamp) async throws -> Int {
        try await storage.write { try IdempotencyStore().purge(in: $0, now: now) }
    }

    private static func isReplay(_ reply: APIReply) -> Bool {
        reply.headers.contains { $0.name == "idempotency-replayed" && $0.value == "true" }
    }

    @Test(arguments: TestEngine.available)
    func aRepeatedRequestGetsTheFirstReply(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let exchange = Exchange(storage: storage, world: .test())
            let first = try await exchange.commit(Self.request(key: "a"), Self.add)
            let second = try await exchange.commit(Self.request(key: "a"), Self.add)
            #expect(first.status == 201)
            #expect(!Self.isReplay(first))
            #expect(second.status == 201)
            #expect(Self.isReplay(second))
            #expect(Self.text(second) == Self.text(first))
            #expect(second.headers.contains { $0.name == "content-type" && $0.value == "application/json" })
            #expect(Self.text(try await exchange.commit(Self.request(key: "b"), Self.add)) == #"{"count":2}"#)
        }
    }

    @Test(arguments: TestEngine.available)
    func anEmptyReplyIsKeptToo(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let exchange = Exchange(storage: storage, world: .test())
            for isReplay in [false, true] {
                let reply = try await exchange.commit(Self.request(key: "a")) { _ in .noContent }
                #expect(reply.status == 204)
                #expect(Self.isReplay(reply) == isReplay)
                guard case .empty = reply.body else {
                    Issue.record("a body came with 204")
                    return
                }
            }
        }
    }

    @Test(arguments: TestEngine.available)
    func aKeyBelongsToItsClientAndAddress(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let exchange = Exchange(storage: storage, world: .test())
            _ = try await exchange.commit(Self.request(key: "a"), Self.add)
            let others = [
                Self.request(key: "a", keyID: "key_2"), Self.request(key: "a", path: "/api/v1/items/7/x"),
                Self.request(key: "A"),
                Self.request(key: nil), Self.request(key: nil), Self.request(key: "a", method: .put),
            ]
            for (index, request) in others.enumerated() {
                let reply = try await exchange.commit(request, Self.add)
                #expect(Self.text(reply) == "{\"count\":\(index + 2)}")
                #expect(!Self.isReplay(reply))
            }
        }
    }

    @Test(arguments: TestEngine.available)
    func theSameKeyWithAnotherBodyIsRefused(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let exchange = Exchange(storage: storage, world: .test())
            _ = try await exchange.commit(Self.request(key: "a"), Self.add)
            let problem = await #expect(throws: Problem.self) {
                _ = try await exchange.commit(Self.request(key: "a", body: "{ }"), Self.add)
            }
            #expect(problem?.code == .idempotencyMismatch)
            #expect(problem?.code.status == 422)
            #expect(Self.text(try await exchange.commit(Self.request(key: "a"), Self.add)) == #"{"count":1}"#)
        }
    }

    @Test(arguments: TestEngine.available)
    func aRequestThatFailedMayBeSentAgain(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let exchange = Exchange(storage: storage, world: .test())
            await #expect(throws: Problem.self) {
                _ = try await exchange.commit(Self.request(key: "a")) { transaction in
                    _ = try Self.add(transaction)
                    throw Problem(.conflict, "Not now.")
                }
            }
            let reply = try await exchange.commit(Self.request(key: "a"), Self.add)
            #expect(Self.text(reply) == #"{"count":1}"#)
            #expect(!Self.isReplay(reply))
        }
    }

    @Test(arguments: TestEngine.available)
    func aReplyIsKeptForADay(_ engine: TestEngine) async throws {
        let time = ManualTime()
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let exchange = Exchange(storage: storage, world: .test(time: time))
            _ = try await exchange.commit(Self.request(key: "a"), Self.add)
            time.advance(by: .hours(24) + Span(microseconds: -1))
            #expect(Self.isReplay(try await exchange.commit(Self.request(key: "a"), Self.add)))
            #expect(try await Self.purge(storage, time.now) == 0)
            time.advance(by: Span(microseconds: 1))
            // Expired and not purged yet: it runs again, even with another body, and its new reply is kept.
            let late = try await exchange.commit(Self.request(key: "a", body: "{ }"), Self.add)
            #expect(Self.text(late) == #"{"count":2}"#)
            #expect(Self.isReplay(try await exchange.commit(Self.request(key: "a", body: "{ }"), Self.add)))
            time.advance(by: .hours(24))
            #expect(try await Self.purge(storage, time.now) == 1)
        }
    }

    @Test(arguments: TestEngine.available)
    func duplicatesAtOneMomentRunOnce(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let exchange = Exchange(storage: storage, world: .test())
            let replies = try await withThrowingTaskGroup(of: APIReply.self) { group in
                for _ in 0..<50 { group.addTask { try await exchange.commit(Self.request(key: "a"), Self.add) } }
                return try await group.reduce(into: [APIReply]()) { $0.append($1) }
            }
            #expect(replies.count == 50)
            #expect(replies.allSatisfy { Self.text($0) == #"{"count":1}"# })
            #expect(replies.count { !Self.isReplay($0) } == 1)
        }
    }

    @Test(arguments: ["", String(repeating: "a", count: 201)])
    func aKeyHasALength(_ key: String) async throws {
        try await withStorage(.sqlite, migrations: Self.migrations) { storage in
            let exchange = Exchange(storage: storage, world: .test())
            let problem = await #expect(throws: Problem.self) {
                _ = try await exchange.commit(Self.request(key: key), Self.add)
            }
            #expect(problem?.field == "Idempotency-Key")
        }
    }
}
