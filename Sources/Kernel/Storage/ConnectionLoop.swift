/// What a storage thread does all day: keep a connection, take the jobs that wait, run them as one transaction.
struct ConnectionLoop {
    let engine: any StorageEngine
    let role: ConnectionRole
    let jobs: BlockingQueue<any StorageJob>
    let groupMax: Int

    private static let retriesMax = 3
    private static let reconnectSecondsMax = 2.0

    /// Runs until the queue is closed and drained.
    func run() {
        var pauseSeconds = 0.05
        while true {
            do {
                try engine.withConnection(role) { connection in
                    pauseSeconds = 0.05
                    while connection.isUsable, let group = jobs.take(max: groupMax) { commit(group, on: connection) }
                    guard connection.isUsable else { throw StorageFault.connectionLost("the connection broke") }
                }
                return
            } catch {
                // Nobody waits for a store that is away: callers hear at once and may send again.
                let fault = error as? StorageFault ?? .connectionLost("\(error)")
                for job in jobs.takeAll() { job.finish(fault) }
                guard jobs.pause(seconds: pauseSeconds) else { return }
                pauseSeconds = min(pauseSeconds * 2, Self.reconnectSecondsMax)
            }
        }
    }

    private func commit(_ group: [any StorageJob], on connection: any SQLConnection) {
        for attempt in 1... {
            do {
                let actions = try runGroup(group, on: connection)
                for job in group { job.finish(nil) }
                for action in actions { action() }
                return
            } catch {
                if connection.isUsable, connection.isInTransaction { try? connection.execute("ROLLBACK") }
                let fault = error as? StorageFault ?? .failed("\(error)")
                if case .retriable = fault, attempt < Self.retriesMax, connection.isUsable { continue }
                for job in group { job.finish(fault) }
                return
            }
        }
    }

    /// Runs every job and commits. An error thrown from here undoes the whole group; a job's own error undoes that job.
    private func runGroup(
        _ group: [any StorageJob], on connection: any SQLConnection
    ) throws -> [@Sendable () -> Void] {
        try connection.execute(role == .writer ? engine.beginWrite : engine.beginRead)
        var actions: [@Sendable () -> Void] = []
        for job in group {
            let needsSavepoint = role == .writer && group.count > 1
            if needsSavepoint { try connection.execute("SAVEPOINT request") }
            let transaction = Transaction(connection)
            job.run(transaction)
            if let error = job.error {
                // Faults that end the transaction, or that another run may cure, concern the group.
                if case .retriable? = error as? StorageFault { throw error }
                guard connection.isUsable, connection.isInTransaction else { throw error }
                if needsSavepoint {
                    try connection.execute("ROLLBACK TO SAVEPOINT request")
                } else {
                    try connection.execute("ROLLBACK")
                    return []
                }
            } else {
                actions += transaction.takeActions()
            }
            if needsSavepoint { try connection.execute("RELEASE SAVEPOINT request") }
        }
        do {
            try connection.execute("COMMIT")
        } catch StorageFault.connectionLost(let reason) where role == .writer {
            throw StorageFault.outcomeUnknown(reason)
        }
        return actions
    }
}
