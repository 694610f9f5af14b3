/// What fires, silences, and who is told.
enum AlertPageTemplates {
    static let all = [list, row, section, rule, receivers]

    static let list = PageTemplate(
        "alerts",
        #"""
        <div class="head"><h1>Alerts</h1><span class="sub">{{subtitle}}</span>
          <span class="actions"><a class="button tiny" href="/alerts/receivers">Receivers</a></span></div>
        {{#isQuiet}}<section class="panel" id="alerts-quiet">{{#quiet}}{{> empty}}{{/quiet}}</section>{{/isQuiet}}
        {{#sections}}{{> alert-section}}{{/sections}}
        {{#hasSilences}}
        <section class="panel spaced" id="silences" aria-labelledby="silences-title">
          <header><h2 id="silences-title">Silences</h2></header>
          <table class="table cards">
            <thead><tr><th>Alerts</th><th>Comment</th><th>By</th><th class="num">Ends</th><th></th></tr></thead>
            <tbody>{{#silences}}
              <tr data-silence="{{id}}"><td class="title">{{matchers}}{{#isPending}}<span
                class="second">has not begun</span>{{/isPending}}</td><td data-label="Comment">{{comment}}</td>
                <td class="who" data-label="By">{{by}}</td>
                <td class="num nowrap" data-label="Ends">{{#ends}}{{> time}}{{/ends}}</td>
                <td class="acts">{{#canOperate}}<button class="tiny" type="button" data-action="unsilence"
                  data-delete="{{apiPath}}" data-done="The silence ended">End</button>{{/canOperate}}</td>
              </tr>{{/silences}}
            </tbody>
          </table>
        </section>
        {{/hasSilences}}
        """#)

    static let row = PageTemplate(
        "alert-row",
        #"""
        <tr data-alert="{{name}}" data-state="{{state}}"><td class="title"><b>{{name}}</b>{{#severity}} <span
          class="grade" data-state="{{severity}}">{{severity}}</span>{{/severity}}<span
          class="second">{{summary}}</span></td>
          <td data-label="State">{{> state}}{{#reason}}<span class="second muted">{{reason}}</span>{{/reason}}</td>
          <td data-label="Labels">{{#labels}}<code class="small">{{.}}</code> {{/labels}}</td>
          <td class="num nowrap" data-label="Since">{{#since}}{{> time}}{{/since}}{{#ended}}<span
            class="second muted">ended {{> time}}</span>{{/ended}}</td>
          <td class="acts">{{#incident}}<a class="button tiny" href="{{path}}">{{label}}</a>{{/incident}}
            {{#runbook}}<a class="button tiny" href="{{path}}" rel="noreferrer"
              hx-boost="false">{{label}}</a>{{/runbook}}
            {{#source}}<a class="button tiny" href="{{path}}" rel="noreferrer"
              hx-boost="false">{{label}}</a>{{/source}}
            {{#canSilence}}<details class="menu"><summary class="button tiny"
              data-action="silence-menu">Silence</summary><div class="pop">{{#choices}}<button type="button"
                data-action="silence" data-post="/api/v2/silences" data-body="{{body}}"
                data-done="Silenced for {{label}}">{{label}}</button>{{/choices}}</div></details>{{/canSilence}}</td>
        </tr>
        """#)

    /// Alerts of one state.
    static let section = PageTemplate(
        "alert-section",
        #"""
        <section class="panel spaced" id="alerts-{{id}}" aria-labelledby="alerts-{{id}}-title">
          <header><h2 id="alerts-{{id}}-title">{{heading}}</h2><span class="sub">{{count}}</span></header>
          <table class="table cards fixed alerts">
            <thead><tr><th>Alert</th><th>State</th><th>Labels</th><th class="num">Since</th><th></th></tr></thead>
            <tbody>{{#rows}}{{> alert-row}}{{/rows}}</tbody>
          </table>
          {{#rest}}<p class="pad muted">{{rest}}</p>{{/rest}}
        </section>
        """#)

    static let rule = PageTemplate(
        "alert-rule",
        #"""
        <div class="head"><h1>{{name}}</h1><span class="sub">{{subtitle}}</span>
          <span class="actions"><a class="button tiny" href="/alerts">Alerts</a></span></div>
        {{#sections}}{{> alert-section}}{{/sections}}
        {{#isQuiet}}<section class="panel" id="alerts-quiet">{{#quiet}}{{> empty}}{{/quiet}}</section>{{/isQuiet}}
        {{#hasRules}}
        <section class="panel spaced" id="alert-rules" aria-labelledby="alert-rules-title">
          <header><h2 id="alert-rules-title">Expression</h2></header>
          {{#rules}}<div class="pad"><pre data-expression><code>{{expression}}</code></pre></div>
          <dl class="facts">{{#facts}}<dt>{{name}}</dt><dd>{{value}}</dd>{{/facts}}<dt>Now</dt><dd><a class="link"
            href="{{queryPath}}" hx-boost="false">what it gives</a></dd></dl>{{/rules}}
        </section>
        {{/hasRules}}
        """#)

    static let receivers = PageTemplate(
        "alert-receivers",
        #"""
        <div class="head"><h1>Receivers of alerts</h1><span class="sub">{{subtitle}}</span>
          <span class="actions"><a class="button tiny" href="/alerts">Alerts</a></span></div>
        <section class="panel" id="receivers" aria-label="Receivers">
          {{#hasReceivers}}
          <table class="table cards">
            <thead><tr><th>Receiver</th><th>Kind</th><th>Last attempt</th><th class="num">When</th><th></th></tr>
            </thead>
            <tbody>{{#receivers}}
              <tr data-receiver="{{name}}"><td class="title">{{name}}<span class="second">{{host}}</span></td>
                <td data-label="Kind">{{kind}}</td><td data-label="Last attempt">{{> state}}</td>
                <td class="num nowrap" data-label="When">{{#last}}{{> time}}{{/last}}</td>
                <td class="acts">{{#canOperate}}<button class="tiny" type="button" data-action="test"
                  data-post="{{apiPath}}" data-done="Sent: the log below says what became of it"
                  >Send a test</button>{{/canOperate}}</td></tr>{{/receivers}}
            </tbody>
          </table>
          {{/hasReceivers}}
          {{^hasReceivers}}{{#noReceivers}}{{> empty}}{{/noReceivers}}{{/hasReceivers}}
        </section>
        {{#hasDeliveries}}
        <section class="panel spaced" id="deliveries" aria-labelledby="deliveries-title">
          <header><h2 id="deliveries-title">Attempts</h2></header>
          <table class="table cards">
            <thead><tr><th>Receiver</th><th>Outcome</th><th>Answer</th><th class="num">Took</th><th
              class="num">When</th></tr></thead>
            <tbody>{{#deliveries}}
              <tr data-delivery="{{id}}"><td class="title">{{receiver}}<span class="second"><span>{{alerts}}</span>
                <span>{{reason}}</span> <span>{{attempt}}</span></span></td>
                <td data-label="Outcome">{{> state}}</td><td data-label="Answer">{{answer}}</td>
                <td class="num nowrap" data-label="Took">{{took}}</td>
                <td class="num nowrap" data-label="When">{{#at}}{{> time}}{{/at}}</td></tr>{{/deliveries}}
            </tbody>
          </table>
        {{> pager}}
        </section>
        {{/hasDeliveries}}
        """#)
}
