import Kernel

/// The heads of a block's spans as columns. Texts and trace ids stand once, and rows refer to them by number.
enum SpanColumns {
    /// Bytes of a block's heads, unpacked.
    static let bytesMax = 16 << 20

    /// The columns of texts, in their order.
    private static let texts: [@Sendable (SpanHead) -> String?] = [
        { $0.name }, { $0.service }, { $0.agent }, { $0.session }, { $0.correlationID }, { $0.task }, { $0.provider },
        { $0.model }, { $0.tool },
    ]

    struct Writer {
        private let traces: [TraceID]
        private var table: [String] = []
        private var numbers: [ExactText: Int] = [:]
        private(set) var bytes: [UInt8] = []

        init(traces: [TraceID]) { self.traces = traces }

        mutating func write(_ heads: [SpanHead], _ places: [SpanPlace], trace: (SpanHead) -> Int) {
            var columns = ColumnWriter()
            for head in heads { columns.append(trace(head)) }
            for head in heads { columns.append(whole: head.spanID.value) }
            for head in heads { columns.append(whole: head.parentID?.value ?? 0) }
            var before: Int64 = 0
            for head in heads {
                columns.append(signed: head.startedAt &- before)
                before = head.startedAt
            }
            for head in heads { columns.append(UInt64(bitPattern: head.endedAt &- head.startedAt)) }
            for head in heads { columns.append(SpanHead.Status.all.firstIndex(of: head.status) ?? 0) }
            for head in heads { columns.append(SpanOperation.allCases.firstIndex(of: head.operation) ?? 0) }
            for head in heads { columns.append(TelemetryCategory.allCases.firstIndex(of: head.category) ?? 0) }
            for head in heads { columns.append(SpanHead.State.allCases.firstIndex(of: head.state) ?? 0) }
            for text in SpanColumns.texts {
                for head in heads { columns.append(number(of: text(head))) }
            }
            for head in heads { write(head.usage, to: &columns) }
            for place in places { columns.append(place.group) }
            for place in places { columns.append(place.offset) }
            for place in places { columns.append(place.length) }
            var arrival: Int64 = 0
            for head in heads {
                let at = head.ingestedAt?.microseconds ?? 0
                columns.append(signed: at &- arrival)
                arrival = at
            }
            var all = ColumnWriter()
            all.append(heads.count)
            all.append(traces.count)
            for trace in traces {
                all.append(whole: trace.high)
                all.append(whole: trace.low)
            }
            all.append(table.count)
            for text in table { all.append(text) }
            bytes = all.bytes + columns.bytes
        }

        /// 0 for none.
        private mutating func number(of text: String?) -> Int {
            guard let text else { return 0 }
            if let known = numbers[ExactText(text: text)] { return known }
            table.append(text)
            numbers[ExactText(text: text)] = table.count
            return table.count
        }

        private func write(_ usage: SpanUsage?, to columns: inout ColumnWriter) {
            columns.append(usage == nil ? 0 : 1)
            guard let usage else { return }
            for count in [usage.input, usage.cacheRead, usage.cacheWrite, usage.output, usage.reasoning] {
                columns.append(UInt64(bitPattern: count))
            }
        }
    }

    /// The heads of a block, with where each body lies.
    static func read(_ packed: [UInt8]) throws -> [(head: SpanHead, place: SpanPlace)] {
        var reader = ColumnReader(try Zstandard.unpack(packed, max: bytesMax))
        let rows = 0..<(try reader.length())
        let traces = try (0..<(try reader.length())).map { _ in
            try TraceID(high: reader.whole(), low: reader.whole())
        }
        let table = try (0..<(try reader.length())).map { _ in try reader.text() }
        func element<Element>(_ list: [Element], _ index: Int) throws(ColumnReader.Damaged) -> Element {
            guard list.indices.contains(index) else { throw ColumnReader.Damaged() }
            return list[index]
        }
        let traceOfRow = try rows.map { _ in try element(traces, try reader.count()) }
        let spans = try rows.map { _ in try reader.whole() }
        var heads = zip(traceOfRow, spans).map { SpanHead($0, SpanID(value: $1)) }
        for row in rows {
            let parent = try reader.whole()
            heads[row].parentID = parent == 0 ? nil : SpanID(value: parent)
        }
        var before: Int64 = 0
        for row in rows {
            before &+= try reader.signed()
            heads[row].startedAt = before
        }
        for row in rows { heads[row].endedAt = heads[row].startedAt &+ Int64(bitPattern: try reader.number()) }
        for row in rows { heads[row].status = try element(SpanHead.Status.all, try reader.count()) }
        for row in rows { heads[row].operation = try element(SpanOperation.allCases, try reader.count()) }
        for row in rows { heads[row].category = try element(TelemetryCategory.allCases, try reader.count()) }
        for row in rows { heads[row].state = try element(SpanHead.State.allCases, try reader.count()) }
        func text() throws -> String? {
            let number = try reader.count()
            return number == 0 ? nil : try element(table, number - 1)
        }
        for row in rows { heads[row].name = try text() ?? "" }
        for row in rows { heads[row].service = try text() ?? SpanHead.unknownService }
        for row in rows { heads[row].agent = try text() }
        for row in rows { heads[row].session = try text() }
        for row in rows { heads[row].correlationID = try text() }
        for row in rows { heads[row].task = try text() }
        for row in rows { heads[row].provider = try text() }
        for row in rows { heads[row].model = try text() }
        for row in rows { heads[row].tool = try text() }
        for row in rows where try reader.number() != 0 {
            heads[row].usage = SpanUsage(columns: try (0..<5).map { _ in Int64(bitPattern: try reader.number()) })
        }
        let groups = try rows.map { _ in try reader.count() }
        let offsets = try rows.map { _ in try reader.count() }
        let lengths = try rows.map { _ in try reader.count() }
        // Blocks of earlier versions end here.
        var arrival: Int64 = 0
        for row in rows where !reader.rest.isEmpty {
            arrival &+= try reader.signed()
            heads[row].ingestedAt = arrival == 0 ? nil : Timestamp(microseconds: arrival)
        }
        return rows.map { (heads[$0], SpanPlace(group: groups[$0], offset: offsets[$0], length: lengths[$0])) }
    }
}

/// A text that is another one's equal only with the same bytes: Swift's texts are also where they look alike.
private struct ExactText: Hashable {
    let text: String

    static func == (left: ExactText, right: ExactText) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
