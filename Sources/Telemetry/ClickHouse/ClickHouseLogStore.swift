import Kernel

/// Log records in ClickHouse.
///
/// ClickHouse narrows down what can be meant; what is meant is said by ``LogPlan``, as with the archive, so that a
/// query finds the same in either.
struct ClickHouseLogStore: Sendable {
    /// Rows of the first page that is looked at, and of later ones, which grow where little is found.
    private static let pageFirst = 1_000
    private static let pageMax = 20_000
    private static let labelsRead = 10_000

    let connection: ClickHouseConnection

    static let insert = """
        INSERT INTO reeve_logs (day, category, \(ClickHouseSchema.columns(.logs))) FORMAT RowBinary
        """

    /// Adds a row; `number` is its place in its request.
    static func add(
        _ fields: LogRow.Fields, _ part: ClickHousePart, node: String, entry: Int64, number: Int,
        to rows: inout ColumnWriter
    ) {
        func append(_ field: Int) { rows.append(fields[field] ?? UnsafeRawBufferPointer(start: nil, count: 0)) }
        rows.append(day: part.day)
        rows.append(part.category.rawValue)
        rows.append(node)
        rows.append(int: entry)
        rows.append(word: number)
        rows.append(int: fields.time)
        append(LogRow.Field.level)
        append(LogRow.Field.service)
        append(LogRow.Field.logger)
        append(LogRow.Field.message)
        append(LogRow.Field.correlation)
        append(LogRow.Field.agent)
        append(LogRow.Field.session)
        rows.append(optional: fields.turn.map { UInt64(bitPattern: $0) })
        append(LogRow.Field.tool)
        rows.append(optional: fields.duration?.bitPattern)
        append(LogRow.Field.trace)
        append(LogRow.Field.span)
        append(LogRow.Field.attributes)
        let labels = fields[LogRow.Field.labels].map { LogLabels(text: String(decoding: $0, as: UTF8.self)) }
        rows.append(texts: labels?.pairs.map(\.name) ?? [])
        rows.append(texts: labels?.pairs.map(\.value) ?? [])
    }

    // MARK: Search

    /// Where a row stands among those of its moment.
    struct Place: Equatable {
        let time: Int64
        let node: String
        let entry: Int64
        let row: Int
    }

    struct Row {
        let place: Place
        let record: LogRecord
    }

    func find(_ query: LogQuery, longest: Duration) async throws -> LogFindings {
        var findings = LogFindings()
        var times = query.times
        if let after = query.after {
            times =
                query.isNewestFirst
                ? times.clamped(to: .min..<(after.time == .max ? .max : after.time + 1))
                : times.clamped(to: after.time..<Int64.max)
        }
        guard query.limit > 0, !times.isEmpty else { return findings }
        let skip = query.after?.skip ?? 0
        let limit = query.limit + skip + 1
        let end = ContinuousClock.now + longest
        var plan = LogPlan(query.conditions)
        let filter = LogFilter(query, times: times, plan: &plan)
        var found: [LogRecord] = []
        var (last, size) = (Place?.none, max(Self.pageFirst, limit))
        while found.count < limit {
            let left = end - ContinuousClock.now
            guard left > .zero, plan.stepsLeft >= 0 else {
                findings.isComplete = false
                break
            }
            let page: [Row]
            do {
                page = try await self.page(filter, behind: last, query.isNewestFirst, max: size, longest: left)
            } catch let fault as ClickHouseFault where fault.isLate {
                findings.isComplete = false
                break
            }
            found += try Self.meant(Self.once(page, behind: last), &plan, times: times, id: query.id)
            last = page.last?.place
            guard page.count == size else { break }
            size = min(Self.pageMax, size * 4)
        }
        if plan.stepsLeft < 0 { findings.isComplete = false }
        found.removeLast(max(0, found.count - limit))
        let shown = found.dropFirst(skip).prefix(query.limit)
        findings.records = Array(shown)
        if found.count == limit || !findings.isComplete, let last = shown.last?.time ?? query.after?.time {
            let same = shown.reversed().prefix { $0.time == last }.count
            let before = same == shown.count && query.after?.time == last ? skip : 0
            findings.next = LogCursor(time: last, skip: before + same)
        }
        return findings
    }

    /// Counts records, page by page.
    func tally(_ query: LogTallyQuery, longest: Duration) async throws -> LogTally {
        var tally = LogTally(query)
        var plan = LogPlan(query.conditions)
        var wanted = LogQuery()
        wanted.conditions = query.conditions
        let filter = LogFilter(wanted, times: query.times, plan: &plan)
        let end = ContinuousClock.now + longest
        var last: Place?
        while true {
            let left = end - ContinuousClock.now
            guard left > .zero, plan.stepsLeft >= 0 else { throw LogTally.Fault.time }
            let page: [Row]
            do {
                page = try await self.page(filter, behind: last, false, max: Self.pageMax, longest: left)
            } catch let fault as ClickHouseFault where fault.isLate { throw LogTally.Fault.time }
            let rows = Self.once(page, behind: last)
            for record in try Self.meant(rows, &plan, times: query.times, id: nil) {
                guard let place = tally.place(of: record.tallyRow.labels(query)) else { throw LogTally.Fault.series }
                tally.add(record.time, bytes: record.message.utf8.count, to: place)
            }
            last = page.last?.place
            guard page.count == Self.pageMax else { break }
        }
        guard plan.stepsLeft >= 0 else { throw LogTally.Fault.time }
        return tally
    }

    /// Without rows that came twice, which stand beside each other.
    private static func once(_ rows: [Row], behind last: Place?) -> [LogRecord] {
        var before = last
        return rows.compactMap { row in
            defer { before = row.place }
            return row.place == before ? nil : row.record
        }
    }

    /// Those that are as asked: looked at as a block of the archive is.
    private static func meant(
        _ records: [LogRecord], _ plan: inout LogPlan, times: Range<Int64>, id: String?
    ) throws -> [LogRecord] {
        var block = LogBlockBuilder()
        for record in records { try LogRow.encode(record).withUnsafeBytes { try block.add($0) } }
        guard let block = block.finish() else { return [] }
        let heads = try LogHeads(block.head)
        let rows = plan.rows(of: heads, times: times, id: id)
        guard !rows.isEmpty else { return [] }
        let bodies = try LogBodies(block.body, rows: heads.count)
        return plan.rows(rows, of: heads, bodies).map { records[$0] }
    }

    private func page(
        _ filter: LogFilter, behind last: Place?, _ isNewestFirst: Bool, max: Int, longest: Duration
    ) async throws -> [Row] {
        var conditions = filter.conditions
        if let last {
            let place: ClickHouseQuery =
                "(\(last.time), \(last.node), \(last.entry), toUInt32(\(count: last.row)))"
            // The first one says it again, so that ClickHouse sees which part of the table that is.
            conditions.append(isNewestFirst ? "time <= \(last.time)" : "time >= \(last.time)")
            conditions.append(
                isNewestFirst ? "(time, node, entry, row) < \(place)" : "(time, node, entry, row) > \(place)")
        }
        let order: ClickHouseQuery =
            isNewestFirst ? "time DESC, node DESC, entry DESC, row DESC" : "time, node, entry, row"
        let rows = try await connection.ask(
            """
            SELECT category, \(schema: ClickHouseSchema.columns(.logs)) FROM reeve_logs
            WHERE \(.joined(conditions, by: " AND "))
            ORDER BY \(order) LIMIT \(count: max) FORMAT RowBinary
            """, longest: longest)
        return try ColumnReader.rows(rows, Self.row)
    }

    /// A row of `category` and the columns of the schema.
    static func row(_ row: inout ColumnReader) throws -> Row {
        let category = ClickHousePart.category(of: try row.text()) ?? .system
        let (node, entry, number) = (try row.text(), try row.int(), try row.word())
        var record = LogRecord(at: try row.int())
        record.category = category
        record.level = try row.text()
        record.service = try row.text()
        record.logger = try row.textIfAny()
        record.message = try row.text()
        record.correlationID = try row.textIfAny()
        record.agent = try row.textIfAny()
        record.session = try row.textIfAny()
        record.turn = try row.optional().map { Int64(bitPattern: $0) }
        record.tool = try row.textIfAny()
        record.durationMs = try row.optional().map { Double(bitPattern: $0) }
        record.traceID = try row.textIfAny()
        record.spanID = try row.textIfAny()
        let attributes = try row.text()
        if !attributes.isEmpty { record.attributes = LogRow.attributes(attributes.utf8) }
        record.labels = LogLabels(zip(try row.texts(), try row.texts()).map { (name: $0, value: $1) })
        return Row(place: Place(time: record.time, node: node, entry: entry, row: number), record: record)
    }

    // MARK: Labels

    /// The labels of streams, with their values.
    func labels() async throws -> [String: Set<String>] {
        let rows = try await connection.ask(
            "SELECT DISTINCT name, value FROM reeve_log_labels LIMIT \(count: Self.labelsRead) FORMAT RowBinary",
            longest: ClickHouseConnection.questionMax)
        let pairs = try ColumnReader.rows(rows) { (try $0.text(), try $0.text()) }
        return Dictionary(grouping: pairs, by: \.0).mapValues { Set($0.map(\.1)) }
    }
}

/// What of a query ClickHouse can answer: it lets through all that is meant, and may let through more.
private struct LogFilter {
    private(set) var conditions: [ClickHouseQuery]

    /// Columns by the fields that queries name, beside labels and attributes.
    private static let columns: [Int: ClickHouseQuery] = [
        LogRow.Field.level: "level", LogRow.Field.service: "service", LogRow.Field.logger: "logger",
        LogRow.Field.correlation: "correlation_id", LogRow.Field.agent: "agent_id",
        LogRow.Field.session: "session_id", LogRow.Field.tool: "tool", LogRow.Field.trace: "trace_id",
    ]
    /// The columns that words and lines are looked for in; see ``LogPlan``.
    private static let searched: [ClickHouseQuery] = [
        "message", "attributes", "level", "service", "logger", "correlation_id", "agent_id", "session_id", "tool",
        "trace_id",
    ]

    init(_ query: LogQuery, times: Range<Int64>, plan: inout LogPlan) {
        conditions = ["time >= \(times.lowerBound)", "time < \(times.upperBound)"]
        let categories = TelemetryCategory.allCases.filter { plan.mayHave($0) }
        if categories.count < TelemetryCategory.allCases.count {
            conditions.append("category IN \(list: ClickHousePart.labels(categories))")
        }
        if let id = query.id {
            conditions.append("time IN (SELECT time FROM reeve_log_ids WHERE id = lower(\(id)))")
            conditions.append("(lower(correlation_id) = lower(\(id)) OR lower(trace_id) = lower(\(id)))")
        }
        conditions += query.conditions.compactMap(Self.condition)
    }

    private static func condition(_ condition: LogCondition) -> ClickHouseQuery? {
        switch condition {
        case .field("category", _): nil
        case .field(let name, let matcher):
            LogPlan.fields[name].flatMap { columns[$0] }.flatMap { met(matcher, by: $0) }
        case .words(let text): text.isEmpty ? nil : any { "positionCaseInsensitive(\($0), \(text)) > 0" }
        case .line(let matcher):
            switch matcher.kind {
            // What does not have its text cannot match; what has it is looked at here.
            case .finds(let pattern, _):
                pattern.literal.isEmpty || matcher.isNegated
                    ? nil : any { "positionCaseInsensitive(\($0), \(pattern.literal)) > 0" }
            case .matches: nil
            case .equal, .contains:
                any { met(matcher.isPositive, by: $0) ?? "1" }.map { matcher.isNegated ? "NOT \($0)" : $0 }
            }
        case .severity(let least):
            // A name that nobody knows is as grave as information.
            least <= .info
                ? nil : "lower(level) IN \(list: LogSeverity.names.filter { $0.value >= least }.map(\.key))"
        }
    }

    private static func met(_ matcher: LogMatcher, by column: ClickHouseQuery) -> ClickHouseQuery? {
        switch matcher.kind {
        case .equal(let text): matcher.isNegated ? "\(column) != \(text)" : "\(column) = \(text)"
        // Each text has the empty one.
        case .finds, .matches: nil
        case .contains(let needle):
            needle.text.isEmpty
                ? nil
                : matcher.isNegated
                    ? "position(\(column), \(needle.text)) = 0" : "position(\(column), \(needle.text)) > 0"
        }
    }

    private static func any(_ condition: (ClickHouseQuery) -> ClickHouseQuery) -> ClickHouseQuery? {
        "(\(.joined(searched.map(condition), by: " OR ")))"
    }
}
