import Kernel
import Synchronization

/// Runs batches: reads their requests, has each answered, puts the results together.
///
/// What is done is in the store at once, so a batch goes on after a restart where it was: requests with a result are
/// not asked again, and one that was in flight may be. Of several replicas one runs a batch, while it renews its claim.
public final class BatchRunner: Sendable {
    /// How often new batches are looked for.
    static let lookEvery = Span.milliseconds(250)
    /// How long a claim holds, and how often it is renewed.
    static let claimSpan = Span.seconds(15)
    static let renewEvery = Span.seconds(5)
    /// How often a batch that pauses looks whether it was cancelled.
    static let pauseLook = Span.seconds(2)
    /// How long a batch is left alone that the store or the disk failed.
    static let faultRest = Span.seconds(10)
    /// Batches of one look.
    static let candidatesMax = 1_000

    let service: BatchService
    let storage: any Storage
    let blobs: any Blobs
    let access: AccessService
    let calls: any BatchCalls
    let slots: BatchSlots
    let world: World
    private let name: String
    private let onFault: @Sendable (String, any Error) -> Void
    private let state = Mutex(State())

    private struct State {
        /// Who has which batch that is run here.
        var driven: [String: String] = [:]
        var restUntil: [String: Timestamp] = [:]
        var hasBegun = false
    }

    /// - Parameter onFault: Told the batch and why a round of it failed; it is tried again.
    public init(
        service: BatchService, storage: any Storage, blobs: any Blobs, access: AccessService, calls: any BatchCalls,
        onFault: @escaping @Sendable (String, any Error) -> Void
    ) {
        self.service = service
        self.storage = storage
        self.blobs = blobs
        self.access = access
        self.calls = calls
        self.onFault = onFault
        world = service.world
        slots = BatchSlots(max(1, service.policy.parallel))
        name = Hexadecimal.encode(world.entropy.bytes(8))
    }

    /// Runs batches until the caller's task ends.
    public func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            while true {
                for id in try await dueGuarded() {
                    group.addTask { await self.driveGuarded(id) }
                }
                try await world.time.sleep(for: Self.lookEvery)
            }
        }
    }

    /// Batches to be run now, noted as run. An owner of many leaves places for others.
    func due() async throws -> [String] {
        if !state.withLock({ $0.hasBegun }) {
            // The data directory has one process: what another one had claimed, it cannot have any more.
            if storage.dialect == .sqlite {
                try await storage.write { [service] in try service.batches.releaseAll(in: $0) }
            }
            state.withLock { $0.hasBegun = true }
        }
        let now = world.now
        let found = try await storage.read { [service] in
            try service.batches.claimable(at: now, limit: Self.candidatesMax, in: $0)
        }
        return state.withLock { state in
            state.restUntil = state.restUntil.filter { $0.value > now }
            var taken: [String] = []
            for batch in found where state.driven[batch.id] == nil && state.restUntil[batch.id] == nil {
                guard state.driven.count < BatchPolicy.drivenMax else { break }
                let own = state.driven.values.count { $0 == batch.owner }
                guard own < BatchPolicy.drivenMax / 2 else { continue }
                state.driven[batch.id] = batch.owner
                taken.append(batch.id)
            }
            return taken
        }
    }

    /// A look that fails does not end the batches that run.
    private func dueGuarded() async throws -> [String] {
        do {
            return try await due()
        } catch let error as CancellationError {
            throw error
        } catch {
            onFault("", error)
            return []
        }
    }

    private func driveGuarded(_ id: String) async {
        do {
            try await drive(id)
        } catch is CancellationError {
            // The server stops: another replica need not wait until the claim has run out.
            try? await release(id)
        } catch {
            let until = world.now + Self.faultRest
            state.withLock { $0.restUntil[id] = until }
            onFault(id, error)
        }
        _ = state.withLock { $0.driven.removeValue(forKey: id) }
    }

    /// Runs one batch to its end, while the claim on it holds.
    func drive(_ id: String) async throws {
        guard try await claim(id) else { return }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                repeat { try await self.world.time.sleep(for: Self.renewEvery) } while try await self.claim(id)
                return false
            }
            group.addTask {
                try await self.work(id)
                return true
            }
            defer { group.cancelAll() }
            // Whichever ends first: the work is done, or the claim is lost to another replica.
            _ = try await group.next()
        }
        try await release(id)
    }

    private func release(_ id: String) async throws {
        try await storage.write { [service, name] in try service.batches.release(id, runner: name, in: $0) }
    }

    private func claim(_ id: String) async throws -> Bool {
        let now = world.now
        return try await storage.write(.soon) { [service, name] in
            try service.batches.claim(id, runner: name, until: now + Self.claimSpan, at: now, in: $0)
        }
    }

    private func work(_ id: String) async throws {
        guard let batch = try await current(id) else { return }
        if batch.inProgressAt == nil {
            guard try await ingest(batch) else { return }
        }
        if batch.state != .finalizing { try await ask(batch) }
        try await finish(batch)
    }

    func current(_ id: String) async throws -> Batch? {
        try await storage.read { [service] in try service.batches.batch(id, in: $0) }
    }

    // MARK: asking

    /// Has the requests answered, until none waits or the batch is not to go on.
    private func ask(_ batch: Batch) async throws {
        let pace = BatchPace()
        let width = max(1, service.policy.parallel)
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            while true {
                if running >= pace.width(width) {
                    _ = try await group.next()
                    running -= 1
                    continue
                }
                guard let now = try await current(batch.id), now.state == .inProgress, world.now < batch.expiresAt
                else {
                    break
                }
                if let pause = pace.pause(at: world.now) {
                    if running > 0 {
                        _ = try await group.next()
                        running -= 1
                    } else {
                        try await world.time.sleep(for: min(pause, Self.pauseLook))
                    }
                    continue
                }
                guard let line = try await next(batch, pace) else {
                    guard running > 0 else { break }
                    _ = try await group.next()
                    running -= 1
                    continue
                }
                running += 1
                group.addTask { try await self.answer(line, of: batch, pace) }
            }
            try await group.waitForAll()
        }
    }

    /// The next request, with a slot for it; `nil` where none is there that is not in flight already.
    private func next(_ batch: Batch, _ pace: BatchPace) async throws -> BatchLine? {
        try await slots.take()
        do {
            let inFlight = pace.inFlight
            let (line, bytes) = try await storage.read { [service] transaction in
                (
                    try service.lines.next(of: batch.id, except: inFlight, in: transaction),
                    try service.lines.resultBytes(of: batch.id, in: transaction)
                )
            }
            if line != nil, try await refuseRest(batch, bytes) {
                slots.give()
                return nil
            }
            if let line { pace.began(line.number) } else { slots.give() }
            return line
        } catch {
            slots.give()
            throw error
        }
    }

    /// Ends what waits where it may not be asked any more; whether that was so.
    private func refuseRest(_ batch: Batch, _ bytes: Int64) async throws -> Bool {
        var flaw: BatchLine.Flaw?
        if bytes >= BatchPolicy.resultBytesMax { flaw = .tooMuchOutput }
        if flaw == nil, !(try await access.isInForce(keyID: batch.principal.keyID)) { flaw = .keyRevoked }
        guard let flaw else { return false }
        try await storage.write { [service] in try service.endRest(batch.id, flaw, in: $0) }
        return true
    }

    private func answer(_ line: BatchLine, of batch: Batch, _ pace: BatchPace) async throws {
        let answer: BatchAnswer
        do {
            defer { slots.give() }
            answer = try await calls.answer(
                BatchCall(
                    endpoint: batch.endpoint, body: line.body ?? [], headers: batch.callHeaders,
                    principal: batch.principal, correlationID: batch.correlationID))
        } catch {
            pace.withdrew(line.number)
            throw error
        }
        var verdict = BatchVerdict(answer)
        if verdict == .failed, line.tries + 1 >= BatchPolicy.triesMax { verdict = .final }
        switch verdict {
        case .final:
            let result = BatchResult(dialect: batch.dialect, batchID: batch.id).line(line, answer)
            let state: BatchLine.State = answer.isSuccess ? .succeeded : .errored
            try await keep { [service] in
                try service.lines.settle(line.number, of: batch.id, state, result, in: $0)
            }
        case .failed:
            try await storage.write { [service] in try service.lines.noteTry(line.number, of: batch.id, in: $0) }
        case .later: break
        }
        pace.ended(
            line.number, isTaken: verdict == .final, retryAfterSeconds: answer.retryAfterSeconds, at: world.now)
    }
}

extension BatchRunner {
    /// Tries of keeping a result, a second apart. It was paid for, so a store that is full or away is waited for.
    static let keepTriesMax = 600

    private func keep(_ change: @escaping @Sendable (Transaction) throws -> Void) async throws {
        for _ in 1..<Self.keepTriesMax {
            do {
                return try await storage.write(change)
            } catch let problem as Problem where problem.code.status >= 500 {
                try await world.time.sleep(for: .seconds(Int64(1)))
            }
        }
        try await storage.write(change)
    }
}

extension Batch {
    /// What each of its calls is sent with: the batch is one of its tags.
    fileprivate var callHeaders: [(name: String, value: String)] {
        var fields: [(name: String, value: String)] = [("content-type", "application/json")]
        var tags = id
        for member in headers.object?.members ?? [] {
            guard let value = member.value.string else { continue }
            if member.name == "x-reeve-tags" { tags += ",\(value)" } else { fields.append((member.name, value)) }
        }
        fields.append(("x-reeve-tags", tags))
        return fields
    }
}
