import Kernel
import Telemetry

/// What still speaks against an incident being verified, as it was looked up at last.
struct IncidentProof: Sendable {
    /// Questions of one incident that do not pass, that are kept.
    static let pendingMax = 20

    let incidentID: String
    /// Since when its alerts were quiet as it was looked up.
    let quietSince: Timestamp
    var pending: [String]
    var dueAt: Timestamp
}

/// An incident is verified where its runbook's verification came about, where the expressions of its alerts have been
/// clear for minutes, and where what stood still goes on: an alert ends by itself when nothing is said any more, which
/// is no proof.
public struct RuleVerification: IncidentVerification {
    private let proofs = IncidentProofStore()
    /// Whether there are series to ask.
    private let hasSeries: Bool

    public init(hasSeries: Bool) { self.hasSeries = hasSeries }

    public func pending(_ incident: Incident, in transaction: Transaction) throws -> [String] {
        var pending = try RunbookService.unverified(of: incident.id.text, in: transaction)
        guard hasSeries, let quietSince = incident.quietSince else { return pending }
        if let proof = try proofs.proof(of: incident.id.text, in: transaction), proof.quietSince == quietSince {
            pending += proof.pending
        } else {
            pending.append("its rules are looked at")
        }
        return pending
    }
}

extension IncidentService {
    /// Reaches `verified` where no alert fires and nothing speaks against it; else it is reached once that is so.
    func verify(_ id: Identifier<Incident>, why: String, in transaction: Transaction) throws {
        guard let incident = try store.incident(id, in: transaction), incident.isOpen,
            try !links.isFiring(id, in: transaction)
        else { return }
        guard try verifications.allSatisfy({ try $0.pending(incident, in: transaction).isEmpty }) else { return }
        try reach(.mitigated, of: id, by: .system, why: why, in: transaction)
        try reach(.verified, of: id, by: .system, why: why, in: transaction)
    }
}

/// Looks up, for incidents whose alerts have ended, whether that is so because all is well.
public struct IncidentProofLoop: Sendable {
    static let interval = Span.seconds(1)
    /// How often one incident is looked at; one of a drill each time.
    static let every = Span.seconds(15)
    static let roundMax = 20
    /// Alerts of one incident that are looked at.
    static let alertsMax = 20
    /// For how long an expression must have been clear, and in which steps; a drill's rules are as tight as its times.
    static let clear = (length: "2m", step: "15s")
    static let clearInDrill = (length: "3s", step: "1s")
    static let timeout = Span.seconds(10)
    /// What goes on is looked for within this time, and within the same time before the incident.
    static let trafficWithin = "5m"
    /// So long after the end of its alerts an incident waits for that.
    static let trafficAwaited = Span.hours(6)

    let incidents: IncidentService
    let reader: any RunbookReading
    let storage: any Storage
    let world: World
    private let store = IncidentProofStore()

    public init(incidents: IncidentService, reader: any RunbookReading, storage: any Storage, world: World) {
        (self.incidents, self.reader, self.storage, self.world) = (incidents, reader, storage, world)
    }

    public var loops: [Loop] { [Loop("incidents.proof", every: Self.interval) { try await look() }] }

    func look() async throws {
        let due = try await storage.read { [store, world] in
            try store.due(at: world.now, limit: Self.roundMax, in: $0)
        }
        for id in due { try await look(at: id) }
    }

    private func look(at id: Identifier<Incident>) async throws {
        let found = try await storage.read { [incidents] transaction -> (Incident, [IncidentAlert])? in
            guard let incident = try incidents.incident(id, in: transaction) else { return nil }
            return (incident, try incidents.links.alerts(of: id, limit: Self.alertsMax, in: transaction))
        }
        guard let (incident, alerts) = found, let quietSince = incident.quietSince else { return }
        var pending: [String] = []
        do {
            let queries = try await Deadline.run(within: Self.timeout, world) { try await self.queries() }
            for alert in alerts { pending += try await pendings(of: alert, incident, queries[alert.name] ?? []) }
        } catch let problem as Problem {
            pending.append("its rules could not be looked at: \(problem.detail)")
        } catch {
            // Whatever it was, it is told, and the others are looked at meanwhile.
            pending.append("its rules could not be looked at: \(error)")
        }
        var seen: Set<String> = []
        let proof = IncidentProof(
            incidentID: id.text, quietSince: quietSince,
            pending: Array(pending.filter { seen.insert($0).inserted }.prefix(IncidentProof.pendingMax)),
            dueAt: world.now + (incident.drill == nil ? Self.every : Self.interval))
        try await storage.write { [store] in try store.put(proof, in: $0) }
    }

    /// The expressions of all alerting rules, by name.
    private func queries() async throws -> [String: [String]] {
        let answer = try await reader.get(PagePath.query("\(QueryRoutes.root)/api/v1/rules", [("type", "alert")]))
        var queries: [String: [String]] = [:]
        for rule in (answer["data"]?["groups"]?.array ?? []).flatMap({ $0["rules"]?.array ?? [] }) {
            guard let name = rule["name"]?.string, let query = rule["query"]?.string else { continue }
            queries[name, default: []].append(query)
        }
        return queries
    }

    private func pendings(
        of alert: IncidentAlert, _ incident: Incident, _ queries: [String]
    ) async throws -> [String] {
        var pending: [String] = []
        let clear = incident.drill == nil ? Self.clear : Self.clearInDrill
        for query in queries {
            let series = try await ask("present_over_time((\(query))[\(clear.length):\(clear.step)])")
            if series.contains(where: { Self.isOf(alert, $0) }) {
                pending.append("\(alert.name) has not been clear for \(clear.length)")
            }
        }
        // What others tell of, they look after themselves.
        guard !queries.isEmpty, let traffic = Self.traffic(of: alert) else { return pending }
        // What has nothing to do for hours shows nothing, and may be well.
        guard let quietSince = incident.quietSince, world.now - quietSince < Self.trafficAwaited else { return pending }
        let ago = max(0, Int64((world.now - incident.begin).seconds))
        let before = try await value(traffic.selector(at: "offset \(ago)s"))
        if before > 0, try await value(traffic.selector(at: "")) <= 0 {
            pending.append("nothing was seen of \(traffic.subject) in the last \(Self.trafficWithin)")
        }
        return pending
    }

    /// Whether a series of an alert's expression is that alert's own.
    private static func isOf(_ alert: IncidentAlert, _ series: JSONValue) -> Bool {
        (series["metric"]?.object?.members ?? []).allSatisfy { member in
            member.name == "__name__" || alert.labels[member.name] == member.value.string
        }
    }

    private func ask(_ query: String) async throws -> [JSONValue] {
        let path = PagePath.query("\(QueryRoutes.root)/api/v1/query", [("query", query)])
        let answer = try await Deadline.run(within: Self.timeout, world) { [reader] in try await reader.get(path) }
        return answer["data"]?["result"]?.array ?? []
    }

    private func value(_ query: String) async throws -> Double {
        try await ask(query).first?["value"]?.array?.last?.string.flatMap(Double.init) ?? 0
    }

    // MARK: Traffic

    /// What moves while something works.
    struct Traffic: Equatable {
        let subject: String
        let series: String

        func selector(at time: String) -> String {
            "sum(increase(\(series)[\(IncidentProofLoop.trafficWithin)] \(time)))"
        }
    }

    /// What goes on where an alert's subject works: an agent's calls and tasks, a model's calls, the exchanges with a
    /// provider. `nil` where nothing is known that would.
    static func traffic(of alert: IncidentAlert) -> Traffic? {
        func quoted(_ text: String) -> String {
            text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
        }
        let names =
            "reeve_model_calls_total|agent_tool_calls_total|agent_tasks_finished_total|agent_tokens_consumed_total"
        let (agent, model, provider) = (alert.labels["agent"], alert.labels["model"], alert.labels["provider"])
        if !agent.isEmpty {
            return Traffic(subject: "agent:\(agent)", series: #"{__name__=~"\#(names)",agent="\#(quoted(agent))"}"#)
        }
        if !model.isEmpty {
            return Traffic(subject: "model:\(model)", series: #"reeve_model_calls_total{model="\#(quoted(model))"}"#)
        }
        // The name is a regular expression's here: what it means by a dot or a brace is of no weight.
        let isPlain = provider.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" || $0 == "." }
        guard !provider.isEmpty, isPlain else { return nil }
        return Traffic(
            subject: "provider:\(provider)",
            series: #"reeve_model_attempts_total{target=~"\#(provider.replacing(".", with: "[.]"))/.*"}"#)
    }
}
