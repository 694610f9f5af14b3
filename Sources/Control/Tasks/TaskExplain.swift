import Kernel

/// Why a task is not running: every condition that is not met, and who can lift it.
public struct TaskExplanation: Sendable {
    public struct Condition: Sendable {
        public let code: String
        public let detail: String
        public let taskID: TaskID?
        public let liftedBy: String
    }

    public let state: TaskState
    public let unmet: [Condition]

    /// Whether the next claim by an agent that may would get it.
    public var isClaimable: Bool { state == .ready && unmet.isEmpty }
}

extension TaskExplanation: JSONConvertible {
    public var json: JSONValue {
        [
            "state": .string(state.rawValue), "claimable": .bool(isClaimable),
            "unmet": .array(
                unmet.map { condition in
                    var object = JSONObject()
                    object["code"] = .string(condition.code)
                    object["detail"] = .string(condition.detail)
                    if let id = condition.taskID { object["taskId"] = id.json }
                    object["liftedBy"] = .string(condition.liftedBy)
                    return .object(object)
                }),
        ]
    }
}

extension TaskService {
    /// Lists the conditions in the order in which they would have to be met.
    public func explain(_ id: String, in transaction: Transaction) throws -> TaskExplanation {
        let task = try task(id, in: transaction)
        guard !task.state.isTerminal else { return TaskExplanation(state: task.state, unmet: []) }
        var unmet = try stateConditions(task, in: transaction)
        for hold in try store.holds(on: task.id, in: transaction) {
            unmet.append(
                .init(
                    code: hold.hold, detail: "\(hold.actor): \(hold.reason)", taskID: nil,
                    liftedBy: hold.hold == TaskHold.concurrencyKey.rawValue
                        ? "the end of the task that goes first" : "an operator: POST /api/v1/tasks/\(task.id)/resume"))
        }
        if !task.state.isLeased, task.state != .inReview { unmet += try queueConditions(task, in: transaction) }
        return TaskExplanation(state: task.state, unmet: unmet)
    }

    private func stateConditions(_ task: AgentTask, in transaction: Transaction) throws -> [TaskExplanation.Condition] {
        let path = "/api/v1/tasks/\(task.id)"
        switch task.state {
        case .blocked:
            return try store.dependencies(of: task.id, in: transaction).filter { $0.state == .pending }.map { edge in
                let parent = try store.task(edge.dependsOn, in: transaction)
                let standing = parent.map { "\"\($0.title)\" is \($0.state.rawValue)" } ?? "it is gone"
                return .init(
                    code: "dependency", detail: standing, taskID: edge.dependsOn, liftedBy: "the end of that task")
            }
        case .scheduled:
            let time = task.scheduledFor?.rfc3339 ?? "a later time"
            return [
                .init(
                    code: "schedule", detail: "not before \(time) (\(task.reason ?? "as created"))", taskID: nil,
                    liftedBy: "the clock")
            ]
        case .held:
            let edges = try store.dependencies(of: task.id, in: transaction).filter { $0.state == .unmet }
            return [
                .init(
                    code: "held", detail: task.reason ?? "set aside", taskID: edges.first?.dependsOn,
                    liftedBy: "an operator: POST \(path)/retry")
            ]
        case .waiting:
            let kind = task.wait["kind"]?.string ?? "an answer"
            return [
                .init(
                    code: "waiting", detail: "parked for \(kind)", taskID: nil,
                    liftedBy: task.waitUntil == nil ? "POST \(path)/resume" : "POST \(path)/resume, or the clock")
            ]
        case .inReview:
            return [
                .init(code: "review", detail: "submitted", taskID: nil, liftedBy: "a reviewer: POST \(path)/review")
            ]
        case .claimed, .running:
            return [
                .init(
                    code: "leased", detail: "\(task.owner ?? "an agent") works on it", taskID: nil,
                    liftedBy: "its agent, or the end of its lease")
            ]
        default: return []
        }
    }

    /// The model that it asks for takes no calls, or is just coming back.
    private func modelCondition(_ task: AgentTask) -> TaskExplanation.Condition? {
        guard let name = task.model, let standing = models?.standing(of: name) else { return nil }
        let lifted = "its recovery, or an operator: POST /api/v1/models/\(standing.model)/reset"
        switch standing.state {
        case .normal: return nil
        case .outage:
            let since = standing.since.map { " since \($0.rfc3339)" } ?? ""
            return .init(
                code: "model_outage",
                detail: "it waits for the model \(standing.model), none of whose targets takes calls\(since)",
                taskID: nil, liftedBy: lifted)
        case .paused:
            return .init(
                code: "model_paused",
                detail: "a containment holds back the tasks of the model \(standing.model)", taskID: nil,
                liftedBy: "taking the containment back: POST /api/v1/containments/{id}/reverse")
        case .ramping:
            let share = Int((standing.share * 100).rounded())
            return .init(
                code: "model_ramp",
                detail:
                    "the model \(standing.model) is coming back: \(share) % of the claims of its tasks are let through",
                taskID: nil, liftedBy: lifted)
        }
    }

    private func queueConditions(_ task: AgentTask, in transaction: Transaction) throws -> [TaskExplanation.Condition] {
        var unmet: [TaskExplanation.Condition] = []
        if let queue = try queues.queue(task.queue, in: transaction) {
            if let pause = queue.pause {
                unmet.append(
                    .init(
                        code: TaskHold.pausedQueue.rawValue, detail: "\(pause.actor): \(pause.reason)", taskID: nil,
                        liftedBy: "an operator: POST /api/v1/queues/\(task.queue)/resume"))
            }
            if let concurrency = queue.concurrency {
                let leased = try store.leasedCount(queue: task.queue, in: transaction)
                if leased >= concurrency {
                    unmet.append(
                        .init(
                            code: "queue_concurrency",
                            detail: "\(leased) of \(concurrency) tasks of the queue run", taskID: nil,
                            liftedBy: "the end of one of them, or PATCH /api/v1/queues/\(task.queue)"))
                }
            }
        }
        if let pause = try queues.project(task.project, in: transaction)?.pause {
            unmet.append(
                .init(
                    code: TaskHold.pausedProject.rawValue, detail: "\(pause.actor): \(pause.reason)", taskID: nil,
                    liftedBy: "an operator: POST /api/v1/projects/\(task.project)/resume"))
        }
        if task.state == .ready, let wait = modelCondition(task) { unmet.append(wait) }
        let able = try agents.eligible(requires: task.requires, pinned: task.pinnedAgent, in: transaction)
        if !able.contains(where: { $0.refusal == nil }) {
            let wanted = task.pinnedAgent.map { "the agent \"\($0)\"" } ?? "any agent"
            let needs = task.requires.isEmpty ? "" : " with \(task.requires.joined(separator: ", "))"
            unmet.append(
                .init(
                    code: "no_eligible_agent", detail: "it is for \(wanted)\(needs), and none such is at work",
                    taskID: nil, liftedBy: "an agent that comes, or POST /api/v1/tasks/\(task.id)/reassign"))
        }
        return unmet
    }
}
