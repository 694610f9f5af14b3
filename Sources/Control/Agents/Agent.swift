import Kernel

/// A program that works for the fleet, as Reeve knows it: what it is, what it said last, and what it was told.
///
/// What it declares of itself arrives with heartbeats; what operators decide (pause, drain, quarantine, the wanted
/// configuration, the health URL) only operators change. `status` is derived by ``AgentPresence`` and never asserted.
public struct Agent: Sendable, Equatable {
    public let name: String
    public var project: String
    public var labels: [String: String]
    /// What it can do; a task's `requires` are matched against these.
    public var capabilities: [String]
    /// The version of its program, in its own words.
    public var release: String?
    /// Where Reeve asks for its health; set by operators alone.
    public var healthURL: String?
    public var configDesired: String?
    public var configReported: String?
    /// Counts what was set above the wanted configuration, for its ``configETag``.
    public var configRevision: Int64 = 0
    /// The roll-out that it is in.
    public var configRollout: String?
    public var statusMessage: String?
    public var lastHeartbeatAt: Timestamp?
    /// The last sign of life: a heartbeat, a claim or a task's heartbeat.
    public var lastContactAt: Timestamp?
    /// Of one core; eight busy cores are 800.
    public var cpuPercent: Double?
    public var memoryBytes: Int64?
    public var isPaused: Bool
    public var pausedReason: String?
    public var isDraining: Bool
    public var drainingReason: String?
    public var isQuarantined: Bool
    public var quarantineReason: String?
    /// What was last recorded; see ``AgentView`` for what holds at this moment.
    public var status: AgentStatus
    public var statusSince: Timestamp
    /// Seconds within which it was last told to be heard of again.
    public var heartbeatSeconds: Int
    public var health: AgentHealth
    /// Messages that wait for its next heartbeat.
    public var messagesWaiting: Int
    /// Counts edits; the `ETag`.
    public var version: Int64
    public let createdAt: Timestamp
    /// The last edit of the registry's entry; heartbeats are no edits.
    public var updatedAt: Timestamp

    /// Why it may not be handed work: `quarantined`, `paused` or `draining`; `nil` if it may.
    public var refusal: String? { facts.refusal }

    /// The strong entity tag (RFC 9110 §8.8.3) of the registry's entry.
    public var etag: String { "\"\(version)\"" }

    /// Names what the agent is to run with, together with what was set above that.
    public var configETag: String? { configDesired.map { Self.configETag($0, revision: configRevision) } }

    static func configETag(_ version: String, revision: Int64) -> String {
        String(Digest.sha256(revision == 0 ? version : "\(version) \(revision)").prefix(16))
    }

    /// Where unknown agents are put that name no project.
    public static let projectDefault = "default"
}

/// Whether an agent is there and what it does, in one word. See ``AgentPresence/derive(_:_:)`` for what each means.
public enum AgentStatus: String, Sendable, CaseIterable {
    case neverSeen = "never_seen"
    case idle
    case busy
    case waiting
    case draining
    case paused
    case unreachable
    case offline
    case quarantined

    /// Whether it was given up on: heard of no more in time.
    public var isSilent: Bool { self == .unreachable || self == .offline }
}

/// What Reeve found when it last asked an agent's health URL. It never moves the status: the process's health and the
/// agent's heartbeats are two truths, and a page shows where they disagree.
public struct AgentHealth: Sendable, Equatable {
    public enum Status: String, Sendable, CaseIterable {
        case unknown
        case healthy
        case unhealthy
    }

    public var status = Status.unknown
    public var since: Timestamp?
    public var checkedAt: Timestamp?
    /// Polls that failed in a row.
    public var failures = 0
    public var lastError: String?
}

/// A task in an agent's hands.
public struct AgentHolding: Sendable, Equatable {
    public let id: String
    public let title: String
    public let state: String
    public let leaseExpiresAt: Timestamp?
    /// Parked: without lease or slot.
    public let isWaiting: Bool

    public init(id: String, title: String, state: String, leaseExpiresAt: Timestamp?, isWaiting: Bool) {
        self.id = id
        self.title = title
        self.state = state
        self.leaseExpiresAt = leaseExpiresAt
        self.isWaiting = isWaiting
    }
}

extension AgentHolding: JSONConvertible {
    public var json: JSONValue { ["id": .string(id), "title": .string(title), "state": .string(state)] }
}

/// What an agent has in hand, told by the Tasks feature.
public protocol AgentWorkload: Sendable {
    /// Tasks that the agent holds: claimed or running (`isWaiting` false) or parked (`isWaiting` true); at most 100.
    func currentTasks(of agent: String, in transaction: Transaction) throws -> [AgentHolding]

    /// How many leased tasks each of these agents has, and how many parked. Agents with neither may be left out.
    func holdings(
        of agents: [String], in transaction: Transaction
    ) throws -> [String: (leased: Int, waiting: Int)]

    /// Tasks of the agent that it was asked to stop, by id; told in its heartbeat's reply.
    func cancellations(of agent: String, in transaction: Transaction) throws -> [String]
}

/// An agent as the interface shows it at one moment: the registry's entry, its status now, and its tasks.
public struct AgentView: Sendable, Equatable {
    public let agent: Agent
    public let status: AgentStatus
    public let statusSince: Timestamp
    public let currentTasks: [AgentHolding]
}

extension AgentView: JSONConvertible {
    public var json: JSONValue {
        let health = agent.health
        return [
            "name": .string(agent.name),
            "project": .string(agent.project),
            "status": .string(status.rawValue),
            "statusSince": statusSince.json,
            "statusMessage": .of(agent.statusMessage),
            "lastHeartbeatAt": .of(agent.lastHeartbeatAt),
            "lastContactAt": .of(agent.lastContactAt),
            "heartbeatSeconds": agent.heartbeatSeconds.json,
            "cpuPercent": .of(agent.cpuPercent),
            "memoryBytes": .of(agent.memoryBytes),
            "currentTasks": .list(currentTasks),
            "configVersion": ["desired": .of(agent.configDesired), "reported": .of(agent.configReported)],
            "config": agent.configJSON,
            "labels": AgentLabels.json(agent.labels),
            "capabilities": .list(agent.capabilities),
            "release": .of(agent.release),
            "healthURL": .of(agent.healthURL),
            "health": [
                "status": .string(health.status.rawValue), "since": .of(health.since),
                "checkedAt": .of(health.checkedAt), "failures": health.failures.json,
                "lastError": .of(health.lastError),
            ],
            "pausedReason": .of(agent.pausedReason),
            "drainingReason": .of(agent.drainingReason),
            "quarantineReason": .of(agent.quarantineReason),
            "createdAt": agent.createdAt.json,
            "updatedAt": agent.updatedAt.json,
        ]
    }
}

/// Labels as JSON, sorted by name so that equal labels are equal text.
public enum AgentLabels {
    public static func json(_ labels: [String: String]) -> JSONValue {
        var object = JSONObject()
        for (name, text) in labels.sorted(by: { $0.key < $1.key }) { object[name] = .string(text) }
        return .object(object)
    }

    public static func parse(_ value: JSONValue) -> [String: String] {
        var labels: [String: String] = [:]
        for member in value.object?.members ?? [] { labels[member.name] = member.value.string }
        return labels
    }
}
