import Kernel

/// How patient Reeve is with agents, and how much it takes from them. Settings `agents.*` fill it.
public struct AgentPolicy: Sendable, Equatable {
    /// Seconds between two heartbeats of an agent in a small fleet.
    public var heartbeatSecondsMin: Int
    /// Heartbeats a second of the whole fleet, above which the interval grows.
    public var heartbeatsPerSecond: Int
    /// How much later than told a heartbeat may come.
    public var grace: Span
    /// How long after a start of Reeve agents have to come back, before silence counts.
    public var failoverGrace: Span
    /// Agents in the registry at most.
    public var agentsMax = 200_000
    /// Messages that may wait for one agent.
    public var messagesWaitingMax = 100
    /// Bytes of one ingested event's data, as JSON.
    public var eventBytesMax = 256 << 10
    /// The least span between two records of an agent's contact, so that busy agents do not write at every call.
    public var contactRecordedEvery = Span.seconds(5)

    /// How often an agent's health URL is asked.
    public var healthInterval: Span
    /// How long an answer may take.
    public var healthTimeout: Span
    /// Failed polls after the first one, before an agent counts as unhealthy.
    public var healthRetries: Int
    /// How soon a failed poll is repeated.
    public var healthRetryAfter = Span.seconds(2)
    /// Polls under way at one time.
    public var healthConcurrency = 32

    public init(_ settings: Settings.Agents = Settings.Agents()) {
        heartbeatSecondsMin = settings.heartbeatSecondsMin
        heartbeatsPerSecond = settings.heartbeatsPerSecondTarget
        grace = .seconds(Int64(settings.heartbeatGraceSeconds))
        failoverGrace = .seconds(Int64(settings.failoverGraceSeconds))
        healthInterval = .seconds(Int64(settings.healthIntervalSeconds))
        healthTimeout = .seconds(Int64(settings.healthTimeoutSeconds))
        healthRetries = settings.healthRetries
    }

    public static let labelsMax = 64
    public static let capabilitiesMax = 100
    public static let labelCharactersMax = 200
    public static let statusMessageCharactersMax = 10_000
    public static let messageCharactersMax = 10_000
    public static let reasonCharactersMax = 1_000
    public static let versionCharactersMax = 200
    /// The longest interval that an agent may ask for itself: a day.
    public static let intervalSecondsMax: Int64 = 86_400
    /// Tasks shown of one agent, and agents shown to explain a task.
    public static let rowsShownMax = 100
}

extension ProblemCode {
    public static let agentBusy = ProblemCode("agent_busy", 409, "The agent holds tasks")
    public static let agentsFull = ProblemCode("agents_full", 409, "The registry has no room for another agent")
    public static let messagesFull = ProblemCode("messages_full", 409, "Too many messages wait for the agent")
    public static let reservedType = ProblemCode("reserved_type", 422, "Only Reeve itself writes events of this type")
    public static let eventTooLarge = ProblemCode("event_too_large", 413, "The event's data is too large")
}
