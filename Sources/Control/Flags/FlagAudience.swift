import Kernel

/// The agents under a flag that stands for a key of the configuration: what each gets for itself, without a user. Pure.
struct FlagAudience {
    /// Agents that are counted; of more the first by name.
    static let agentsMax = 1_000
    /// Of those, how many a page names.
    static let namedMax = 50

    struct Line: PageView {
        let agent: String
        let path: String
        let variant: String
        let reason: String
    }

    let lines: [Line]
    /// Agents by variant.
    let counts: [String: Int64]
    let agents: Int
    let hasMore: Bool

    /// - Parameter agents: At most one more than ``agentsMax``.
    init(_ flag: FeatureFlag, _ agents: [Agent], in edition: FlagBook.Edition, at now: Timestamp) {
        var flags = edition.flags
        flags[flag.key] = flag
        var (lines, counts): ([Line], [String: Int64]) = ([], [:])
        for agent in agents.prefix(Self.agentsMax) {
            let context = (try? FlagContext(ConfigSubject(agent))) ?? .empty
            let evaluator = FlagEvaluator(flags: flags, context: context, now: now)
            let decision = Result { () throws(FlagFailure) in try evaluator.decide(flag, depth: 0) }
            let line: (variant: String, reason: String)
            switch decision {
            case .success(let decision) where decision.reason == .disabled && flag.definition.offVariant == nil:
                line = ("nothing", "switched off")
            case .success(let decision):
                line = (decision.variant, decision.rule ?? decision.reason.rawValue)
                counts[decision.variant, default: 0] += 1
            case .failure(let failure): line = ("nothing", failure.code.rawValue)
            }
            if lines.count < Self.namedMax {
                lines.append(
                    Line(
                        agent: agent.name, path: "/agents/\(PagePath.encoded(agent.name))", variant: line.variant,
                        reason: line.reason))
            }
        }
        (self.lines, self.counts) = (lines, counts)
        self.agents = min(agents.count, Self.agentsMax)
        hasMore = agents.count > lines.count
    }

    var words: String {
        let count = PageText.plural(agents, "agent")
        return hasMore ? "\(count), the first \(lines.count) by name" : count
    }
}
