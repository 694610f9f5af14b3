import Kernel

/// The run that a call belongs to: what its caller named as session, else as task. Names are the caller's own, so the
/// agent, or the key, is a part of it.
struct NamedRun: Sendable, Equatable {
    let agent: String?
    let keyID: String
    let session: String?
    let task: String?

    /// `nil` where the caller named neither.
    init?(agent: String?, keyID: String, session: String?, task: String?) {
        guard session != nil || task != nil else { return nil }
        self.agent = agent
        self.keyID = keyID
        self.session = session
        self.task = session == nil ? task : nil
    }

    var name: String {
        let who = agent.map { "agent \($0)" } ?? "key \(keyID)"
        return who + (session.map { " session \($0)" } ?? " task \(task ?? "")")
    }

    /// For addresses.
    var id: String { "run_" + Digest.sha256(name).prefix(24) }
}

/// A run whose calls are held, and why.
public struct HeldRun: Sendable {
    public let id: String
    public let agent: String?
    public let session: String?
    public let task: String?
    /// The model and the call at which it was held.
    public let model: String
    public let call: String
    let evidence: LoopGuard.Evidence

    /// `nil` for until somebody releases it.
    public var heldUntil: Timestamp? { evidence.heldUntil == .distantFuture ? nil : evidence.heldUntil }
    /// `same_calls`, `same_replies`, `token_velocity` or `turns`.
    public var cause: String { evidence.cause.rawValue }
    /// What was counted, in words.
    public var sentence: String {
        let seconds = max(1, (evidence.lastAt - evidence.firstAt).microseconds / 1_000_000)
        return switch evidence.cause {
        case .sameCalls: "it made the same call \(evidence.count) times within \(seconds) s"
        case .sameReplies: "the last \(evidence.count) answers, over \(seconds) s, all said the same"
        case .tokenVelocity: "it used \(evidence.count) tokens within a minute; \(evidence.limit) are allowed"
        case .turns: "it has taken the \(evidence.limit) turns that a run may take"
        }
    }
}

extension HeldRun: JSONConvertible {
    /// The evidence with it.
    public var json: JSONValue {
        [
            "id": .string(id), "agent": .of(agent), "session": .of(session), "task": .of(task),
            "model": .string(model), "call": .string(call), "cause": .string(cause),
            "count": evidence.count.json, "limit": evidence.limit.json,
            "hash": evidence.hash.map { .string(String($0, radix: 16)) } ?? .null,
            "firstAt": evidence.firstAt.json, "lastAt": evidence.lastAt.json, "turns": evidence.turns.json,
            "heldUntil": .of(heldUntil), "detail": .string(sentence),
        ]
    }
}

/// How full a model's window is in a session.
public struct ContextUse: Sendable {
    public let agent: String?
    public let model: String
    /// Input tokens by the window's tokens; 1 is full.
    public let utilization: Double
    /// Turns until it is full, by the line through the last ones; `nil` where it does not fill.
    public let turnsLeft: Int?
}
