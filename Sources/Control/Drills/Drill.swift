import Kernel
import Telemetry

/// A fault that is brought about on purpose, with agents of its own, to see whether it is found and contained.
public struct Drill: Sendable, Identified {
    public static let idPrefix = "drill"
    /// The names of their alerts.
    static let alerts = Set(Kind.allCases.map(\.alert))
    /// A drill that nobody ends is over after this.
    static let span = Span.seconds(40)
    /// What one drill may spend.
    public static let dollarsMax: Int64 = 20
    /// Drills that are cleared up after in one go.
    static let listMax = 100
    /// Containments that one drill lets act by itself: its own allowance, beside the fleet's `limits.perHour`.
    static let actsMax = 10
    /// Tasks that one of them reaches.
    static let tasksMax = 200
    /// What is left of a drill is looked at each second for so long, and less often from then on.
    static let clearsAtOnceFor = Span.minutes(1)
    static let clearsLaterEvery = Span.seconds(30)

    public let id: Identifier<Drill>
    public let kind: Kind
    public let startedAt: Timestamp
    public let startedBy: String
    public var endedAt: Timestamp?

    public var expiresAt: Timestamp { startedAt + Self.span }

    /// What the names of its agents and queues begin with: nobody else's do.
    public var prefix: String { "\(project)-" }
    /// The project of its agents and tasks.
    public var project: String { "\(DrillNames.prefix)\(id.text.suffix(8))" }

    /// What is brought about.
    public enum Kind: String, Sendable, CaseIterable {
        case modelOutage = "model-outage"
        case hungAgent = "hung-agent"
        case loopingAgent = "looping-agent"
        case badDeliverable = "bad-deliverable"
        case costSpike = "cost-spike"
        case queueBackup = "queue-backup"
        case toolTimeout = "tool-timeout"
    }
}

extension Drill.Kind {
    /// Within how many seconds each step is to be reached.
    struct Bounds: Sendable {
        let detect: Int64
        let contain: Int64
        let recover: Int64
    }

    var bounds: Bounds {
        switch self {
        case .hungAgent: Bounds(detect: 12, contain: 16, recover: 30)
        default: Bounds(detect: 10, contain: 14, recover: 30)
        }
    }

    /// The alert that finds it.
    var alert: String {
        switch self {
        case .modelOutage: "DrillModelOutage"
        case .hungAgent: "DrillHungAgent"
        case .loopingAgent: "DrillLoopingAgent"
        case .badDeliverable: "DrillBadDeliverable"
        case .costSpike: "DrillCostSpike"
        case .queueBackup: "DrillQueueBackup"
        case .toolTimeout: "DrillToolTimeout"
        }
    }

    /// The alert that finds the same in a fleet: what its runbook would do there is done here.
    var counterpart: String {
        switch self {
        case .modelOutage: "ProviderOutage"
        case .hungAgent: "AgentDown"
        case .loopingAgent: "ToolStorm"
        case .badDeliverable: "DeliverablesRejected"
        case .costSpike: "CostSpike"
        case .queueBackup: "QueueBackup"
        case .toolTimeout: "ToolTimeouts"
        }
    }

    /// The alert whose runbook counts.
    static func runbookAlert(of alert: Alert) -> String {
        guard alert.drill != nil else { return alert.name }
        return allCases.first { $0.alert == alert.name }?.counterpart ?? alert.name
    }

    /// How fleets fail so; `nil` for what has no containment of its own.
    var mode: FailureMode? {
        switch self {
        case .modelOutage: .llmOutage
        case .loopingAgent: .infiniteLoop
        case .badDeliverable: .cascadingFailure
        case .costSpike: .budgetRunaway
        case .hungAgent, .queueBackup, .toolTimeout: nil
        }
    }

    /// The condition, tightened to seconds, of series whose names begin so.
    ///
    /// - Parameter model: The model of drills.
    func condition(prefix: String, model: String) -> String {
        switch self {
        case .modelOutage:
            // Its calls reach one replica: another one's breaker, or what is left of one that is gone, is closed.
            #"max by (provider, model) (label_replace(reeve_model_breaker_state{model="\#(model)"}, "#
                + #""provider", "$1", "target", "([^/]+)/.*")) == 2"#
        case .hungAgent:
            "time() - max by (agent_type, agent) "
                + #"(agent_last_heartbeat_timestamp_seconds{agent=~"\#(prefix).*"}) > 4"#
        case .loopingAgent:
            #"sum by (agent, tool) (increase(agent_tool_repeat_calls_total{agent=~"\#(prefix).*"}[10s])) > 3"#
        case .badDeliverable:
            #"sum by (agent) (agent_reviews_total{agent=~"\#(prefix).*",verdict="reject"} "#
                + #"unless agent_reviews_total{agent=~"\#(prefix).*",verdict="reject"} offset 10s) > 0"#
        case .costSpike:
            #"sum by (agent) (increase(agent_cost_usd_total{agent=~"\#(prefix).*"}[10s])) > 0.5"#
        case .queueBackup:
            #"max by (queue) (agent_queue_depth{queue=~"\#(prefix).*",state="unassigned"}) > 10"#
        case .toolTimeout:
            #"sum by (agent, tool) (increase(agent_tool_calls_total{agent=~"\#(prefix).*",status="timeout"}[10s])) > 2"#
        }
    }

    var summary: String {
        switch self {
        case .modelOutage: "The model of drills is out"
        case .hungAgent: "{{ $labels.agent }} is silent"
        case .loopingAgent: "{{ $labels.agent }} calls {{ $labels.tool }} again and again"
        case .badDeliverable: "What {{ $labels.agent }} delivered was rejected"
        case .costSpike: "{{ $labels.agent }} spends {{ $value | humanize }} dollars in ten seconds"
        case .queueBackup: "{{ $value }} tasks of {{ $labels.queue }} wait"
        case .toolTimeout: "{{ $labels.tool }} does not answer {{ $labels.agent }}"
        }
    }
}

extension Drill {
    /// Its rule, as a file of Prometheus' has it.
    ///
    /// - Parameter model: The model of drills.
    func rules(model: String) -> JSONValue {
        var labels = JSONObject()
        labels["severity"] = "critical"
        labels[DrillNames.label] = id.json
        if let mode = kind.mode { labels["failure_mode"] = .string(mode.rawValue) }
        let rule: JSONValue = [
            "alert": .string(kind.alert), "expr": .string(kind.condition(prefix: prefix, model: model)),
            "labels": .object(labels),
            "annotations": [
                "summary": .string("Drill: \(kind.summary)"),
                "description": "This is a drill: it was brought about on purpose, with agents of its own.",
            ],
        ]
        return ["groups": [["name": .string(id.text), "interval": "1s", "rules": [rule]]]]
    }
}

extension Drill: JSONConvertible {
    public var json: JSONValue {
        let bounds = kind.bounds
        return [
            "id": id.json, "drill": .string(kind.rawValue), "alert": .string(kind.alert), "project": .string(project),
            "prefix": .string(prefix), "startedAt": startedAt.json, "startedBy": .string(startedBy),
            "expiresAt": expiresAt.json, "endedAt": .of(endedAt), "agentType": .string(DrillNames.agentType),
            "model": .string(DrillNames.model), "provider": .string(DrillNames.model), "tool": .string(DrillNames.tool),
            "words": ["fails": .string(DrillNames.fails), "burns": .string(DrillNames.burns)],
            "label": .string(DrillNames.label), "policy": .string(policy.actor),
            "bounds": [
                "detectSeconds": .int(bounds.detect), "containSeconds": .int(bounds.contain),
                "recoverSeconds": .int(bounds.recover),
            ],
        ]
    }
}
