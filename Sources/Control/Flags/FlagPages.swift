import Kernel

/// The flags, and each with its targeting, its audience and its history.
public struct FlagPages: Sendable {
    /// Versions that a flag's page shows.
    static let versionsMax = 20

    let shell: PageShell
    let storage: any Storage
    let flags: FlagService
    let agents: AgentService

    public init(shell: PageShell, storage: any Storage, flags: FlagService, agents: AgentService) {
        self.shell = shell
        self.storage = storage
        self.flags = flags
        self.agents = agents
    }

    public var routes: [Route] {
        [
            shell.route("/flags", .read, "The flags", handler: list),
            shell.route("/flags/{key}", .read, "A flag: whom it serves what, and who changed it", handler: show),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let found = try await storage.read { try flags.flags(page: page, in: $0) }
        let (shown, next) = page.cut(found, cursor: \.key)
        let (served, now) = (flags.meters.served(), shell.world.now)
        let off = shown.count { !$0.definition.isEnabled }
        let view = FlagListView(
            subtitle: shown.isEmpty
                ? "none" : PageText.plural(shown.count, "flag") + (off > 0 ? ", \(off) switched off" : ""),
            hasFlags: !shown.isEmpty,
            flags: shown.map { FlagRowView($0, served: served[$0.key] ?? 0, now: now) },
            noFlags: Self.nothing(request), pager: PagerView(after: page.after, next: next, of: "/flags"))
        return try await shell.page(
            "Flags", at: .flags, template: "flags", view: view, topics: ["flag"], request: request)
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let (key, now) = (request.parameter("key"), shell.world.now)
        let (flag, audience, history, fleet) = try await storage.read { transaction in
            let flag = try flags.flag(key, in: transaction)
            let drives = flag.definition.configKey != nil
            return (
                flag, try flags.pins.store.audience(of: key, in: transaction),
                try flags.history(of: key, before: .max, limit: Self.versionsMax, in: transaction),
                drives ? try agents.first(FlagAudience.agentsMax + 1, in: transaction) : []
            )
        }
        let under = flag.definition.configKey.map { _ in FlagAudience(flag, fleet, in: flags.book.edition, at: now) }
        let view = FlagView(
            row: FlagRowView(flag, served: 0, now: now), rules: FlagView.rules(flag.definition, now: now),
            variants: FlagView.variants(
                flag, served: flags.meters.served(key), sessions: audience, agents: under?.counts ?? [:]),
            facts: FlagView.facts(flag), created: .ago(flag.createdAt, now: now), createdBy: flag.createdBy,
            isPinned: flag.definition.mode == .pinned, configKey: flag.definition.configKey,
            agents: under?.lines ?? [], agentWords: under?.words ?? "",
            versions: history.prefix(Self.versionsMax).map { FlagVersionView($0.record, $0.previous, now: now) })
        return try await shell.page(
            key, at: .flags, template: "flag", view: view, topics: ["flag"], request: request)
    }

    private static func nothing(_ request: APIRequest) -> EmptyView {
        EmptyView(
            headline: "No flags yet",
            explanation: "A flag switches something, or chooses among things, while agents run:",
            command: """
                curl -X PUT \(request.origin)/api/v1/flags/new-search -H "Authorization: Bearer $REEVE_KEY" \\
                  -d '{"type": "boolean", "variants": {"on": true, "off": false}, "defaultVariant": "off"}'
                """)
    }
}

struct FlagListView: PageView {
    let subtitle: String
    let hasFlags: Bool
    let flags: [FlagRowView]
    let noFlags: EmptyView
    let pager: PagerView
}

/// A flag as a row, and as the head of its page.
struct FlagRowView: PageView {
    let key: String
    let path: String
    let apiPath: String
    let state: String
    let stateLabel: String
    let isOn: Bool
    let about: String?
    let kind: String
    let mode: String
    let serves: String
    let served: String
    let changed: TimeView
    let author: String

    init(_ flag: FeatureFlag, served: Int64, now: Timestamp) {
        let definition = flag.definition
        key = flag.key
        path = "/flags/\(PagePath.encoded(flag.key))"
        apiPath = "/api/v1/flags/\(PagePath.encoded(flag.key))"
        isOn = definition.isEnabled
        (state, stateLabel) = isOn ? ("done", "On") : ("paused", "Off")
        about = definition.document["description"]?.string.map { PageText.clipped($0, 200) }
        (kind, mode) = (definition.kind.rawValue, definition.mode.rawValue)
        let variant = isOn ? definition.defaultVariant : definition.offVariant ?? definition.defaultVariant
        let targeted = isOn ? definition.rules.count : 0
        serves = variant + (targeted > 0 ? ", and \(PageText.plural(targeted, "rule"))" : "")
        self.served = PageText.count(served)
        changed = .ago(flag.updatedAt, now: now)
        author = flag.updatedBy
    }
}

struct FlagView: PageView {
    /// A rule, a schedule, or what is left.
    struct Rule: PageView {
        let id: String
        let when: String
        let serves: String
        let isInForce: Bool
    }

    struct Variant: PageView {
        let name: String
        let value: String
        let isDefault: Bool
        let served: String
        let share: ShareView
        let sessions: String
        let agents: String
    }

    let row: FlagRowView
    let rules: [Rule]
    let variants: [Variant]
    let facts: [FactView]
    let created: TimeView
    let createdBy: String
    let isPinned: Bool
    /// The key of the configuration that it stands for, and what each agent gets of it.
    let configKey: String?
    let agents: [FlagAudience.Line]
    let agentWords: String
    let versions: [FlagVersionView]

    static func rules(_ definition: FlagDefinition, now: Timestamp) -> [Rule] {
        let documents = definition.document["rules"]?.array ?? []
        let rules = zip(definition.rules, documents).map { rule, document in
            Rule(
                id: rule.id, when: conditions(document["when"]), serves: words(rule.outcome), isInForce: true)
        }
        let schedules = definition.schedules.map { schedule in
            let from = schedule.from.map { "from \(PageText.iso($0))" }
            let until = schedule.until.map { "until \(PageText.iso($0))" }
            return Rule(
                id: schedule.id, when: [from, until].compactMap(\.self).joined(separator: " "),
                serves: words(schedule.outcome), isInForce: schedule.isInForce(at: now))
        }
        return rules + schedules
            + [Rule(id: "default", when: "everybody else", serves: definition.defaultVariant, isInForce: true)]
    }

    private static func conditions(_ when: JSONValue?) -> String {
        let members = when?.object?.members ?? []
        guard !members.isEmpty else { return "everybody" }
        let texts = members.map { member in
            let tests =
                member.value.object?.members.map { "\($0.name) \($0.value.text)" } ?? ["is \(member.value.text)"]
            return "\(member.name) \(tests.joined(separator: " and "))"
        }
        return PageText.clipped(texts.joined(separator: "; "), 500)
    }

    private static func words(_ outcome: FlagDefinition.Outcome) -> String {
        switch outcome {
        case .variant(let name): name
        case .split(let wishes):
            wishes.map { "\(PageText.decimal(Double($0.buckets) / 100, digits: 2)) % \($0.variant)" }
                .joined(separator: ", ")
        }
    }

    static func variants(
        _ flag: FeatureFlag, served: [String: Int64], sessions: [String: Int64], agents: [String: Int64]
    ) -> [Variant] {
        let all = max(1, served.values.reduce(0, +))
        return flag.definition.variants.map { variant in
            let count = served[variant.name] ?? 0
            return Variant(
                name: variant.name, value: PageText.clipped(variant.value.text, 200),
                isDefault: variant.name == flag.definition.defaultVariant, served: PageText.count(count),
                share: ShareView(Double(count) / Double(all), hotAbove: 2),
                sessions: PageText.count(sessions[variant.name] ?? 0),
                agents: PageText.count(agents[variant.name] ?? 0))
        }
    }

    static func facts(_ flag: FeatureFlag) -> [FactView] {
        let definition = flag.definition
        var facts = [FactView(name: "Type", value: definition.kind.rawValue)]
        facts.append(
            FactView(
                name: "Reaches",
                value: definition.mode == .live ? "everybody at once" : "sessions that begin from now on"))
        facts.append(FactView(name: "Off serves", value: definition.offVariant ?? definition.defaultVariant))
        if let key = definition.configKey { facts.append(FactView(name: "Configures", value: key)) }
        for wish in definition.prerequisites {
            facts.append(FactView(name: "Asks for", value: "\(wish.flag): \(wish.variants.joined(separator: ", "))"))
        }
        for member in definition.document["metadata"]?.object?.members ?? [] {
            facts.append(
                FactView(name: member.name, value: PageText.clipped(member.value.string ?? member.value.text, 200)))
        }
        return facts
    }
}

struct FlagVersionView: PageView {
    struct Change: PageView {
        let path: String
        let from: String
        let to: String
    }

    let version: Int64
    let at: TimeView
    let author: String
    let act: String
    let reason: String?
    let changes: [Change]

    init(_ record: FlagVersionRecord, _ previous: JSONValue?, now: Timestamp) {
        version = record.version
        at = .ago(record.at, now: now)
        author = record.author
        act = PageText.label(record.act.rawValue)
        reason = record.reason
        changes = (previous.map { FlagChange.between($0, record.definition) } ?? []).prefix(10).map { change in
            Change(
                path: change.path, from: change.from.map { PageText.clipped($0.text, 120) } ?? "nothing",
                to: change.to.map { PageText.clipped($0.text, 120) } ?? "nothing")
        }
    }
}
