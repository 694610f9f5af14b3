/// The first page: who is alive, doing what, since when, and what needs a person.
enum FleetPageTemplates {
    static let all = [fleet, digest, attention]

    static let fleet = PageTemplate(
        "fleet",
        #"""
        <div class="head"><h1>Fleet</h1><span class="sub">{{subtitle}}</span></div>
        <section id="digest" data-keep aria-label="Since you left"></section>
        <dl class="stats" id="stats">
          {{#numbers}}
          <a class="stat{{#isAlarming}} alarm{{/isAlarming}}" href="{{path}}" data-number="{{id}}"
            data-state="{{state}}">
            <span class="label"><span class="dot"></span>{{label}}</span>
            <span class="value">{{value}}{{#of}} <small>{{of}}</small>{{/of}}</span>
            <span class="note">{{note}}</span></a>
          {{/numbers}}
        </dl>
        <div class="columns">
          <div class="stack">
            <section class="panel" id="fleet-agents" aria-labelledby="agents-title">
              <header><h2 id="agents-title">Agents</h2>
                <span class="end"><a class="link" href="/agents">All {{agentCount}}</a></span></header>
        {{> agent-table}}
            </section>
            {{#hasStates}}
            <section class="panel" id="fleet-tasks" aria-labelledby="states-title">
              <header><h2 id="states-title">Tasks by state</h2>
                <span class="end"><a class="link" href="/tasks">All {{taskCount}}</a></span></header>
              <div class="pad">
                <svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
                  {{#states}}<rect data-state="{{state}}" x="{{start}}" y="0" width="{{width}}"
                    height="10"/>{{/states}}</svg>
                <div class="legend">
                  {{#states}}<a href="{{path}}" data-state="{{state}}"><span
                    class="dot"></span>{{label}} <b>{{count}}</b></a>{{/states}}
                </div>
              </div>
            </section>
            {{/hasStates}}
            {{#chart}}
            <section class="panel" id="fleet-chart" aria-labelledby="chart-title">
              <header><h2 id="chart-title">Finished tasks a minute</h2><span class="end">last 30 minutes</span></header>
              <div class="chart"><canvas data-chart="{{series}}" role="img" aria-label="{{summary}}"></canvas></div>
            </section>
            {{/chart}}
          </div>
          <div class="stack">
            <section class="panel early" id="needs-you" aria-labelledby="needs-title">
              <header><h2 id="needs-title">Needs you</h2>{{#attentionCount}}<span
                class="count">{{attentionCount}}</span>{{/attentionCount}}</header>
              {{#hasAttention}}<ul class="todo">{{#attention}}{{> attention}}{{/attention}}</ul>{{/hasAttention}}
              {{^hasAttention}}<div
                class="empty"><strong>Nothing needs you</strong>
                  Reviews, set-aside tasks and agents that went silent turn up here.</div>{{/hasAttention}}
            </section>
            <section class="panel late" id="fleet-events" aria-labelledby="events-title">
              <header><h2 id="events-title">Lately</h2><span class="end"><a class="link"
                href="/events">All events</a></span></header>
              <ol class="log brief">{{#events}}{{> event-item}}{{/events}}</ol>
              {{^events}}<div class="empty">Nothing has happened yet.</div>{{/events}}
            </section>
          </div>
        </div>
        """#)

    static let digest = PageTemplate(
        "digest",
        #"""
        {{#hasNews}}
        <div class="notice" data-state="idle"><b>Since you left {{#since}}{{> time}}{{/since}}</b>
          {{#items}}<a href="{{path}}" data-state="{{state}}"><b>{{count}}</b> {{label}}</a>{{/items}}
          <button class="quiet tiny end" type="button" data-action="dismiss">Dismiss</button></div>
        {{/hasNews}}
        """#)

    static let attention = PageTemplate(
        "attention",
        #"""
        <li data-kind="{{kind}}"><span class="dot" data-state="{{state}}"></span><a class="title clip"
          href="{{path}}">{{title}}</a>{{#since}}{{> time}}{{/since}}<span class="second">{{reason}}</span></li>
        """#)
}
