import Kernel

/// Files and batches: who has which, and what may be done with them.
///
/// An agent sees its own alone, whichever of its keys it comes with; keys without an agent see what they made. What
/// runs batches is ``BatchRunner``.
public struct BatchService: Sendable {
    /// Rows of one commit of the retention.
    static let purgeMax = 200

    let files = BatchFileStore()
    let batches = BatchStore()
    let lines = BatchLineStore()
    let policy: BatchPolicy
    let world: World
    private let events: Events

    public init(policy: BatchPolicy = BatchPolicy(), events: Events, world: World) {
        self.policy = policy
        self.events = events
        self.world = world
    }

    /// The other owners of contents look here before they remove one.
    public var blobUse: any BlobUse { files }

    // MARK: files

    /// Refuses a file that its owner has no room for.
    func checkRoom(_ bytes: Int, for principal: Principal, in transaction: Transaction) throws {
        let kept = try files.sums(of: principal.batchOwner, in: transaction)
        guard kept.files < BatchPolicy.filesPerOwnerMax, kept.bytes + Int64(bytes) <= Int64(policy.keptBytes) else {
            throw Problem(
                .fileQuota,
                "You have \(kept.files) files of \(kept.bytes) bytes; \(BatchPolicy.filesPerOwnerMax) of together "
                    + "\(policy.keptBytes) are allowed.",
                hint: "Delete files that you do not need any more; they go by themselves when they expire.")
        }
    }

    func file(_ id: String, for principal: Principal, in transaction: Transaction) throws -> BatchFile {
        guard let file = try files.file(id, in: transaction), file.owner == principal.batchOwner, file.purpose.isListed
        else { throw Problem.notFound("file", id) }
        return file
    }

    /// Deletes a file. A batch that is read from it fails; one that runs has its requests.
    func deleteFile(_ id: String, by principal: Principal, in transaction: Transaction) throws {
        try files.delete([file(id, for: principal, in: transaction)], in: transaction)
    }

    // MARK: batches

    /// Keeps a new batch, to be run.
    func create(_ batch: Batch, in transaction: Transaction) throws {
        let open = try batches.openCount(of: batch.owner, in: transaction)
        guard open < BatchPolicy.openPerOwnerMax else {
            throw Problem(
                .rateLimited,
                "You have \(open) batches that have not ended; \(BatchPolicy.openPerOwnerMax) are allowed.",
                hint: "Wait until one ends, or cancel one.", retryAfterSeconds: 60)
        }
        try batches.insert(batch, in: transaction)
        try tell("batch.created", batch, by: batch.principal.actor, in: transaction)
    }

    /// Somebody's own batch. Operators and admins may name anybody's: they have to be able to stop it.
    func batch(_ id: String, _ dialect: Batch.Dialect, for principal: Principal, in transaction: Transaction) throws
        -> Batch
    {
        guard let batch = try batches.batch(id, in: transaction), batch.dialect == dialect,
            batch.owner == principal.batchOwner || principal.agent == nil
        else { throw Problem.notFound("batch", id) }
        return batch
    }

    /// Asks that a batch end: what is in flight is finished, the rest is not asked. Again changes nothing.
    func cancel(_ id: String, _ dialect: Batch.Dialect, by principal: Principal, in transaction: Transaction) throws
        -> Batch
    {
        var batch = try batch(id, dialect, for: principal, in: transaction)
        if batch.state == .cancelling || (batch.state == .cancelled && dialect == .openAI) { return batch }
        guard !batch.state.hasEnded, batch.state != .finalizing else {
            throw Problem(
                .conflict, "The batch \"\(id)\" cannot be cancelled any more: it is \(batch.state.rawValue).",
                hint: "Read its results.")
        }
        batch.state = .cancelling
        batch.cancellingAt = world.now
        try batches.update(batch, in: transaction)
        try tell("batch.cancel_requested", batch, by: principal.actor, in: transaction)
        return batch
    }

    /// Forgets a batch that ended, with what it made.
    func delete(_ id: String, _ dialect: Batch.Dialect, by principal: Principal, in transaction: Transaction) throws {
        let batch = try batch(id, dialect, for: principal, in: transaction)
        guard batch.state.hasEnded else {
            throw Problem(
                .badRequest, "The batch \"\(id)\" has not ended, so it cannot be deleted.",
                hint: "Cancel it first, and delete it once it has ended.")
        }
        try forget(batch, in: transaction)
        try tell("batch.deleted", batch, by: principal.actor, in: transaction)
    }

    private func forget(_ batch: Batch, in transaction: Transaction) throws {
        let made = batch.dialect == .anthropic ? [batch.outputFile, batch.errorFile].compactMap(\.self) : []
        try files.delete(made.compactMap { try files.file($0, in: transaction) }, in: transaction)
        // Few are left: the rest went when it ended.
        while try !lines.forget(of: batch.id, limit: Self.purgeMax, in: transaction) {}
        try batches.delete(batch.id, in: transaction)
    }

    func tell(_ type: String, _ batch: Batch, by actor: String, in transaction: Transaction) throws {
        try events.append(
            EventDraft(
                type, actor: actor, agent: batch.principal.agent, correlationID: batch.correlationID,
                data: batch.summary),
            in: transaction)
    }

    // MARK: retention

    /// Forgets files and batches whose time is over; whether there may be more.
    func purge(in transaction: Transaction) throws -> Bool {
        let old = try files.expired(at: world.now, limit: Self.purgeMax, in: transaction)
        try files.delete(old, in: transaction)
        let ended = try batches.ended(before: world.now - policy.retention, limit: Self.purgeMax, in: transaction)
        for batch in ended { try forget(batch, in: transaction) }
        return old.count == Self.purgeMax || ended.count == Self.purgeMax
    }

    func hasLinesLeft(in transaction: Transaction) throws -> Bool {
        try !lines.endedWithLines(limit: 1, in: transaction).isEmpty
    }

    /// Forgets requests of batches that ended, a bounded part; whether there may be more.
    func purgeLines(in transaction: Transaction) throws -> Bool {
        guard let id = try lines.endedWithLines(limit: 1, in: transaction).first else { return false }
        _ = try lines.forget(of: id, limit: Self.purgeMax * 10, in: transaction)
        return true
    }

    /// Removes contents that no file has any more; whether there may be more. It runs in a transaction of its own
    /// behind the one that forgot the files: content that is gone is never referred to.
    func removeContents(_ blobs: any Blobs, others: any BlobUse, in transaction: Transaction) throws -> Bool {
        let left = try files.contentsLeft(limit: Self.purgeMax, in: transaction)
        for sha256 in left {
            let isUsed = try files.uses(sha256, in: transaction) || others.uses(sha256, in: transaction)
            if !isUsed { try blobs.remove(sha256) }
        }
        try files.settleContents(left, in: transaction)
        return left.count == Self.purgeMax
    }
}

extension ProblemCode {
    /// An owner's files are too many or too large together.
    static let fileQuota = ProblemCode("file_quota", 400, "There is no room for another file")
}
