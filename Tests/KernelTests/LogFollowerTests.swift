import TestSupport
import Testing

@testable import Kernel

@Suite("A state that follows the event log")
struct LogFollowerTests {
    private struct Seen: Sendable {
        var before: Int64 = 0
        var seqs: [Int64] = []
    }

    private static func follower(_ events: Events, _ storage: any Storage) -> LogFollower<Seen> {
        LogFollower(Seen(), events: events, storage: storage) { $0.seqs.append($1.seq) }
    }

    private static func append(_ count: Int, _ events: Events, _ storage: any Storage) async throws {
        try await storage.write { transaction in
            for _ in 0..<count { try events.append(EventDraft("test.kept", actor: "test"), in: transaction) }
        }
    }

    /// With the number of events that there are at that moment.
    private static func look(_ follower: LogFollower<Seen>, _ events: Events) async throws {
        try await follower.look { transaction in
            let count = try events.store.lastSeq(in: transaction)
            return { $0.before = count }
        }
    }

    @Test("it begins with what there is, and knows what this process does at once", arguments: TestEngine.available)
    func own(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: EventSchema.migrations) { storage in
            let events = Events(world: .test())
            let follower = Self.follower(events, storage)
            try await Self.append(3, events, storage)
            // Nobody looked yet, so nothing is followed.
            #expect(follower.withState { $0.seqs } == [] && follower.seen == nil)
            try await Self.look(follower, events)
            #expect(follower.withState { $0.before } == 3 && follower.withState { $0.seqs } == [])
            try await Self.append(2, events, storage)
            #expect(follower.withState { $0.seqs } == [4, 5])
            try await Self.look(follower, events)
            #expect(follower.withState { $0.seqs } == [4, 5] && follower.seen == 5)
            #expect(follower.withState { $0.before } == 3, "it begins once")
        }
    }

    @Test("a gap that another replica leaves is read from the store, never skipped", arguments: TestEngine.available)
    func gaps(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: EventSchema.migrations) { storage in
            let (events, other) = (Events(world: .test()), Events(world: .test()))
            let follower = Self.follower(events, storage)
            try await Self.look(follower, events)
            try await Self.append(2, events, storage)
            try await Self.append(3, other, storage)
            try await Self.append(1, events, storage)
            // The bus has 1, 2 and 6: only what is behind the gap, which is not taken in before what is in it.
            #expect(events.bus.head == 6)
            let known = follower.withState { $0.seqs }
            #expect(known == Array([1, 2].prefix(known.count)))
            try await Self.look(follower, events)
            #expect(follower.withState { $0.seqs } == [1, 2, 3, 4, 5, 6])
            // Of what the other does alone, this process hears when it learns how far the log reaches.
            try await Self.append(2, other, storage)
            try await Self.look(follower, events)
            #expect(follower.seen == 6)
            events.bus.learn(head: 8)
            #expect(follower.withState { $0.seqs.last } == 6)
            try await Self.look(follower, events)
            #expect(follower.withState { $0.seqs } == Array(1...8))
        }
    }

    @Test("commits of many at once, some undone: each event once, in its order", arguments: TestEngine.available)
    func concurrent(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: EventSchema.migrations) { storage in
            let replicas = [Events(world: .test()), Events(world: .test())]
            let followers = replicas.map { Self.follower($0, storage) }
            for (events, follower) in zip(replicas, followers) { try await Self.look(follower, events) }
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    let (events, follower) = (replicas[number % 2], followers[number % 2])
                    group.addTask {
                        try? await storage.write { transaction in
                            try events.append(EventDraft("test.kept", actor: "test"), in: transaction)
                            if number % 3 == 0 { throw Problem.invalid("number", "it is undone") }
                        }
                        // Hints come in any order, and questions come between the looks.
                        _ = follower.withState { $0.seqs.count }
                        if number % 7 == 0 { try? await Self.look(follower, events) }
                    }
                }
            }
            let last = try await storage.read { try replicas[0].store.lastSeq(in: $0) }
            #expect(last == 133)
            for (events, follower) in zip(replicas, followers) {
                events.bus.learn(head: last)
                try await Self.look(follower, events)
                #expect(follower.withState { $0.seqs } == Array(1...last))
            }
        }
    }

    @Test("one question and one look take in a bounded part, and the next goes on from there")
    func bounds() async throws {
        try await withStorage(.sqlite, migrations: EventSchema.migrations) { storage in
            let (events, other) = (Events(world: .test()), Events(world: .test()))
            let follower = Self.follower(events, storage)
            try await Self.look(follower, events)
            let question = LogFollower<Seen>.batchMax * LogFollower<Seen>.roundsMax
            try await Self.append(question + 100, events, storage)
            #expect(follower.withState { $0.seqs.count } == question)
            #expect(follower.withState { $0.seqs.count } == question + 100)
            let look = LogFollower<Seen>.batchMax * LogFollower<Seen>.looksMax
            let begun = Int64(question + 100)
            try await Self.append(look + 100, other, storage)
            events.bus.learn(head: begun + Int64(look) + 100)
            try await Self.look(follower, events)
            #expect(follower.seen == begun + Int64(look))
            try await Self.look(follower, events)
            #expect(follower.withState { $0.seqs } == Array(1...begun + Int64(look) + 100))
        }
    }
}
