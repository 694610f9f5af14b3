/// The inbox of what waits for a verdict.
enum ReviewPageTemplates {
    static let all = [inbox, item, content, remark]

    static let inbox = PageTemplate(
        "reviews",
        #"""
        <div class="head"><h1>Reviews</h1><span class="sub">{{subtitle}}</span></div>
        {{#hasItems}}
        <div class="inbox">
          <nav class="panel inbox-list" id="inbox" aria-label="Waiting for a verdict"><ul>
            {{#items}}
            <li><a href="{{path}}" data-task-id="{{id}}" data-row{{#isCurrent}} aria-current="true"
             {{/isCurrent}}><span class="title">{{title}}</span>
              <span
                class="second"><span>{{agent}}</span>{{#round}}<span>round {{round}}</span>{{/round}}
                {{#since}}{{> time}}{{/since}}</span></a></li>
            {{/items}}
          </ul></nav>
          {{#selected}}{{> review-item}}{{/selected}}
        </div>
        {{/hasItems}}
        {{^hasItems}}<section class="panel" id="inbox">{{#noItems}}{{> empty}}{{/noItems}}</section>{{/hasItems}}
        """#)

    static let item = PageTemplate(
        "review-item",
        #"""
        <article class="panel" id="review" data-task-id="{{id}}" data-sha256="{{sha256}}">
          <header><h2><a href="{{taskPath}}">{{title}}</a></h2>
            <span class="end">{{#agent}}by <a class="link"
              href="{{path}}">{{label}}</a>{{/agent}}{{#since}} · {{> time}}{{/since}}</span></header>
          {{#hasFeedback}}<section id="feedback"
            aria-label="Earlier remarks">{{#feedback}}{{> review-remark}}{{/feedback}}</section>{{/hasFeedback}}
          {{#files}}{{> review-content}}{{/files}}
          {{#canReview}}
          <form class="verdict" id="verdict" data-keep data-review="{{apiPath}}/review" data-sha256="{{sha256}}">
            <textarea name="comment" id="comment" placeholder="What should change? The agent gets this with the task."
              aria-label="Remark for the agent" maxlength="10000"></textarea>
            <div class="row">
              <button class="primary" type="button" data-action="approve"
                data-verdict="approve">Approve <kbd>a</kbd></button>
              <button type="button" data-action="changes" data-verdict="changes">Ask for changes <kbd>r</kbd></button>
              <button class="quiet danger" type="button" data-action="reject" data-verdict="reject"
                data-confirm="Reject it for good? The task is set aside.">Reject</button>
              <span class="small muted">Your verdict is bound to <code
                title="SHA-256 {{sha256}}">{{shortSHA}}</code>.{{#approvals}} {{approvals}}{{/approvals}}</span>
            </div>
          </form>
          {{/canReview}}
        </article>
        """#)

    static let content = PageTemplate(
        "review-content",
        #"""
        <section class="file" data-deliverable="{{id}}">
          <div class="pad head-line"><b>{{name}}</b><span class="tag">revision {{revision}}</span><span
            class="muted small">{{contentType}} · {{size}}</span>
            {{#modes}}<span class="seg"><a href="{{contentMode}}"{{^isDiff}}
              aria-current="true"{{/isDiff}}>Content</a><a href="{{diffMode}}"{{#isDiff}}
                aria-current="true"{{/isDiff}}>Changes since revision {{earlier}}</a></span>{{/modes}}
            <a class="link small" href="{{contentPath}}" download hx-boost="false">Download</a></div>
          <div class="scroll">
          {{#isDiff}}<table class="diff"><tbody>{{#lines}}<tr data-op="{{op}}"><td class="ln">{{old}}</td><td
            class="ln">{{new}}</td><td class="op">{{op}}</td><td>{{text}}</td></tr>{{/lines}}</tbody></table>{{/isDiff}}
          {{^isDiff}}{{#hasPreview}}<pre class="code plain"
            data-content="{{id}}">{{preview}}</pre>{{/hasPreview}}{{/isDiff}}
          </div>
          {{#previewNote}}<p class="pad small muted">{{previewNote}}</p>{{/previewNote}}
        </section>
        """#)

    static let remark = PageTemplate(
        "review-remark",
        #"""
        <div class="remark"><span class="state" data-state="{{verdict}}">{{verdictLabel}}</span> <span
          class="small muted">{{reviewer}}{{#at}}, {{> time}}{{/at}}
            {{#round}}, round {{round}}{{/round}}</span>{{#comment}}<p>{{comment}}</p>{{/comment}}</div>
        """#)
}
