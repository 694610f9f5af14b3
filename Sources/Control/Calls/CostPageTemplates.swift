/// What was spent, by whom and for what.
enum CostPageTemplates {
    static let all = [costs, table]

    static let costs = PageTemplate(
        "costs",
        #"""
        <div class="head"><h1>Costs</h1><span class="sub">{{subtitle}}</span>
          <div class="actions"><a class="button" href="{{csvPath}}" download
            hx-boost="false">Download CSV</a></div></div>
        <div class="chips" role="group" aria-label="Days">
          {{#periods}}<a class="chip" href="{{path}}"{{#isCurrent}} aria-current="true"{{/isCurrent}}>{{label}}</a>
          {{/periods}}
        </div>
        {{> call-numbers}}
        <div class="chips" role="group" aria-label="Sum up by">
          {{#dimensions}}<a class="chip" href="{{path}}"{{#isCurrent}} aria-current="true"{{/isCurrent}}>{{label}}</a>
          {{/dimensions}}
        </div>
        <form class="filters" action="/costs" role="search">
          <input type="hidden" name="by" value="{{by}}">
          {{#days}}<input type="hidden" name="days" value="{{days}}">{{/days}}
          <input name="agent" value="{{agent}}" placeholder="Agent" aria-label="Agent">
          <input name="project" value="{{project}}" placeholder="Project" aria-label="Project">
          {{#hasModel}}<input name="model" value="{{model}}" placeholder="Model" aria-label="Model">{{/hasModel}}
          <button type="submit">Filter</button>{{#isFiltered}}<a class="button quiet"
            href="{{clearPath}}">Clear</a>{{/isFiltered}}
        </form>
        <div class="stack">
          {{#chart}}
          <section class="panel" id="cost-chart" aria-labelledby="chart-title">
            <header><h2 id="chart-title">Dollars a day</h2><span class="end">{{summary}}</span></header>
            <div class="chart tall"><canvas data-chart="{{series}}" role="img" aria-label="{{summary}}"></canvas></div>
          </section>
          {{/chart}}
          <section class="panel" id="cost-list" aria-label="Costs">
            {{#hasRows}}
        {{> cost-table}}
        {{> pager}}
            {{/hasRows}}
            {{^hasRows}}{{#noRows}}{{> empty}}{{/noRows}}{{/hasRows}}
          </section>
        </div>
        """#)

    static let table = PageTemplate(
        "cost-table",
        #"""
        <table class="table cards">
          <thead><tr><th>{{heading}}</th><th class="num">Cost</th><th></th><th class="num">Calls</th>
            <th class="num">Tokens</th><th class="num">Lost</th>{{#hasAccepted}}<th class="num">Accepted</th>
            <th class="num">Each</th>{{/hasAccepted}}</tr></thead>
          <tbody>{{#rows}}
            <tr data-cost="{{name}}" data-row>
              <td class="title">{{#path}}<a class="open" href="{{path}}">{{name}}</a>{{/path}}{{^path}}<span
                class="muted">{{name}}</span>{{/path}}{{#note}}<span
                  class="second"><span>{{note}}</span></span>{{/note}}</td>
              <td class="num nowrap"><b>{{cost}}</b></td>
              <td class="nowrap">{{#share}}<svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none"
                aria-hidden="true"><rect width="{{percent}}" height="6"/></svg> <span
                  class="small muted">{{percent}} %</span>{{/share}}</td>
              <td class="num" data-label="Calls">{{#callsPath}}<a href="{{callsPath}}">{{calls}}</a>{{/callsPath}}
                {{^callsPath}}{{calls}}{{/callsPath}}</td>
              <td class="num" data-label="Tokens">{{tokens}}</td>
              <td class="num nowrap" data-label="Lost">{{#lost}}{{lost}}{{/lost}}{{^lost}}<span
                class="muted">–</span>{{/lost}}</td>
              {{#hasAccepted}}<td class="num" data-label="Accepted">{{accepted}}</td>
              <td class="num nowrap" data-label="Each">{{#perAccepted}}{{perAccepted}}{{/perAccepted}}
                {{^perAccepted}}<span class="muted">–</span>{{/perAccepted}}</td>{{/hasAccepted}}
            </tr>{{/rows}}
          </tbody>
        </table>
        """#)
}
