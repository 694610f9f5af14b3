import Kernel
import Synchronization

/// A pool of equal places, and a way to wait for a free one.
final class Slots: Sendable {
    private struct State {
        var free: Int
        var change = Promise<Void>()
    }

    private let state: Mutex<State>

    init(_ count: Int) {
        state = Mutex(State(free: count))
    }

    func take() { state.withLock { $0.free -= 1 } }

    func giveBack() {
        let change = state.withLock { state in
            state.free += 1
            defer { state.change = Promise() }
            return state.change
        }
        change.fulfil(())
    }

    /// Waits until a place is free and says how many are; `nil` where `stop` comes first.
    func free<Value>(unless stop: Promise<Value>) async -> Int? {
        while stop.current == nil, !Task.isCancelled {
            let (free, change) = state.withLock { ($0.free, $0.change) }
            if free > 0 { return free }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = await change.value() }
                group.addTask { _ = await stop.value() }
                await group.next()
                group.cancelAll()
            }
        }
        return nil
    }
}

/// Turns a command into a worker: claims tasks, runs the command for each, and reports how it ended.
public final class WorkLoop: Sendable {
    private struct Running {
        var title: String
        var stop: Promise<TaskStop>
        var child: ChildProcess?
    }

    private struct State {
        var running: [String: Running] = [:]
        var usage = GroupUsage()
        var usageAt: Timestamp?
        /// The version that the last claim named, roll-outs aside.
        var configVersion: String?
        var results: [TaskResult] = []
    }

    private let settings: WorkSettings
    private let desk: WorkerDesk
    private let log: LogWriter
    private let deathGuard: DeathGuard?
    private let slots: Slots
    private let state = Mutex(State())

    private var world: World { desk.client.world }

    /// `client` acts as the agent.
    public init(_ settings: WorkSettings, client: ReeveClient, log: LogWriter, deathGuard: DeathGuard?) {
        self.settings = settings
        self.desk = WorkerDesk(client)
        self.log = log
        self.deathGuard = deathGuard
        self.slots = Slots(settings.isOnce ? 1 : settings.concurrency)
    }

    /// Works until `stop` comes, then lets running tasks finish for the grace, or until `hurry`; what is not finished
    /// then is handed back. Returns the exit status; throws ``ClientFailure`` where the server refuses a claim.
    public func run(until stop: Promise<StopReason>, hurry: Promise<Void> = Promise()) async throws -> Int32 {
        let pulse = AgentPulse(
            desk.client, agent: settings.agent, log: log, reading: { [self] in reading() },
            obeying: { [self] orders in
                cancel(orders.cancel)
                settings.secrets?.hear(orders.configETag)
            })
        enum Ending: Sendable {
            case served(Result<Void, any Error>), outOfTime, nothing
        }
        let ending = await withTaskGroup(of: Ending.self) { group in
            group.addTask {
                await pulse.run()
                return .nothing
            }
            group.addTask {
                if await pulse.drained.value() != nil { stop.fulfil(.drain) }
                return .nothing
            }
            group.addTask {
                await self.settings.secrets?.run()
                return .nothing
            }
            group.addTask { await self.watchEnd(stop, hurry) ? .outOfTime : .nothing }
            group.addTask { await .served(self.serve(until: stop, hurry)) }
            var ending = Ending.nothing
            while case .nothing = ending, let next = await group.next() { ending = next }
            group.cancelAll()
            return ending
        }
        if case .served(.failure(let error)) = ending { throw error }
        guard settings.isOnce else { return 0 }
        return state.withLock { state in
            let wentWell: [TaskResult] = [.finished, .released]
            return !state.results.isEmpty && state.results.allSatisfy(wentWell.contains) ? 0 : 1
        }
    }

    /// Ends what runs when the grace is over; `true` where even that took too long.
    private func watchEnd(_ stop: Promise<StopReason>, _ hurry: Promise<Void>) async -> Bool {
        guard let reason = await stop.value() else { return false }
        let count = state.withLock { $0.running.count }
        say(.info, "stopping (\(reason.rawValue)): no new tasks, \(count) to finish")
        _ = await Pause.sleep(settings.finishGrace, unless: hurry, world)
        if Task.isCancelled { return false }
        let running = state.withLock { Array($0.running.values) }
        for task in running { task.stop.fulfil(.shutdown) }
        try? await world.time.sleep(for: settings.stopGrace + Self.reportGrace)
        return !Task.isCancelled
    }

    /// After the last program was ended: to hand its task back.
    private static let reportGrace = Span.seconds(10)

    // MARK: claims

    private func serve(until stop: Promise<StopReason>, _ hurry: Promise<Void>) async -> Result<Void, any Error> {
        await withTaskGroup(of: Void.self) { group in
            do {
                while let free = await slots.free(unless: stop) {
                    let begun = world.now
                    let claims = try await claim(free, unless: stop)
                    for claim in claims { take(claim, in: &group, isStopping: stop.current != nil) }
                    if settings.isOnce { break }
                    // A server that answers at once with nothing (a paused agent, a drain) is not asked in a hot loop.
                    if claims.isEmpty, world.now - begun < .seconds(1) {
                        _ = await Pause.sleep(.seconds(1 + world.entropy.fraction()), unless: stop, world)
                    }
                }
            } catch {
                stop.fulfil(.signal)
                hurry.fulfil(())
                await group.waitForAll()
                return .failure(error)
            }
            await group.waitForAll()
            return .success(())
        }
    }

    /// One claim, repeated under one key until an answer comes: an answer that was lost on its way comes again.
    private func claim(_ limit: Int, unless stop: Promise<StopReason>) async throws -> [Claim] {
        let key = desk.client.newIdempotencyKey()
        var tried = 0
        while true {
            tried += 1
            let outcome: Patience.Outcome
            let failure: ClientFailure
            do {
                return try await desk.claim(queues: settings.queues, limit: limit, key: key)
            } catch let caught as ClientFailure {
                failure = caught
                switch caught {
                case .unreachable: outcome = .noReply
                case .refused(let refusal):
                    outcome = .refused(status: refusal.status, retryAfterSeconds: refusal.retryAfterSeconds)
                case .unreadable, .noKey: throw caught
                }
            }
            guard
                let delay = Patience.endless.delay(
                    after: outcome, tried: tried, elapsed: .zero, fraction: world.entropy.fraction())
            else { throw failure }
            if tried == 1 { say(.warning, "\(failure)") }
            if await Pause.sleep(delay, unless: stop, world) != nil || Task.isCancelled { return [] }
        }
    }

    private func take(_ claim: Claim, in group: inout TaskGroup<Void>, isStopping: Bool) {
        slots.take()
        let stop = Promise<TaskStop>()
        state.withLock { state in
            state.running[claim.id] = Running(title: claim.title, stop: stop)
            if let bundle = claim.bundle, !claim.isOnTrial { state.configVersion = bundle }
        }
        let run = TaskRun(
            claim: claim, desk: desk.desk(for: claim), settings: settings, log: log, deathGuard: deathGuard, stop: stop,
            watching: { [self] child in state.withLock { $0.running[claim.id]?.child = child } })
        group.addTask { [self] in
            // A claim that was on its way when the stop came is not begun.
            let result = isStopping ? await giveBack(claim) : await run.run()
            state.withLock { state in
                state.running[claim.id] = nil
                // Only one result is ever asked for; a worker for months keeps no list.
                if settings.isOnce { state.results.append(result) }
            }
            slots.giveBack()
        }
    }

    private func giveBack(_ claim: Claim) async -> TaskResult {
        do {
            try await desk.release(claim, patience: .brief)
            return .released
        } catch {
            log.write(LogLine(.warning, "not handed back: \(error)", agent: settings.agent.name, taskID: claim.id))
            return .unreported
        }
    }

    // MARK: the agent

    private func cancel(_ ids: [String]) {
        let stops = state.withLock { state in ids.compactMap { state.running[$0]?.stop } }
        for stop in stops { stop.fulfil(.canceled) }
    }

    private func reading() -> AgentReport {
        let (children, titles) = state.withLock { state in
            (state.running.values.compactMap(\.child), state.running.values.map(\.title).sorted())
        }
        let usage = children.map(\.usage).reduce(into: GroupUsage()) { total, usage in
            total.cpuSeconds += usage.cpuSeconds
            total.memoryBytes += usage.memoryBytes
            total.processes += usage.processes
        }
        let now = world.now
        let cpu: Double? = state.withLock { state in
            defer {
                state.usage = usage
                state.usageAt = now
            }
            return state.usageAt.map { usage.cpuPercent(since: state.usage, seconds: (now - $0).seconds) }
        }
        let message =
            switch titles.count {
            case 0: "waiting for work in \(settings.queues.joined(separator: ", "))"
            case 1: "working on \(titles[0])"
            default: "working on \(titles.count) tasks: \(titles.prefix(3).joined(separator: ", "))"
            }
        return AgentReport(
            statusMessage: message, cpuPercent: cpu, memoryBytes: usage.memoryBytes,
            configVersion: state.withLock { $0.configVersion })
    }

    private func say(_ level: LogLine.Level, _ message: String) {
        log.write(LogLine(level, message, agent: settings.agent.name))
    }
}
