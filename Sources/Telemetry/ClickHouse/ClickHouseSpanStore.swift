import Kernel

/// Spans in ClickHouse.
struct ClickHouseSpanStore: Sendable {
    /// Traces whose spans are read with one question for a list.
    private static let tracesRead = 20

    let connection: ClickHouseConnection

    static let insert = """
        INSERT INTO reeve_spans (day, category, \(ClickHouseSchema.columns(.spans))) FORMAT RowBinary
        """

    /// Adds the row of a span; `body` has the bytes of its request.
    static func add(
        _ item: ReceivedSpans.Item, of body: UnsafeRawBufferPointer, _ part: ClickHousePart, node: String, entry: Int64,
        to rows: inout ColumnWriter
    ) {
        let head = item.head
        rows.append(day: part.day)
        rows.append(part.category.rawValue)
        rows.append(node)
        rows.append(int: entry)
        rows.append(head.traceID.description)
        rows.append(head.spanID.description)
        rows.append(head.state.rawValue)
        rows.append(head.parentID?.description ?? "")
        rows.append(head.name)
        rows.append(head.status.rawValue)
        rows.append(int: head.startedAt)
        rows.append(int: head.endedAt)
        rows.append(head.service)
        for text in [head.agent, head.session, head.correlationID, head.task] { rows.append(text ?? "") }
        rows.append(head.operation.rawValue)
        for text in [head.provider, head.model, head.tool] { rows.append(text ?? "") }
        rows.append(byte: head.usage == nil ? 0 : 1)
        let usage = head.usage
        for count in [usage?.input, usage?.cacheRead, usage?.cacheWrite, usage?.output, usage?.reasoning] {
            rows.append(int: count ?? 0)
        }
        rows.append(int: head.ingestedAt?.microseconds ?? 0)
        var parts = ColumnWriter()
        parts.append(UnsafeRawBufferPointer(rebasing: body[item.resource]))
        parts.append(UnsafeRawBufferPointer(rebasing: body[item.scope]))
        var span: [UInt8] = []
        _ = SpanBlockBuilder.strip(UnsafeRawBufferPointer(rebasing: body[item.span]), into: &span)
        span.withUnsafeBytes { parts.append($0) }
        parts.bytes.withUnsafeBytes { rows.append($0) }
    }

    static let columns: ClickHouseQuery = """
        trace_id, span_id, state, category, parent_id, name, status, started_at, ended_at, service, agent_id,
        session_id, correlation_id, task_id, operation, provider, model, tool, has_usage, input_tokens,
        cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, ingested_at
        """

    static func head(_ row: inout ColumnReader) throws -> SpanHead {
        guard let trace = TraceID(try row.text()), let span = SpanID(try row.text()) else {
            throw ColumnReader.Damaged()
        }
        var head = SpanHead(trace, span)
        head.state = SpanHead.State(rawValue: try row.text()) ?? .ended
        head.category = ClickHousePart.category(of: try row.text()) ?? .system
        head.parentID = SpanID(try row.text())
        head.name = try row.text()
        head.status = SpanHead.Status(rawValue: try row.text()) ?? .unset
        head.startedAt = try row.int()
        head.endedAt = try row.int()
        head.service = try row.text()
        head.agent = try row.textIfAny()
        head.session = try row.textIfAny()
        head.correlationID = try row.textIfAny()
        head.task = try row.textIfAny()
        head.operation = SpanOperation(rawValue: try row.text()) ?? .other
        head.provider = try row.textIfAny()
        head.model = try row.textIfAny()
        head.tool = try row.textIfAny()
        let hasUsage = try row.byte() == 1
        let counts = try (0..<5).map { _ in try row.int() }
        if hasUsage { head.usage = SpanUsage(columns: counts) }
        let ingestedAt = try row.int()
        head.ingestedAt = ingestedAt == 0 ? nil : Timestamp(microseconds: ingestedAt)
        return head
    }

    // MARK: One trace

    /// Of each trace ``Archive/spansMax`` at most.
    func heads(of traces: [TraceID]) async throws -> [SpanHead] {
        let rows = try await connection.ask(
            """
            SELECT \(Self.columns) FROM reeve_spans WHERE trace_id IN \(list: traces.map(\.description))
            ORDER BY trace_id, started_at, span_id LIMIT \(count: Archive.spansMax) BY trace_id FORMAT RowBinary
            """, longest: ClickHouseConnection.questionMax)
        return try ColumnReader.rows(rows, Self.head)
    }

    func has(_ trace: TraceID) async throws -> Bool {
        let rows = try await connection.ask(
            "SELECT trace_id FROM reeve_spans WHERE trace_id = \(trace.description) LIMIT 1 FORMAT RowBinary",
            longest: ClickHouseConnection.questionMax)
        return !rows.isEmpty
    }

    func span(_ id: SpanID, of trace: TraceID) async throws -> SpanDetail? {
        // A lost span may have ended after all.
        let rows = try await connection.ask(
            """
            SELECT \(Self.columns), body FROM reeve_spans
            WHERE trace_id = \(trace.description) AND span_id = \(id.description)
            ORDER BY state = 'ended' DESC LIMIT 1 FORMAT RowBinary
            """, longest: ClickHouseConnection.questionMax)
        return try ColumnReader.rows(rows) { row in
            try SpanDetail(try Self.whole(&row))
        }.first
    }

    /// A row of ``columns`` and `body`.
    static func whole(_ row: inout ColumnReader) throws -> WholeSpan {
        let head = try Self.head(&row)
        var body = ColumnReader(Array(try row.slice()))
        return WholeSpan(
            head: head, resource: Array(try body.slice()), scope: Array(try body.slice()),
            bytes: Array(try body.slice()))
    }

    // MARK: Many

    /// Which spans of traces there are, of those that arrived on this day or later, as ``SpanHead/identity`` tells them
    /// apart; none of a trace with more than `max`.
    func spanIDs(of traces: [TraceID], since day: Int, max: Int) async throws -> [TraceID: Set<UInt64>] {
        let date = ClickHousePart(category: .system, day: day).date
        let rows = try await connection.ask(
            """
            SELECT trace_id, span_id, state FROM reeve_spans
            WHERE day >= toDate(\(date)) AND trace_id IN \(list: traces.map(\.description))
            LIMIT \(count: max) BY trace_id FORMAT RowBinary
            """, longest: ClickHouseConnection.questionMax)
        var found: [TraceID: Set<UInt64>] = [:]
        _ = try ColumnReader.rows(rows) { row in
            let (trace, span, state) = (TraceID(try row.text()), SpanID(try row.text()), try row.text())
            guard let trace, let span else { return }
            found[trace, default: []].insert(state == SpanHead.State.lost.rawValue ? ~span.value : span.value)
        }
        return found
    }

    /// The traces with the latest spans, with those that run.
    func traces(
        _ query: TraceQuery, live: LiveSpans, today: Int, longest: Duration
    ) async throws -> TraceFindings {
        var findings = TraceFindings()
        let end = ContinuousClock.now + longest
        let filter = TraceSpanFilter(query)
        let running = live.traces(max: TraceQuery.limitMax)
            .filter { live.heads(of: $0).contains(where: filter.isMeant) }
        let (kept, isComplete) = try await latest(query, today: today, end: end)
        findings.isComplete = isComplete
        var waiting = running + kept.filter { !Set(running).contains($0) }
        while !waiting.isEmpty, findings.traces.count < query.limit {
            guard ContinuousClock.now < end else {
                findings.isComplete = false
                break
            }
            let group = Array(waiting.prefix(Self.tracesRead))
            waiting.removeFirst(group.count)
            let heads = Dictionary(grouping: try await self.heads(of: group), by: \.traceID)
            for trace in group where findings.traces.count < query.limit {
                guard let summary = TraceSummary(TraceHeads.merged(heads[trace] ?? [], live.heads(of: trace))) else {
                    continue
                }
                if !query.isFailed || summary.errors > 0 { findings.traces.append(summary) }
            }
        }
        findings.traces.sort { ($0.startedAt, $0.id) > ($1.startedAt, $1.id) }
        return findings
    }

    /// The sessions with the latest spans, with those that run.
    func sessions(
        _ query: SessionQuery, live: LiveSpans, today: Int, longest: Duration
    ) async throws -> SessionFindings {
        var gathering = SessionGathering(query)
        for trace in live.traces(max: TraceQuery.limitMax) {
            for head in live.heads(of: trace) { gathering.note(head) }
        }
        var conditions: [ClickHouseQuery] = [
            "started_at < \(query.times.upperBound)", "ended_at >= \(query.times.lowerBound)",
            "(session_id != '' OR (operation = 'agent' AND parent_id = ''))",
        ]
        if let id = query.id { conditions.append("(session_id = \(id) OR trace_id = \(id))") }
        if let agent = query.agent { conditions.append("agent_id = \(agent)") }
        // Every day counts of a session: the first look would find its last turns alone.
        let first = Self.firstDays(query.times.lowerBound, today: today).last ?? 0
        conditions.append(Self.since(first))
        let rows = try await connection.ask(
            """
            SELECT \(Self.columns) FROM reeve_spans WHERE \(.joined(conditions, by: " AND "))
            ORDER BY ended_at DESC LIMIT \(count: Self.sessionSpansMax) FORMAT RowBinary
            """, longest: longest)
        let heads = try ColumnReader.rows(rows, Self.head)
        for head in heads { gathering.note(head) }
        var findings = gathering.findings
        if heads.count == Self.sessionSpansMax, !gathering.isEnough { findings.isComplete = false }
        return findings
    }

    /// Spans that are read for a list of sessions.
    private static let sessionSpansMax = 20_000

    // MARK: Days

    /// Days back that are looked into first, then next, before all others: who asks for the latest need not wait for a
    /// look through all that is kept.
    private static let daysBack = [1, 7, 30]
    /// Senders' clocks are off by so much at most.
    private static let daysAhead = 1

    /// The first days of arrival from which on is looked, one after the other.
    ///
    /// - Parameter start: Nanoseconds since 1970: what ended before is not asked for.
    static func firstDays(_ start: Int64, today: Int) -> [Int] {
        let first = max(0, Int(start / nanosecondsPerDay) - daysAhead)
        return daysBack.map { today - $0 }.filter { $0 > first } + [first]
    }

    private static let nanosecondsPerDay: Int64 = 86_400_000_000_000

    private static func since(_ day: Int) -> ClickHouseQuery {
        "day >= toDate(\(ClickHousePart(category: .system, day: day).date))"
    }

    /// The traces with the latest spans. Of days that were not looked into nothing ended later than what was found.
    private func latest(
        _ query: TraceQuery, today: Int, end: ContinuousClock.Instant
    ) async throws -> (traces: [TraceID], isComplete: Bool) {
        var found: [TraceID] = []
        for day in Self.firstDays(query.times.lowerBound, today: today) {
            let ended: [(trace: TraceID, at: Int64)]
            do {
                ended = try await latest(query, since: day, longest: max(.seconds(1), end - ContinuousClock.now))
            } catch let fault as ClickHouseFault where fault.isLate { return (found, false) }
            found = ended.map(\.trace)
            let start = Int64(day) * Self.nanosecondsPerDay
            if ended.count(where: { $0.at >= start }) >= query.limit { break }
        }
        return (found, true)
    }

    private func latest(
        _ query: TraceQuery, since day: Int, longest: Duration
    ) async throws -> [(trace: TraceID, at: Int64)] {
        var conditions: [ClickHouseQuery] = [
            Self.since(day), "started_at < \(query.times.upperBound)", "ended_at >= \(query.times.lowerBound)",
        ]
        if let id = query.id {
            conditions.append(
                """
                trace_id IN (SELECT trace_id FROM reeve_span_ids WHERE id = \(id) UNION ALL SELECT \(id.lowercased()))
                """)
            conditions.append("(correlation_id = \(id) OR trace_id = \(id.lowercased()))")
        }
        if let service = query.service { conditions.append("service = \(service)") }
        if let agent = query.agent { conditions.append("agent_id = \(agent)") }
        if let session = query.session { conditions.append("session_id = \(session)") }
        if query.isFailed {
            conditions.append("trace_id IN (SELECT trace_id FROM reeve_failed)")
        }
        let rows = try await connection.ask(
            """
            SELECT trace_id, max(ended_at) AS at FROM reeve_spans WHERE \(.joined(conditions, by: " AND "))
            GROUP BY trace_id ORDER BY at DESC, trace_id DESC LIMIT \(count: query.limit) FORMAT RowBinary
            """, longest: longest)
        return try ColumnReader.rows(rows) { row in
            guard let trace = TraceID(try row.text()) else { throw ColumnReader.Damaged() }
            return (trace, try row.int())
        }
    }
}
