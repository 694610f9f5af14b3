/// The list of tasks.
enum TaskPageTemplates {
    static let all = [table, list]

    static let table = PageTemplate(
        "task-table",
        #"""
        <table class="table cards">
          <thead><tr>{{#canOperate}}<th><input type="checkbox" data-pick-all
            aria-label="Select all on this page"></th>{{/canOperate}}<th>Task</th><th>State</th><th>Queue</th>
              <th>Agent</th><th class="num">Tries</th><th class="num">Changed</th></tr></thead>
          <tbody>
            {{#tasks}}
            <tr id="row-{{id}}" data-task-id="{{id}}" data-state="{{state}}" data-row>
              {{#canOperate}}<td class="pick"><input type="checkbox" data-pick="{{id}}"
                aria-label="Select {{title}}"></td>{{/canOperate}}
        {{> task-cells}}
              <td data-label="Queue"><a href="{{queuePath}}">{{queue}}</a></td>
              <td data-label="Agent">{{#agent}}<a href="{{path}}">{{label}}</a>{{/agent}}{{^agent}}<span
                class="muted">none</span>{{/agent}}</td>
              <td class="num" data-label="Tries">{{attempts}}</td>
              <td class="num nowrap">{{#updated}}{{> time}}{{/updated}}</td>
            </tr>
            {{/tasks}}
          </tbody>
        </table>
        """#)

    static let list = PageTemplate(
        "tasks",
        #"""
        <div class="head"><h1>Tasks</h1><span class="sub">{{subtitle}}</span></div>
        <div class="chips" role="group" aria-label="Filter by state">
          {{#filters}}<a class="chip" href="{{path}}" data-state="{{state}}"{{#isCurrent}}
            aria-current="true"{{/isCurrent}}><span
              class="dot"></span>{{label}}{{#count}} <b>{{count}}</b>{{/count}}</a>{{/filters}}
        </div>
        <form class="filters" action="/tasks" role="search">
          {{#status}}<input type="hidden" name="status" value="{{status}}">{{/status}}
          {{#windowSince}}<input type="hidden" name="since" value="{{windowSince}}">{{/windowSince}}
          {{#windowUntil}}<input type="hidden" name="until" value="{{windowUntil}}">{{/windowUntil}}
          <input type="search" name="q" value="{{q}}" placeholder="Title or id" aria-label="Title or id">
          <input name="queue" value="{{queue}}" placeholder="Queue" aria-label="Queue" list="queue-names">
          <input name="agent" value="{{agent}}" placeholder="Agent" aria-label="Agent">
          <input name="project" value="{{project}}" placeholder="Project" aria-label="Project">
          <button type="submit">Filter</button>{{#isFiltered}}<a class="button quiet"
            href="/tasks">Clear</a>{{/isFiltered}}
        </form>
        <datalist id="queue-names">{{#queueNames}}<option value="{{.}}">{{/queueNames}}</datalist>
        <section class="panel" id="task-list" aria-label="Tasks">
          {{#canOperate}}
          <div class="bulk" id="bulk" data-keep hidden><b><span data-picked>0</span> selected</b>
            <button class="tiny" type="button" data-action="retry" data-bulk="retry">Retry</button>
            <button class="tiny danger" type="button" data-action="cancel" data-bulk="cancel">Cancel</button>
            <button class="tiny quiet" type="button" data-action="unpick">Clear the selection</button></div>
          {{/canOperate}}
        {{#hasTasks}}
        {{> task-table}}
        {{> pager}}
        {{/hasTasks}}
        {{^hasTasks}}{{#noTasks}}{{> empty}}{{/noTasks}}{{/hasTasks}}
        </section>
        """#)
}
