/// The event log, live.
enum EventPageTemplates {
    static let all = [list]

    static let list = PageTemplate(
        "events",
        #"""
        <div class="head"><h1>Events</h1><span class="sub">{{subtitle}}</span>
          {{#isLive}}<div class="actions"><button type="button" data-action="freeze" aria-pressed="false"
            title="Hold the page still (p)"><span data-freeze-label>Hold still</span></button></div>{{/isLive}}</div>
        <form class="filters" action="/events" role="search">
          <input name="type" value="{{typeFilter}}" placeholder="Type, such as task.*" aria-label="Type"
            list="event-types">
          <input name="agent" value="{{agentFilter}}" placeholder="Agent" aria-label="Agent">
          <input name="task" value="{{taskFilter}}" placeholder="Task id" aria-label="Task id">
          <button type="submit">Filter</button>{{#isFiltered}}<a class="button quiet"
            href="/events">Clear</a>{{/isFiltered}}
          <datalist id="event-types"><option value="task.*"><option value="agent.*"><option value="queue.*"></datalist>
        </form>
        <section class="panel" id="event-list" aria-label="Events">
          <ol class="log" id="tail">{{#events}}{{> event-item}}{{/events}}</ol>
          {{^events}}{{#noEvents}}{{> empty}}{{/noEvents}}{{/events}}
        {{> pager}}
        </section>
        """#)
}
