import Kernel
import Synchronization

/// What a runner knows of its agent at the moment of a heartbeat.
public struct AgentReport: Sendable, Equatable {
    /// What the supervisor has to say; `nil` leaves what the program itself said last.
    public var statusMessage: String?
    public var cpuPercent: Double?
    public var memoryBytes: Int64?
    /// What it runs with.
    public var configVersion: String?

    public init(
        statusMessage: String? = nil, cpuPercent: Double? = nil, memoryBytes: Int64? = nil,
        configVersion: String? = nil
    ) {
        self.statusMessage = statusMessage
        self.cpuPercent = cpuPercent
        self.memoryBytes = memoryBytes
        self.configVersion = configVersion
    }
}

/// What the server wants of an agent, from the reply to its heartbeat.
public struct AgentOrders: Sendable, Equatable {
    /// Seconds to the next heartbeat.
    public var nextHeartbeatSeconds: Double
    public var pause: Bool
    public var drain: Bool
    public var messages: [String]
    /// Tasks of the agent that it is to stop.
    public var cancel: [String]
    /// What the agent is to run with, and a tag that changes with it and with what was set above it.
    public var configDesired: String?
    public var configETag: String?

    public static let intervalDefault = 10.0

    /// Reads a reply; what is absent asks for nothing. The interval is kept within 0.1 s and an hour.
    public init(_ reply: JSONValue) {
        nextHeartbeatSeconds = min(3_600, max(0.1, reply["nextHeartbeatSeconds"]?.double ?? Self.intervalDefault))
        pause = reply["pause"]?.bool ?? false
        drain = reply["drain"]?.bool ?? false
        messages = (reply["messages"]?.array ?? []).map { $0.string ?? $0["text"]?.string ?? $0.text }
        cancel = (reply["cancel"]?.array ?? []).compactMap(\.string)
        configDesired = reply["config"]?["desired"]?.string
        configETag = reply["config"]?["etag"]?.string
    }
}

/// Who an agent is, as a runner tells the server.
public struct AgentIdentity: Sendable, Equatable {
    public var name: String
    public var project: String?
    public var labels: [String: String]
    public var capabilities: [String]

    public init(name: String, project: String? = nil, labels: [String: String] = [:], capabilities: [String] = []) {
        self.name = name
        self.project = project
        self.labels = labels
        self.capabilities = capabilities
    }
}

/// Sends an agent's heartbeats at the pace the server asks for, and keeps the newest orders.
///
/// A server that does not answer changes nothing for the program: the next heartbeat is tried after the same interval.
public final class AgentPulse: Sendable {
    public typealias Reading = @Sendable () -> AgentReport

    private struct State {
        var orders: AgentOrders?
        var isReachable = true
        /// News for the next heartbeat that gets through.
        var news: String?
        var nudge = Promise<Void>()
    }

    public let agent: AgentIdentity
    private let client: ReeveClient
    private let log: LogWriter
    private let reading: Reading
    private let obeying: @Sendable (AgentOrders) -> Void
    private let state = Mutex(State())
    /// Fulfilled when the server asks the agent to drain.
    public let drained = Promise<Void>()

    /// `obeying` hears every reply's orders.
    public init(
        _ client: ReeveClient, agent: AgentIdentity, log: LogWriter, reading: @escaping Reading,
        obeying: @escaping @Sendable (AgentOrders) -> Void = { _ in }
    ) {
        self.client = client
        self.agent = agent
        self.log = log
        self.reading = reading
        self.obeying = obeying
    }

    public var isPaused: Bool { state.withLock { $0.orders?.pause ?? false } }

    /// Beats until the caller's task is cancelled.
    public func run() async {
        var reaper = OrphanReaper()
        while !Task.isCancelled {
            await beat()
            reaper.sweep()
            let seconds = state.withLock { $0.orders?.nextHeartbeatSeconds } ?? AgentOrders.intervalDefault
            // The server's interval has jitter; where no reply comes, ours keeps a fleet from beating as one.
            let jitter = state.withLock { $0.isReachable } ? 1 : 0.75 + client.world.entropy.fraction() / 2
            let nudge = state.withLock { $0.nudge }
            _ = await Pause.sleep(.seconds(seconds * jitter), unless: nudge, client.world)
        }
    }

    /// Sends `message` as the agent's status with a heartbeat at once, or with the next that gets through.
    public func announce(_ message: String) {
        let nudge = state.withLock { state in
            state.news = message
            defer { state.nudge = Promise() }
            return state.nudge
        }
        nudge.fulfil(())
    }

    /// Sends what was announced, waiting `span` for it at most: the last words of a runner that ends.
    public func settle(within span: Span) async {
        guard state.withLock({ $0.news }) != nil else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.beat() }
            group.addTask { try? await self.client.world.time.sleep(for: span) }
            await group.next()
            group.cancelAll()
        }
    }

    /// One heartbeat now, tried once.
    public func beat() async {
        var report = reading()
        let news = state.withLock { $0.news }
        if let news { report.statusMessage = news }
        do {
            let reply = try await client.post(
                "/api/events/ingest", body(report), patience: .none, timeout: .seconds(10))
            state.withLock { if $0.news == news { $0.news = nil } }
            obey(AgentOrders(reply))
        } catch let failure as ClientFailure {
            let wasReachable = state.withLock { state in
                defer { state.isReachable = false }
                return state.isReachable
            }
            if wasReachable { log.write(LogLine(.warning, "heartbeat: \(failure)", agent: agent.name)) }
        } catch {
            return
        }
    }

    /// Sends an event of the agent, tried a few times; what cannot be sent is logged only.
    public func event(_ type: String, _ members: JSONObject) async {
        var event = members
        event["type"] = .string(type)
        event["agent"] = .string(agent.name)
        do {
            _ = try await client.post("/api/events/ingest", .object(event))
        } catch {
            log.write(LogLine(.warning, "the event \(type) was not taken: \(error)", agent: agent.name))
        }
    }

    private func body(_ report: AgentReport) -> JSONValue {
        var body = JSONObject()
        body["type"] = "agent.heartbeat"
        body["agent"] = .string(agent.name)
        body["statusMessage"] = report.statusMessage.map { .string(String($0.prefix(400))) }
        body["cpuPercent"] = report.cpuPercent.map { .double($0) }
        body["memoryBytes"] = report.memoryBytes.map { .int($0) }
        body["configVersion"] = report.configVersion.map { .string($0) }
        body["project"] = agent.project.map { .string($0) }
        if !agent.capabilities.isEmpty { body["capabilities"] = .list(agent.capabilities) }
        if !agent.labels.isEmpty { body["labels"] = agent.labelsJSON }
        return .object(body)
    }

    private func obey(_ orders: AgentOrders) {
        obeying(orders)
        let (before, wasReachable) = state.withLock { state in
            defer {
                state.orders = orders
                state.isReachable = true
            }
            return (state.orders, state.isReachable)
        }
        if !wasReachable { log.write(LogLine(.info, "the server answers again", agent: agent.name)) }
        if orders.pause != (before?.pause ?? false) {
            let words = orders.pause ? "paused: no new work until it is resumed" : "resumed"
            log.write(LogLine(.info, words, agent: agent.name))
        }
        for message in orders.messages {
            log.write(LogLine(.info, "message: \(message)", agent: agent.name))
        }
        if orders.drain, drained.fulfil(()) {
            log.write(LogLine(.info, "the server asks this agent to drain", agent: agent.name))
        }
    }
}

extension AgentIdentity {
    var labelsJSON: JSONValue {
        var object = JSONObject()
        for (name, value) in labels.sorted(by: { $0.key < $1.key }) { object[name] = .string(value) }
        return .object(object)
    }
}
