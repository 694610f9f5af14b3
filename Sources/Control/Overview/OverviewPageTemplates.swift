/// The overview: four rows of numbers and charts.
enum OverviewPageTemplates {
    static let all = [
        PageTemplate(
            "overview",
            #"""
            <div class="head"><h1>Overview</h1><span class="sub" id="overview-sub" data-keep>loading</span>
              <form class="actions" action="/overview" role="search">
                <input type="hidden" name="range" value="{{range}}">
                <input name="agent" value="{{agent}}" placeholder="All agents" aria-label="Agent">
                <span class="seg" role="group" aria-label="Time range">{{#ranges}}<a href="{{path}}"{{#isCurrent}}
                  aria-current="true"{{/isCurrent}}>{{label}}</a>{{/ranges}}</span></form></div>
            <div id="overview" data-keep data-sha256="{{range}} {{agent}}" data-seconds="{{seconds}}"
              data-step="{{step}}"
              data-api="/prometheus/api/v1" data-script="{{assets.overview}}">
            {{#rows}}
            <section class="overview-row" aria-label="{{title}}">
              <h2>{{title}}</h2>
              {{#hasNumbers}}<div class="stats">{{#numbers}}
                <a class="stat" href="{{path}}" id="panel-{{id}}" data-panel data-unit="{{unit}}" data-form="{{form}}"
                  data-queries="{{queries}}" title="{{detail}}"><span class="label">{{title}}</span>
                  <span class="value" data-value>…</span><span class="note" data-note></span></a>
              {{/numbers}}</div>{{/hasNumbers}}
              <div class="overview-charts">{{#charts}}
                <section class="panel" id="panel-{{id}}" data-panel data-unit="{{unit}}" data-form="{{form}}"
                  data-queries="{{queries}}"{{#absent}} data-absent="{{absent}}"{{/absent}}
                  aria-labelledby="title-{{id}}">
                  <header><h3 id="title-{{id}}"><a href="{{path}}" title="{{detail}}">{{title}}</a></h3><span
                    class="end" data-note></span></header>
                  <div class="chart"><canvas role="img" aria-label="{{title}}"></canvas><p
                    class="chart-empty" data-empty>Loading.</p></div>
                </section>
              {{/charts}}</div>
            </section>
            {{/rows}}
            </div>
            """#)
    ]
}
