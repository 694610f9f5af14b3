import Kernel
import Telemetry

/// The metrics of agents and their work, as the guides of the trade name them.
enum FleetMetrics {
    static let heartbeat = Metric.gauge(
        "agent_last_heartbeat_timestamp_seconds",
        "When the agent was last heard of by heartbeat, in seconds since 1970; shown until it is deleted.",
        labels: ["agent", "agent_type"], open: ["agent", "agent_type"])
    static let status = Metric.gauge(
        "agent_status", "1 for the status that the agent has.", labels: ["agent", "agent_type", "status"],
        open: ["agent", "agent_type"])
    static let depth = Metric.gauge(
        "agent_queue_depth",
        "Tasks of a queue by state: unassigned (ready), leased, scheduled, blocked, waiting, in_review, held.",
        labels: ["queue", "state"], open: ["queue"])
    static let oldest = Metric.gauge(
        "agent_task_oldest_in_progress_seconds", "How long ago the task began that an agent is at for longest.",
        labels: ["task_type"], open: ["task_type"])
    static let inProgress = Metric.gauge(
        "agent_task_in_progress_seconds",
        "How long ago the task of a type began that the agent is at for longest; of the 1,000 that are so for longest.",
        labels: ["task_type", "agent"], open: ["agent", "task_type"])

    static let finished = Metric.counter(
        "agent_tasks_finished_total", "Tasks that ended: done, failed, canceled, expired, skipped.",
        labels: ["agent", "task_type", "status"], open: ["agent", "task_type"])
    static let duration = Metric.histogram(
        "agent_task_duration_seconds", "From the first start of a task to its end.", labels: ["task_type", "status"],
        open: ["task_type"])
    static let toDone = Metric.histogram(
        "agent_task_creation_to_done_seconds", "From a task's creation until it was done.", labels: ["task_type"],
        open: ["task_type"])
    static let attempts = Metric.counter(
        "agent_task_attempts_total",
        "Attempts at tasks by what came of them: started, retried, timed_out, lost, preempted, released.",
        labels: ["agent", "queue", "result"], open: ["agent", "queue"])
    static let deliverables = Metric.counter(
        "agent_deliverables_total", "Revisions of deliverables that were sealed.", labels: ["agent"], open: ["agent"])
    static let submissions = Metric.counter(
        "agent_submissions_total", "Tasks that were handed in for review.", labels: ["agent"], open: ["agent"])
    static let reviews = Metric.counter(
        "agent_reviews_total", "Verdicts of reviewers: approve, changes, reject.", labels: ["agent", "verdict"],
        open: ["agent"])
    static let working = Metric.counter(
        "agent_working_seconds_total", "For how long the agent had at least one task under lease.",
        labels: ["agent"], open: ["agent"])

    static let downstream = Metric.counter(
        "agent_downstream_failures_total",
        "Tasks that failed or were skipped, by the agent and the type of the task above them that they began from.",
        labels: ["agent", "task_type"], open: ["agent", "task_type"])

    static let all = [
        heartbeat, status, depth, oldest, inProgress, finished, downstream, duration, toDone, attempts, deliverables,
        submissions,
        reviews, working,
    ]

    /// From a moment to a week.
    static let durationBounds: [Double] = [
        1, 5, 15, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 604_800,
    ]

    /// Events of attempts, and what they are counted as.
    static let results = [
        "task.started": "started", "task.retry_scheduled": "retried", "task.timed_out": "timed_out",
        "task.lease_lost": "lost", "task.preempted": "preempted", "task.released": "released",
    ]
}

/// What an agent of the registry is, as far as metrics go.
public struct RosterEntry: Sendable {
    public let name: String
    /// Its label `type`; empty where it has none.
    public let type: String
    public let status: AgentStatus
    public let lastHeartbeatAt: Timestamp?
}

/// The task of a type that an agent is at for longest.
struct OldestTask: Sendable {
    let type: String
    let agent: String
    let since: Timestamp
}

/// What is known of a task that ended, as far as metrics go.
struct FinishedTask: Sendable {
    let id: String
    let type: String
    let state: TaskState
    let agent: String
    let createdAt: Timestamp
    let startedAt: Timestamp?
    let finishedAt: Timestamp
}
