import Kernel

/// Who stopped something, when and why; kept until it goes on.
public struct Pause: Sendable, Equatable {
    public let at: Timestamp
    public let reason: String
    public let actor: String
}

extension Pause: JSONConvertible {
    public var json: JSONValue { ["at": at.json, "reason": .string(reason), "actor": .string(actor)] }
}

/// A line that agents take tasks from. Made by the first task that names it.
public struct Queue: Sendable, Equatable {
    public let name: String
    public var pause: Pause?
    /// How many of its tasks may be leased at one time; `nil` is no limit.
    public var concurrency: Int64?
    /// What tasks ask for that are made in it and do not say: a model's name, or a tier's as `tier:cheap`.
    public var model: String?
    public let createdAt: Timestamp

    /// The newest thing that changed, for `If-Match`.
    public var revision: Int64
}

/// What tasks are done for. Projects share a queue by their weights.
public struct Project: Sendable, Equatable {
    public let name: String
    public var pause: Pause?
    /// Its share of a queue against other projects with ready tasks: 0.001 to 1000, 1 by default.
    public var weight: Double
    public let createdAt: Timestamp

    public static let weights = 0.001...1_000.0
}

/// What the Tasks feature tells of a queue.
public protocol QueueWorkload: Sendable {
    /// How each queue stands now.
    func depths(in transaction: Transaction) throws -> [String: QueueDepth]
    /// Tasks done in each minute since a time: `[queue: [minute since the epoch: count]]`.
    func throughput(since time: Timestamp, in transaction: Transaction) throws -> [String: [Int64: Int64]]
}
