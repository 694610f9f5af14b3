import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Control
@testable import Telemetry

@Suite("Tasks as spans")
struct TaskSpansTests {
    private final class Door: SpanIntake {
        let heads = Mutex<[SpanHead]>([])

        func take(
            _ body: [UInt8], agent: String?, refusedBefore: [RecordFlaw: Int]
        ) async throws(TelemetryIngest.Fault) -> [RecordFlaw: Int] {
            let read = (try? ReceivedSpans(body).items.map(\.head)) ?? []
            heads.withLock { $0 += read }
            return [:]
        }
    }

    private struct Bench {
        let fixture: TaskFixture
        let door: Door
        let spans: OwnSpans

        /// What was told since this was last asked: names with their states.
        func told() async -> [String] {
            await spans.flush()
            return door.heads.withLock { heads in
                defer { heads = [] }
                return heads.map { "\($0.name): \($0.state.rawValue)\($0.status == .error ? ", failed" : "")" }
            }
        }
    }

    private static func on(_ engine: TestEngine, _ body: (Bench) async throws -> Void) async throws {
        try await withStorage(engine, migrations: TaskFixture.migrations) { storage in
            let door = Door()
            let spans = OwnSpans(intake: door, bindings: TraceBindings())
            let fixture = TaskFixture(storage: storage, spans: TaskSpans(spans))
            try await body(Bench(fixture: fixture, door: door, spans: spans))
        }
    }

    @Test("an attempt runs from its claim to its end", arguments: TestEngine.available)
    func attempt(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let created = try await bench.fixture.create(["type": "letter"])
            #expect(await bench.told() == ["create task letter: ended"])
            let claimed = try await bench.fixture.claimOne()
            #expect(await bench.told() == ["task letter: running"])
            bench.fixture.time.advance(by: .seconds(5))
            _ = try await bench.fixture.complete(claimed)
            await bench.spans.flush()
            let head = try #require(bench.door.heads.withLock { $0.last })
            #expect(head.name == "task letter" && head.state == .ended && head.agent == "alpha")
            #expect(head.endedAt - head.startedAt == 5_000_000_000)
            #expect(head.spanID == claimed.attemptContext(claimed.fence).spanID)
            #expect(head.parentID == created.place.spanID && head.task == created.id.text)
            #expect(head.correlationID == created.correlationID)
        }
    }

    @Test("a lost lease is a lost attempt, and a late result ends it after all", arguments: TestEngine.available)
    func lateWin(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            _ = try await bench.fixture.create(["type": "letter", "leaseSeconds": 10])
            let claimed = try await bench.fixture.claimOne()
            _ = await bench.told()
            try await bench.fixture.pass(.seconds(61))
            #expect(await bench.told() == ["task letter: lost, failed"])
            _ = try await bench.fixture.complete(claimed)
            await bench.spans.flush()
            let head = try #require(bench.door.heads.withLock { $0.last })
            #expect(head.state == .ended && head.status != .error && head.agent == "alpha")
        }
    }

    @Test("a failure is told; what is undone is not", arguments: TestEngine.available)
    func failures(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            _ = try await bench.fixture.create(["type": "letter"])
            let claimed = try await bench.fixture.claimOne()
            _ = await bench.told()
            await #expect(throws: Problem.self) {
                _ = try await bench.fixture.storage.write { [tasks = bench.fixture.tasks] in
                    _ = try tasks.complete(
                        claimed.id.text, fence: claimed.fence, output: .null, by: TaskFixture.agentKey("alpha"), in: $0)
                    throw Problem.notFound("task", "another")
                }
            }
            #expect(await bench.told() == [])
            _ = try await bench.fixture.fail(claimed)
            #expect(await bench.told() == ["task letter: ended, failed"])
        }
    }

    @Test("what a task belongs to: its own words, its caller's, its first parent's, else its own trace")
    func places() throws {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let made = "00-11111111111111111111111111111111-2222222222222222-01"
        let id = try #require(TaskID("task_01890a5dac96774bbcceb302099a8057"))
        func place(
            _ json: JSONValue = [:], _ caller: TaskCaller = .nobody, known: String? = nil
        ) throws -> TaskPlace {
            let draft = try TaskDraft(Fields(json.object ?? JSONObject(), limits: Limits()), policy: TaskPolicy())
            return TaskPlace(draft, id, caller, parent: nil) { _ in known }
        }
        let own = try place()
        #expect(own.isRoot && own.correlationID == TraceID(of: id.text).description)
        var caller = TaskCaller()
        (caller.traceparent, caller.correlationID) = (made, "11111111111111111111111111111111")
        let requested = try place([:], caller)
        #expect(requested.isRoot && requested.traceparent == made)
        #expect(requested.correlationID == "11111111111111111111111111111111")
        caller.isTraced = true
        #expect(try place([:], caller).isRoot == false)
        #expect(try place([:], caller, known: "order-3").correlationID == "order-3")
        let named = try place(["traceparent": .string(given)], caller)
        #expect(named.traceparent == given && named.correlationID == "4bf92f3577b34da6a3ce929d0e0e4736")
        (caller.isCorrelated, caller.correlationID) = (true, "order-1")
        #expect(try place([:], caller, known: "order-3").correlationID == "order-1")
        #expect(try place(["correlationId": "order-2"], caller).correlationID == "order-2")
    }
}
