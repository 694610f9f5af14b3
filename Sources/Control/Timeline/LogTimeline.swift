import Kernel
import Telemetry

/// Log records in a timeline.
public struct LogTimeline: TimelineSource {
    /// Records of one moment that are told apart by their place among them.
    private static let momentMax = 1_000

    let logs: TelemetryIngest

    public init(logs: TelemetryIngest) { self.logs = logs }

    public func items(_ question: TimelineQuestion) async throws -> [TimelineItem] {
        let start = max(0, question.start(of: .log).time.microseconds)
        var items: [TimelineItem] = []
        for id in [question.correlationID] + question.traces.map(\.description) {
            var query = LogQuery()
            query.id = id
            query.isNewestFirst = false
            query.times = (start > .max / 1_000 ? .max : start * 1_000)..<Int64.max
            query.limit = min(LogQuery.limitMax, question.limit + Self.momentMax)
            items += Self.items(try await logs.logs(query).records)
        }
        return question.part(Self.unique(items))
    }

    /// A record has no id of its own: its time, its trace and its place among those of this time stand for one.
    private static func items(_ records: [LogRecord]) -> [TimelineItem] {
        var counts: [Int64: Int] = [:]
        return records.map { record in
            let number = counts[record.time, default: 0]
            counts[record.time] = number + 1
            let digits = String(record.time)
            let id = String(repeating: "0", count: max(0, 19 - digits.count)) + digits + "-" + String(number)
            return TimelineItem(
                .log, id, at: Timestamp(microseconds: record.time / 1_000), record.message, agent: record.agent,
                traceID: record.traceID)
        }
    }

    /// A record may be found by its correlation id and by its trace.
    private static func unique(_ items: [TimelineItem]) -> [TimelineItem] {
        var seen: Set<String> = []
        return items.filter { seen.insert("\($0.id) \($0.title)").inserted }
    }
}
