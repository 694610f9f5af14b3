/// The pages of incidents: the list, the room of one, and the report.
enum IncidentPageTemplates {
    static let all = [list, room, head, evidence, timeline, entries, story, postmortem, items, report]

    static let list = PageTemplate(
        "incidents",
        #"""
        <div class="head"><h1>Incidents</h1>{{#showsSubtitle}}<span class="sub">{{subtitle}}</span>{{/showsSubtitle}}
          <span class="actions"><a class="button" href="/runbooks">Runbooks</a><a class="button"
            href="/incidents/report">Report</a>{{#canOperate}}<details class="menu"><summary
            class="button" data-action="open-menu">Open one</summary><div class="pop">
            <form data-keep id="incident-new" data-post="/api/v1/incidents" data-done="Opened">
              <label class="field">What is wrong<input name="title" required maxlength="300"
                autocomplete="off"></label>
              <label class="field">How bad<select name="severity"><option>warning</option><option>critical</option>
                <option>info</option></select></label>
              <label class="field">What is known<textarea name="note" maxlength="10000"></textarea></label>
              <button class="primary" type="submit">Open</button></form></div></details>{{/canOperate}}</span></div>
        <div class="chips" role="group" aria-label="Filter by state">
          {{#filters}}<a class="chip" href="{{path}}" data-state="{{state}}"{{#isCurrent}}
            aria-current="true"{{/isCurrent}}><span class="dot"></span>{{label}}</a>{{/filters}}
        </div>
        <form class="filters" action="/incidents" role="search">
          {{#state}}<input type="hidden" name="state" value="{{state}}">{{/state}}
          <input name="severity" value="{{severity}}" placeholder="Severity" aria-label="Severity" list="severities">
          <input name="mode" value="{{mode}}" placeholder="Failure mode" aria-label="Failure mode" list="modes">
          <datalist id="severities"><option>critical</option><option>warning</option><option>info</option></datalist>
          <datalist id="modes">{{#modes}}<option>{{.}}</option>{{/modes}}</datalist>
          <button type="submit">Filter</button>
        </form>
        <section class="panel" id="incident-list" aria-label="Incidents">
          {{#hasIncidents}}
          <table class="table cards">
            <thead><tr><th>Incident</th><th>Severity</th><th>State</th><th>About</th><th class="num">Detected</th><th
              class="num">Took</th></tr></thead>
            <tbody>{{#incidents}}
              <tr id="row-{{id}}" data-incident="{{id}}" data-row><td class="title"><a class="open"
                href="{{path}}">{{title}}</a><span class="second">{{#mode}}<span>{{mode}}</span>{{/mode}}</span></td>
                <td><span class="state" data-state="{{severity}}">{{severityLabel}}</span></td>
                <td><span class="state" data-state="{{state}}">{{stateLabel}}</span></td>
                <td class="wide muted">{{subjects}}</td>
                <td class="num nowrap">{{#detected}}{{> time}}{{/detected}}</td>
                <td class="num nowrap" data-label="Took">{{#took}}{{took}}{{/took}}{{^took}}–{{/took}}</td></tr>
            {{/incidents}}</tbody>
          </table>
        {{> pager}}
          {{/hasIncidents}}
          {{^hasIncidents}}{{#noIncidents}}{{> empty}}{{/noIncidents}}{{/hasIncidents}}
        </section>
        """#)

    static let room = PageTemplate(
        "incident",
        #"""
        {{> incident-head}}
        <div class="columns">
          <div class="stack">
            {{#sections}}<section class="panel early" id="incident-{{id}}" aria-labelledby="incident-{{id}}-title">
              <header><h2 id="incident-{{id}}-title">{{title}}</h2></header>
              {{#view}}{{> *template}}{{/view}}</section>{{/sections}}
            <section class="panel" id="incident-status" aria-labelledby="incident-status-title">
              <header><h2 id="incident-status-title">For stakeholders</h2>{{#status}}<span class="end">by
                {{statusBy}}, {{#statusAt}}{{> time}}{{/statusAt}}</span>{{/status}}</header>
              {{#status}}<p class="said-aloud" id="incident-told">{{status}}</p>{{/status}}
              {{^status}}<div class="empty">Nobody was told anything yet.</div>{{/status}}
              {{#canOperate}}<form class="pad-form" id="status-form" data-keep data-sha256="{{etag}}"
                data-method="PUT" data-post="{{apiPath}}/status" data-if-match="{{etag}}"
                data-done="Told"><textarea name="text" required maxlength="10000"
                  aria-label="What stakeholders are told"
                  placeholder="What is affected, what is done about it, when there is more to say"></textarea>
                <div class="row"><button type="submit">Tell</button></div></form>{{/canOperate}}
            </section>
        {{> incident-timeline}}
        {{> incident-postmortem}}
          </div>
          <div class="stack">
        {{> incident-evidence}}
        {{> incident-items}}
          </div>
        </div>
        """#)

    static let head = PageTemplate(
        "incident-head",
        #"""
        <div class="head" id="incident-head" data-incident="{{id}}" data-state="{{state}}">
          <h1>{{title}}</h1><span class="state big" data-state="{{severity}}">{{severityLabel}}</span><span
            class="state big" data-state="{{state}}">{{stateLabel}}</span>
          {{#canOperate}}<div class="actions">
            {{#verbs}}<button type="button" class="primary" data-action="{{milestone}}" data-post="{{path}}"
              data-body="{{body}}" data-done="{{label}}">{{label}}</button>{{/verbs}}
            {{#isOpen}}<details class="menu"><summary class="button" data-action="more">More</summary><div class="pop">
              <div class="stack">{{#otherVerbs}}<button type="button" data-action="{{milestone}}" data-post="{{path}}"
                data-body="{{body}}" data-done="{{label}}">{{label}}</button>{{/otherVerbs}}</div>
              <form id="merge-form" data-post="{{apiPath}}/merge" data-done="Merged"><label class="field">Merge into
                <input name="into" required placeholder="incident_…" autocomplete="off"></label><button
                  type="submit">Merge</button></form></div></details>{{/isOpen}}
            {{^isOpen}}{{^merged}}<button type="button" data-action="reopen" data-post="{{apiPath}}/reopen"
              data-done="Reopened">Reopen</button>{{/merged}}{{/isOpen}}
          </div>{{/canOperate}}
        </div>
        {{#merged}}<p class="notice">It became a part of <a class="link" href="{{path}}">{{label}}</a>.</p>{{/merged}}
        <section class="panel" id="incident-path" aria-label="Milestones"><ol class="path">
          {{#steps}}<li class="step {{style}}" data-state="{{state}}" data-milestone="{{state}}"><span
            class="knob"></span><span class="name">{{name}}</span>{{#when}}<span
              class="when">{{> time}}</span>{{/when}}{{#after}}<span class="when">{{after}}</span>{{/after}}</li>
          {{/steps}}
        </ol></section>
        <p class="tags spaced" id="incident-subjects">{{#subjects}}{{#path}}<a class="tag"
          href="{{path}}">{{name}}</a>{{/path}}{{^path}}<span class="tag">{{name}}</span>{{/path}}{{/subjects}}</p>
        <div class="spaced"></div>
        """#)

    static let evidence = PageTemplate(
        "incident-evidence",
        #"""
        <section class="panel first" id="incident-alerts" aria-labelledby="incident-alerts-title">
          <header><h2 id="incident-alerts-title">Alerts</h2></header>
          {{#hasAlerts}}<ul class="causes">{{#alerts}}<li data-alert="{{fingerprint}}"><b>{{name}}</b><span
            class="state" data-state="{{state}}">{{stateLabel}}</span><span
              class="second"><span>{{summary}}</span>{{#times}}<span>{{times}}</span>{{/times}}
                <span>{{#since}}{{> time}}{{/since}}</span></span></li>{{/alerts}}</ul>{{/hasAlerts}}
          {{^hasAlerts}}<div class="empty">No alert told of it.</div>{{/hasAlerts}}
        </section>
        <section class="panel early" id="incident-assessment" aria-labelledby="incident-assessment-title">
          <header><h2 id="incident-assessment-title">Infrastructure or behaviour?</h2></header>
          <div class="pad"><b id="incident-nature">{{nature}}</b> <span class="muted">{{confidence}}</span></div>
          {{#hasEvidence}}<ul class="causes">{{#evidence}}<li><span
            class="small">{{.}}</span></li>{{/evidence}}</ul>{{/hasEvidence}}
          {{#canOperate}}<form class="pad-form" data-post="{{apiPath}}" data-method="PATCH"
            data-done="Noted"><input type="hidden" name="kind" value="{{otherNature}}"><div
              class="row"><button class="tiny" type="submit">It is {{otherNature}}</button></div></form>{{/canOperate}}
        </section>
        <section class="panel early" id="incident-causes" aria-labelledby="incident-causes-title">
          <header><h2 id="incident-causes-title">What may have caused it</h2></header>
          {{#hasCauses}}<ol class="causes">{{#causes}}<li data-cause="{{target}}"><b>{{#path}}<a
            href="{{path}}">{{target}}</a>{{/path}}{{^path}}{{target}}{{/path}}</b><span class="nowrap"><svg
              class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect
                width="{{percent}}" height="6"/></svg> {{score}}</span><span
                class="second">{{#why}}<span>{{.}}</span>{{/why}}</span></li>{{/causes}}</ol>{{/hasCauses}}
          {{^hasCauses}}<div class="empty">Nothing that Reeve knows of came shortly before.</div>{{/hasCauses}}
        </section>
        <section class="panel" id="incident-impact" aria-labelledby="incident-impact-title">
          <header><h2 id="incident-impact-title">Impact</h2></header>
          <dl class="facts">{{#impact}}<dt>{{name}}</dt><dd>{{value}}</dd>{{/impact}}</dl>
        </section>
        <section class="panel screen-only" id="incident-traces" aria-labelledby="incident-traces-title">
          <header><h2 id="incident-traces-title">Of its time</h2><span class="end">{{#links}}<a class="link"
            href="{{path}}">{{label}}</a> {{/links}}</span></header>
          {{#hasTraces}}<ul class="causes">{{#traces}}<li><a class="mono"
            href="{{path}}">{{short}}</a><span class="muted small">{{#at}}{{> time}}{{/at}}</span><span
              class="second">{{agent}}</span></li>{{/traces}}</ul>{{/hasTraces}}
          {{^hasTraces}}<div class="empty">No trace with an error is kept for it.</div>{{/hasTraces}}
          {{#hasDeliverables}}<ul class="causes">{{#deliverables}}<li><a href="{{path}}">{{name}}</a><span
            class="muted small">{{#at}}{{> time}}{{/at}}</span><span class="second">{{agent}}</span></li>
          {{/deliverables}}</ul>{{/hasDeliverables}}
        </section>
        """#)

    static let timeline = PageTemplate(
        "incident-timeline",
        #"""
        <section class="panel" id="incident-timeline" aria-labelledby="incident-timeline-title">
          <header><h2 id="incident-timeline-title">Timeline</h2><span class="end">the newest first</span></header>
          {{#canOperate}}<form class="pad-form" id="note-form" data-keep data-post="{{apiPath}}/notes"
            data-done="Noted"><div class="row"><input name="text" required maxlength="10000"
              placeholder="A note for the timeline" aria-label="A note" autocomplete="off"><button
                type="submit">Note</button></div></form>{{/canOperate}}
        {{> incident-entries}}
          {{#hiddenEntries}}<div class="pad muted"><a class="link" href="{{path}}">{{label}}</a></div>{{/hiddenEntries}}
        </section>
        """#)

    static let entries = PageTemplate(
        "incident-entries",
        #"""
          <ol class="log">{{#entries}}<li data-kind-of="{{kind}}" data-action-of="{{action}}">
            {{#at}}{{> time}}{{/at}}
            <div class="what"><span class="tag">{{kind}}</span><span class="type"
              data-state="{{state}}">{{action}}</span>{{#targetPath}}<a class="muted"
                href="{{targetPath}}">{{target}}</a>{{/targetPath}}{{^targetPath}}<span
                  class="muted">{{target}}</span>{{/targetPath}}<span class="about"><span
                    class="muted">{{actor}}</span>{{#text}}<span>{{text}}</span>{{/text}}<span
                      class="muted print-only">{{clock}}</span></span></div></li>{{/entries}}</ol>
        """#)

    static let story = PageTemplate(
        "incident-story",
        #"""
        <div class="head"><h1>Timeline</h1><span class="sub">{{#room}}<a class="link"
          href="{{path}}">{{label}}</a>{{/room}}</span><span class="actions"><span class="seg">{{#orders}}<a
            href="{{path}}"{{#isCurrent}} aria-current="true"{{/isCurrent}}>{{label}}</a>{{/orders}}</span></span></div>
        <section class="panel" id="incident-story" aria-label="Timeline">
          {{#hasEntries}}{{> incident-entries}}{{/hasEntries}}
          {{^hasEntries}}<div class="empty">Nothing was written down.</div>{{/hasEntries}}
        {{> pager}}
        </section>
        """#)

    static let postmortem = PageTemplate(
        "incident-postmortem",
        #"""
        <section class="panel postmortem late" id="incident-postmortem" aria-labelledby="incident-postmortem-title">
          <header><h2 id="incident-postmortem-title">Postmortem</h2><span class="state"
            data-state="{{postmortemState}}">{{postmortemLabel}}</span><span class="end">{{#due}}<span
              class="state" data-state="{{#isOverdue}}overdue{{/isOverdue}}">due
                {{> time}}</span>{{/due}}<a class="link" href="{{apiPath}}/postmortem">Markdown</a></span></header>
          {{#waived}}<p class="pad muted">None is needed: {{waived}}</p>{{/waived}}
          {{#canOperate}}<form class="pad-form" id="postmortem-form" data-keep data-sha256="{{documentTag}}"
            data-method="PUT" data-post="{{apiPath}}/postmortem" data-if-match="{{documentTag}}"
            data-done="Saved"><textarea name="document" aria-label="The postmortem as Markdown"
              spellcheck="true">{{document}}</textarea><div class="row"><button type="submit">Save</button></div></form>
          {{#canPublish}}<form class="pad-form" id="publish-form" data-post="{{apiPath}}/milestones"
            data-done="Published"><input type="hidden" name="milestone" value="postmortem"><div class="row"><button
              class="primary" type="submit">Publish</button></div></form>{{/canPublish}}{{/canOperate}}
          <pre class="plain code print-only">{{document}}</pre>
          {{^canOperate}}<pre class="plain code screen-only">{{document}}</pre>{{/canOperate}}
        </section>
        """#)

    static let items = PageTemplate(
        "incident-items",
        #"""
        <section class="panel" id="incident-items" aria-labelledby="incident-items-title">
          <header><h2 id="incident-items-title">Action items</h2></header>
          {{#hasItems}}<ol class="items">{{#items}}<li data-item="{{number}}" data-state="{{state}}"><b>{{summary}}</b>
            <span>{{#isOpen}}{{#canOperate}}<button class="tiny" type="button" data-action="done" data-post="{{path}}"
              data-method="PATCH" data-body='{"state":"done"}' data-done="Done">Done</button>{{/canOperate}}{{/isOpen}}
              {{^isOpen}}<span class="state" data-state="{{state}}">{{state}}</span>{{/isOpen}}</span>
            <span class="second"><span>{{owner}}</span>{{#due}}<span>due {{due}}</span>{{/due}}{{#isOverdue}}<span
              class="state" data-state="overdue">overdue</span>{{/isOverdue}}</span></li>{{/items}}</ol>{{/hasItems}}
          {{^hasItems}}{{^hasProposals}}<div class="empty">What has to change so that it does not come
            back?</div>{{/hasProposals}}{{/hasItems}}
          {{#hasProposals}}<ul class="items" id="incident-proposals">{{#proposals}}<li data-proposal="{{key}}"><b><span
            class="tag">proposed</span> {{summary}}</b><span>{{owner}}, {{due}}</span><span
              class="second"><span>{{because}}</span>{{#canOperate}}<details class="edit"><summary
                class="button tiny" data-action="take">Take</summary><form class="pad-form" data-post="{{path}}"
                  data-done="Taken"><input type="hidden" name="proposal" value="{{key}}"><input name="summary" required
                    maxlength="1000" value="{{summary}}" aria-label="What is to be done"><div class="row"><input
                      name="owner" required value="{{owner}}" aria-label="Who"><input name="dueOn" type="date"
                        value="{{due}}" aria-label="By when"><button
                          type="submit">Add</button></div></form></details>{{/canOperate}}</span></li>
          {{/proposals}}</ul>{{/hasProposals}}
          {{#canOperate}}<form class="pad-form" id="item-form" data-keep data-post="{{apiPath}}/actions"
            data-done="Added"><input name="summary" required maxlength="1000" placeholder="What is to be done"
              aria-label="What is to be done" autocomplete="off"><div class="row"><input name="owner" required
                placeholder="Who" aria-label="Who" autocomplete="off"><input name="dueOn" type="date"
                  aria-label="By when"><button type="submit">Add</button></div></form>{{/canOperate}}
        </section>
        """#)

    static let report = PageTemplate(
        "incident-report",
        #"""
        <div class="head"><h1>Incident report</h1><span class="sub">{{subtitle}}</span><span class="actions"><span
          class="seg">{{#choices}}<a href="{{path}}"{{#isCurrent}}
            aria-current="true"{{/isCurrent}}>{{label}}</a>{{/choices}}</span></span></div>
        {{#hasIncidents}}
        <section class="panel" id="report-times" aria-labelledby="report-times-title">
          <header><h2 id="report-times-title">Time from detection</h2><span class="end words">median / 90th
            percentile; to <i>detected</i> from when the condition of an alert first held</span></header>
          <table class="table cards"><thead><tr><th>Severity, mode</th><th class="num">Incidents</th>{{#headings}}<th
            class="num">{{.}}</th>{{/headings}}</tr></thead><tbody>{{#rows}}
            <tr><td class="title">{{name}}</td><td class="num" data-label="Incidents">{{incidents}}</td>{{#times}}<td
              class="num nowrap" data-label="{{name}}">{{value}}</td>{{/times}}</tr>{{/rows}}</tbody></table>
        </section>
        <section class="panel spaced" id="report-weeks" aria-labelledby="report-weeks-title">
          <header><h2 id="report-weeks-title">A week</h2><span
            class="end">{{#spark}}{{> spark}}{{/spark}}</span></header>
          <dl class="facts">{{#weeks}}<dt>{{name}}</dt><dd>{{value}}</dd>{{/weeks}}</dl>
        </section>
        {{/hasIncidents}}
        {{^hasIncidents}}<section class="panel">{{#noIncidents}}{{> empty}}{{/noIncidents}}</section>{{/hasIncidents}}
        <section class="panel spaced" id="report-noise" aria-labelledby="report-noise-title">
          <header><h2 id="report-noise-title">Alert noise</h2><span class="end">the most ignored first</span></header>
          {{#hasRules}}<table class="table cards"><thead><tr><th>Rule</th><th class="num">Fired</th><th
            class="num">Acted on</th><th class="num">Ignored</th><th class="num">Open</th><th>Share
              ignored</th></tr></thead><tbody>
            {{#rules}}<tr data-rule="{{rule}}"><td class="title">{{rule}}</td><td class="num"
              data-label="Fired">{{fired}}</td><td class="num" data-label="Acted on">{{actedOn}}</td><td class="num"
              data-label="Ignored">{{ignored}}</td><td class="num" data-label="Open">{{pending}}</td><td
              class="nowrap">{{#share}}<svg class="meter{{#isHot}} hot{{/isHot}}" viewBox="0 0 100 6"
              preserveAspectRatio="none" aria-hidden="true"><rect width="{{percent}}" height="6"/></svg> {{percent}}
              %{{/share}}</td></tr>{{/rules}}</tbody></table>{{/hasRules}}
          {{^hasRules}}<div class="empty">No alert opened or joined an incident.</div>{{/hasRules}}
        </section>
        """#)
}
