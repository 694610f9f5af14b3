/// Model calls as they run, and one of them with how it was decided.
enum CallPageTemplates {
    static let all = [numbers, list, detail, attempts]

    static let numbers = PageTemplate(
        "call-numbers",
        #"""
        <dl class="stats" id="stats">
          {{#numbers}}
          <a class="stat{{#isAlarming}} alarm{{/isAlarming}}" href="{{path}}" data-number="{{id}}"
            data-state="{{state}}">
            <span class="label"><span class="dot"></span>{{label}}</span>
            <span class="value">{{value}}</span>
            <span class="note">{{note}}</span></a>
          {{/numbers}}
        </dl>
        """#)

    static let list = PageTemplate(
        "calls",
        #"""
        <div class="head"><h1>Calls</h1><span class="sub">{{subtitle}}</span></div>
        {{> call-numbers}}
        <div class="chips" role="group" aria-label="Filter by state">
          {{#filters}}<a class="chip" href="{{path}}" data-state="{{state}}"{{#isCurrent}}
            aria-current="true"{{/isCurrent}}><span
              class="dot"></span>{{label}}{{#count}} <b>{{count}}</b>{{/count}}</a>{{/filters}}
        </div>
        <form class="filters" action="/calls" role="search">
          {{#status}}<input type="hidden" name="status" value="{{status}}">{{/status}}
          {{#session}}<input type="hidden" name="session" value="{{session}}">{{/session}}
          {{#windowSince}}<input type="hidden" name="since" value="{{windowSince}}">{{/windowSince}}
          {{#windowUntil}}<input type="hidden" name="until" value="{{windowUntil}}">{{/windowUntil}}
          <input name="agent" value="{{agent}}" placeholder="Agent" aria-label="Agent">
          <input name="project" value="{{project}}" placeholder="Project" aria-label="Project">
          <input name="model" value="{{model}}" placeholder="Model" aria-label="Model">
          <input name="task" value="{{task}}" placeholder="Task id" aria-label="Task id">
          <input name="tag" value="{{tag}}" placeholder="Tag" aria-label="Tag">
          <button type="submit">Filter</button>{{#isFiltered}}<a class="button quiet"
            href="/calls">Clear</a>{{/isFiltered}}
        </form>
        <section class="panel" id="call-list" aria-label="Calls" data-poll>
          {{#hasCalls}}
          <table class="table cards">
            <thead><tr><th>Model</th><th>State</th><th>Agent</th><th class="num">Tokens</th><th class="num">Cost</th>
              <th class="num">Took</th><th class="num">Began</th></tr></thead>
            <tbody>{{#calls}}
              <tr id="row-{{id}}" data-call="{{id}}" data-state="{{state}}" data-row>
                <td class="title"><a class="open" href="{{path}}">{{model}}</a><span
                  class="second">{{#target}}<span>{{target}}</span>{{/target}}{{#note}}
                  <span>{{note}}</span>{{/note}}</span></td>
                <td>{{> state}}</td>
                <td data-label="Agent">{{#agent}}<a href="{{path}}">{{label}}</a>{{/agent}}{{^agent}}<span
                  class="muted">none</span>{{/agent}}{{#task}}<span class="second"><a
                    href="{{path}}">{{label}}</a></span>{{/task}}</td>
                <td class="num nowrap" data-label="Tokens">{{#isEstimated}}<span
                  title="The provider did not say: an estimate">≈ </span>{{/isEstimated}}{{tokens}}</td>
                <td class="num nowrap" data-label="Cost">{{#cost}}{{cost}}{{/cost}}{{^cost}}<span class="muted"
                  title="No price is known for it">?</span>{{/cost}}</td>
                <td class="num nowrap" data-label="Took">{{#since}}{{> time}}{{/since}}{{took}}</td>
                <td class="num nowrap">{{#started}}{{> time}}{{/started}}</td>
              </tr>{{/calls}}
            </tbody>
          </table>
        {{> pager}}
          {{/hasCalls}}
          {{^hasCalls}}{{#noCalls}}{{> empty}}{{/noCalls}}{{/hasCalls}}
        </section>
        """#)

    static let detail = PageTemplate(
        "call",
        #"""
        <div class="head" id="call-head" data-call="{{id}}" data-state="{{state}}"{{#isRunning}}
          data-poll{{/isRunning}}>
          <h1>{{model}}</h1><span class="state big" data-state="{{state}}">{{stateLabel}}</span>
          <span class="sub">{{summary}}</span></div>
        <div class="columns">
          <div class="stack">
            <section class="panel" id="call-steps" aria-labelledby="steps-title">
              <header><h2 id="steps-title">How it went</h2></header>
              <ol class="log steps">{{#steps}}<li data-step="{{kind}}"><span class="after">{{at}}</span>
                <div class="what"><span>{{text}}</span></div></li>{{/steps}}</ol>
            </section>
            <section class="panel" id="call-attempts" aria-labelledby="attempts-title">
              <header><h2 id="attempts-title">Attempts</h2></header>
        {{> call-attempts}}
            </section>
            {{#decision}}<details class="panel file" id="call-decision"><summary class="pad"><b>The decision
              record</b></summary><div class="pad"><pre class="code">{{decision}}</pre></div></details>{{/decision}}
            {{#raw}}<details class="panel file" id="call-raw"><summary class="pad"><b>The provider's own
              count</b></summary><div class="pad"><pre class="code">{{raw}}</pre></div></details>{{/raw}}
          </div>
          <div class="stack">
            <section class="panel" id="call-usage" aria-labelledby="usage-title">
              <header><h2 id="usage-title">Used</h2>{{#isEstimated}}<span
                class="end">an estimate</span>{{/isEstimated}}</header>
              <dl class="facts"><dt>Cost</dt><dd><b id="call-cost">{{cost}}</b></dd>
                {{#tokens}}<dt>{{name}}</dt><dd>{{value}}{{#share}}<svg class="meter wide" viewBox="0 0 100 6"
                  preserveAspectRatio="none"
                  aria-hidden="true"><rect width="{{percent}}" height="6"/></svg>{{/share}}</dd>{{/tokens}}</dl>
            </section>
            <section class="panel" id="call-facts" aria-label="Facts">
              <dl class="facts">{{#facts}}<dt>{{name}}</dt><dd>{{#time}}{{> time}}{{/time}}{{#link}}<a
                href="{{path}}">{{label}}</a>{{/link}}{{value}}</dd>{{/facts}}</dl>
            </section>
          </div>
        </div>
        """#)

    static let attempts = PageTemplate(
        "call-attempts",
        #"""
        {{#hasAttempts}}
        <table class="table cards">
          <thead><tr><th>#</th><th>Target</th><th>Result</th><th class="num">Status</th><th class="num">Began</th><th
            class="num">Took</th><th class="num">Cost</th></tr></thead>
          <tbody>{{#attempts}}
            <tr data-attempt="{{number}}" data-state="{{state}}"><td data-label="Attempt">{{number}}</td>
              <td class="title">{{target}}{{#message}}<span
                class="second"><span>{{message}}</span></span>{{/message}}</td>
              <td>{{> state}}</td><td class="num" data-label="Status">{{#status}}{{status}}{{/status}}{{^status}}<span
                class="muted">none</span>{{/status}}</td>
              <td class="num nowrap" data-label="Began">{{begun}}</td><td class="num nowrap"
                data-label="Took">{{took}}</td>
              <td class="num nowrap" data-label="Cost">{{#cost}}{{cost}}{{/cost}}{{^cost}}<span
                class="muted">–</span>{{/cost}}</td></tr>{{/attempts}}
          </tbody>
        </table>
        {{/hasAttempts}}
        {{^hasAttempts}}<div class="empty">No provider was asked.</div>{{/hasAttempts}}
        """#)
}
