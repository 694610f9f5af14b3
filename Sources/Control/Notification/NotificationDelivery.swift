import Kernel

/// One attempt to tell a receiver, and what became of it.
public struct NotificationDelivery: Sendable, Identified {
    public static let idPrefix = "delivery"
    /// How long attempts are kept, and how many.
    static let kept = Span.hours(7 * 24)
    static let keptMax: Int64 = 20_000
    /// Characters of an answer that are kept.
    static let answerMax = 300

    public let id: Identifier<NotificationDelivery>
    public let receiver: String
    public let kind: AlertReceiver.Kind
    public let groupKey: String
    /// ``AlertNotice/Reason``, or `test`.
    public let reason: String
    public let alerts: Int
    /// From 1.
    public let attempt: Int
    public let at: Timestamp
    public let milliseconds: Int64
    public let outcome: NotificationOutcome

    public var json: JSONValue {
        [
            "id": id.json, "receiver": .string(receiver), "kind": .string(kind.rawValue),
            "group": .string(groupKey), "reason": .string(reason), "alerts": .int(Int64(alerts)),
            "state": .string(outcome.state.rawValue), "status": .of(outcome.status), "attempt": .int(Int64(attempt)),
            "at": at.json, "milliseconds": .int(milliseconds), "answer": .string(outcome.answer),
        ]
    }
}

extension NotificationDelivery: JSONConvertible {}
