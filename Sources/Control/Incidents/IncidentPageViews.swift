import Kernel
import Telemetry

struct IncidentListView: PageView {
    let subtitle: String
    let showsSubtitle: Bool
    let filters: [FilterView]
    let state: String?
    let severity: String
    let mode: String
    let modes: [String]
    let hasIncidents: Bool
    let incidents: [IncidentRowView]
    let noIncidents: EmptyView
    let pager: PagerView
}

/// An incident as a row.
struct IncidentRowView: PageView {
    let id: String
    let path: String
    let title: String
    let severity: String
    let severityLabel: String
    let state: String
    let stateLabel: String
    let mode: String?
    let subjects: String
    let detected: TimeView
    let took: String?

    init(_ incident: Incident, now: Timestamp) {
        id = incident.id.text
        path = PagePath.incident(id)
        title = incident.title
        severity = incident.severity.rawValue
        severityLabel = PageText.label(severity)
        state = incident.state.rawValue
        stateLabel = incident.mergedInto == nil ? PageText.label(state) : "Merged"
        mode = incident.mode?.rawValue
        subjects = RootCauseRanking.list(incident.subjects)
        detected = .ago(incident.begin, now: now)
        took = incident.milestones[.resolved].map { PageText.span($0 - incident.begin) }
    }
}

/// What the room is made from.
struct IncidentRoomFacts {
    let incident: Incident
    let entries: [IncidentEntry]
    let alerts: [IncidentAlert]
    let analysis: IncidentAnalysis
    let document: String
    let postmortem: Postmortem
    let items: [ActionItem]
    let traces: [(id: String, at: Timestamp, agent: String, correlationID: String?)]
    let sections: [IncidentRoomPart]
    let deliverables: [Deliverable]
    let window: Range<Timestamp>
}

/// A milestone on the way, or one that is yet to come.
struct IncidentStepView: PageView {
    let name: String
    let state: String
    let style: String
    let when: TimeView?
    let after: String?

    static func steps(_ incident: Incident, now: Timestamp) -> [IncidentStepView] {
        Incident.Milestone.allCases.map { milestone in
            let at = incident.milestones[milestone]
            return IncidentStepView(
                name: PageText.label(milestone.rawValue), state: milestone.rawValue,
                style: at == nil ? "todo-step" : milestone == incident.state ? "now" : "past",
                when: .ago(at, now: now),
                after: milestone == .detected ? nil : at.map { "after \(PageText.span($0 - incident.begin))" })
        }
    }
}

/// A button that states a milestone.
struct IncidentVerbView: PageView {
    let milestone: String
    let label: String
    let body: String
    let path: String
    let isPrimary: Bool
}

/// An entry of the timeline.
struct IncidentEntryView: PageView {
    let at: TimeView
    let clock: String
    let kind: String
    let action: String
    let state: String
    let target: String
    let targetPath: String?
    let actor: String
    let text: String?

    /// - Parameter own: The incident's own name, which says nothing new in its room.
    init(_ entry: IncidentEntry, own: String, now: Timestamp) {
        at = .ago(entry.at, now: now)
        clock = PageText.full(entry.at)
        kind = entry.kind
        action = entry.action
        state = ["regressed", "reopened", "fired", "flapping"].contains(entry.action) ? "failed" : ""
        target = entry.target == own ? "" : entry.target
        targetPath = entry.target == own ? nil : Self.path(entry.target)
        actor = entry.actor
        text = entry.text.map { PageText.clipped($0, 1_000) }
    }

    /// Where a subject has a page of its own.
    static func path(_ subject: String) -> String? {
        guard let colon = subject.firstIndex(of: ":") else { return nil }
        let name = String(subject[subject.index(after: colon)...])
        switch subject[..<colon] {
        case "agent": return PagePath.agent(name)
        case "task": return PagePath.task(name)
        case "incident": return PagePath.incident(name)
        case "queue": return "/queues"
        case "provider", "model": return "/models"
        case "budget": return "/budgets"
        default: return nil
        }
    }
}

/// All that happened in an incident, in pages.
struct IncidentTimelineView: PageView {
    let room: LinkView
    let orders: [FilterView]
    let hasEntries: Bool
    let entries: [IncidentEntryView]
    let pager: PagerView

    init(
        _ incident: Incident, _ entries: [IncidentEntry], isOldestFirst: Bool, isFirst: Bool, next: String?,
        now: Timestamp
    ) {
        let path = PagePath.incident(incident.id.text)
        let order = isOldestFirst ? "oldest" : "newest"
        func page(_ order: String, after: String? = nil) -> String {
            PagePath.query("\(path)/timeline", [("order", order), ("after", after)])
        }
        room = LinkView(path: path, label: incident.title)
        orders = ["newest", "oldest"].map {
            FilterView(path: page($0), label: "The \($0) first", state: "", isCurrent: $0 == order)
        }
        hasEntries = !entries.isEmpty
        self.entries = entries.map { IncidentEntryView($0, own: incident.target, now: now) }
        pager = PagerView(first: isFirst ? nil : page(order), next: next.map { page(order, after: $0) })
    }
}

struct SubjectView: PageView {
    let name: String
    let path: String?
}

struct IncidentAlertView: PageView {
    let name: String
    let summary: String
    let state: String
    let stateLabel: String
    let times: String?
    let since: TimeView
    let fingerprint: String

    init(_ alert: IncidentAlert, now: Timestamp) {
        name = alert.name
        summary = alert.summary
        state = alert.endedAt == nil ? "firing" : "resolved"
        stateLabel = PageText.label(state)
        times = alert.times > 1 ? "\(alert.times) times" : nil
        since = .ago(alert.endedAt ?? alert.lastAt, now: now)
        fingerprint = alert.fingerprint
    }
}

struct RootCauseView: PageView {
    let target: String
    let path: String?
    let score: String
    let percent: Int
    let why: [String]

    init(_ cause: RootCause) {
        target = cause.target
        path = IncidentEntryView.path(cause.target)
        score = PageText.decimal(cause.score, digits: 2)
        percent = Int((cause.score * 100).rounded())
        why = cause.evidence
    }
}

struct ActionItemView: PageView {
    let number: Int64
    let summary: String
    let owner: String
    let due: String?
    let isOverdue: Bool
    let isOpen: Bool
    let state: String
    let path: String

    init(_ item: ActionItem, api: String, now: Timestamp) {
        number = item.number
        summary = item.summary
        owner = item.owner
        due = item.dueOn
        isOverdue = item.isOverdue(at: now)
        isOpen = item.state == .open
        state = item.state.rawValue
        path = "\(api)/actions/\(item.number)"
    }
}

struct ActionProposalView: PageView {
    let key: String
    let summary: String
    let because: String
    let owner: String
    let due: String
    let path: String

    init(_ proposal: ActionProposal, api: String) {
        (key, summary, because) = (proposal.key, proposal.summary, proposal.because)
        (owner, due, path) = (proposal.owner, proposal.dueOn, "\(api)/actions")
    }
}

struct IncidentTraceView: PageView {
    let path: String
    let short: String
    let agent: String
    let at: TimeView

    init(_ id: String, agent: String, at: TimeView) {
        (path, short) = (PagePath.trace(id), String(id.prefix(16)))
        (self.agent, self.at) = (agent, at)
    }
}

struct IncidentDeliverableView: PageView {
    let path: String
    let name: String
    let agent: String
    let at: TimeView

    init(_ deliverable: Deliverable, now: Timestamp) {
        path = PagePath.task(deliverable.taskID.text)
        name = "\(deliverable.name) #\(deliverable.revision)"
        agent = deliverable.agent
        at = .ago(deliverable.createdAt, now: now)
    }
}

struct IncidentRoomView: PageView {
    let id: String
    let title: String
    let apiPath: String
    let severity: String
    let severityLabel: String
    let state: String
    let stateLabel: String
    let canOperate: Bool
    let isOpen: Bool
    let verbs: [IncidentVerbView]
    let otherVerbs: [IncidentVerbView]
    let steps: [IncidentStepView]
    let merged: LinkView?
    let etag: String
    let status: String?
    let statusBy: String?
    let statusAt: TimeView?
    let subjects: [SubjectView]
    let nature: String
    let confidence: String
    let evidence: [String]
    let hasEvidence: Bool
    let otherNature: String
    let hasCauses: Bool
    let causes: [RootCauseView]
    let impact: [FactView]
    let hasAlerts: Bool
    let alerts: [IncidentAlertView]
    let sections: [IncidentRoomPart]
    let entries: [IncidentEntryView]
    let hiddenEntries: LinkView?
    let hasTraces: Bool
    let traces: [IncidentTraceView]
    let links: [LinkView]
    let hasDeliverables: Bool
    let deliverables: [IncidentDeliverableView]
    let hasItems: Bool
    let items: [ActionItemView]
    let hasProposals: Bool
    let proposals: [ActionProposalView]
    let document: String
    let documentTag: String
    let postmortemState: String
    let postmortemLabel: String
    let due: TimeView?
    let isOverdue: Bool
    let waived: String?
    let canPublish: Bool

    init(_ facts: IncidentRoomFacts, canOperate: Bool, now: Timestamp) {
        let incident = facts.incident
        id = incident.id.text
        title = incident.title
        let api = "\(IncidentRoutes.path)/\(incident.id.text)"
        apiPath = api
        severity = incident.severity.rawValue
        severityLabel = PageText.label(incident.severity.rawValue)
        state = incident.state.rawValue
        stateLabel = incident.mergedInto == nil ? PageText.label(incident.state.rawValue) : "Merged"
        self.canOperate = canOperate
        isOpen = incident.isOpen
        let all = Self.verbs(incident, api)
        (verbs, otherVerbs) = (all.filter(\.isPrimary), all.filter { !$0.isPrimary })
        steps = IncidentStepView.steps(incident, now: now)
        merged = incident.mergedInto.map { LinkView(path: PagePath.incident($0), label: $0) }
        etag = incident.etag
        (status, statusBy) = (incident.status?.text, incident.status?.by)
        statusAt = .ago(incident.status?.at, now: now)
        subjects = incident.subjects.map { SubjectView(name: $0, path: IncidentEntryView.path($0)) }
        let assessment = facts.analysis.assessment
        let kind = assessment.saidBy ?? assessment.kind
        (nature, confidence) = Self.nature(assessment)
        evidence = assessment.evidence.map { "\($0.text) (\($0.kind.rawValue))" }
        hasEvidence = !assessment.evidence.isEmpty
        otherNature = (kind == .infrastructure ? FailureKind.behavioural : .infrastructure).rawValue
        causes = facts.analysis.candidates.map(RootCauseView.init)
        hasCauses = !facts.analysis.candidates.isEmpty
        impact = Self.impact(facts.analysis.impact)
        alerts = facts.alerts.map { IncidentAlertView($0, now: now) }
        hasAlerts = !facts.alerts.isEmpty
        sections = facts.sections
        let shown = facts.entries.suffix(IncidentPages.entriesMax)
        entries = shown.reversed().map { IncidentEntryView($0, own: incident.target, now: now) }
        hiddenEntries =
            shown.count < facts.entries.count
            ? LinkView(
                path: "\(PagePath.incident(incident.id.text))/timeline",
                label: "\(PageText.count(Int64(facts.entries.count - shown.count))) older ones") : nil
        traces = facts.traces.map { IncidentTraceView($0.id, agent: $0.agent, at: .ago($0.at, now: now)) }
        hasTraces = !facts.traces.isEmpty
        links = Self.links(incident, facts.analysis.impact.agents, facts.window)
        deliverables = facts.deliverables.map { IncidentDeliverableView($0, now: now) }
        hasDeliverables = !facts.deliverables.isEmpty
        items = facts.items.map { ActionItemView($0, api: api, now: now) }
        hasItems = !facts.items.isEmpty
        proposals = facts.analysis.proposals.map { ActionProposalView($0, api: api) }
        hasProposals = !facts.analysis.proposals.isEmpty
        document = facts.document
        documentTag = facts.postmortem.etag
        postmortemState = facts.postmortem.json(of: incident)["state"]?.string ?? "draft"
        postmortemLabel = PageText.label(postmortemState)
        due = .ago(facts.postmortem.dueAt, now: now)
        isOverdue = facts.postmortem.dueAt.map { $0 <= now } ?? false
        waived = facts.postmortem.waivedWhy
        canPublish = !incident.isOpen && incident.milestones[.postmortem] == nil && incident.mergedInto == nil
    }

    private static func nature(_ assessment: IncidentAssessment) -> (String, confidence: String) {
        if let kind = assessment.saidBy { return (PageText.label(kind.rawValue), "a person said so") }
        guard let kind = assessment.kind else { return ("Not clear yet", "the evidence speaks for neither") }
        return (PageText.label(kind.rawValue), "confidence \(PageText.percent(assessment.confidence * 100))")
    }

    private static func verbs(_ incident: Incident, _ api: String) -> [IncidentVerbView] {
        guard incident.isOpen else { return [] }
        let next = Incident.Milestone.allCases.first {
            $0 != .detected && incident.milestones[$0] == nil
        }
        let labels: [(Incident.Milestone, String)] = [
            (.acknowledged, "Acknowledge"), (.contained, "Contained"), (.mitigated, "Mitigated"),
            (.verified, "Verified"), (.resolved, "Resolve"),
        ]
        return labels.filter { incident.milestones[$0.0] == nil }.map { milestone, label in
            IncidentVerbView(
                milestone: milestone.rawValue, label: label,
                body: (["milestone": .string(milestone.rawValue)] as JSONValue).text, path: "\(api)/milestones",
                isPrimary: milestone == next || milestone == .resolved)
        }
    }

    private static func impact(_ impact: IncidentImpact) -> [FactView] {
        let about = impact.spend.isCut ? "at least " : ""
        let tasks = impact.tasks.map { "\(PageText.count($0.count)) \(PageText.label($0.outcome).lowercased())" }
        return [
            FactView(name: "Lasted", value: PageText.span(impact.until - impact.from)),
            FactView(name: "Tasks", value: tasks.isEmpty ? "none" : tasks.joined(separator: ", ")),
            FactView(name: "Sessions", value: "\(about)\(PageText.count(impact.spend.sessions))"),
            FactView(
                name: "Calls",
                value: "\(about)\(PageText.count(impact.spend.calls)), \(PageText.count(impact.spend.failed)) failed"),
            FactView(name: "Cost", value: "\(about)\(PageText.dollars(nano: impact.spend.nanoUSD))"),
            FactView(
                name: "Agents", value: impact.agents.isEmpty ? "none named" : RootCauseRanking.list(impact.agents)),
        ]
    }

    /// Agents whose links the room shows.
    private static let linkedAgentsMax = 5

    private static func links(
        _ incident: Incident, _ agents: [String], _ window: Range<Timestamp>
    ) -> [LinkView] {
        let times = [("since", PageText.iso(window.lowerBound)), ("until", PageText.iso(window.upperBound))]
        // Of several agents each has its own.
        let agents = Array(agents.prefix(linkedAgentsMax))
        let isAbout = !(incident.subjects(of: "model") + incident.subjects(of: "provider")).isEmpty
        return (agents.isEmpty ? [nil] : agents.map(Optional.some)).flatMap { agent -> [LinkView] in
            func label(_ text: String) -> String { agents.count > 1 ? "\(text) of \(agent ?? "")" : text }
            return [
                LinkView(
                    path: PagePath.query("/traces", times + [("agent", agent), ("status", "error")]),
                    label: label("Traces")),
                LinkView(path: PagePath.query("/logs", times + [("agent", agent)]), label: label("Logs")),
                LinkView(path: PagePath.query("/calls", times + [("agent", agent)]), label: label("Calls")),
                LinkView(path: PagePath.query("/tasks", times + [("agent", agent)]), label: label("Tasks")),
                LinkView(path: PagePath.query("/events", [("agent", agent)]), label: label("Events")),
            ]
        } + (isAbout ? [LinkView(path: "/models", label: "Models")] : [])
    }
}
