import Kernel

/// Metric queries and volumes.
extension LokiRoutes {
    /// Nanoseconds since 1970 that nothing asked for lies behind: the year 2223.
    private static let timeMax: Int64 = 8_000_000_000_000_000_000
    /// Series of a volume that asks for no number of them (Loki's default).
    private static let volumesDefault = 100

    var metricRoutes: [Route] {
        [
            read(
                "index/volume", "How much the lines of labels take, as far as it is known without reading them",
                Self.volume, { try await volume($0, isOverTime: false) }),
            read(
                "index/volume_range", "The same by steps of time", Self.volume + Self.step,
                { try await volume($0, isOverTime: true) }),
        ]
    }

    static let step: [(name: String, schema: JSONValue, summary: String)] = [
        ("step", ["type": "string"], "From moment to moment: seconds, or as in `1m`")
    ]

    private static let volume =
        span + [
            ("query", ["type": "string"], "A selector, such as {service_name=\"writer\"}"),
            ("limit", ["type": "integer", "minimum": 1], "Series, \(LogTally.seriesMax) at most"),
            ("targetLabels", ["type": "string"], "The labels to tell apart by; those of the selector otherwise"),
            ("aggregateBy", ["type": "string", "enum": ["series", "labels"]], "By values, or by names alone"),
        ]

    // MARK: queries

    /// The answer to a metric query at one moment.
    func instant(_ metric: LogMetric, _ request: APIRequest) async throws -> APIReply {
        let time = try moment(request, "time") ?? world.now.microseconds * 1_000
        let grid = LogGrid(start: time, step: 1, count: 1)
        return QueryReply.success(
            .vector(
                Self.series(try await series(of: metric, grid), grid).sorted { left, right in
                    // What `topk` says first stands first.
                    (right.samples[0].value, left.labels) < (left.samples[0].value, right.labels)
                }))
    }

    /// The answer to a metric query at each step.
    func range(_ metric: LogMetric, _ request: APIRequest) async throws -> APIReply {
        let times = try bounds(request)
        let grid = try grid(times.start, times.end, request)
        return QueryReply.success(
            .matrix(Self.series(try await series(of: metric, grid), grid).sorted { $0.labels < $1.labels }))
    }

    private func series(of metric: LogMetric, _ grid: LogGrid) async throws -> [LogSeries] {
        guard let query = metric.tally(grid) else { return metric.series(of: nil, count: grid.count) }
        return metric.series(of: try await counted(query), count: grid.count)
    }

    private func counted(_ query: LogTallyQuery) async throws -> LogTally {
        do { return try await ingest.tally(query) } catch let fault as LogTally.Fault {
            switch fault {
            case .series:
                throw Problem(
                    .badRequest, "The query has more than \(LogTally.seriesMax) series, or too many moments of them.",
                    hint: "Put them together with sum by (…), or take a longer step.")
            case .time:
                throw Problem(
                    .badRequest, "The query looks at more lines than can be read in \(TelemetryIngest.searchMax).",
                    hint: "Ask for less time, or for fewer lines with a narrower selector.")
            }
        }
    }

    private static func series(_ series: [LogSeries], _ grid: LogGrid) -> [PromQLQuery.Series] {
        series.compactMap { one in
            let samples = one.values.enumerated().compactMap { index, value in
                value.isNaN ? nil : Sample((grid.start + Int64(index) * grid.step) / 1_000_000, value)
            }
            return samples.isEmpty
                ? nil : PromQLQuery.Series(LabelSet(one.labels.pairs.map { ($0.name, $0.value) }), samples)
        }
    }

    // MARK: times

    private func moment(_ request: APIRequest, _ name: String) throws -> Int64? {
        guard let text = request.queryValue(name), !text.isEmpty else { return nil }
        guard let time = LogTime(text, now: world.now)?.nanoseconds, time <= Self.timeMax else {
            throw Problem(.badRequest, "`\(name)` is no moment: \"\(text.prefix(80))\".")
        }
        return time
    }

    /// The last hour where nothing is said, as there.
    private func bounds(_ request: APIRequest) throws -> (start: Int64, end: Int64) {
        let end = try moment(request, "end") ?? world.now.microseconds * 1_000
        let start = try moment(request, "start") ?? max(0, end - 3_600_000_000_000)
        guard start <= end else { throw Problem(.badRequest, "`end` is before `start`.") }
        return (start, end)
    }

    /// The step is as long as 250 of them take where nothing is said, a second at least, as there.
    private func grid(_ start: Int64, _ end: Int64, _ request: APIRequest) throws -> LogGrid {
        var step = max(1, (end - start) / 250_000_000_000) * 1_000_000_000
        if let text = request.queryValue("step"), !text.isEmpty {
            let milliseconds =
                PromQLLexer.duration(text)
                ?? Double(text).flatMap { seconds in
                    seconds > 0 && seconds < 1e9 ? Int64(exactly: (seconds * 1_000).rounded()) : nil
                }
            guard let milliseconds, milliseconds > 0, milliseconds <= LogQLParser.durationMax else {
                throw Problem(.badRequest, "`step` is a number of seconds, or a length of time such as `1m`.")
            }
            step = milliseconds * 1_000_000
        }
        let points = (end - start) / step + 1
        guard points <= LogTally.pointsMax + 1 else {
            throw Problem(
                .badRequest, "The query has more than \(LogTally.pointsMax) moments.", hint: "Take a longer step.")
        }
        return LogGrid(start: start, step: step, count: Int(points))
    }

    // MARK: volumes

    private func volume(_ request: APIRequest, isOverTime: Bool) async throws -> APIReply {
        let query = try Self.parse(request.queryValue("query") ?? "")
        guard query.isSelector else {
            throw Problem(.badRequest, "The query is more than a selector.", hint: "Write {service_name=\"writer\"}.")
        }
        let targets = (request.queryValue("targetLabels") ?? "").split(separator: ",").map(String.init)
        guard targets.count <= LogQuery.conditionsMax, targets.allSatisfy(LogQL.isLabelName) else {
            throw Problem(.badRequest, "`targetLabels` are names of labels, \(LogQuery.conditionsMax) at most.")
        }
        let names = Array(Set(targets.isEmpty ? query.selected : targets))
        let isByName = try Self.isByName(request)
        let limit = try Self.limit(request, default: Self.volumesDefault, max: LogTally.seriesMax)
        let (start, end) = try bounds(request)
        // The end itself is not within.
        let whole = LogGrid(start: max(start, end - 1), step: 1, count: 1)
        let grid = try isOverTime ? self.grid(start, end, request) : whole
        let tally = try await counted(
            LogTallyQuery(
                conditions: query.conditions, grid: grid, range: isOverTime ? grid.step : max(1, end - start),
                grouping: .by(names), bytes: .average))
        var volumes = tally.series.filter { !$0.labels.isEmpty }.map { (labels: $0.labels.pairs, sums: $0.sums) }
        if isByName {
            volumes = names.map { name in
                let with = volumes.filter { $0.labels.contains { $0.name == name } }
                let sums = (0..<grid.count).map { place in
                    with.reduce((count: 0, bytes: 0)) {
                        ($0.count + $1.sums[place].count, $0.bytes + $1.sums[place].bytes)
                    }
                }
                return ([(name: name, value: "")], sums)
            }
        }
        return Self.success(Self.json(volumes, grid, limit: limit, isOverTime: isOverTime))
    }

    private typealias Volume = (labels: [(name: String, value: String)], sums: [(count: Int64, bytes: Int64)])

    /// The largest first.
    private static func json(_ volumes: [Volume], _ grid: LogGrid, limit: Int, isOverTime: Bool) -> JSONValue {
        let sized = volumes.map { volume in (volume, volume.sums.reduce(0) { $0 + $1.bytes }) }
            .filter { $0.0.sums.contains { $0.count > 0 } }
        let result = sized.sorted { $0.1 > $1.1 }.prefix(limit).map { volume, _ -> JSONValue in
            let samples: [JSONValue] = volume.sums.enumerated().compactMap { place, sum in
                let time = Double((grid.start + Int64(place) * grid.step) / 1_000_000) / 1_000
                return sum.count == 0 ? nil : [.double(time), .string(String(sum.bytes))]
            }
            let labels = JSONObject(volume.labels.map { .init(name: $0.name, value: .string($0.value)) })
            return isOverTime
                ? ["metric": .object(labels), "values": .array(samples)]
                : ["metric": .object(labels), "value": samples.first ?? .null]
        }
        return ["resultType": isOverTime ? "matrix" : "vector", "result": .array(Array(result))]
    }

    private static func isByName(_ request: APIRequest) throws -> Bool {
        switch request.queryValue("aggregateBy") ?? "series" {
        case "series", "": return false
        case "labels": return true
        default: throw Problem(.badRequest, "`aggregateBy` is `series` or `labels`.")
        }
    }
}
