import Kernel

/// A roll-out as it is kept: which version goes to which agents, what they had before, and how far it is.
///
/// What is known of it and what follows from that is ``BundleRollout``'s; this says whom it is about.
public struct BundleTrial: Sendable, Equatable, Identified {
    public static let idPrefix = "rollout"

    /// What is given to the one version or to the other, and counted.
    public enum Unit: String, Sendable, CaseIterable {
        /// A share of the tasks: which ones, a digest of each says. Workers run each task with its claim's version.
        case tasks
        /// Some of the agents first: they are to run with the new version, the others go on with the old one.
        case agents
    }

    /// An agent of a roll-out.
    public struct Member: Sendable, Equatable {
        public let agent: String
        /// What it was to run with when the roll-out began.
        public let stable: String

        public init(_ agent: String, stable: String) {
            self.agent = agent
            self.stable = stable
        }
    }

    /// Agents of one roll-out.
    public static let membersMax = 500
    /// Ended attempts of the old version from which the limit of dear ones is taken, and how many it takes.
    static let baselineMax = 200
    static let baselineMin = 20
    /// The share of them that were cheaper.
    static let baselineQuantile = 0.9

    public let id: Identifier<BundleTrial>
    public let version: String
    public let unit: Unit
    /// In the order in which they are given the version, where agents are given it.
    public let members: [Member]
    /// Above this an attempt is dear; in nano-dollars.
    public let costLimit: Int64?
    public let author: String
    public let message: String
    public var record: BundleRollout
    public var updatedAt: Timestamp
    public var endedAt: Timestamp?
    /// Why it ended or stands still, in words.
    public var reason: String?

    var share: Double { record.share }

    /// Agents that are to run with the new version now, where agents are given it.
    var chosen: ArraySlice<Member> {
        switch unit {
        case .tasks: return record.state == .finished ? members[...] : []
        case .agents:
            guard record.share < 1 else { return members[...] }
            let count = Int((record.share * Double(members.count)).rounded(.up))
            // Somebody is left to compare with.
            return members.prefix(min(count, members.count - 1))
        }
    }

    /// Where a subject falls, from 0 up to 1: as random as the digest is, and the same each time.
    static func place(of subject: String, salt: String) -> Double {
        let digits = Digest.sha256("\(salt) \(subject)").prefix(13)
        return Double(UInt64(digits, radix: 16) ?? 0) / Double(UInt64(1) << 52)
    }
}

// MARK: - What people read

extension BundleTrial {
    /// The verdict in words.
    var words: String {
        let (new, old) = (AgentBundle.short(version), "what it is to replace")
        switch record.state {
        case .finished:
            return record.isUnproven
                ? "\(new) was given to all though not every step was proven" : "\(new) is no worse than \(old)"
        case .takenBack: return reason ?? "\(new) was taken back"
        case .canceled: return reason.map { "canceled: \($0)" } ?? "canceled"
        case .frozen: return reason ?? "units were given otherwise than planned, so nothing follows from them"
        case .running, .held:
            switch record.verdict {
            case .invalid: return "units are given otherwise than planned"
            case .regressed: return "\(new) is worse than \(old)"
            case .insufficient: return "too little has been seen to say anything"
            case .inconclusive: return "it cannot be told yet whether \(new) is worse"
            case .degradedWithinMargin: return "\(new) is a little worse, within what is allowed"
            case .nonInferior: return "\(new) is no worse than \(old)"
            }
        }
    }

    /// What it waits for; `nil` once it is over.
    func waitsFor(at now: Timestamp) -> String? {
        switch record.state {
        case .finished, .takenBack, .canceled: return nil
        case .frozen: return "somebody to see why, then resume or cancel it"
        case .held: return "somebody to promote or cancel it: time is up, and it is still not known"
        case .running: break
        }
        guard record.begun > 0 else {
            return unit == .tasks
                ? "the first task: workers take the version of each claim (reeve work does, others say "
                    + "\"takesBundle\": true)"
                : "the first task of an agent that runs with either version"
        }
        let step = record.steps[record.step]
        let units = record.tallies.values.map(\.new.trials).min() ?? 0
        var parts: [String] = []
        let left = record.stepStartedAt + step.lasts - now
        if left > .zero { parts.append("\(Int(left.seconds.rounded(.up))) s more of this step") }
        if units < step.unitsMin { parts.append("\(step.unitsMin - units) more ends of attempts with the new version") }
        guard parts.isEmpty else { return parts.joined(separator: ", and ") }
        return record.triedNextAt.map { "evidence: it is looked at again at \($0)" } ?? "evidence"
    }

    func document(at now: Timestamp) -> JSONValue {
        let step = record.steps[record.step]
        return [
            "id": id.json, "version": .string(version), "unit": .string(unit.rawValue),
            "agents": .array(
                members.map { member in
                    ["agent": .string(member.agent), "stable": .string(member.stable)]
                }),
            "given": .list(chosen.map(\.agent)), "state": .string(record.state.rawValue),
            "step": .int(Int64(record.step + 1)), "share": .double(record.share),
            "steps": .array(record.steps.map(Self.document)), "stepStartedAt": record.stepStartedAt.json,
            "stepEndsAt": record.state.isOver ? .null : (record.stepStartedAt + step.lasts).json,
            "begun": .int(Int64(record.begun)), "begunNew": .int(Int64(record.begunNew)),
            "measures": .object(
                JSONObject(
                    BundleRollout.Measure.allCases.compactMap { measure in
                        record.tallies[measure].map { .init(name: measure.rawValue, value: document(measure, $0)) }
                    })),
            "verdict": .string(record.verdict.rawValue), "words": .string(words), "waitsFor": .of(waitsFor(at: now)),
            "unproven": .bool(record.isUnproven), "costLimitUSD": .of(costLimit.map { Double($0) / 1e9 }),
            "author": .string(author), "message": .string(message), "reason": .of(reason),
            "createdAt": record.startedAt.json, "updatedAt": updatedAt.json, "endedAt": .of(endedAt),
        ]
    }

    private static func document(_ step: BundleRollout.Step) -> JSONValue {
        [
            "share": .double(step.share), "seconds": .double(step.lasts.seconds),
            "unitsMin": .int(Int64(step.unitsMin)), "margin": .double(step.margin),
        ]
    }

    private func document(_ measure: BundleRollout.Measure, _ tally: BundleRollout.Tally) -> JSONValue {
        func side(_ side: Proportion) -> JSONValue {
            [
                "units": .int(Int64(side.trials)), "failed": .int(Int64(side.failures)),
                "rate": side.trials == 0 ? .null : .double(side.rate),
            ]
        }
        return [
            "verdict": .of(record.verdict(measure)?.rawValue),
            // A product of many ratios: a reader of JSON need not know infinity.
            "evidence": .double(min(tally.evidence.value, 1e300)), "evidenceMax": .double(1 / record.alpha),
            "new": side(tally.new), "old": side(tally.old),
        ]
    }
}
