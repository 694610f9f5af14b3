import Kernel

/// A record as it lies in ClickHouse.
struct ClickHouseRecord {
    /// What tells its row from all others; see ``ClickHouseSchema/key(_:)``.
    let key: String
    let record: Archive.Record
    /// That a row stands behind it.
    fileprivate let behind: ClickHouseQuery
}

/// Records one after the other, for those who look at what is in them.
struct ClickHouseRecordStore: Sendable {
    /// Rows that are read at a time; fewer where those are too much at once.
    private static let pageMax = 2_000

    let connection: ClickHouseConnection

    /// Shows all records of a partition that may be a subject's, page by page; a row that came twice once.
    func each(
        of part: ClickHousePart, _ kind: ArchivePart.Kind, maybeOf subject: SubjectMatch,
        _ body: ([ClickHouseRecord]) async throws -> Void
    ) async throws {
        var last: ClickHouseRecord?
        var size = Self.pageMax
        while true {
            var conditions = [ClickHouseSchema.isIn(part)]
            if let narrowed = Self.narrowed(kind, subject) { conditions.append(narrowed) }
            if let last { conditions.append(last.behind) }
            let page: [ClickHouseRecord]
            do { page = try await read(kind, conditions, max: size) } catch {
                // Large records are more than an answer, or ClickHouse's memory, has room for.
                guard size > 1, Self.isTooMuch(error) else { throw error }
                size /= 4
                continue
            }
            var before = last?.key
            try await body(
                page.filter { record in
                    defer { before = record.key }
                    return record.key != before
                })
            guard page.count == size, let end = page.last else { return }
            last = end
            size = min(Self.pageMax, size * 2)
        }
    }

    /// ClickHouse's MEMORY_LIMIT_EXCEEDED (ErrorCodes.cpp), or an answer of too many bytes.
    private static func isTooMuch(_ error: any Error) -> Bool {
        switch error as? ClickHouseFault {
        case .refused(241, _), .unreadable: true
        default: false
        }
    }

    private func read(
        _ kind: ArchivePart.Kind, _ conditions: [ClickHouseQuery], max: Int
    ) async throws -> [ClickHouseRecord] {
        let columns: ClickHouseQuery =
            switch kind {
            case .spans: "node, entry, \(ClickHouseSpanStore.columns), body"
            case .logs: "category, \(schema: ClickHouseSchema.columns(.logs))"
            }
        let rows = try await connection.ask(
            """
            SELECT \(schema: ClickHouseSchema.key(kind)), \(columns) FROM \(schema: ClickHouseSchema.table(kind))
            WHERE \(.joined(conditions, by: " AND "))
            ORDER BY \(schema: ClickHouseSchema.place(kind)) LIMIT \(count: max) FORMAT RowBinary
            """, longest: ClickHousePartStore.wholeMax)
        return try ColumnReader.rows(rows) { row in
            let key = try row.text()
            switch kind {
            case .spans:
                let (node, entry) = (try row.text(), try row.int())
                let span = try ClickHouseSpanStore.whole(&row)
                let (trace, id) = (span.head.traceID.description, span.head.spanID.description)
                return ClickHouseRecord(
                    key: key, record: .span(span),
                    behind: """
                        trace_id >= \(trace) AND (trace_id, span_id, state, node, entry)
                          > (\(trace), \(id), \(span.head.state.rawValue), \(node), \(entry))
                        """)
            case .logs:
                let log = try ClickHouseLogStore.row(&row)
                let place = log.place
                return ClickHouseRecord(
                    key: key, record: .log(log.record),
                    behind: """
                        time >= \(place.time) AND (time, node, entry, row)
                          > (\(place.time), \(place.node), \(place.entry), toUInt32(\(count: place.row)))
                        """)
            }
        }
    }

    // MARK: Narrowing

    /// The columns that have texts.
    private static func texts(_ kind: ArchivePart.Kind) -> [String] {
        switch kind {
        case .spans:
            [
                "trace_id", "name", "service", "agent_id", "session_id", "correlation_id", "task_id", "provider",
                "model", "tool", "body",
            ]
        case .logs:
            [
                "level", "service", "logger", "message", "correlation_id", "agent_id", "session_id", "tool", "trace_id",
                "span_id", "arrayStringConcat(label_names, ' ')", "arrayStringConcat(label_values, ' ')",
            ]
        }
    }

    /// A condition that every record of the subject meets, and few others; `nil` where ClickHouse cannot tell.
    private static func narrowed(_ kind: ArchivePart.Kind, _ subject: SubjectMatch) -> ClickHouseQuery? {
        // It stands for a character that cannot be shown.
        guard !subject.text.contains("\u{FFFD}") else { return nil }
        var found = texts(kind).map { "position(\(schema: $0), \(subject.text)) > 0" as ClickHouseQuery }
        switch kind {
        case .spans:
            if subject.isAnywhere {
                // A number's digits stand nowhere.
                let isPartOfNumber = subject.text.utf8.allSatisfy {
                    $0 == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                }
                if isPartOfNumber { return nil }
            } else if let number = Int64(subject.text) {
                var value: [UInt8] = [UInt8(OTLPField.AnyValue.int << 3)]
                value.append(varint: UInt64(bitPattern: number))
                found.append("position(body, \(bytes: value)) > 0")
            }
        case .logs:
            // JSON may write other characters otherwise.
            let plain = subject.text.utf8.split { byte in
                !(UInt8(ascii: " ")...UInt8(ascii: "~")).contains(byte)
                    || [UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/")].contains(byte)
            }.max { $0.count < $1.count }
            found.append(
                plain.map { "position(attributes, \(String(decoding: $0, as: UTF8.self))) > 0" } ?? "attributes != ''")
        }
        return .any(found)
    }
}
