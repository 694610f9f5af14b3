import Foundation
import Kernel
import Synchronization
import Testing

@testable import Runner

/// Gathers a program's output.
private final class Gathered: Sendable {
    private let bytes = Mutex<[OutputChannel: [UInt8]]>([:])

    func take(_ stream: OutputChannel, _ more: ArraySlice<UInt8>) {
        bytes.withLock { $0[stream, default: []].append(contentsOf: more) }
    }

    func text(_ stream: OutputChannel) -> String {
        String(decoding: bytes.withLock { $0[stream] ?? [] }, as: UTF8.self)
    }

    func count(_ stream: OutputChannel) -> Int { bytes.withLock { $0[stream]?.count ?? 0 } }

    /// Waits until the stream has `text`, for at most ten seconds.
    func wait(for text: String, in stream: OutputChannel = .stdout) async throws {
        for _ in 0..<1_000 {
            if self.text(stream).contains(text) { return }
            try await Nap.milliseconds(10)
        }
        Issue.record("\"\(text)\" did not come; there is \(self.text(stream).prefix(200))")
    }
}

@Suite struct ChildProcessTests {
    private let environment = ["PATH": "/usr/bin:/bin", "HOME": "/nonexistent"]

    private func start(
        _ script: String, _ gathered: Gathered, deathGuard: DeathGuard? = nil, input: String? = nil
    ) async throws -> ChildProcess {
        let command = ChildCommand(
            words: ["sh", "-c", script], environment: environment, workingDirectory: "/", inputPath: input)
        return try await ChildProcess.start(command, deathGuard: deathGuard, world: .live) { gathered.take($0, $1) }
    }

    private func living(_ pids: [Int32]) -> [Int32] {
        let alive = Set(ProcessTable.all().filter(\.isAlive).map(\.pid))
        return pids.filter(alive.contains)
    }

    @Test func theStatusAndBothStreamsArrive() async throws {
        let gathered = Gathered()
        let child = try await start("echo out; echo err >&2; exit 7", gathered)
        #expect(await child.wait() == .exited(7))
        #expect(gathered.text(.stdout) == "out\n" && gathered.text(.stderr) == "err\n")
        #expect(child.outputBytes == 8)
    }

    @Test func aSignalIsToldFromAnExit() async throws {
        let child = try await start("kill -9 $$", Gathered())
        #expect(await child.wait() == .signaled(9))
    }

    @Test func theProgramLeadsItsOwnGroupAndReadsItsInput() async throws {
        let folder = try ScratchFolder()
        try folder.write("in", "hello")
        let gathered = Gathered()
        let child = try await start("cat; echo; cut -d' ' -f5 /proc/$$/stat", gathered, input: folder.path + "/in")
        #expect(await child.wait() == .exited(0))
        #expect(gathered.text(.stdout) == "hello\n\(child.pid)\n")
    }

    @Test func whatCannotBeStartedSaysWhy() async {
        await #expect(throws: SpawnFailure.self) {
            let command = ChildCommand(words: ["/no/such/program"], environment: [:])
            _ = try await ChildProcess.start(command, world: .live) { _, _ in }
        }
        do {
            let command = ChildCommand(words: ["no-such-program"], environment: environment)
            _ = try await ChildProcess.start(command, world: .live) { _, _ in }
        } catch let failure as SpawnFailure {
            #expect(failure.status == 127)
        } catch {
            Issue.record("\(error)")
        }
    }

    /// The leader goes on TERM; its child and grandchild ignore it, and are killed all the same.
    @Test func aStopLeavesNoProcessOfTheGroup() async throws {
        let gathered = Gathered()
        let child = try await start(
            """
            (trap '' TERM; (trap '' TERM; echo grandchild $(cut -d' ' -f4 /proc/self/stat); while :; do sleep 1; done) &
             while :; do sleep 1; done) &
            echo ready
            wait
            """, gathered)
        try await gathered.wait(for: "ready")
        try await gathered.wait(for: "grandchild")
        let group = ProcessTable.living(inGroup: child.pid).map(\.pid)
        #expect(group.count >= 3)
        let end = await child.stop(grace: .milliseconds(200))
        #expect(end == .signaled(15))
        #expect(living(group).isEmpty)
        #expect(ProcessTable.living(inGroup: child.pid).isEmpty)
    }

    /// A leader that ignores TERM is killed after the grace, not before.
    @Test func theGraceIsKept() async throws {
        let gathered = Gathered()
        let child = try await start("trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done", gathered)
        try await gathered.wait(for: "ready")
        let begun = World.live.now
        #expect(await child.stop(grace: .milliseconds(400)) == .signaled(9))
        #expect(World.live.now - begun >= .milliseconds(400))
        #expect(gathered.text(.stdout).contains("asked"))
    }

    /// A process that leaves the group and the session, and holds the pipe open, is ended with the program.
    @Test func whatLeftTheGroupIsEndedToo() async throws {
        let gathered = Gathered()
        let child = try await start("setsid sh -c 'echo $$; exec sleep 300' & sleep 0.2; exit 3", gathered)
        let end = await child.wait()
        #expect(end == .exited(3))
        let escaped = try #require(Int32(gathered.text(.stdout).trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(living([escaped]).isEmpty)
    }

    /// Megabytes of noise without a line feed, on both streams at once, with a log whose reader never reads.
    @Test func aFloodNeitherBlocksTheProgramNorFillsTheMemory() async throws {
        signal(SIGPIPE, SIG_IGN)
        let ends = try #require(PipeEnds.make())
        let writer = LogWriter(descriptor: ends.write, form: .json, world: .live, pendingMax: 100)
        let log = OutputLog(writer, agent: "crane", keepBytes: 1_000, world: .live)
        let command = ChildCommand(
            words: ["sh", "-c", "head -c 4000000 /dev/urandom; head -c 400000 /dev/zero | tr '\\0' '\\n' >&2"],
            environment: environment)
        let child = try await ChildProcess.start(command, world: .live) { log.take($0, $1) }
        #expect(await child.wait() == .exited(0))
        #expect(child.outputBytes == 4_400_000)
        #expect(log.standardOutput.bytes.count == 1_000 && log.standardOutput.isCut)
        close(ends.read)
        writer.flush()
        close(ends.write)
    }

    @Test func usageSeesTheWholeGroup() async throws {
        let gathered = Gathered()
        let child = try await start(
            "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo spun; sleep 60' & wait", gathered)
        try await gathered.wait(for: "spun")
        let usage = child.usage
        #expect(usage.processes >= 2 && usage.memoryBytes > 100_000 && usage.cpuSeconds > 0)
        await child.stop(grace: .zero)
        #expect(child.usage.processes == 0)
    }

    /// The guard's pipe closes as it does when the supervisor is killed.
    @Test func theGuardEndsTheGroupOfADeadSupervisor() async throws {
        var deathGuard = await DeathGuard.start()
        #expect(deathGuard != nil)
        let gathered = Gathered()
        let command = ChildCommand(
            words: ["sh", "-c", "trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.05; done"],
            environment: environment)
        let child = try await ChildProcess.start(command, world: .live) { gathered.take($0, $1) }
        deathGuard?.watch(child.pid)
        deathGuard?.watch(999_999_999)
        deathGuard?.forget(999_999_999)
        try await gathered.wait(for: "ready")
        deathGuard = nil
        #expect(await child.wait() == .exited(9))
        #expect(gathered.text(.stdout).contains("asked"))
    }
}
