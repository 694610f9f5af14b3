import Kernel
import Synchronization

/// What `reeve run` is asked to do.
public struct SupervisorSettings: Sendable {
    public var words: [String]
    public var agent: AgentIdentity
    public var restart = RestartPolicy(mode: .onFailure)
    /// Between TERM and KILL.
    public var grace = Span.seconds(10)
    /// No output and no CPU for so long means hung; `nil` means never.
    public var progressTimeout: Span?
    /// The program's environment as the supervisor inherited it, before the addresses are set.
    public var inherited: [String: String]
    /// What the user sets; it wins over everything.
    public var overrides: [String: String] = [:]
    /// Where the agent's configuration is kept, and what the program is told when it changes.
    public var configRoot: String?
    public var onConfig = ConfigReaction.none
    /// What keeps the program's secrets, and what it is told when one changes.
    public var secrets: SecretKeeper?
    public var onSecret = ConfigReaction.none

    public init(words: [String], agent: AgentIdentity, inherited: [String: String]) {
        self.words = words
        self.agent = agent
        self.inherited = inherited
    }
}

/// Why a runner is asked to stop.
public enum StopReason: String, Sendable {
    /// A signal from outside, such as Ctrl-C or the service manager's TERM.
    case signal
    /// The server asks the agent to drain.
    case drain
}

/// Runs one unmodified program as an agent: starts it, beats for it, starts it again when it dies, and ends it.
///
/// The program depends on nothing here: while the server is away it goes on, and heartbeats resume by themselves.
public final class AgentSupervisor: Sendable {
    private struct State {
        var child: ChildProcess?
        var usage = GroupUsage()
        var usageAt: Timestamp?
        var message: String?
        var restarts = 0
    }

    private enum Round {
        case ended(ProcessEnd, hung: Bool, ran: Span)
        case notStarted(SpawnFailure)
        case stopped(StopReason, ProcessEnd?)
        /// Ended so that it reads its new configuration.
        case reconfigured
    }

    private let settings: SupervisorSettings
    private let client: ReeveClient
    private let log: LogWriter
    private let world: World
    private let deathGuard: DeathGuard?
    private let config: ConfigKeeper?
    private let state = Mutex(State())

    /// `client` acts as the agent; its key is the one the program gets.
    public init(
        _ settings: SupervisorSettings, client: ReeveClient, log: LogWriter, deathGuard: DeathGuard?
    ) {
        self.settings = settings
        self.client = client
        self.log = log
        self.world = client.world
        self.deathGuard = deathGuard
        config = settings.configRoot.map {
            ConfigKeeper(client, agent: settings.agent.name, root: $0, log: log)
        }
    }

    /// Supervises until the program is finished with or `stop` comes. Returns the exit status to end with: the
    /// program's own, or 0 after a stop that was asked for.
    public func run(until stop: Promise<StopReason>) async -> Int32 {
        let pulse = AgentPulse(client, agent: settings.agent, log: log) { [self] in
            reading()
        } obeying: { [config, secrets = settings.secrets] orders in
            config?.hear(orders.configDesired, etag: orders.configETag)
            secrets?.hear(orders.configETag)
        }
        // The program finds its configuration from its first moment on, where there is one.
        await config?.update()
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { await pulse.run() }
            group.addTask { [config] in await config?.run() }
            group.addTask { [settings] in await settings.secrets?.run() }
            group.addTask { if await pulse.drained.value() != nil { stop.fulfil(.drain) } }
            let status = await supervise(pulse, stop)
            await pulse.settle(within: .seconds(2))
            group.cancelAll()
            return status
        }
    }

    private func supervise(_ pulse: AgentPulse, _ stop: Promise<StopReason>) async -> Int32 {
        var policy = settings.restart
        while true {
            let verdict: ExitVerdict
            let end: ProcessEnd
            let ran: Span
            switch await round(pulse, stop) {
            case .stopped(let reason, let end):
                say(pulse, "stopped (\(reason.rawValue))\(end.map { ", \($0)" } ?? "")", .info)
                return 0
            case .notStarted(let failure):
                say(pulse, "\(failure)", .error)
                return failure.status
            case .reconfigured: continue
            case .ended(let how, let hung, let time):
                (end, ran) = (how, time)
                verdict = hung ? .failed : ExitVerdict(how)
            }
            switch policy.ended(verdict, ran: ran, at: world.now, fraction: world.entropy.fraction()) {
            case .stop(.done):
                say(pulse, "finished", .info)
                return end.shellStatus
            case .stop(let verdict):
                say(pulse, "\(verdict.rawValue): \(end), not started again", .error)
                return end.shellStatus
            case .crashLoop(let deaths):
                await giveUp(pulse, deaths: deaths, end)
                return end == .exited(0) ? 1 : end.shellStatus
            case .restart(let delay):
                state.withLock { $0.restarts += 1 }
                let seconds = (delay.seconds * 10).rounded() / 10
                say(pulse, "\(end) after \(Int(ran.seconds)) s; starts again in \(seconds) s", .warning)
                if let reason = await Pause.sleep(delay, unless: stop, world) {
                    say(pulse, "stopped (\(reason.rawValue))", .info)
                    return 0
                }
            }
        }
    }

    /// Runs the program once, to its end or to a stop.
    private func round(_ pulse: AgentPulse, _ stop: Promise<StopReason>) async -> Round {
        if let reason = stop.current { return .stopped(reason, nil) }
        let startedAt = world.now
        // From before the start on: the program may have read the old files by the time that they change.
        let changes = [
            settings.onConfig == .restart ? config.map { ("configuration", $0.changed) } : nil,
            settings.onSecret == .restart ? settings.secrets.map { ("secrets", $0.changed) } : nil,
        ].compactMap(\.self)
        let child: ChildProcess
        let program = ProgramSpan(
            settings.words, agent: settings.agent.name, parent: settings.inherited["TRACEPARENT"],
            tracestate: settings.inherited["TRACESTATE"],
            correlationID: settings.inherited["REEVE_CORRELATION_ID"], world: world)
        let output = OutputLog(
            log, agent: settings.agent.name, correlationID: program.correlationID, world: world)
        do {
            child = try await ChildProcess.start(command(program), deathGuard: deathGuard, world: world) {
                output.take($0, $1)
            }
        } catch let failure as SpawnFailure {
            return .notStarted(failure)
        } catch {
            return .notStarted(SpawnFailure(program: settings.words[0], reason: "\(error)", status: 126))
        }
        state.withLock { state in
            state.child = child
            state.usageAt = nil
        }
        let restarts = state.withLock { $0.restarts }
        let times = restarts == 0 ? "" : ", started \(restarts + 1) times"
        say(pulse, "running as process \(child.pid)\(times)", .info)
        defer {
            output.finish()
            state.withLock { $0.child = nil }
        }
        let round = await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keepTelling(program) }
            group.addTask { await self.tellConfig(child, pulse) }
            group.addTask { await self.tellSecrets(child, pulse) }
            let round = await watch(child, startedAt, stop, changes)
            group.cancelAll()
            return round
        }
        await client.tellEnd(of: program, agent: settings.agent.name, child.ended, at: world.now, isWhole: true)
        return round
    }

    private func keepTelling(_ program: ProgramSpan) async {
        while !Task.isCancelled {
            await client.tell(program)
            try? await world.time.sleep(for: ProgramSpan.renewal)
        }
    }

    private func watch(
        _ child: ChildProcess, _ startedAt: Timestamp, _ stop: Promise<StopReason>,
        _ changes: [(what: String, promise: Promise<Void>)]
    ) async -> Round {
        enum Happening {
            case ended, hung, stop(StopReason), reconfigured(String), nothing
        }
        let happening = await withTaskGroup(of: Happening.self) { group in
            group.addTask { await child.wait() == nil ? .nothing : .ended }
            group.addTask { await stop.value().map { .stop($0) } ?? .nothing }
            for change in changes {
                group.addTask { await change.promise.value() == nil ? .nothing : .reconfigured(change.what) }
            }
            if let timeout = settings.progressTimeout {
                group.addTask { await self.hangs(child, timeout, startedAt) ? .hung : .nothing }
            }
            let first = await group.next() ?? .nothing
            group.cancelAll()
            return first
        }
        switch happening {
        case .stop(let reason):
            return .stopped(reason, await child.stop(grace: settings.grace))
        case .reconfigured(let what):
            log.write(
                LogLine(
                    .info,
                    "the \(what) changed (configuration \((config?.version ?? "none").prefix(12))): the program "
                        + "is started again", agent: settings.agent.name))
            await child.stop(grace: settings.grace)
            return .reconfigured
        case .hung:
            let seconds = settings.progressTimeout?.seconds ?? 0
            log.write(
                LogLine(
                    .error, "no output and no CPU time for \(Int(seconds)) s: the program hangs and is ended",
                    agent: settings.agent.name))
            let end = await child.stop(grace: settings.grace) ?? .signaled(9)
            return .ended(end, hung: true, ran: world.now - startedAt)
        case .ended, .nothing:
            var end = child.ended
            if end == nil { end = await child.stop(grace: settings.grace) }
            return .ended(end ?? .signaled(9), hung: false, ran: world.now - startedAt)
        }
    }

    private func hangs(_ child: ChildProcess, _ timeout: Span, _ startedAt: Timestamp) async -> Bool {
        var watch = ProgressWatch(timeout: timeout, startedAt: startedAt)
        while !Task.isCancelled {
            try? await world.time.sleep(for: watch.interval)
            let cpu = child.usage.cpuSeconds
            if watch.isHung(outputBytes: child.outputBytes, cpuSeconds: cpu, at: world.now) { return !Task.isCancelled }
        }
        return false
    }

    private func giveUp(_ pulse: AgentPulse, deaths: Int, _ end: ProcessEnd) async {
        let minutes = Int(settings.restart.crashLoopWindow.seconds / 60)
        say(pulse, "crash loop: \(deaths) deaths in \(minutes) minutes, given up; last \(end)", .error)
        var members = JSONObject()
        members["message"] = .string("\(deaths) deaths in \(minutes) minutes; last \(end)")
        members["deaths"] = .int(Int64(deaths))
        members["lastExit"] = .string(end.description)
        await pulse.event("runner.crash_loop", members)
    }

    /// Tells the program of each change of its configuration as it wants to be told, and the server that it was.
    private func tellConfig(_ child: ChildProcess, _ pulse: AgentPulse) async {
        guard let config, settings.onConfig != .restart else { return }
        while !Task.isCancelled {
            guard await config.changed.value() != nil else { return }
            if case .signal(let signal) = settings.onConfig { child.signalLeader(signal) }
            say(pulse, "the configuration is \((config.version ?? "").prefix(12)) now", .info)
        }
    }

    /// The same for its secrets.
    private func tellSecrets(_ child: ChildProcess, _ pulse: AgentPulse) async {
        guard let secrets = settings.secrets, settings.onSecret != .restart else { return }
        while !Task.isCancelled {
            guard await secrets.changed.value() != nil else { return }
            if case .signal(let signal) = settings.onSecret { child.signalLeader(signal) }
            say(pulse, "a secret changed", .info)
        }
    }

    private func command(_ program: ProgramSpan) -> ChildCommand {
        let folder = config.map { ["REEVE_CONFIG_DIR": $0.folder] } ?? [:]
        let own = folder.merging(settings.secrets?.environment ?? [:]) { $1 }
        return ChildCommand(
            words: settings.words,
            environment: ChildEnvironment.make(
                inherited: settings.inherited.merging(program.environment) { $1 }.merging(own) { $1 }, url: client.url,
                key: client.key,
                agent: settings.agent.name,
                overrides: settings.overrides))
    }

    /// News goes to the log and, at once, to the server. Between news the program's own words stand.
    private func say(_ pulse: AgentPulse, _ message: String, _ level: LogLine.Level) {
        log.write(LogLine(level, message, agent: settings.agent.name))
        pulse.announce(message)
    }

    private func reading() -> AgentReport {
        let version = config?.version
        guard let child = state.withLock({ $0.child }) else {
            return AgentReport(cpuPercent: 0, memoryBytes: 0, configVersion: version)
        }
        let usage = child.usage
        let now = world.now
        let cpu: Double? = state.withLock { state in
            defer {
                state.usage = usage
                state.usageAt = now
            }
            return state.usageAt.map { usage.cpuPercent(since: state.usage, seconds: (now - $0).seconds) }
        }
        return AgentReport(cpuPercent: cpu, memoryBytes: usage.memoryBytes, configVersion: version)
    }
}
