import Kernel

/// A request's records on their way from the spool to the archive.
struct WaitingRequest: Sendable {
    enum Content: Sendable {
        case spans(ReceivedSpans, agent: String?)
        case logs(LogRows)

        var signal: TelemetrySignal {
            switch self {
            case .spans: .traces
            case .logs: .logs
            }
        }

        var count: Int {
            switch self {
            case .spans(let spans, _): spans.items.count
            case .logs(let rows): rows.count
            }
        }

        /// Without the records of some categories, and how many those are.
        func without(_ categories: Set<TelemetryCategory>) -> (Content, [TelemetryCategory: Int]) {
            var shed: [TelemetryCategory: Int] = [:]
            switch self {
            case .spans(var spans, let agent):
                spans.items = spans.items.filter { item in
                    guard categories.contains(item.head.category) else { return true }
                    shed[item.head.category, default: 0] += 1
                    return false
                }
                return (.spans(spans, agent: agent), shed)
            case .logs(let rows):
                var kept = LogRows()
                try? rows.each { row in
                    let category = try LogRow.Fields(row).category
                    if categories.contains(category) {
                        shed[category, default: 0] += 1
                    } else {
                        kept.append(Array(row))
                    }
                }
                return (.logs(kept), shed)
            }
        }

        /// About what it takes in memory.
        var bytes: Int {
            switch self {
            case .spans(let spans, _): spans.body.count + spans.items.count * WaitingRequest.spanBytes
            case .logs(let rows): rows.bytes.count
            }
        }
    }

    /// About what is known of a span takes in memory, beside its bytes.
    static let spanBytes = 700

    /// What entries of the spool are; a number is never given another meaning.
    private enum EntryKind {
        static let spans: UInt8 = 1
        static let logs: UInt8 = 2
        /// Spans of which those of some categories were not taken.
        static let spansLessShed: UInt8 = 3
    }

    /// Its entry of the spool; 0 before it has one.
    var number: Int64 = 0
    let arrivedAt: Timestamp
    let content: Content
    /// Whether an earlier process took it in: a part of it may be in the archive.
    private(set) var isReplayed = false
    /// What was shed of it: the bytes of such spans are still among the others'.
    private let shed: Set<TelemetryCategory>

    init(arrivedAt: Timestamp, content: Content, shed: Set<TelemetryCategory> = []) {
        self.arrivedAt = arrivedAt
        self.content = content
        self.shed = shed
    }

    /// What stands in the spool; `nil` for an entry that is none of ours.
    ///
    /// - Parameter isReplayed: Whether an earlier process left it.
    init?(_ number: Int64, _ entry: SpoolEntry, isReplayed: Bool = true) {
        switch entry.kind {
        case EntryKind.spans, EntryKind.spansLessShed:
            var reader = ColumnReader(entry.payload)
            guard let agent = try? reader.text(),
                let names = entry.kind == EntryKind.spans ? "" : try? reader.text(),
                let spans = try? ReceivedSpans(Array(reader.rest))
            else { return nil }
            shed = Set(names.split(separator: ",").compactMap { TelemetryCategory(rawValue: String($0)) })
            content = Content.spans(spans, agent: agent.isEmpty ? nil : agent).without(shed).0
        case EntryKind.logs:
            guard let rows = try? LogRows(entry.payload) else { return nil }
            content = .logs(rows)
            shed = []
        default: return nil
        }
        self.number = number
        arrivedAt = Timestamp(microseconds: entry.receivedAt)
        self.isReplayed = isReplayed
    }

    var bytes: Int { content.bytes }

    /// What the spool keeps of it.
    var entry: SpoolEntry {
        switch content {
        case .spans(let spans, let agent):
            // The agent's name behind its length, and what was shed, then the request.
            var writer = ColumnWriter()
            writer.append(agent ?? "")
            if !shed.isEmpty { writer.append(shed.map(\.rawValue).sorted().joined(separator: ",")) }
            return SpoolEntry(
                kind: shed.isEmpty ? EntryKind.spans : EntryKind.spansLessShed, receivedAt: arrivedAt.microseconds,
                payload: writer.bytes + spans.body)
        case .logs(let rows):
            return SpoolEntry(kind: EntryKind.logs, receivedAt: arrivedAt.microseconds, payload: rows.bytes)
        }
    }
}
