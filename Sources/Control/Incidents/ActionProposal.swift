import Kernel
import Telemetry

/// Something to be done that the evidence of an incident speaks for. It is an action item once somebody takes it.
struct ActionProposal: Sendable, Equatable {
    /// What it is proposed from: an item that was made of it names this.
    let key: String
    let summary: String
    /// What speaks for it, as the timeline has it.
    let because: String
    /// A person's name, or ``ActionProposals/nobody``.
    let owner: String
    /// A day, as 2026-11-30.
    let dueOn: String
}

extension ActionProposal: JSONConvertible {
    var json: JSONValue {
        [
            "proposal": .string(key), "summary": .string(summary), "because": .string(because),
            "owner": .string(owner), "dueOn": .string(dueOn),
        ]
    }
}

/// What an incident is asked, to propose action items: each rule names what it saw. A pure function of what is known;
/// where nothing speaks for anything, nothing is proposed.
enum ActionProposals {
    static let proposalsMax = 12
    static let nobody = "unassigned"
    /// First signs earlier than this before the first alert say that the alert came late.
    static let detectBound = Span.minutes(5)
    /// A question that was open for longer than this held containment up.
    static let askBound = Span.minutes(1)
    /// Nobody said for longer than this that they see to it.
    static let acknowledgeBound = Span.minutes(15)
    /// A change counts where it is suspected so much.
    static let changeScoreMin = 0.4
    /// Days until items are due.
    static let days: (critical: Int64, others: Int64) = (7, 14)

    /// What is known of an incident besides its facts.
    struct Ground: Sendable {
        var candidates: [RootCause] = []
        var alerts: [IncidentAlert] = []
        /// Whether a runbook is written for it; `nil` where that is not known.
        var hasRunbook: Bool?
        /// Owners of agents by their labels.
        var owners: [String: String] = [:]
        /// Who saw to it, or was told.
        var responder: String?
        /// Of what an item was made already.
        var taken: Set<String> = []
    }

    private typealias Found = (key: String, summary: String, because: String, agent: String?)

    static func of(_ incident: Incident, _ facts: IncidentFacts, _ ground: Ground) -> [ActionProposal] {
        let found =
            detection(facts, ground) + acknowledgement(incident) + containment(facts) + runbooks(facts, ground)
            + changes(ground) + causes(facts, ground) + budgets(incident, facts) + noise(ground)
        let days = incident.severity == .critical ? Self.days.critical : Self.days.others
        let due = (incident.milestones[.resolved] ?? incident.begin) + .hours(24 * days)
        var keys = ground.taken
        return found.filter { keys.insert($0.key).inserted }.prefix(proposalsMax).map { one in
            ActionProposal(
                key: one.key, summary: String(one.summary.prefix(ActionItem.summaryMax)), because: one.because,
                owner: one.agent.flatMap { ground.owners[$0] } ?? ground.responder ?? nobody,
                dueOn: String(due.rfc3339.prefix(10)))
        }
    }

    // MARK: How it was found and answered

    private static func detection(_ facts: IncidentFacts, _ ground: Ground) -> [Found] {
        guard let alert = ground.alerts.min(by: { $0.firstAt < $1.firstAt }) else { return [] }
        let kinds: Set<String> = ["breaker", "budget", "loop", "task"]
        let isSign = { (entry: IncidentEntry) in
            kinds.contains(entry.kind)
                && ![
                    "model.breaker_closed", "model.breaker_reset", "model.outage.ended",
                    "task.hold_lifted", "task.requeued", "task.reassigned", "task.canceled",
                ].contains(entry.action)
        }
        guard let first = facts.entries.filter(isSign).min(by: { $0.at < $1.at }),
            alert.firstAt - first.at > detectBound
        else { return [] }
        return [
            (
                "detection:\(alert.name)",
                "Tighten \(alert.name), or add a rule for \(first.action), so that it is seen "
                    + "within \(PageText.span(detectBound))",
                "\(first.action) of \(first.target) came \(PageText.span(alert.firstAt - first.at)) before it",
                nil
            )
        ]
    }

    private static func acknowledgement(_ incident: Incident) -> [Found] {
        guard incident.severity == .critical, let at = incident.milestones[.acknowledged],
            at - incident.begin > acknowledgeBound
        else { return [] }
        return [
            (
                "acknowledgement", "Shorten the waits of the on-call chain",
                "it was acknowledged after \(PageText.span(at - incident.begin))", nil
            )
        ]
    }

    private static func containment(_ facts: IncidentFacts) -> [Found] {
        let all = facts.entries.filter { $0.kind == "containment" }
        let byID = Dictionary(grouping: all) { $0.detail["containment"]?.string ?? "" }
        return byID.filter { !$0.key.isEmpty }.sorted { $0.key < $1.key }.compactMap { _, entries -> Found? in
            guard let asked = entries.first(where: { ["asked", "proposed"].contains($0.action) }),
                let mode = asked.target.split(separator: ":").last.map(String.init),
                FailureMode(rawValue: mode) != nil
            else { return nil }
            let key = "containment:\(mode)"
            if entries.contains(where: { $0.action == "expired" }) {
                return (
                    key, "Let the plan for \(mode) act by itself (`alerts.containment.modes`), or name who answers",
                    "the plan was \(asked.action) and nobody answered", nil
                )
            }
            guard let acted = entries.first(where: { $0.detail["step"] != nil }), acted.at - asked.at > askBound else {
                return nil
            }
            return (
                key, "Let the plan for \(mode) act by itself (`alerts.containment.modes`: `act`)",
                "it waited \(PageText.span(acted.at - asked.at)) for approval", nil
            )
        }
    }

    private static func runbooks(_ facts: IncidentFacts, _ ground: Ground) -> [Found] {
        let entries = facts.entries.filter { $0.kind == "runbook" }
        let names = Set(ground.alerts.map(\.name)).sorted()
        if ground.hasRunbook == false, entries.isEmpty, let name = names.first {
            return [
                ("runbook:\(name)", "Write a runbook for \(name)", "no runbook is written for \(names[0])", nil)
            ]
        }
        let runs = Dictionary(grouping: entries) { $0.detail["run"]?.string ?? "" }
        return runs.sorted { $0.key < $1.key }.compactMap { _, entries -> Found? in
            guard let last = entries.last else { return nil }
            let name = last.target
            if entries.contains(where: { $0.action == "failed" }) {
                let why = entries.last { $0.action == "failed" }?.detail["detail"]?.string ?? ""
                return ("\(name):failed", "Mend the \(name.replacing(":", with: " "))", "its run failed: \(why)", nil)
            }
            let isChecking = entries.contains { $0.action == "checking" }
            guard isChecking, !entries.contains(where: { $0.action == "done" }) else { return nil }
            return (
                "\(name):checks", "Do the manual checks of the \(name.replacing(":", with: " ")), or drop them",
                "they were not ticked to the end", nil
            )
        }
    }

    private static func noise(_ ground: Ground) -> [Found] {
        ground.alerts.filter { $0.times >= IncidentPolicy.flapsFrom }.map { alert in
            (
                "noise:\(alert.name)", "Steady \(alert.name): a longer `for`, or `keep_firing_for`",
                "it began \(alert.times) times within the incident", nil
            )
        }
    }

    // MARK: What it came from

    private static func changes(_ ground: Ground) -> [Found] {
        // A key that is made, or an agent that comes, is nothing to be checked before.
        let usual = ["key.created ", "agent.registered "]
        let suspected = ground.candidates.filter { cause in
            cause.kind == "change" && cause.score >= changeScoreMin && !usual.contains(where: cause.target.hasPrefix)
        }
        return suspected.prefix(2).map { cause in
            let agent = cause.target.split(separator: " ").last.flatMap { name($0, "agent") }
            let isRollout = ["deploy", "release"].contains { cause.target.hasPrefix($0) }
            return (
                "change:\(cause.target)",
                isRollout
                    ? "Roll out to a part first (a canary), with a check that stops: \(cause.target)"
                    : "Add a check before changes of this kind: \(cause.target)",
                cause.evidence.joined(separator: "; "), agent
            )
        }
    }

    private static func causes(_ facts: IncidentFacts, _ ground: Ground) -> [Found] {
        ground.candidates.prefix(3).compactMap { cause -> Found? in
            let because = cause.evidence.joined(separator: "; ")
            switch cause.kind {
            case "provider":
                return ("provider:\(cause.target)", "Add a fallback for models of \(cause.target)", because, nil)
            case "task":
                return (
                    "review:\(cause.target)", "Check what \(cause.target) hands in before others build on it", because,
                    name(Substring(cause.target), "agent")
                )
            case "agent":
                let isLoop = facts.entries("model.loop_detected").contains {
                    $0.detail["agent"]?.string.map { "agent:\($0)" } == cause.target
                }
                return (
                    "agent:\(cause.target)",
                    isLoop
                        ? "Bound the runs of \(cause.target): turns, and a stop where nothing moves"
                        : "Find out why \(cause.target) fell silent, and have it restarted by itself", because,
                    name(Substring(cause.target), "agent")
                )
            default: return nil
            }
        }
    }

    private static func budgets(_ incident: Incident, _ facts: IncidentFacts) -> [Found] {
        let spent = facts.entries("budget.exhausted").first
        guard incident.mode == .budgetRunaway || spent != nil else { return [] }
        let target = incident.subjects.first { $0.hasPrefix("agent:") } ?? spent?.target ?? "the fleet"
        let because = spent.map { "\($0.action) of \($0.target) at \($0.at)" } ?? "its failure mode is budget-runaway"
        return [
            ("budget:\(target)", "Set a limit for \(target) that ends it sooner", because, name(target[...], "agent"))
        ]
    }

    private static func name(_ target: Substring, _ kind: String) -> String? {
        target.hasPrefix("\(kind):") ? String(target.dropFirst(kind.count + 1)) : nil
    }
}

extension IncidentService {
    /// What is proposed to be done after an incident.
    func proposals(
        _ incident: Incident, _ facts: IncidentFacts, in transaction: Transaction
    ) throws -> [ActionProposal] {
        var ground = ActionProposals.Ground()
        ground.candidates = RootCauseRanking.candidates(facts)
        ground.alerts = try links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction)
        ground.hasRunbook = runbooks.map { library in
            let names = Set(ground.alerts.map(\.name))
            return library.runbooks.contains { $0.alerts.contains(where: names.contains) }
                || incident.mode.map { library.runbook($0.rawValue) != nil } ?? false
        }
        ground.taken = Set(try postmortems.items(of: incident.id, in: transaction).compactMap(\.proposal))
        for agent in incident.subjects(of: "agent").prefix(IncidentSurroundings.agentsMax) {
            ground.owners[agent] = try surroundings.owner(of: agent, in: transaction)
        }
        ground.responder = try responder(incident, facts, in: transaction)
        return ActionProposals.of(incident, facts, ground)
    }

    /// Whoever acknowledged it, else whoever was told.
    private func responder(
        _ incident: Incident, _ facts: IncidentFacts, in transaction: Transaction
    ) throws -> String? {
        let actor = facts.entries.last { $0.kind == "milestone" && $0.action == "acknowledged" }?.actor
        if let actor, actor != Principal.system.actor, let colon = actor.firstIndex(of: ":") {
            return String(actor[actor.index(after: colon)...])
        }
        for follower in followers { if let owner = try follower.owner(of: incident, in: transaction) { return owner } }
        return nil
    }
}
