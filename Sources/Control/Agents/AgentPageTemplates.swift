/// The pages of the agents: the list, and one agent.
enum AgentPageTemplates {
    static let all = [table, list, detail]

    static let table = PageTemplate(
        "agent-table",
        #"""
        {{#hasAgents}}
        <table class="table cards">
          <thead><tr><th>Agent</th><th>Status</th><th>Doing</th><th class="num">CPU</th><th class="num">Memory</th><th
            class="num">Heartbeat</th></tr></thead>
          <tbody>
            {{#agents}}
            <tr id="agent-{{name}}" data-agent="{{name}}" data-state="{{state}}" data-row>
              <td class="title"><a class="open" href="{{path}}">{{name}}</a><span
                class="second">{{project}}{{#isBehind}} <b
                class="behind">upgrade pending</b>{{/isBehind}}</span></td>
              <td>{{> state}}</td>
              <td class="wide">{{#task}}<a href="{{path}}">{{title}}</a>{{#more}} <span
                class="muted">{{more}}</span>{{/more}}{{/task}}{{^task}}{{#message}}{{message}}{{/message}}
                  {{^message}}<span class="muted">{{idleText}}</span>{{/message}}{{/task}}
                <span
                  class="second">{{#task}}{{#message}}<span>{{message}}</span>{{/message}}{{/task}}
                    {{#since}}<span>since {{> time}}</span>{{/since}}</span></td>
              <td class="num nowrap" data-label="CPU">{{cpu}}</td>
              <td class="num nowrap" data-label="Memory">{{memory}}</td>
              <td class="num nowrap" data-label="Heartbeat">{{#heartbeat}}{{> time}}{{/heartbeat}}{{^heartbeat}}<span
                class="muted">never</span>{{/heartbeat}}</td>
            </tr>
            {{/agents}}
          </tbody>
        </table>
        {{/hasAgents}}
        {{^hasAgents}}{{#noAgents}}{{> empty}}{{/noAgents}}{{/hasAgents}}
        """#)

    static let list = PageTemplate(
        "agents",
        #"""
        <div class="head"><h1>Agents</h1><span class="sub">{{subtitle}}</span></div>
        <div class="chips" role="group" aria-label="Filter by status">
          {{#filters}}<a class="chip" href="{{path}}" data-state="{{state}}"{{#isCurrent}}
            aria-current="true"{{/isCurrent}}><span
              class="dot"></span>{{label}}{{#count}} <b>{{count}}</b>{{/count}}</a>{{/filters}}
        </div>
        <form class="filters" action="/agents" role="search">
          {{#status}}<input type="hidden" name="status" value="{{status}}">{{/status}}
          <input name="project" value="{{project}}" placeholder="Project" aria-label="Project">
          <button type="submit">Filter</button>
        </form>
        <section class="panel" id="agent-list" aria-label="Agents">
        {{> agent-table}}
        {{> pager}}
        </section>
        """#)

    static let detail = PageTemplate(
        "agent",
        #"""
        <div class="head" id="agent-head" data-agent="{{name}}" data-state="{{state}}">
          <h1>{{name}}</h1><span class="state big" data-state="{{state}}">{{stateLabel}}</span>{{#since}}<span
            class="sub">since {{> time}}</span>{{/since}}
          {{#canOperate}}
          <div class="actions">
            {{#canPause}}<details class="menu"><summary class="button" data-action="pause-menu">Pause</summary><div
              class="pop">
              <form data-post="{{apiPath}}/pause" data-done="Paused: no more work is handed to it"><label
                class="field">Reason
                <input name="reason" placeholder="Shown to everybody"></label><button type="submit"
                  data-action="pause">Pause the agent</button></form></div></details>{{/canPause}}
            {{#canResume}}<button class="primary" type="button" data-action="resume" data-post="{{apiPath}}/resume"
              data-done="Resumed">Resume</button>{{/canResume}}
            {{#canDrain}}<button type="button" data-action="drain" data-post="{{apiPath}}/drain"
              data-done="Draining: it finishes what it has"
              data-confirm="Let {{name}} finish what it has, and take nothing new?">Drain</button>{{/canDrain}}
            <details class="menu"><summary class="button" data-action="message-menu">Message</summary><div class="pop">
              <form data-post="{{apiPath}}/messages" data-done="The next heartbeat's reply carries it"><label
                class="field">Message to the agent
                <textarea name="text" required maxlength="2000"></textarea></label><button class="primary"
                  type="submit" data-action="message">Send</button></form></div></details>
          </div>
          {{/canOperate}}
        </div>
        {{#notices}}<p class="notice" data-state="{{state}}">{{text}}</p>{{/notices}}
        <div class="columns">
          <div class="stack">
            <section class="panel" id="agent-tasks" aria-labelledby="agent-tasks-title">
              <header><h2 id="agent-tasks-title">Has now</h2><span class="end"><a class="link"
                href="{{tasksPath}}">All its tasks</a></span></header>
              {{#hasTasks}}
              <table class="table cards"><thead><tr><th>Task</th><th>State</th><th>Progress</th><th
                class="num">Since</th></tr></thead><tbody>
              {{#tasks}}
              <tr data-task-id="{{id}}" data-state="{{state}}" data-row>
        {{> task-cells}}
                <td class="nowrap">{{#progress}}<svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none"
                  aria-hidden="true"><rect width="{{percent}}" height="6"/></svg> {{percent}} %{{/progress}}</td>
                <td class="num nowrap">{{#updated}}{{> time}}{{/updated}}</td></tr>
              {{/tasks}}
              </tbody></table>
              {{/hasTasks}}
              {{^hasTasks}}{{#noTasks}}{{> empty}}{{/noTasks}}{{/hasTasks}}
            </section>
            <section class="panel" id="agent-events" aria-labelledby="agent-events-title">
              <header><h2 id="agent-events-title">Lately</h2><span class="end"><a class="link"
                href="{{eventsPath}}">All its events</a></span></header>
              <ol class="log">{{#events}}{{> event-item}}{{/events}}</ol>
              {{^events}}<div class="empty">It has sent nothing yet.</div>{{/events}}
            </section>
          </div>
          <section class="panel" id="agent-facts" aria-label="Facts">
            <dl class="facts">
              <dt>Heartbeat</dt><dd>{{#heartbeat}}{{> time}}{{/heartbeat}}{{^heartbeat}}never{{/heartbeat}}</dd>
              <dt>Says</dt><dd>{{#message}}{{message}}{{/message}}{{^message}}<span
                class="muted">nothing</span>{{/message}}</dd>
              <dt>CPU</dt><dd>{{#cpuBar}}<svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none"
                aria-hidden="true"><rect width="{{percent}}" height="6"/></svg> {{/cpuBar}}{{cpu}}</dd>
              <dt>Memory</dt><dd>{{memory}}</dd>
              <dt>Configuration</dt><dd><a class="link" href="{{configPath}}">What holds, and why</a></dd>
              {{#facts}}<dt>{{name}}</dt><dd>{{value}}</dd>{{/facts}}
              {{#hasCapabilities}}<dt>Capabilities</dt><dd class="tags">{{#capabilities}}<span
                class="tag">{{.}}</span>{{/capabilities}}</dd>{{/hasCapabilities}}
              {{#hasLabels}}<dt>Labels</dt><dd class="tags">{{#labels}}<span
                class="tag">{{.}}</span>{{/labels}}</dd>{{/hasLabels}}
            </dl>
          </section>
        </div>
        """#)
}
