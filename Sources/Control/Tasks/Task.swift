import Kernel

public enum TaskSubject: Identified {
    public static let idPrefix = "task"
}

public typealias TaskID = Identifier<TaskSubject>

/// A piece of work: what is to be done, who has it, and how it stands. (`Task` is Swift's.)
public struct AgentTask: Sendable, Equatable {
    // What was asked for; never changes.
    public let id: TaskID
    public let project: String
    public let queue: String
    public let type: String
    public let title: String
    public var input: JSONValue
    /// The model that its agent asks for, as callers of the gateway name it: `gpt-4o-mini`, `tier:cheap`.
    public var model: String?
    public let requires: [String]
    public let deliverableSchema: JSONValue?
    public let review: ReviewPolicy?
    public let budget: TaskBudget?
    public let lease: Span
    public let startWithin: Span
    public let timeout: Span?
    public let progressWithin: Span?
    public let startBy: Timestamp?
    public let uniqueKey: String?
    public let concurrencyKey: String?
    public let onLeaseLost: LeaseLostPolicy
    public let onExhausted: ExhaustedPolicy
    public let supersedes: TaskID?
    public let correlationID: String?
    /// Where its trace goes on: of whoever had it made (W3C Trace Context).
    public var traceparent: String?
    public var tracestate: String?
    public let createdBy: String
    public let createdAt: Timestamp

    // How it stands.
    public var state: TaskState
    /// Why it is held, failed, canceled or scheduled.
    public var reason: String?
    /// Seconds that the task is put ahead of others of its queue and project.
    public var priority: Int64
    public var maxAttempts: Int64
    /// The agent that alone may take it.
    public var pinnedAgent: String?
    /// The agent that may take it first, until `preferredUntil`: it knows the work already.
    public var preferredAgent: String?
    public var preferredUntil: Timestamp?
    /// The agent that has the lease, or that did the work that is in review or done.
    public var owner: String?
    /// Rises with every change of ownership, never on expiry alone: a late result can then still be taken.
    public var fence: Int64 = 0
    public var claims: Int64 = 0
    public var attempts: Int64 = 0
    public var leaseLosses: Int64 = 0
    public var snoozes: Int64 = 0
    public var reviewRounds: Int64 = 0
    public var pendingDependencies: Int64 = 0
    /// Explicit holds on it; their names are in `task_holds`.
    public var holdCount: Int64 = 0
    public var scheduledFor: Timestamp?
    public var enqueuedAt: Timestamp?
    public var startedAt: Timestamp?
    public var leaseGrantedAt: Timestamp?
    public var leaseExpiresAt: Timestamp?
    /// Set while the last owner may still hand in a late result.
    public var leaseLostAt: Timestamp?
    public var attemptDeadline: Timestamp?
    public var progressDeadline: Timestamp?
    public var cancelRequestedAt: Timestamp?
    public var pauseRequestedAt: Timestamp?
    /// When a request to cancel or pause is carried out without the agent.
    public var stopDeadline: Timestamp?
    public var wait: JSONValue = .null
    public var waitUntil: Timestamp?
    public var checkpoint: JSONValue = .null
    public var progress: Double?
    public var note: String?
    public var output: JSONValue = .null
    /// Used by attempts that have ended.
    public var usageBefore = TaskUsage()
    /// Used by the attempt that runs.
    public var usageNow = TaskUsage()
    /// The content under review: see ``Submission``.
    public var submissionSHA256: String?
    public var submittedAt: Timestamp?
    public var updatedAt: Timestamp
    public var finishedAt: Timestamp?
    /// Events of this task so far.
    public var eventCount: Int64 = 0
    /// For the store.
    var origin = TaskOrigin()

    public var usage: TaskUsage { usageBefore + usageNow }

    /// Whether its last owner may still hand in a result: nobody has claimed it since.
    public var acceptsLateResult: Bool {
        guard leaseLostAt != nil, cancelRequestedAt == nil else { return false }
        return state == .ready || state == .scheduled || (state == .held && reason == HoldReason.leaseLost)
            || (state == .held && reason == HoldReason.poison)
    }

    /// Orders ready tasks: a priority of N counts as N seconds earlier, so nothing starves.
    public var orderKey: Int64 {
        let enqueued = enqueuedAt ?? createdAt
        return (enqueued - Span.seconds(priority)).microseconds
    }

    /// The lane that it stands in while ready.
    public var lane: Lane {
        Lane(
            queue: queue, project: project, agent: preferredAgent ?? pinnedAgent, requires: requires, model: model)
    }

    /// When it expires, unless somebody begins before; a task that was begun once does not expire any more.
    public var expiresAt: Timestamp? { startedAt == nil ? startBy : nil }

    /// When the sweeper must look at the task next; `nil` where a dependency or a person moves it.
    public var wakeAt: Timestamp? {
        switch state {
        case .scheduled: [scheduledFor, expiresAt].compactMap(\.self).min()
        case .blocked: expiresAt
        case .ready: [preferredUntil, expiresAt].compactMap(\.self).min()
        case .claimed, .running:
            [leaseExpiresAt, attemptDeadline, progressDeadline, stopDeadline].compactMap(\.self).min()
        case .waiting: waitUntil
        default: nil
        }
    }
}

/// The reasons that Reeve itself gives for setting a task aside.
public enum HoldReason {
    public static let leaseLost = "lease_lost"
    public static let poison = "poison"
    public static let exhausted = "attempts_exhausted"
    public static let permanent = "permanent_failure"
    public static let dependencyUnmet = "dependency_unmet"
    public static let budget = "budget"
    public static let noProgress = "no_progress"
    public static let rejected = "rejected"
    public static let roundsExhausted = "review_rounds_exhausted"
    public static let snoozesExhausted = "snoozes_exhausted"
}

/// Tasks of one queue that the same agents may take: so a claim never walks past tasks that it may not have.
public struct Lane: Sendable, Equatable {
    public let queue: String
    public let project: String
    public let agent: String?
    public let requires: [String]
    /// The model that its tasks ask for: while that takes no calls, the others of the queue go past them.
    public let model: String?

    /// Derived from what it stands for, so that no look-up is needed to know it.
    public var id: String {
        // Lanes of tasks that ask for no model are called what they were before there was another kind.
        let parts = [queue, project, agent ?? "", requiresText] + [model].compactMap(\.self)
        return String(Digest.sha256(parts.joined(separator: "\u{1F}")).prefix(32))
    }

    var requiresText: String { JSONValue.list(requires.sorted()).text }
}

/// One agent's hold on a task, from claim to end. Rows are added; an ended one never changes.
public struct TaskAttempt: Sendable, Equatable {
    public let taskID: TaskID
    public let number: Int64
    public let fence: Int64
    public let agent: String
    public let keyID: String
    /// The version of its bundle that it was given, or that the agent said it ran with when it claimed the task.
    public var bundle: String?
    /// Which side of a roll-out it is on.
    public var arm: TaskBundle.Arm?
    /// What the roll-out gave the new version when this began.
    public var armShare: Double?
    public var state: AttemptState
    public let claimedAt: Timestamp
    public var startedAt: Timestamp?
    public var heartbeatAt: Timestamp
    public var endedAt: Timestamp?
    public var failureClass: String?
    public var message: String?
    public var usage: TaskUsage
}

/// How an attempt ends.
struct AttemptEnd: Sendable {
    var state: AttemptState
    let message: String?
    let usage: TaskUsage
    var failureClass: String?
    /// When it began, where it begins and ends at once.
    var start: Timestamp?

    init(_ state: AttemptState, message: String? = nil, usage: TaskUsage, start: Timestamp? = nil) {
        self.state = state
        self.message = message
        self.usage = usage
        self.start = start
    }
}

/// How an attempt ends and what is told of its task then, unless somebody had asked to cancel that.
struct Ending: Sendable {
    /// The event's type.
    let type: String
    var attempt: AttemptEnd
    /// What the event says besides.
    var data = JSONObject()

    init(_ type: String, _ state: AttemptState, message: String? = nil, usage: TaskUsage, start: Timestamp? = nil) {
        self.type = type
        attempt = AttemptEnd(state, message: message, usage: usage, start: start)
    }
}

/// An edge of the graph, from the task that waits.
public struct TaskDependency: Sendable, Equatable {
    public enum State: String, Sendable {
        case pending, satisfied, unmet
    }
    public let taskID: TaskID
    public let dependsOn: TaskID
    public let ifUnmet: UnmetPolicy
    /// Whether a parked task waits for it as for a child.
    public let isChild: Bool
    public var state: State
}
