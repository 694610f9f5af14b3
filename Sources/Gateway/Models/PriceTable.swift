import Kernel

/// The prices of a model over time, in dollars per million tokens. A price is looked up by the UTC day of the call.
struct PriceTable: Sendable, Equatable {
    /// By first day, the earliest first; the one without a day, which holds from ever, stands before all.
    let entries: [PriceEntry]

    init(_ entries: [PriceEntry]) {
        self.entries = entries.sorted { ($0.firstDay ?? .min) < ($1.firstDay ?? .min) }
    }

    /// The prices of a moment; `nil` before the first of them.
    func entry(at time: Timestamp) -> PriceEntry? {
        let day = time.utcDay
        return entries.last { $0.firstDay ?? .min <= day }
    }

    /// What a call cost: counts times prices in exact integers, rounded up once to a whole nano-dollar. `nil` where no
    /// price is known for the day or for a kind of token that was used; it is then unknown, not free.
    func cost(of buckets: TokenBuckets, at time: Timestamp) -> NanoDollars? { entry(at: time)?.cost(of: buckets) }

    /// From one table, or a list of tables with `from` in all but one.
    init(_ value: JSONValue, path: String) throws {
        let tables: [(path: String, value: JSONValue)]
        switch value {
        case .array(let items):
            guard (1...GatewayLimits.pricesPerModel).contains(items.count) else {
                throw Problem.invalid(path, "1 to \(GatewayLimits.pricesPerModel) tables are allowed")
            }
            tables = items.enumerated().map { ("\(path)/\($0.offset)", $0.element) }
        default: tables = [(path, value)]
        }
        var days: Set<Int64> = []
        var entries: [PriceEntry] = []
        for table in tables {
            guard let object = table.value.object else {
                throw Problem.invalid(table.path, "a table of prices is expected, not \(table.value.typeName)")
            }
            let entry = try PriceEntry(Fields(object, limits: Limits(), path: table.path))
            guard days.insert(entry.firstDay ?? .min).inserted else {
                throw Problem.invalid(
                    table.path, entry.from.map { "another table begins at \($0) too" } ?? "`from` is missing",
                    hint: "Of the tables of one model each begins at its own day, and one may be without.")
            }
            entries.append(entry)
        }
        self.init(entries)
    }
}
