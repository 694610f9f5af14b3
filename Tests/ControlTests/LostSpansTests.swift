import Kernel
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Spans that nobody ends any more")
struct LostSpansTests {
    /// What was told of as lost, by the agent that it belongs to.
    private final class Door: SpanIntake {
        let agents = Mutex<[String?]>([])
        let isFull = Mutex(false)

        func take(
            _ body: [UInt8], agent: String?, refusedBefore: [RecordFlaw: Int]
        ) async throws(TelemetryIngest.Fault) -> [RecordFlaw: Int] {
            if isFull.withLock({ $0 }) { throw .overloaded }
            agents.withLock { $0.append(agent) }
            return [:]
        }

        var told: [String?] { agents.withLock { $0 } }
    }

    private struct Bench {
        let fixture: TaskFixture
        let live: LiveSpans
        let door = Door()
        let lost: LostSpans
        let trace = TraceID(of: "run")

        init(_ fixture: TaskFixture) {
            self.fixture = fixture
            live = LiveSpans(world: fixture.world)
            lost = LostSpans(
                live: live, intake: door, agents: fixture.agents, events: fixture.events, storage: fixture.storage,
                silence: .minutes(15), world: fixture.world)
        }

        func begin(_ name: String, agent: String) {
            live.saw(trace, SpanID(of: name), name, at: fixture.world.now.microseconds * 1_000, agent: agent)
        }

        func contact(_ agent: String) async throws {
            try await fixture.storage.write { [agents = fixture.agents] in
                _ = try agents.contact(agent, project: nil, in: $0)
            }
        }

        func ended(_ agent: String, trace: TraceID? = nil) async throws {
            var data = JSONObject()
            data["exit"] = "signal 9"
            data["traceId"] = trace.map { .string($0.description) }
            let draft = EventDraft(
                LostSpans.programEnded, actor: "agent:\(agent)", agent: agent, data: .object(data))
            try await fixture.storage.write { [events = fixture.events] in try events.append(draft, in: $0) }
        }
    }

    private static func on(_ engine: TestEngine, _ body: (Bench) async throws -> Void) async throws {
        try await TaskFixture.on(engine) { fixture in
            let bench = Bench(fixture)
            // The first look only finds the log's end.
            try await bench.lost.look()
            try await body(bench)
        }
    }

    @Test("an agent that is not heard of any more loses what it did", arguments: TestEngine.available)
    func offline(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            try await bench.contact("clerk")
            bench.begin("write", agent: "clerk")
            bench.fixture.time.advance(by: .seconds(20))
            try await bench.contact("clerk")
            try await bench.lost.look()
            #expect(bench.door.told.isEmpty && bench.live.counts.running == 1)
            bench.fixture.time.advance(by: .minutes(5))
            #expect(try await bench.fixture.agents.settleDue(bench.fixture.storage) == 1)
            try await bench.lost.look()
            #expect(bench.door.told == ["clerk"] && bench.live.counts.running == 0)
        }
    }

    @Test("signs of life of an agent keep its spans, though for a day at most", arguments: TestEngine.available)
    func heartbeats(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            bench.begin("write", agent: "clerk")
            for _ in 0..<6 {
                bench.fixture.time.advance(by: .minutes(10))
                try await bench.contact("clerk")
                try await bench.lost.look()
            }
            #expect(bench.live.counts.running == 1)
            bench.fixture.time.advance(by: .hours(24))
            try await bench.contact("clerk")
            try await bench.lost.look()
            #expect(bench.live.counts.running == 0)
        }
    }

    @Test("silence alone loses what nobody vouches for", arguments: TestEngine.available)
    func silence(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            bench.begin("write", agent: "stranger")
            bench.fixture.time.advance(by: .minutes(14))
            try await bench.lost.look()
            #expect(bench.live.counts.running == 1)
            bench.fixture.time.advance(by: .minutes(2))
            try await bench.lost.look()
            #expect(bench.live.counts.running == 0)
            #expect(bench.door.told.isEmpty, "a log line alone is no proof that something is lost")
        }
    }

    @Test("a program's end loses what it had begun, and nothing that began since", arguments: TestEngine.available)
    func programs(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            bench.begin("before", agent: "clerk")
            bench.begin("of another", agent: "scribe")
            bench.fixture.time.advance(by: .seconds(3))
            try await bench.ended("clerk")
            bench.fixture.time.advance(by: .seconds(2))
            bench.begin("after", agent: "clerk")
            try await bench.lost.look()
            #expect(bench.door.told == ["clerk"])
            #expect(bench.live.heads(of: bench.trace).map(\.name).sorted() == ["after", "of another"])
            // The end of one task's program says nothing of other traces.
            try await bench.ended("clerk", trace: TraceID(of: "another run"))
            bench.fixture.time.advance(by: .seconds(2))
            try await bench.lost.look()
            #expect(bench.live.counts.running == 2)
            try await bench.ended("clerk", trace: bench.trace)
            bench.door.isFull.withLock { $0 = true }
            bench.fixture.time.advance(by: .seconds(2))
            try await bench.lost.look()
            #expect(bench.live.counts.running == 2, "what cannot be kept yet stays")
            bench.door.isFull.withLock { $0 = false }
            try await bench.lost.look()
            #expect(bench.live.heads(of: bench.trace).map(\.name) == ["of another"])
        }
    }
}
