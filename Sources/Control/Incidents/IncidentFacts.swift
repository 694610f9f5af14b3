import Kernel
import Telemetry

/// What is known of an incident when it is judged: its cause, its nature, its cost.
struct IncidentFacts: Sendable {
    var detectedAt: Timestamp
    /// Agents, tasks, models… that it is about.
    var subjects: [String]
    /// How its alerts say that it fails.
    var modes: [FailureMode] = []
    /// As alerts say it that tell of no mode.
    var natures: [FailureKind] = []
    /// When its first alert began.
    var firstAlertAt: Timestamp?
    /// What happened, the oldest first.
    var entries: [IncidentEntry] = []
    /// How the tasks of its agents hang together.
    var edges: [TaskEdge] = []
    /// Calls that failed in its time.
    var failures: [CallFailures] = []
    /// Providers that its agents call.
    var providers: [String: [String]] = [:]

    /// Before this everything was well as far as anybody knows.
    var begin: Timestamp { min(detectedAt, firstAlertAt ?? detectedAt) }

    func entries(_ kind: IncidentChange.Kind) -> [IncidentEntry] { entries.filter { $0.kind == kind.rawValue } }
    func entries(_ actions: String...) -> [IncidentEntry] { entries.filter { actions.contains($0.action) } }

    var agents: [String] { Self.names(of: "agent", in: subjects) }

    static func names(of kind: String, in subjects: [String]) -> [String] {
        subjects.compactMap { $0.hasPrefix("\(kind):") ? String($0.dropFirst(kind.count + 1)) : nil }
    }
}

/// Something that may have brought an incident about.
struct RootCause: Sendable, Equatable {
    /// `provider`, `task`, `change`, `agent`, `budget`.
    let kind: String
    /// `provider:main`, `task:task_…`, `agent:writer`.
    let target: String
    /// From 0 to 1: how much speaks for it. Not a probability.
    var score: Double
    /// Why, each in one line.
    var evidence: [String]
    let at: Timestamp
}

extension RootCause: JSONConvertible {
    var json: JSONValue {
        [
            "kind": .string(kind), "target": .string(target), "score": .double((score * 100).rounded() / 100),
            "evidence": .list(evidence), "at": at.json,
        ]
    }
}

/// What may have brought an incident about, the likeliest first. A pure function of the facts: what it says can be
/// traced to entries of the timeline, edges of the task graph and calls that failed.
///
/// Scores add up what an operator would look for, and are bounded by 1: what came shortly before the first alert, what
/// others depend on, what came first of its kind. They order candidates; they are no probabilities.
enum RootCauseRanking {
    static let candidatesMax = 10
    /// How long before the first alert a change still counts half.
    static let changeHalfLife = Span.minutes(10)
    /// What came later than this after the first alert is no cause any more.
    static let lateMax = Span.minutes(2)
    /// The same for changes, which are known by their own time: as far apart as the clocks of replicas.
    static let changeLateMax = Span.seconds(2)

    static func candidates(_ facts: IncidentFacts) -> [RootCause] {
        var found: [String: RootCause] = [:]
        let all = providers(facts) + tasks(facts) + changes(facts) + agents(facts) + budgets(facts)
        for cause in all {
            // Of two that name the same the likelier one counts, then the first: whatever the order they come in.
            if let known = found[cause.target],
                (cause.score, known.at, known.evidence.joined()) <= (known.score, cause.at, cause.evidence.joined())
            {
                continue
            }
            found[cause.target] = cause
        }
        let ranked = found.values.sorted {
            ($1.score, $0.at, $0.target) < ($0.score, $1.at, $1.target)
        }
        return Array(ranked.prefix(candidatesMax))
    }

    /// Breakers that opened: the first one, and the one that the incident's agents call, count most.
    private static func providers(_ facts: IncidentFacts) -> [RootCause] {
        let opened = facts.entries("model.breaker_opened", "model.outage.began")
            .filter { $0.at <= facts.begin + lateMax }
        let first = opened.map(\.at).min()
        return Dictionary(grouping: opened, by: \.target).compactMap { target, entries in
            guard let entry = entries.min(by: { $0.at < $1.at }) else { return nil }
            var (score, why) = (0.55, ["\(entry.action) at \(entry.at)\(words(entry, "cause", "lastFailure"))"])
            if entry.at == first, Set(opened.map(\.target)).count > 1 {
                score += 0.15
                why.append("the first of \(Set(opened.map(\.target)).count) that opened")
            }
            if entry.at <= facts.begin { score += 0.1 }
            let name = IncidentFacts.names(of: "provider", in: [target]).first ?? ""
            let callers = facts.providers[name] ?? []
            if !callers.isEmpty {
                score += 0.15
                why.append("called by \(list(callers))")
            }
            let failed = facts.failures.filter { $0.provider == name }.reduce(0) { $0 + $1.count }
            if failed > 0 {
                score += 0.1
                why.append("\(failed) of its calls failed")
            }
            return RootCause(kind: "provider", target: target, score: min(1, score), evidence: why, at: entry.at)
        }
    }

    /// A task whose result was sent back, or that failed, and that others build on: its agent is where to look.
    private static func tasks(_ facts: IncidentFacts) -> [RootCause] {
        let bad = facts.entries("task.reviewed", "task.failed", "task.held").filter { $0.target.hasPrefix("task:") }
        let downstream = Dictionary(grouping: facts.edges, by: \.upstream)
        return Dictionary(grouping: bad, by: \.target).compactMap { target, entries in
            let id = String(target.dropFirst("task:".count))
            guard let fed = downstream[id], let entry = entries.min(by: { $0.at < $1.at }) else { return nil }
            let agent = fed.lazy.compactMap(\.upstreamAgent).first ?? entry.detail["agent"]?.string
            let others = Set(fed.compactMap(\.downstreamAgent)).subtracting([agent].compactMap(\.self)).sorted()
            // What is itself fed by something bad only passes it on.
            let sources = Set(facts.edges.filter { $0.downstream == id }.map { "task:\($0.upstream)" })
            let isPassedOn = bad.contains { sources.contains($0.target) }
            var score = 0.5 + 0.08 * Double(min(fed.count, 4))
            if entry.action == "task.reviewed" { score += 0.1 }
            if isPassedOn { score -= 0.25 }
            // What fails once its provider is out tells of the provider.
            let provider = agent.flatMap { outage(before: entry.at, of: $0, facts) }
            if provider != nil { score -= 0.25 }
            var why = ["\(entry.action)\(words(entry, "verdict", "reason", "comment")) at \(entry.at)"]
            why.append("\(fed.count) task\(fed.count == 1 ? "" : "s") build\(fed.count == 1 ? "s" : "") on its result")
            if !others.isEmpty { why.append("of \(list(others))") }
            if isPassedOn { why.append("it builds on another bad result itself") }
            if let provider { why.append("its agent calls \(provider), which was out by then") }
            if let agent { why.append("made by \(agent)") }
            return RootCause(
                kind: "task", target: agent.map { "agent:\($0)" } ?? target, score: min(1, score), evidence: why,
                at: entry.at)
        }
    }

    /// The provider that an agent calls and whose breaker was open before a moment.
    private static func outage(before time: Timestamp, of agent: String, _ facts: IncidentFacts) -> String? {
        facts.entries("model.breaker_opened", "model.outage.began").filter { $0.at <= time }.map(\.target).first {
            facts.providers[IncidentFacts.names(of: "provider", in: [$0]).first ?? ""]?.contains(agent) ?? false
        }
    }

    /// What somebody changed shortly before.
    private static func changes(_ facts: IncidentFacts) -> [RootCause] {
        let all = facts.entries(.change).compactMap { entry -> RootCause? in
            let before = facts.begin - entry.at
            guard before > Span(microseconds: -changeLateMax.microseconds) else { return nil }
            let minutes = max(0, before.seconds / 60)
            // Half as much with each ten minutes.
            var fresh = 1.0
            var rest = minutes
            while rest >= changeHalfLife.seconds / 60, fresh > 0.01 {
                fresh /= 2
                rest -= changeHalfLife.seconds / 60
            }
            fresh *= 1 - rest / (2 * changeHalfLife.seconds / 60)
            var score = 0.2 + 0.4 * fresh
            let ago = "\(PageText.span(before)) \(before >= .zero ? "before" : "after") the first alert"
            var why = ["\(entry.action) by \(entry.actor), \(ago)\(words(entry, "version", "name", "summary"))"]
            let about =
                [entry.target]
                + ["model", "provider"].compactMap { kind in
                    entry.detail[kind]?.string.map { "\(kind):\($0)" }
                }
            if let subject = about.first(where: facts.subjects.contains) {
                score += 0.2
                why.append("it is about \(subject)")
            } else if entry.action == "key.created" {
                // Somebody's new key changes nothing for others; a key that was revoked may.
                score /= 2
            }
            return RootCause(
                kind: "change", target: "\(entry.action) \(entry.target)", score: min(1, score), evidence: why,
                at: entry.at)
        }
        return withoutCrowds(all)
    }

    /// Candidates of one kind of change of files: a rollout that changes a hundred rules leaves room to others.
    static let alikeMax = 3

    private static func withoutCrowds(_ all: [RootCause]) -> [RootCause] {
        Dictionary(grouping: all) { $0.target.prefix { $0 != " " } }.flatMap { action, causes in
            guard action.hasPrefix("config."), causes.count > alikeMax else { return causes }
            var kept = causes.sorted { ($1.score, $0.at, $0.target) < ($0.score, $1.at, $1.target) }.prefix(alikeMax)
            kept[0].evidence.append("\(causes.count - alikeMax) more changes like it")
            return Array(kept)
        }
    }

    /// An agent that goes in circles, or fell silent.
    private static func agents(_ facts: IncidentFacts) -> [RootCause] {
        let loops = facts.entries("model.loop_detected").compactMap { entry in
            entry.detail["agent"]?.string.map { (agent: $0, entry: entry) }
        }
        let circles = Dictionary(grouping: loops, by: \.agent).compactMap { agent, found -> RootCause? in
            guard let first = found.map(\.entry).min(by: { $0.at < $1.at }) else { return nil }
            let isMeant = facts.subjects.contains("agent:\(agent)")
            return RootCause(
                kind: "agent", target: "agent:\(agent)", score: isMeant ? 0.75 : 0.5,
                evidence: ["\(found.count) of its runs went in circles, from \(first.at) on"], at: first.at)
        }
        let silent = facts.entries("agent.status_changed").filter {
            ["offline", "unreachable"].contains($0.detail["to"]?.string ?? "") && $0.at <= facts.begin + lateMax
        }
        return circles
            + silent.map { entry in
                RootCause(
                    kind: "agent", target: entry.target, score: facts.subjects.contains(entry.target) ? 0.5 : 0.4,
                    evidence: ["\(entry.detail["to"]?.string ?? "silent") since \(entry.at)"], at: entry.at)
            }
    }

    private static func budgets(_ facts: IncidentFacts) -> [RootCause] {
        facts.entries("budget.exhausted").filter { $0.at <= facts.begin + lateMax }.map { entry in
            RootCause(
                kind: "budget", target: entry.target, score: facts.subjects.contains(entry.target) ? 0.6 : 0.45,
                evidence: ["budget.exhausted at \(entry.at): calls are refused from then on"], at: entry.at)
        }
    }

    /// What an entry says of itself, where it says anything.
    private static func words(_ entry: IncidentEntry, _ names: String...) -> String {
        let said = names.compactMap { entry.detail[$0]?.string }.filter { !$0.isEmpty }
        return said.isEmpty ? "" : " (\(said.joined(separator: ", ")))"
    }

    static func list(_ names: [String]) -> String {
        let shown = names.sorted().prefix(5).joined(separator: ", ")
        return names.count > 5 ? "\(shown) and \(names.count - 5) more" : shown
    }
}
