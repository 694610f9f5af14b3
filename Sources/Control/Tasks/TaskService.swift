import Kernel

/// Rules of tasks: every verb is one transaction, checks before it changes, and leaves one event for each task that it
/// moved. This file makes tasks and settles what depends on them; workers' verbs are in `TaskWork.swift`, operators' in
/// `TaskOperations.swift`, the clock's in `TaskSweep.swift`.
public struct TaskService: Sendable {
    public let store: TaskStore
    public let deliverables = DeliverableStore()
    let journal: TaskJournal
    let queues: QueueService
    let agents: AgentService
    let audit: AuditService
    /// What is known of the models that tasks ask for; `nil` where there is no gateway.
    let models: (any TaskModels)?
    /// Which versions of bundles tasks are given to, while one is rolled out.
    let bundles: any TaskBundles
    let policy: TaskPolicy
    let limits: Limits
    let world: World
    /// When this server began: leases from before get the failover grace.
    let startedAt: Timestamp
    /// Whether leases that an earlier start put off were looked at by this one.
    let hasRevisedLeases = DoneFlag()

    public init(
        store: TaskStore, queues: QueueService, agents: AgentService, audit: AuditService,
        caps: (any TaskCaps)? = nil, models: (any TaskModels)? = nil, spans: TaskSpans? = nil,
        bundles: any TaskBundles = BundleTrialArms(), events: Events, wakeups: Wakeups,
        policy: TaskPolicy, limits: Limits, world: World
    ) {
        self.models = models
        self.bundles = bundles
        self.limits = limits
        self.store = store
        self.queues = queues
        self.agents = agents
        self.audit = audit
        self.policy = policy
        self.world = world
        startedAt = world.now
        journal = TaskJournal(
            store: store, events: events, agents: agents, caps: caps, spans: spans, wakeups: wakeups, world: world)
    }

    // MARK: Creation

    /// 1: makes a task. One with the same `uniqueKey` that still lives is returned in its stead, with `isNew` false.
    public func create(
        _ draft: TaskDraft, by principal: Principal, from caller: TaskCaller, in transaction: Transaction
    ) throws -> (task: AgentTask, isNew: Bool) {
        if let existing = try existing(draft, in: transaction) { return (existing, false) }
        try checkModel(of: draft)
        let edges = try draft.dependsOn.map { dependency in
            (dependency, try parent(dependency, in: transaction))
        }
        let task = try insert(
            draft, id: TaskID(world), edges: edges, by: principal, from: caller, in: transaction)
        return (task, true)
    }

    /// Makes a graph of tasks, all or none. Tasks name each other by `ref`; order does not matter.
    public func createGraph(
        _ drafts: [TaskDraft], by principal: Principal, from caller: TaskCaller, in transaction: Transaction
    ) throws -> [AgentTask] {
        let order = try TaskGraph.order(drafts)
        var byRef: [String: AgentTask] = [:]
        var byIndex: [Int: AgentTask] = [:]
        for index in order {
            let draft = drafts[index]
            if let existing = try existing(draft, in: transaction) {
                byIndex[index] = existing
            } else {
                try checkModel(of: draft)
                let edges = try draft.dependsOn.map { dependency in
                    (dependency, try byRef[dependency.name] ?? parent(dependency, in: transaction))
                }
                byIndex[index] = try insert(
                    draft, id: TaskID(world), edges: edges, by: principal, from: caller, in: transaction)
            }
            if let ref = draft.ref, let task = byIndex[index] { byRef[ref] = task }
        }
        return drafts.indices.compactMap { byIndex[$0] }
    }

    /// Refuses a model that nobody has, before its agent asks for it in vain.
    func checkModel(of draft: TaskDraft) throws {
        if let model = draft.model { try models?.check(model, path: "model") }
    }

    private func existing(_ draft: TaskDraft, in transaction: Transaction) throws -> AgentTask? {
        guard let key = draft.uniqueKey else { return nil }
        return try store.live(uniqueKey: key, project: draft.project, in: transaction)
    }

    private func parent(_ dependency: TaskDraft.Dependency, in transaction: Transaction) throws -> AgentTask {
        guard let id = TaskID(dependency.name), let parent = try store.task(id, in: transaction) else {
            throw Problem.invalid(
                dependency.path, "there is no task \"\(dependency.name.prefix(80))\"",
                hint: "Name a task's id, or in a graph the ref of one of its tasks.")
        }
        return parent
    }

    func insert(
        _ draft: TaskDraft, id: TaskID, edges: [(TaskDraft.Dependency, AgentTask)], by principal: Principal,
        from caller: TaskCaller, supersedes: TaskID? = nil, in transaction: Transaction
    ) throws -> AgentTask {
        let now = world.now
        try queues.ensure(queue: draft.queue, project: draft.project, in: transaction)
        var draft = draft
        if draft.model == nil {
            draft.model =
                try models?.model(ofType: draft.type) ?? queues.queue(draft.queue, in: transaction)?.model
        }
        let dependencies = edges.map { edge, parent in
            TaskDependency(
                taskID: id, dependsOn: parent.id, ifUnmet: edge.ifUnmet, isChild: false,
                state: parent.state == .done ? .satisfied : .pending)
        }
        for dependency in dependencies { try store.insert(dependency, in: transaction) }
        let pending = dependencies.count { $0.state == .pending }
        let place = TaskPlace(draft, id, caller, parent: edges.first?.1) { journal.spans?.correlationID(of: $0) }
        var task = draft.task(id, pending: pending, by: principal, in: place, supersedes: supersedes, now: now)
        var data = JSONObject()
        if !dependencies.isEmpty { data["dependsOn"] = .list(dependencies.map(\.dependsOn)) }
        if let supersedes { data["supersedes"] = supersedes.json }
        try journal.keep(&task, from: nil, "task.created", by: principal.actor, data, in: transaction)
        if place.isRoot { journal.spans?.created(task, at: now, in: transaction) }
        // A parent may have ended otherwise than done already: then its edge is settled at once.
        for (_, parent) in edges where parent.state.isTerminal && parent.state != .done {
            try conclude(parent, in: transaction)
        }
        return task.state == .blocked ? try store.task(id, in: transaction) ?? task : task
    }

    // MARK: Dependencies

    /// 3, 4: settles every edge that leads to a task that has ended, and what follows from that, in the same
    /// transaction. Works through a list, as a chain of skipped tasks may be long.
    ///
    /// - Parameter known: the pending edges that lead to the task, where they were read before.
    func conclude(_ ended: AgentTask, known: [TaskDependency]? = nil, in transaction: Transaction) throws {
        var worklist = [(ended, known)]
        while let (parent, known) = worklist.popLast() {
            for edge in try known ?? store.dependents(on: parent.id, in: transaction) {
                let isMet = parent.state == .done || edge.ifUnmet == .run || edge.isChild
                try store.setState(isMet ? .satisfied : .unmet, of: edge, in: transaction)
                guard let child = try store.live(edge.taskID, in: transaction) else { continue }
                if edge.isChild {
                    try settleChild(of: child, in: transaction)
                } else if let ended = try settle(child, edge, parent, isMet: isMet, in: transaction) {
                    worklist.append((ended, nil))
                }
            }
        }
    }

    /// Applies one settled edge to the task that waited for it; returns that task where it ended by it.
    private func settle(
        _ child: AgentTask, _ edge: TaskDependency, _ parent: AgentTask, isMet: Bool, in transaction: Transaction
    ) throws -> AgentTask? {
        guard child.state == .blocked else { return nil }
        var task = child
        var data = JSONObject()
        data["dependency"] = parent.id.json
        if isMet {
            task.pendingDependencies -= 1
            guard task.pendingDependencies == 0 else {
                try store.save(&task, in: transaction)
                return nil
            }
            task.enqueue(now: world.now)
            try journal.keep(&task, from: child, "task.unblocked", by: Principal.system.actor, data, in: transaction)
            return nil
        }
        switch edge.ifUnmet {
        case .hold, .run: task.hold(HoldReason.dependencyUnmet, now: world.now)
        case .skip: task.finish(.skipped, reason: HoldReason.dependencyUnmet, now: world.now)
        case .fail: task.finish(.failed, reason: HoldReason.dependencyUnmet, now: world.now)
        }
        data["dependencyState"] = .string(parent.state.rawValue)
        try journal.keep(
            &task, from: child, "task.\(task.state.rawValue)", by: Principal.system.actor, data, in: transaction)
        return task.state.isTerminal ? task : nil
    }

    /// 10: a parked task goes on once the last of the children that it waits for has ended. A child of an earlier wait,
    /// which somebody answered, says nothing about this one.
    private func settleChild(of waiting: AgentTask, in transaction: Transaction) throws {
        guard waiting.state == .waiting, let ids = waiting.wait["tasks"]?.array else { return }
        let wanted = Set(ids.compactMap(\.string))
        let children = try store.dependencies(of: waiting.id, in: transaction)
            .filter { $0.isChild && wanted.contains($0.dependsOn.text) }
        guard !children.contains(where: { $0.state == .pending }) else { return }
        let ended = try children.compactMap { try store.task($0.dependsOn, in: transaction) }
        let answer: JSONValue = .array(
            ended.map { ["id": $0.id.json, "state": .string($0.state.rawValue), "output": $0.output] })
        var task = waiting
        task.resolveWait(answer: answer, policy: policy, now: world.now)
        try journal.keep(&task, from: waiting, "task.resumed", by: Principal.system.actor, in: transaction)
    }

    // MARK: Looking

    /// Which agent has which task by a live claim.
    public func leased(
        limit: Int, in transaction: Transaction
    ) throws -> [LeasedTask] {
        try store.leasedOwners(limit: limit, in: transaction)
    }

    /// Those of the tasks that have ended.
    func finished(_ ids: [String], in transaction: Transaction) throws -> [FinishedTask] {
        try store.finished(ids, in: transaction)
    }

    /// Where the failures of these began, as far as they depend on others; see ``TaskRoots``.
    func roots(of spoilt: [FinishedTask], in transaction: Transaction) throws -> [FinishedTask] {
        try TaskRoots(of: spoilt, store, in: transaction).downstream
    }

    public func task(_ id: String, in transaction: Transaction) throws -> AgentTask {
        guard let taskID = TaskID(id), let task = try store.task(taskID, in: transaction) else {
            throw Problem.notFound("task", id)
        }
        return task
    }
}

/// The order of a graph's tasks.
enum TaskGraph {
    /// Indexes with every task behind those it depends on; throws on a repeated or unknown ref and on a cycle.
    static func order(_ drafts: [TaskDraft]) throws -> [Int] {
        var indexes: [String: Int] = [:]
        for (index, draft) in drafts.enumerated() {
            guard let ref = draft.ref else { continue }
            guard indexes.updateValue(index, forKey: ref) == nil else {
                throw Problem.invalid("tasks/\(index)/ref", "\"\(ref)\" names two tasks of the graph")
            }
        }
        var waitsFor = drafts.map { _ in 0 }
        var leadsTo: [[Int]] = drafts.map { _ in [] }
        for (index, draft) in drafts.enumerated() {
            for dependency in draft.dependsOn {
                if let parent = indexes[dependency.name] {
                    waitsFor[index] += 1
                    leadsTo[parent].append(index)
                } else if TaskID(dependency.name) == nil {
                    throw Problem.invalid(
                        dependency.path, "there is no task with the ref \"\(dependency.name.prefix(80))\"",
                        hint: "Give one of the graph's tasks this ref, or name a task's id.")
                }
            }
        }
        var order = drafts.indices.filter { waitsFor[$0] == 0 }
        var position = 0
        while position < order.count {
            for child in leadsTo[order[position]] {
                waitsFor[child] -= 1
                if waitsFor[child] == 0 { order.append(child) }
            }
            position += 1
        }
        guard order.count == drafts.count else {
            let stuck = drafts.indices.filter { waitsFor[$0] > 0 }.compactMap { drafts[$0].ref }.prefix(10)
            throw Problem.invalid(
                "tasks", "the graph has a cycle through: \(stuck.joined(separator: ", "))",
                hint: "Remove one of the dependencies that close the circle.")
        }
        return order
    }
}
