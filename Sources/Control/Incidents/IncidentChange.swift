import Kernel

/// Which events of the log stand in an incident's timeline, and as what. Pure: the same event and the same subjects
/// lead to the same entry.
enum IncidentChange {
    /// Kinds of entries that come from the log.
    enum Kind: String, CaseIterable {
        /// Something was changed on purpose: configuration, prices, registrations, keys, queues, deployments.
        case change
        /// A breaker opened or closed, a model was out or is back.
        case breaker
        /// A budget's limit was reached.
        case budget
        /// An agent was paused, went silent, came back.
        case agent
        /// A task was held, failed, was sent back.
        case task
        /// A run went in circles.
        case loop
        /// An alert was silenced.
        case silence
    }

    /// What an event's type is as an entry, and whether everybody is concerned or only the incident's subjects.
    private struct Rule {
        let kind: Kind
        let isFleetWide: Bool
    }

    /// The types that are looked for in the log. Those with `.*` are families.
    static let types: [String] = (exact.keys + families.map { "\($0.name).*" }).sorted()

    private static let exact: [String: Rule] = {
        var rules: [String: Rule] = [:]
        func add(_ kind: Kind, fleetWide: Bool, _ types: String...) {
            for type in types { rules[type] = Rule(kind: kind, isFleetWide: fleetWide) }
        }
        add(.change, fleetWide: true, "call.repriced", "queue.changed", "queue.paused", "queue.resumed")
        add(.change, fleetWide: true, "project.changed", "project.paused", "project.resumed")
        add(.change, fleetWide: false, "agent.registered", "agent.updated", "agent.deleted")
        add(.change, fleetWide: false, "key.created", "key.revoked", "schedule.created", "schedule.changed")
        add(.change, fleetWide: false, "schedule.paused", "schedule.resumed", "schedule.deleted")
        add(.change, fleetWide: true, "oncall.overridden", "oncall.override_removed")
        add(.breaker, fleetWide: true, "model.breaker_opened", "model.breaker_closed", "model.breaker_reset")
        add(.breaker, fleetWide: true, "model.outage.began", "model.outage.ended")
        add(.budget, fleetWide: false, "budget.soft_limit", "budget.exhausted", "budget.written_off")
        add(.change, fleetWide: false, "budget.created", "budget.updated", "budget.removed")
        add(.agent, fleetWide: false, "agent.status_changed", "agent.health_changed", "agent.paused", "agent.resumed")
        add(.agent, fleetWide: false, "agent.draining", "agent.quarantined", "agent.quarantine_released")
        add(.task, fleetWide: false, "task.held", "task.failed", "task.timed_out", "task.lease_lost")
        add(.task, fleetWide: false, "task.hold_set", "task.hold_lifted", "task.canceled", "task.reassigned")
        add(.task, fleetWide: false, "task.reviewed", "task.requeued")
        add(.loop, fleetWide: false, "model.loop_detected", "model.loop_released")
        return rules
    }()

    /// Families of types. `change` comes from PagerDuty's door of changes, `deploy` is anybody's to send, as a pipeline
    /// does when it has rolled something out.
    private static let families: [(name: String, rule: Rule)] = [
        ("silence", Rule(kind: .silence, isFleetWide: true)),
        ("change", Rule(kind: .change, isFleetWide: true)),
        ("config", Rule(kind: .change, isFleetWide: true)),
        ("configuration", Rule(kind: .change, isFleetWide: true)),
        ("deploy", Rule(kind: .change, isFleetWide: true)),
        ("deployment", Rule(kind: .change, isFleetWide: true)),
        ("release", Rule(kind: .change, isFleetWide: true)),
        ("secret", Rule(kind: .change, isFleetWide: true)),
        ("setting", Rule(kind: .change, isFleetWide: true)),
    ]

    private static func rule(_ type: String) -> Rule? {
        if let rule = exact[type] { return rule }
        let family = type.prefix { $0 != "." }
        return families.first { $0.name == family }?.rule
    }

    /// The entry that an event is in the timeline of an incident about `subjects`; `nil` for none.
    ///
    /// - Parameter near: What is near to the subjects: what happens there is told too.
    static func entry(_ event: Event, subjects: Set<String>, near: Set<String> = []) -> IncidentEntry? {
        guard let rule = rule(event.type) else { return nil }
        let about = self.about(event)
        let isMeant = about.contains { subjects.contains($0) || near.contains($0) }
        // What the organisation may spend concerns everybody.
        let isOfAll = rule.isFleetWide || about.contains("scope:\(BudgetScope.org)")
        guard isOfAll || isMeant || (about.isEmpty && rule.kind != .task) else { return nil }
        if event.type == "task.reviewed", event.data["verdict"]?.string == "approve" { return nil }
        return IncidentEntry(
            kind: rule.kind.rawValue, action: String(event.type), target: target(event, about), actor: event.actor,
            at: event.at, detail: detail(event), event: event.seq)
    }

    /// What an event is about, in the words of an incident's subjects.
    static func about(_ event: Event) -> [String] {
        var about: [String] = []
        if let agent = event.agent { about.append("agent:\(agent)") }
        if let task = event.taskID { about.append("task:\(task)") }
        if event.type.hasPrefix("queue.") || event.taskID != nil {
            if let queue = (event.data["queue"] ?? event.data["name"])?.string { about.append("queue:\(queue)") }
        }
        if event.taskID != nil, let type = event.data["type"]?.string { about.append("task_type:\(type)") }
        if event.type.hasPrefix("model.") || event.type.hasPrefix("config.") {
            if let model = event.data["model"]?.string { about.append("model:\(model)") }
            if let provider = event.data["provider"]?.string ?? provider(event) { about.append("provider:\(provider)") }
        }
        if event.type.hasPrefix("budget."), let scope = event.data["scope"]?.string {
            about.append("scope:\(scope)")
            if BudgetScope(stored: scope).kind == .project { about.append(scope) }
        }
        return about
    }

    /// The provider's part of what a breaker is of.
    static func provider(_ event: Event) -> String? {
        event.data["target"]?.string.flatMap { $0.split(separator: "/").first.map(String.init) }
    }

    /// What of the configuration an event says changed: `price`.
    private static func configured(_ type: String) -> String? {
        guard type.hasPrefix("config."), type.hasSuffix("_changed") else { return nil }
        return String(type.dropFirst("config.".count).dropLast("_changed".count))
    }

    private static func target(_ event: Event, _ about: [String]) -> String {
        // Several parts of the configuration may have one name.
        if let part = configured(event.type) { return "\(part):\(event.data["name"]?.string ?? "")" }
        // Of a breaker the provider says more than the model that was asked for.
        if event.type.hasPrefix("model.") { return about.last ?? "model:" }
        if let task = event.taskID { return "task:\(task)" }
        return about.first ?? event.data["name"]?.string.map { "name:\($0.prefix(200))" } ?? "fleet"
    }

    /// Members of an event's data that are kept: texts are cut, and what is nested is left out.
    private static let membersMax = 16
    private static let textMax = 300

    private static func detail(_ event: Event) -> JSONValue {
        var object = JSONObject([.init(name: "seq", value: .int(event.seq))])
        if let id = event.taskID { object.append("taskId", .string(id)) }
        if let agent = event.agent { object.append("agent", .string(agent)) }
        if let id = event.correlationID { object.append("correlationId", .string(id)) }
        for member in event.data.object?.members.prefix(membersMax) ?? [] where object[member.name] == nil {
            switch member.value {
            case .string(let text): object.append(member.name, .string(String(text.prefix(textMax))))
            case .int, .double, .bool: object.append(member.name, member.value)
            case .null, .array, .object: continue
            }
        }
        return .object(object)
    }
}
