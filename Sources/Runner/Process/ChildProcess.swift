import Foundation
import Kernel
import Subprocess
import Synchronization
import SystemPackage

/// What to start, and with what around it.
public struct ChildCommand: Sendable {
    /// The program and its arguments; a program without `/` is looked for in the environment's `PATH`.
    public var words: [String]
    public var environment: [String: String]
    public var workingDirectory: String?
    /// A file to read standard input from; nothing to read where it is `nil`.
    public var inputPath: String?

    public init(
        words: [String], environment: [String: String], workingDirectory: String? = nil, inputPath: String? = nil
    ) {
        self.words = words
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.inputPath = inputPath
    }
}

/// A program could not be started at all. Shells answer 127 for one that is not there and 126 for one that cannot run.
public struct SpawnFailure: Error, Sendable, CustomStringConvertible {
    public let program: String
    public let reason: String
    public let status: Int32

    public var description: String { "\"\(program)\" cannot be started: \(reason)" }
}

/// A running program in a process group of its own, together with all that it starts.
///
/// When the program ends, or is stopped, whatever it left behind ends with it: the rest of its group, and processes
/// that left the group but still carry its `REEVE_RUN_ID`. (One that is meant to outlive it clears that variable.)
public final class ChildProcess: Sendable {
    /// The variable that marks every process of one run.
    public static let runIDVariable = "REEVE_RUN_ID"

    /// The leader's process id, which is the group's id too.
    public let pid: Int32
    private let world: World
    private let runMark: String
    private let pump: OutputPump
    private let deathGuard: DeathGuard?
    /// Whether the leader may still be signalled, and when stragglers are killed.
    private let state = Mutex(State())
    private let leaderEnd: Promise<ProcessEnd>
    private let end = Promise<ProcessEnd>()

    private struct State {
        var isReaped = false
        var killStragglersAt: Timestamp?
    }

    private init(
        pid: Int32, world: World, runMark: String, pump: OutputPump, deathGuard: DeathGuard?,
        leaderEnd: Promise<ProcessEnd>
    ) {
        self.pid = pid
        self.world = world
        self.runMark = runMark
        self.pump = pump
        self.deathGuard = deathGuard
        self.leaderEnd = leaderEnd
    }

    /// Starts a program; throws ``SpawnFailure``. `sink` gets the output as it comes and must not block.
    public static func start(
        _ command: ChildCommand, deathGuard: DeathGuard? = nil, world: World,
        sink: @escaping @Sendable (OutputChannel, ArraySlice<UInt8>) -> Void
    ) async throws -> ChildProcess {
        let program = command.words.first ?? ""
        guard let input = inputDescriptor(command.inputPath) else {
            throw SpawnFailure(program: program, reason: "its input cannot be opened", status: 126)
        }
        guard let out = PipeEnds.make(), let err = PipeEnds.make(),
            let pump = OutputPump(stdout: out.read, stderr: err.read, sink: sink)
        else { throw SpawnFailure(program: program, reason: "there are no file descriptors left", status: 126) }

        let runID = Hexadecimal.encode(world.entropy.bytes(12))
        var environment = command.environment
        environment[runIDVariable] = runID
        let configuration = spawnConfiguration(command, environment)
        let started = Promise<Result<Int32, SpawnFailure>>()
        let leaderEnd = Promise<ProcessEnd>()
        // Unstructured, as the program's life is its own: `end` is what callers wait for.
        Task.detached {
            do {
                let result = try await Subprocess.run(
                    configuration,
                    input: .fileDescriptor(FileDescriptor(rawValue: input), closeAfterSpawningProcess: true),
                    output: .fileDescriptor(FileDescriptor(rawValue: out.write), closeAfterSpawningProcess: true),
                    error: .fileDescriptor(FileDescriptor(rawValue: err.write), closeAfterSpawningProcess: true)
                ) { execution in started.fulfil(.success(Int32(execution.processIdentifier.value))) }
                leaderEnd.fulfil(ProcessEnd(result.terminationStatus))
            } catch {
                // Had it started, its end is unknown now; it counts as one that failed.
                started.fulfil(.failure(SpawnFailure(program: program, error)))
                leaderEnd.fulfil(.exited(126))
            }
        }
        switch await started.value() {
        case .success(let pid):
            deathGuard?.watch(pid)
            pump.start()
            let child = ChildProcess(
                pid: pid, world: world, runMark: "\(runIDVariable)=\(runID)", pump: pump, deathGuard: deathGuard,
                leaderEnd: leaderEnd)
            Task.detached { await child.seeOut() }
            return child
        case .failure(let failure):
            pump.start()
            await pump.finish()
            throw failure
        case nil: throw CancellationError()
        }
    }

    /// Waits for the program's end, that of all it started, and the last of its output; `nil` only where the caller's
    /// task was cancelled.
    public func wait() async -> ProcessEnd? { await end.value() }

    /// How it ended, where it has.
    public var ended: ProcessEnd? { end.current }

    /// Bytes that the program has written so far.
    public var outputBytes: Int64 { pump.bytesTotal }

    /// CPU time and memory of the group.
    public var usage: GroupUsage { GroupUsage.now(ofGroup: pid) }

    /// Asks the group to end (TERM), and ends it (KILL) after `grace`. Returns when all of it is gone.
    @discardableResult
    public func stop(grace: Span) async -> ProcessEnd? {
        state.withLock { $0.killStragglersAt = world.now + grace }
        signalGroup(SIGTERM)
        if let end = await Pause.sleep(grace, unless: end, world) { return end }
        signalGroup(SIGKILL)
        return await end.value()
    }

    /// Sends a signal to the whole group while its leader is known to be there.
    public func signalGroup(_ signal: Int32) {
        state.withLock { state in
            if !state.isReaped { _ = kill(-pid, signal) }
        }
    }

    /// Sends a signal to the program alone, and not to what it started.
    public func signalLeader(_ signal: Int32) {
        state.withLock { state in
            if !state.isReaped { _ = kill(pid, signal) }
        }
    }

    // MARK: the end

    private static let stragglerGrace = Span.seconds(1)
    private static let stragglerPoll = Span.milliseconds(20)

    private func seeOut() async {
        let result = await leaderEnd.value() ?? .exited(126)
        state.withLock { $0.isReaped = true }
        await endStragglers()
        deathGuard?.forget(pid)
        await pump.finish()
        end.fulfil(result)
    }

    /// TERM first, KILL after the grace. A group's number is not given away while one process is left in it, and the
    /// numbers signalled here are read from the kernel a moment before.
    private func endStragglers() async {
        var stragglers = findStragglers()
        guard !stragglers.isEmpty else { return }
        for pid in stragglers { _ = kill(pid, SIGTERM) }
        let deadline = state.withLock { $0.killStragglersAt } ?? world.now + Self.stragglerGrace
        // Bounded: a process that even KILL does not end (stuck in the kernel) is left to the kernel.
        for _ in 0..<100_000 {
            if world.now >= deadline { break }
            try? await world.time.sleep(for: Self.stragglerPoll)
            stragglers = findStragglers()
            if stragglers.isEmpty { return }
        }
        for _ in 0..<100 {
            for pid in stragglers { _ = kill(pid, SIGKILL) }
            try? await world.time.sleep(for: Self.stragglerPoll)
            stragglers = findStragglers()
            if stragglers.isEmpty { return }
        }
    }

    private func findStragglers() -> Set<Int32> {
        Set((ProcessTable.living(inGroup: pid) + ProcessTable.living(withEnvironment: runMark)).map(\.pid))
    }

    // MARK: the start

    private static func inputDescriptor(_ path: String?) -> Int32? {
        let descriptor = open(path ?? "/dev/null", O_RDONLY | O_CLOEXEC)
        return descriptor >= 0 ? descriptor : nil
    }

    private static func spawnConfiguration(
        _ command: ChildCommand, _ environment: [String: String]
    ) -> Subprocess.Configuration {
        let program = command.words.first ?? ""
        var variables: [Subprocess.Environment.Key: String] = [:]
        for (name, value) in environment {
            if let key = Subprocess.Environment.Key(rawValue: name) { variables[key] = value }
        }
        var options = PlatformOptions()
        options.processGroupID = 0
        return Subprocess.Configuration(
            executable: program.contains("/") ? .path(FilePath(program)) : .name(program),
            arguments: Arguments(Array(command.words.dropFirst())),
            environment: .custom(variables),
            workingDirectory: command.workingDirectory.map { FilePath($0) },
            platformOptions: options)
    }
}

extension ProcessEnd {
    init(_ status: TerminationStatus) {
        switch status {
        case .exited(let code): self = .exited(code)
        case .signaled(let signal): self = .signaled(signal)
        }
    }
}

extension SpawnFailure {
    init(program: String, _ error: any Error) {
        self.program = program
        if let error = error as? SubprocessError, error.code == .executableNotFound {
            self.reason = "there is no such program, or it may not be run"
            self.status = 127
        } else {
            self.reason = "\(error)"
            self.status = 126
        }
    }
}
