import Foundation
import Kernel
import Telemetry

/// What is to be looked at and done when an alert fires: written beside the alert, and carried out step by step.
public struct Runbook: Sendable {
    /// Bytes of one.
    public static let bytesMax = 64 << 10
    /// Steps of one kind.
    public static let stepsMax = 30
    /// Characters of a query, a path or a check.
    public static let textMax = 2_000

    /// A question that changes nothing.
    public struct Question: Sendable {
        public enum Kind: String, Sendable, CaseIterable {
            /// PromQL over Reeve's own series.
            case query
            /// Filters of the lists of the same name: `agent={{agent}}&status=failed`.
            case logs, traces, tasks
            /// A path that is read, such as `/api/v1/models`.
            case api

            /// The filters of a list: one that it does not know would show all of it. `nil` where it is no list.
            public var filters: Set<String>? {
                switch self {
                case .tasks:
                    [
                        "agent", "correlationId", "limit", "project", "q", "queue", "since", "status", "type", "until",
                    ]
                case .logs:
                    [
                        "agent", "category", "correlationId", "level", "limit", "logger", "order", "q", "service",
                        "session", "since", "tool", "traceId", "until",
                    ]
                case .traces:
                    ["agent", "correlationId", "label", "limit", "service", "session", "since", "status", "until"]
                case .query, .api: nil
                }
            }
        }

        public let title: String
        public let kind: Kind
        public let text: String
        /// What the answer must be like; `nil` where it is only looked at.
        public let expects: Expectation?
    }

    /// What an answer must be like.
    public enum Expectation: Sendable, Equatable {
        /// What an answer is to an expectation.
        public enum Outcome: Sendable { case holds, fails, unknown }

        case empty, present
        /// Every value compares so with the number, and there is one: no data is no proof.
        case compares(Comparison, Double)

        public enum Comparison: String, Sendable, CaseIterable {
            case atMost = "<="
            case atLeast = ">="
            case equal = "=="
            case below = "<"
            case above = ">"
        }
    }

    /// An action of ``ContainmentAction``, whose names may stand for what the incident is about.
    public struct Action: Sendable {
        public let action: ContainmentAction
        /// By parameter; `{{agents}}` stands for all agents of the incident. Empty where it acts on what the plan for
        /// the runbook's mode names.
        public let parameters: [ContainmentParameter: [String]]
        public let line: Int

        public var isPlanned: Bool { parameters.isEmpty }
    }

    public let name: String
    public let title: String
    public let alerts: [String]
    public let mode: FailureMode?
    public let summary: String
    public let diagnosis: [Question]
    public let actions: [Action]
    /// Looked at before each action: where one holds, the run stops.
    public let stops: [Question]
    public let verify: [Question]
    /// How long after the last action it is verified, and how long it may take until it holds.
    public let verifyAfter: Span
    public let verifyWithin: Span
    /// What people look at and tick.
    public let checks: [String]
    /// As it was written.
    public let source: String
    /// Where it came from; empty for those that Reeve ships.
    public var file = ""

    public var isShipped: Bool { file.isEmpty }
    public var stepCount: Int { diagnosis.count + actions.count + verify.count + checks.count }
}

extension Runbook: JSONConvertible {
    public var json: JSONValue {
        [
            "name": .string(name), "title": .string(title), "alerts": .list(alerts), "mode": .of(mode?.rawValue),
            "summary": .string(summary), "shipped": .bool(isShipped), "file": .string(file),
            "diagnosis": .array(diagnosis.map(\.json)),
            "actions": .array(actions.map(\.json)), "stops": .array(stops.map(\.json)),
            "verify": .array(verify.map(\.json)), "verifyAfterSeconds": .int(Int64(verifyAfter.seconds)),
            "verifyWithinSeconds": .int(Int64(verifyWithin.seconds)), "checks": .list(checks),
            "url": .string("/runbooks/\(PagePath.encoded(name))"),
        ]
    }
}

extension Runbook.Question {
    var json: JSONValue {
        [
            "title": .string(title), "kind": .string(kind.rawValue), "text": .string(text),
            "expect": .of(expects?.text),
        ]
    }
}

extension Runbook.Action {
    var json: JSONValue {
        var object = JSONObject()
        for parameter in ContainmentParameter.allCases {
            guard let names = parameters[parameter], let first = names.first else { continue }
            object.append(parameter.rawValue, parameter.isSingle ? .string(first) : .list(names))
        }
        return [
            "action": .string(action.rawValue), "title": .string(action.title), "parameters": .object(object),
            "reversible": .bool(action.isReversible), "planned": .bool(isPlanned),
        ]
    }
}

extension Runbook.Expectation {
    public var text: String {
        switch self {
        case .empty: "empty"
        case .present: "present"
        case .compares(let comparison, let number):
            "\(comparison.rawValue) \(number == number.rounded() ? String(Int64(number)) : String(number))"
        }
    }

    /// Reads `empty`, `present`, `< 0.05`; `nil` for anything else.
    public init?(_ text: String) {
        switch text {
        case "empty": self = .empty
        case "present": self = .present
        default:
            // The longer signs come first.
            guard let comparison = Comparison.allCases.first(where: { text.hasPrefix($0.rawValue) }),
                let number = Double(text.dropFirst(comparison.rawValue.count).drop { $0 == " " }),
                number.isFinite, abs(number) < 1e15
            else { return nil }
            self = .compares(comparison, number)
        }
    }

    /// What values say. What is no number was made of nothing, such as a share of no calls: it says nothing, and
    /// neither does no value where values are compared.
    public func outcome(of values: [Double]) -> Outcome {
        switch self {
        case .empty: return values.isEmpty ? .holds : .fails
        case .present: return values.isEmpty ? .fails : .holds
        case .compares(let comparison, let number):
            let known = values.filter { !$0.isNaN }
            guard known.allSatisfy({ comparison.holds($0, number) }) else { return .fails }
            return known.isEmpty || known.count < values.count ? .unknown : .holds
        }
    }
}

extension Runbook.Expectation.Comparison {
    fileprivate func holds(_ value: Double, _ number: Double) -> Bool {
        switch self {
        case .below: value < number
        case .atMost: value <= number
        case .above: value > number
        case .atLeast: value >= number
        case .equal: value == number
        }
    }
}
