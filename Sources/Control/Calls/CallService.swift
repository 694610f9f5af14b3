import Kernel

/// What agents run with, told by the agents' registry.
public protocol AgentBundles: Sendable {
    /// The version that each of the agents said last, where it said any.
    func bundles(of agents: [String], in transaction: Transaction) throws -> [String: String]
    /// The version that the newest attempt of each of the tasks runs with, where that is known.
    func bundles(ofTasks tasks: [String], in transaction: Transaction) throws -> [String: String]
}

extension AgentBundles {
    public func bundles(ofTasks tasks: [String], in transaction: Transaction) throws -> [String: String] { [:] }
}

/// What agents run with as the registry has it, and their tasks as the claims said.
public struct FleetBundles: AgentBundles {
    private let agents: any AgentBundles
    private let attempts: any TaskAttempts

    public init(agents: any AgentBundles, attempts: any TaskAttempts) {
        (self.agents, self.attempts) = (agents, attempts)
    }

    public func bundles(of agents: [String], in transaction: Transaction) throws -> [String: String] {
        try self.agents.bundles(of: agents, in: transaction)
    }

    public func bundles(ofTasks tasks: [String], in transaction: Transaction) throws -> [String: String] {
        try attempts.bundles(ofTasks: tasks, in: transaction)
    }
}

/// Rules of calls: what is kept of them, who sees them, how long they stay, and what they cost by a later price.
public struct CallService: Sendable {
    /// Calls forgotten in one commit.
    static let purgeMax = 500

    let store = CallStore()
    let costs = CostStore()
    let events: Events
    let audit: AuditService
    let world: World
    private let live: any LiveCalls
    private let bundles: (any AgentBundles)?
    private let retention: Span
    private let callers = CallerMemory()

    /// - Parameters:
    ///   - live: the calls that only memory knows.
    ///   - bundles: who knows what agents run with.
    public init(
        live: any LiveCalls = NoLiveCalls(), bundles: (any AgentBundles)? = nil, retentionDays: Int, events: Events,
        audit: AuditService, world: World
    ) {
        self.live = live
        self.bundles = bundles
        self.events = events
        self.audit = audit
        self.world = world
        retention = .hours(24 * Int64(retentionDays))
    }

    // MARK: Keeping

    /// Keeps calls that have ended in the caller's transaction, so that the money which is booked there and its records
    /// stand or fall together. A call that is kept already changes nothing. Returns how many are new.
    @discardableResult
    public func record(_ calls: [Call], areNew: Bool = false, in transaction: Transaction) throws -> Int {
        try store.insert(named(calls, in: transaction), areNew: areNew, memory: callers, in: transaction)
    }

    /// The calls with what their tasks were given to run with, or else what their agents said last that they run with.
    /// Read once a commit for each.
    private func named(_ calls: [Call], in transaction: Transaction) throws -> [Call] {
        let agents = Set(calls.compactMap { $0.bundle == nil ? $0.agent : nil })
        guard let bundles, !agents.isEmpty else { return calls }
        let known = try bundles.bundles(of: agents.sorted(), in: transaction)
        let tasks = Set(calls.compactMap { $0.bundle == nil ? $0.taskID : nil })
        let given = tasks.isEmpty ? [:] : try bundles.bundles(ofTasks: tasks.sorted(), in: transaction)
        guard !known.isEmpty || !given.isEmpty else { return calls }
        return calls.map { call in
            var named = call
            if named.bundle == nil {
                named.bundle = call.taskID.flatMap { given[$0] } ?? call.agent.flatMap { known[$0] }
            }
            return named
        }
    }

    /// The same for calls that a killed process left, before there is a service.
    public static func recordLate(_ calls: [Call], in transaction: Transaction) throws {
        _ = try CallStore().insert(calls, in: transaction)
    }

    /// Adds what became known of a call later to its decision record. `false` where no such call is kept.
    public func note(_ name: String, _ value: JSONValue, of id: String, in transaction: Transaction) throws -> Bool {
        guard let id = Identifier<Call>(id), let call = try store.call(id, in: transaction) else { return false }
        var decision = call.decision.object ?? JSONObject()
        decision[name] = value
        let grown = Call.document(.object(decision), bytes: CallBounds.decisionBytes)
        // A record that is full stays as it is.
        if grown == .object(decision) { try store.setDecision(grown, of: id, in: transaction) }
        return true
    }

    /// Calls that have a text somewhere.
    public func count(having text: String, in transaction: Transaction) throws -> Int64 {
        try store.count(having: text, in: transaction)
    }

    /// Forgets calls that are older than the retention; sums over them stay. Returns how many, at most
    /// ``purgeMax``.
    public func purge(in transaction: Transaction) throws -> Int {
        try store.purge(before: world.now - retention, limit: Self.purgeMax, in: transaction)
    }

    /// Forgets who has not called for ``callersKept``, or for as long as calls are kept. Returns how many, at most
    /// ``purgeMax``.
    func purgeCallers(in transaction: Transaction) throws -> Int {
        let kept = min(Self.callersKept, retention)
        return try store.purgeCallers(before: world.now - kept, limit: Self.purgeMax, in: transaction)
    }

    // MARK: Looking

    /// The calls of memory that a list shows, the newest first. Read them before the store: a call that ends meanwhile
    /// is then found twice and shown once.
    public func running(_ filter: CallFilter, after: String? = nil) -> [Call] {
        live.running().filter { call in call.matches(filter) && (after.map { call.id.text < $0 } ?? true) }
            .map { $0.bounded() }.sorted { $0.id > $1.id }
    }

    /// The newest first, with those of memory in between; one more than the page's limit, where there are more.
    ///
    /// - Parameter running: what ``running(_:after:)`` said before the transaction began.
    public func list(
        _ filter: CallFilter, page: Page, running: [Call], in transaction: Transaction
    ) throws -> [Call] {
        let isLive = !filter.statuses.isEmpty && filter.statuses.allSatisfy { $0 == .running }
        let kept = isLive ? [] : try store.list(filter, page: page, in: transaction)
        guard !running.isEmpty else { return kept }
        let known = Set(kept.map(\.id))
        let merged = kept + running.filter { !known.contains($0.id) }
        return Array(merged.sorted { $0.id > $1.id }.prefix(page.limit + 1))
    }

    /// - Parameter agent: where it is given, only a call of this agent is there.
    public func call(_ id: String, agent: String? = nil, storage: any Storage) async throws -> Call {
        guard let identifier = Identifier<Call>(id) else { throw Problem.notFound("call", id) }
        let running = live.running(identifier)
        let kept = try await storage.read { try store.call(identifier, in: $0) }
        guard let call = kept ?? running?.bounded(), agent == nil || call.agent == agent else {
            throw Problem.notFound("call", id)
        }
        return call
    }
}

extension Call {
    /// What ``CallStore/listing(_:_:)`` says in SQL, for calls of memory.
    func matches(_ filter: CallFilter) -> Bool {
        func isAsked(_ wanted: String?, _ value: String?) -> Bool { wanted == nil || wanted == value }
        return isAsked(filter.agent, agent) && isAsked(filter.project, project) && isAsked(filter.taskID, taskID)
            && isAsked(filter.session, session) && isAsked(filter.model, model)
            && isAsked(filter.correlationID, correlationID)
            && (filter.tag.map(tags.contains) ?? true) && (filter.since.map { startedAt >= $0 } ?? true)
            && (filter.until.map { startedAt < $0 } ?? true)
            && (filter.statuses.isEmpty || filter.statuses.contains(status))
    }
}
