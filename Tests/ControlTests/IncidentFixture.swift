import Kernel
import Telemetry
import TestSupport

@testable import Control

/// Incidents on a real store, with the alerts, tasks and calls around them.
struct IncidentFixture: Sendable {
    static let ada = Principal(keyID: "key_ada", name: "ada", role: .operator_)

    let tasks: TaskFixture
    let calls: CallService
    let incidents: IncidentService
    let alerts: AlertService
    let timelines: IncidentTimelines
    let followed = FollowedIncidents()

    var time: ManualTime { tasks.time }
    var world: World { tasks.world }
    var storage: any Storage { tasks.storage }

    static let migrations =
        TaskFixture.migrations + CallSchema.migrations + AlertSchema.migrations + IncidentSchema.migrations
        + RetentionSchema.migrations + DrillSchema.migrations + ContainmentSchema.migrations

    init(_ storage: any Storage, policy: IncidentPolicy, verifications: [any IncidentVerification]) {
        tasks = TaskFixture(storage: storage)
        let audit = AuditService(world: tasks.world)
        calls = CallService(retentionDays: 90, events: tasks.events, audit: audit, world: tasks.world)
        incidents = IncidentService(
            events: tasks.events, audit: audit, world: tasks.world, followers: [followed],
            surroundings: IncidentSurroundings(tasks: tasks.tasks, calls: calls), policy: policy,
            verifications: verifications)
        alerts = AlertService(events: tasks.events, world: tasks.world, follower: incidents)
        timelines = IncidentTimelines(service: incidents, storage: storage)
    }

    static func on(
        _ engine: TestEngine, policy: IncidentPolicy = IncidentPolicy(),
        verifications: [any IncidentVerification] = [], _ body: (IncidentFixture) async throws -> Void
    ) async throws {
        try await withStorage(engine, migrations: migrations) { storage in
            try await body(IncidentFixture(storage, policy: policy, verifications: verifications))
        }
    }

    // MARK: Alerts

    static func labels(_ name: String, _ more: [String: String]) -> LabelSet {
        LabelSet((["alertname": name, "severity": "warning"].merging(more) { $1 }).map { ($0.key, $0.value) })
    }

    /// Says that an alert fires; returns its incident.
    @discardableResult
    func fire(_ name: String, _ labels: [String: String] = [:], since: Timestamp? = nil) async throws -> String {
        let post = AlertPost(
            labels: Self.labels(name, labels), annotations: ["summary": "\(name) is on"], startsAt: since)
        let changes = try await storage.write { [alerts] in
            try alerts.take([post], origin: .rule, from: "test", in: $0)
        }
        guard let alert = changes.first?.alert else { return "" }
        return alert.incidentID ?? ""
    }

    func end(_ name: String, _ labels: [String: String] = [:]) async throws {
        let post = AlertPost(labels: Self.labels(name, labels), endsAt: world.now)
        _ = try await storage.write { [alerts] in try alerts.take([post], origin: .rule, from: "test", in: $0) }
    }

    // MARK: Agents

    func enrol(_ name: String, project: String, type: String) async throws {
        var draft = AgentDraft(name: name, project: project)
        draft.labels = ["type": type]
        let enrolled = draft
        try await storage.write { [tasks] in _ = try tasks.agents.register(enrolled, by: Self.ada, in: $0) }
    }

    // MARK: Incidents

    func incident(_ id: String) async throws -> Incident {
        try await storage.read { [incidents] in try incidents.known(id, in: $0) }
    }

    func change<Value: Sendable>(
        _ body: @escaping @Sendable (IncidentService, Transaction) throws -> Value
    ) async throws -> Value {
        try await storage.write { [incidents] in try body(incidents, $0) }
    }

    @discardableResult
    func open(_ json: JSONValue) async throws -> Incident {
        let draft = try IncidentDraft(Fields(json.object ?? JSONObject(), limits: Limits()))
        return try await change { try $0.open(draft, by: Self.ada, in: $1) }
    }

    @discardableResult
    func state(_ milestone: Incident.Milestone, of id: String) async throws -> Incident {
        try await change { try $0.state(milestone, of: id, note: "", by: Self.ada, in: $1) }
    }

    /// The timeline as `kind action target`.
    func story(_ id: String) async throws -> [String] {
        let entries = try await storage.read { [incidents] in
            try incidents.entries(of: Identifier(stored: id), in: $0)
        }
        return entries.map { "\($0.kind) \($0.action) \($0.target)" }
    }

    @discardableResult
    func pass(_ span: Span) async throws -> Int {
        time.advance(by: span)
        return try await change { try $0.sweep(in: $1) }
    }

    func note(
        _ type: String, agent: String? = nil, actor: String = "reeve", _ data: JSONValue = [:]
    ) async throws {
        try await storage.write { [tasks] in
            _ = try tasks.events.append(EventDraft(type, actor: actor, agent: agent, data: data), in: $0)
        }
    }

    func events(_ type: String) async throws -> [Event] {
        try await storage.read { [tasks] in
            try tasks.events.store.list(after: 0, limit: 1_000, filter: EventFilter(type: type), in: $0)
        }
    }

    func call(_ change: (inout Call) -> Void = { _ in }) async throws {
        var call = Call(
            id: Identifier(world), status: .done, startedAt: world.now, agent: "writer", door: "openai.chat",
            model: "small", target: "main/small-2026-01-01", cost: CallCost(nanoUSD: 2_000_000))
        change(&call)
        let made = call
        try await storage.write { [calls] in _ = try calls.record([made], in: $0) }
    }
}
