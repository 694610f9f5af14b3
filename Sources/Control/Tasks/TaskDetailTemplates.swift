/// One task: its way so far, why it stands where it stands, and what came of it.
enum TaskDetailTemplates {
    static let all = [detail, head, path, attempts, deliverable, edges]

    static let detail = PageTemplate(
        "task",
        #"""
        {{> task-head}}
        {{#question}}
        <form class="notice question" id="question" data-state="waiting" data-keep data-post="{{apiPath}}/resume"
          data-done="Answered"><b>Its agent asks:</b><p>{{prompt}}</p>
          {{#canOperate}}<label class="away" for="answer">Answer</label><textarea id="answer" name="answer" required
            placeholder="The agent that goes on with the task gets this."></textarea>
          <button class="primary" type="submit" data-action="answer">Answer, and let it go on</button>{{/canOperate}}
        </form>
        {{/question}}
        {{#explain}}
        <div class="notice" id="explain" data-state="{{state}}"><b>{{headline}}</b>
          {{#hasUnmet}}<ul>{{#unmet}}<li data-code="{{code}}"><span>{{detail}}</span>{{#task}}<a class="link"
            href="{{path}}">{{label}}</a>{{/task}}{{#liftedBy}}<span
              class="muted">Lifted by {{liftedBy}}.</span>{{/liftedBy}}</li>{{/unmet}}</ul>{{/hasUnmet}}</div>
        {{/explain}}
        <section class="panel" id="task-path" aria-label="Its way through the states">
        {{> task-path}}
        </section>
        <div class="columns spaced">
          <div class="stack">
            <section class="panel" id="task-deliverables" aria-labelledby="deliverables-title">
              <header><h2 id="deliverables-title">Deliverables</h2>{{#canReview}}<span class="end"><a
                class="button tiny primary" href="{{reviewPath}}">Review</a></span>{{/canReview}}</header>
              {{#deliverables}}{{> task-deliverable}}{{/deliverables}}
              {{^deliverables}}<div class="empty">Nothing has been delivered yet.</div>{{/deliverables}}
            </section>
            {{#output}}<section class="panel" id="task-output" aria-label="Output"><header><h2>Output</h2></header><div
              class="pad"><pre class="code">{{output}}</pre></div></section>{{/output}}
            {{#input}}<section class="panel" id="task-input" aria-label="Input"><header><h2>Input</h2></header><div
              class="pad"><pre class="code">{{input}}</pre></div></section>{{/input}}
            <section class="panel" id="task-attempts" aria-labelledby="attempts-title">
              <header><h2 id="attempts-title">Attempts</h2></header>
        {{> task-attempts}}
            </section>
            <section class="panel" id="task-events" aria-labelledby="task-events-title">
              <header><h2 id="task-events-title">Events</h2><span class="end"><a class="link"
                href="{{eventsPath}}">All of them</a></span></header>
              <ol class="log own">{{#events}}{{> event-item}}{{/events}}</ol>
            </section>
          </div>
          <div class="stack">
            <section class="panel" id="task-facts" aria-label="Facts">
              <dl class="facts">{{#facts}}<dt>{{name}}</dt><dd>{{#time}}{{> time}}{{/time}}{{#link}}<a
                href="{{path}}">{{label}}</a>{{/link}}{{value}}</dd>{{/facts}}</dl>
            </section>
            {{#hasUsage}}
            <section class="panel" id="task-usage" aria-labelledby="usage-title"><header><h2
              id="usage-title">Used</h2></header>
              <dl class="facts">{{#usage}}<dt>{{name}}</dt><dd>{{value}}{{#share}}<svg
                class="meter wide{{#isHot}} hot{{/isHot}}" viewBox="0 0 100 6"
                preserveAspectRatio="none"
                aria-hidden="true"><rect width="{{percent}}" height="6"/></svg>{{/share}}</dd>{{/usage}}</dl>
            </section>
            {{/hasUsage}}
            {{#hasUpstream}}<section class="panel" id="task-upstream" aria-labelledby="upstream-title"><header><h2
              id="upstream-title">Waits for</h2></header>
              <ul class="todo">{{#upstream}}{{> task-edge}}{{/upstream}}</ul></section>{{/hasUpstream}}
            {{#hasDownstream}}<section class="panel" id="task-downstream"
              aria-labelledby="downstream-title"><header><h2 id="downstream-title">Waited for by</h2></header>
              <ul class="todo">{{#downstream}}{{> task-edge}}{{/downstream}}</ul></section>{{/hasDownstream}}
            {{#hasFeedback}}<section class="panel" id="task-feedback" aria-labelledby="feedback-title"><header><h2
              id="feedback-title">Reviewers' remarks</h2></header>
              {{#feedback}}{{> review-remark}}{{/feedback}}</section>{{/hasFeedback}}
          </div>
        </div>
        """#)

    static let head = PageTemplate(
        "task-head",
        #"""
        <div class="head" id="task-head" data-task-id="{{id}}" data-state="{{state}}">
          <h1>{{title}}</h1><span class="state big" data-state="{{state}}">{{stateLabel}}</span>
          {{#progress}}<span class="sub"><svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none"
            aria-hidden="true"><rect width="{{percent}}" height="6"/></svg> {{percent}} %</span>{{/progress}}
          {{#note}}<span class="sub">{{note}}</span>{{/note}}
          {{#canOperate}}
          <div class="actions">
            {{#canRetry}}<button class="primary" type="button" data-action="retry" data-post="{{apiPath}}/retry"
              data-done="Ready again">{{retryLabel}}</button>{{/canRetry}}
            {{#canResume}}<button class="primary" type="button" data-action="resume" data-post="{{apiPath}}/resume"
              data-done="Resumed">Resume</button>{{/canResume}}
            {{#canHold}}<details class="menu"><summary class="button" data-action="hold-menu">Hold</summary><div
              class="pop">
              <form data-post="{{apiPath}}/hold" data-done="Held"><label class="field">Reason <input
                name="reason"></label>
                <button type="submit" data-action="hold">Hold the task</button></form></div></details>{{/canHold}}
            {{#canReassign}}<details class="menu"><summary class="button"
              data-action="reassign-menu">Reassign</summary><div class="pop">
              <form data-post="{{apiPath}}/reassign" data-done="Reassigned"><label class="field">Agent <input
                name="agent" required list="agent-names" autocomplete="off"></label>
                <datalist id="agent-names">{{#agentNames}}<option value="{{.}}">{{/agentNames}}</datalist>
                <button type="submit"
                  data-action="reassign">Give it to that agent</button></form></div></details>{{/canReassign}}
            {{#canCancel}}<button class="danger" type="button" data-action="cancel" data-post="{{apiPath}}/cancel"
              data-done="Canceled" data-confirm="Cancel this task? What depends on it will not run."
              >Cancel</button>{{/canCancel}}
          </div>
          {{/canOperate}}
        </div>
        """#)

    static let path = PageTemplate(
        "task-path",
        #"""
        <ol class="path">
          {{#steps}}
          <li class="step {{phase}}" data-step="{{id}}" data-state="{{state}}"><span class="knob"></span>
            <span class="name">{{label}}{{#times}} <span class="muted">×{{times}}</span>{{/times}}</span>
            <span class="when">{{#at}}{{> time}}{{/at}}{{#detail}} · {{detail}}{{/detail}}</span>
            {{#hasBranches}}<ul class="branch">{{#branches}}<li data-step="{{id}}"
              data-state="{{state}}">{{> state}}{{#times}} <span class="muted">×{{times}}</span>{{/times}} {{#at}}<span
                class="muted">{{> time}}</span>{{/at}}{{#detail}} <span
                  class="muted">· {{detail}}</span>{{/detail}}</li>{{/branches}}</ul>{{/hasBranches}}
          </li>
          {{/steps}}
        </ol>
        """#)

    static let attempts = PageTemplate(
        "task-attempts",
        #"""
        {{#hasAttempts}}
        <table class="table cards">
          <thead><tr><th>#</th><th>Agent</th><th>Result</th><th>Message</th><th>Bundle</th><th
            class="num">Tokens</th><th
            class="num">Took</th><th class="num">Started</th></tr></thead>
          <tbody>{{#attemptRows}}
            <tr data-attempt="{{number}}" data-state="{{state}}"><td data-label="Attempt"
              title="Fence {{fence}}">{{number}}</td>
              <td>{{#agent}}<a href="{{path}}">{{label}}</a>{{/agent}}</td><td>{{> state}}</td>
              <td class="wide">{{message}}</td><td data-label="Bundle"><code>{{bundle}}</code></td><td class="num"
                data-label="Tokens">{{tokens}}</td>
              <td class="num nowrap" data-label="Took">{{took}}</td><td
                class="num nowrap">{{#at}}{{> time}}{{/at}}</td></tr>{{/attemptRows}}
          </tbody>
        </table>
        {{/hasAttempts}}
        {{^hasAttempts}}<div class="empty">No agent has claimed it yet.</div>{{/hasAttempts}}
        """#)

    static let deliverable = PageTemplate(
        "task-deliverable",
        #"""
        <details class="file" id="deliverable-{{id}}"{{#isOpen}} open{{/isOpen}}>
          <summary class="pad"><b>{{name}}</b> <span
            class="tag">revision {{revision}}</span>{{#verdict}} {{> state}}{{/verdict}} <span
              class="muted small">{{contentType}} · {{size}} · <code
                title="SHA-256 {{sha256}}">{{shortSHA}}</code>{{#at}} · {{> time}}{{/at}}</span></summary>
          <div class="pad">{{#hasPreview}}<pre class="code" data-content="{{id}}">{{preview}}</pre>{{/hasPreview}}
            <p class="small muted">{{previewNote}} <a class="link" href="{{contentPath}}" download
              hx-boost="false">Download</a></p></div>
        </details>
        """#)

    static let edges = PageTemplate(
        "task-edge",
        #"""
        <li data-task-id="{{id}}" data-state="{{state}}"><span class="dot"></span><a class="title clip"
          href="{{path}}">{{title}}</a><span class="end">{{stateLabel}}</span></li>
        """#)
}
