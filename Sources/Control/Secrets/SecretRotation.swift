import Kernel

/// The change of a secret's value without anyone noticing: for a while both are good, and the old one goes only when
/// nobody uses it any more.
///
/// ```
/// staged ─ verify ─► verified ─ issue ─► overlap ─ 24 h ─► draining ─ unused ─► retired
///    └───────┴───────────┴── return ───────┴────────────────┘
///                          (the old value is the one again)           compromise: retired at once, from anywhere
/// ```
///
/// Pure: no clock, no store. Nothing is given out before it was verified; the old value can be returned to until it is
/// revoked; and what runs with it is never cut, unless it was compromised.
public struct SecretRotation: Sendable, Equatable {
    public enum State: String, Sendable, CaseIterable {
        /// The new value is kept, and nobody gets it yet.
        case staged
        /// A call with it went well, or a person answers for it.
        case verified
        /// Who asks gets the new value; who has the old one keeps it.
        case overlap
        /// The overlap is over, and somebody still uses the old value.
        case draining
        /// The old value is revoked.
        case retired
        /// The old value is the one that is given out again; the new one is revoked.
        case returned

        public var isOver: Bool { self == .retired || self == .returned }
    }

    /// What is done to a rotation.
    public enum Verb: String, Sendable, CaseIterable {
        case verify, issue, drain, retire, `return`, compromise

        /// What changes what agents get, and so waits for the end of a deployment. A way back never waits.
        public var waitsForDeployments: Bool { self == .issue || self == .retire }
    }

    /// Who answers for a new value.
    public enum Proof: Sendable, Equatable {
        /// A call with it went well.
        case probe(String)
        /// Where nothing can be called, a person.
        case word(of: String)

        /// As it is kept and shown: how it was proven, and by whom or with what answer.
        public var words: (kind: String, detail: String) {
            switch self {
            case .probe(let answer): ("probe", answer)
            case .word(let actor): ("word", actor)
            }
        }

        init?(kind: String, detail: String) {
            switch kind {
            case "probe": self = .probe(detail)
            case "word": self = .word(of: detail)
            default: return nil
            }
        }
    }

    /// How the old value is used.
    public struct Use: Sendable, Equatable {
        /// Somebody read it, or called with it.
        public let lastAt: Timestamp?
        /// Sessions and tasks that began with it and still run.
        public let running: Int

        public init(lastAt: Timestamp?, running: Int) { (self.lastAt, self.running) = (lastAt, running) }
    }

    /// What stands in its way, and until when where that is known.
    public struct Wait: Sendable, Equatable {
        public let what: String
        public let until: Timestamp?
        /// What programs are told: the time as everywhere in the interface.
        public let text: String

        /// - Parameter text: As programs are told; `what` where that says all.
        public init(_ what: String, until: Timestamp? = nil, text: String? = nil) {
            (self.what, self.until, self.text) = (what, until, text ?? what)
        }
    }

    /// The least time for which both values are good.
    public static let overlapMin = Span.hours(24)
    /// The longest: a rotation that takes longer is not one any more.
    public static let overlapMax = Span.hours(24 * 30)
    /// After which a secret's value is due to be changed.
    public static let ageMax = Span.hours(24 * 90)

    public private(set) var state = State.staged
    public let oldVersion: Int
    public let newVersion: Int
    /// For how long both are good, and for how long nobody may have used the old one when it goes.
    public let overlap: Span
    public let stagedAt: Timestamp
    public private(set) var proof: Proof?
    public private(set) var issuedAt: Timestamp?
    public private(set) var endedAt: Timestamp?
    /// The old value was known to others: it was revoked at once.
    public private(set) var isCompromise = false

    /// - Parameter overlap: Raised to ``overlapMin`` and lowered to ``overlapMax``.
    public init(oldVersion: Int, newVersion: Int, overlap: Span = Self.overlapMin, at now: Timestamp) {
        (self.oldVersion, self.newVersion, self.stagedAt) = (oldVersion, newVersion, now)
        self.overlap = min(max(overlap, Self.overlapMin), Self.overlapMax)
    }

    /// What a store kept.
    struct Kept: Sendable {
        let state: State
        let proof: Proof?
        let issuedAt: Timestamp?
        let endedAt: Timestamp?
        let isCompromise: Bool
    }

    init(oldVersion: Int, newVersion: Int, overlap: Span, at stagedAt: Timestamp, kept: Kept) {
        self.init(oldVersion: oldVersion, newVersion: newVersion, overlap: overlap, at: stagedAt)
        (state, proof, issuedAt, endedAt) = (kept.state, kept.proof, kept.issuedAt, kept.endedAt)
        isCompromise = kept.isCompromise
    }

    /// The version that is given to who asks now.
    public var currentVersion: Int {
        switch state {
        case .staged, .verified, .returned: oldVersion
        case .overlap, .draining, .retired: newVersion
        }
    }

    /// Versions that are good, the one that is given out first.
    public var acceptedVersions: [Int] {
        switch state {
        case .staged, .verified, .returned: [oldVersion]
        case .overlap, .draining: [newVersion, oldVersion]
        case .retired: [newVersion]
        }
    }

    public var allowed: [Verb] {
        switch state {
        case .staged: [.verify, .return, .compromise]
        case .verified: [.issue, .return, .compromise]
        case .overlap: [.drain, .return, .compromise]
        case .draining: [.retire, .return, .compromise]
        case .retired, .returned: []
        }
    }

    // MARK: Transitions

    public mutating func verify(_ proof: Proof) throws {
        try take(.verify)
        state = .verified
        self.proof = proof
    }

    public mutating func issue(at now: Timestamp) throws {
        try take(.issue)
        state = .overlap
        issuedAt = now
    }

    /// What time does to it. At most one step each time, so that each is kept and told of.
    ///
    /// - Parameter isDeploying: A deployment runs: the old value stays good meanwhile.
    /// - Returns: Whether it changed.
    public mutating func step(at now: Timestamp, use: Use, isDeploying: Bool) -> Bool {
        guard let issuedAt else { return false }
        switch state {
        case .overlap where now >= issuedAt + overlap:
            state = .draining
        case .draining where !isDeploying && use.running == 0 && isUnused(at: now, use, since: issuedAt):
            state = .retired
            endedAt = now
        case .staged, .verified, .overlap, .draining, .retired, .returned:
            return false
        }
        return true
    }

    private func isUnused(at now: Timestamp, _ use: Use, since issuedAt: Timestamp) -> Bool {
        now >= unusedAt(use, since: issuedAt)
    }

    private func unusedAt(_ use: Use, since issuedAt: Timestamp) -> Timestamp {
        max(use.lastAt ?? issuedAt, issuedAt) + overlap
    }

    /// What it waits for before the old value goes, in words; empty where nothing is in its way.
    ///
    /// - Parameter closed: Why nothing that agents get may change now; `nil` where it may.
    public func waitsFor(at now: Timestamp, use: Use, closed: String?) -> [Wait] {
        let closed = closed.map { [Wait($0)] } ?? []
        switch state {
        case .staged: return [Wait("a proof that the new value is good: a probe call, or a person's word")]
        case .verified: return [Wait("somebody to issue it")] + closed
        case .retired, .returned: return []
        case .overlap, .draining: break
        }
        guard let issuedAt else { return [] }
        var waits: [Wait] = []
        let end = issuedAt + overlap
        if now < end {
            waits.append(Wait("the end of the overlap", until: end, text: "the end of the overlap, \(end.rfc3339)"))
        }
        let unused = unusedAt(use, since: issuedAt)
        if now < unused, unused > end {
            waits.append(
                Wait(
                    "nobody to read the old value for as long", until: unused,
                    text: "nobody to read the old value until \(unused.rfc3339)"))
        }
        if use.running > 0 {
            waits.append(Wait("\(use.running) tasks and sessions that run with the old value to end"))
        }
        return waits + closed
    }

    /// The old value is the one again.
    public mutating func returnToOld(at now: Timestamp) throws {
        try take(.return)
        state = .returned
        endedAt = now
    }

    /// Others know the old value: it is revoked now, whoever uses it and whatever is being deployed. The new one is
    /// given out even where nothing has proven it yet.
    public mutating func compromise(at now: Timestamp) throws {
        try take(.compromise)
        state = .retired
        issuedAt = issuedAt ?? now
        endedAt = now
        isCompromise = true
    }

    private func take(_ verb: Verb) throws {
        guard !allowed.contains(verb) else { return }
        var members = JSONObject()
        members["state"] = .string(state.rawValue)
        members["allowed"] = .list(allowed.map(\.rawValue))
        throw Problem(
            .badTransition, "The rotation is \(state.rawValue) and does not take \"\(verb.rawValue)\".",
            hint: allowed.isEmpty
                ? "It is over. Begin another one to change the value again."
                : "Allowed now: \(allowed.map(\.rawValue).joined(separator: ", ")).",
            members: members)
    }
}
