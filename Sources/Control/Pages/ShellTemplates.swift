/// The frame around every page, and the parts that several pages share.
enum ShellTemplates {
    static let all = [
        layout, navigation, symbols, help, login, time, state, empty, eventItem, taskCells, spark, pager, oops,
    ]

    static let layout = PageTemplate(
        "layout",
        #"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
        <meta name="color-scheme" content="light dark">
        <meta name="referrer" content="same-origin">
        <meta name="reeve-now" content="{{now}}">
        <meta name="reeve-chart" content="{{assets.chart}}">
        <meta name="htmx-config"
          content='{"allowEval":false,"includeIndicatorStyles":false,"historyCacheSize":0,
            "refreshOnHistoryMiss":true,"selfRequestsOnly":true}'>
        <title>{{title}} · Reeve</title>
        <link rel="icon" type="image/svg+xml" href="{{assets.icon}}">
        <link rel="stylesheet" href="{{assets.style}}">
        <script src="{{assets.script}}"></script>
        <script src="{{assets.htmx}}" defer></script>
        <script src="{{assets.sse}}" defer></script>
        </head>
        <body{{#isFramed}} hx-boost="true" hx-target="#main" hx-select="#main" hx-select-oob="#side,#tabs"
          hx-swap="outerHTML show:window:top"{{/isFramed}}>
        {{> symbols}}
        {{#isFramed}}
        <a class="skip" href="#main">Skip to the content</a>
        <div class="frame">
        {{> navigation}}
        <main id="main" tabindex="-1" data-page="{{active}}" data-topics="{{topics}}">
        {{#page}}{{> *body}}{{/page}}
        </main>
        </div>
        {{> help}}
        <div id="live" hidden hx-ext="sse"></div>
        {{/isFramed}}
        {{^isFramed}}
        {{#page}}{{> *body}}{{/page}}
        {{/isFramed}}
        <div id="toasts" class="toasts" role="status" aria-live="polite"></div>
        </body>
        </html>
        """#)

    static let navigation = PageTemplate(
        "navigation",
        #"""
        <header class="top">
          <a class="brand" href="/" aria-label="Reeve: fleet">
            <svg viewBox="0 0 32 32" aria-hidden="true"><use href="#i-mark"/></svg><span>Reeve</span></a>
          <form class="search" role="search" action="/tasks">
            <svg class="i" aria-hidden="true"><use href="#i-search"/></svg>
            <input id="search" type="search" name="q" placeholder="Search tasks" aria-label="Search tasks"
              autocomplete="off">
            <kbd aria-hidden="true">/</kbd>
          </form>
          <div class="top-end">
            <span id="live-status" class="live" data-live="connecting" role="status"
              title="The live connection to the event log"><span>Connecting</span></span>
            <button class="quiet square" type="button" data-action="theme" title="Light or dark (t)"
              aria-label="Switch between light and dark"><svg class="i" aria-hidden="true"><use
                href="#i-theme"/></svg></button>
            <button class="quiet square help" type="button" data-action="help" title="Keyboard (?)"
              aria-label="Show the keyboard shortcuts"><svg class="i" aria-hidden="true"><use
                href="#i-help"/></svg></button>
            <details class="menu account">
              <summary><svg class="i" aria-hidden="true"><use href="#i-person"/></svg>{{who}}</summary>
              <div class="pop"><p class="small muted">Signed in with the key <b>{{who}}</b>, role {{role}}.</p>
                <form method="post" action="/logout" hx-boost="false"><button
                  type="submit">Log out</button></form></div>
            </details>
          </div>
        </header>
        <nav class="side" id="side" aria-label="Main">
          {{#navigation}}{{#startsGroup}}<hr>{{/startsGroup}}
          <a href="{{path}}" data-nav="{{id}}"{{#isCurrent}} aria-current="page"{{/isCurrent}}><svg class="i"
            aria-hidden="true"><use href="#i-{{id}}"/></svg>{{label}}{{#badge}}<span
              class="badge {{style}}">{{count}}</span>{{/badge}}</a>
          {{/navigation}}
        </nav>
        <nav class="tabs" id="tabs" aria-label="Main, small screens">
          {{#tabs}}
          <a href="{{path}}"{{#isCurrent}} aria-current="page"{{/isCurrent}}><svg class="i" aria-hidden="true"><use
            href="#i-{{id}}"/></svg>{{label}}{{#badge}}<span class="badge {{style}}">{{count}}</span>{{/badge}}</a>
          {{/tabs}}
          <details>
            <summary><svg class="i" aria-hidden="true"><use href="#i-more"/></svg>More</summary>
            <div class="pop">
              {{#moreTabs}}
              <a href="{{path}}"{{#isCurrent}} aria-current="page"{{/isCurrent}}><svg class="i" aria-hidden="true"><use
                href="#i-{{id}}"/></svg>{{label}}</a>
              {{/moreTabs}}
              <form method="post" action="/logout" hx-boost="false"><button
                type="submit">Log out {{who}}</button></form>
            </div>
          </details>
        </nav>
        """#)

    static let help = PageTemplate(
        "help",
        #"""
        <dialog id="help" aria-labelledby="help-title">
          <h2 id="help-title">Keyboard</h2>
          <div class="keys">
            <div>Search tasks <kbd>/</kbd></div><div>Light or dark <kbd>t</kbd></div>
            <div>Fleet <span><kbd>g</kbd> <kbd>f</kbd></span></div>
              <div>Agents <span><kbd>g</kbd> <kbd>n</kbd></span></div>
            <div>Tasks <span><kbd>g</kbd> <kbd>t</kbd></span></div>
              <div>Queues <span><kbd>g</kbd> <kbd>q</kbd></span></div>
            <div>Reviews <span><kbd>g</kbd> <kbd>r</kbd></span></div>
              <div>Schedules <span><kbd>g</kbd> <kbd>s</kbd></span></div>
            <div>Events <span><kbd>g</kbd> <kbd>e</kbd></span></div>
              <div>Audit <span><kbd>g</kbd> <kbd>a</kbd></span></div>
            <div>Secrets <span><kbd>g</kbd> <kbd>y</kbd></span></div>
            <div>Calls <span><kbd>g</kbd> <kbd>c</kbd></span></div>
              <div>Costs <span><kbd>g</kbd> <kbd>m</kbd></span></div>
            <div>Models <span><kbd>g</kbd> <kbd>o</kbd></span></div>
              <div>Budgets <span><kbd>g</kbd> <kbd>b</kbd></span></div>
              <div>Flags <span><kbd>g</kbd> <kbd>w</kbd></span></div>
            <div>Traces <span><kbd>g</kbd> <kbd>x</kbd></span></div>
              <div>Overview <span><kbd>g</kbd> <kbd>v</kbd></span></div>
            <div>Logs <span><kbd>g</kbd> <kbd>l</kbd></span></div>
              <div>Incidents <span><kbd>g</kbd> <kbd>i</kbd></span></div>
            <div>Trace: next error <kbd>e</kbd></div><div>Trace: fold, unfold <kbd>←</kbd> <kbd>→</kbd></div>
            <div>Next, previous row <span><kbd>j</kbd> <kbd>k</kbd></span></div><div>Open the row <kbd>Enter</kbd></div>
            <div>Select the row <kbd>x</kbd></div><div>Hold the page still <kbd>p</kbd></div>
            <div>Review: approve <kbd>a</kbd></div><div>Review: ask for changes <kbd>r</kbd></div>
            <div>Send the remark <span><kbd>Ctrl</kbd> <kbd>Enter</kbd></span></div><div>This help <kbd>?</kbd></div>
          </div>
          <form method="dialog"><button class="primary" autofocus>Close</button></form>
        </dialog>
        """#)

    static let login = PageTemplate(
        "login",
        #"""
        <main class="login" id="login">
          <section class="panel">
            <div class="brand"><svg viewBox="0 0 32 32" aria-hidden="true"><use
              href="#i-mark"/></svg><span>Reeve</span></div>
            <p class="muted">Sign in with a key. <code>reeve serve</code> prints a one-time link, and keeps the
              first admin key in <code>admin.key</code> of its data directory.</p>
            {{#failure}}<p class="notice" data-state="failed" role="alert">{{failure}}</p>{{/failure}}
            <form method="post" action="/login">
              <label class="field">Key
                <input type="password" name="key" id="key" required autofocus autocomplete="current-password"
                  spellcheck="false"></label>
              <button class="primary" type="submit">Sign in</button>
            </form>
          </section>
        </main>
        """#)

    static let time = PageTemplate(
        "time",
        #"""
        <time datetime="{{iso}}" title="{{full}}" data-rel="{{style}}">{{text}}</time>
        """#)

    static let state = PageTemplate(
        "state",
        #"""
        <span class="state" data-state="{{state}}">{{stateLabel}}</span>
        """#)

    static let empty = PageTemplate(
        "empty",
        #"""
        <div class="empty"><strong>{{headline}}</strong>{{explanation}}{{#command}}<pre
          class="code">{{command}}</pre>{{/command}}</div>
        """#)

    static let eventItem = PageTemplate(
        "event-item",
        #"""
        <li id="event-{{seq}}" data-seq="{{seq}}" data-type="{{type}}">{{#at}}{{> time}}{{/at}}
        <div class="what"><span class="type">{{type}}</span>{{#agent}}<a class="muted"
          href="{{path}}">{{label}}</a>{{/agent}}
        {{#hasAbout}}<span class="about">{{#task}}<a class="link clip"
          href="{{path}}">{{label}}</a>{{/task}}{{#summary}}<span
            class="muted">{{summary}}</span>{{/summary}}</span>{{/hasAbout}}</div>
        {{#details}}<details><summary>#{{seq}}, by {{actor}}</summary><pre
          class="code">{{details}}</pre></details>{{/details}}</li>
        """#)

    /// A task as a row: used wherever tasks are listed.
    static let taskCells = PageTemplate(
        "task-cells",
        #"""
        <td class="title" data-cell="title"><a class="open" href="{{path}}">{{title}}</a><span
          class="second"><span>{{type}}</span><span>{{project}}</span>{{#note}}
          <span>{{note}}</span>{{/note}}</span></td>
        <td>{{> state}}</td>
        """#)

    /// A small line chart: drawn here, so that it needs no script and does not flicker.
    static let spark = PageTemplate(
        "spark",
        #"""
        <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img"
          aria-label="{{label}}"><title>{{label}}</title><polygon points="{{area}}"/><polyline points="{{line}}"/></svg>
        """#)

    static let pager = PageTemplate(
        "pager",
        #"""
        <div class="pager">{{#pager}}{{#first}}<a class="button"
          href="{{first}}">First page</a>{{/first}}<span></span>{{#next}}<a class="button" href="{{next}}"
            rel="next">Older</a>{{/next}}{{/pager}}</div>
        """#)

    static let oops = PageTemplate(
        "oops",
        #"""
        <div class="head"><h1>{{headline}}</h1></div>
        <div class="panel"><div class="empty"><strong>{{detail}}</strong>{{hint}} <p><a class="link"
          href="/">Back to the fleet</a></p></div></div>
        """#)
}
