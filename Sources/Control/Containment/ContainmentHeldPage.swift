import Kernel

/// All that containments hold at this moment, whatever became of their incidents, with the way back.
struct ContainmentHeldView: PageView {
    struct RowView: PageView {
        let item: ContainmentItemView
        let incident: LinkView?
    }

    let subtitle: String
    let hasAny: Bool
    let rows: [RowView]
    let noneHeld: EmptyView
    let next: String?

    /// - Parameter titles: Of the incidents that are kept, by their ids.
    init(_ held: [Containment], titles: [String: String], next: String?, now: Timestamp) {
        subtitle = held.isEmpty ? "" : "\(PageText.count(Int64(held.count)))\(next == nil ? "" : "+") in force"
        hasAny = !held.isEmpty
        rows = held.map { containment in
            let id = containment.incidentID
            return RowView(
                item: ContainmentItemView(containment, nil, now: now),
                incident: titles[id].map { LinkView(path: PagePath.incident(id), label: $0) })
        }
        noneHeld = EmptyView(
            headline: "Nothing is contained",
            explanation: "What is done against an incident is listed here until it is "
                + "taken back:", command: "reeve incident contain INCIDENT --approve")
        self.next = next.map { PagePath.query("/containments", [("after", $0)]) }
    }
}

extension ContainmentService {
    /// The page of what is in force.
    func heldView(_ page: Page, in transaction: Transaction) throws -> ContainmentHeldView {
        let (items, next) = page.cut(try held(page, in: transaction)) { $0.id.text }
        var titles: [String: String] = [:]
        for id in Set(items.map(\.incidentID)) {
            titles[id] = try Identifier<Incident>(id).flatMap { try incidents.incident($0, in: transaction) }?.title
        }
        return ContainmentHeldView(items, titles: titles, next: next, now: world.now)
    }
}

extension ContainmentTemplates {
    static let held = PageTemplate(
        "containments-held",
        #"""
        <div class="head"><h1>Containments</h1><span class="sub">{{subtitle}}</span></div>
        <section class="panel" id="held" aria-label="What is in force">
          {{#hasAny}}
          <table class="table cards">
            <thead><tr><th>What</th><th>Against</th><th>Steps</th><th>By</th><th class="num">When</th><th></th></tr>
            </thead>
            <tbody>{{#rows}}
              <tr>{{#item}}<td class="title" data-containment="{{id}}"><span class="state"
                data-state="{{state}}">{{stateLabel}}</span> {{name}}{{#reason}}<span
                class="second">{{reason}}</span>{{/reason}}{{#isOver}}<span class="second"
                data-state="waiting">The condition is over: take it back?</span>{{/isOver}}</td>{{/item}}
                <td data-label="Against">{{#incident}}<a href="{{path}}">{{label}}</a>{{/incident}}{{^incident}}<span
                  class="muted">an incident that is not kept any more</span>{{/incident}}</td>
                {{#item}}<td data-label="Steps">{{#steps}}<div><b>{{title}}</b> <span
                  class="muted">{{state}}: {{words}}</span></div>{{/steps}}</td>
                <td data-label="By">{{by}}{{#decided}}<span
                  class="second">decided by {{decided}}</span>{{/decided}}</td>
                <td class="num nowrap" data-label="When">{{#created}}{{> time}}{{/created}}</td>
                <td class="acts">{{#canOperate}}{{#canReverse}}<button class="tiny" type="button"
                  data-action="reverse" data-post="{{apiPath}}/reverse"
                  data-done="It is taken back">Undo</button>{{/canReverse}}{{/canOperate}}</td>{{/item}}</tr>{{/rows}}
            </tbody>
          </table>
          {{#next}}<p class="pad"><a href="{{next}}">Further ones</a></p>{{/next}}
          {{/hasAny}}
          {{^hasAny}}{{#noneHeld}}{{> empty}}{{/noneHeld}}{{/hasAny}}
        </section>
        """#)
}
