/// The queues, those in trouble first.
enum QueuePageTemplates {
    static let all = [list]

    static let list = PageTemplate(
        "queues",
        #"""
        <div class="head"><h1>Queues</h1><span class="sub">{{subtitle}}</span></div>
        <section class="panel" id="queue-list" aria-label="Queues">
        {{#hasQueues}}
        <table class="table cards">
          <thead><tr><th>Queue</th><th class="num">Ready</th><th class="num">Oldest</th><th>Running</th><th
            class="num">Held</th><th>Finished, last 30 min</th><th></th></tr></thead>
          <tbody>
            {{#queues}}
            <tr id="queue-{{name}}" data-queue="{{name}}" data-state="{{state}}" data-row>
              <td class="title"><a class="open" href="{{path}}">{{name}}</a>{{#model}}<span class="second"><span>asks
                for {{model}}</span></span>{{/model}}{{#pauseText}}<span class="second"><span
                class="state" data-state="paused">Paused</span> {{pauseText}}</span>{{/pauseText}}{{#problem}}<span
                  class="second" data-state="held">{{problem}}</span>{{/problem}}</td>
              <td class="num" data-label="Ready"><a href="{{readyPath}}">{{ready}}</a></td>
              <td class="num nowrap" data-label="Oldest">{{#oldest}}{{> time}}{{/oldest}}{{^oldest}}<span
                class="muted">none</span>{{/oldest}}</td>
              <td class="nowrap" data-label="Running"><a
                href="{{runningPath}}">{{running}}{{#limit}} of {{limit}}{{/limit}}</a>{{#gauge}} <svg
                  class="meter{{#isHot}} hot{{/isHot}}" viewBox="0 0 100 6"
                  preserveAspectRatio="none"
                  aria-hidden="true"><rect width="{{percent}}" height="6"/></svg>{{/gauge}}</td>
              <td class="num" data-label="Held"><a href="{{heldPath}}">{{held}}</a></td>
              <td class="wide">{{#spark}}{{> spark}}{{/spark}}</td>
              <td class="acts">{{#canOperate}}{{#isPaused}}<button class="tiny" type="button" data-action="resume"
                data-post="{{apiPath}}/resume" data-done="Resumed {{name}}">Resume</button>{{/isPaused}}
                  {{^isPaused}}<details class="menu"><summary class="button tiny"
                  data-action="pause-menu">Pause</summary><div class="pop">
                <form data-post="{{apiPath}}/pause" data-done="Paused {{name}}"><label class="field">Reason <input
                  name="reason" placeholder="Shown to everybody"></label><button type="submit"
                    data-action="pause">Pause the queue</button></form></div></details>{{/isPaused}}{{/canOperate}}</td>
            </tr>
            {{/queues}}
          </tbody>
        </table>
        {{> pager}}
        {{/hasQueues}}
        {{^hasQueues}}{{#noQueues}}{{> empty}}{{/noQueues}}{{/hasQueues}}
        </section>
        """#)
}
