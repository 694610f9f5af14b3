import Foundation
import Kernel
import Testing

@testable import Runner

/// The worker against a server in memory: whatever the network does, each task ends exactly once, as its program did.
@Suite(.serialized) struct WorkLoopTests {
    private static func task(_ id: String, _ more: JSONValue = [:]) -> JSONValue {
        var task = JSONObject()
        task["id"] = .string(id)
        task["title"] = .string("Title of \(id)")
        task["review"] = false
        task["leaseSeconds"] = 30
        for member in more.object?.members ?? [] { task[member.name] = member.value }
        return .object(task)
    }

    private struct Bench {
        let server = FakeReeve()
        let log = LogFile()
        let scratch: ScratchFolder
        var settings: WorkSettings
        let stop = Promise<StopReason>()
        let world: World

        init(_ script: String, world: World = .fast) throws {
            scratch = try ScratchFolder()
            self.world = world
            settings = WorkSettings(
                words: ["sh", "-c", script], agent: AgentIdentity(name: "crane"), queues: ["q"],
                inherited: ["PATH": "/usr/bin:/bin"])
            settings.temporaryDirectory = scratch.path
            settings.stopGrace = .seconds(20)
        }

        /// Works until every task has ended, or for ten seconds of the wall.
        func work(until isDone: @escaping @Sendable (FakeReeve.State) -> Bool) async throws -> FakeReeve.State {
            let loop = WorkLoop(
                settings, client: server.client(world), log: log.writer(world), deathGuard: nil)
            let server = server
            let stop = stop
            let watcher = Task {
                for _ in 0..<2_000 where !isDone(server.snapshot) { try await Nap.milliseconds(5) }
                stop.fulfil(.signal)
            }
            let status = try await loop.run(until: stop)
            watcher.cancel()
            #expect(status == 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).isEmpty)
            return server.snapshot
        }

        func work(ending ids: String...) async throws -> FakeReeve.State {
            try await work { state in ids.allSatisfy { state.ends[$0] != nil } }
        }
    }

    @Test func aFinishedTaskIsDeliveredAndCompletedOnce() async throws {
        let bench = try Bench(
            """
            cat > "$REEVE_OUTPUT_DIR/seen.json"; cmp "$REEVE_TASK_FILE" "$REEVE_OUTPUT_DIR/seen.json" || exit 1
            printf '\\000\\377' > "$REEVE_OUTPUT_DIR/noise.bin"
            echo '{"words":3}'
            """)
        bench.server.add(Self.task("task_1"))
        let state = try await bench.work(ending: "task_1")
        #expect(state.ends["task_1"] == ["complete"])
        #expect(state.bodies["task_1"]?["output"] == ["words": 3] && state.bodies["task_1"]?["fence"] == 4)
        let files = state.deliverables["task_1"] ?? []
        #expect(files.map(\.name) == ["multipart", "seen.json"])
        #expect(String(decoding: files[0].content, as: UTF8.self).contains("noise.bin"))
        #expect(String(decoding: files[1].content, as: UTF8.self).contains("Title of task_1"))
        #expect(state.heartbeats["task_1"] ?? 0 >= 1)
    }

    @Test func standardOutputIsTheDeliverableWhereThereAreNoFiles() async throws {
        let bench = try Bench("echo some words")
        bench.server.add(Self.task("task_1"))
        let state = try await bench.work(ending: "task_1")
        #expect(state.deliverables["task_1"]?.map(\.name) == ["output.txt"])
        #expect(state.bodies["task_1"]?["output"] == nil)
    }

    @Test func reviewedTasksAreSubmitted() async throws {
        let bench = try Bench("echo x")
        bench.server.add(Self.task("task_1", ["review": ["approvals": 1]]))
        bench.server.add(Self.task("task_2", ["review": true]))
        let state = try await bench.work(ending: "task_1", "task_2")
        #expect(state.ends == ["task_1": ["submit"], "task_2": ["submit"]])
    }

    @Test(arguments: [
        (75, "release", nil as String?), (64, "fail", "permanent"), (78, "fail", "permanent"),
        (1, "fail", "retryable"), (127, "fail", "retryable"),
    ])
    func theExitStatusDecides(status: Int, verb: String, word: String?) async throws {
        let bench = try Bench("echo first >&2; echo last words >&2; exit \(status)")
        bench.server.add(Self.task("task_1"))
        let state = try await bench.work(ending: "task_1")
        #expect(state.ends["task_1"] == [verb])
        #expect(state.bodies["task_1"]?["class"]?.string == word)
        if word != nil { #expect(state.bodies["task_1"]?["message"]?.string?.hasSuffix("first\nlast words") == true) }
    }

    @Test func aCommandThatIsNotThereFailsForGood() async throws {
        var bench = try Bench("")
        bench.settings.words = ["/no/such/command"]
        bench.server.add(Self.task("task_1"))
        let state = try await bench.work(ending: "task_1")
        #expect(state.ends["task_1"] == ["fail"] && state.bodies["task_1"]?["class"] == "permanent")
    }

    @Test func aCancelStopsTheProgramAndGivesTheTaskBack() async throws {
        let bench = try Bench("trap 'echo stopped; exit 0' TERM; while :; do sleep 0.02; done")
        bench.server.add(Self.task("task_1"))
        bench.server.with { _ = $0.cancel.insert("task_1") }
        let state = try await bench.work(ending: "task_1")
        #expect(state.ends["task_1"] == ["release"] && state.deliverables["task_1"] == nil)
    }

    @Test func theAgentsHeartbeatCancelsToo() async throws {
        let bench = try Bench("trap 'exit 0' TERM; while :; do sleep 0.02; done")
        bench.server.add(Self.task("task_1"))
        bench.server.with { $0.orders = ["nextHeartbeatSeconds": 1, "cancel": ["task_1"]] }
        let state = try await bench.work(ending: "task_1")
        #expect(state.ends["task_1"] == ["release"])
    }

    @Test(arguments: [(409, "stale_fence"), (410, "lease_lost"), (404, "not_found"), (401, "unauthenticated")])
    func aLostTaskIsLeftAtOnceWithoutAWord(status: Int, code: String) async throws {
        let bench = try Bench("while :; do sleep 0.02; done")
        bench.server.add(Self.task("task_1"))
        bench.server.fail("task_1/heartbeat", .status(status, code: code), times: 100)
        let log = bench.log
        let state = try await bench.work { _ in log.lines().contains { $0.message.contains("the program ended") } }
        #expect(state.ends["task_1"] == nil && state.deliverables["task_1"] == nil)
    }

    /// Every reply to a write is lost, then every request, then the server is overloaded: the result arrives once.
    @Test func aStormLosesNothingAndRepeatsNothing() async throws {
        let bench = try Bench("echo x > \"$REEVE_OUTPUT_DIR/a.txt\"; echo y > \"$REEVE_OUTPUT_DIR/b.txt\"")
        for verb in ["claim", "deliverables", "complete"] {
            bench.server.fail(verb, .lostReply, times: 2)
            bench.server.fail(verb, .lostRequest, times: 2)
            bench.server.fail(verb, .status(503, code: "overloaded"), times: 5)
            bench.server.fail(verb, .status(429, code: "rate_limited"), times: 2)
        }
        bench.server.fail("heartbeat", .status(503, code: "overloaded"), times: 3)
        bench.server.add(Self.task("task_1"))
        let state = try await bench.work(ending: "task_1")
        #expect(state.ends["task_1"] == ["complete"])
        #expect(state.deliverables["task_1"]?.map(\.name) == ["a.txt", "b.txt"])
        #expect(state.ready.isEmpty)
    }

    @Test func aLateResultIsTriedOnceMoreAndNoMore() async throws {
        let bench = try Bench("echo x")
        bench.server.fail("task_1/complete", .status(410, code: "lease_lost"), times: 1)
        bench.server.fail("task_2/complete", .status(410, code: "lease_lost"), times: 9)
        bench.server.add(Self.task("task_1"))
        bench.server.add(Self.task("task_2"))
        let log = bench.log
        let state = try await bench.work { state in
            state.ends["task_1"] != nil && log.lines().contains { $0.message.contains("not taken") }
        }
        #expect(state.ends["task_1"] == ["complete"] && state.ends["task_2"] == nil)
        #expect(state.calls.filter { $0.path.hasSuffix("task_2/complete") }.count == 2)
    }

    @Test func refusedContentFailsTheAttempt() async throws {
        let bench = try Bench("echo '{}'")
        bench.server.fail("task_1/deliverables", .status(422, code: "schema_violation"))
        bench.server.add(Self.task("task_1"))
        let state = try await bench.work(ending: "task_1")
        #expect(state.ends["task_1"] == ["fail"] && state.bodies["task_1"]?["class"] == "retryable")
    }

    @Test func linksOutOfTheFolderFailForGood() async throws {
        let bench = try Bench("ln -s /etc/passwd \"$REEVE_OUTPUT_DIR/p\"; echo ok > \"$REEVE_OUTPUT_DIR/a\"")
        bench.server.add(Self.task("task_1"))
        let state = try await bench.work(ending: "task_1")
        #expect(state.ends["task_1"] == ["fail"] && state.bodies["task_1"]?["class"] == "permanent")
        #expect(state.deliverables["task_1"] == nil)
    }

    @Test func theTimeoutEndsTheProgram() async throws {
        let bench = try Bench("trap 'exit 0' TERM; while :; do sleep 0.02; done")
        bench.server.add(Self.task("task_1", ["timeoutSeconds": 20]))
        let state = try await bench.work(ending: "task_1")
        #expect(state.ends["task_1"] == ["fail"])
        #expect(state.bodies["task_1"]?["message"]?.string?.contains("longer than its 20 s") == true)
    }

    @Test func aStopLetsTheTaskFinishWithinTheGrace() async throws {
        var bench = try Bench("sleep 0.3; echo x")
        bench.settings.finishGrace = .seconds(1_000)
        bench.server.add(Self.task("task_1"))
        let state = try await bench.work { $0.heartbeats["task_1"] != nil }
        #expect(state.ends["task_1"] == ["complete"])
    }

    @Test func whatDoesNotFinishWithinTheGraceIsGivenBack() async throws {
        var bench = try Bench("while :; do sleep 0.02; done")
        bench.settings.finishGrace = .seconds(5)
        bench.server.add(Self.task("task_1"))
        let state = try await bench.work { $0.heartbeats["task_1"] != nil }
        #expect(state.ends["task_1"] == ["release"])
    }

    @Test func tasksRunSideBySideUpToTheLimit() async throws {
        var bench = try Bench("sleep 0.1; echo x")
        bench.settings.concurrency = 3
        for index in 0..<7 { bench.server.add(Self.task("task_\(index)")) }
        let state = try await bench.work { $0.ends.count == 7 }
        #expect(state.ends.values.allSatisfy { $0 == ["complete"] })
        let limits = state.calls.filter { $0.path.hasSuffix("/claim") }.compactMap { call in
            (try? JSONParser.parse(call.body ?? []))?["limit"]?.int
        }
        #expect(limits.allSatisfy { (1...3).contains($0) } && limits.first == 3)
    }

    @Test func onceTakesOneAndSaysHowItWent() async throws {
        for (script, status) in [("echo x", Int32(0)), ("exit 75", 0), ("exit 1", 1)] {
            var bench = try Bench(script)
            bench.settings.isOnce = true
            bench.server.add(Self.task("task_1"))
            bench.server.add(Self.task("task_2"))
            let loop = WorkLoop(
                bench.settings, client: bench.server.client(.fast), log: bench.log.writer(.fast), deathGuard: nil)
            #expect(try await loop.run(until: Promise()) == status)
            #expect(bench.server.snapshot.ready.count == 1)
        }
        var bench = try Bench("echo x")
        bench.settings.isOnce = true
        let loop = WorkLoop(
            bench.settings, client: bench.server.client(.fast), log: bench.log.writer(.fast), deathGuard: nil)
        #expect(try await loop.run(until: Promise()) == 1)
    }

    @Test func aRefusedClaimEndsTheWorker() async throws {
        let bench = try Bench("echo x")
        bench.server.fail("claim", .status(403, code: "forbidden"), times: 9)
        let loop = WorkLoop(
            bench.settings, client: bench.server.client(.fast), log: bench.log.writer(.fast), deathGuard: nil)
        await #expect(throws: ClientFailure.self) { try await loop.run(until: Promise()) }
    }

    @Test func aDrainEndsTheWorkerAfterItsTask() async throws {
        let bench = try Bench("sleep 0.1; echo x")
        bench.server.add(Self.task("task_1"))
        let loop = WorkLoop(
            bench.settings, client: bench.server.client(.fast), log: bench.log.writer(.fast), deathGuard: nil)
        let server = bench.server
        async let status = loop.run(until: bench.stop)
        for _ in 0..<1_000 where server.snapshot.heartbeats["task_1"] == nil { try await Nap.milliseconds(2) }
        server.with { $0.orders = ["nextHeartbeatSeconds": 1, "drain": true] }
        #expect(try await status == 0)
        #expect(bench.stop.current == .drain && server.snapshot.ends["task_1"] == ["complete"])
    }
}
