import Kernel

/// What a containment would touch now, before somebody lets it act.
struct ContainmentPreviewView: PageView {
    struct StepView: PageView {
        let title: String
        let words: String
        let targets: String
        /// How many it reaches.
        let agents: String
        let isFinal: Bool
        let missing: String?
    }

    let title: String
    let state: String
    let stateLabel: String
    let reason: String?
    /// Absent where it is not kept any more.
    let incident: LinkView?
    let limits: String?
    let radius: [FactView]
    let touchesNothing: Bool
    let steps: [StepView]
    let canDecide: Bool
    let apiPath: String

    /// Names that are told of one kind.
    private static let namesMax = 12

    init(
        _ containment: Containment, _ incident: Incident?, _ radius: BlastRadius, steps: [StepView],
        objection: String?, canOperate: Bool
    ) {
        title =
            containment.steps.count == 1
            ? containment.steps[0].order.action.title : "Plan for \(containment.name)"
        state = containment.state.isOpen ? "waiting" : containment.state.rawValue
        stateLabel = PageText.label(containment.state.rawValue)
        reason = containment.reason.isEmpty ? nil : containment.reason
        self.incident = incident.map { LinkView(path: PagePath.incident($0.id.text), label: $0.title) }
        limits = objection
        func names(_ label: String, _ all: [String]) -> FactView? {
            guard !all.isEmpty else { return nil }
            let rest = all.count - Self.namesMax
            let shown = all.prefix(Self.namesMax).joined(separator: ", ")
            return FactView(
                name: label,
                value: "\(PageText.count(Int64(all.count))): \(shown)\(rest > 0 ? " and \(rest) more" : "")")
        }
        let touched = [
            names("Agents", radius.agents), names("Never to be touched, but reached", radius.protected),
            names("Tasks in progress", radius.tasksInProgress),
            names("Tasks held", radius.tasksHeld), names("Tasks that wait for those", radius.downstream),
            radius.queued > 0 ? FactView(name: "Ready tasks", value: PageText.count(radius.queued)) : nil,
            names("Models", radius.models), names("Sessions", radius.sessions), names("Others", radius.others),
        ].compactMap(\.self)
        touchesNothing = touched.isEmpty
        self.radius =
            touched
            + [
                names("Spared by the settings", radius.spared.map { "\($0.target), \($0.detail)" }),
                radius.isCut ? FactView(name: "More", value: "than one step takes at a time") : nil,
                FactView(name: "In flight", value: PageText.dollars(nano: radius.nanoUSDInFlight)),
                FactView(name: "Spends now", value: "\(PageText.dollars(nano: radius.nanoUSDPerHour)) an hour"),
                FactView(name: "Agents left alone", value: PageText.count(radius.agentsUntouched)),
            ].compactMap(\.self)
        self.steps = steps
        canDecide = canOperate && containment.state.isOpen
        apiPath = "/api/v1/containments/\(containment.id.text)"
    }
}

extension ContainmentService {
    /// The page of what a containment would touch.
    func previewView(
        _ id: String, canOperate: Bool, in transaction: Transaction
    ) throws -> ContainmentPreviewView {
        let containment = try containment(id, in: transaction)
        let incident = try Identifier<Incident>(containment.incidentID).flatMap {
            try incidents.incident($0, in: transaction)
        }
        let (all, radius) = try hands.survey(containment.steps.map(\.order), in: transaction)
        let alone = try store.actedAlone(since: world.now - .hours(1), in: transaction)
        let steps = all.map { one in
            let (action, targets) = (one.order.action, one.aim.targets.map(\.text))
            return ContainmentPreviewView.StepView(
                title: action.title, words: PageText.clipped(one.order.words, 300),
                targets: targets.isEmpty ? "nothing now" : RootCauseRanking.list(targets),
                agents: PageText.plural(one.radius.agents.count, "agent"),
                isFinal: !action.isReversible,
                missing: action.absence(one.order, doors))
        }
        return ContainmentPreviewView(
            containment, incident, radius, steps: steps, objection: policy.objection(radius, actedAlone: alone),
            canOperate: canOperate)
    }
}

extension ContainmentTemplates {
    static let preview = PageTemplate(
        "containment-preview",
        #"""
        <div class="head"><h1>{{title}}</h1><span class="state big" data-state="{{state}}">{{stateLabel}}</span>
          {{#incident}}<span class="sub">against <a class="link" href="{{path}}">{{label}}</a></span>{{/incident}}
          {{#canDecide}}<div class="actions"><button class="primary" type="button" data-action="approve"
            data-post="{{apiPath}}/approve" data-done="It acts" data-confirm="Let it act?">Approve</button><button
            type="button" data-action="refuse" data-post="{{apiPath}}/refuse"
            data-done="Refused">Refuse</button></div>{{/canDecide}}
        </div>
        {{#reason}}<p class="notice">{{reason}}</p>{{/reason}}
        {{#limits}}<p class="notice" id="preview-limits">{{limits}}</p>{{/limits}}
        <section class="panel" id="preview-radius" aria-labelledby="preview-radius-title">
          <header><h2 id="preview-radius-title">What it would touch now</h2></header>
          {{#touchesNothing}}<div class="empty">There is nothing to act on at this moment.</div>{{/touchesNothing}}
          <dl class="facts">{{#radius}}<dt>{{name}}</dt><dd>{{value}}</dd>{{/radius}}</dl>
        </section>
        <section class="panel spaced" id="preview-steps" aria-labelledby="preview-steps-title">
          <header><h2 id="preview-steps-title">Steps</h2></header>
          <ol class="items">{{#steps}}<li><b>{{title}}</b><span>{{#isFinal}}<span class="state"
            data-state="held">cannot be taken back</span>{{/isFinal}}</span><span
              class="second"><span>{{words}}</span><span>on {{targets}}, reaches
                {{agents}}</span>{{#missing}}<span>not there yet:
                {{missing}}</span>{{/missing}}</span></li>{{/steps}}</ol>
        </section>
        """#)
}
