import Kernel

/// The moments that are asked for, in nanoseconds since 1970.
struct LogGrid: Sendable, Equatable {
    /// The first one.
    let start: Int64
    /// Above zero.
    let step: Int64
    let count: Int

    var end: Int64 { start + Int64(count - 1) * step }

    /// The moments whose range has a time: those from it on until it is `range` old.
    func places(of time: Int64, range: Int64) -> Range<Int> {
        func first(from time: Int64) -> Int {
            let distance = time - start
            guard distance > 0 else { return 0 }
            return Int(min(Int64(count), (distance - 1) / step + 1))
        }
        let begin = first(from: time)
        return begin..<max(begin, first(from: time + range))
    }
}

/// Which log records are counted, and how.
struct LogTallyQuery: Sendable {
    /// What the bytes of a record are.
    enum Bytes: Sendable {
        /// They are not asked for.
        case none
        /// Those of its message.
        case exact
        /// What the records of its block took on average when they came, which is known without their texts.
        case average
    }

    /// All of them must hold.
    var conditions: [LogCondition]
    var grid: LogGrid
    /// Nanoseconds before each moment, which itself is within.
    var range: Int64
    /// Which labels tell series apart.
    var grouping: LogGrouping
    /// Whether attributes are labels.
    var showsAttributes = false
    /// Labels that are none.
    var dropped: Set<String> = []
    var bytes = Bytes.none

    /// From the first time on that counts, and before this one.
    var times: Range<Int64> { (grid.start - range + 1)..<(grid.end + 1) }
}

/// Records counted by their labels and by the moments in whose range they lie.
///
/// A record counts for moments that lie one behind the other, so of each series only where that begins and where it
/// ends is noted: a record costs the same however many moments a range spans.
struct LogTally: Sendable {
    /// Series of one answer (Loki's default, `max_query_series`).
    static let seriesMax = 500
    /// Moments of one answer (Loki's, and Prometheus').
    static let pointsMax = 11_000
    /// Moments of all series together.
    static let cellsMax = 2_000_000

    /// Why records cannot be counted.
    enum Fault: Error, Equatable {
        case series
        /// They are more than can be looked at in ``TelemetryIngest/searchMax``.
        case time
    }

    struct Series: Sendable {
        let labels: LogLabels
        /// Changes from moment to moment.
        fileprivate var counts: [Int64]
        fileprivate var bytes: [Int64]
    }

    let query: LogTallyQuery
    private(set) var series: [Series] = []
    /// Whether there are more series than there may be.
    private(set) var isFull = false
    private var places: [LogLabels: Int] = [:]

    init(_ query: LogTallyQuery) { self.query = query }

    /// The place of a series; `nil` where there is no room for it.
    mutating func place(of labels: LogLabels) -> Int? {
        if let known = places[labels] { return known }
        guard series.count < Self.seriesMax, (series.count + 1) * query.grid.count <= Self.cellsMax else {
            isFull = true
            return nil
        }
        let zeros = [Int64](repeating: 0, count: query.grid.count + 1)
        series.append(Series(labels: labels, counts: zeros, bytes: query.bytes == .none ? [] : zeros))
        places[labels] = series.count - 1
        return series.count - 1
    }

    /// Counts a record of ``LogTallyQuery/times``.
    mutating func add(_ time: Int64, bytes: Int, to place: Int) {
        let moments = query.grid.places(of: time, range: query.range)
        guard !moments.isEmpty else { return }
        series[place].counts[moments.lowerBound] += 1
        series[place].counts[moments.upperBound] -= 1
        guard query.bytes != .none else { return }
        series[place].bytes[moments.lowerBound] += Int64(bytes)
        series[place].bytes[moments.upperBound] -= Int64(bytes)
    }
}

extension LogTally.Series {
    /// Records and bytes of the range of each moment.
    var sums: [(count: Int64, bytes: Int64)] {
        var sum: (count: Int64, bytes: Int64) = (0, 0)
        return counts.indices.dropLast().map { index in
            sum.count += counts[index]
            if !bytes.isEmpty { sum.bytes += bytes[index] }
            return sum
        }
    }
}

/// What a record has that labels are made of, wherever it is kept.
struct LogTallyRow {
    let category: TelemetryCategory
    /// A field of ``LogRow``.
    let field: (Int) -> String?
    let labels: () -> LogLabels
    let attributes: () -> JSONObject

    /// The labels that tell its series apart.
    func labels(_ query: LogTallyQuery) -> LogLabels {
        var found = LogLabels()
        switch query.grouping {
        case .by(let names):
            for name in names where !query.dropped.contains(name) {
                if let value = value(of: name, query), !value.isEmpty { found[name] = value }
            }
        case .without:
            found = labels()
            for (name, field) in LogLabel.fields {
                if let value = self.field(field), name != "level" || found[name] == nil { found[name] = value }
            }
            if query.showsAttributes {
                for (name, value) in attributes().labels where found[name] == nil { found[name] = value }
            }
            for name in query.dropped { found[name] = nil }
            found = query.grouping.labels(of: found)
        }
        return found
    }

    private func value(of name: String, _ query: LogTallyQuery) -> String? {
        if name == "category" { return category.rawValue }
        if let field = LogPlan.fields[name] { return self.field(field) }
        if let value = labels()[name] { return value }
        return query.showsAttributes ? attributes().labels.first { $0.name == name }?.value : nil
    }
}

extension JSONObject {
    /// As labels: their names have letters, digits and underscores of ASCII alone.
    var labels: [(name: String, value: String)] {
        members.map { member in
            let name = String(member.name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
            return (name, member.value.string ?? member.value.text)
        }
    }
}

extension LogRecord {
    var tallyRow: LogTallyRow {
        LogTallyRow(
            category: category,
            field: { field in
                switch field {
                case LogRow.Field.level: level
                case LogRow.Field.service: service
                case LogRow.Field.logger: logger
                case LogRow.Field.correlation: correlationID
                case LogRow.Field.agent: agent
                case LogRow.Field.session: session
                case LogRow.Field.tool: tool
                case LogRow.Field.trace: traceID
                default: nil
                }
            }, labels: { labels }, attributes: { attributes })
    }
}
