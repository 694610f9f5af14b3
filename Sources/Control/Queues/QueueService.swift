import Kernel

/// Rules of queues and projects: they pause, go on and share; pauses keep their reason and survive a restart.
public struct QueueService: Sendable {
    private let store = QueueStore()
    private let events: Events
    private let audit: AuditService
    private let world: World
    /// Told after a queue opens up, so that waiting claims look again.
    private let wakeups: Wakeups
    /// Says which models there are; `nil` where nobody knows.
    private let models: (any TaskModels)?

    public init(
        events: Events, audit: AuditService, models: (any TaskModels)? = nil, wakeups: Wakeups, world: World
    ) {
        self.models = models
        self.events = events
        self.audit = audit
        self.wakeups = wakeups
        self.world = world
    }

    /// Makes what a new task names.
    func ensure(queue: String, project: String, in transaction: Transaction) throws {
        try store.ensureQueue(queue, now: world.now, in: transaction)
        try store.ensureProject(project, now: world.now, in: transaction)
    }

    public func queue(_ name: String, in transaction: Transaction) throws -> Queue? {
        try store.queue(name, in: transaction)
    }

    public func project(_ name: String, in transaction: Transaction) throws -> Project? {
        try store.project(name, in: transaction)
    }

    public func queues(page: Page, in transaction: Transaction) throws -> [Queue] {
        try store.queues(page: page, in: transaction)
    }

    public func projects(page: Page, in transaction: Transaction) throws -> [Project] {
        try store.projects(page: page, in: transaction)
    }

    /// Stops handing out a queue's tasks; those that run go on. An unknown queue is made, so that it can be stopped
    /// before its first task.
    public func setPause(
        queue name: String, reason: String?, by principal: Principal, in transaction: Transaction
    ) throws -> Queue {
        try store.ensureQueue(name, now: world.now, in: transaction)
        guard var queue = try store.queue(name, in: transaction) else { throw Problem.notFound("queue", name) }
        guard (queue.pause == nil) != (reason == nil) else { return queue }
        queue.pause = reason.map { Pause(at: world.now, reason: $0, actor: principal.actor) }
        try store.save(queue, in: transaction)
        try tell(queue.pause, of: "queue", name, project: nil, by: principal, in: transaction)
        return try store.queue(name, in: transaction) ?? queue
    }

    public func setPause(
        project name: String, reason: String?, by principal: Principal, in transaction: Transaction
    ) throws -> Project {
        try store.ensureProject(name, now: world.now, in: transaction)
        guard var project = try store.project(name, in: transaction) else { throw Problem.notFound("project", name) }
        guard (project.pause == nil) != (reason == nil) else { return project }
        project.pause = reason.map { Pause(at: world.now, reason: $0, actor: principal.actor) }
        try store.save(project, in: transaction)
        try tell(project.pause, of: "project", name, project: name, by: principal, in: transaction)
        return project
    }

    private func tell(
        _ pause: Pause?, of noun: String, _ name: String, project: String?, by principal: Principal,
        in transaction: Transaction
    ) throws {
        let type = pause == nil ? "\(noun).resumed" : "\(noun).paused"
        let data: JSONValue = [noun: .string(name), "reason": .of(pause?.reason)]
        try events.append(EventDraft(type, actor: principal.actor, project: project, data: data), in: transaction)
        try audit.record(type, by: principal, target: "\(noun):\(name)", detail: data, in: transaction)
        if pause == nil {
            let wakeups = wakeups
            transaction.afterCommit { wakeups.wakeAll() }
        }
    }

    /// Sets how many tasks of a queue may be leased at once; `nil` lifts the limit.
    public func setConcurrency(
        _ concurrency: Int64?, queue name: String, ifMatch: String?, by principal: Principal,
        in transaction: Transaction
    ) throws -> Queue {
        try store.ensureQueue(name, now: world.now, in: transaction)
        guard var queue = try store.queue(name, in: transaction) else { throw Problem.notFound("queue", name) }
        try EntityTag.check(ifMatch, against: queue.etag, of: "the queue \"\(name)\"")
        queue.concurrency = concurrency
        try store.save(queue, in: transaction)
        let data: JSONValue = ["queue": .string(name), "concurrency": .of(concurrency)]
        try events.append(EventDraft("queue.changed", actor: principal.actor, data: data), in: transaction)
        try audit.record("queue.changed", by: principal, target: "queue:\(name)", detail: data, in: transaction)
        let wakeups = wakeups
        transaction.afterCommit { wakeups.wakeAll() }
        return try store.queue(name, in: transaction) ?? queue
    }

    /// Sets the model that tasks ask for which are made in the queue from now on and do not say; `nil` for none.
    public func setModel(
        _ model: String?, queue name: String, ifMatch: String?, by principal: Principal, in transaction: Transaction
    ) throws -> Queue {
        if let model { try models?.check(model, path: "model") }
        try store.ensureQueue(name, now: world.now, in: transaction)
        guard var queue = try store.queue(name, in: transaction) else { throw Problem.notFound("queue", name) }
        try EntityTag.check(ifMatch, against: queue.etag, of: "the queue \"\(name)\"")
        queue.model = model
        try store.save(queue, in: transaction)
        let data: JSONValue = ["queue": .string(name), "model": .of(model)]
        try events.append(EventDraft("queue.changed", actor: principal.actor, data: data), in: transaction)
        try audit.record("queue.changed", by: principal, target: "queue:\(name)", detail: data, in: transaction)
        return try store.queue(name, in: transaction) ?? queue
    }

    /// Sets a project's share of the queues that it has tasks in.
    public func setWeight(
        _ weight: Double, project name: String, by principal: Principal, in transaction: Transaction
    ) throws -> Project {
        try store.ensureProject(name, now: world.now, in: transaction)
        guard var project = try store.project(name, in: transaction) else { throw Problem.notFound("project", name) }
        project.weight = weight
        try store.save(project, in: transaction)
        let data: JSONValue = ["project": .string(name), "weight": .double(weight)]
        try events.append(
            EventDraft("project.changed", actor: principal.actor, project: name, data: data), in: transaction)
        try audit.record("project.changed", by: principal, target: "project:\(name)", detail: data, in: transaction)
        return project
    }
}

extension Queue {
    public var etag: String { "\"\(revision)\"" }
}
