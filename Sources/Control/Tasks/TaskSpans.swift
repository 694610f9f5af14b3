import Kernel
import Synchronization
import Telemetry

/// Tells of tasks as spans: one for each attempt, from its claim to its end, and a moment for what is sealed or decided
/// meanwhile. Every span goes out once its change is committed.
public final class TaskSpans: Sendable {
    /// Attempts whose beginning is known without asking the store.
    static let attemptsMax = 100_000

    private let spans: OwnSpans
    private let claims = Mutex<[SpanID: Timestamp]>([:])

    public init(_ spans: OwnSpans) { self.spans = spans }

    /// What a trace belongs to, where that was said of late.
    func correlationID(of trace: TraceID) -> String? { spans.bindings.correlationID(of: trace) }

    // MARK: Moments

    /// The root of a trace that begins with a task.
    func created(_ task: AgentTask, at now: Timestamp, in transaction: Transaction) {
        record(span(of: task, task.place, nil, "create task \(task.type)", .producer, now, now), in: transaction)
    }

    func sealed(_ deliverable: JSONObject, of task: AgentTask, at now: Timestamp, in transaction: Transaction) {
        let attempt = task.attemptContext(task.fence)
        let name = deliverable["name"]?.string ?? ""
        let id = SpanID(of: "\(task.id.text)/\(name)", deliverable["revision"]?.int ?? 0)
        var span = span(of: task, attempt.child(id), attempt.spanID, "deliverable \(name)", .inside, now, now)
        span.add("reeve.deliverable.revision", deliverable["revision"]?.int)
        span.add("reeve.deliverable.sha256", deliverable["sha256"]?.string)
        record(span, in: transaction)
    }

    func reviewed(_ task: AgentTask, _ verdict: String, at now: Timestamp, in transaction: Transaction) {
        let id = SpanID(of: "\(task.id.text)/review", task.eventCount)
        var span = span(
            of: task, task.place.child(id), task.attemptContext(task.fence).spanID, "review \(verdict)", .inside, now,
            now)
        span.add("reeve.review.verdict", verdict)
        record(span, in: transaction)
    }

    // MARK: Attempts

    func claimed(_ task: AgentTask, at now: Timestamp, in transaction: Transaction) {
        let span = attempt(of: task, task.fence, task.owner, from: now, to: nil)
        let id = span.context.spanID
        record(span, in: transaction)
        transaction.afterCommit {
            self.claims.withLock { claims in
                if claims.count >= Self.attemptsMax { claims.removeAll() }
                claims[id] = now
            }
        }
    }

    /// - Parameter stored: Reads the attempt, where nobody here saw it begin.
    func ended(
        _ task: AgentTask, fence: Int64, _ end: AttemptEnd, at now: Timestamp, in transaction: Transaction,
        stored: () throws -> TaskAttempt?
    ) rethrows {
        let id = task.attemptContext(fence).spanID
        var agent = task.owner
        var startedAt = claims.withLock { $0[id] }
        if startedAt == nil || agent == nil, let attempt = try stored() {
            startedAt = attempt.claimedAt
            agent = attempt.agent
        }
        var span = attempt(of: task, fence, agent, from: startedAt ?? now, to: now)
        span.add("reeve.attempt.state", end.state.rawValue)
        switch end.state {
        case .failed, .lost, .timedOut, .preempted:
            span.error = end.message ?? end.state.rawValue
            span.add("error.type", end.failureClass ?? end.state.rawValue)
        default: break
        }
        if end.state == .lost {
            span.isLost = true
            span.add(OwnNames.lastStep, task.note)
        }
        record(span, in: transaction)
        // A late result ends it once more, so it stays known for a while.
        guard end.state != .lost else { return }
        transaction.afterCommit { self.claims.withLock { $0[id] = nil } }
    }

    private func attempt(
        of task: AgentTask, _ fence: Int64, _ agent: String?, from startedAt: Timestamp, to endedAt: Timestamp?
    ) -> OwnSpan {
        let place = task.place
        let name = task.type == TaskDraft.typeDefault ? task.queue : task.type
        var span = span(
            of: task, task.attemptContext(fence), place.spanID, "task \(name)", .consumer, startedAt, endedAt)
        span.add("gen_ai.agent.name", agent)
        span.add("reeve.task.attempt", task.claims)
        span.add("reeve.task.fence", fence)
        return span
    }

    private func span(
        of task: AgentTask, _ context: TraceContext, _ parent: SpanID?, _ name: String, _ kind: OwnSpan.Kind,
        _ startedAt: Timestamp, _ endedAt: Timestamp?
    ) -> OwnSpan {
        var span = OwnSpan(context, parent: parent, name, kind, from: startedAt, to: endedAt)
        span.add("task_id", task.id.text)
        span.add("correlation_id", task.correlationID)
        span.add("reeve.queue", task.queue)
        span.add("reeve.project", task.project)
        span.add("reeve.task.type", task.type)
        span.add("reeve.task.title", task.title)
        return span
    }

    private func record(_ span: OwnSpan, in transaction: Transaction) {
        transaction.afterCommit { self.spans.record(span) }
    }
}
