import Kernel

/// Where a task is. Holds, attempts and requests to stop are kept apart from it: folding them into one word is how
/// control planes lose track.
public enum TaskState: String, Sendable, CaseIterable {
    /// Not before a time: created so, backing off, or snoozed.
    case scheduled
    /// Waits for tasks it depends on.
    case blocked
    /// May be claimed, unless something holds it.
    case ready
    /// Leased to an agent that has not written yet.
    case claimed
    /// Leased to an agent that works on it.
    case running
    /// Parked by its agent, without lease or slot: for input, an approval, a child, a timer or an event.
    case waiting
    /// Submitted; a reviewer decides.
    case inReview = "in_review"
    /// Set aside with its reason until an operator decides; nothing is lost.
    case held
    case done
    case failed
    case canceled
    /// Its time to start passed before anyone began.
    case expired
    /// What it depended on did not come about, and it was to be left out then.
    case skipped

    /// Whether the task has ended for good; what follows is a new task.
    public var isTerminal: Bool {
        switch self {
        case .done, .failed, .canceled, .expired, .skipped: true
        default: false
        }
    }

    /// Whether an agent has a lease on it.
    public var isLeased: Bool { self == .claimed || self == .running }

    /// The verbs that the state takes, told to those who sent another one.
    public var allowedVerbs: [String] {
        switch self {
        case .ready: ["claim", "cancel", "hold", "resume", "reassign"]
        case .scheduled, .blocked: ["cancel", "hold", "resume", "reassign"]
        case .claimed, .running:
            [
                "heartbeat", "deliverables", "submit", "complete", "fail", "release", "park", "cancel", "hold",
                "resume",
                "reassign",
            ]
        case .waiting: ["resume", "cancel", "hold", "reassign"]
        case .inReview: ["review", "cancel", "hold", "resume"]
        case .held: ["retry", "cancel", "hold", "resume", "reassign"]
        case .failed, .canceled, .expired, .skipped: ["retry"]
        case .done: []
        }
    }
}

/// What keeps a ready task from being claimed without changing its state, so that lifting it resumes exactly.
public enum TaskHold: String, Sendable, CaseIterable {
    case pausedTask = "paused_task"
    case pausedQueue = "paused_queue"
    case pausedProject = "paused_project"
    case budget
    case rate
    case concurrencyKey = "concurrency_key"
    case versionPending = "version_pending"
    case breaker
    case incident
}

/// What becomes of a task when its worker is lost.
public enum LeaseLostPolicy: String, Sendable, CaseIterable {
    /// Another agent takes it up.
    case retry
    /// A person looks first: for work with effects outside that must not happen twice.
    case hold
    case fail
}

/// What becomes of a task whose attempts are used up.
public enum ExhaustedPolicy: String, Sendable, CaseIterable {
    case hold
    case fail
}

/// What becomes of a task when one that it depends on ends in another way than done.
public enum UnmetPolicy: String, Sendable, CaseIterable {
    case hold
    case skip
    case fail
    /// Runs all the same.
    case run
}

/// What an agent says of a failure.
public enum FailureClass: String, Sendable, CaseIterable {
    /// Another try may do better.
    case retryable
    /// Another try would fail alike.
    case permanent
    /// A provider is to blame: tried again later, and not counted against the task.
    case provider
}

/// Why a task waits without a lease.
public enum WaitKind: String, Sendable, CaseIterable {
    case input, approval, auth, child, event, timer
}

/// How an attempt stands or ended.
public enum AttemptState: String, Sendable, CaseIterable {
    case claimed, running, succeeded, failed, lost, released, preempted, canceled, parked
    case timedOut = "timed_out"
    case lateSucceeded = "late_succeeded"
}

/// Who must approve before a task is done.
public struct ReviewPolicy: Sendable, Equatable {
    /// Different reviewers that must approve the same content.
    public var approvals = 1
    /// Requests for changes before the task is set aside; `nil` takes the setting.
    public var roundsMax: Int?
}

/// What a task may use in all its attempts together. `nil` is no limit.
public struct TaskBudget: Sendable, Equatable {
    /// Nano-dollars (1 USD = 1,000,000,000).
    public var nanoUSD: Int64?
    /// Input and output tokens together.
    public var tokens: Int64?
    public var toolCalls: Int64?
    public var steps: Int64?
    public var time: Span?
}

/// What an attempt, or a task in all its attempts, has used.
public struct TaskUsage: Sendable, Equatable {
    public var inputTokens: Int64 = 0
    public var outputTokens: Int64 = 0
    public var nanoUSD: Int64 = 0
    public var toolCalls: Int64 = 0
    public var steps: Int64 = 0

    public init(
        inputTokens: Int64 = 0, outputTokens: Int64 = 0, nanoUSD: Int64 = 0, toolCalls: Int64 = 0, steps: Int64 = 0
    ) {
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.nanoUSD = nanoUSD
        self.toolCalls = toolCalls
        self.steps = steps
    }

    /// What agents say of themselves may be any number: sums saturate and never trap.
    public static func + (left: TaskUsage, right: TaskUsage) -> TaskUsage {
        func sum(_ part: KeyPath<TaskUsage, Int64>) -> Int64 {
            let (sum, isOver) = left[keyPath: part].addingReportingOverflow(right[keyPath: part])
            return isOver ? (left[keyPath: part] < 0 ? .min : .max) : sum
        }
        return TaskUsage(
            inputTokens: sum(\.inputTokens), outputTokens: sum(\.outputTokens), nanoUSD: sum(\.nanoUSD),
            toolCalls: sum(\.toolCalls), steps: sum(\.steps))
    }

    /// The larger of each: reports are totals of the attempt, so a late or repeated one changes nothing.
    func raised(to other: TaskUsage) -> TaskUsage {
        TaskUsage(
            inputTokens: max(inputTokens, other.inputTokens), outputTokens: max(outputTokens, other.outputTokens),
            nanoUSD: max(nanoUSD, other.nanoUSD), toolCalls: max(toolCalls, other.toolCalls),
            steps: max(steps, other.steps))
    }
}

extension TaskBudget {
    /// The first limit that the usage has passed, by its name in the interface.
    func exceeded(by usage: TaskUsage) -> String? {
        if let nanoUSD, usage.nanoUSD > nanoUSD { return "usd" }
        if let tokens, usage.inputTokens + usage.outputTokens > tokens { return "tokens" }
        if let toolCalls, usage.toolCalls > toolCalls { return "toolCalls" }
        if let steps, usage.steps > steps { return "steps" }
        return nil
    }

    /// Whether four fifths of a limit are used: time to wrap up.
    func isNearlyUsed(by usage: TaskUsage) -> Bool {
        func isNear(_ used: Int64, _ limit: Int64?) -> Bool { limit.map { Double(used) >= 0.8 * Double($0) } ?? false }
        return isNear(usage.nanoUSD, nanoUSD) || isNear(usage.inputTokens + usage.outputTokens, tokens)
            || isNear(usage.toolCalls, toolCalls) || isNear(usage.steps, steps)
    }

    /// What is left of each limit, for the heartbeat's reply.
    func remaining(after usage: TaskUsage) -> JSONValue {
        var object = JSONObject()
        if let nanoUSD { object["usd"] = BudgetLimit.dollars(max(0, nanoUSD - usage.nanoUSD)) }
        if let tokens { object["tokens"] = .int(max(0, tokens - usage.inputTokens - usage.outputTokens)) }
        if let toolCalls { object["toolCalls"] = .int(max(0, toolCalls - usage.toolCalls)) }
        if let steps { object["steps"] = .int(max(0, steps - usage.steps)) }
        return .object(object)
    }
}
