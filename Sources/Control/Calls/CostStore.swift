import Kernel

/// What costs are asked by.
public enum CostDimension: String, Sendable, CaseIterable {
    case agent, project, task, model, tag, day

    var kind: CostKey.Kind {
        switch self {
        case .task: .task
        case .tag: .tag
        case .agent, .project, .model, .day: .model
        }
    }
}

/// Which sums are asked for. Days are whole UTC days, both included.
public struct CostFilter: Sendable {
    public var since: CostDay
    public var until: CostDay
    public var agent: String?
    public var project: String?
    /// Only by agent, project, model or day: sums by task and tag do not tell models apart.
    public var model: String?
    /// Only this task or tag, where sums are by task or tag.
    public var name: String?

    public init(since: CostDay, until: CostDay) {
        self.since = since
        self.until = until
    }
}

/// The only SQL on the sums over calls.
public struct CostStore: Sendable {
    public init() {}

    // MARK: Adding

    /// Adds to the sums; what is taken away (after pricing anew) is added with its sign.
    func add(_ tally: CostTally, in transaction: Transaction) throws {
        for (key, sums) in tally.sums where !sums.isZero {
            let values = SQLText.columns(CostField.allCases.map { ($0.column, .integer(sums[$0])) })
            try transaction.run(
                """
                INSERT INTO cost_sums (kind, day, agent, project, name, \(sql: Self.names))
                VALUES (\(key.kind.rawValue), \(key.day.number), \(key.agent), \(key.project), \(key.name),
                  \(sql: values))
                ON CONFLICT (kind, day, agent, project, name) DO UPDATE SET \(sql: Self.additions)
                """)
        }
    }

    private static let names = SQLText(stringLiteral: CostField.allCases.map(\.column).joined(separator: ", "))

    /// Saturates: a sum that no engine can hold would undo the transaction that books the money.
    private static let additions = SQLText(
        stringLiteral: CostField.allCases.map(\.column).map { name in
            """
            \(name) = CASE WHEN cost_sums.\(name) > \(CostSums.valueMax) THEN cost_sums.\(name) \
            ELSE cost_sums.\(name) + excluded.\(name) END
            """
        }.joined(separator: ", "))

    // MARK: Asking

    /// All of it in one row.
    func total(_ kind: CostKey.Kind, _ filter: CostFilter, in transaction: Transaction) throws -> CostSums {
        try transaction.first("SELECT \(sql: Self.totals) FROM cost_sums" + Self.clause(kind, filter))
            .map(CostSums.init(row:)) ?? CostSums()
    }

    /// By name, the most expensive first; by day, the earliest first. Names are empty where calls have none.
    func sums(
        by dimension: CostDimension, _ filter: CostFilter, after: CostCursor?, limit: Int, in transaction: Transaction
    ) throws -> [(name: String, sums: CostSums)] {
        let column = Self.column(dimension)
        let groups: SQLText =
            "SELECT \(sql: column) AS item, \(sql: Self.totals) FROM cost_sums"
            + Self.clause(dimension.kind, filter) + "GROUP BY \(sql: column)"
        var sql: SQLText = "SELECT * FROM (\(sql: groups)) AS sums"
        if dimension == .day {
            if let day = after?.name { sql += "WHERE item > \(CostDay(day)?.number)" }
            sql += "ORDER BY item"
        } else {
            if let after {
                sql += "WHERE nano_usd < \(after.nanoUSD) OR (nano_usd = \(after.nanoUSD) AND item > \(after.name))"
            }
            sql += "ORDER BY nano_usd DESC, item"
        }
        return try transaction.rows(sql + "LIMIT \(limit)").map { row in
            let name = dimension == .day ? CostDay(number: row.int("item")).text : row.text("item")
            return (name, CostSums(row: row))
        }
    }

    /// The cost of each day and name, of these names.
    func perDay(
        by dimension: CostDimension, names: [String], _ filter: CostFilter, in transaction: Transaction
    ) throws -> [CostDay: [String: Int64]] {
        guard !names.isEmpty, dimension != .day else { return [:] }
        let column = Self.column(dimension)
        let rows = try transaction.rows(
            "SELECT day, \(sql: column) AS item, CAST(SUM(nano_usd) AS BIGINT) AS nano_usd FROM cost_sums"
                + Self.clause(dimension.kind, filter)
                + "AND \(sql: column) IN \(list: names) GROUP BY day, \(sql: column)")
        var days: [CostDay: [String: Int64]] = [:]
        for row in rows { days[CostDay(number: row.int("day")), default: [:]][row.text("item")] = row.int("nano_usd") }
        return days
    }

    private static let totals = SQLText(
        stringLiteral: CostField.allCases.map(\.column)
            .map { "CAST(COALESCE(SUM(\($0)), 0) AS BIGINT) AS \($0)" }.joined(separator: ", "))

    private static func column(_ dimension: CostDimension) -> SQLText {
        switch dimension {
        case .agent: "agent"
        case .project: "project"
        case .day: "day"
        case .task, .model, .tag: "name"
        }
    }

    private static func clause(_ kind: CostKey.Kind, _ filter: CostFilter) -> SQLText {
        var sql: SQLText =
            "WHERE kind = \(kind.rawValue) AND day >= \(filter.since.number) AND day <= \(filter.until.number)"
        if let agent = filter.agent { sql += "AND agent = \(agent)" }
        if let project = filter.project { sql += "AND project = \(project)" }
        if let model = filter.model { sql += "AND name = \(model)" }
        if let name = filter.name, kind != .model { sql += "AND kind <> 'model' AND name = \(name)" }
        return sql
    }
}

/// Where a page of sums ended: at this cost, with this name.
struct CostCursor: Sendable, Equatable {
    let nanoUSD: Int64
    let name: String

    init(nanoUSD: Int64, name: String) {
        self.nanoUSD = nanoUSD
        self.name = name
    }

    /// `1200000:writer`.
    init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":"), let cost = Int64(text[..<colon]) else { return nil }
        self.init(nanoUSD: cost, name: String(text[text.index(after: colon)...]))
    }

    var text: String { "\(nanoUSD):\(name)" }
}
