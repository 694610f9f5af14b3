import Kernel
import Telemetry

/// The first question of an incident: does what agents run on fail, or what they do?
struct IncidentAssessment: Sendable, Equatable {
    struct Evidence: Sendable, Equatable {
        /// What it speaks for.
        let kind: FailureKind
        let weight: Double
        let text: String
    }

    /// `nil` where nothing speaks for either, or as much for both.
    let kind: FailureKind?
    /// From 0 to 1: how far the evidence for one outweighs that for the other, and how much there is of it.
    let confidence: Double
    /// What weighs most first.
    let evidence: [Evidence]
    /// What a person said; it counts whatever the evidence says.
    var saidBy: FailureKind?

    /// Evidence that weighs this much in all counts as enough.
    private static let enough = 2.0
    /// Failures of calls that are the provider's, as the gateway calls them (``FailureClass`` there).
    private static let providerFailures: Set<String> = [
        "rate_limited", "quota_exhausted", "overloaded", "server_error", "silent", "connection_refused", "reset",
        "stalled", "cut", "malformed", "unauthorized", "timeout",
    ]

    /// A pure function of the facts. Several of a kind weigh more than one, but never more than three times as much.
    static func of(_ facts: IncidentFacts) -> IncidentAssessment {
        var evidence: [Evidence] = []
        func add(_ kind: FailureKind, _ weight: Double, count: Int, _ text: String) {
            guard count > 0 else { return }
            evidence.append(Evidence(kind: kind, weight: weight * Double(min(count, 3)), text: text))
        }
        for mode in Set(facts.modes).sorted(by: { $0.rawValue < $1.rawValue }) {
            add(mode.kind, 1, count: 1, "an alert says \(mode.rawValue)")
        }
        for kind in Set(facts.natures).sorted(by: { $0.rawValue < $1.rawValue }) {
            add(kind, 1, count: 1, "an alert says \(kind.rawValue)")
        }
        let opened = Set(facts.entries("model.breaker_opened", "model.outage.began").map(\.target))
        add(.infrastructure, 1, count: opened.count, "breakers opened: \(RootCauseRanking.list(Array(opened)))")
        let provider = facts.failures.filter { providerFailures.contains($0.failure) }
        let failed = provider.reduce(0) { $0 + $1.count }
        add(
            .infrastructure, 0.5, count: failed >= 5 ? 2 : failed > 0 ? 1 : 0,
            "\(failed) calls failed at providers: \(RootCauseRanking.list(Array(Set(provider.map(\.failure)))))")
        let silent = Set(
            facts.entries("agent.status_changed").filter {
                ["offline", "unreachable"].contains($0.detail["to"]?.string ?? "")
            }.map(\.target))
        add(.infrastructure, 0.7, count: silent.count, "fell silent: \(RootCauseRanking.list(Array(silent)))")
        let lost = facts.entries("task.lease_lost").count
        add(.infrastructure, 0.3, count: lost, "\(lost) leases were lost")
        let loops = facts.entries("model.loop_detected").count
        add(.behavioural, 1, count: loops, "\(loops) runs went in circles")
        let reviews = facts.entries("task.reviewed").count
        add(.behavioural, 0.6, count: reviews, "\(reviews) results were sent back")
        let budgets = facts.entries("budget.exhausted").count
        add(.behavioural, 0.7, count: budgets, "\(budgets) budgets are spent")
        let stuck = facts.entries("task.held").filter {
            [HoldReason.noProgress, HoldReason.rejected, HoldReason.roundsExhausted, HoldReason.budget]
                .contains($0.detail["reason"]?.string ?? "")
        }.count
        add(.behavioural, 0.6, count: stuck, "\(stuck) tasks are held for what their agents did")
        let refused = facts.failures.filter { ["context_length", "content_filter", "too_large"].contains($0.failure) }
            .reduce(0) { $0 + $1.count }
        add(.behavioural, 0.5, count: refused > 0 ? 1 : 0, "\(refused) calls asked for what no model takes")
        return weighed(evidence.sorted { ($1.weight, $0.text) < ($0.weight, $1.text) })
    }

    private static func weighed(_ evidence: [Evidence]) -> IncidentAssessment {
        func sum(_ kind: FailureKind) -> Double { evidence.filter { $0.kind == kind }.reduce(0) { $0 + $1.weight } }
        let (infrastructure, behavioural) = (sum(.infrastructure), sum(.behavioural))
        let total = infrastructure + behavioural
        guard total > 0, infrastructure != behavioural else {
            return IncidentAssessment(kind: nil, confidence: 0, evidence: evidence)
        }
        let lead = (infrastructure - behavioural).magnitude / total
        return IncidentAssessment(
            kind: infrastructure > behavioural ? .infrastructure : .behavioural,
            confidence: lead * min(1, total / enough), evidence: evidence)
    }
}

extension IncidentAssessment: JSONConvertible {
    var json: JSONValue {
        [
            "kind": .of((saidBy ?? kind)?.rawValue), "confidence": .double((confidence * 100).rounded() / 100),
            "saidByPerson": .bool(saidBy != nil),
            "evidence": .array(
                evidence.map {
                    [
                        "kind": .string($0.kind.rawValue), "weight": .double(($0.weight * 100).rounded() / 100),
                        "text": .string($0.text),
                    ]
                }),
        ]
    }
}
