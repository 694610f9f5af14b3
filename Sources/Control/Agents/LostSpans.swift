import Kernel
import Synchronization
import Telemetry

/// Ends spans that nobody will end any more: their program ended, their agent is gone, or nothing was heard of them for
/// too long. What is lost is kept with its last known step.
public final class LostSpans: Sendable {
    static let interval = Span.seconds(1)
    /// How long what a program sent last may be on its way.
    static let programGrace = Span.seconds(1)
    /// A span of an agent that is not heard of may be heard of itself.
    static let agentGrace = Span.seconds(5)
    /// Signs of life of an agent alone keep a span for so long.
    static let ageMax = Span.hours(24)
    static let roundMax = 200
    static let eventsMax = 500
    /// Agents that are asked about; spans of the others are lost by their own silence.
    static let agentsMax = 5_000
    static let programsMax = 1_000
    /// What runners tell when a program ended.
    static let programEnded = "runner.program_ended"

    /// A program that ended.
    private struct Program {
        let agent: String
        /// The trace that it worked in; `nil` for all of its agent.
        let trace: TraceID?
        let endedAt: Timestamp
        let how: String
    }

    private struct State {
        /// The last event that was looked at; `nil` before the first look.
        var seen: Int64?
        var programs: [Program] = []
    }

    private let live: LiveSpans
    private let intake: any SpanIntake
    private let agents: AgentService
    private let events: Events
    private let storage: any Storage
    private let silence: Span
    private let world: World
    private let state = Mutex(State())

    /// - Parameter silence: How long nothing may be heard of a span and of its agent.
    public init(
        live: LiveSpans, intake: any SpanIntake, agents: AgentService, events: Events, storage: any Storage,
        silence: Span, world: World
    ) {
        self.live = live
        self.intake = intake
        self.agents = agents
        self.events = events
        self.storage = storage
        self.silence = silence
        self.world = world
    }

    public var loops: [Loop] { [Loop("telemetry.lost", every: Self.interval) { try await self.look() }] }

    func look() async throws {
        try await follow()
        guard live.counts.running > 0 else { return }
        let names = live.agents.sorted().prefix(Self.agentsMax).map(\.self)
        let known = names.isEmpty ? [:] : try await storage.read { [agents] in try agents.contacts(of: names, in: $0) }
        live.heard(known.compactMapValues(\.lastContactAt))
        let now = world.now
        let programs = due(now)
        let losses = live.lost(max: Self.roundMax) { reason($0, known, programs, now) }
        for loss in losses {
            if let request = loss.request {
                do { _ = try await intake.take(request, agent: loss.agent, refusedBefore: [:]) } catch {
                    // Room comes back; what cannot be read would never go.
                    if error == .overloaded { return }
                    if case .failed = error { return }
                }
            }
            live.settled(loss)
        }
        // More of what they had begun may be left.
        guard losses.count < Self.roundMax else { return }
        state.withLock { $0.programs.removeAll { Self.isDue($0, now) } }
    }

    private func reason(
        _ span: LiveSpans.Standing, _ known: [String: AgentContact], _ programs: [Program], _ now: Timestamp
    ) -> (text: String, isCertain: Bool)? {
        if !span.isOwn, let agent = span.agent {
            let ended = programs.last {
                $0.agent == agent && span.beganAt <= $0.endedAt && ($0.trace == nil || $0.trace == span.traceID)
            }
            if let ended { return ("its program ended (\(ended.how))", true) }
            if let contact = known[agent], contact.isSilent, now - span.heardAt > Self.agentGrace {
                return ("its agent is not heard of any more", true)
            }
        }
        if now - span.lifeAt > silence {
            return ("nothing was heard of it for \(Int((now - span.lifeAt).seconds)) s", false)
        }
        if now - span.heardAt > Self.ageMax { return ("nothing was heard of it for a day", false) }
        return nil
    }

    // MARK: programs that ended

    private func due(_ now: Timestamp) -> [Program] {
        state.withLock { $0.programs.filter { Self.isDue($0, now) } }
    }

    private static func isDue(_ program: Program, _ now: Timestamp) -> Bool { now - program.endedAt >= programGrace }

    private func follow() async throws {
        guard let seen = state.withLock({ $0.seen }) else {
            let last = try await storage.read { [events] in try events.store.lastSeq(in: $0) }
            return state.withLock { $0.seen = last }
        }
        guard events.bus.head > seen else { return }
        let batch: [Event]
        if let recent = events.bus.recent(after: seen, limit: Self.eventsMax), !recent.isEmpty {
            batch = recent
        } else {
            batch = try await storage.read { [events] in
                try events.store.list(after: seen, limit: Self.eventsMax, in: $0)
            }
        }
        guard let end = batch.last?.seq else { return }
        let ended = batch.filter { $0.type == Self.programEnded }.compactMap { event in
            event.agent.map { agent in
                Program(
                    agent: agent, trace: event.data["traceId"]?.string.flatMap { TraceID($0) }, endedAt: event.at,
                    how: String((event.data["exit"]?.string ?? "no status").prefix(100)))
            }
        }
        state.withLock { state in
            state.seen = end
            state.programs.append(contentsOf: ended.prefix(max(0, Self.programsMax - state.programs.count)))
        }
    }
}

/// When an agent was last heard of, and whether it was given up on.
public struct AgentContact: Sendable {
    public let lastContactAt: Timestamp?
    public let isSilent: Bool
}

extension AgentService {
    /// Of those of the agents that are known.
    public func contacts(of names: [String], in transaction: Transaction) throws -> [String: AgentContact] {
        try presence.contacts(of: names, in: transaction)
    }
}
