import Kernel
import Synchronization
import Telemetry

/// Erases subjects, one at a time: ordered by an admin, done beside everything else, and remembered without a name.
public final class ErasureService: Sendable {
    static let interval = Span.milliseconds(200)
    /// Starts of the server at which an erasure goes on: one that ends the server each time must not for ever.
    static let startsMax = 20

    private struct Job {
        let id: Identifier<Erasure>
        let subject: SubjectMatch
        let isDryRun: Bool
        var starts = 1
        var report = ErasureReport()
        /// Whether somebody carries it out, or its row is not written yet.
        var isTaken = true
    }

    private let spans: TelemetryIngest
    private let metrics: MetricIngest?
    private let keepers: [any SubjectKeeper]
    private let ownSpans: OwnSpans?
    private let retention: RetentionService
    private let places: [SubjectPlace]
    private let store = ErasureStore()
    private let audit: AuditService
    private let storage: any Storage
    private let replica: String
    private let world: World
    /// The one that runs. The subject's name is here, and in the telemetry folder until it ends.
    private let job = Mutex<Job?>(nil)
    private let isStopped = Atomic(false)

    /// - Parameters:
    ///   - keepers: What else has something of subjects in memory.
    ///   - ownSpans: Reeve's own spans on their way.
    ///   - places: Where else subjects are looked for, to tell of them.
    public init(
        spans: TelemetryIngest, metrics: MetricIngest?, keepers: [any SubjectKeeper] = [], ownSpans: OwnSpans? = nil,
        retention: RetentionService, places: [SubjectPlace], audit: AuditService, storage: any Storage,
        replica: String, world: World
    ) {
        (self.spans, self.metrics, self.retention, self.places) = (spans, metrics, retention, places)
        (self.keepers, self.ownSpans) = (keepers + (metrics.map { [$0] } ?? []), ownSpans)
        (self.audit, self.storage, self.replica, self.world) = (audit, storage, replica, world)
    }

    /// Goes on with what an earlier process did not end. A look, and what cannot go on, is told of as interrupted.
    public func goOn() async throws {
        let now = world.now
        let pending = spans.erasureFile.load()
        let going = try await storage.write { [self] transaction -> PendingErasure? in
            let erasure = try pending.flatMap { Identifier<Erasure>($0.id) }
                .flatMap { try store.erasure($0, in: transaction) }
            var going: PendingErasure?
            if var pending, let erasure, erasure.replica == replica, erasure.state == .running,
                pending.starts < Self.startsMax
            {
                pending.starts += 1
                going = pending
                try audit.record(
                    "telemetry.erasure_resumed", by: .system, target: "subject:\(erasure.digest)",
                    detail: ["id": erasure.id.json, "starts": .int(Int64(pending.starts))], in: transaction)
            }
            try store.interrupt(replica: replica, but: going?.id, at: now, in: transaction)
            return going
        }
        guard let going, let id = Identifier<Erasure>(going.id) else { return try spans.erasureFile.clear() }
        try spans.erasureFile.keep(going)
        job.withLock {
            $0 = Job(id: id, subject: going.subject, isDryRun: false, starts: going.starts, isTaken: false)
        }
    }

    /// Takes an order, which ``loops`` carry out.
    func order(
        _ subject: SubjectMatch, isDryRun: Bool, reason: String?, by principal: Principal
    ) async throws -> Erasure {
        let erasure = Erasure(
            id: Identifier(world), replica: replica, digest: spans.digest(subject.text), reason: reason,
            isDryRun: isDryRun, isAnywhere: subject.isAnywhere, createdAt: world.now, createdBy: principal.actor)
        let isFirst = job.withLock { job in
            guard job == nil else { return false }
            job = Job(id: erasure.id, subject: subject, isDryRun: isDryRun)
            return true
        }
        guard isFirst else {
            throw Problem(
                .conflict, "Another erasure is running.",
                hint: "Wait until GET /api/v1/telemetry/erasures shows its end.")
        }
        do {
            if !isDryRun { try spans.erasureFile.keep(PendingErasure(id: erasure.id.text, subject: subject)) }
            try await storage.write { [self] transaction in
                try store.insert(erasure, in: transaction)
                try audit.record(
                    "telemetry.erasure_ordered", by: principal, target: "subject:\(erasure.digest)",
                    detail: ["id": erasure.id.json, "dryRun": .bool(isDryRun), "reason": .of(reason)], in: transaction)
            }
        } catch {
            try? spans.erasureFile.clear()
            job.withLock { $0 = nil }
            throw error
        }
        job.withLock { $0?.isTaken = false }
        return erasure
    }

    func erasure(_ id: Identifier<Erasure>) async throws -> Erasure? {
        let erasure = try await storage.read { [store] in try store.erasure(id, in: $0) }
        return erasure.map(shown)
    }

    /// The newest first, one more than the page's limit where there are more.
    func list(page: Page) async throws -> [Erasure] {
        try await storage.read { [store] in try store.list(page: page, in: $0) }.map(shown)
    }

    /// With how far it is.
    private func shown(_ erasure: Erasure) -> Erasure {
        guard erasure.state == .running, let job = job.withLock({ $0 }), job.id == erasure.id else { return erasure }
        var erasure = erasure
        erasure.report = job.report.json
        return erasure
    }

    // MARK: The work

    public var loops: [Loop] { [Loop("telemetry.erasures", every: Self.interval) { try await self.work() }] }

    /// Carries out the order that waits, if there is one.
    func work() async throws {
        let next: Job? = job.withLock { job in
            guard job?.isTaken == false else { return nil }
            job?.isTaken = true
            return job
        }
        guard let next else { return }
        defer { job.withLock { $0 = nil } }
        guard var erasure = try await storage.read({ [store] in try store.erasure(next.id, in: $0) }) else { return }
        do {
            let (report, elsewhere) = try await withTaskCancellationHandler {
                try await erase(next)
            } onCancel: {
                isStopped.store(true, ordering: .relaxed)
            }
            var shown = report.json.object ?? JSONObject()
            shown.append("elsewhere", elsewhere)
            shown.append("starts", .int(Int64(next.starts)))
            erasure.report = .object(shown)
            let isClean = next.isDryRun || report.held == 0 && (report.remaining ?? 0) == 0
            erasure.state = isClean ? .done : .partial
        } catch _ where !next.isDryRun && isStopped.load(ordering: .relaxed) {
            // The next start goes on.
            return
        } catch {
            erasure.state = isStopped.load(ordering: .relaxed) ? .interrupted : .failed
            let reason = (error as? StorageFault)?.reason ?? "\(error)"
            erasure.report = ["error": .string("It ended early: \(reason). What was done is done; order it again.")]
        }
        erasure.endedAt = world.now
        let ended = erasure
        try await storage.write { [self] transaction in
            try store.update(ended, in: transaction)
            try audit.record(
                "telemetry.erasure_ended", by: .system, target: "subject:\(ended.digest)",
                detail: [
                    "id": ended.id.json, "state": .string(ended.state.rawValue),
                    "found": ended.report["found"] ?? .null, "removed": ended.report["removed"] ?? .null,
                    "held": ended.report["held"] ?? .null, "remaining": ended.report["remaining"] ?? .null,
                ], in: transaction)
        }
        if !next.isDryRun { try spans.erasureFile.clear() }
    }

    private func erase(_ next: Job) async throws -> (ErasureReport, JSONValue) {
        let holds = try await storage.read { [retention] in try retention.holds.active(in: $0).map(\.hold) }
        let order = ErasureOrder(next.subject, isDryRun: next.isDryRun, holds: holds)
        await ownSpans?.flush()
        var report = try await spans.erase(order, also: keepers) { [self] report in
            job.withLock { $0?.report = report }
            return !isStopped.load(ordering: .relaxed)
        }
        if let metrics {
            report.files += try await metrics.store.erase(order)
            report.placesSearched.append("metrics")
        }
        var elsewhere: [JSONValue] = []
        // Some records are kept as JSON, which writes quotes and the like otherwise.
        let text = next.subject.text
        let forms = Set([text, String(JSONValue.string(text).text.dropFirst().dropLast())])
        for place in places {
            let count = try await storage.read { transaction in
                try forms.reduce(0) { $0 + (try place.count($1, transaction)) }
            }
            // Also where there is none: that it was looked for is a part of the proof.
            elsewhere.append(place.json(rows: count))
        }
        return (report, .array(elsewhere))
    }
}
