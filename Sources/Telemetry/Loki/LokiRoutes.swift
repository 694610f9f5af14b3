import Kernel

/// Loki's HTTP API as far as senders of logs and Grafana's log views need it (Loki documentation, "HTTP API").
public struct LokiRoutes: Sendable {
    let ingest: TelemetryIngest
    let streams: StreamLabels
    let world: World

    public init(ingest: TelemetryIngest, world: World) {
        self.ingest = ingest
        streams = ingest.streams
        self.world = world
    }

    public var routes: [Route] {
        [
            Route(
                .post, "/loki/api/v1/push", .ingest, "Take in log lines as Loki does (JSON, or protobuf with snappy)",
                shape: RouteShape(body: ["type": "object"], success: 204), bodyBytesMax: TelemetryLimits.bodyBytes,
                handler: push),
            read(
                "query_range", "Look for log lines with a query of Loki's language, or count them over time",
                Self.range + Self.step, queryRange),
            read(
                "query", "Look for the latest log lines with a query of Loki's language, or count them", Self.instant,
                query),
            read("labels", "The labels of log streams", Self.span, labels),
            read("label/{name}/values", "The values of a label", Self.span, labelValues),
            read("series", "The log streams that selectors mean", Self.span, series),
        ] + metricRoutes
    }

    func read(
        _ path: String, _ summary: String, _ query: [(name: String, schema: JSONValue, summary: String)],
        _ handler: @escaping Route.Handler
    ) -> Route {
        Route(
            .get, "/loki/api/v1/\(path)", .operateOrView, summary,
            shape: RouteShape(query: query, reply: ["type": "object"]), handler: handler)
    }

    static let span: [(name: String, schema: JSONValue, summary: String)] = [
        ("start", ["type": "string"], "From this moment on: nanoseconds, seconds with a fraction, or RFC 3339"),
        ("end", ["type": "string"], "Before this moment"),
    ]

    private static let range =
        span + [
            ("query", ["type": "string"], "Such as {service_name=\"writer\"} |= \"error\""),
            ("limit", ["type": "integer", "minimum": 1], "Lines, \(LogQuery.limitMax) at most"),
            ("direction", ["type": "string", "enum": ["backward", "forward"]], "The newest first, or the oldest"),
        ]

    private static let instant =
        range + [("time", ["type": "string"], "The moment at which a metric query is worked out: now otherwise")]

    // MARK: in

    private func push(_ request: APIRequest) async throws -> APIReply {
        let origin = request.logOrigin(at: world.now)
        let lease = ingest.room.lease()
        defer { lease.end() }
        do { try ingest.checkRoom(.logs) } catch { throw error.problem("push", hint: Self.pushHint) }
        let push: LokiPush
        do {
            switch request.mediaType {
            case "application/json":
                let body = try request.unpackedBody(lease)
                try lease.takeDocument(of: body)
                push = try LokiPush.json(
                    body, origin: origin, streams: streams, depthMax: request.limits.jsonDepth)
            case "application/x-protobuf":
                push = try LokiPush.protobuf(
                    try Self.unpacked(request, lease), origin: origin, streams: streams,
                    depthMax: request.limits.jsonDepth)
            default:
                throw Problem(
                    .unsupportedMedia, "\"\(request.mediaType.prefix(80))\" is no content type of this door.",
                    hint: "Send Content-Type: application/json, or application/x-protobuf with snappy.")
            }
        } catch let failure as LokiPush.Failure {
            throw Problem(.badRequest, "The push cannot be taken: \(failure.reason).", hint: Self.pushHint)
        } catch let problem as Problem {
            throw problem
        } catch let fault as TelemetryIngest.Fault {
            ingest.noteCrowded(.logs)
            throw fault.problem("push", hint: "")
        } catch {
            throw Problem(.badRequest, "The body is no push of Loki's.", hint: Self.pushHint, cause: error)
        }
        do {
            let refused = try await ingest.take(push.rows, refused: push.refused).values.reduce(0, +)
            // The protocol has no word for it.
            return APIReply(status: 204, headers: refused > 0 ? [("x-reeve-rejected", String(refused))] : [])
        } catch { throw error.problem("push", hint: Self.pushHint) }
    }

    private static let pushHint =
        "Send {\"streams\":[{\"stream\":{\"app\":\"x\"},\"values\":[[\"<nanoseconds>\",\"line\"]]}]}."

    /// Protobuf comes in snappy's block format, named in the header or not.
    private static func unpacked(_ request: APIRequest, _ room: BodyRoom.Lease) throws -> [UInt8] {
        let coding = request.headers["content-encoding"]?.lowercased() ?? "snappy"
        guard ["snappy", "", "identity"].contains(coding) else { return try request.unpackedBody(room) }
        do { return try Snappy.unpack(request.body, max: TelemetryLimits.bodyBytes, hasRoom: room.take) } catch {
            switch error {
            case .noRoom: throw TelemetryIngest.Fault.crowded
            case .tooLarge: throw APIRequest.tooLarge
            case .malformed:
                throw Problem(
                    .badRequest, "The body is not in snappy's block format.",
                    hint: "Send blocks; the framed format, with its chunks, is another one.")
            }
        }
    }

    // MARK: out

    private func queryRange(_ request: APIRequest) async throws -> APIReply {
        if let metric = try Self.metric(request) { return try await range(metric, request) }
        return try await lines(request)
    }

    private func query(_ request: APIRequest) async throws -> APIReply {
        if let metric = try Self.metric(request) { return try await instant(metric, request) }
        return try await lines(request)
    }

    private func lines(_ request: APIRequest) async throws -> APIReply {
        let logQL = try Self.parse(request.queryValue("query") ?? "")
        var query = LogQuery()
        query.conditions = logQL.conditions
        query.times = try times(request)
        query.isNewestFirst = try Self.isBackward(request)
        query.limit = try Self.limit(request, default: query.limit, max: LogQuery.limitMax)
        let findings = try await ingest.logs(query)
        var order: [LogLabels] = []
        var values: [LogLabels: [JSONValue]] = [:]
        for record in findings.records {
            var labels = record.streamLabels(withAttributes: logQL.showsAttributes)
            for name in logQL.dropped { labels[name] = nil }
            if values[labels] == nil { order.append(labels) }
            values[labels, default: []].append(.list([String(record.time), record.message]))
        }
        let result = order.map { labels -> JSONValue in ["stream": labels.json, "values": .array(values[labels] ?? [])]
        }
        return Self.success([
            "resultType": "streams", "result": .array(result),
            "stats": ["summary": ["totalEntriesReturned": .int(Int64(findings.records.count))]],
        ])
    }

    static func parse(_ text: String) throws -> LogQL {
        do throws(LogQL.Failure) { return try LogQL(text) } catch { throw refusal(error) }
    }

    /// A metric query; `nil` for one of lines.
    private static func metric(_ request: APIRequest) throws -> LogMetric? {
        let text = request.queryValue("query") ?? ""
        do throws(LogQL.Failure) { return try LogQL.metric(text) } catch { throw refusal(error) }
    }

    private static func refusal(_ failure: LogQL.Failure) -> Problem {
        Problem(
            .badRequest, "The query cannot be answered: \(failure.reason), at character \(failure.offset + 1).",
            hint: "Write a selector, and filters behind it: {service_name=\"writer\"} |= \"error\" | json.")
    }

    static func limit(_ request: APIRequest, default other: Int, max: Int) throws -> Int {
        guard let text = request.queryValue("limit"), !text.isEmpty else { return other }
        guard let limit = Int(text), limit > 0 else {
            throw Problem(.badRequest, "`limit` is a whole number above zero.")
        }
        return min(limit, max)
    }

    private static func isBackward(_ request: APIRequest) throws -> Bool {
        switch (request.queryValue("direction") ?? "backward").lowercased() {
        case "backward", "": return true
        case "forward": return false
        default: throw Problem(.badRequest, "`direction` is `backward` or `forward`.")
        }
    }

    /// The last hour where nothing is said, as there.
    private func times(_ request: APIRequest) throws -> Range<Int64> {
        func moment(_ name: String) throws -> Int64? {
            guard let text = request.queryValue(name), !text.isEmpty else { return nil }
            guard let time = LogTime(text, now: world.now) else {
                throw Problem(.badRequest, "`\(name)` is no moment: \"\(text.prefix(80))\".")
            }
            return time.nanoseconds
        }
        // What is sent in this moment may be stamped by a clock that is ahead.
        let end = try moment("end") ?? (world.now + .minutes(10)).microseconds * 1_000
        let start = try moment("start") ?? (world.now - .hours(1)).microseconds * 1_000
        guard start <= end else { throw Problem(.badRequest, "`end` is before `start`.") }
        return start..<end
    }

    private func labels(_ request: APIRequest) async throws -> APIReply {
        _ = try times(request)
        return Self.success(.list(StreamLabels.few(try await ingest.logLabels()).keys.sorted()))
    }

    private func labelValues(_ request: APIRequest) async throws -> APIReply {
        _ = try times(request)
        let values = StreamLabels.few(try await ingest.logLabels())[request.parameter("name")] ?? []
        return Self.success(.list(values.sorted()))
    }

    private func series(_ request: APIRequest) async throws -> APIReply {
        let selectors = request.query.filter { $0.name == "match[]" || $0.name == "match" }.map(\.value)
        guard !selectors.isEmpty, selectors.count <= Self.selectorsMax else {
            throw Problem(.badRequest, "One to \(Self.selectorsMax) `match[]` are expected.")
        }
        var found: Set<LogLabels> = []
        for selector in selectors {
            var query = LogQuery()
            query.conditions = try Self.parse(selector).conditions
            query.times = try times(request)
            query.limit = LogQuery.limitMax
            for record in try await ingest.logs(query).records { found.insert(record.labels.with(record)) }
        }
        return Self.success(.array(found.sorted { $0.text < $1.text }.map(\.json)))
    }

    static let selectorsMax = 10

    static func success(_ data: JSONValue) -> APIReply { .json(["status": "success", "data": data]) }
}

extension LogLabels {
    /// With the fields that serve as labels.
    fileprivate func with(_ record: LogRecord) -> LogLabels {
        var labels = self
        labels["service_name"] = record.service
        labels["level"] = labels["level"] ?? record.level
        if let agent = record.agent { labels["agent_id"] = agent }
        return labels
    }
}

extension LogRecord {
    /// The labels that a line is shown with: its stream's, and its metadata.
    fileprivate func streamLabels(withAttributes: Bool) -> LogLabels {
        var labels = labels.with(self)
        labels["category"] = category.rawValue
        let ids = [
            ("correlation_id", correlationID), ("trace_id", traceID), ("span_id", spanID), ("session_id", session),
            ("tool", tool), ("logger", logger), ("turn", turn.map { String($0) }),
            ("duration_ms", durationMs.map { "\($0)" }),
        ]
        for case (let name, let value?) in ids { labels[name] = value }
        guard withAttributes else { return labels }
        for (name, value) in attributes.labels where labels[name] == nil { labels[name] = value }
        return labels
    }
}
