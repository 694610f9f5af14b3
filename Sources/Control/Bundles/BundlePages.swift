import Kernel

/// The pages of bundles: who is to run with what and does not yet, and each agent's versions with what they changed.
public struct BundlePages: Sendable {
    /// Agents that are behind, named on the list.
    static let laggardsMax = 50
    /// Bytes of a diff on a page; the whole is to be had by the command line.
    static let diffBytesMax = 100_000

    let shell: PageShell
    let storage: any Storage
    let service: BundleService

    public init(shell: PageShell, storage: any Storage, service: BundleService) {
        self.shell = shell
        self.storage = storage
        self.service = service
    }

    public var routes: [Route] {
        [
            shell.route("/bundles", .operateOrView, "What agents run with", handler: list),
            shell.route("/bundles/{name}", .operateOrView, "One agent's bundles", handler: show),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let (now, page) = (shell.world.now, try request.page())
        let view = try await storage.read { transaction in
            let (items, next) = try service.states(isBehind: nil, page: page, in: transaction)
            let late = try service.states(isBehind: true, page: Page(limit: Self.laggardsMax), in: transaction)
            return BundleListView(
                hasAgents: !items.isEmpty, agents: items.map { BundleStateView($0, now: now) },
                noAgents: EmptyView(
                    headline: "Nobody has been given a bundle",
                    explanation: "A folder with agent.yaml is what an agent runs with, version by version:",
                    command: "reeve config push ./agent --agent NAME -m \"why\""),
                hasLaggards: !late.items.isEmpty, laggards: late.items.map { BundleStateView($0, now: now) },
                moreLaggards: late.next == nil ? nil : "and more",
                pager: PagerView(after: page.after, next: next, of: "/bundles"))
        }
        return try await shell.page(
            "Bundles", at: .bundles, template: "bundles", view: view, topics: ["bundle", "agent"], request: request)
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let (now, name, page) = (shell.world.now, request.parameter("name"), try request.page())
        let (agent, versions, next, changes, trial, late) = try await storage.read { transaction in
            guard let agent = try service.agents.agent(named: name, in: transaction) else {
                throw Problem.notFound("agent", name)
            }
            let (items, next) = try service.versions(of: name, page: page, in: transaction)
            let trial = try service.rollout(of: agent, in: transaction)
            return (
                agent, items, next, try service.changes(of: name, limit: 20, in: transaction), trial,
                try trial.map { try service.laggards(of: $0, in: transaction) } ?? []
            )
        }
        let shown = request.queryValue("version") ?? agent.configDesired
        var diff: String?
        var compared: BundleVersion?
        if let shown, let version = versions.first(where: { $0.version.hasPrefix(shown) }), let parent = version.parent,
            versions.contains(where: { $0.version == parent })
        {
            compared = version
            let text = try await service.diff(parent, version.version, of: name, storage).text
            diff = PageText.clipped(text, Self.diffBytesMax)
        }
        let view = BundleAgentView(
            name: name, agentPath: PagePath.agent(name), configPath: ConfigValuePageView.path(name),
            state: BundleStateView(
                AgentConfigState(
                    agent: name, desired: agent.configDesired, reported: agent.configReported,
                    lastHeartbeatAt: agent.lastHeartbeatAt), now: now),
            rollout: trial.map {
                BundleTrialView(
                    $0, of: name, laggards: late, canOperate: Permission.operate.admits(request.principal.role),
                    now: now)
            },
            hasVersions: !versions.isEmpty,
            versions: versions.map { BundleVersionView($0, desired: agent.configDesired, now: now) },
            noVersions: EmptyView(
                headline: "No version yet", explanation: "The first push makes one:",
                command: "reeve config push ./agent --agent \(name) -m \"why\""),
            diffTitle: compared.map { "What \(AgentBundle.short($0.version)) changed" }, diff: diff,
            changes: changes.map { BundleChangeView($0, now: now) },
            pager: PagerView(after: page.after, next: next, of: "/bundles/\(PagePath.encoded(name))"))
        return try await shell.page(
            "Bundles of \(name)", at: .bundles, template: "bundle-agent", view: view, topics: ["bundle", "agent"],
            request: request)
    }
}

// MARK: - Views

struct BundleListView: PageView {
    let hasAgents: Bool
    let agents: [BundleStateView]
    let noAgents: EmptyView
    let hasLaggards: Bool
    let laggards: [BundleStateView]
    let moreLaggards: String?
    let pager: PagerView
}

struct BundleStateView: PageView {
    let name: String
    let path: String
    let desired: String
    let reported: String
    let state: String
    let stateLabel: String
    let heard: TimeView?

    init(_ item: AgentConfigState, now: Timestamp) {
        name = item.agent
        path = "/bundles/\(PagePath.encoded(item.agent))"
        desired = item.desired.map { PageText.clipped(AgentBundle.short($0), 20) } ?? "–"
        reported = item.reported.map { PageText.clipped(AgentBundle.short($0), 20) } ?? "–"
        state = item.isBehind ? "waiting" : "idle"
        stateLabel = item.isBehind ? "Upgrade pending" : "Up to date"
        heard = .ago(item.lastHeartbeatAt, now: now)
    }
}

struct BundleVersionView: PageView {
    let path: String
    let name: String
    let message: String
    let author: String
    let files: String
    let isDesired: Bool
    /// Why a roll-out took it back.
    let takenBack: String?
    let at: TimeView

    init(_ version: BundleVersion, desired: String?, now: Timestamp) {
        path = PagePath.query("/bundles/\(PagePath.encoded(version.agent))", [("version", version.version)])
        name = AgentBundle.short(version.version)
        message = PageText.clipped(version.message, 200)
        author = version.author
        files = "\(PageText.plural(version.files, "file")), \(PageText.bytes(version.bytes))"
        isDesired = version.version == desired
        takenBack = version.takenBack?.reason
        at = .ago(version.createdAt, now: now)
    }
}

struct BundleChangeView: PageView {
    let words: String
    let message: String
    let author: String
    let at: TimeView

    init(_ change: BundleChange, now: Timestamp) {
        let verb = change.kind == .push ? "To run with" : "Rolled back to"
        words = "\(verb) \(AgentBundle.short(change.version))"
        message = PageText.clipped(change.message, 200)
        author = change.author
        at = .ago(change.at, now: now)
    }
}

struct BundleAgentView: PageView {
    let name: String
    let agentPath: String
    let configPath: String
    let state: BundleStateView
    let rollout: BundleTrialView?
    let hasVersions: Bool
    let versions: [BundleVersionView]
    let noVersions: EmptyView
    let diffTitle: String?
    let diff: String?
    let changes: [BundleChangeView]
    let pager: PagerView
}

// MARK: - Templates

enum BundlePageTemplates {
    static let all = [list, one, BundleTrialView.template]

    static let list = PageTemplate(
        "bundles",
        #"""
        <div class="head"><h1>Bundles</h1><span class="sub">what agents run with</span></div>
        {{#hasLaggards}}<p class="notice" data-state="waiting" id="laggards">Upgrade pending:
          {{#laggards}}<a href="{{path}}">{{name}}</a> {{/laggards}}{{#moreLaggards}}{{moreLaggards}}{{/moreLaggards}}
        </p>{{/hasLaggards}}
        <section class="panel" id="bundle-list" aria-label="Agents and their bundles">
          {{#hasAgents}}<table class="table cards">
            <thead><tr><th>Agent</th><th>State</th><th>To run with</th><th>Runs with</th><th
              class="num">Heard of</th></tr></thead>
            <tbody>{{#agents}}<tr data-agent="{{name}}" data-row><td class="title"><a class="open"
              href="{{path}}">{{name}}</a></td><td><span class="state" data-state="{{state}}">{{stateLabel}}</span></td>
              <td data-label="To run with"><code>{{desired}}</code></td><td
              data-label="Runs with"><code>{{reported}}</code></td><td class="num nowrap"
              data-label="Heard of">{{#heard}}{{> time}}{{/heard}}{{^heard}}<span
              class="muted">never</span>{{/heard}}</td></tr>{{/agents}}</tbody>
          </table>{{/hasAgents}}
          {{^hasAgents}}{{#noAgents}}{{> empty}}{{/noAgents}}{{/hasAgents}}
          {{> pager}}
        </section>
        """#)

    static let one = PageTemplate(
        "bundle-agent",
        #"""
        <div class="head" data-agent="{{name}}"><h1>Bundles of {{name}}</h1>{{#state}}<span class="state big"
          data-state="{{state}}">{{stateLabel}}</span><span class="sub">to run with <code>{{desired}}</code>, runs with
          <code>{{reported}}</code></span>{{/state}}<span class="actions"><a class="button tiny"
          href="{{configPath}}">What holds</a><a class="button tiny" href="{{agentPath}}">The agent</a></span></div>
        {{> bundle-rollout}}
        <section class="panel{{#rollout}} spaced{{/rollout}}" id="versions"
          aria-label="Versions"><header><h2>Versions</h2></header>
          {{#hasVersions}}<table class="table cards">
            <thead><tr><th>Version</th><th>Why</th><th>By</th><th>Content</th><th class="num">Pushed</th></tr></thead>
            <tbody>{{#versions}}<tr data-row><td class="title"><a class="open"
              href="{{path}}"><code>{{name}}</code></a>{{#isDesired}}<span class="second">to run
              with</span>{{/isDesired}}{{#takenBack}}<span class="second" data-taken-back>taken
              back: {{takenBack}}</span>{{/takenBack}}</td><td class="wide" data-label="Why">{{message}}</td><td
              data-label="By">{{author}}</td><td data-label="Content">{{files}}</td><td class="num nowrap"
              data-label="Pushed">{{#at}}{{> time}}{{/at}}</td></tr>{{/versions}}</tbody>
          </table>{{/hasVersions}}
          {{^hasVersions}}{{#noVersions}}{{> empty}}{{/noVersions}}{{/hasVersions}}
          {{> pager}}
        </section>
        {{#diff}}<section class="panel spaced" id="diff" aria-label="Difference"><header><h2>{{diffTitle}}</h2></header>
          <div class="pad"><pre>{{diff}}</pre></div></section>{{/diff}}
        <section class="panel spaced" id="changes" aria-label="History"><header><h2>History</h2></header>
          <ul class="pad">{{#changes}}<li>{{words}} <span class="muted">{{author}}{{#at}}, {{> time}}{{/at}}</span>
            <div>{{message}}</div></li>{{/changes}}</ul></section>
        """#)
}
