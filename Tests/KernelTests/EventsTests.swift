import TestSupport
import Testing

@testable import Kernel

/// The log's queries, and the bus that tells of new events.
struct EventsTests {
    private static func event(_ seq: Int64, type: String = "test.happened", agent: String? = nil) -> Event {
        Event(
            seq: seq, at: Timestamp(microseconds: seq), type: type, actor: "test", project: nil, agent: agent,
            taskID: nil,
            taskSeq: nil, correlationID: nil, data: [:])
    }

    private static func bus(_ seqs: some Sequence<Int64>) -> EventBus {
        let bus = EventBus()
        for seq in seqs { bus.publish(event(seq)) }
        return bus
    }

    @Test func recentEventsAreAtHand() {
        let bus = Self.bus(5...10)
        #expect(bus.head == 10)
        #expect(bus.recent(after: 4, limit: 100)?.map(\.seq) == Array(5...10))
        #expect(bus.recent(after: 7, limit: 2)?.map(\.seq) == [8, 9])
        #expect(bus.recent(after: 9, limit: 100)?.map(\.seq) == [10])
        #expect(bus.recent(after: 10, limit: 100) == [])
        #expect(bus.recent(after: 99, limit: 100) == [])
        #expect(bus.recent(after: .max, limit: 100) == [])
        #expect(bus.recent(after: 3, limit: 100) == nil)
        #expect(bus.recent(after: .min, limit: 100) == nil)
        #expect(EventBus().recent(after: 0, limit: 100) == nil)
    }

    /// Changes that share a commit number their events from one look at the log; what is undone gives its number back.
    @Test(arguments: TestEngine.available) func whatIsUndoneLeavesNoGap(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: EventSchema.migrations) { storage in
            let events = Events(world: .test())
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        try? await storage.write { transaction in
                            try events.append(EventDraft("test.kept", actor: "test"), in: transaction)
                            try? transaction.part {
                                try events.append(EventDraft("test.part", actor: "test"), in: transaction)
                                if number % 5 == 0 { throw Problem.invalid("number", "its part is undone") }
                            }
                            if number % 3 == 0 { throw Problem.invalid("number", "it is undone") }
                        }
                    }
                }
            }
            let kept = try await storage.read { try events.store.list(after: 0, limit: 1_000, in: $0) }
            #expect(kept.map(\.seq) == Array(1...Int64(kept.count)))
            #expect(kept.count { $0.type == "test.kept" } == 133)
            #expect(kept.count { $0.type == "test.part" } == (0..<200).count { $0 % 3 != 0 && $0 % 5 != 0 })
            #expect(events.bus.head == Int64(kept.count))
        }
    }

    /// Events of one change are written together, and are there for whoever looks within it.
    @Test(arguments: TestEngine.available, [1, 2, 3, 64, 65, 150])
    func manyOfOneChangeAreAllThere(_ engine: TestEngine, count: Int) async throws {
        try await withStorage(engine, migrations: EventSchema.migrations) { storage in
            let events = Events(world: .test())
            let within = try await storage.write { transaction in
                for number in 0..<count {
                    let agent = number % 3 == 0 ? nil : "agent-\(number)"
                    try events.append(EventDraft("test.kept", actor: "test", agent: agent), in: transaction)
                }
                return try events.store.list(after: 0, limit: 1_000, in: transaction)
            }
            let kept = try await storage.read { try events.store.list(after: 0, limit: 1_000, in: $0) }
            #expect(kept.map(\.seq) == Array(1...Int64(count)))
            #expect(within == kept)
        }
    }

    @Test func theRingForgetsWhatIsOld() {
        let count = Int64(EventBus.ringMax * 3)
        let bus = Self.bus(1...count)
        #expect(bus.recent(after: 0, limit: 1) == nil)
        let kept = bus.recent(after: count - Int64(EventBus.ringMax), limit: .max)
        #expect(kept?.map(\.seq) == Array(count - Int64(EventBus.ringMax) + 1...count))
    }

    /// Another replica's events never pass through this bus: whoever needs them must ask the store.
    @Test func aGapIsNeverSkippedOver() {
        let bus = Self.bus([1, 2, 3, 7, 8])
        #expect(bus.recent(after: 2, limit: 100) == nil)
        #expect(bus.recent(after: 3, limit: 100) == nil)
        #expect(bus.recent(after: 6, limit: 100)?.map(\.seq) == [7, 8])
        #expect(bus.head == 8)
    }

    @Test func aListenerIsWokenByTheNextEvent() async {
        let bus = Self.bus(1...3)
        await bus.next(after: 2)
        async let woken: Void = bus.next(after: 3)
        bus.publish(Self.event(4))
        await woken
        await bus.next(after: 3)
    }

    @Test func manyListenersAreAllWoken() async throws {
        let bus = EventBus()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<100 { group.addTask { await bus.next(after: 0) } }
            await Task.yield()
            bus.publish(Self.event(1))
            await group.waitForAll()
        }
    }

    @Test func aListenerStopsWaitingWhenItIsCancelled() async {
        let bus = EventBus()
        for _ in 0..<50 {
            let listener = Task { await bus.next(after: 0) }
            await Task.yield()
            listener.cancel()
            await listener.value
        }
    }

    @Test(arguments: TestEngine.available)
    func theLogIsReadByNumberAndFilter(_ engine: TestEngine) async throws {
        let world = World.test()
        let drafts: [EventDraft] = [
            EventDraft("task.created", actor: "operator:a", project: "p", taskID: "task_1", taskSeq: 1, data: ["x": 1]),
            EventDraft("task.claimed", actor: "agent:w", agent: "w", taskID: "task_1", taskSeq: 2, correlationID: "c"),
            EventDraft("agent.paused", actor: "operator:a", agent: "w"),
            EventDraft("taskish", actor: "ingest:i", agent: "100%"),
            EventDraft("task.\u{301}\u{10FFFF}", actor: "ingest:i", data: ["text": "🦉 '?'"]),
        ]
        try await withStorage(engine, migrations: EventSchema.migrations, world: world) { storage in
            let events = Events(world: world)
            for draft in drafts { try await storage.write { _ = try events.append(draft, in: $0) } }
            let seqs = { (filter: EventFilter) in
                let listed = try await storage.read {
                    try events.store.list(after: 0, limit: 10, filter: filter, in: $0)
                }
                let all = try await storage.read { try events.store.list(after: 0, limit: 10, in: $0) }
                #expect(listed == all.filter(filter.matches))
                return listed.map(\.seq)
            }
            #expect(try await seqs(EventFilter()) == [1, 2, 3, 4, 5])
            #expect(try await seqs(EventFilter(agent: "w")) == [2, 3])
            #expect(try await seqs(EventFilter(agent: "100%")) == [4])
            #expect(try await seqs(EventFilter(taskID: "task_1")) == [1, 2])
            #expect(try await seqs(EventFilter(type: "task.*")) == [1, 2, 5])
            #expect(try await seqs(EventFilter(type: "task.claimed")) == [2])
            #expect(try await seqs(EventFilter(agent: "w", type: "agent.*")) == [3])
            #expect(try await seqs(EventFilter(type: "%.*")).isEmpty)
            let newest = try await storage.read { try events.store.latest(before: 4, limit: 2, in: $0) }
            #expect(newest.map(\.seq) == [3, 2])
            #expect(try await storage.read { try events.store.list(after: .max, limit: 2, in: $0) }.isEmpty)
            #expect(try await storage.read { try events.store.lastSeq(in: $0) } == 5)
            let first = try await storage.read { try events.store.list(after: 4, limit: 1, in: $0) }.first
            #expect(first?.data == ["text": "🦉 '?'"])
            #expect(first?.at == world.now)
        }
    }

    @Test(arguments: TestEngine.available)
    func oldEventsGoFromTheBeginningAndNumbersGoOn(_ engine: TestEngine) async throws {
        let time = ManualTime()
        let world = World.test(time: time)
        try await withStorage(engine, migrations: EventSchema.migrations, world: world) { storage in
            let events = Events(world: world)
            for _ in 0..<5 {
                try await storage.write { _ = try events.append(EventDraft("test.happened", actor: "test"), in: $0) }
                time.advance(by: .hours(1))
            }
            func forget(_ age: Span, limit: Int = 100) async throws -> Int {
                try await storage.write { try events.store.forget(before: world.now - age, limit: limit, in: $0) }
            }
            #expect(try await forget(.hours(9)) == 0)
            #expect(try await forget(.zero, limit: 1) == 1)
            #expect(try await forget(.minutes(150)) == 2)
            // The last one stays, however old it is.
            #expect(try await forget(.zero) == 1)
            #expect(try await forget(.zero) == 0)
            let next = try await storage.write {
                try events.append(EventDraft("test.happened", actor: "test"), in: $0)
            }
            #expect(next.seq == 6)
        }
    }

    @Test func anEventInJSON() {
        let event = Event(
            seq: 2, at: ManualTime().now, type: "task.claimed", actor: "agent:w", project: "p", agent: "w",
            taskID: "task_1",
            taskSeq: 1, correlationID: "c", data: ["fence": 1])
        #expect(
            event.json.text == """
                {"seq":2,"at":"2026-11-20T08:00:00.000000Z","type":"task.claimed","actor":"agent:w","project":"p",\
                "agent":"w","taskId":"task_1","taskSeq":1,"correlationId":"c","data":{"fence":1}}
                """)
    }
}
