import Kernel
import Telemetry

/// One thing that happened to what a correlation id stands for.
public struct TimelineItem: Sendable, Equatable {
    /// In the order in which things of one moment are shown.
    public enum Kind: String, Sendable, CaseIterable {
        case task, event, span, call, log, deliverable, alert

        fileprivate var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    public let time: Timestamp
    public let kind: Kind
    public let id: String
    public let title: String
    public let agent: String?
    public let traceID: String?
    /// Orders things of one kind and moment.
    let order: String

    /// - Parameter order: The id, unless ids do not sort as texts.
    public init(
        _ kind: Kind, _ id: String, at time: Timestamp, _ title: String, agent: String? = nil, traceID: String? = nil,
        order: String? = nil
    ) {
        self.kind = kind
        self.id = id
        self.time = time
        self.title = title
        self.agent = agent
        self.traceID = traceID
        self.order = order ?? id
    }

    static func precedes(_ left: TimelineItem, _ right: TimelineItem) -> Bool {
        (left.time, left.kind.rank, left.order) < (right.time, right.kind.rank, right.order)
    }
}

extension TimelineItem: JSONConvertible {
    public var json: JSONValue {
        [
            "time": time.json, "kind": .string(kind.rawValue), "id": .string(id), "title": .string(title),
            "agent": .of(agent), "traceId": .of(traceID),
        ]
    }
}

/// Where a page ended.
struct TimelineCursor: Sendable, Equatable {
    let time: Timestamp
    let kind: TimelineItem.Kind
    let order: String

    init(_ item: TimelineItem) { (time, kind, order) = (item.time, item.kind, item.order) }

    init?(_ text: String) {
        let parts = text.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, let time = Int64(parts[0]), let kind = TimelineItem.Kind(rawValue: parts[1]) else {
            return nil
        }
        (self.time, self.kind, order) = (Timestamp(microseconds: time), kind, parts[2])
    }

    var text: String { "\(time.microseconds).\(kind.rawValue).\(order)" }
}

/// A part of a timeline that is asked for.
public struct TimelineQuestion: Sendable {
    public let correlationID: String
    /// The traces that are known to belong to it.
    public var traces: [TraceID] = []
    public let limit: Int
    let after: TimelineCursor?

    /// Where things of a kind go on: those of a later moment, and of this moment those that are ordered behind.
    public func start(of kind: TimelineItem.Kind) -> (time: Timestamp, order: String) {
        guard let after else { return (Timestamp(microseconds: .min), "") }
        if kind.rank > after.kind.rank { return (after.time, "") }
        if kind == after.kind { return (after.time, after.order) }
        return (Timestamp(microseconds: after.time.microseconds &+ 1), "")
    }

    /// What is behind the cursor, in its order, and no more than is wanted.
    public func part(_ items: [TimelineItem]) -> [TimelineItem] {
        let behind = items.filter { item in
            let start = start(of: item.kind)
            return item.time > start.time || (item.time == start.time && item.order > start.order)
        }
        return Array(behind.sorted(by: TimelineItem.precedes).prefix(limit))
    }
}

/// A feature whose things stand in a timeline.
public protocol TimelineSource: Sendable {
    /// The traces that its things belong to; those of all sources are known when ``items(_:)`` is asked.
    func traces(of correlationID: String) async throws -> [TraceID]
    /// What it has, the oldest first, ``TimelineQuestion/limit`` at most.
    func items(_ question: TimelineQuestion) async throws -> [TimelineItem]
}

extension TimelineSource {
    public func traces(of correlationID: String) async throws -> [TraceID] { [] }
}
