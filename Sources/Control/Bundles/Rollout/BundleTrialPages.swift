import Kernel

/// A roll-out on its agent's page: how far it is, what speaks for and against it, and what may be done.
struct BundleTrialView: PageView {
    struct Arm: PageView {
        let measure: String
        let verdict: String
        let new: String
        let old: String
    }

    /// Agents that are behind, named on the page.
    static let laggardsMax = 20

    let version: String
    let state: String
    let stateLabel: String
    let step: String
    let given: ShareView
    let shareWords: String
    let words: String
    let waitsFor: String?
    let author: String
    let at: TimeView
    let arms: [Arm]
    let members: [LinkView]
    let laggards: [LinkView]
    let apiPath: String
    let canPromote: Bool
    let canResume: Bool
    let canCancel: Bool

    init(_ trial: BundleTrial, of agent: String, laggards behind: [String], canOperate: Bool, now: Timestamp) {
        let record = trial.record
        version = AgentBundle.short(trial.version)
        state = Self.color(record.state)
        stateLabel = PageText.label(record.state.rawValue)
        step = "Step \(record.step + 1) of \(record.steps.count)"
        given = ShareView(record.share, hotAbove: 2)
        shareWords = "\(given.percent) % of the \(trial.unit.rawValue)"
        words = trial.words.prefix(1).uppercased() + trial.words.dropFirst()
        waitsFor = trial.waitsFor(at: now)
        author = trial.author
        at = .ago(record.startedAt, now: now)
        arms = BundleRollout.Measure.allCases.compactMap { measure in
            guard let tally = record.tallies[measure] else { return nil }
            func side(_ side: Proportion) -> String { "\(side.failures) of \(side.trials)" }
            return Arm(
                measure: measure == .failures ? "Failed" : "Dear",
                verdict: PageText.label(record.verdict(measure)?.rawValue ?? ""), new: side(tally.new),
                old: side(tally.old))
        }
        members = trial.members.prefix(Self.laggardsMax).compactMap { LinkView.agent($0.agent) }
        laggards = behind.prefix(Self.laggardsMax).compactMap { LinkView.agent($0) }
        apiPath = "/api/v1/agents/\(PagePath.encoded(agent))/config/rollout"
        canPromote = canOperate && (record.state == .running || record.state == .held)
        canResume = canOperate && record.state == .frozen
        canCancel = canOperate && !record.state.isOver
    }

    private static func color(_ state: BundleRollout.State) -> String {
        switch state {
        case .running: "running"
        case .frozen, .held: "waiting"
        case .finished: "done"
        case .takenBack: "failed"
        case .canceled: "canceled"
        }
    }

    static let template = PageTemplate(
        "bundle-rollout",
        #"""
        {{#rollout}}<section class="panel" id="rollout" aria-label="Roll-out" data-state="{{state}}"><header>
          <h2>Roll-out of <code>{{version}}</code></h2><span class="state" data-state="{{state}}">{{stateLabel}}</span>
          <span class="end">
          {{#canPromote}}<button class="tiny" type="button" data-action="promote" data-post="{{apiPath}}/promote"
            data-done="It goes on" data-confirm="Go on though nothing proves it?">Promote</button>{{/canPromote}}
          {{#canResume}}<button class="tiny" type="button" data-action="resume" data-post="{{apiPath}}/resume"
            data-done="It counts anew">Resume</button>{{/canResume}}
          {{#canCancel}}<button class="tiny" type="button" data-action="cancel" data-post="{{apiPath}}/cancel"
            data-done="The old version stays"
            data-confirm="End it? The old version stays.">Cancel</button>{{/canCancel}}</span></header>
          <div class="pad"><p>{{words}}{{#waitsFor}}. It waits for {{waitsFor}}{{/waitsFor}}.</p>
            <p>{{step}}: {{#given}}<svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none"
              aria-hidden="true"><rect width="{{percent}}" height="6"/></svg>{{/given}} {{shareWords}}
              <span class="muted">{{author}}{{#at}}, {{> time}}{{/at}}</span></p>
            <p>For {{#members}}<a href="{{path}}">{{label}}</a> {{/members}}</p>
            {{#laggards}}<p class="notice" data-state="waiting">Not taken up yet:
              <a href="{{path}}">{{label}}</a></p>{{/laggards}}</div>
          <table class="table cards"><thead><tr><th>Attempts</th><th>New version</th><th>Old version</th><th>Says</th>
            </tr></thead><tbody>{{#arms}}<tr data-measure="{{measure}}"><td class="title">{{measure}}</td><td
              data-label="New version">{{new}}</td><td data-label="Old version">{{old}}</td><td
              data-label="Says">{{verdict}}</td></tr>{{/arms}}</tbody></table>
        </section>{{/rollout}}
        """#)
}
