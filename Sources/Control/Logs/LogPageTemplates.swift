/// Log records, the newest first.
enum LogPageTemplates {
    static let all = [list]

    static let list = PageTemplate(
        "logs",
        #"""
        <div class="head"><h1>Logs</h1><span class="sub">what programs wrote{{#isLive}}, live{{/isLive}}</span>
          {{#isLive}}<div class="actions"><button type="button" data-action="freeze" aria-pressed="false"
            title="Hold the page still (p)"><span data-freeze-label>Hold still</span></button></div>{{/isLive}}</div>
        <form class="filters" action="/logs" role="search">
          <input type="search" name="q" value="{{words}}" placeholder="Words, or &quot;several together&quot;"
            aria-label="Words">
          <input name="correlationId" value="{{correlation}}" placeholder="Correlation id or trace"
            aria-label="Correlation id or trace" spellcheck="false">
          <input name="service" value="{{service}}" placeholder="Service" aria-label="Service">
          <input name="agent" value="{{agent}}" placeholder="Agent" aria-label="Agent">
          <select name="level" aria-label="Level at least"><option value="">Any level</option>{{#levels}}<option
            value="{{name}}"{{#isChosen}} selected{{/isChosen}}>{{name}}</option>{{/levels}}</select>
          <button type="submit">Filter</button>{{#isFiltered}}<a
            class="button quiet" href="/logs">Clear</a>{{/isFiltered}}
        </form>
        {{^isComplete}}<p class="notice" data-state="held" role="status">The search took too long: there may be more
          before these.</p>{{/isComplete}}
        <section class="panel" id="log-list" aria-label="Log records"{{#isLive}} data-poll{{/isLive}}>
          <ol class="log">{{#records}}
            <li id="log-{{id}}" data-level="{{grade}}">{{#at}}{{> time}}{{/at}}
              <div class="what"><span class="type" data-state="{{grade}}">{{level}}</span><span
                class="muted">{{service}}</span>{{#agent}}<a class="muted" href="{{path}}">{{label}}</a>{{/agent}}
                {{#tool}}<span class="muted">{{tool}}</span>{{/tool}}
                <span class="about"><span>{{message}}</span>{{#correlation}}<a class="link clip"
                  href="{{path}}">{{label}}</a>{{/correlation}}{{#trace}}<a class="link"
                  href="{{path}}">trace {{label}}</a>{{/trace}}</span></div>
              <details><summary>All fields</summary><pre class="code">{{details}}</pre></details></li>{{/records}}
          </ol>
          {{^records}}{{#noRecords}}{{> empty}}{{/noRecords}}{{/records}}
          {{> pager}}
        </section>
        """#)
}
