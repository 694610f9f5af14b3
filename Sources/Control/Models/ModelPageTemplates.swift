/// The models with their targets.
enum ModelPageTemplates {
    static let all = [list, target]

    static let list = PageTemplate(
        "models",
        #"""
        <div class="head"><h1>Models</h1><span class="sub">{{subtitle}}</span></div>
        {{#hasModels}}
        {{> call-numbers}}
        <div id="model-list" class="stack" data-poll>
        {{#models}}
        <section class="panel" data-model="{{name}}" aria-label="{{name}}">
          <header><h2><a href="{{callsPath}}">{{name}}</a></h2><span class="second">{{#tier}}
            <span>{{tier}}</span>{{/tier}}{{#context}}<span>{{context}}</span>{{/context}}{{#isDark}}<span class="state"
              data-state="failed">No target left</span>{{/isDark}}{{#dispatch}}<span class="state"
              data-state="{{dispatchState}}" data-dispatch>{{dispatch}}</span>{{/dispatch}}</span>
            {{#canOperate}}{{#canReset}}<button class="tiny end" type="button" data-action="reset"
              data-post="{{apiPath}}/reset" data-done="Breakers of {{name}} closed">Close its breakers</button>
            {{/canReset}}{{/canOperate}}</header>
          <table class="table cards targets">
            <thead><tr><th>Target</th><th>Breaker</th><th class="num">Errors</th><th class="num">Answers in</th>
              <th>Limits left</th><th class="num">$ per 1M tokens</th></tr></thead>
            <tbody>{{#targets}}{{> model-target}}{{/targets}}</tbody>
          </table>
        </section>
        {{/models}}
        {{> pager}}
        </div>
        {{/hasModels}}
        {{^hasModels}}<section class="panel">{{#noModels}}{{> empty}}{{/noModels}}</section>{{/hasModels}}
        """#)

    static let target = PageTemplate(
        "model-target",
        #"""
        <tr data-target="{{name}}" data-state="{{state}}">
          <td class="title">{{name}}{{#problem}}<span class="second"><span>{{problem}}</span></span>{{/problem}}</td>
          <td class="nowrap">{{> state}}{{#since}}<span class="second">{{> time}}</span>{{/since}}</td>
          <td class="num nowrap" data-label="Errors">{{#errors}}{{errors}}<span
            class="second">{{calls}}</span>{{/errors}}{{^errors}}<span class="muted">no calls</span>{{/errors}}</td>
          <td class="num nowrap" data-label="Answers in">{{#latency}}{{latency}}<span
            class="second">{{tail}}</span>{{/latency}}{{^latency}}<span
              class="muted">–</span>{{/latency}}{{#firstToken}}<span
                class="second">{{firstToken}}</span>{{/firstToken}}</td>
          <td data-label="Limits">{{#limits}}<span class="second"><span>{{text}}</span>{{#share}}<svg
            class="meter{{#isHot}} hot{{/isHot}}" viewBox="0 0 100 6" preserveAspectRatio="none"
            aria-hidden="true"><rect width="{{percent}}" height="6"/></svg>{{/share}}</span>{{/limits}}
            {{^hasLimits}}<span class="muted">not told</span>{{/hasLimits}}</td>
          <td class="num nowrap" data-label="Price">{{#price}}{{price}}{{/price}}{{^price}}<span class="muted"
            title="No price is known for it">?</span>{{/price}}{{#priceNote}}<span
              class="second">{{priceNote}}</span>{{/priceNote}}</td>
        </tr>
        """#)
}
