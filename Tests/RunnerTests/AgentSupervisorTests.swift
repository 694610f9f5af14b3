import Foundation
import Kernel
import Testing

@testable import Runner

@Suite(.serialized) struct AgentSupervisorTests {
    private func supervise(
        _ script: String, server: FakeReeve = FakeReeve(), log: LogFile = LogFile(), world: World = .fast,
        stop: Promise<StopReason> = Promise(), _ change: (inout SupervisorSettings) -> Void = { _ in }
    ) async -> Int32 {
        var settings = SupervisorSettings(
            words: ["sh", "-c", script], agent: AgentIdentity(name: "crane"), inherited: ["PATH": "/usr/bin:/bin"])
        change(&settings)
        let writer = log.writer(world)
        let status = await AgentSupervisor(settings, client: server.client(world), log: writer, deathGuard: nil)
            .run(until: stop)
        writer.flush()
        return status
    }

    @Test func aProgramThatIsDoneIsDone() async {
        let server = FakeReeve()
        let log = LogFile()
        let script = "echo hello; echo oops >&2; echo $OPENAI_BASE_URL $REEVE_KEY"
        #expect(await supervise(script, server: server, log: log) == 0)
        let lines = log.lines()
        #expect(lines.contains { $0.stream == "stdout" && $0.message == "hello" })
        #expect(lines.contains { $0.stream == "stderr" && $0.message == "oops" })
        #expect(lines.contains { $0.message == "http://fake/v1 agent-key" })
        let beats = server.snapshot.agentBeats
        #expect(beats.contains { $0["statusMessage"]?.string == "finished" && $0["agent"] == "crane" })
    }

    @Test func aMistakeIsNotRepeated() async {
        #expect(await supervise("exit 78") == 78)
    }

    @Test func aProgramThatIsNotThereSaysSo() async {
        #expect(await supervise("") { $0.words = ["/no/such/agent"] } == 127)
    }

    @Test func deathsAreRestartedUntilTheCrashLoop() async {
        let server = FakeReeve()
        let log = LogFile()
        #expect(await supervise("echo alive; exit 5", server: server, log: log) == 5)
        #expect(log.lines().filter { $0.message == "alive" }.count == 5)
        let event = server.snapshot.events.first { $0["type"] == "runner.crash_loop" }
        #expect(event?["type"] == "runner.crash_loop" && event?["deaths"] == 5)
    }

    @Test func aHangIsEndedAndRestarted() async throws {
        let folder = try ScratchFolder()
        let script = """
            if [ -e \(folder.path)/second ]; then exit 0; fi
            touch \(folder.path)/second; echo begun; sleep 300
            """
        let log = LogFile()
        // Real time, as CPU time is real.
        let status = await supervise(script, log: log, world: .live) {
            $0.progressTimeout = .milliseconds(600)
            $0.restart.backoffBase = .milliseconds(1)
        }
        #expect(status == 0)
        #expect(log.lines().contains { $0.message.contains("hangs") })
    }

    @Test func aStopIsGracefulAndEndsWithZero() async throws {
        let server = FakeReeve()
        let log = LogFile()
        let stop = Promise<StopReason>()
        async let status = supervise(
            "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.02; done", server: server, log: log,
            stop: stop
        ) { $0.grace = .seconds(1_000) }
        for _ in 0..<2_000 where !log.lines().contains(where: { $0.message == "ready" }) {
            try await Nap.milliseconds(5)
        }
        stop.fulfil(.signal)
        #expect(await status == 0)
        #expect(log.lines().contains { $0.message == "bye" })
    }

    @Test func aDrainStopsAndAPauseDoesNot() async throws {
        let server = FakeReeve()
        let log = LogFile()
        server.with { $0.orders = ["nextHeartbeatSeconds": 1, "pause": true, "messages": [["text": "hear me"]]] }
        async let status = supervise(
            "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done", server: server, log: log)
        for _ in 0..<2_000 where server.snapshot.agentBeats.count < 5 { try await Nap.milliseconds(5) }
        #expect(log.lines().contains { $0.message.hasPrefix("paused") })
        #expect(log.lines().contains { $0.message == "message: hear me" })
        server.with { $0.orders = ["nextHeartbeatSeconds": 1, "drain": true] }
        #expect(await status == 0)
        #expect(log.lines().contains { $0.message.contains("stopped (drain)") })
    }

    @Test func theProgramOutlivesTheServersAbsence() async throws {
        let server = FakeReeve()
        let log = LogFile()
        server.fail("ingest", .lostRequest, times: 3)
        #expect(await supervise("sleep 0.8; echo done", server: server, log: log) == 0)
        let state = server.snapshot
        #expect(state.calls.count > 3 && !state.agentBeats.isEmpty)
        #expect(log.lines().contains { $0.message == "the server answers again" })
    }

    @Test func operatorsKeysAreNotHandedOn() async throws {
        let server = FakeReeve()
        server.with {
            $0.role = "operator"
            $0.agent = nil
        }
        let key = try await AgentKey.obtain(
            server.client(.fast), agent: AgentIdentity(name: "crane"), purpose: "test", patience: .brief)
        #expect(key.client.key == "made-key" && key.madeID == "key_0")
        await key.retire()
        #expect(server.snapshot.revokedKeys == ["key_0"])
    }

    @Test func agentsKeysAreTheirOwnAlone() async throws {
        let server = FakeReeve()
        let key = try await AgentKey.obtain(
            server.client(.fast), agent: AgentIdentity(name: "crane"), purpose: "test", patience: .brief)
        #expect(key.client.key == "agent-key" && key.madeID == nil)
        await #expect(throws: ClientFailure.self) {
            try await AgentKey.obtain(
                server.client(.fast), agent: AgentIdentity(name: "other"), purpose: "test", patience: .brief)
        }
        server.with { $0.role = "viewer" }
        await #expect(throws: ClientFailure.self) {
            try await AgentKey.obtain(
                server.client(.fast), agent: AgentIdentity(name: "crane"), purpose: "test", patience: .brief)
        }
    }

    @Test func heartbeatsCarryUsage() async throws {
        let server = FakeReeve()
        _ = await supervise("sleep 0.3", server: server)
        let beats = server.snapshot.agentBeats
        #expect(beats.contains { ($0["memoryBytes"]?.int ?? 0) > 0 })
        #expect(beats.allSatisfy { ($0["cpuPercent"]?.double ?? 0) >= 0 })
    }
}
