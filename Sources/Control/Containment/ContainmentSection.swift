import Kernel

/// What is proposed and done against an incident, as a part of its page: include `{{> containments}}` where this is in
/// the view.
public struct ContainmentSection: PageView {
    let hasAny: Bool
    let items: [ContainmentItemView]
    let apiPath: String
    let actions: [ActionChoiceView]

    /// - Parameter actions: What may be proposed by hand.
    init(
        _ containments: [Containment], radii: [Identifier<Containment>: BlastRadius], incident: String,
        doors: ContainmentDoors, now: Timestamp
    ) {
        items = containments.reversed().map { ContainmentItemView($0, radii[$0.id], now: now) }
        hasAny = !items.isEmpty
        apiPath = "/api/v1/incidents/\(incident)/containments"
        actions = ContainmentAction.allCases.compactMap { action in
            let absence = action.door.flatMap { doors.has($0) ? nil : $0.absence }
            return ActionChoiceView(
                name: action.rawValue, title: action.title, absence: absence,
                parameter: action.subjects.first?.rawValue ?? "")
        }
    }
}

/// An action as a choice of a form, or as one that is not there yet.
struct ActionChoiceView: PageView {
    let name: String
    let title: String
    let absence: String?
    let parameter: String
}

/// A containment as an item of a list.
struct ContainmentItemView: PageView {
    let id: String
    let name: String
    let state: String
    let stateLabel: String
    let reason: String?
    let by: String
    let decided: String?
    let reversed: String?
    let created: TimeView
    let expires: TimeView?
    let steps: [ContainmentStepView]
    let isOpen: Bool
    let canReverse: Bool
    let isOver: Bool
    /// What it would touch now, while somebody has to decide.
    let reach: [String]
    let apiPath: String

    init(_ containment: Containment, _ radius: BlastRadius?, now: Timestamp) {
        reach = radius?.words ?? []
        id = containment.id.text
        name = containment.name
        let isEnded = containment.state == .acted && !containment.isInForce
        state = isEnded ? "done" : Self.mark(containment.state)
        stateLabel = isEnded ? "Acted, holds nothing" : PageText.label(containment.state.rawValue)
        reason = containment.reason.isEmpty ? nil : containment.reason
        by = containment.proposedBy
        decided = containment.decidedBy
        reversed = containment.reversedBy
        created = .ago(containment.createdAt, now: now)
        expires = containment.state == .asked ? TimeView.ago(containment.expiresAt, now: now) : nil
        steps = containment.steps.map(ContainmentStepView.init)
        isOpen = containment.state.isOpen
        canReverse = containment.canReverse
        isOver = containment.overAt != nil && containment.canReverse
        apiPath = "/api/v1/containments/\(id)"
    }

    /// The colour of a state.
    private static func mark(_ state: Containment.State) -> String {
        switch state {
        case .proposed, .asked: "waiting"
        case .acting, .reversing: "running"
        case .acted: "held"
        case .reversed: "done"
        case .refused, .expired: "canceled"
        case .failed: "failed"
        }
    }
}

struct ContainmentStepView: PageView {
    let title: String
    let words: String
    let state: String
    let outcomes: [OutcomeView]
    let more: String?

    /// Outcomes that are told of one step.
    private static let outcomesMax = 20

    init(_ step: ContainmentStep) {
        title = step.order.action.title
        words = PageText.clipped(step.order.words, 200)
        state = PageText.label(step.state.rawValue)
        outcomes = step.outcomes.prefix(Self.outcomesMax).map(OutcomeView.init)
        let rest = step.outcomes.count - outcomes.count
        more = rest > 0 ? "and \(rest) more" : nil
    }

    struct OutcomeView: PageView {
        let target: String
        let word: String
        let detail: String

        init(_ outcome: ContainmentOutcome) {
            (target, word) = (outcome.target, outcome.word.rawValue)
            detail = PageText.clipped(outcome.detail, 300)
        }
    }
}

/// Runs of runbooks on an incident, as a part of its page: include `{{> runbook-runs}}`.
public struct RunbookSection: PageView {
    let hasRuns: Bool
    let runs: [RunbookRunView]
    let apiPath: String
    let runbooks: [LinkView]

    init(_ runs: [RunbookRun], runbooks: [Runbook], incident: String, now: Timestamp) {
        self.runs = runs.map { RunbookRunView($0, now: now) }
        hasRuns = !runs.isEmpty
        apiPath = "/api/v1/incidents/\(incident)/run"
        self.runbooks = runbooks.map { LinkView(path: "/runbooks/\(PagePath.encoded($0.name))", label: $0.name) }
    }
}

struct RunbookRunView: PageView {
    let id: String
    let runbook: LinkView
    let state: String
    let stateLabel: String
    let reason: String?
    let by: String
    let started: TimeView
    let isLive: Bool
    let steps: [RunbookStepView]
    let apiPath: String

    init(_ run: RunbookRun, now: Timestamp) {
        id = run.id.text
        runbook = LinkView(path: "/runbooks/\(PagePath.encoded(run.runbook))", label: run.runbook)
        state =
            switch run.state {
            case .running: "running"
            case .checking: "waiting"
            case .done: "done"
            case .failed: "failed"
            case .unverified: "held"
            case .stopped: "canceled"
            }
        stateLabel = PageText.label(run.state.rawValue)
        reason = run.reason.isEmpty ? nil : run.reason
        by = run.startedBy
        started = .ago(run.startedAt, now: now)
        isLive = !run.state.isOver
        let path = "/api/v1/runs/\(run.id)"
        apiPath = path
        steps = run.steps.map { RunbookStepView($0, path: path, isLive: run.state != .stopped) }
    }
}

struct RunbookStepView: PageView {
    /// Characters of an evidence on a page.
    private static let evidenceMax = 2_000

    let kind: String
    let title: String
    let state: String
    let asked: String?
    let evidence: String?
    let actor: String?
    let tickPath: String?

    init(_ step: RunbookStep, path: String, isLive: Bool) {
        kind = step.kind.rawValue
        title = step.title
        state = PageText.label(step.state.rawValue)
        asked = step.evidence["asked"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        actor = step.actor
        let told = step.evidence["fault"]?.string ?? step.evidence["note"]?.string
        let answer = step.evidence["answer"].flatMap { $0.isNull ? nil : $0.string ?? $0.prettyText }
        let outcomes = (step.evidence["outcomes"]?.array ?? []).compactMap(ContainmentOutcome.init)
            .map { "\($0.target): \($0.word.rawValue) \($0.detail)" }.joined(separator: "\n")
        evidence = (told ?? answer ?? (outcomes.isEmpty ? nil : outcomes)).map {
            PageText.clipped($0, Self.evidenceMax)
        }
        tickPath = step.kind == .check && step.state == .waiting && isLive ? "\(path)/checks/\(step.number)" : nil
    }
}

extension ContainmentService {
    /// Of those that somebody has to decide on, whose reach the page tells: the newest.
    static let previewedMax = 5

    /// The part of an incident's page that tells what is done about it.
    public func section(of incident: Incident, in transaction: Transaction) throws -> ContainmentSection {
        let all = try containments(of: incident.id.text, in: transaction)
        var radii: [Identifier<Containment>: BlastRadius] = [:]
        for open in all.filter(\.state.isOpen).suffix(Self.previewedMax) {
            radii[open.id] = try hands.radius(of: open.steps.map(\.order), in: transaction)
        }
        return ContainmentSection(all, radii: radii, incident: incident.id.text, doors: doors, now: world.now)
    }
}

extension RunbookService {
    /// Runs on one page.
    static let runsShown = 10

    /// The part of an incident's page that tells of its runs.
    public func section(of incident: Incident, in transaction: Transaction) throws -> RunbookSection {
        let runs = try store.runs(
            of: incident.id.text, page: Page(limit: Self.runsShown, after: nil), in: transaction)
        return RunbookSection(
            Array(runs.prefix(Self.runsShown)), runbooks: library.runbooks, incident: incident.id.text, now: world.now)
    }
}

/// Containments as a section of the incident room.
public struct ContainmentRoom: IncidentRoomSection {
    let service: ContainmentService

    public init(service: ContainmentService) { self.service = service }

    public func section(
        _ incident: Incident, for principal: Principal, in transaction: Transaction
    ) throws -> IncidentRoomPart? {
        IncidentRoomPart(
            id: "containments", title: "Containment", template: "containments",
            view: try service.section(of: incident, in: transaction))
    }
}

/// Runs of runbooks as a section of the incident room.
public struct RunbookRoom: IncidentRoomSection {
    let service: RunbookService

    public init(service: RunbookService) { self.service = service }

    public func section(
        _ incident: Incident, for principal: Principal, in transaction: Transaction
    ) throws -> IncidentRoomPart? {
        IncidentRoomPart(
            id: "runs", title: "Runbooks", template: "runbook-runs",
            view: try service.section(of: incident, in: transaction))
    }
}
