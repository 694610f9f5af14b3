import Foundation
import Kernel

/// What a worker runs, and within which bounds.
public struct WorkSettings: Sendable {
    public var words: [String]
    public var agent: AgentIdentity
    public var queues: [String]
    /// Tasks at one time.
    public var concurrency = 1
    /// Take up what one claim brings, then end.
    public var isOnce = false
    /// How long a running task may go on when the worker is asked to stop.
    public var finishGrace = Span.seconds(30)
    /// Between TERM and KILL.
    public var stopGrace = Span.seconds(10)
    public var limits = DeliverableLimits()
    /// Where tasks' folders are made.
    public var temporaryDirectory = NSTemporaryDirectory().trimmingTrailingSlash()
    public var inherited: [String: String]
    public var overrides: [String: String] = [:]
    /// What keeps the programs' secrets.
    public var secrets: SecretKeeper?

    public init(words: [String], agent: AgentIdentity, queues: [String], inherited: [String: String]) {
        self.words = words
        self.agent = agent
        self.queues = queues
        self.inherited = inherited
    }
}

extension String {
    fileprivate func trimmingTrailingSlash() -> String { count > 1 && hasSuffix("/") ? String(dropLast()) : self }
}

/// How one task ended for its worker.
public enum TaskResult: Sendable, Equatable {
    case finished, released, abandoned
    case failed(class: String)
    /// The server could not be told; what was made stays in the folder.
    case unreported
}

/// Runs the command once for one claimed task: heartbeats meanwhile, deliverables and verdict at the end.
struct TaskRun: Sendable {
    let claim: Claim
    let desk: WorkerDesk
    let settings: WorkSettings
    let log: LogWriter
    let deathGuard: DeathGuard?
    /// Fulfilled from outside or by a heartbeat's reply: the program is to end.
    let stop: Promise<TaskStop>
    /// Hears of the program while it runs.
    let watching: @Sendable (ChildProcess) -> Void

    private var world: World { desk.client.world }

    func run() async -> TaskResult {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await beat() }
            let result = await work()
            group.cancelAll()
            return result
        }
    }

    // MARK: signs of life

    /// The first heartbeat goes out at once: it starts the attempt, and the deadline for the start is short.
    private func beat() async {
        var interval = claim.heartbeatInterval
        while !Task.isCancelled {
            do {
                let orders = try await desk.heartbeat(claim)
                interval = orders.nextHeartbeatSeconds.map { .seconds($0) } ?? claim.heartbeatInterval
                if orders.cancel, stop.fulfil(.canceled) { say(.info, "the server asks to stop this task") }
            } catch ClientFailure.refused(let refusal) where !Self.isPassing(refusal) {
                if !Task.isCancelled, stop.fulfil(.lost(code: refusal.code)) { say(.warning, refusal.detail) }
                return
            } catch {
                // A server that is away may be back before the lease has run out.
                interval = claim.heartbeatInterval * (0.2 + 0.3 * world.entropy.fraction())
            }
            try? await world.time.sleep(for: interval)
        }
    }

    private static func isPassing(_ refusal: Refusal) -> Bool { refusal.status == 429 || refusal.status >= 500 }

    // MARK: the program

    private func work() async -> TaskResult {
        let folder: TaskFolder
        do {
            folder = try TaskFolder.make(claim, in: settings.temporaryDirectory, world: world)
        } catch {
            return await report(.fail(class: "retryable", message: "no folder for the task: \(error)"), nil, nil)
        }
        let config: String?
        do {
            config = try await takeUpBundle(in: folder)
        } catch {
            // None of the version's doing: the task is given back, and says nothing of it.
            say(.warning, "the configuration was not taken up: \(error)")
            folder.remove()
            return await report(.of(.exited(EX_TEMPFAIL), stop: stop.current, lastWords: ""), nil, nil)
        }
        let output = OutputLog(
            log, agent: settings.agent.name, taskID: claim.id, correlationID: claim.correlationID,
            keepBytes: settings.limits.fileBytes, world: world)
        let (outcome, ran) = await outcome(in: folder, config: config, output)
        let result = await report(outcome, folder, output)
        // The result comes first: its lease does not wait.
        if let ran {
            await desk.client.tellEnd(of: ran.program, agent: settings.agent.name, ran.end, at: ran.at, isWhole: false)
        }
        if result == .unreported {
            say(.error, "the server could not be told of the result; what was made stays in \(folder.path)")
        } else {
            folder.remove()
        }
        return result
    }

    /// Writes what the task is run with beside it; returns the version, if there is one.
    private func takeUpBundle(in folder: TaskFolder) async throws -> String? {
        guard let bundle = try await desk.bundle(of: claim, agent: settings.agent.name) else { return nil }
        try bundle.write(to: folder.configPath)
        return bundle.version
    }

    private typealias Ran = (program: ProgramSpan, end: ProcessEnd, at: Timestamp)

    private func outcome(in folder: TaskFolder, config: String?, _ output: OutputLog) async -> (TaskOutcome, Ran?) {
        say(.info, "attempt \(claim.attempt): \(claim.title)")
        let child: ChildProcess
        let program = ProgramSpan(
            settings.words, agent: settings.agent.name, parent: claim.traceparent, tracestate: claim.tracestate,
            correlationID: claim.correlationID, more: [("task_id", claim.id)], world: world)
        do {
            child = try await ChildProcess.start(
                command(folder, config: config, program), deathGuard: deathGuard, world: world
            ) {
                output.take($0, $1)
            }
        } catch let failure as SpawnFailure {
            return (.fail(class: "permanent", message: failure.description), nil)
        } catch {
            return (.fail(class: "retryable", message: "\(error)"), nil)
        }
        watching(child)
        async let told: Void = desk.client.tell(program)
        let end = await see(child)
        await told
        let endedAt = world.now
        output.finish()
        let outcome = TaskOutcome.of(end, stop: stop.current, lastWords: output.lastErrorLines(20))
        say(end == .exited(0) ? .info : .warning, "the program ended: \(end)")
        return (outcome, (program, end, endedAt))
    }

    /// Waits for the program's end, and brings it about where it is asked for.
    private func see(_ child: ChildProcess) async -> ProcessEnd {
        await withTaskGroup(of: Void.self) { group in
            if let timeout = claim.timeout {
                group.addTask {
                    try? await world.time.sleep(for: timeout)
                    if !Task.isCancelled { stop.fulfil(.timedOut(timeout)) }
                }
            }
            let stopping = group.addTaskUnlessCancelled {
                guard await stop.value() != nil else { return }
                await child.stop(grace: settings.stopGrace)
            }
            var end = await child.wait()
            // Our own task was cancelled: the worker has no more time.
            if end == nil || !stopping { end = await child.stop(grace: .zero) }
            group.cancelAll()
            return end ?? .signaled(9)
        }
    }

    private func command(_ folder: TaskFolder, config: String?, _ program: ProgramSpan) -> ChildCommand {
        var environment = ChildEnvironment.make(
            inherited: settings.inherited.merging(program.environment) { $1 }
                .merging(settings.secrets?.environment ?? [:]) { $1 }, url: desk.client.url,
            key: desk.client.key, agent: settings.agent.name,
            overrides: settings.overrides)
        environment["REEVE_TASK_ID"] = claim.id
        environment["REEVE_TASK_FILE"] = folder.taskFile
        environment["REEVE_TASK_FENCE"] = String(claim.fence)
        environment["REEVE_TASK_ATTEMPT"] = String(claim.attempt)
        environment["REEVE_OUTPUT_DIR"] = folder.outputPath
        environment["REEVE_CONFIG_DIR"] = config.map { _ in folder.configPath }
        environment["REEVE_CONFIG_VERSION"] = config
        return ChildCommand(words: settings.words, environment: environment, inputPath: folder.taskFile)
    }

    // MARK: the report

    private func report(_ outcome: TaskOutcome, _ folder: TaskFolder?, _ output: OutputLog?) async -> TaskResult {
        do {
            switch outcome {
            case .abandon:
                return .abandoned
            case .release:
                try await desk.release(claim, patience: .long)
                say(.info, "handed back")
                return .released
            case .snooze:
                let delay = TaskOutcome.snoozeSeconds(attempt: claim.attempt, fraction: world.entropy.fraction())
                try await desk.release(claim, delaySeconds: delay, patience: .long)
                say(.info, "handed back for \(delay) s")
                return .released
            case .fail(let word, let message):
                return try await fail(word, message)
            case .finish:
                guard let folder, let output else { return try await fail("retryable", "nothing was run") }
                return try await finish(folder, output)
            }
        } catch ClientFailure.refused(let refusal) {
            say(.warning, "the result was not taken: \(refusal.detail)")
            return .abandoned
        } catch {
            say(.error, "\(error)")
            return .unreported
        }
    }

    private func fail(_ word: String, _ message: String) async throws -> TaskResult {
        say(.warning, "failed (\(word)): \(message.prefix(300))")
        try await desk.fail(claim, class: word, message: message, patience: .long)
        return .failed(class: word)
    }

    private func finish(_ folder: TaskFolder, _ output: OutputLog) async throws -> TaskResult {
        let files: [DeliverableFile]
        let written: StandardOutput
        do {
            (files, written) = try collect(folder, output)
        } catch let refusal as OutputRefusal {
            return try await fail("permanent", "\(refusal)")
        } catch {
            return try await fail("retryable", "the output cannot be read: \(error)")
        }
        do {
            for file in files { try await onceMore { try await desk.deliver(claim, file, patience: .long) } }
            try await end(written.output)
        } catch ClientFailure.refused(let refusal) where [400, 413, 415, 422].contains(refusal.status) {
            // The content is refused, not the worker: another attempt may write what the schema asks for.
            let word = refusal.status == 422 ? "retryable" : "permanent"
            return try await fail(word, "\(refusal.code): \(refusal.detail)")
        }
        say(.info, claim.isReviewed ? "submitted for review" : "completed")
        return .finished
    }

    private func collect(_ folder: TaskFolder, _ output: OutputLog) throws -> ([DeliverableFile], StandardOutput) {
        let head = output.standardOutput
        var files = try folder.deliverables(settings.limits)
        guard !head.isCut else {
            guard !files.isEmpty else {
                throw OutputRefusal("standard output has more than \(settings.limits.fileBytes) bytes")
            }
            return (files, StandardOutput([]))
        }
        let written = StandardOutput(head.bytes)
        if files.isEmpty, let file = written.file { files = [file] }
        return (files, written)
    }

    private func end(_ output: JSONValue?) async throws {
        func send(submits: Bool) async throws {
            try await onceMore {
                if submits {
                    try await desk.submit(claim, output: output, patience: .long)
                } else {
                    try await desk.complete(claim, output: output, patience: .long)
                }
            }
        }
        do {
            try await send(submits: claim.isReviewed)
        } catch ClientFailure.refused(let refusal) where refusal.code == "bad_transition" {
            // The task's review was switched while the program ran; the reply says which verb it takes now.
            let other = claim.isReviewed ? "complete" : "submit"
            let allowed = refusal.document["allowed"]?.array?.compactMap(\.string) ?? []
            guard allowed.contains(other) else { throw ClientFailure.refused(refusal) }
            try await send(submits: !claim.isReviewed)
        }
    }

    /// A lease that ran out between two writes does not lose a finished result: while nobody has taken the task up, the
    /// server accepts it late. One more try, and no more.
    private func onceMore(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch ClientFailure.refused(let refusal) where refusal.status == 410 {
            try await body()
        }
    }

    private func say(_ level: LogLine.Level, _ message: String) {
        log.write(LogLine(level, message, agent: settings.agent.name, taskID: claim.id))
    }
}
