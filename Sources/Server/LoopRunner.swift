import Gateway
import Kernel
import Logging
import ServiceLifecycle
import Telemetry

/// Runs what features do by themselves, each in a task of its own, until the server stops. A round that fails is
/// logged, and the next one comes all the same.
///
/// Loops wake together, on one beat: a process without traffic then wakes a dozen times a second, not once for each
/// loop, and a thread that is awake serves them all.
struct LoopRunner: ServiceLifecycle.Service {
    /// Between two moments at which loops wake; those with shorter intervals keep their own.
    static let beat = Span.milliseconds(50)

    let loops: [Loop]
    let world: World
    let logger: Logger

    func run() async throws {
        let start = world.now
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                for loop in loops {
                    group.addTask { await run(loop, from: start) }
                }
                // Without a loop there is still a service to wait for.
                group.addTask { try? await gracefulShutdown() }
            }
        }
    }

    private func run(_ loop: Loop, from start: Timestamp) async {
        while !Task.isCancelled {
            do {
                try await loop.body()
            } catch is CancellationError {
                return
            } catch {
                logger.error(
                    "a loop's round failed", metadata: ["loop": .string(loop.name), "cause": .string("\(error)")])
            }
            do { try await world.time.sleep(for: Self.pause(loop.interval, at: world.now, since: start)) } catch {
                return
            }
        }
    }

    /// How long a loop rests: its interval, or a little less, up to a beat of the process. Its beats begin with it, so
    /// that not all replicas ask their database at the same moment.
    static func pause(_ interval: Span, at now: Timestamp, since start: Timestamp) -> Span {
        let (beat, wanted) = (beat.microseconds, interval.microseconds)
        guard wanted >= 2 * beat, now >= start else { return interval }
        return Span(microseconds: wanted - ((now - start).microseconds + wanted) % beat)
    }
}

/// Closes the store, once everything that uses it has ended.
struct StorageCloser: ServiceLifecycle.Service {
    let storage: any Storage
    /// What is still to be kept.
    let ledger: GatewayLedger

    func run() async throws {
        try? await gracefulShutdown()
        try? await ledger.flush()
        await storage.close()
    }
}

/// Ends the scripted models, once nothing asks them any more.
struct ScriptedCloser: ServiceLifecycle.Service {
    let scripted: ScriptedProviders

    func run() async throws {
        try? await gracefulShutdown()
        await scripted.close()
    }
}

/// Reports what is spent and gives back what is borrowed, once nothing spends any more.
struct BudgetCloser: ServiceLifecycle.Service {
    let clerk: BudgetClerk

    func run() async throws {
        try? await gracefulShutdown()
        await clerk.close()
    }
}

/// Keeps samples until the last is in its day's file.
struct SeriesCloser: ServiceLifecycle.Service {
    let metrics: MetricIngest?

    func run() async throws {
        try? await gracefulShutdown()
        try? await metrics?.close()
    }
}

/// Puts the last spans into the archive, once none come in any more.
struct SpanCloser: ServiceLifecycle.Service {
    let spans: TelemetryIngest?
    let ownSpans: OwnSpans?
    let ledger: GatewayLedger

    func run() async throws {
        try? await gracefulShutdown()
        // The last calls are spans as well.
        try? await ledger.flush()
        await ownSpans?.flush()
        try? await spans?.close()
    }
}
