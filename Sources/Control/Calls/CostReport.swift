import Kernel

/// What costs need of tasks: what came of the money.
public protocol AcceptedWork: Sendable {
    /// Deliverables that were accepted with tasks done in a time, by the agent that made them, the task's project, the
    /// day (`2026-11-20`) or the task.
    ///
    /// - Parameter tasks: where it is by task, those that are asked for.
    func acceptedDeliverables(
        by unit: AcceptedUnit, from: Timestamp, until: Timestamp, agent: String?, project: String?, tasks: [String],
        in transaction: Transaction
    ) throws -> [String: Int64]
}

/// What accepted deliverables are counted by.
public enum AcceptedUnit: String, Sendable {
    case agent, project, day, task
}

/// What was spent, by whom or for what.
public struct CostReport: Sendable {
    public struct Row: Sendable {
        /// The agent, project, task, model, tag or day; `nil` for calls that have none.
        public let name: String?
        public let sums: CostSums
        /// Deliverables accepted; `nil` where tasks cannot tell.
        public let accepted: Int64?
    }

    public let dimension: CostDimension
    public let filter: CostFilter
    /// Over all calls that the filter lets through, each once: also those without a task or tag.
    public let total: Row
    public let rows: [Row]
    public let next: String?
}

extension CostReport.Row: JSONConvertible {
    /// What one accepted deliverable cost, with everything that was spent besides, rounded up to a nano-dollar.
    var nanoUSDPerAccepted: Int64? {
        guard let accepted, accepted > 0 else { return nil }
        return (sums[.nanoUSD] + accepted - 1) / accepted
    }

    public var json: JSONValue {
        [
            "name": .of(name), "calls": .int(sums[.calls]), "done": .int(sums[.done]),
            "failed": .int(sums[.failed]), "canceled": .int(sums[.canceled]), "refused": .int(sums[.refused]),
            "tokens": [
                "input": .int(sums[.input]), "cacheRead": .int(sums[.cacheRead]),
                "cacheWrite": .int(sums[.cacheWrite]), "output": .int(sums[.output]),
                "reasoning": .int(sums[.reasoning]), "total": .int(sums.tokens),
            ],
            "nanoUSD": .int(sums[.nanoUSD]), "unpricedCalls": .int(sums[.unpriced]),
            "estimatedCalls": .int(sums[.estimated]),
            "lost": [
                "retriesNanoUSD": .int(sums[.retryNanoUSD]), "abortedNanoUSD": .int(sums[.abortedNanoUSD]),
            ],
            "savedNanoUSD": .int(sums[.savedNanoUSD]), "acceptedDeliverables": .of(accepted),
            "nanoUSDPerAccepted": .of(nanoUSDPerAccepted),
        ]
    }
}

extension CostReport: JSONConvertible {
    public var json: JSONValue {
        [
            "by": .string(dimension.rawValue), "since": .string(filter.since.text), "until": .string(filter.until.text),
            "total": total.json, "items": .list(rows), "next": .of(next),
        ]
    }
}

/// What costs are asked for.
public struct CostQuery: Sendable {
    public var dimension: CostDimension
    public var filter: CostFilter
    public var limit: Int
    public var after: String?

    public init(_ dimension: CostDimension, _ filter: CostFilter, limit: Int, after: String? = nil) {
        self.dimension = dimension
        self.filter = filter
        self.limit = limit
        self.after = after
    }
}

/// Answers what was spent, from the sums alone: no question walks over calls.
public struct CostService: Sendable {
    /// Rows of one export.
    public static let exportRowsMax = 50_000
    /// Days that are shown where nothing is asked for, today among them.
    public static let daysDefault: Int64 = 30

    private let store = CostStore()
    private let work: any AcceptedWork
    private let world: World

    public init(work: any AcceptedWork, world: World) {
        self.work = work
        self.world = world
    }

    public var today: CostDay { CostDay(world.now) }

    public func report(_ query: CostQuery, in transaction: Transaction) throws -> CostReport {
        let filter = query.filter
        if filter.model != nil, query.dimension.kind != .model {
            throw Problem.invalid(
                "model", "sums by \(query.dimension.rawValue) do not tell models apart",
                hint: "Leave `model` out, or ask by agent, project, model or day.")
        }
        var cursor: CostCursor?
        if let after = query.after {
            cursor = CostCursor(after)
            guard let cursor, query.dimension != .day || CostDay(cursor.name) != nil else {
                throw Problem.invalid("after", "it is no cursor of this list", hint: "Use the `next` of a page.")
            }
        }
        let found = try store.sums(
            by: query.dimension, filter, after: cursor, limit: query.limit + 1, in: transaction)
        let page = found.prefix(query.limit)
        let accepted = try self.accepted(query, names: page.map(\.name), in: transaction)
        let rows = page.map { name, sums in
            CostReport.Row(
                name: name.isEmpty ? nil : name, sums: sums, accepted: accepted.map { $0.byName[name] ?? 0 })
        }
        let next = found.count > query.limit ? page.last : nil
        return CostReport(
            dimension: query.dimension, filter: filter,
            total: CostReport.Row(
                name: nil, sums: try store.total(.model, filter, in: transaction), accepted: accepted?.total),
            rows: rows, next: next.map { CostCursor(nanoUSD: $0.sums[.nanoUSD], name: $0.name).text })
    }

    /// All calls of a filter in one, without looking at what came of them.
    public func total(_ filter: CostFilter, in transaction: Transaction) throws -> CostSums {
        try store.total(.model, filter, in: transaction)
    }

    /// The cost of each day in a filter, of these names.
    func perDay(
        by dimension: CostDimension, names: [String], _ filter: CostFilter, in transaction: Transaction
    ) throws -> [CostDay: [String: Int64]] {
        try store.perDay(by: dimension, names: names, filter, in: transaction)
    }

    /// What one task has cost so far, over all days.
    public func task(_ id: String, in transaction: Transaction) throws -> CostSums {
        try named(.task, id, in: transaction)
    }

    public func tag(_ tag: String, in transaction: Transaction) throws -> CostSums {
        try named(.tag, tag, in: transaction)
    }

    private func named(_ kind: CostKey.Kind, _ name: String, in transaction: Transaction) throws -> CostSums {
        var filter = CostFilter(since: CostDay(number: 0), until: CostDay(number: .max))
        filter.name = name
        return try store.total(kind, filter, in: transaction)
    }

    /// `nil` where what is asked for does not tell which deliverables it paid for.
    private func accepted(
        _ query: CostQuery, names: [String], in transaction: Transaction
    ) throws -> (byName: [String: Int64], total: Int64)? {
        guard query.filter.model == nil else { return nil }
        let unit: AcceptedUnit
        switch query.dimension {
        case .agent: unit = .agent
        case .project: unit = .project
        case .day: unit = .day
        case .task: unit = .task
        case .model, .tag: return nil
        }
        let filter = query.filter
        func ask(_ unit: AcceptedUnit) throws -> [String: Int64] {
            try work.acceptedDeliverables(
                by: unit, from: filter.since.start, until: filter.until.next.start, agent: filter.agent,
                project: filter.project, tasks: names, in: transaction)
        }
        let byName = try ask(unit)
        return (byName, try (unit == .task ? ask(.project) : byName).values.reduce(0, +))
    }
}
