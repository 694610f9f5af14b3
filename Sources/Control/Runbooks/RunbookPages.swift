import Kernel

/// The runbooks, and each by its name: where `runbook_url` of an alert leads.
public struct RunbookPages: Sendable {
    let shell: PageShell
    let shelf: RunbookShelf

    public init(shell: PageShell, shelf: RunbookShelf) {
        self.shell = shell
        self.shelf = shelf
    }

    public var routes: [Route] {
        [
            shell.route("/runbooks", .read, "The runbooks", handler: list),
            shell.route("/runbooks/{name}", .read, "A runbook", handler: show),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let library = shelf.library
        let own = library.runbooks.count { !$0.isShipped }
        let view = RunbookListView(
            subtitle: PageText.plural(library.runbooks.count, "runbook") + (own > 0 ? ", \(own) of your own" : ""),
            fault: shelf.fault, runbooks: library.runbooks.map(RunbookRowView.init))
        return try await shell.page(
            "Runbooks", at: .incidents, template: "runbooks", view: view, topics: [], request: request)
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let name = request.parameter("name")
        guard let runbook = shelf.library.runbook(name) else { throw Problem.notFound("runbook", name) }
        return try await shell.page(
            runbook.title, at: .incidents, template: "runbook", view: RunbookView(runbook), topics: [], request: request
        )
    }
}

struct RunbookListView: PageView {
    let subtitle: String
    /// What is wrong with files that changed since they were read.
    let fault: String?
    let runbooks: [RunbookRowView]
}

struct RunbookRowView: PageView {
    let path: String
    let name: String
    let title: String
    let alerts: String?
    let mode: String?
    let actions: String
    let origin: String

    init(_ runbook: Runbook) {
        path = "/runbooks/\(PagePath.encoded(runbook.name))"
        (name, title, mode) = (runbook.name, runbook.title, runbook.mode?.rawValue)
        alerts = runbook.alerts.isEmpty ? nil : runbook.alerts.joined(separator: ", ")
        actions = runbook.actions.isEmpty ? "none" : runbook.actions.map(\.action.title).joined(separator: ", ")
        origin = runbook.isShipped ? "shipped" : runbook.file
    }
}

struct RunbookView: PageView {
    struct Item: PageView {
        let title: String
        var kind: String?
        var text: String?
        var expect: String?
    }

    let row: RunbookRowView
    let summary: String
    let diagnosis: [Item]
    let actions: [Item]
    let stops: [Item]
    let verify: [Item]
    let checks: [Item]
    let source: String
    let command: String

    init(_ runbook: Runbook) {
        func item(_ question: Runbook.Question) -> Item {
            Item(
                title: question.title, kind: question.kind.rawValue, text: question.text,
                expect: question.expects?.text)
        }
        row = RunbookRowView(runbook)
        summary = runbook.summary
        diagnosis = runbook.diagnosis.map(item)
        let mode = runbook.mode?.rawValue ?? ""
        actions = runbook.actions.map { action in
            Item(
                title: action.action.title,
                text: action.isPlanned ? "as the plan for \(mode) has it" : action.json["parameters"]?.text)
        }
        stops = runbook.stops.map(item)
        verify = runbook.verify.map(item)
        checks = runbook.checks.map { Item(title: $0) }
        source = runbook.source
        command = "reeve incident run INCIDENT --runbook \(runbook.name)"
    }
}

enum RunbookPageTemplates {
    static let all = [list, one, item]

    static let list = PageTemplate(
        "runbooks",
        #"""
        <div class="head"><h1>Runbooks</h1><span class="sub">{{subtitle}}</span></div>
        {{#fault}}<p class="notice" data-state="broken" role="alert">What was changed is not taken:
          the runbooks are as before.
          <code>{{fault}}</code></p>{{/fault}}
        <section class="panel" id="runbook-list" aria-label="Runbooks">
          <table class="table cards fixed runbooks">
            <thead><tr><th>Runbook</th><th>Alerts</th><th>Mode</th><th>Actions</th><th>From</th></tr></thead>
            <tbody>{{#runbooks}}<tr data-runbook="{{name}}" data-row><td class="title"><a class="open"
              href="{{path}}">{{name}}</a><span class="second">{{title}}</span></td><td
              data-label="Alerts">{{#alerts}}{{alerts}}{{/alerts}}</td><td
              data-label="Mode">{{#mode}}{{mode}}{{/mode}}</td><td data-label="Actions">{{actions}}</td><td
              data-label="From">{{origin}}</td></tr>{{/runbooks}}</tbody>
          </table>
        </section>
        """#)

    static let one = PageTemplate(
        "runbook",
        #"""
        {{#row}}<div class="head"><h1>{{title}}</h1><span class="sub">{{name}}{{#mode}}, {{mode}}{{/mode}}</span>
          <span class="actions"><a class="button tiny" href="/runbooks">Runbooks</a></span></div>{{/row}}
        <p>{{summary}}</p>
        <section class="panel spaced" id="diagnosis" aria-label="Diagnosis"><header><h2>Diagnosis</h2></header>
          <ol class="pad">{{#diagnosis}}{{> runbook-item}}{{/diagnosis}}</ol></section>
        <section class="panel spaced" id="actions" aria-label="Actions"><header><h2>Actions</h2></header>
          <ol class="pad">{{#actions}}{{> runbook-item}}{{/actions}}</ol>{{#stops}}<p class="pad">Stops where this
          holds: <b>{{title}}</b> <code>{{text}}</code> {{expect}}</p>{{/stops}}</section>
        <section class="panel spaced" id="verify" aria-label="Verification"><header><h2>Verification</h2></header>
          <ol class="pad">{{#verify}}{{> runbook-item}}{{/verify}}</ol></section>
        <section class="panel spaced" id="checks" aria-label="For people"><header><h2>For people</h2></header>
          <ul class="pad">{{#checks}}{{> runbook-item}}{{/checks}}</ul></section>
        <section class="panel spaced" id="source" aria-label="As written"><header><h2>As written</h2></header>
          <div class="pad"><pre>{{source}}</pre><p>Run it: <code>{{command}}</code></p></div></section>
        """#)

    static let item = PageTemplate(
        "runbook-item",
        #"""
        <li><b>{{title}}</b>{{#kind}} <span class="muted">{{kind}}</span>{{/kind}}{{#text}}<div><code>{{text}}</code>
          {{#expect}} is {{expect}}{{/expect}}</div>{{/text}}</li>
        """#)
}
