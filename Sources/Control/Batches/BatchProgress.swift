import Kernel

/// A batch's way through its states, each verb in its caller's transaction.
extension BatchService {
    /// The requests are read: they can be asked, or there are none to ask.
    func begin(
        _ id: String, total: Int64, flawed: [BatchLine], flawedCount: Int64, model: String?, in transaction: Transaction
    ) throws {
        guard var batch = try batches.batch(id, in: transaction) else { return }
        batch.counts.total = total
        batch.counts.errored = flawedCount
        batch.model = model
        if batch.dialect == .openAI {
            batch.flaws = .array(
                flawed.map { line in
                    [
                        "code": .of(line.flaw?.code), "line": .int(line.number), "message": .of(line.flaw?.message),
                        "param": .of(line.flaw?.param),
                    ]
                })
        }
        if batch.dialect == .anthropic, let input = try files.file(batch.inputFile, in: transaction) {
            try files.delete([input], in: transaction)
        }
        batch.inProgressAt = world.now
        // It may have been cancelled meanwhile: the rest of its way is the same.
        if batch.state == .validating { batch.state = .inProgress }
        try batches.update(batch, in: transaction)
        if batch.dialect == .openAI, batch.state == .inProgress, flawedCount == total {
            try fail(id, nil, in: transaction)
        }
    }

    /// Nothing of a batch can be asked.
    func fail(_ id: String, _ flaw: BatchLine.Flaw?, in transaction: Transaction) throws {
        guard var batch = try batches.batch(id, in: transaction), !batch.state.hasEnded else { return }
        if let flaw {
            batch.flaws = .array([
                ["code": .string(flaw.code), "line": .null, "message": .string(flaw.message), "param": .of(flaw.param)]
            ])
        }
        batch.state = .failed
        batch.endedAt = world.now
        try batches.update(batch, in: transaction)
        try tell("batch.ended", batch, by: Principal.system.actor, in: transaction)
    }

    /// Nothing more is asked: what waits ends as the batch's state and the time say.
    func finalize(_ id: String, in transaction: Transaction) throws -> Batch? {
        guard var batch = try batches.batch(id, in: transaction), !batch.state.hasEnded else { return nil }
        let now = world.now
        if batch.state == .cancelling {
            batch.counts.canceled += try lines.endWaiting(of: id, as: .canceled, in: transaction)
        } else {
            batch.counts.expired += try lines.endWaiting(of: id, as: .expired, in: transaction)
            batch.state = .finalizing
        }
        if batch.finalizingAt == nil { batch.finalizingAt = now }
        try batches.update(batch, in: transaction)
        return batch
    }

    /// The rest of the requests ends with an error.
    func endRest(_ id: String, _ flaw: BatchLine.Flaw, in transaction: Transaction) throws {
        guard var batch = try batches.batch(id, in: transaction), !batch.state.hasEnded else { return }
        batch.counts.errored += try lines.endWaiting(of: id, as: .errored, flaw, in: transaction)
        try batches.update(batch, in: transaction)
    }

    /// The results are kept: the batch has ended.
    func end(_ id: String, output: BatchFile?, errors: BatchFile?, in transaction: Transaction) throws {
        guard var batch = try batches.batch(id, in: transaction), !batch.state.hasEnded else { return }
        for file in [output, errors].compactMap(\.self) { try files.insert(file, in: transaction) }
        batch.outputFile = output?.id
        batch.errorFile = errors?.id
        batch.state = batch.state.end(hasExpired: batch.counts.expired > 0)
        batch.endedAt = world.now
        try batches.update(batch, in: transaction)
        try tell("batch.ended", batch, by: Principal.system.actor, in: transaction)
    }
}
