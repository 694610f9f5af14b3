/// Who did what to the fleet, and whether the record is whole.
enum AuditPageTemplates {
    static let all = [list]

    static let list = PageTemplate(
        "audit",
        #"""
        <div class="head"><h1>Audit</h1><span class="sub">{{subtitle}}</span>
          <span class="actions"><a class="button tiny" href="/audit/holds">Legal holds</a></span></div>
        {{#chain}}<div class="notice" id="chain" data-state="{{state}}"><span class="state"
          data-state="{{state}}">{{stateLabel}}</span><span>{{text}}</span>{{#head}}<code class="muted"
            title="The hash of the last row">{{head}}</code>{{/head}}</div>{{/chain}}
        <section class="panel" id="audit-list" aria-label="Audit rows">
          {{#hasRows}}
          <table class="table cards">
            <thead><tr><th
              class="num">No.</th><th>When</th><th>Who</th><th>Act</th><th>On</th><th>Hash</th></tr></thead>
            <tbody>{{#rows}}
              <tr data-audit="{{seq}}"><td class="num gone">{{seq}}</td><td
                class="nowrap">{{#at}}{{> time}}{{/at}}</td><td>{{actor}}</td>
                <td class="title">{{action}}</td><td class="wide">{{subject}}{{#details}}<details><summary
                  class="small muted">Details</summary><pre class="code">{{details}}</pre></details>{{/details}}</td>
                <td class="gone"><code title="{{hash}}">{{shortHash}}</code></td></tr>{{/rows}}
            </tbody>
          </table>
        {{> pager}}
          {{/hasRows}}
          {{^hasRows}}{{#noRows}}{{> empty}}{{/noRows}}{{/hasRows}}
        </section>
        """#)
}
