import Foundation
import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Runner

/// The runner against the whole server, over HTTP: what the fake in memory only claims to be.
@Suite(.serialized) struct LiveServerTests {
    private func worker(
        _ script: String, _ url: String, _ key: String, _ scratch: ScratchFolder, isOnce: Bool
    ) -> WorkLoop {
        var settings = WorkSettings(
            words: ["sh", "-c", script], agent: AgentIdentity(name: "crane"), queues: ["q"],
            inherited: ["PATH": "/usr/bin:/bin"])
        settings.temporaryDirectory = scratch.path
        settings.stopGrace = .seconds(1)
        settings.finishGrace = .zero
        settings.isOnce = isOnce
        return WorkLoop(
            settings, client: ReeveClient(url: url, key: key), log: LogFile().writer(.live), deathGuard: nil)
    }

    /// Works until the task is in one of these states, for at most twenty seconds. One that works once does not wait
    /// for a second task, which takes seconds.
    private func work(
        _ script: String, on app: AppClient, task: JSONValue, isOnce: Bool = false,
        meanwhile: @escaping @Sendable (ReeveClient, String) async throws -> Void = { _, _ in },
        until states: String...
    ) async throws -> (task: JSONValue, reeve: ReeveClient) {
        let scratch = try ScratchFolder()
        let reeve = ReeveClient(url: app.url, key: try await app.key(.operator_))
        let id = try #require(try await reeve.post("/api/v1/tasks", task)["id"]?.string)
        let stop = Promise<StopReason>()
        let loop = worker(script, app.url, try await app.key(.agent, agent: "crane"), scratch, isOnce: isOnce)
        async let status = loop.run(until: stop)
        try await meanwhile(reeve, id)
        var shown: JSONValue = .null
        for _ in 0..<1_000 {
            shown = try await reeve.get(ReeveClient.path("api", "v1", "tasks", id))
            if states.contains(shown["state"]?.string ?? "") { break }
            try await Nap.milliseconds(20)
        }
        stop.fulfil(.signal)
        #expect(try await status == 0)
        #expect(states.contains(shown["state"]?.string ?? ""), "\(shown.prettyText)")
        return (shown, reeve)
    }

    @Test func filesOfEveryKindArriveByteForByte() async throws {
        try await withApp(world: .live) { app in
            let script = """
                cp "$REEVE_TASK_FILE" "$REEVE_OUTPUT_DIR/task.json"; mkdir "$REEVE_OUTPUT_DIR/sub"
                printf '\\000\\377\\r\\n--reeve' > "$REEVE_OUTPUT_DIR/sub/noise.bin"; : > "$REEVE_OUTPUT_DIR/empty.txt"
                echo '{"words":3}'
                """
            let (task, reeve) = try await work(
                script, on: app, task: ["queue": "q", "title": "T", "input": ["n": 1]], isOnce: true, until: "done")
            #expect(task["output"] == ["words": 3] && task["agent"] == "crane")
            let files = try #require(task["deliverables"]?.array)
            #expect(files.compactMap { $0["name"]?.string }.sorted() == ["empty.txt", "sub-noise.bin", "task.json"])
            for file in files {
                let bytes = try await reeve.bytes(try #require(file["url"]?.string))
                #expect(Digest.sha256(bytes) == file["sha256"]?.string)
                if file["name"] == "sub-noise.bin" { #expect(bytes == [0, 255, 13, 10] + Array("--reeve".utf8)) }
            }
        }
    }

    @Test func aReviewedTaskWaitsForItsReviewer() async throws {
        try await withApp(world: .live) { app in
            let (task, reeve) = try await work(
                "echo draft", on: app, task: ["queue": "q", "title": "T", "review": true], isOnce: true,
                until: "in_review")
            let sha256 = try #require(task["submission"]?["sha256"]?.string)
            #expect(sha256 == Digest.sha256("draft\n"))
            let path = ReeveClient.path("api", "v1", "tasks", task["id"]?.string ?? "", "review")
            let done = try await reeve.post(path, ["verdict": "approve", "sha256": .string(sha256)])
            #expect(done["state"] == "done")
        }
    }

    @Test func aCancelReachesTheProgramAndIsAcknowledged() async throws {
        try await withApp(world: .live) { app in
            _ = try await work(
                "while :; do sleep 0.02; done", on: app, task: ["queue": "q", "title": "T", "leaseSeconds": 1],
                meanwhile: { reeve, id in
                    let path = ReeveClient.path("api", "v1", "tasks", id)
                    for _ in 0..<500 {
                        if try await reeve.get(path)["state"] == "running" { break }
                        try await Nap.milliseconds(20)
                    }
                    _ = try await reeve.post(path + "/cancel")
                }, until: "canceled")
        }
    }

    @Test(arguments: [(75, "scheduled", nil as String?), (64, "held", "permanent_failure"), (1, "scheduled", "retry")])
    func theExitStatusDecides(status: Int, state: String, reason: String?) async throws {
        try await withApp(world: .live) { app in
            let (task, _) = try await work(
                "exit \(status)", on: app, task: ["queue": "q", "title": "T"], until: state)
            if let reason { #expect(task["reason"]?.string == reason) }
            #expect(task["attempts"] == (status == 75 ? 0 : 1))
        }
    }

    @Test func aSupervisedProgramIsSeenAndItsKeyEndsWithIt() async throws {
        try await withApp(world: .live) { app in
            let admin = ReeveClient(url: app.url, key: try await app.key(.admin))
            let agent = AgentIdentity(name: "heron", project: "p", labels: ["a": "b"], capabilities: ["x"])
            let key = try await AgentKey.obtain(admin, agent: agent, purpose: "test", patience: .brief)
            #expect(key.client.key != admin.key)
            var settings = SupervisorSettings(
                words: ["sh", "-c", "echo $REEVE_KEY; sleep 0.3"], agent: agent, inherited: ["PATH": "/usr/bin:/bin"])
            settings.grace = .seconds(1)
            let log = LogFile()
            let supervisor = AgentSupervisor(settings, client: key.client, log: log.writer(.live), deathGuard: nil)
            #expect(await supervisor.run(until: Promise()) == 0)
            let shown = try await admin.get("/api/v1/agents/heron")
            #expect(shown["project"] == "p" && shown["capabilities"] == ["x"] && shown["labels"] == ["a": "b"])
            #expect(shown["statusMessage"] == "finished")
            #expect(log.lines().contains { $0.message == key.client.key })
            await key.retire()
            await #expect(throws: ClientFailure.self) { try await key.client.get("/api/v1/me") }
        }
    }

    @Test func followersGoOnWhereTheyWere() async throws {
        try await withApp(world: .live) { app in
            let reeve = ReeveClient(url: app.url, key: try await app.key(.operator_))
            for index in 0..<3 { _ = try await reeve.post("/api/v1/tasks", ["title": .string("T\(index)")]) }
            let seen = Mutex<[Int64]>([])
            let query: [(String, String?)] = [("type", "task.created")]
            try await EventFollower(client: reeve, query: query, after: "0").run(limit: 2) { event in
                seen.withLock { $0.append(event["seq"]?.int ?? -1) }
            }
            let last = try #require(seen.withLock { $0.last })
            try await EventFollower(client: reeve, query: query, after: String(last)).run(limit: 1) { event in
                seen.withLock { $0.append(event["seq"]?.int ?? -1) }
            }
            let numbers = seen.withLock { $0 }
            #expect(numbers.count == 3 && numbers == numbers.sorted() && Set(numbers).count == 3)
        }
    }

    @Test func refusalsAndAbsenceAreTold() async throws {
        try await withApp(world: .live) { app in
            let stranger = ReeveClient(url: app.url, key: "reeve_admin_" + String(repeating: "0", count: 40))
            do {
                _ = try await stranger.get("/api/v1/tasks")
                Issue.record("a stranger was let in")
            } catch ClientFailure.refused(let refusal) {
                #expect(refusal.status == 401 && refusal.code == "unauthenticated" && !refusal.hint.isEmpty)
            }
        }
        do {
            _ = try await ReeveClient(url: "http://127.0.0.1:1", key: "k").get("/health", patience: .none)
            Issue.record("nobody answered")
        } catch let failure as ClientFailure {
            #expect(failure.exitStatus == 3)
        }
    }
}
