import Kernel
import Server
import TestSupport
import Testing

@testable import Control

@Suite("The event log over HTTP")
struct EventStreamTests {
    @Test("pages have no seam, and filters hold", arguments: TestEngine.available)
    func pages(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let viewer = try await client.key(.viewer)
            for index in 0..<7 { _ = try await client.key(.agent, agent: index.isMultiple(of: 2) ? "even" : "odd") }
            let last = try await client.lastSeq()
            var numbers: [Int64] = []
            var after = "0"
            while true {
                let page = try await client.get("/api/v1/events?after=\(after)&limit=3", key: viewer)
                numbers += page.items.compactMap { $0["seq"]?.int }
                guard let next = page["next"]?.string else { break }
                after = next
            }
            #expect(numbers == Array(1...last))
            let odd = try await client.get("/api/v1/events?agent=odd", key: viewer)
            #expect(odd.items.map { $0["agent"] } == ["odd", "odd", "odd"])
            #expect(try await client.get("/api/v1/events?type=key.*", key: viewer).items.count == Int(last))
            #expect(try await client.get("/api/v1/events?type=task.*", key: viewer).items.isEmpty)
            for path in ["/api/v1/events?after=x", "/api/v1/events?after=-1", "/api/v1/events/stream?after=1.5"] {
                #expect(try await client.get(path, key: viewer).code == "invalid", "\(path)")
            }
        }
    }

    @Test("an agent's key sees its own agent's events alone")
    func ownEvents() async throws {
        try await withApp { client in
            let key = try await client.key(.agent, agent: "writer")
            _ = try await client.key(.agent, agent: "other")
            let seen = try await client.get("/api/v1/events", key: key)
            #expect(seen.items.map { $0["agent"] } == ["writer"])
            #expect(try await client.get("/api/v1/events?agent=other", key: key).code == "forbidden")
            #expect(try await client.get("/api/v1/events/stream?agent=other", key: key).code == "forbidden")
            let ingest = try await client.key(.ingest)
            #expect(try await client.get("/api/v1/events/stream", key: ingest).code == "forbidden")
            #expect(try await client.get("/api/v1/events/stream", key: nil).status == 401)
        }
    }

    @Test("a stream begins now, from the beginning, or behind what was seen", arguments: TestEngine.available)
    func resumes(_ engine: TestEngine) async throws {
        try await withApp(engine, world: .live) { client in
            let viewer = try await client.key(.viewer)
            let before = try await client.lastSeq()
            try await client.withStream("/api/v1/events/stream", key: viewer) { reader in
                #expect(reader.status == 200)
                _ = try await client.key(.agent, agent: "writer")
                let first = try #require(try await reader.next())
                #expect(first.id == String(before + 1))
                #expect(first.event == "key.created")
                #expect(first.json["agent"] == "writer")
                #expect(first.json["seq"]?.int == before + 1)
            }
            let all = try await client.events()
            try await client.withStream("/api/v1/events/stream", key: viewer, lastEventID: "0") { reader in
                for event in all {
                    let next = try await reader.next()
                    #expect(next?.json == event.json)
                }
            }
            try await client.withStream("/api/v1/events/stream?after=1&agent=writer", key: viewer) { reader in
                let first = try await reader.next()
                #expect(first?.json["agent"] == "writer")
                _ = try await client.key(.agent, agent: "other")
                _ = try await client.key(.agent, agent: "writer")
                let next = try #require(try await reader.next())
                #expect(next.id == String(before + 3))
            }
        }
    }

    @Test("streams are bounded, and a closed one makes room")
    func bounded() async throws {
        try await withApp(world: .live, configure: { $0.limits.eventStreams = 2 }) { client in
            let viewer = try await client.key(.viewer)
            try await client.withStream("/api/v1/events/stream", key: viewer, lastEventID: "0") { first in
                #expect(try await first.next() != nil)
                try await client.withStream("/api/v1/events/stream", key: viewer, lastEventID: "0") { second in
                    #expect(try await second.next() != nil)
                    let third = try await client.get("/api/v1/events/stream", key: viewer)
                    #expect(third.status == 503)
                    #expect(third.code == "overloaded")
                    #expect(third.header("retry-after") != nil)
                }
            }
            // The server hears of the closing a moment later.
            for _ in 0..<500 {
                let status = try await client.withStream(
                    "/api/v1/events/stream", key: viewer, lastEventID: "0"
                ) { $0.status }
                if status == 200 { return }
                await Task.yield()
            }
            Issue.record("the places of closed streams stayed taken")
        }
    }

    @Test("a reader that falls behind is told where to go on")
    func lag() async throws {
        try await withApp(configure: { $0.limits.eventStreamLag = 10 }) { client in
            let features = client.app.features
            let last = try await client.lastSeq()
            let tail = EventTail(
                events: features.events, storage: features.storage, access: features.access, world: client.world,
                filter: EventFilter(), start: last, sight: .whole, keyID: "system", lagMax: 10)
            // This reader writes fifty events while it is being written to.
            let writer = SlowReader { count in
                guard count == 2 else { return }
                for _ in 0..<50 { _ = try await client.key(.viewer) }
            }
            let streaming = Task { try await tail.run(to: writer) }
            await writer.begun()
            _ = try await client.key(.viewer)
            try await streaming.value
            let text = await writer.text
            #expect(text.contains("id: \(last + 1)\n"))
            #expect(text.contains("event: reeve.dropped\ndata: {\"resumeAfter\":\(last + 1),\"lag\":50}"))
        }
    }

    @Test("a revoked key's streams end")
    func revoked() async throws {
        try await withApp(world: .live) { client in
            let admin = try await client.key(.admin)
            let made = try await client.post("/api/v1/keys", ["role": "viewer", "name": "brief"], key: admin)
            let key = try #require(made["key"]?.string)
            let id = try #require(made["id"]?.string)
            let start = try await client.lastSeq()
            try await client.withStream("/api/v1/events/stream", key: key, lastEventID: "0") { reader in
                for _ in 0..<start { _ = try await reader.next() }
                #expect(try await client.delete("/api/v1/keys/\(id)", key: admin).status == 204)
                // The revocation itself may still be told; nothing comes behind it.
                var told = 0
                while told < 2, try await reader.next() != nil { told += 1 }
                #expect(told <= 1)
            }
        }
    }
}

/// Takes a stream, and does something while a piece of it is written.
private actor SlowReader: StreamWriter {
    private var bytes: [UInt8] = []
    private var count = 0
    private let meanwhile: @Sendable (Int) async throws -> Void
    private var waiting: CheckedContinuation<Void, Never>?

    init(_ meanwhile: @escaping @Sendable (Int) async throws -> Void) {
        self.meanwhile = meanwhile
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    func write(_ piece: [UInt8]) async throws {
        bytes += piece
        count += 1
        waiting?.resume()
        waiting = nil
        try await meanwhile(count)
    }

    /// Waits for the first piece.
    func begun() async {
        if count == 0 { await withCheckedContinuation { waiting = $0 } }
    }
}
