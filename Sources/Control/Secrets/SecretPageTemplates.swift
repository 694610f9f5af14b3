/// The secrets, and each by itself. No template has a value to show.
enum SecretPageTemplates {
    static let all = [list, detail, versions, grants, holders, rotation, audit]

    static let list = PageTemplate(
        "secrets",
        #"""
        <div class="head"><h1>Secrets</h1><span
          class="sub">what agents need to reach others; values are on no page</span>
          {{#canOperate}}<div class="actions"><details class="menu"><summary class="button"
            data-action="new-secret-menu">New secret</summary><div class="pop">
            <form method="post" id="new-secret" data-put="/api/v1/secrets/" data-put-name="path"
              data-done="Kept, sealed">
              <label class="field">Path <input name="path" required maxlength="300" spellcheck="false"
                autocomplete="off" placeholder="project/marketing/openai"></label>
              <label class="field">Value <input type="password" name="value" required autocomplete="off"
                spellcheck="false"></label>
              <button class="primary" type="submit" data-action="write-secret">Keep it</button></form></div></details>
          </div>{{/canOperate}}</div>
        {{#fault}}<p class="notice" data-state="failed" id="secret-fault">{{fault}}</p>{{/fault}}
        <div class="chips" role="group" aria-label="Filter by scope">
          {{#filters}}<a class="chip" href="{{path}}"{{#isCurrent}} aria-current="true"{{/isCurrent}}>{{label}}</a>
          {{/filters}}
        </div>
        <form class="filters" action="/secrets" role="search">
          {{#scope}}<input type="hidden" name="scope" value="{{scope}}">{{/scope}}
          <input name="owner" value="{{owner}}" placeholder="Owner" aria-label="Owner" autocomplete="off">
          <button type="submit">Filter</button>
        </form>
        <section class="panel" id="secret-list" aria-label="Secrets">
          {{#hasSecrets}}
          <table class="table cards">
            <thead><tr><th>Secret</th><th>State</th><th>Owner</th><th class="num">Version</th><th
              class="num">Age</th><th class="num">Rotation due</th><th class="num">Holders</th></tr></thead>
            <tbody>{{#secrets}}
              <tr data-secret-path="{{path}}" data-state="{{state}}" data-row>
                <td class="title"><a class="open mono" href="{{pagePath}}">{{path}}</a></td>
                <td class="nowrap">{{> state}}</td>
                <td data-label="Owner">{{#owner}}<a href="{{path}}">{{label}}</a>{{/owner}}{{^owner}}<span
                  class="muted">{{scope}}</span>{{/owner}}</td>
                <td class="num" data-label="Version">{{version}}</td>
                <td class="num nowrap" data-label="Age">{{#age}}{{> time}}{{/age}}{{^age}}–{{/age}}</td>
                <td class="num nowrap" data-label="Rotation due">{{#due}}{{> time}}{{/due}}{{^due}}–{{/due}}</td>
                <td class="num nowrap" data-label="Holders">{{holders}}{{#lastUsed}}<span class="second">used
                  {{> time}}</span>{{/lastUsed}}</td>
              </tr>{{/secrets}}
            </tbody>
          </table>
        {{> pager}}
          {{/hasSecrets}}
          {{^hasSecrets}}{{#noSecrets}}{{> empty}}{{/noSecrets}}{{/hasSecrets}}
        </section>
        """#)

    static let detail = PageTemplate(
        "secret",
        #"""
        {{#row}}
        <div class="head" data-secret-path="{{path}}" data-state="{{state}}"><h1>{{path}}</h1><span class="state big"
          data-state="{{state}}">{{stateLabel}}</span><span class="sub">version {{version}}{{#age}}, {{> time}}
            old{{/age}}</span>{{/row}}
          {{#canOperate}}<div class="actions">
            <details class="menu"><summary class="button" data-action="write-menu">New version</summary><div
              class="pop">
              <form method="post" id="secret-write" data-post="{{apiPath}}" data-method="PUT" data-forget
                data-done="Kept, sealed; who reads it from now on gets it"><label class="field">Value <input
                  type="password" name="value" required autocomplete="off" spellcheck="false"></label><button
                  class="primary" type="submit" data-action="write-secret">Keep it</button></form></div></details>
            <button class="danger" type="button" data-action="remove-secret" data-delete="{{apiPath}}?all=true"
              data-done="Forgotten with all its versions"
              data-confirm="Forget it with all its versions? They cannot be brought back.">Forget it</button>
          </div>{{/canOperate}}</div>
        <div class="columns">
          <div class="stack">
        {{> secret-versions}}
        {{> secret-grants}}
        {{> secret-holders}}
        {{> secret-audit}}
          </div>
          <div class="stack">
        {{> secret-rotation}}
            <section class="panel" id="secret-facts" aria-label="Facts">
              <dl class="facts">{{#facts}}<dt>{{name}}</dt><dd>{{#value}}{{value}}{{/value}}{{#time}}
                {{> time}}{{/time}}</dd>{{/facts}}</dl>
            </section>
          </div>
        </div>
        """#)

    static let versions = PageTemplate(
        "secret-versions",
        #"""
        <section class="panel" id="secret-versions" aria-labelledby="secret-versions-title">
          <header><h2 id="secret-versions-title">Versions</h2></header>
          {{#hasVersions}}
          <table class="table cards"><thead><tr><th>Version</th><th>State</th><th>By</th><th
            class="num">Written</th><th></th></tr></thead><tbody>
          {{#versions}}<tr data-version="{{number}}" data-state="{{state}}"><td class="title">{{number}}</td>
            <td class="nowrap">{{> state}}</td><td data-label="By">{{author}}</td>
            <td class="num nowrap" data-label="Written">{{#at}}{{> time}}{{/at}}</td>
            <td class="acts">{{#canOperate}}{{#canDelete}}<button class="tiny" type="button"
              data-action="delete-version" data-post="{{deletePath}}" data-body="{{body}}"
              data-done="Deleted; it can be brought back"
              data-confirm="Delete version {{number}}? Nobody can read it until it is brought back.">Delete</button>
              {{/canDelete}}{{#canUndelete}}<button class="tiny" type="button" data-action="undelete-version"
              data-post="{{undeletePath}}" data-body="{{body}}" data-done="It can be read again">Bring
              back</button> {{/canUndelete}}{{#canDestroy}}<button class="tiny danger" type="button"
              data-action="destroy-version" data-post="{{destroyPath}}" data-body="{{body}}"
              data-done="Its value is gone"
              data-confirm="Destroy version {{number}}? Its value is gone for good.">Destroy</button>
              {{/canDestroy}}{{/canOperate}}</td></tr>{{/versions}}
          </tbody></table>
          {{/hasVersions}}
          {{^hasVersions}}<div class="empty">It has no value yet: only what is said about it is
            kept.</div>{{/hasVersions}}
        </section>
        """#)

    static let grants = PageTemplate(
        "secret-grants",
        #"""
        <section class="panel" id="secret-grants" aria-labelledby="secret-grants-title">
          <header><h2 id="secret-grants-title">May read it</h2><span class="end muted">besides operators</span></header>
          {{#canOperate}}<form class="pad filters flush" id="grant-form" data-put="{{apiPath}}/grants/"
            data-put-name="agent" data-done="Granted"><input name="agent" required maxlength="200" placeholder="Agent"
            aria-label="Agent" autocomplete="off"><button type="submit" data-action="grant">Grant</button></form>
          {{/canOperate}}
          {{#hasGrants}}
          <table class="table cards"><thead><tr><th>Agent</th><th>Granted by</th><th
            class="num">When</th><th></th></tr></thead><tbody>
          {{#grants}}<tr data-grant="{{agent}}"><td class="title"><a href="{{agentPath}}">{{agent}}</a></td>
            <td data-label="Granted by">{{by}}</td><td class="num nowrap"
              data-label="When">{{#at}}{{> time}}{{/at}}</td>
            <td class="acts">{{#canOperate}}<button class="tiny danger" type="button" data-action="revoke"
              data-delete="{{revokePath}}" data-done="Revoked"
              data-confirm="Revoke it from {{agent}}? It keeps what it has read already.">Revoke</button>
              {{/canOperate}}</td></tr>{{/grants}}
          </tbody></table>
          {{#moreGrants}}<p class="pad muted">{{moreGrants}}</p>{{/moreGrants}}
          {{/hasGrants}}
          {{^hasGrants}}<div class="empty">No agent may read it.</div>{{/hasGrants}}
        </section>
        """#)

    /// Those who have it, and since when: leases belong here too.
    static let holders = PageTemplate(
        "secret-holders",
        #"""
        <section class="panel" id="secret-holders" aria-labelledby="secret-holders-title">
          <header><h2 id="secret-holders-title">Holders</h2><span class="end muted">who read it, and who
            may</span></header>
          {{#hasHolders}}
          <table class="table cards"><thead><tr><th>Who</th><th>Version</th><th
            class="num">Last use</th></tr></thead><tbody>
          {{#holders}}<tr data-holder="{{actor}}"><td class="title">{{#link}}<a
              href="{{path}}">{{label}}</a>{{/link}}{{^link}}{{actor}}{{/link}}</td>
            <td data-label="Version">{{#version}}{{version}}{{#isOld}} <span class="tag">older</span>{{/isOld}}
              {{/version}}{{^version}}<span class="muted">none yet</span>{{/version}}</td>
            <td class="num nowrap" data-label="Last use">{{#used}}{{> time}}{{/used}}{{^used}}<span
              class="muted">never</span>{{/used}}</td></tr>{{/holders}}
          </tbody></table>
          {{/hasHolders}}
          {{^hasHolders}}<div class="empty">Nobody read it yet, and no agent may.</div>{{/hasHolders}}
        </section>
        """#)

    /// Where it stands between one value and the next, and what can be done about it.
    static let rotation = PageTemplate(
        "secret-rotation",
        #"""
        <section class="panel" id="secret-rotation" aria-labelledby="secret-rotation-title">
          <header><h2 id="secret-rotation-title">Rotation</h2></header>
          {{#rotation}}
          <p class="pad" data-rotation="{{state}}"><span class="state" data-state="{{state}}">{{stateLabel}}</span>
            {{#versions}}<span class="muted">{{versions}}</span>{{/versions}}</p>
          <dl class="facts">{{#facts}}<dt>{{name}}</dt><dd>{{#value}}{{value}}{{/value}}{{#time}}
            {{> time}}{{/time}}</dd>{{/facts}}</dl>
          {{#waitsFor}}<p class="pad muted" data-waits-for>Waits for {{what}}{{#until}}:
            {{> time}}{{/until}}</p>{{/waitsFor}}
          {{#hasUsers}}<table class="table cards"><thead><tr><th>Has the old value</th><th>Holds it with</th><th
            class="num">Last used</th></tr></thead><tbody>{{#users}}<tr data-rotation-user="{{actor}}"><td
              class="title">{{#link}}<a href="{{path}}">{{label}}</a>{{/link}}{{^link}}{{actor}}{{/link}}</td>
            <td data-label="Holds it with">{{holds}}</td><td class="num nowrap"
              data-label="Last used">{{#used}}{{> time}}{{/used}}</td></tr>{{/users}}</tbody></table>{{/hasUsers}}
          {{#canOperate}}<div class="pad filters flush">{{#acts}}<button class="tiny{{#isDanger}} danger{{/isDanger}}"
            type="button" data-action="rotation-{{verb}}" data-post="{{path}}" data-done="{{done}}"
            data-confirm="{{confirm}}">{{label}}</button> {{/acts}}
            {{#canStage}}<details class="menu"><summary class="button tiny"
              data-action="stage-menu">Rotate</summary><div class="pop"><form method="post"
                id="secret-stage" data-post="{{apiPath}}" data-forget
                data-done="Staged; nobody gets it before it is proven"><label class="field">New value <input
                  type="password" name="value" required autocomplete="off" spellcheck="false"></label><button
                  class="primary" type="submit" data-action="stage">Stage it</button></form></div></details>
            {{/canStage}}{{#canVouch}}<details class="menu"><summary class="button tiny"
              data-action="vouch-menu">Vouch for it</summary><div class="pop"><form method="post" id="secret-vouch"
                data-post="{{apiPath}}/verify" data-done="Verified by your word"><label class="field">How you
                know that it works <input name="reason" required maxlength="500"></label><button class="primary"
                  type="submit" data-action="vouch">It works</button></form></div></details>{{/canVouch}}
            {{#canCut}}<details class="menu"><summary class="button tiny danger"
              data-action="compromise-menu">Others know it</summary><div class="pop"><form method="post"
                id="secret-compromise" data-post="{{apiPath}}/compromise"
                data-done="Cut: nobody gets that version any more"
                data-confirm="Cut it at once, whoever uses it?"><label class="field">Version <select name="version"
                  data-json>{{#known}}<option value="{{number}}">{{label}}</option>{{/known}}</select></label><label
                  class="field">How others came to know it <input name="reason" required
                  maxlength="500"></label>{{#canStage}}<label class="field">New value, if there is one <input
                  type="password" name="value" autocomplete="off" spellcheck="false"></label>{{/canStage}}<button
                  class="danger" type="submit" data-action="compromise">Cut it</button></form></div></details>
            {{/canCut}}
          </div>{{/canOperate}}
          {{/rotation}}
        </section>
        """#)

    static let audit = PageTemplate(
        "secret-audit",
        #"""
        <section class="panel" id="secret-audit" aria-labelledby="secret-audit-title">
          <header><h2 id="secret-audit-title">Audit</h2><span class="end"><a class="link" href="/audit">All
            acts</a></span></header>
          {{#hasActs}}
          <table class="table cards"><thead><tr><th>Act</th><th>Who</th><th class="num">When</th></tr></thead><tbody>
          {{#acts}}<tr data-audit="{{seq}}"><td class="title">{{action}}{{#details}}<details><summary
              class="small muted">Details</summary><pre class="code">{{details}}</pre></details>{{/details}}</td>
            <td data-label="Who">{{actor}}</td>
            <td class="num nowrap" data-label="When">{{#at}}{{> time}}{{/at}}</td></tr>{{/acts}}
          </tbody></table>
          {{/hasActs}}
          {{^hasActs}}<div class="empty">None of the newest acts is about it.</div>{{/hasActs}}
        </section>
        """#)
}
