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
    /// For how long an expression must have been clear, and in which steps; a drill's rules are as tight as its times.
    static let clear = (length: "2m", step: "15s")
    static let clearInDrill = (length: "3s", step: "1s")
    static let timeout = Span.seconds(10)
    /// So long after the end of its alerts an incident waits for what went on before it.
    static let trafficAwaited = Span.hours(6)

    let incidents: IncidentService
    let reader: any RunbookReading
    /// The expressions of all alerting rules, by the alert's name.
    let rules: @Sendable () async -> [String: [String]]
    let storage: any Storage
    let world: World
    private let store = IncidentProofStore()

    public init(
        incidents: IncidentService, reader: any RunbookReading,
        rules: @escaping @Sendable () async -> [String: [String]],
        storage: any Storage, world: World
    ) {
        (self.incidents, self.reader, self.rules) = (incidents, reader, rules)
        (self.storage, self.world) = (storage, world)
    }

    public var loops: [Loop] { [Loop("incidents.proof", every: Self.interval) { try await look() }] }

    func look() async throws {
        let due = try await storage.read { [store, world] in
            try store.due(at: world.now, limit: Self.roundMax, in: $0)
        }
        guard !due.isEmpty else { return }
        var round = ProofRound(expressions: await rules(), reader: reader, timeout: Self.timeout, world: world)
        for id in due { try await look(at: id, &round) }
    }

    private func look(at id: Identifier<Incident>, _ round: inout ProofRound) async throws {
        let found = try await storage.read { [incidents] transaction -> (Incident, [IncidentAlert])? in
            guard let incident = try incidents.incident(id, in: transaction) else { return nil }
            return (incident, try incidents.links.alerts(of: id, limit: Incident.alertsMax, in: transaction))
        }
        guard let (incident, alerts) = found, let quietSince = incident.quietSince else { return }
        var pending: [String] = []
        do {
            pending += try await unclear(alerts, incident, &round)
            pending += try await silent(alerts, incident, &round)
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

    /// Alerts whose expressions were not clear of late.
    private func unclear(
        _ alerts: [IncidentAlert], _ incident: Incident, _ round: inout ProofRound
    ) async throws -> [String] {
        let clear = incident.drill == nil ? Self.clear : Self.clearInDrill
        var pending: [String] = []
        for (name, alerts) in Dictionary(grouping: alerts, by: \.name).sorted(by: { $0.key < $1.key }) {
            for query in round.expressions[name] ?? [] {
                let series = try await round.ask("present_over_time((\(query))[\(clear.length):\(clear.step)])")
                if series.contains(where: { one in alerts.contains { Self.isOf($0, one) } }) {
                    pending.append("\(name) has not been clear for \(clear.length)")
                }
            }
        }
        return pending
    }

    /// Whether a series of an alert's expression is that alert's own.
    private static func isOf(_ alert: IncidentAlert, _ series: JSONValue) -> Bool {
        (series["metric"]?.object?.members ?? []).allSatisfy { member in
            member.name == "__name__" || alert.labels[member.name] == member.value.string
        }
    }

    /// What went on before the incident and does not now.
    private func silent(
        _ alerts: [IncidentAlert], _ incident: Incident, _ round: inout ProofRound
    ) async throws -> [String] {
        // What has nothing to do for hours shows nothing, and may be well.
        guard let quietSince = incident.quietSince, world.now - quietSince < Self.trafficAwaited else { return [] }
        let ago = max(0, Int64((world.now - incident.begin).seconds))
        // What others tell of, they look after themselves.
        let told = alerts.filter { round.expressions[$0.name] != nil }
        var pending: [String] = []
        for kind in AlertTraffic.allCases {
            var seen: Set<String> = []
            let names = told.filter { AlertTraffic(of: $0) == kind }.map { $0.labels[kind.rawValue] }
                .filter { seen.insert($0).inserted }
            for chunk in AlertTraffic.parts(names) {
                let before = try await round.moved(kind, chunk, at: "offset \(ago)s")
                guard !before.isEmpty else { continue }
                let now = try await round.moved(kind, chunk, at: "")
                pending += chunk.filter { before.contains($0) && !now.contains($0) }.map {
                    "nothing was seen of \(kind.rawValue):\($0) in the last \(AlertTraffic.within)"
                }
            }
        }
        return pending
    }
}

/// What one round asks: each question once, whichever incidents want to know.
private struct ProofRound {
    let expressions: [String: [String]]
    let reader: any RunbookReading
    let timeout: Span
    let world: World
    private var answers: [String: [JSONValue]] = [:]

    init(expressions: [String: [String]], reader: any RunbookReading, timeout: Span, world: World) {
        (self.expressions, self.reader, self.timeout, self.world) = (expressions, reader, timeout, world)
    }

    mutating func ask(_ query: String) async throws -> [JSONValue] {
        if let known = answers[query] { return known }
        let path = PagePath.query("\(QueryRoutes.root)/api/v1/query", [("query", query)])
        let answer = try await Deadline.run(within: timeout, world) { [reader] in try await reader.get(path) }
        let series = answer["data"]?["result"]?.array ?? []
        answers[query] = series
        return series
    }

    /// Which of these moved.
    mutating func moved(_ kind: AlertTraffic, _ names: [String], at time: String) async throws -> Set<String> {
        let series = try await ask(kind.query(names, at: time))
        return Set(
            series.compactMap { one in
                let value = one["value"]?.array?.last?.string.flatMap(Double.init) ?? 0
                return value > 0 ? one["metric"]?[kind.rawValue]?.string : nil
            })
    }
}

/// What goes on where an alert's subject works: an agent's calls and tasks, a model's calls, the exchanges with a
/// provider. The first kind that an alert names counts.
enum AlertTraffic: String, CaseIterable {
    case agent, model, provider

    /// What goes on is looked for within this time, and within the same time before the incident.
    static let within = "5m"
    /// Bytes of names in one question, as patterns: regular expressions have a limit of their own.
    static let patternBytesMax = 3_500

    /// Names that are asked for together.
    static func parts(_ names: [String]) -> [[String]] {
        var parts: [[String]] = []
        var left = 0
        for name in names {
            let bytes = escaped(name).utf8.count + 1
            if bytes > left || parts.isEmpty {
                parts.append([])
                left = patternBytesMax
            }
            parts[parts.count - 1].append(name)
            left -= bytes
        }
        return parts
    }

    /// `nil` where nothing is known that would go on.
    init?(of alert: IncidentAlert) {
        guard let kind = Self.allCases.first(where: { !alert.labels[$0.rawValue].isEmpty }) else { return nil }
        self = kind
    }

    /// How much went on, by name.
    ///
    /// - Parameter time: `offset 60s`, or nothing for now.
    func query(_ names: [String], at time: String) -> String {
        let pattern = names.map(Self.escaped).joined(separator: "|")
        // Further signs stand around it, within the same quotes.
        let any = QueryText.quoted(pattern).dropFirst().dropLast()
        let range = "[\(Self.within)] \(time)"
        return switch self {
        case .agent:
            #"sum by (agent) (increase({__name__=~"reeve_model_calls_total|agent_tool_calls_total|"#
                + #"agent_tasks_finished_total|agent_tokens_consumed_total",agent=~"\#(any)"}\#(range)))"#
        case .model: #"sum by (model) (increase(reeve_model_calls_total{model=~"\#(any)"}\#(range)))"#
        case .provider:
            #"sum by (provider) (label_replace(increase(reeve_model_attempts_total{target=~"(\#(any))/.*"}\#(range)), "#
                + #""provider", "$1", "target", "([^/]+)/.*"))"#
        }
    }

    /// A name as a regular expression that is nothing but it.
    private static func escaped(_ name: String) -> String {
        name.reduce(into: "") { text, character in
            if #"\.+*?()|[]{}^$"#.contains(character) { text.append("\\") }
            text.append(character)
        }
    }
}
