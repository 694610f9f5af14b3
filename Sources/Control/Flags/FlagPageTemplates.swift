/// The flags, and each by itself.
enum FlagPageTemplates {
    static let all = [list, switching, detail]

    static let list = PageTemplate(
        "flags",
        #"""
        <div class="head"><h1>Flags</h1><span class="sub">{{subtitle}}</span></div>
        <section class="panel" id="flag-list" aria-label="Flags">
          {{#hasFlags}}
          <table class="table cards">
            <thead><tr><th>Flag</th><th>State</th><th>Kind</th><th>Serves</th><th class="num">Served</th>
              <th class="num">Changed</th><th></th></tr></thead>
            <tbody>{{#flags}}
              <tr data-flag="{{key}}" data-state="{{state}}" data-row>
                <td class="title"><a class="open mono" href="{{path}}">{{key}}</a>{{#about}}<span
                  class="second"><span>{{about}}</span></span>{{/about}}</td>
                <td class="nowrap">{{> state}}</td>
                <td class="nowrap" data-label="Kind">{{kind}}<span class="second">{{mode}}</span></td>
                <td data-label="Serves">{{serves}}</td>
                <td class="num" data-label="Served">{{served}}</td>
                <td class="num nowrap" data-label="Changed">{{#changed}}{{> time}}{{/changed}}<span
                  class="second">{{author}}</span></td>
                <td class="acts">{{> flag-switch}}</td>
              </tr>{{/flags}}
            </tbody>
          </table>
        {{> pager}}
          {{/hasFlags}}
          {{^hasFlags}}{{#noFlags}}{{> empty}}{{/noFlags}}{{/hasFlags}}
        </section>
        """#)

    static let switching = PageTemplate(
        "flag-switch",
        #"""
        {{#canOperate}}<details class="menu"><summary class="button tiny"
          data-action="switch-menu">{{#isOn}}Switch off{{/isOn}}{{^isOn}}Switch on{{/isOn}}</summary><div class="pop">
          <form data-post="{{apiPath}}/{{#isOn}}off{{/isOn}}{{^isOn}}on{{/isOn}}"
            data-done="{{key}} is switched {{#isOn}}off{{/isOn}}{{^isOn}}on{{/isOn}}"><label class="field">Reason <input
            name="reason" maxlength="500" placeholder="Kept in its history"></label><button type="submit"
              data-action="switch">{{#isOn}}Switch it off{{/isOn}}{{^isOn}}Switch it on{{/isOn}}</button></form>
          </div></details>{{/canOperate}}
        """#)

    static let detail = PageTemplate(
        "flag",
        #"""
        {{#row}}
        <div class="head"><h1>{{key}}</h1>{{> state}}<span class="sub">{{#about}}{{about}}{{/about}}</span>
          <div class="actions">{{> flag-switch}}</div></div>
        {{/row}}
        <div class="columns">
          <div class="stack">
            <section class="panel" id="flag-targeting" aria-labelledby="flag-targeting-title">
              <header><h2 id="flag-targeting-title">Targeting</h2><span class="end muted">the first that fits
                decides</span></header>
              <table class="table cards"><thead><tr><th>Rule</th><th>Whom</th><th>Serves</th></tr></thead><tbody>
              {{#rules}}<tr data-rule="{{id}}"><td class="title mono">{{id}}</td>
                <td data-label="Whom">{{when}}{{^isInForce}}<span class="second">not at this
                  moment</span>{{/isInForce}}</td>
                <td data-label="Serves">{{serves}}</td></tr>{{/rules}}
              </tbody></table>
            </section>
            <section class="panel" id="flag-audience" aria-labelledby="flag-audience-title">
              <header><h2 id="flag-audience-title">Audience</h2><span class="end muted">served by this replica since its
                start</span></header>
              <table class="table cards"><thead><tr><th>Variant</th><th>Value</th><th>Share</th><th
                class="num">Served</th>{{#isPinned}}<th class="num">Sessions</th>{{/isPinned}}{{#configKey}}<th
                class="num">Agents</th>{{/configKey}}</tr></thead><tbody>
              {{#variants}}<tr data-variant="{{name}}"><td class="title mono">{{name}}{{#isDefault}} <span
                  class="tag">default</span>{{/isDefault}}</td>
                <td data-label="Value"><span class="mono">{{value}}</span></td>
                <td class="nowrap" data-label="Share">{{#share}}<svg class="meter" viewBox="0 0 100 6"
                  preserveAspectRatio="none" role="img" aria-label="{{percent}} % of what was served"><rect
                    width="{{percent}}" height="6"/></svg> {{percent}} %{{/share}}</td>
                <td class="num" data-label="Served">{{served}}</td>
                {{#isPinned}}<td class="num" data-label="Sessions">{{sessions}}</td>{{/isPinned}}{{#configKey}}<td
                  class="num" data-label="Agents">{{agents}}</td>{{/configKey}}</tr>{{/variants}}
              </tbody></table>
            </section>
            {{#configKey}}<section class="panel" id="flag-agents" aria-labelledby="flag-agents-title">
              <header><h2 id="flag-agents-title">Agents under it</h2><span class="end muted"><span
                class="mono">{{configKey}}</span> of {{agentWords}}, without a user</span></header>
              <table class="table cards"><thead><tr><th>Agent</th><th>Gets</th><th>By</th></tr></thead><tbody>
              {{#agents}}<tr data-agent="{{agent}}"><td class="title"><a class="open" href="{{path}}">{{agent}}</a></td>
                <td class="mono" data-label="Gets">{{variant}}</td>
                <td data-label="By">{{reason}}</td></tr>{{/agents}}
              </tbody></table>
            </section>{{/configKey}}
            <section class="panel" id="flag-history" aria-labelledby="flag-history-title">
              <header><h2 id="flag-history-title">History</h2></header>
              <table class="table cards"><thead><tr><th>Version</th><th>What</th><th
                class="num">When</th></tr></thead><tbody>
              {{#versions}}<tr data-version="{{version}}"><td class="title">{{version}}<span
                  class="second">{{act}}</span></td>
                <td data-label="What">{{author}}{{#reason}}: {{reason}}{{/reason}}{{#changes}}<span
                  class="second"><span class="mono">{{path}}</span> <span class="muted">{{from}}</span> →
                  {{to}}</span>
                  {{/changes}}</td>
                <td class="num nowrap" data-label="When">{{#at}}{{> time}}{{/at}}</td></tr>{{/versions}}
              </tbody></table>
            </section>
          </div>
          <section class="panel" id="flag-facts" aria-label="Facts">
            <dl class="facts">
              {{#facts}}<dt>{{name}}</dt><dd>{{value}}</dd>{{/facts}}
              <dt>Made</dt><dd>{{#created}}{{> time}}{{/created}} by {{createdBy}}</dd>
            </dl>
          </section>
        </div>
        """#)
}
