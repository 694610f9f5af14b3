/// What is started by the clock.
enum SchedulePageTemplates {
    static let all = [list]

    static let list = PageTemplate(
        "schedules",
        #"""
        <div class="head"><h1>Schedules</h1><span class="sub">{{subtitle}}</span></div>
        <section class="panel" id="schedule-list" aria-label="Schedules">
          {{#hasSchedules}}
          <table class="table cards">
            <thead><tr><th>Schedule</th><th>When</th><th>Queue</th><th class="num">Last run</th>
              <th class="num">Next run</th><th></th></tr></thead>
            <tbody>{{#schedules}}
              <tr id="schedule-{{id}}" data-schedule="{{id}}" data-state="{{state}}" data-row>
                <td class="title">{{name}}<span class="second"><span>{{title}}</span></span>
                  {{#pauseText}}<span class="second"><span class="state" data-state="paused">Paused</span>
                    {{pauseText}}</span>{{/pauseText}}
                  {{#lastError}}<span class="second"><span class="state" data-state="held">No task</span>
                    {{lastError}}</span>{{/lastError}}</td>
                <td>{{words}}<span class="second mono">{{cron}}</span></td>
                <td data-label="Queue"><a href="{{queuePath}}">{{queue}}</a></td>
                <td class="num nowrap" data-label="Last">{{#last}}{{> time}}{{/last}}{{^last}}<span
                  class="muted">never</span>{{/last}}{{#lastTask}}
                  <span class="second"><a href="{{path}}">{{label}}</a></span>{{/lastTask}}</td>
                <td class="num nowrap" data-label="Next">{{#next}}{{> time}}{{/next}}{{^next}}<span
                  class="muted">none</span>{{/next}}</td>
                <td class="acts">{{#canOperate}}
                  <button class="tiny" type="button" data-action="run" data-post="{{apiPath}}/run"
                    data-done="Its task is made">Run now</button>
                  {{#isPaused}}<button class="tiny" type="button" data-action="resume"
                    data-post="{{apiPath}}/resume" data-done="Resumed">Resume</button>{{/isPaused}}
                  {{^isPaused}}<button class="tiny" type="button" data-action="pause"
                    data-post="{{apiPath}}/pause" data-done="Paused">Pause</button>{{/isPaused}}
                {{/canOperate}}</td>
              </tr>{{/schedules}}
            </tbody>
          </table>
        {{> pager}}
          {{/hasSchedules}}
          {{^hasSchedules}}{{#noSchedules}}{{> empty}}{{/noSchedules}}{{/hasSchedules}}
        </section>
        """#)
}
