/// What a storage thread does all day: keep a connection, take the jobs that wait, run them as one transaction.
struct ConnectionLoop {
    let engine: any StorageEngine
    let role: ConnectionRole
    let jobs: BlockingQueue<any StorageJob>
    let groupMax: Int
    var gathering: BlockingQueue<any StorageJob>.Gathering?

    private static let retriesMax = 3
    private static let pauseSecondsMin = 0.05
    private static let pauseSecondsMax = 2.0

    /// Runs until the queue is closed and drained.
    func run() {
        var pauseSeconds = Self.pauseSecondsMin
        // A group that found its connection dead before it began: nothing of it happened, so the next one gets it.
        var carried: [any StorageJob] = []
        while true {
            do {
                var isDrained = false
                try engine.withConnection(role) { connection in
                    pauseSeconds = Self.pauseSecondsMin
                    isDrained = jobs.serving { serve(connection, &carried) }
                }
                if isDrained { return }
            } catch {
                // Nobody waits for a store that is away: callers hear at once and may send again.
                let fault = error as? StorageFault ?? .connectionLost("\(error)")
                for job in carried + jobs.takeUnserved() { job.finish(fault) }
                carried = []
                guard jobs.pause(seconds: pauseSeconds) else {
                    for job in jobs.takeUnserved() { job.finish(fault) }
                    return
                }
                pauseSeconds = min(pauseSeconds * 2, Self.pauseSecondsMax)
            }
        }
    }

    /// Runs groups for as long as the connection lasts; returns whether the queue is closed and drained.
    private func serve(_ connection: any SQLConnection, _ carried: inout [any StorageJob]) -> Bool {
        while connection.isUsable {
            let isSecondTry = !carried.isEmpty
            guard let group = isSecondTry ? carried : jobs.take(max: groupMax, gathering: gathering) else {
                return true
            }
            carried = []
            if !commit(group, on: connection, isSecondTry: isSecondTry) { carried = group }
        }
        return false
    }

    /// Thrown where something of a group has to be undone alone, and nothing was prepared for that.
    private struct NeedsCare: Error {}

    /// Runs and finishes a group. `false`: the connection was gone before anything began, and the group is unfinished.
    private func commit(_ group: [any StorageJob], on connection: any SQLConnection, isSecondTry: Bool) -> Bool {
        var attempt = 0
        var isCareful = false
        while true {
            attempt += 1
            var hasBegun = false
            do {
                try connection.execute(role.writes ? engine.beginWrite : engine.beginRead)
                hasBegun = true
                // Actions come first: whoever hears of a change may count on those having heard that wait for it.
                for action in try runGroup(group, on: connection, isCareful: isCareful) { action() }
                for job in group { job.finish(nil) }
                return true
            } catch {
                if connection.isUsable, connection.isInTransaction { try? connection.execute("ROLLBACK") }
                if error is NeedsCare, !isCareful {
                    isCareful = true
                    continue
                }
                let fault = error as? StorageFault ?? .failed("\(error)")
                if case .retriable = fault, attempt < Self.retriesMax, connection.isUsable { continue }
                if case .connectionLost = fault, !hasBegun, !isSecondTry { return false }
                for job in group { job.finish(fault) }
                return true
            }
        }
    }

    /// Runs every job and commits. An error thrown from here undoes the whole group; a job's own error undoes that job.
    ///
    /// Savepoints make an engine keep every page or row as it was before, for each request, and hardly ever is one
    /// needed: most refusals come before anything is written. So a group runs without, and once more with them where
    /// something does have to be undone.
    private func runGroup(
        _ group: [any StorageJob], on connection: any SQLConnection, isCareful: Bool
    ) throws -> [@Sendable () -> Void] {
        var actions: [@Sendable () -> Void] = []
        let memory = GroupMemory()
        for job in group {
            let needsSavepoint = isCareful && role.writes && group.count > 1
            if needsSavepoint { try connection.execute("SAVEPOINT request") }
            let transaction = Transaction(connection, isCareful: isCareful, memory: memory)
            job.run(transaction)
            if transaction.needsCare { throw NeedsCare() }
            if let error = job.error {
                try checkTransaction(of: connection, after: error)
                memory.values = [:]
                if needsSavepoint {
                    try connection.execute("ROLLBACK TO SAVEPOINT request")
                } else if group.count == 1 {
                    try connection.execute("ROLLBACK")
                    return []
                } else if transaction.hasWritten || transaction.fault != nil {
                    throw NeedsCare()
                }
            } else {
                actions += transaction.takeActions()
            }
            if needsSavepoint { try connection.execute("RELEASE SAVEPOINT request") }
        }
        do {
            try connection.execute("COMMIT")
        } catch StorageFault.connectionLost(let reason) where role.writes {
            throw StorageFault.outcomeUnknown(reason)
        }
        return actions
    }

    /// Throws where a job's error concerns the group: it ended the transaction, or another run may cure it.
    private func checkTransaction(of connection: any SQLConnection, after error: any Error) throws {
        if case .retriable? = error as? StorageFault { throw error }
        guard connection.isUsable else {
            throw error as? StorageFault ?? .connectionLost("the connection broke during the request")
        }
        guard connection.isInTransaction else {
            throw error as? StorageFault ?? .failed("the engine ended the transaction: \(error)")
        }
    }
}
