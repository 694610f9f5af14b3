import Control
import Gateway
import Kernel
import Synchronization
import Telemetry

/// Keeps what model calls leave behind: the gateway knows its calls until the store does.
///
/// Of a call without a budget that ended within ``interval`` before the process was killed there is no record: it has
/// no line in the journal of holds.
struct GatewayLedger: Sendable {
    /// How often records are kept: a call is found a moment after its answer.
    static let interval = Span.milliseconds(200)
    /// Calls of one commit.
    static let batchMax = 500

    let gateway: ModelGateway
    let calls: CallService
    let storage: any Storage
    /// Where calls are told of as spans; `nil` where nobody looks.
    let spans: OwnSpans?
    /// What must not stand in any record.
    private let watch: SecretWatch?
    private let rounds: RecordRounds
    /// Whether the last records went in for certain. If not, some of those that come again may be there already.
    private let isCertain = Certainty()

    private final class Certainty: Sendable {
        let holds = Atomic(true)
    }

    init(
        gateway: ModelGateway, calls: CallService, storage: any Storage, rounds: RecordRounds, spans: OwnSpans? = nil,
        watch: SecretWatch? = nil
    ) {
        self.watch = watch
        self.spans = spans
        self.gateway = gateway
        self.calls = calls
        self.storage = storage
        self.rounds = rounds
    }

    /// Counts and keeps all that ended so far. Where the store fails, the records wait for the next time.
    func flush() async throws {
        let round = rounds.begin()
        gateway.count()
        while true {
            let batch = gateway.records(max: Self.batchMax)
            guard !batch.isEmpty else { return rounds.finish(round) }
            let entries = batch.map { clean(Call($0.record)) }
            let areNew = isCertain.holds.exchange(false, ordering: .acquiringAndReleasing)
            try await storage.write { try calls.record(entries, areNew: areNew, in: $0) }
            isCertain.holds.store(true, ordering: .releasing)
            gateway.kept(batch.count)
            spans?.record(batch.flatMap(\.record.spans))
            // What ended during the commit waits for the next round: else each commit would bring the next one on.
            if batch.count < Self.batchMax { return rounds.finish(round) }
        }
    }

    /// A record without secrets in what its client named: a model that there is not, a session, a tag.
    private func clean(_ call: Call) -> Call {
        guard let watch, !watch.look.isEmpty else { return call }
        var call = call
        call.model = watch.clean(call.model, at: "calls")
        call.session = call.session.map { watch.clean($0, at: "calls") }
        call.tags = call.tags.map { watch.clean($0, at: "calls") }
        if let refusal = call.refusal { call.refusal?.detail = watch.clean(refusal.detail, at: "calls") }
        call.decision = watch.clean(call.decision, at: "calls")
        return call
    }

    /// Writes the records of calls that a killed process left together with their money.
    static func riders(_ calls: [ReplayedCall]) -> [BudgetRider] {
        let late = calls.compactMap(CallNote.record).map(Call.init)
        return late.chunks(of: batchMax).map { batch in { try CallService.recordLate(Array(batch), in: $0) } }
    }

    var loops: [Loop] { [Loop("gateway.records", every: Self.interval) { try await flush() }] }
}

extension ModelGateway: LiveCalls {
    public func running() -> [Call] { liveCalls().map(Call.init) }
    public func running(_ id: Identifier<Call>) -> Call? { liveCall(id.text).map(Call.init) }
}

extension ModelGateway: RunHolds {
    public func heldNow() -> [RunHold] { heldRuns().map(RunHold.init) }
    public func letGo(_ id: String) -> Bool { releaseRun(id) != nil }
    public func newHolds() -> [RunHold] { takeHoldNotices().map(RunHold.init) }
}

extension RunHold {
    init(_ run: HeldRun) {
        self.init(id: run.id, agent: run.agent, task: run.task, json: run.json)
    }
}

extension Call {
    init(_ record: CallRecord) {
        self.init(
            id: Identifier(stored: record.id), status: Status(rawValue: record.status.rawValue) ?? .failed,
            startedAt: record.startedAt, agent: record.agent, project: record.project, taskID: record.task,
            session: record.session, keyID: record.keyID, tags: record.tags, correlationID: record.correlationID,
            door: record.door.name, model: record.model, tier: record.tier, isStream: record.isStreamed,
            target: record.target ?? record.attempts.last?.target,
            attempts: zip(record.attempts, record.attemptCosts).map { attempt, cost in
                CallAttempt(
                    target: attempt.target, startedAt: attempt.startedAt,
                    durationMs: attempt.duration.microseconds / 1_000, status: attempt.status.map(Int64.init),
                    failure: attempt.failure, costNanoUSD: cost?.value)
            },
            usage: CallUsage(raw: record.rawUsage, buckets: record.buckets, isEstimated: record.isEstimated),
            cost: record.cost.map { CallCost(nanoUSD: $0.value, priceFrom: record.priceFrom) },
            savedNanoUSD: record.saved.value,
            holds: record.holds.map { CallHold(scope: $0.scope, nanoUSD: $0.nanoUSD, tokens: $0.tokens) },
            refusal: record.refusal.map { CallRefusal(scope: $0.scope, code: $0.code, detail: $0.detail) },
            failure: record.failure, httpStatus: record.httpStatus == 0 ? nil : Int64(record.httpStatus),
            cache: record.cache,
            durationMs: record.status == .running ? nil : record.duration.microseconds / 1_000,
            ttftMs: record.firstToken.map { $0.microseconds / 1_000 },
            overheadMicroseconds: record.status == .running ? nil : record.overhead.microseconds,
            requestBytes: Int64(record.requestBytes), responseBytes: Int64(record.answerBytes),
            decision: record.decision)
        traceID = record.traceID?.description
        spanID = record.traceID.map { _ in SpanID(of: record.id).description }
    }
}
