/// What is done against an incident: proposed, approved, refused and taken back by operators.
enum ContainmentTemplates {
    static let all = [containments, runs, preview, held]

    static let containments = PageTemplate(
        "containments",
        #"""
        <div id="containments">
          {{#hasAny}}
          <table class="table cards">
            <thead><tr><th>What</th><th>Steps</th><th>By</th><th class="num">When</th><th></th></tr></thead>
            <tbody>{{#items}}
              <tr data-containment="{{id}}"><td class="title"><span class="state"
                data-state="{{state}}">{{stateLabel}}</span> {{name}}{{#reason}}<span
                class="second">{{reason}}</span>{{/reason}}{{#isOver}}<span class="second"
                data-state="waiting">The condition is over: take it back?</span>{{/isOver}}{{#reach}}<span
                class="second" data-reach>{{.}}</span>{{/reach}}</td>
                <td data-label="Steps">{{#steps}}<div><b>{{title}}</b> <span
                  class="muted">{{state}}: {{words}}</span>{{#outcomes}}<div
                  class="muted">{{target}}: {{word}} {{detail}}</div>{{/outcomes}}{{#more}}<div
                  class="muted">{{more}}</div>{{/more}}</div>{{/steps}}</td>
                <td class="who" data-label="By">{{by}}{{#decided}}<span
                  class="second">decided by {{decided}}</span>{{/decided}}{{#reversed}}<span
                  class="second">taken back by {{reversed}}</span>{{/reversed}}</td>
                <td class="num nowrap" data-label="When">{{#created}}{{> time}}{{/created}}{{#expires}}<span
                  class="second">open until {{> time}}</span>{{/expires}}</td>
                <td class="acts">{{#canOperate}}{{#isOpen}}<a class="button tiny" data-action="preview"
                  href="/containments/{{id}}">Preview</a><button class="tiny primary" type="button"
                  data-action="approve" data-post="{{apiPath}}/approve" data-done="It acts"
                  data-confirm="Let it act?">Approve</button><button class="tiny" type="button" data-action="refuse"
                  data-post="{{apiPath}}/refuse" data-done="Refused">Refuse</button>{{/isOpen}}{{#canReverse}}<button
                  class="tiny" type="button" data-action="reverse" data-post="{{apiPath}}/reverse"
                  data-done="It is taken back">Undo</button>{{/canReverse}}{{/canOperate}}</td></tr>{{/items}}
            </tbody>
          </table>
          {{/hasAny}}
          {{^hasAny}}<p class="pad muted">Nothing is proposed.</p>{{/hasAny}}
          <p class="pad small"><a class="link" href="/containments">All that is in force</a></p>
          <details class="pad told"><summary>All actions</summary><ul class="plain">{{#actions}}<li><b>{{title}}</b>
            <code>{{name}}</code> {{#absence}}<span class="muted">Not there yet. {{absence}}</span>{{/absence}}
            {{^absence}}<span class="muted">on {{parameter}}</span>{{/absence}}</li>{{/actions}}</ul></details>
        </div>
        """#)

    static let runs = PageTemplate(
        "runbook-runs",
        #"""
        <div id="runs">
          {{#canOperate}}<p class="pad"><button class="tiny primary" type="button" data-action="run"
            data-post="{{apiPath}}" data-done="The runbook runs">Run the runbook</button></p>{{/canOperate}}
          {{#runs}}
          <div class="pad" data-run="{{id}}"><p><span class="state" data-state="{{state}}">{{stateLabel}}</span>
            {{#runbook}}<a href="{{path}}">{{label}}</a>{{/runbook}} <span class="muted">by {{by}},
            {{#started}}{{> time}}{{/started}}</span>{{#canOperate}}{{#isLive}} <button class="tiny" type="button"
            data-action="stop" data-post="{{apiPath}}/stop" data-done="Stopped">Stop</button>{{/isLive}}{{/canOperate}}
            </p>{{#reason}}<p>{{reason}}</p>{{/reason}}
            <ol>{{#steps}}<li data-kind="{{kind}}"><b>{{title}}</b> <span class="muted">{{kind}},
              {{state}}{{#actor}} by {{actor}}{{/actor}}</span>{{#canOperate}}{{#tickPath}} <button class="tiny"
              type="button" data-action="tick" data-post="{{tickPath}}" data-done="Ticked">Tick</button>{{/tickPath}}
              {{/canOperate}}{{#asked}}<div><code>{{asked}}</code></div>{{/asked}}{{#evidence}}<details
              class="told"><summary>What came</summary><pre>{{evidence}}</pre></details>{{/evidence}}</li>{{/steps}}
            </ol></div>
          {{/runs}}
          {{^hasRuns}}<p class="pad muted">None was run yet.</p>{{/hasRuns}}
        </div>
        """#)
}
