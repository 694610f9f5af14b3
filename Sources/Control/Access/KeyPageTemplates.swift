/// The keys: made, listed and revoked by admins.
enum KeyPageTemplates {
    static let all = [list]

    static let list = PageTemplate(
        "keys",
        #"""
        <div class="head"><h1>Keys</h1><span class="sub">{{subtitle}}</span></div>
        <section class="panel" id="key-new" aria-labelledby="key-new-title">
          <header><h2 id="key-new-title">New key</h2></header>
          <form class="pad filters flush" id="key-form" data-keep data-post="/api/v1/keys" data-secret="key"
            data-done="Made">
            <input name="name" required placeholder="Name" aria-label="Name"
              autocomplete="off">
            <select name="role" aria-label="Role">{{#roles}}<option
              value="{{name}}">{{name}}: {{summary}}</option>{{/roles}}</select>
            <input name="agent" placeholder="Agent (role agent only)" aria-label="Agent" autocomplete="off">
            <button class="primary" type="submit" data-action="make-key">Make the key</button>
            <div class="secret-slot" data-secret-slot></div>
          </form>
        </section>
        <section class="panel spaced" id="key-list" aria-label="Keys">
          <table class="table cards">
            <thead><tr><th>Name</th><th>Role</th><th>Agent</th><th class="num">Made</th><th
              class="num">Last used</th><th></th></tr></thead>
            <tbody>{{#keys}}
              <tr data-key-id="{{id}}" data-state="{{state}}"><td class="title">{{name}}<span
                class="second mono">{{id}}</span></td><td><span class="tag">{{role}}</span></td>
                <td data-label="Agent">{{#agent}}<a href="{{path}}">{{label}}</a>{{/agent}}{{^agent}}<span
                  class="muted">any</span>{{/agent}}</td>
                <td class="num nowrap" data-label="Made">{{#created}}{{> time}}{{/created}}</td>
                <td class="num nowrap" data-label="Used">{{#used}}{{> time}}{{/used}}{{^used}}<span
                  class="muted">never</span>{{/used}}</td>
                <td class="acts">{{#isRevoked}}<span class="muted">revoked</span>{{/isRevoked}}{{^isRevoked}}<button
                  class="tiny danger" type="button" data-action="revoke" data-delete="{{apiPath}}"
                  data-done="Revoked" data-confirm="Revoke {{name}}? Whatever uses it is locked out at once."
                  >Revoke</button>{{/isRevoked}}</td></tr>{{/keys}}
            </tbody>
          </table>
        {{> pager}}
        </section>
        """#)
}
