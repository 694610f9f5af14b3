/// The legal holds: put, seen and lifted by operators.
enum RetentionPageTemplates {
    static let all = [list]

    static let list = PageTemplate(
        "legal-holds",
        #"""
        <div class="head"><h1>Legal holds</h1><span class="sub">{{subtitle}}</span>
          <span class="actions"><a class="button tiny" href="/audit">Audit</a></span></div>
        {{#unkept}}<div class="notice" id="unkept" data-state="broken"><span class="state"
          data-state="broken">Not kept</span><span>{{unkept}}</span></div>{{/unkept}}
        <section class="panel" id="hold-new" aria-labelledby="hold-new-title">
          <header><h2 id="hold-new-title">New hold</h2></header>
          <form class="pad filters flush" id="hold-form" data-keep data-post="/api/v1/telemetry/holds"
            data-done="Held: nothing of it is deleted">
            <input name="correlationId" placeholder="Correlation id" aria-label="Correlation id" autocomplete="off">
            <input name="traceId" placeholder="or trace id" aria-label="Trace id" autocomplete="off">
            <input name="agent" placeholder="or agent" aria-label="Agent" autocomplete="off">
            <input name="subject" placeholder="or subject" aria-label="Subject" autocomplete="off">
            <input name="since" placeholder="or since" aria-label="Since" autocomplete="off">
            <input name="until" placeholder="until" aria-label="Until" autocomplete="off">
            <input name="reason" required placeholder="Reason" aria-label="Reason" autocomplete="off">
            <button class="primary" type="submit">Hold</button>
          </form>
        </section>
        <section class="panel spaced" id="hold-list" aria-label="Legal holds">
          {{#hasHolds}}
          <table class="table cards">
            <thead><tr><th>On</th><th>Reason</th><th>By</th><th class="num">Since</th><th></th></tr></thead>
            <tbody>{{#holds}}
              <tr data-hold="{{id}}" data-state="{{state}}"><td class="title">{{target}}<span
                class="second">{{kind}}</span></td><td data-label="Reason">{{reason}}</td>
                <td data-label="By">{{by}}</td>
                <td class="num nowrap" data-label="Since">{{#created}}{{> time}}{{/created}}</td>
                <td class="acts">{{#lifted}}<span class="muted">lifted by {{lifted}}</span>{{/lifted}}{{^lifted}}<button
                  class="tiny danger" type="button" data-action="lift" data-delete="{{apiPath}}" data-done="Lifted"
                  data-confirm="Lift this hold? What it alone keeps is deleted."
                  >Lift</button>{{/lifted}}</td></tr>{{/holds}}
            </tbody>
          </table>
        {{> pager}}
          {{/hasHolds}}
          {{^hasHolds}}{{#noHolds}}{{> empty}}{{/noHolds}}{{/hasHolds}}
        </section>
        """#)
}
