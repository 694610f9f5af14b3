import Foundation

/// What a connection is for.
enum ConnectionRole: Sendable {
    case writer
    case reader
    /// Changes the schema, for as long as that takes.
    case migrator

    var writes: Bool { self != .reader }
}

/// An engine that connections can be had of. `withConnection` runs its body on the calling thread and closes after.
protocol StorageEngine: Sendable {
    var dialect: SQLDialect { get }
    /// Opens a transaction that excludes every other writer, of this process and of other replicas.
    var beginWrite: String { get }
    /// Opens a read-only transaction on one snapshot.
    var beginRead: String { get }
    /// Like ``beginWrite``, for a change of the schema, which may wait and run for longer than any request.
    var beginMigration: String { get }
    func withConnection(_ role: ConnectionRole, _ body: (any SQLConnection) throws -> Void) throws
}

extension StorageEngine {
    var beginMigration: String { beginWrite }
}

/// ``Storage`` over an engine: one writer thread that commits in groups, and a few reader threads.
///
/// While one commit waits for the disk, the next requests gather; they share the next commit, and where one has to be
/// undone alone, the group runs again with savepoints. Full durability so costs one sync a group, not one a request,
/// and an idle request waits for nobody.
public final class EngineStorage: Storage {
    public let dialect: SQLDialect
    private let writes: BlockingQueue<any StorageJob>
    private let reads: BlockingQueue<any StorageJob>
    private let threads: ThreadGroup

    init(_ engine: any StorageEngine, limits: StorageLimits = StorageLimits()) throws {
        dialect = engine.dialect
        writes = BlockingQueue<any StorageJob>(countMax: limits.requestsWaitingMax)
        reads = BlockingQueue<any StorageJob>(countMax: limits.requestsWaitingMax)
        threads = ThreadGroup()
        do {
            try startThreads(engine, limits)
        } catch {
            writes.close()
            reads.close()
            throw error
        }
    }

    private func startThreads(_ engine: any StorageEngine, _ limits: StorageLimits) throws {
        let writes = writes
        let reads = reads
        try threads.start(name: "reeve-writer") {
            ConnectionLoop(
                engine: engine, role: .writer, jobs: writes, groupMax: limits.commitGroupMax,
                gathering: .init(window: limits.gatheringSeconds, enough: limits.gatheredEnough)
            ).run()
        }
        for index in 0..<limits.readers {
            try threads.start(name: "reeve-reader-\(index)") {
                ConnectionLoop(engine: engine, role: .reader, jobs: reads, groupMax: 1).run()
            }
        }
    }

    /// Requests that wait for a thread at this moment.
    var waitingCount: (writes: Int, reads: Int) { (writes.count, reads.count) }

    @discardableResult
    public func write<Value: Sendable>(
        _ urgency: WriteUrgency, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await submit(body, to: writes, isUrgent: urgency == .now)
    }

    public func read<Value: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await submit(body, to: reads)
    }

    private func submit<Value: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> Value, to queue: BlockingQueue<any StorageJob>,
        isUrgent: Bool = true
    ) async throws -> Value {
        do {
            return try await withCheckedThrowingContinuation { continuation in
                let job = TypedJob(body: body, continuation: continuation)
                guard queue.push(job, isUrgent: isUrgent) else {
                    let problem = Problem(
                        .overloaded, "Too many requests wait for the store, or it is closing.",
                        hint: "Wait a second, then send the same request again.", retryAfterSeconds: 1)
                    return continuation.resume(throwing: problem)
                }
            }
        } catch let fault as StorageFault {
            throw fault.problem
        }
    }

    public func close() async {
        writes.close()
        reads.close()
        await threads.finish()
    }
}

/// Bounds of the storage threads.
public struct StorageLimits: Sendable {
    /// Requests that may wait for a thread, for reads and for writes; further ones are refused with `overloaded`.
    public var requestsWaitingMax = 20_000
    /// Requests that share one commit at most.
    public var commitGroupMax = 256
    /// Seconds between two commits of changes that may wait a little (``WriteUrgency/soon``): each commit costs a sync
    /// and a rewritten page for every index, however few share it.
    public var gatheringSeconds = 0.010
    /// So many of them are worth a commit at once.
    public var gatheredEnough = 32
    /// Connections for queries.
    public var readers = 4

    public init() {}
}

/// One request to a storage thread: run once or, after a retriable fault, again; then resumed exactly once.
protocol StorageJob: Sendable {
    func run(_ transaction: Transaction)
    /// The error of the last run, if it threw.
    var error: (any Error)? { get }
    /// Resumes the caller with the last run's outcome, or with `fault`.
    func finish(_ fault: StorageFault?)
}

/// `@unchecked Sendable`: `outcome` is touched by the one storage thread that took the job from its queue.
private final class TypedJob<Value: Sendable>: StorageJob, @unchecked Sendable {
    private let body: @Sendable (Transaction) throws -> Value
    private let continuation: CheckedContinuation<Value, any Error>
    private var outcome: Result<Value, any Error>?

    init(
        body: @escaping @Sendable (Transaction) throws -> Value, continuation: CheckedContinuation<Value, any Error>
    ) {
        self.body = body
        self.continuation = continuation
    }

    func run(_ transaction: Transaction) {
        outcome = Result {
            let value = try body(transaction)
            try transaction.addWaiting()
            // PostgreSQL keeps nothing of a transaction in which a statement failed, even if the body caught that.
            if let fault = transaction.fault { throw fault }
            return value
        }
    }

    var error: (any Error)? {
        if case .failure(let error)? = outcome { return error }
        return nil
    }

    func finish(_ fault: StorageFault?) {
        if let fault { return continuation.resume(throwing: fault) }
        continuation.resume(with: outcome ?? .failure(StorageFault.failed("the request was not run")))
    }
}
