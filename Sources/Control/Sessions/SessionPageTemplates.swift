/// Sessions: the list, and the replay, whose steps are drawn by `replay.js`.
enum SessionPageTemplates {
    static let all = [list, replay]

    static let list = PageTemplate(
        "sessions",
        #"""
        <div class="head"><h1>Sessions</h1><span class="sub">what agents were asked, turn by turn</span>
          <span class="actions"><a class="button tiny" href="/traces">Traces</a></span></div>
        <form class="filters" action="/sessions" role="search">
          <input name="agent" value="{{agent}}" placeholder="Agent" aria-label="Agent">
          <button type="submit">Filter</button>{{#isFiltered}}<a
            class="button quiet" href="/sessions">Clear</a>{{/isFiltered}}
        </form>
        {{#isCut}}<p class="notice" data-state="held">There was no time to look at all that is kept; these are the
          latest.</p>{{/isCut}}
        <section class="panel" id="session-list" aria-label="Sessions">
          {{#hasSessions}}
          <table class="table cards">
            <thead><tr><th>Session</th><th>State</th><th>Agent</th><th class="num">Turns</th><th class="num">Tools</th>
              <th class="num">Tokens</th><th class="num">Cost</th><th class="num">Took</th>
              <th class="num">Began</th></tr></thead>
            <tbody>{{#sessions}}
              <tr data-state="{{state}}" data-row>
                <td class="title"><a class="open" href="{{path}}">{{id}}</a><span
                  class="second"><span>{{kind}}</span></span></td>
                <td>{{> state}}</td>
                <td data-label="Agent">{{#agent}}<a href="{{path}}">{{label}}</a>{{/agent}}</td>
                <td class="num nowrap" data-label="Turns">{{turns}}{{#errors}}<span
                  class="second">{{errors}}</span>{{/errors}}</td>
                <td class="num nowrap" data-label="Tools">{{tools}}</td>
                <td class="num nowrap" data-label="Tokens">{{tokens}}</td>
                <td class="num nowrap" data-label="Cost">{{cost}}</td>
                <td class="num nowrap" data-label="Took">{{took}}</td>
                <td class="num nowrap">{{#began}}{{> time}}{{/began}}</td>
              </tr>{{/sessions}}
            </tbody>
          </table>
          {{/hasSessions}}
          {{^hasSessions}}{{#noSessions}}{{> empty}}{{/noSessions}}{{/hasSessions}}
        </section>
        """#)

    static let replay = PageTemplate(
        "replay",
        #"""
        <div class="head"><h1>{{title}} <code>{{short}}</code></h1><span class="sub" id="replay-sub"
          data-keep>loading</span>
          <span class="actions">{{#tree}}<a class="button tiny" href="{{tree}}">Tree and times</a>{{/tree}}</span></div>
        <div data-script="{{assets.span}}" hidden></div>
        <section class="panel replay" id="replay" data-keep data-source="{{source}}"
          data-script="{{assets.replay}}">
          <header>
            <button type="button" data-replay="back" title="Back (left arrow)">Back</button>
            <button type="button" class="primary" data-replay="on" title="Next (right arrow)">Next</button>
            <input type="range" min="1" value="1" aria-label="Step" data-replay="seek">
            <span class="end"><a class="link" data-meter="step" href="#step-1"
              title="The address of this step">–</a><span data-meter="turn">–</span><span
              data-meter="time">–</span><span data-meter="tokens">–</span><span
              data-meter="cost">–</span><span data-meter="context"></span></span></header>
          <div class="replay-body"><ol class="replay-steps" aria-label="Steps"></ol>
            <div class="replay-step" aria-live="polite"><div class="empty">Loading the steps.</div></div></div>
        </section>
        """#)
}
