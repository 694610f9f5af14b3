/// On-call: who has the duty, the next weeks, and what waits for somebody.
enum OnCallPageTemplates {
    static let all = [page, escalations, calendar, overrides]

    static let page = PageTemplate(
        "oncall",
        #"""
        <div class="head"><h1>On-call</h1><span class="sub">{{subtitle}}</span></div>
        {{> oncall-escalations}}
        {{^isConfigured}}<section class="panel">{{#notConfigured}}{{> empty}}{{/notConfigured}}</section>
        {{/isConfigured}}
        {{#isConfigured}}
        {{#hasFindings}}<div class="notice" id="oncall-findings" data-state="broken"><span class="state"
          data-state="broken">Look at the file</span><ul>{{#findings}}<li>{{.}}</li>{{/findings}}</ul></div>
        {{/hasFindings}}
        <section class="panel" id="oncall-now" aria-labelledby="oncall-now-title">
          <header><h2 id="oncall-now-title">Now</h2></header>
          <table class="table cards">
            <thead><tr><th>Schedule</th><th>On call</th><th>Because</th><th class="num">Until</th>
              <th>Next</th></tr></thead>
            <tbody>{{#duties}}
              <tr data-duty="{{schedule}}" data-state="{{state}}"><td class="title">{{schedule}}</td>
                <td data-label="On call">{{#person}}<b>{{person}}</b>{{/person}}{{^person}}<span class="state"
                  data-state="broken">Nobody</span>{{/person}}</td>
                <td data-label="Because">{{because}}</td>
                <td class="num nowrap" data-label="Until">{{#until}}{{> time}}{{/until}}</td>
                <td data-label="Next">{{#next}}{{next}}{{/next}}{{^next}}<span
                  class="muted">no change</span>{{/next}}</td>
              </tr>{{/duties}}
            </tbody>
          </table>
        </section>
        {{#calendars}}{{> oncall-calendar}}{{/calendars}}
        {{> oncall-overrides}}
        {{/isConfigured}}
        """#)

    static let escalations = PageTemplate(
        "oncall-escalations",
        #"""
        {{#hasEscalations}}
        <section class="panel" id="oncall-escalations" aria-labelledby="oncall-escalations-title">
          <header><h2 id="oncall-escalations-title">Escalations</h2></header>
          <table class="table cards">
            <thead><tr><th>What</th><th>State</th><th>Told</th><th class="num">Next step</th><th></th></tr></thead>
            <tbody>{{#escalations}}
              <tr id="{{id}}" data-escalation="{{id}}" data-state="{{state}}"><td class="title">{{title}}<span
                class="second"><span>{{severity}}</span><span>{{path}}</span><span>{{incident}}</span>
                <span>{{#started}}{{> time}}{{/started}}</span></span></td>
                <td data-label="State">{{> state}}{{#acknowledged}}<span class="second">by {{acknowledged}}</span>
                  {{/acknowledged}}</td>
                <td data-label="Told">{{told}}{{#failed}}<span class="second"><span class="state"
                  data-state="failed">Not reached</span>{{failed}}</span>{{/failed}}</td>
                <td class="num nowrap" data-label="Next step">{{#next}}{{> time}}{{/next}}{{^next}}<span
                  class="muted">none</span>{{/next}}</td>
                <td class="acts">{{^acknowledged}}{{#canOperate}}<button class="tiny primary" type="button"
                  data-action="acknowledge" data-post="{{apiPath}}" data-done="Acknowledged: nobody else is told"
                  >Acknowledge</button>{{/canOperate}}{{/acknowledged}}</td></tr>{{/escalations}}
            </tbody>
          </table>
        </section>
        {{/hasEscalations}}
        """#)

    static let calendar = PageTemplate(
        "oncall-calendar",
        #"""
        <section class="panel spaced" data-calendar="{{schedule}}" aria-label="The next four weeks of {{schedule}}">
          <header><h2>{{schedule}}</h2><span class="count">the next four weeks, {{zone}}</span></header>
          <table class="calendar">
            <thead><tr>{{#weekdays}}<th>{{.}}</th>{{/weekdays}}</tr></thead>
            <tbody>{{#weeks}}
              <tr>{{#days}}<td data-day="{{date}}"{{#isToday}} aria-current="date"{{/isToday}}><span
                class="date">{{label}}</span>{{#pieces}}{{#canOperate}}{{#isToCome}}<details class="menu"><summary
                  class="piece" data-state="{{state}}" title="{{title}}"><span class="muted">{{from}}</span>
                  <b>{{person}}</b></summary><div class="pop"><p class="small muted">{{title}}.
                  Who takes it?</p><div class="stack">{{#choices}}<button type="button" class="tiny"
                    data-action="cover" data-post="/api/v1/oncall/overrides" data-body="{{body}}"
                    data-done="{{name}} takes it">{{name}}</button>{{/choices}}</div>
                  {{#whole}}<p class="small muted">Or all of it, {{whole}}:</p><div
                    class="stack">{{#wholeChoices}}<button type="button" class="tiny" data-action="cover-whole"
                      data-post="/api/v1/oncall/overrides" data-body="{{body}}"
                      data-done="{{name}} takes it">{{name}}</button>{{/wholeChoices}}</div>{{/whole}}</div></details>
                {{/isToCome}}
                {{^isToCome}}<span class="piece past" data-state="{{state}}" title="{{title}}"><span
                  class="muted">{{from}}</span> <b>{{person}}</b></span>{{/isToCome}}{{/canOperate}}
                {{^canOperate}}<span class="piece" data-state="{{state}}" title="{{title}}"><span
                  class="muted">{{from}}</span> <b>{{person}}</b></span>{{/canOperate}}{{/pieces}}</td>{{/days}}</tr>
              {{/weeks}}
            </tbody>
          </table>
        </section>
        """#)

    static let overrides = PageTemplate(
        "oncall-overrides",
        #"""
        <section class="panel spaced" id="oncall-overrides" aria-labelledby="oncall-overrides-title">
          <header><h2 id="oncall-overrides-title">Overrides</h2><span class="count">a click on a day of the calendar
            makes one</span></header>
          {{#canOperate}}<form class="pad filters flush" id="oncall-form" data-keep
            data-post="/api/v1/oncall/overrides" data-done="The duty is covered">
            <select name="schedule" aria-label="Schedule">{{#schedules}}<option>{{.}}</option>{{/schedules}}</select>
            <select name="person" aria-label="Person">{{#people}}<option>{{.}}</option>{{/people}}</select>
            <input name="from" required placeholder="from 2026-11-23T09:00:00Z" aria-label="From" autocomplete="off">
            <input name="until" required placeholder="until 2026-11-24T09:00:00Z" aria-label="Until" autocomplete="off">
            <input name="reason" placeholder="Reason" aria-label="Reason" autocomplete="off">
            <button class="primary" type="submit">Cover</button>
          </form>{{/canOperate}}
          {{#hasOverrides}}
          <table class="table cards">
            <thead><tr><th>Schedule</th><th>Person</th><th>From</th><th>Until</th><th>By</th><th></th></tr></thead>
            <tbody>{{#overrides}}
              <tr id="{{id}}" data-override="{{id}}"><td class="title">{{schedule}}{{#reason}}<span
                class="second">{{reason}}</span>{{/reason}}</td><td data-label="Person">{{person}}</td>
                <td class="nowrap" data-label="From">{{#from}}{{> time}}{{/from}}</td>
                <td class="nowrap" data-label="Until">{{#until}}{{> time}}{{/until}}</td>
                <td data-label="By">{{by}}</td>
                <td class="acts">{{#canOperate}}<button class="tiny danger" type="button" data-action="uncover"
                  data-delete="{{apiPath}}" data-done="Removed">Remove</button>{{/canOperate}}</td></tr>{{/overrides}}
            </tbody>
          </table>
          {{/hasOverrides}}
        </section>
        """#)
}
