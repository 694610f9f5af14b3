import ArgumentParser
import Foundation
import Kernel
import Runner

/// Who a runner's agent is, and what its program gets.
struct AgentOptions: ParsableArguments {
    @Option(help: "The agent's name.")
    var agent: String

    @Option(help: "The agent's project, where it is new.")
    var project: String?

    @Option(help: "A label of the agent, NAME=VALUE; may be repeated.")
    var label: [Pair] = []

    @Option(help: "Something the agent can do, which tasks may require; may be repeated.")
    var capability: [String] = []

    @Option(help: "A variable for the program, NAME=VALUE, which wins over what Reeve sets; may be repeated.")
    var env: [Pair] = []

    @Option(
        help: """
            A secret that the program finds as a file of REEVE_SECRETS_DIR, NAME=secret://SCOPE/OWNER/NAME; may be \
            repeated. Those that the agent's configuration names are there too.
            """)
    var secret: [Pair] = []

    func validate() throws {
        for pair in secret {
            guard SecretFolder.isName(pair.name) else {
                throw ValidationError("--secret \(pair.name): a file's name has letters, digits and . _ - characters.")
            }
            guard SecretReference(pair.value) != nil else {
                // What stands there may be the secret itself.
                throw ValidationError("--secret \(pair.name): it is NAME=secret://platform/openai or the like.")
            }
        }
        guard secret.count <= SecretKeeper.filesMax else {
            throw ValidationError("--secret may stand \(SecretKeeper.filesMax) times.")
        }
    }

    var identity: AgentIdentity {
        AgentIdentity(name: agent, project: project, labels: label.dictionary, capabilities: capability)
    }
}

/// What `reeve run` and `reeve work` do alike: a key for the agent, the log, the guard, the signals, and the end.
enum Runners {
    /// How long a runner waits for a server that does not answer when it starts.
    private static let startPatience = Patience(
        tries: 200, base: .milliseconds(250), cap: .seconds(3), total: .minutes(1))

    /// `body` gets a promise for the first signal and one for the second; the third ends the process at once.
    static func supervise(
        _ connection: ConnectionOptions, agent: AgentIdentity, purpose: String,
        _ body: (ReeveClient, LogWriter, DeathGuard?, Promise<StopReason>, Promise<Void>) async throws -> Int32
    ) async throws {
        let stop = Promise<StopReason>()
        let hurry = Promise<Void>()
        let signals = SignalWatch([SIGINT, SIGTERM, SIGHUP]) { count in
            stop.fulfil(.signal)
            if count == 2 { hurry.fulfil(()) }
            // The guard ends the program's group.
            if count > 2 { _exit(130) }
        }
        defer { withExtendedLifetime(signals) {} }
        let status = try await Failing.translated(isJSON: false) {
            let client = try connection.client()
            guard let key = try await obtain(client, agent, purpose, unless: stop) else { return Int32(0) }
            let log = LogWriter.standardOutput(client.world)
            let deathGuard = await DeathGuard.start()
            if deathGuard == nil {
                log.write(
                    LogLine(
                        .warning, "there is no /bin/sh: should this process be killed, its program goes on",
                        agent: agent.name))
            }
            let shipper = LogShipper(key.client)
            log.ship(with: shipper)
            let shipping = Task { await shipper.run() }
            func end() async {
                shipping.cancel()
                await shipper.finish(within: .seconds(2))
                await key.retire()
                log.flush()
            }
            do {
                let status = try await body(key.client, log, deathGuard, stop, hurry)
                await end()
                return status
            } catch {
                await end()
                throw error
            }
        }
        if status != 0 { throw ExitCode(status) }
    }

    /// What keeps the program's secrets; `nil` where there is no place for them and none was asked for.
    static func secrets(
        _ options: AgentOptions, _ client: ReeveClient, _ log: LogWriter, _ deathGuard: DeathGuard?,
        _ environment: [String: String]
    ) async throws -> SecretKeeper? {
        let pairs = options.secret.compactMap { pair in SecretReference(pair.value).map { (pair.name, $0) } }
        let asked = Dictionary(pairs) { $1 }
        let folder: SecretFolder
        do {
            folder = try SecretFolder.make(environment: environment, world: client.world)
        } catch {
            guard asked.isEmpty else { throw error }
            log.write(LogLine(.warning, "there is no place for secrets: \(error)", agent: options.agent))
            return nil
        }
        deathGuard?.clear(folder.path)
        let keeper = SecretKeeper(client, agent: options.agent, asked: asked, folder: folder, log: log)
        do {
            try await keeper.begin()
        } catch {
            await keeper.end()
            throw error
        }
        if !folder.isInMemory, keeper.hasFiles {
            log.write(
                LogLine(
                    .warning,
                    "there is no file system in memory (XDG_RUNTIME_DIR, /dev/shm): the program's secrets "
                        + "stand on a disk, in \(folder.path)", agent: options.agent))
        }
        return keeper
    }

    /// `nil` where the stop came before the server answered.
    private static func obtain(
        _ client: ReeveClient, _ agent: AgentIdentity, _ purpose: String, unless stop: Promise<StopReason>
    ) async throws -> AgentKey? {
        try await withThrowingTaskGroup(of: AgentKey?.self) { group in
            group.addTask {
                try await AgentKey.obtain(client, agent: agent, purpose: purpose, patience: startPatience)
            }
            group.addTask {
                _ = await stop.value()
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}

/// `reeve run`: any program as an agent.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a program as an agent: heartbeats, restarts, logs, a key of its own.",
        usage: "reeve run --agent NAME [options] -- command [arguments …]",
        discussion: """
            The program needs no library. It finds in its environment REEVE_URL and REEVE_KEY, and the addresses that \
            SDKs read of themselves: OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_BASE_URL, ANTHROPIC_API_KEY, \
            OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME.

            What was pushed for the agent with `reeve config push` stands in the folder REEVE_CONFIG_DIR, whole in \
            each version: agent.yaml and its files, .version, and .values.json with the values that hold.

            Secrets that the configuration names, and those of --secret, are files of the folder REEVE_SECRETS_DIR \
            (0400, in memory where the machine has such a place). A new version is there within seconds.

            What its exit status says: 0 done; 75 try again later; 64–78 otherwise a mistake that another start \
            would repeat, so it is not started again; 137 or signal 9 killed, often for want of memory; anything else \
            failed. A program is started again after a delay that doubles up to five minutes, at random within it; \
            five deaths in ten minutes are a crash loop, and it is given up.

            Exit status: the program's own; 0 after a stop that was asked for (a signal, or a drain); 127 there is no \
            such program, 126 it cannot be started; 2 wrong usage; 3 the server cannot be reached.
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var agent: AgentOptions

    @Option(help: "After which ends to start again: always, on-failure or never.")
    var restart: RestartPolicy.Mode = .onFailure

    @Option(help: "Seconds between asking the program to end (TERM) and ending it (KILL).")
    var grace = 10.0

    @Option(
        name: .customLong("progress-timeout"),
        help: "Seconds without output and without CPU time after which the program counts as hung and is restarted.")
    var progressTimeout: Double?

    @Option(
        name: .customLong("on-config"),
        help: "What the program is told when its configuration changes: none, restart, or signal:HUP and the like.")
    var onConfig = ConfigReaction.none

    @Option(
        name: .customLong("config-dir"), help: "A folder to keep the agent's configuration in, over restarts too.",
        completion: .directory)
    var configDirectory: String?

    @Option(
        name: .customLong("on-secret"),
        help: "What the program is told when a secret changes: none, restart, or signal:HUP and the like.")
    var onSecret = ConfigReaction.none

    @Argument(parsing: .postTerminator, help: "The program and its arguments, after --.")
    var command: [String] = []

    /// Where none is named, a folder of this run's own that ends with it.
    private var configRoot: String {
        configDirectory
            ?? NSTemporaryDirectory() + "reeve-config-\(ProcessInfo.processInfo.processIdentifier)"
    }

    func validate() throws {
        guard !command.isEmpty else {
            throw ValidationError("Say after -- what to run: reeve run --agent NAME -- command.")
        }
        guard grace >= 0, progressTimeout.map({ $0 > 0 }) ?? true else {
            throw ValidationError("Seconds are not negative.")
        }
    }

    func run() async throws {
        let inherited = ProcessInfo.processInfo.environment
        try await Runners.supervise(
            connection, agent: agent.identity, purpose: "reeve run"
        ) { client, log, deathGuard, stop, _ in
            var settings = SupervisorSettings(words: command, agent: agent.identity, inherited: inherited)
            settings.restart = RestartPolicy(mode: restart)
            settings.grace = .seconds(grace)
            settings.progressTimeout = progressTimeout.map { .seconds($0) }
            settings.overrides = agent.env.dictionary
            settings.onConfig = onConfig
            settings.configRoot = URL(fileURLWithPath: configRoot).path
            defer { if configDirectory == nil { try? FileManager.default.removeItem(atPath: configRoot) } }
            settings.onSecret = onSecret
            settings.secrets = try await Runners.secrets(agent, client, log, deathGuard, inherited)
            let supervisor = AgentSupervisor(settings, client: client, log: log, deathGuard: deathGuard)
            let status = await supervisor.run(until: stop)
            await settings.secrets?.end()
            return status
        }
    }
}

extension RestartPolicy.Mode: ExpressibleByArgument {}

extension ConfigReaction: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }

    public var defaultValueDescription: String { "none" }
}

/// `reeve work`: any command as a worker.
struct WorkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "work", abstract: "Take tasks from queues and run a command for each.",
        usage: "reeve work --queue QUEUE --agent NAME [options] -- command [arguments …]",
        discussion: """
            The command gets the task as JSON on standard input and in the file $REEVE_TASK_FILE. Files that it writes \
            into the folder $REEVE_OUTPUT_DIR become deliverables; where there are none, standard output becomes one \
            (output.json where it is JSON, else output.txt). Standard error goes to the log. What the agent is to run \
            this task with (`reeve config push`) stands in $REEVE_CONFIG_DIR, its version in $REEVE_CONFIG_VERSION.

            What its exit status says: 0 done (submitted where the task is reviewed, else completed); 75 not now, the \
            task goes back for a while; 64–78 otherwise a failure that another try would repeat; anything else a \
            failure to be tried again. A task that is cancelled, or that has gone to another agent, ends the command.

            A signal lets running tasks finish within --grace; what is not finished then goes back. A second signal \
            shortens that.

            Exit status: 0 after a stop that was asked for; with --once 0 where the task was finished or given back, 1 \
            where it failed or there was none; 1 refused; 2 wrong usage; 3 the server cannot be reached.
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var agent: AgentOptions

    @Option(help: "A queue to take tasks from; may be repeated, the first is served first.")
    var queue: [String]

    @Option(help: "Tasks at one time.")
    var concurrency = 1

    @Flag(help: "Take one task, then end.")
    var once = false

    @Option(help: "Seconds that running tasks may go on after a signal.")
    var grace = 30.0

    @Option(
        name: .customLong("stop-grace"), help: "Seconds between asking a command to end (TERM) and ending it (KILL).")
    var stopGrace = 10.0

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        guard !command.isEmpty else {
            throw ValidationError("Say after -- what to run: reeve work --queue QUEUE --agent NAME -- command.")
        }
        guard (1...1_000).contains(concurrency) else { throw ValidationError("--concurrency is 1 to 1000.") }
        guard grace >= 0, stopGrace >= 0 else { throw ValidationError("Seconds are not negative.") }
    }

    func run() async throws {
        let inherited = ProcessInfo.processInfo.environment
        try await Runners.supervise(
            connection, agent: agent.identity, purpose: "reeve work"
        ) { client, log, deathGuard, stop, hurry in
            var settings = WorkSettings(words: command, agent: agent.identity, queues: queue, inherited: inherited)
            settings.concurrency = concurrency
            settings.isOnce = once
            settings.finishGrace = .seconds(grace)
            settings.stopGrace = .seconds(stopGrace)
            settings.overrides = agent.env.dictionary
            settings.secrets = try await Runners.secrets(agent, client, log, deathGuard, inherited)
            let loop = WorkLoop(settings, client: client, log: log, deathGuard: deathGuard)
            do {
                let status = try await loop.run(until: stop, hurry: hurry)
                await settings.secrets?.end()
                return status
            } catch {
                await settings.secrets?.end()
                throw error
            }
        }
    }
}
