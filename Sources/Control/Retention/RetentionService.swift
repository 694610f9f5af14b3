import Kernel
import Telemetry

/// What is said about records so that they are kept: labels of traces, and legal holds.
public struct RetentionService: Sendable {
    private let labels = TraceLabelStore()
    let holds = LegalHoldStore()
    private let events: Events
    private let audit: AuditService
    private let world: World
    /// Names a subject without telling it.
    private let digest: @Sendable (String) -> String
    /// See ``TelemetryIngest/unkeptTraces``.
    let unkept: @Sendable () -> Int

    public init(
        events: Events, audit: AuditService, world: World, digest: @escaping @Sendable (String) -> String = { _ in "" },
        unkept: @escaping @Sendable () -> Int = { 0 }
    ) {
        self.unkept = unkept
        self.events = events
        self.audit = audit
        self.world = world
        self.digest = digest
    }

    // MARK: Labels

    /// Labels a trace; the same again changes nothing.
    func label(
        _ trace: TraceID, _ text: String, correlationID: String?, by principal: Principal, in transaction: Transaction
    ) throws {
        let text = try TraceLabel.checked(text)
        guard !text.hasPrefix(TraceLabel.incidentPrefix) else {
            throw Problem.invalid("label", "labels of incidents are set by Reeve itself")
        }
        try add(trace, text, correlationID: correlationID, by: principal, in: transaction)
    }

    /// Keeps the trace of an incident for as long as those with a label: the label is `incident:` and the id.
    public func label(
        _ trace: TraceID, incident id: String, correlationID: String?, in transaction: Transaction
    ) throws {
        let text = try TraceLabel.checked(TraceLabel.incidentPrefix + id)
        try add(trace, text, correlationID: correlationID, by: .system, in: transaction)
    }

    private func add(
        _ trace: TraceID, _ text: String, correlationID: String?, by principal: Principal, in transaction: Transaction
    ) throws {
        let known = try labels.labels(of: trace, in: transaction)
        guard !known.contains(where: { $0.label == text }) else { return }
        guard known.count < TraceLabel.ofTraceMax, try labels.count(in: transaction) < TraceLabel.labelsMax else {
            throw Problem(
                .conflict,
                "There are as many labels as there may be: \(TraceLabel.ofTraceMax) of a trace, "
                    + "\(TraceLabel.labelsMax) in all.", hint: "Remove one that is not needed any more.")
        }
        let label = TraceLabel(
            traceID: trace, label: text, correlationID: correlationID, createdAt: world.now, createdBy: principal.actor)
        _ = try labels.insert(label, in: transaction)
        try note("trace.labelled", trace, text, correlationID, by: principal, in: transaction)
    }

    /// Removes a label; one that is not there is no error.
    func unlabel(
        _ trace: TraceID, _ text: String, by principal: Principal, in transaction: Transaction
    ) throws {
        let known = try labels.labels(of: trace, in: transaction).first { $0.label == text }
        guard let known, try labels.delete(text, of: trace, in: transaction) else { return }
        try note("trace.unlabelled", trace, text, known.correlationID, by: principal, in: transaction)
    }

    private func note(
        _ type: String, _ trace: TraceID, _ label: String, _ correlationID: String?, by principal: Principal,
        in transaction: Transaction
    ) throws {
        let data: JSONValue = ["traceId": .string(trace.description), "label": .string(label)]
        try events.append(
            EventDraft(type, actor: principal.actor, correlationID: correlationID, data: data), in: transaction)
        try audit.record(
            type, by: principal, target: "trace:\(trace.description)", detail: ["label": .string(label)],
            in: transaction)
    }

    func labels(of trace: TraceID, in transaction: Transaction) throws -> [TraceLabel] {
        try labels.labels(of: trace, in: transaction)
    }

    func labels(of traces: [TraceID], in transaction: Transaction) throws -> [TraceID: [String]] {
        var found: [TraceID: [String]] = [:]
        for trace in traces.prefix(TraceLabelStore.tracesMax) {
            let names = try labels.labels(of: trace, in: transaction).map(\.label)
            if !names.isEmpty { found[trace] = names }
        }
        return found
    }

    func traces(labelled label: String, max: Int, in transaction: Transaction) throws -> [TraceID] {
        try labels.traces(labelled: label, max: max, in: transaction)
    }

    // MARK: Holds

    func hold(
        _ target: TelemetryHold.Target, reason: String, by principal: Principal, in transaction: Transaction
    ) throws -> LegalHold {
        guard try holds.activeCount(in: transaction) < LegalHold.activeMax else {
            throw Problem(
                .conflict, "\(LegalHold.activeMax) holds are in force, as many as there may be.",
                hint: "Lift one, or put one on a range of time that has all of them.")
        }
        let hold = LegalHold(
            id: Identifier(world), target: target, reason: reason, createdAt: world.now, createdBy: principal.actor)
        try holds.insert(hold, in: transaction)
        try note("telemetry.held", hold, by: principal, in: transaction)
        return hold
    }

    /// Lifts a hold: what it alone kept goes with the next retention.
    func lift(
        _ id: Identifier<LegalHold>, by principal: Principal, in transaction: Transaction
    ) throws -> LegalHold {
        guard var hold = try holds.hold(id, in: transaction) else { throw Problem.notFound("hold", id.text) }
        guard hold.liftedAt == nil else { return hold }
        (hold.liftedAt, hold.liftedBy) = (world.now, principal.actor)
        try holds.lift(id, at: world.now, by: principal.actor, in: transaction)
        try note("telemetry.released", hold, by: principal, in: transaction)
        return hold
    }

    private func note(
        _ type: String, _ hold: LegalHold, by principal: Principal, in transaction: Transaction
    ) throws {
        let facts = hold.facts(digest: digest)
        try events.append(
            EventDraft(type, actor: principal.actor, data: ["id": hold.id.json, "hold": facts]), in: transaction)
        try audit.record(type, by: principal, target: "hold:\(hold.id.text)", detail: facts, in: transaction)
    }

    /// Holds that name a subject, whether in force or lifted.
    public static func holds(on text: String, in transaction: Transaction) throws -> Int64 {
        try LegalHoldStore().count(having: text, in: transaction)
    }

    // MARK: For those who forget

    /// Holds in force.
    static func activeHolds(in transaction: Transaction) throws -> [TelemetryHold] {
        try LegalHoldStore().active(in: transaction).map(\.hold)
    }

    /// What retention and erasures must leave.
    public func evidence(in transaction: Transaction) throws -> RetentionEvidence {
        var evidence = RetentionEvidence()
        for label in try labels.all(in: transaction) {
            evidence.traces.insert(label.traceID)
            if let id = label.correlationID { evidence.correlations.insert(id) }
        }
        evidence.holds = try holds.active(in: transaction).map(\.hold)
        return evidence
    }
}

/// The labels of traces, for those who show traces.
public struct StoredTraceLabels: TraceLabels {
    let service: RetentionService
    let storage: any Storage

    public init(service: RetentionService, storage: any Storage) {
        self.service = service
        self.storage = storage
    }

    public func labels(of traces: [TraceID]) async throws -> [TraceID: [String]] {
        guard !traces.isEmpty else { return [:] }
        return try await storage.read { try service.labels(of: traces, in: $0) }
    }

    public func traces(labelled label: String, max: Int) async throws -> [TraceID] {
        try await storage.read { try service.traces(labelled: label, max: max, in: $0) }
    }
}
