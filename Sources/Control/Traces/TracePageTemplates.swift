/// Traces: the list, and the tree beside its times, whose rows are drawn by `trace.js`: a trace may have more than a
/// browser could hold.
enum TracePageTemplates {
    static let all = [list, detail]

    static let list = PageTemplate(
        "traces",
        #"""
        <div class="head"><h1>Traces</h1><span class="sub">what agents did, step by step</span>
          <span class="actions"><a class="button tiny" href="/sessions">Sessions</a></span></div>
        <form class="filters" action="/traces" role="search">
          <input type="search" name="id" placeholder="Trace id" aria-label="Trace id" spellcheck="false">
          <input name="service" value="{{service}}" placeholder="Service" aria-label="Service">
          <input name="agent" value="{{agent}}" placeholder="Agent" aria-label="Agent">
          <input name="correlationId" value="{{correlation}}" placeholder="Correlation id" aria-label="Correlation id">
          <input name="label" value="{{label}}" placeholder="Label" aria-label="Label">
          <label class="check"><input type="checkbox" name="status" value="error"{{#isFailed}} checked{{/isFailed}}>
            With errors</label>
          <button type="submit">Filter</button>{{#isFiltered}}<a
            class="button quiet" href="/traces">Clear</a>{{/isFiltered}}
        </form>
        {{#unknown}}<p class="notice" data-state="held" role="alert"><b>{{unknown}}</b> is no trace id: one has 32
          hexadecimal digits.</p>{{/unknown}}
        <section class="panel" id="trace-list" aria-label="Traces">
          {{#hasTraces}}
          <table class="table cards">
            <thead><tr><th>Trace</th><th>State</th><th>Agent</th><th class="num">Spans</th><th class="num">Tokens</th>
              <th class="num">Took</th><th class="num">Began</th></tr></thead>
            <tbody>{{#traces}}
              <tr id="row-{{id}}" data-trace="{{id}}" data-state="{{state}}" data-row>
                <td class="title"><a class="open" href="{{path}}">{{name}}</a><span
                  class="second"><span>{{service}}</span>{{#correlation}}<span>{{correlation}}</span>{{/correlation}}
                </span></td>
                <td>{{> state}}</td>
                <td data-label="Agent">{{#agent}}<a href="{{path}}">{{label}}</a>{{/agent}}</td>
                <td class="num nowrap" data-label="Spans">{{spans}}{{#errors}}<span
                  class="second">{{errors}}</span>{{/errors}}</td>
                <td class="num nowrap" data-label="Tokens">{{tokens}}</td>
                <td class="num nowrap" data-label="Took">{{took}}</td>
                <td class="num nowrap">{{#began}}{{> time}}{{/began}}</td>
              </tr>{{/traces}}
            </tbody>
          </table>
          {{/hasTraces}}
          {{^hasTraces}}{{#noTraces}}{{> empty}}{{/noTraces}}{{/hasTraces}}
        </section>
        """#)

    static let detail = PageTemplate(
        "trace",
        #"""
        <div class="head"><h1>Trace <code>{{short}}…</code></h1><span class="sub" id="trace-sub"
          data-keep>loading</span>
          <span class="actions" data-keep>
            <button class="tiny" type="button" data-trace-act="previous-error" disabled
              title="Previous error (Shift e)">Previous error</button>
            <button class="tiny" type="button" data-trace-act="next-error" disabled
              title="Next error (e)">Next error</button>
            <button class="tiny" type="button" data-trace-act="unfold">Unfold all</button>
            <button class="tiny" type="button" data-trace-act="fold">Fold all</button>
            <a class="button tiny" href="/traces/{{id}}/replay">Replay</a></span></div>
        <div class="trace-labels" id="trace-labels" aria-label="Labels" role="group">
          {{#labels}}<span class="tag" data-label-name="{{name}}"><a href="{{path}}">{{name}}</a>{{#canLabel}}<button
            class="quiet" type="button" data-action="unlabel" data-delete="{{apiPath}}" data-done="Label removed"
            aria-label="Remove the label {{name}}" title="Remove">×</button>{{/canLabel}}</span>{{/labels}}
          {{#canLabel}}<form class="filters flush" id="label-form" data-put="{{labelsPath}}" data-put-name="label"
            data-done="Labelled: the trace is kept longer"><input name="label" required maxlength="64"
              pattern="[A-Za-z0-9._:\-]+" placeholder="Label" aria-label="New label" autocomplete="off"
              spellcheck="false" title="Letters, digits, dots, dashes, underscores and colons"><button class="tiny"
              type="submit">Add</button></form>{{/canLabel}}
        </div>
        <div data-script="{{assets.span}}" hidden></div>
        <div class="trace" id="trace" data-keep data-trace="{{id}}" data-source="/ui/traces/{{id}}"
          data-spans="/api/v1/traces/{{id}}/spans/" data-script="{{assets.trace}}">
          <link rel="preload" as="fetch" href="/ui/traces/{{id}}" crossorigin="anonymous">
          <section class="panel trace-rows" aria-label="Spans">
            <div class="trace-head" aria-hidden="true"><span>Step</span><span class="trace-axis"></span></div>
            <div class="trace-scroll" role="treegrid" tabindex="0" aria-label="Spans as a tree"
              aria-describedby="trace-sub" aria-colcount="2"><div class="trace-space"></div></div>
          </section>
          <aside class="panel trace-detail" id="trace-detail" aria-live="polite" aria-label="The chosen span">
            <div class="empty">Choose a step to see all of it.</div></aside>
        </div>
        """#)
}
