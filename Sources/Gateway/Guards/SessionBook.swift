import Kernel
import Synchronization

/// Whose tokens of a session are counted together. Sessions' names are the callers' own, so the agent, or else the key,
/// is a part of it: nobody uses up what another one's session has.
public struct CallerSession: Sendable, Hashable {
    public let agent: String?
    /// Of a caller that is no agent; empty for agents, whose keys change.
    public let keyID: String
    public let session: String

    init(agent: String?, keyID: String, session: String) {
        self.agent = agent
        self.keyID = agent == nil ? keyID : ""
        self.session = session
    }
}

/// What sessions used, by the records of their calls.
public protocol SessionRecords: Sendable {
    /// Tokens of the session's calls that are kept, without some of them.
    func tokens(of session: CallerSession, except calls: Set<String>) async throws -> Int64
}

/// What sessions with a limit have used, and what their calls under way hold: read from the records once, then
/// followed.
///
/// A call holds what it may come to before it is sent, so that calls at once do not overspend together; when it ends,
/// it counts with what it used. Where other replicas have calls of the same sessions, these are read again now and
/// then.
final class SessionBook: Sendable {
    /// Sessions at hand; those that come back are read again.
    static let sessionsMax = 20_000
    /// A session without calls for so long goes first.
    static let idle = Span.minutes(10)
    /// How often a session is read in a row, while calls of it end.
    static let readsMax = 3
    /// After which a session is read again that could not be.
    static let patience = Span.seconds(1)
    static let retryAfterSeconds = 1

    /// What comes of asking for room.
    enum Answer: Equatable {
        /// So many tokens of each answer are held for.
        case held(Int64)
        /// It does not fit beside what is used.
        case exceeded(used: Int64)
        /// It would fit beside what is used, but not beside what calls under way hold.
        case inFlight(used: Int64, held: Int64)
        /// What was used is not known.
        case unknown
    }

    /// What a call may come to.
    struct Wish {
        /// Of what is sent.
        let input: Int64
        /// Of one answer.
        let output: Int64
        let answers: Int64
    }

    private struct Held {
        var used: Int64 = 0
        /// By call.
        var holds: [String: Int64] = [:]
        var askedAt: Timestamp
        /// `nil` before it was read.
        var readAt: Timestamp?
        var reading: Task<Bool, Never>?
        /// What ended since the read under way began, by call.
        var ended: [String: Int64] = [:]

        var isBusy: Bool { !holds.isEmpty || reading != nil }
    }

    private let records: (any SessionRecords)?
    /// After which a session is read again; `nil` where nobody else has calls of it.
    private let refresh: Span?
    private let world: World
    private let sessions = Mutex<[CallerSession: Held]>([:])

    init(_ records: (any SessionRecords)?, refresh: Span?, world: World) {
        (self.records, self.refresh, self.world) = (records, refresh, world)
    }

    /// How many are at hand.
    var count: Int { sessions.withLock { $0.count } }

    /// Whether it is known what the session used.
    func isKnown(_ session: CallerSession) -> Bool {
        let now = world.now
        return sessions.withLock { sessions in
            guard let readAt = sessions[session]?.readAt else { return false }
            return refresh.map { now - readAt < $0 } ?? true
        }
    }

    /// Holds what a call may come to, or as much of its answer as is left.
    func reserve(_ session: CallerSession, call: String, _ wish: Wish, limit: Int64) -> Answer {
        let now = world.now
        return sessions.withLock { sessions in
            guard var entry = sessions[session], entry.readAt != nil else { return .unknown }
            let others = entry.holds.reduce(Int64(0)) { $1.key == call ? $0 : $0 + $1.value }
            let least = wish.input + min(wish.output, 1) * wish.answers
            guard entry.used + least <= limit else { return .exceeded(used: entry.used) }
            guard entry.used + others + least <= limit else { return .inFlight(used: entry.used, held: others) }
            let output = min(wish.output, (limit - entry.used - others - wish.input) / wish.answers)
            entry.holds[call] = wish.input + output * wish.answers
            entry.askedAt = now
            sessions[session] = entry
            return .held(output)
        }
    }

    /// A call is over: it counts with what it used, whether it held anything or not. Comes behind its record.
    func settle(_ session: CallerSession, call: String, tokens: Int64) {
        sessions.withLock { sessions in
            guard sessions[session] != nil else { return }
            sessions[session]?.holds[call] = nil
            guard tokens > 0 else { return }
            sessions[session]?.used += tokens
            if sessions[session]?.reading != nil { sessions[session]?.ended[call] = tokens }
        }
    }

    // MARK: Reading

    /// Finds out what a session used; `false` where that cannot be known now. Those that ask at once share a read.
    ///
    /// - Parameter waiting: The session's calls that ended and are not kept yet, with their tokens.
    func read(_ session: CallerSession, waiting: @escaping @Sendable () -> [String: Int64]) async -> Bool {
        let now = world.now
        let reading = sessions.withLock { sessions -> Task<Bool, Never>? in
            if let reading = sessions[session]?.reading { return reading }
            if sessions[session] == nil {
                guard Self.makeRoom(&sessions, at: now) else { return nil }
                sessions[session] = Held(askedAt: now)
            }
            let reading = Task { await self.fetch(session, waiting) }
            sessions[session]?.reading = reading
            return reading
        }
        return await reading?.value ?? false
    }

    private func fetch(_ session: CallerSession, _ waiting: @Sendable () -> [String: Int64]) async -> Bool {
        for round in 1...Self.readsMax {
            // Whatever ends from here on comes to `ended`; whatever ended before waits, or is kept.
            let known = sessions.withLock { sessions in
                sessions[session]?.ended = [:]
                return waiting()
            }
            let kept: Int64
            do {
                kept = try await records?.tokens(of: session, except: Set(known.keys)) ?? 0
            } catch {
                return failed(session)
            }
            let now = world.now
            let isRead = sessions.withLock { sessions in
                let late = sessions[session]?.ended.filter { known[$0.key] == nil } ?? [:]
                // Whether these were kept before the read is not known. At the last round they count in any case: a
                // limit is rather reached too early than too late.
                guard late.isEmpty || round == Self.readsMax else { return false }
                sessions[session]?.used =
                    kept + known.values.reduce(0, +) + late.values.reduce(0, +)
                sessions[session]?.readAt = now
                sessions[session]?.reading = nil
                sessions[session]?.ended = [:]
                return true
            }
            if isRead { return true }
        }
        return true
    }

    /// What was known of it before still holds for a moment.
    private func failed(_ session: CallerSession) -> Bool {
        let now = world.now
        return sessions.withLock { sessions in
            sessions[session]?.reading = nil
            sessions[session]?.ended = [:]
            guard sessions[session]?.readAt != nil else {
                sessions[session] = nil
                return false
            }
            sessions[session]?.readAt = refresh.map { now - $0 + Self.patience } ?? now
            return true
        }
    }

    /// Those that are asked for least go; those that hold something stay.
    private static func makeRoom(_ sessions: inout [CallerSession: Held], at now: Timestamp) -> Bool {
        guard sessions.count >= sessionsMax else { return true }
        sessions = sessions.filter { $0.value.isBusy || now - $0.value.askedAt < idle }
        if sessions.count >= sessionsMax { sessions = sessions.filter { $0.value.isBusy } }
        return sessions.count < sessionsMax
    }
}
