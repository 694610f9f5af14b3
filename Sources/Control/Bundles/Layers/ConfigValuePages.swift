import Kernel

/// What holds for an agent, key by key: the value, who said so, and what each layer says.
public struct ConfigValuePages: Sendable {
    /// Characters of a value that a page shows, and that a form begins with.
    static let valueMax = 300

    let shell: PageShell
    let storage: any Storage
    let service: ConfigValueService

    public init(shell: PageShell, storage: any Storage, service: ConfigValueService) {
        (self.shell, self.storage, self.service) = (shell, storage, service)
    }

    public var routes: [Route] {
        [shell.route("/agents/{name}/config", .read, "What holds for an agent, key by key, and why", handler: show)]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let (name, page) = (try BundleRoutes.agent(request), try request.page())
        let user = try ConfigValueRoutes.user(request.queryValue("user").flatMap { $0.isEmpty ? nil : $0 })
        let search = request.queryValue("q") ?? ""
        let base = try await service.base(name, storage)
        // What the layer of the environment is edited by is what holds without a user.
        let (values, common) = try await storage.read { transaction in
            (
                try service.all(base, user: user, in: transaction),
                try user == nil ? [] : service.all(base, user: nil, in: transaction)
            )
        }
        let tags = Dictionary((user == nil ? values : common).map { ($0.rule.key, $0.etag) }) { first, _ in first }
        let wanted = values.filter { search.isEmpty || $0.rule.key.lowercased().contains(search.lowercased()) }
        let rest = wanted.drop { value in page.after.map { value.rule.key <= $0 } ?? false }
        let (items, next) = page.cut(Array(rest.prefix(page.limit + 1)), cursor: \.rule.key)
        let path = ConfigValuePageView.path(name)
        let view = ConfigValuePageView(
            name: name, agentPath: PagePath.agent(name), bundlePath: "/bundles/\(PagePath.encoded(name))", path: path,
            subtitle: Self.subtitle(base, values, user), search: search, user: user ?? "", hasKeys: !items.isEmpty,
            keys: items.map { ConfigKeyView($0, agent: name, user: user, commonTag: tags[$0.rule.key]) },
            noKeys: EmptyView(
                headline: "No key is like that", explanation: "Search for a part of its name, such as limits."),
            pager: PagerView(after: page.after, next: next) {
                PagePath.query(path, [("q", search), ("user", user), ("after", $0)])
            })
        return try await shell.page(
            "Configuration of \(name)", at: .bundles, template: "config-values", view: view,
            topics: ["bundle", "flag"], request: request)
    }

    private static func subtitle(
        _ base: ConfigValueService.Base, _ values: [EffectiveValue], _ user: String?
    ) -> String {
        let set = values.count { $0.winner.layer > .bundle }
        let bundle = base.version.map { "bundle \(AgentBundle.short($0.version))" } ?? "no bundle yet"
        let whom = user.map { " for the user \($0)" } ?? ""
        return "\(bundle), \(PageText.plural(values.count, "key")), \(set) overridden\(whom)"
    }
}

struct ConfigValuePageView: PageView {
    let name: String
    let agentPath: String
    let bundlePath: String
    let path: String
    let subtitle: String
    let search: String
    let user: String
    let hasKeys: Bool
    let keys: [ConfigKeyView]
    let noKeys: EmptyView
    let pager: PagerView

    static func path(_ agent: String) -> String { PagePath.agent(agent) + "/config" }
}

/// A key with the value that holds, and what each layer says.
struct ConfigKeyView: PageView {
    struct Layer: PageView {
        let label: String
        let value: String
        let who: String?
        let holds: Bool

        init(_ said: ConfigLayerValue, holds: Bool) {
            label = ConfigKeyView.label(said.layer)
            value = ConfigKeyView.shown(said.value)
            who = ConfigKeyView.who(said)
            self.holds = holds
        }
    }

    /// What an operator may set, and take back.
    struct Edit: PageView {
        let layer: String
        let title: String
        let user: String?
        let tag: String
        let isFlag: Bool
        let isTrue: Bool
        let current: String
        let isSet: Bool
        let apiPath: String
        let removePath: String
    }

    let key: String
    let value: String
    let isSilent: Bool
    let layer: String
    let who: String?
    let flag: LinkView?
    let rule: String?
    let words: String
    let layers: [Layer]
    let edits: [Edit]

    init(_ value: EffectiveValue, agent: String, user: String?, commonTag: String?) {
        key = value.rule.key
        self.value = Self.shown(value.winner.value)
        isSilent = value.winner.value.isNull
        // Nobody says anything: the bundle is the layer that could.
        layer = isSilent ? "–" : Self.label(value.winner.layer)
        who = isSilent ? nil : Self.who(value.winner)
        flag = value.winner.flag.map { LinkView(path: "/flags/\(PagePath.encoded($0))", label: $0) }
        rule = value.winner.rule
        words = value.rule.words
        layers = value.layers.map { Layer($0, holds: $0 == value.winner) }
        let api = "/api/v1\(PagePath.agent(agent))/config/values/\(PagePath.encoded(value.rule.key))"
        func edit(_ layer: ConfigLayer, _ title: String, user: String?, tag: String) -> Edit? {
            guard layer <= value.rule.highest else { return nil }
            let own = value.layers.first { $0.layer == layer }?.value
            let start = own ?? value.winner.value
            return Edit(
                layer: layer.rawValue, title: title, user: user, tag: tag, isFlag: value.rule.kind == .flag,
                isTrue: start.bool == true, current: Self.written(start), isSet: own != nil, apiPath: api,
                removePath: PagePath.query(api, [("layer", layer.rawValue), ("user", user)]))
        }
        edits = [
            commonTag.flatMap { edit(.environment, "Set for everybody", user: nil, tag: $0) },
            user.flatMap { edit(.user, "Set for \($0)", user: $0, tag: value.etag) },
        ].compactMap(\.self)
    }

    private static func label(_ layer: ConfigLayer) -> String {
        switch layer {
        case .bundle: "Bundle"
        case .environment: "Environment"
        case .flag: "Flag"
        case .user: "User"
        }
    }

    private static func shown(_ value: JSONValue) -> String {
        value.isNull ? "not set" : PageText.clipped(value.string ?? value.text, ConfigValuePages.valueMax)
    }

    /// What a form begins with: it must come back as the same value.
    private static func written(_ value: JSONValue) -> String {
        let text = value.string.map { (try? JSONParser.parse($0)) == nil ? $0 : value.text } ?? value.text
        return value.isNull || text.count > ConfigValuePages.valueMax ? "" : text
    }

    private static func who(_ said: ConfigLayerValue) -> String? {
        let version = said.version.map { said.layer == .bundle ? AgentBundle.short($0) : "v\($0)" }
        let words = [version, said.author].compactMap(\.self).joined(separator: " by ")
        return words.isEmpty ? nil : words
    }
}

enum ConfigValuePageTemplates {
    static let all = [page, edit]

    static let page = PageTemplate(
        "config-values",
        #"""
        <div class="head" data-agent="{{name}}"><h1>Configuration of {{name}}</h1><span class="sub">{{subtitle}}</span>
          <span class="actions"><a class="button tiny" href="{{bundlePath}}">Its bundles</a><a class="button tiny"
            href="{{agentPath}}">The agent</a></span></div>
        <form class="filters" action="{{path}}" role="search">
          <input type="search" name="q" value="{{search}}" placeholder="Search keys" aria-label="Search keys">
          <input name="user" value="{{user}}" placeholder="For a user" aria-label="For a user" maxlength="200"
            autocomplete="off">
          <button type="submit">Show</button>
        </form>
        <section class="panel" id="config-values" aria-label="Keys and what holds">
          {{#hasKeys}}
          <table class="table cards">
            <thead><tr><th>Key</th><th>Value</th><th>Layer</th><th>By</th><th></th></tr></thead>
            <tbody>{{#keys}}
              <tr data-config-key="{{key}}" data-row>
                <td class="title mono">{{key}}</td>
                <td class="wide" data-label="Value"><span class="mono{{#isSilent}} muted{{/isSilent}}">{{value}}</span>
                  <details><summary class="small muted">What each layer says</summary>
                    <ul class="layers small">{{#layers}}<li><b>{{label}}</b> <span class="mono">{{value}}</span>{{#who}}
                      <span class="muted">{{who}}</span>{{/who}}{{#holds}} <span class="tag">holds</span>{{/holds}}</li>
                      {{/layers}}<li class="muted">{{words}}</li></ul></details></td>
                <td class="nowrap" data-label="Layer">{{layer}}{{#flag}}<span class="second"><a class="link"
                  href="{{path}}">{{label}}</a></span>{{/flag}}{{#rule}}<span class="second">rule
                  {{rule}}</span>{{/rule}}</td>
                <td data-label="By">{{#who}}{{who}}{{/who}}</td>
                <td class="acts">{{#canOperate}}{{#edits}}{{> config-edit}}{{/edits}}{{/canOperate}}</td>
              </tr>{{/keys}}
            </tbody>
          </table>
        {{> pager}}
          {{/hasKeys}}
          {{^hasKeys}}{{#noKeys}}{{> empty}}{{/noKeys}}{{/hasKeys}}
        </section>
        """#)

    static let edit = PageTemplate(
        "config-edit",
        #"""
        <details class="menu"><summary class="button tiny"
          data-action="edit-{{layer}}">{{title}}</summary><div class="pop"><div
          class="stack">
          <form data-post="{{apiPath}}" data-method="PUT" data-if-match="{{tag}}" data-done="{{key}} is set">
            <input type="hidden" name="layer" value="{{layer}}">{{#user}}<input type="hidden" name="user"
              value="{{user}}">{{/user}}
            <label class="field">Value {{#isFlag}}<select name="value" data-json><option value="true"{{#isTrue}}
              selected{{/isTrue}}>true</option><option value="false"{{^isTrue}}
              selected{{/isTrue}}>false</option></select>{{/isFlag}}{{^isFlag}}<input name="value" required data-json
              value="{{current}}" autocomplete="off" spellcheck="false">{{/isFlag}}</label>
            <label class="field">Reason <input name="reason" maxlength="500" placeholder="Kept in the audit"></label>
            <button class="primary" type="submit" data-action="set-{{layer}}">Set it</button></form>
          {{#isSet}}<form data-post="{{removePath}}" data-method="DELETE" data-if-match="{{tag}}"
            data-done="{{key}} is taken back"><input type="hidden" name="reason" value="taken back on the page"><button
            type="submit" data-action="unset-{{layer}}">Take it back</button></form>{{/isSet}}
          </div></div></details>
        """#)
}
