/// The budgets with what is left of each.
enum BudgetPageTemplates {
    static let all = [list, row]

    static let list = PageTemplate(
        "budgets",
        #"""
        <div class="head"><h1>Budgets</h1><span class="sub">{{subtitle}}</span></div>
        {{> call-numbers}}
        <div class="chips" role="group" aria-label="Filter by what they are for">
          {{#filters}}<a class="chip" href="{{path}}"{{#isCurrent}} aria-current="true"{{/isCurrent}}>{{label}}</a>
          {{/filters}}
        </div>
        <section class="panel" id="budget-list" aria-label="Budgets" data-poll>
          {{#hasBudgets}}
          <table class="table cards budgets">
            <thead><tr><th>For</th><th>State</th><th>Settled</th><th class="num">Held</th><th class="num">Left</th>
              <th>Mode</th><th class="num">Begins anew</th><th class="num">Calls</th></tr></thead>
            <tbody>{{#budgets}}{{> budget-row}}{{/budgets}}</tbody>
          </table>
        {{> pager}}
          {{/hasBudgets}}
          {{^hasBudgets}}{{#noBudgets}}{{> empty}}{{/noBudgets}}{{/hasBudgets}}
        </section>
        """#)

    static let row = PageTemplate(
        "budget-row",
        #"""
        <tr data-budget="{{scope}}" data-state="{{state}}" data-row>
          <td class="title">{{#path}}<a class="open" href="{{path}}">{{name}}</a>{{/path}}
            {{^path}}{{name}}{{/path}}<span
              class="second"><span>{{kind}}</span>{{#note}}<span>{{note}}</span>{{/note}}</span></td>
          <td class="nowrap">{{> state}}</td>
          <td data-label="Settled">{{#lines}}<span class="second"><span>{{used}}</span>{{#share}}<svg
            class="meter{{#isHot}} hot{{/isHot}}" viewBox="0 0 100 6" preserveAspectRatio="none"
            role="img" aria-label="{{percent}} % used"><rect width="{{percent}}"
              height="6"/></svg>{{/share}}</span>{{/lines}}</td>
          <td class="num nowrap" data-label="Held">{{#lines}}<span
            class="second"><span>{{held}}</span></span>{{/lines}}</td>
          <td class="num nowrap" data-label="Left">{{#lines}}<span
            class="second"><b>{{left}}</b></span>{{/lines}}</td>
          <td class="nowrap" data-label="Mode">{{mode}}</td>
          <td class="num nowrap" data-label="Begins anew">{{#resets}}{{> time}}{{/resets}}{{^resets}}<span
            class="muted">never</span>{{/resets}}<span class="second">{{period}}</span></td>
          <td class="num" data-label="Calls">{{#callsPath}}<a href="{{callsPath}}">Calls</a>{{/callsPath}}
            {{^callsPath}}<span class="muted">–</span>{{/callsPath}}</td>
        </tr>
        """#)
}
