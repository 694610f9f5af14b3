import Kernel

extension AgentService {
    /// Agents looked at in one transaction: a round must not keep other writers waiting.
    static let roundAgentsMax = 500
    /// Transactions of one round.
    static let roundsMax = 20

    /// Derives these agents' statuses anew, and writes and tells what differs. Returns how many changed.
    @discardableResult
    func settle(
        _ standings: [AgentStanding], actor: String, reason: String? = nil, in transaction: Transaction
    ) throws -> Int {
        let clock = clock
        let holdings = try workload.holdings(of: standings.map(\.name), in: transaction)
        var changes = 0
        var silences: [String] = []
        var moves: [Timestamp?: [String]] = [:]
        for standing in standings {
            var facts = standing.facts
            (facts.leased, facts.waiting) = holdings[standing.name] ?? (leased: 0, waiting: 0)
            let presence = AgentPresence.derive(facts, clock)
            if presence.status != facts.current {
                try change(standing, to: presence, actor: actor, reason: reason, now: clock.now, in: transaction)
                changes += 1
            } else if presence.wakesAt != standing.dueAt {
                let silence = facts.lastContactAt.map { $0 + facts.interval + policy.grace }
                if presence.wakesAt != nil, presence.wakesAt == silence {
                    silences.append(standing.name)
                } else {
                    moves[presence.wakesAt, default: []].append(standing.name)
                }
            }
        }
        try presence.moveDueToSilence(silences, grace: policy.grace, in: transaction)
        for (dueAt, names) in moves { try presence.moveDue(names, to: dueAt, in: transaction) }
        return changes
    }

    private func change(
        _ standing: AgentStanding, to presence: AgentPresence, actor: String, reason: String?, now: Timestamp,
        in transaction: Transaction
    ) throws {
        try self.presence.setStatus(
            presence.status, of: standing.name, dueAt: presence.wakesAt, now: now, in: transaction)
        var data = JSONObject()
        data["from"] = .string(standing.facts.current.rawValue)
        data["to"] = .string(presence.status.rawValue)
        if let reason { data["reason"] = .string(reason) }
        if presence.status.isSilent { data["lastContactAt"] = .of(standing.facts.lastContactAt) }
        try events.append(
            EventDraft(
                "agent.status_changed", actor: actor, project: standing.project, agent: standing.name,
                data: .object(data)),
            in: transaction)
    }

    /// Looks at the agents whose status may have changed by now. Costs one indexed read where there are none.
    @discardableResult
    public func settleDue(_ storage: any Storage) async throws -> Int {
        var changes = 0
        for _ in 0..<Self.roundsMax {
            let now = world.now
            guard try await storage.read({ try presence.hasDue(now: now, in: $0) }) else { break }
            changes += try await storage.write { transaction in
                let due = try presence.due(now: now, limit: Self.roundAgentsMax, in: transaction)
                return try settle(due, actor: Principal.system.actor, in: transaction)
            }
        }
        return changes
    }
}

/// Asks agents that declare a health URL, and records what they answer.
public struct AgentHealthPolls: Sendable {
    private let storage: any Storage
    private let agents: AgentService
    private let probe: any HealthProbe

    public init(storage: any Storage, agents: AgentService, probe: any HealthProbe) {
        self.storage = storage
        self.agents = agents
        self.probe = probe
    }

    /// Polls who is due, a bounded number at one time. Returns how many were polled.
    @discardableResult
    public func round() async throws -> Int {
        let (world, policy, presence) = (agents.world, agents.policy, agents.presence)
        var polled = 0
        for _ in 0..<AgentService.roundsMax {
            let now = world.now
            guard try await storage.read({ try presence.hasHealthDue(now: now, in: $0) }) else { break }
            let polls = try await storage.write { transaction in
                try presence.takeHealthDue(
                    now: now, next: now + policy.healthInterval, limit: policy.healthConcurrency, in: transaction)
            }
            let outcomes = await ask(polls)
            try await storage.write { transaction in
                for (poll, outcome) in outcomes { try agents.record(outcome, of: poll, in: transaction) }
            }
            polled += polls.count
        }
        return polled
    }

    private func ask(_ polls: [HealthPoll]) async -> [(HealthPoll, HealthOutcome)] {
        let timeout = agents.policy.healthTimeout
        return await withTaskGroup(of: (HealthPoll, HealthOutcome).self) { group in
            for poll in polls { group.addTask { (poll, await probe.probe(poll.url, timeout: timeout)) } }
            var outcomes: [(HealthPoll, HealthOutcome)] = []
            for await outcome in group { outcomes.append(outcome) }
            return outcomes
        }
    }
}

/// Asks one health URL. Never follows a redirect, never throws, and keeps nothing of the body.
public protocol HealthProbe: Sendable {
    func probe(_ url: String, timeout: Span) async -> HealthOutcome
}

/// How a health URL answered.
public enum HealthOutcome: Sendable, Equatable {
    /// The HTTP status; 200 to 299 is healthy.
    case answered(status: Int)
    /// It did not answer; a short reason that quotes nothing from the other side.
    case failed(String)

    /// What is wrong, or `nil` where nothing is.
    public var error: String? {
        switch self {
        case .answered(200...299): nil
        case .answered(let status) where (300...399).contains(status):
            "it answered \(status), and redirects are not followed"
        case .answered(let status): "it answered \(status)"
        case .failed(let reason): reason
        }
    }
}

extension AgentHealth {
    /// The health after a poll: one success makes it healthy, and `retries` failures more than one unhealthy. Pure.
    func polled(_ outcome: HealthOutcome, at now: Timestamp, retries: Int) -> AgentHealth {
        var health = self
        health.checkedAt = now
        health.lastError = outcome.error
        health.failures = outcome.error == nil ? 0 : failures + 1
        if outcome.error == nil {
            health.status = .healthy
        } else if health.failures > retries {
            health.status = .unhealthy
        }
        if health.status != status || since == nil { health.since = now }
        return health
    }
}

extension AgentService {
    /// Keeps a poll's outcome, and tells where the health changed.
    func record(_ outcome: HealthOutcome, of poll: HealthPoll, in transaction: Transaction) throws {
        let now = world.now
        let health = poll.health.polled(outcome, at: now, retries: policy.healthRetries)
        let isRetried = health.failures > 0 && health.failures <= policy.healthRetries
        let dueAt = now + (isRetried ? min(policy.healthRetryAfter, policy.healthInterval) : policy.healthInterval)
        guard try presence.recordHealth(health, of: poll, dueAt: dueAt, in: transaction) else { return }
        guard health.status != poll.health.status else { return }
        let data: JSONValue = [
            "from": .string(poll.health.status.rawValue), "to": .string(health.status.rawValue),
            "error": .of(health.lastError),
        ]
        try events.append(
            EventDraft(
                "agent.health_changed", actor: Principal.system.actor, project: poll.project, agent: poll.name,
                data: data),
            in: transaction)
    }
}

/// What the agents' feature does by itself.
public struct AgentLoops: Sendable {
    private let storage: any Storage
    private let agents: AgentService
    private let polls: AgentHealthPolls

    public init(storage: any Storage, agents: AgentService, probe: any HealthProbe) {
        self.storage = storage
        self.agents = agents
        self.polls = AgentHealthPolls(storage: storage, agents: agents, probe: probe)
    }

    public var loops: [Loop] {
        [
            Loop("agents.presence", every: .seconds(Int64(1))) { try await agents.settleDue(storage) },
            Loop("agents.health", every: .seconds(Int64(1))) { try await polls.round() },
        ]
    }
}
