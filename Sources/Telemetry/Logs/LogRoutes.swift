import Kernel

/// Logs over HTTP: in as JSON lines or OTLP, out as JSON.
public struct LogRoutes: Sendable {
    let ingest: TelemetryIngest
    let world: World

    public init(ingest: TelemetryIngest, world: World) {
        self.ingest = ingest
        self.world = world
    }

    public var routes: [Route] {
        [
            Route(
                .post, "/api/v1/logs", .ingest,
                "Take in log records (a JSON object, an array, or one a line; gzip or plain)",
                shape: RouteShape(
                    body: ["type": ["object", "array"]], reply: ["$ref": "#/components/schemas/LogReceipt"]),
                bodyBytesMax: TelemetryLimits.bodyBytes, handler: take),
            Route(
                .get, "/api/v1/logs", .operateOrView, "Look for log records", shape: LogShapes.search, handler: search),
            OTLPDoor(
                path: "/v1/logs", summary: "Take in log records", message: "ExportLogsServiceRequest",
                example: "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[…]}]}]}", records: "LogRecords",
                encode: { try OTLPJSON.logs($0, refuse: $1) }, take: takeOTLP, room: ingest.room,
                checkRoom: { [ingest] in try ingest.checkRoom(.logs) },
                noteCrowded: { [ingest] in ingest.noteCrowded(.logs) }
            ).route,
        ]
    }

    // MARK: in

    private static let jsonTypes: Set<String> = [
        "application/json", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines",
        "application/x-jsonlines", "application/stream+json",
    ]

    private func take(_ request: APIRequest) async throws -> APIReply {
        guard Self.jsonTypes.contains(request.mediaType) else {
            throw Problem(
                .unsupportedMedia, "\"\(request.mediaType.prefix(80))\" is no content type of this door.",
                hint: "Send Content-Type: application/json, or application/x-ndjson for one record a line.")
        }
        let lease = ingest.room.lease()
        defer { lease.end() }
        do { try ingest.checkRoom(.logs) } catch { throw error.problem("log", hint: "") }
        let lines: LogLines
        do {
            let body = try request.unpackedBody(lease)
            try lease.takeDocument(of: body)
            lines = try LogLines(
                body, origin: request.logOrigin(at: world.now), depthMax: request.limits.jsonDepth)
        } catch let fault as TelemetryIngest.Fault {
            ingest.noteCrowded(.logs)
            throw fault.problem("log", hint: "")
        } catch is ProtobufReader.Malformed {
            throw Problem(
                .invalidJSON, "The body holds no JSON object.",
                hint: "Send {\"message\":\"…\"}, an array of such objects, or one a line.")
        }
        let refused: [RecordFlaw: Int]
        do { refused = try await ingest.take(lines.rows, refused: lines.refused) } catch {
            throw error.problem("log", hint: "")
        }
        let shed = refused[.shed] ?? 0
        let errors = lines.refusals.map(\.json) + (shed > 0 ? [RecordFlaw.shed.json(count: shed)] : [])
        return .json([
            "accepted": .int(Int64(lines.rows.count - shed)), "rejected": .int(Int64(refused.values.reduce(0, +))),
            "errors": .array(errors),
        ])
    }

    private func takeOTLP(
        _ message: [UInt8], _ request: APIRequest, _ refused: [RecordFlaw: Int]
    ) async throws -> [RecordFlaw: Int] {
        let logs: LogRequest
        do { logs = try LogRequest(message, origin: request.logOrigin(at: world.now)) } catch {
            throw TelemetryIngest.Fault.malformed
        }
        return try await ingest.take(logs.rows, refused: refused.merging(logs.refused, uniquingKeysWith: +))
    }

    // MARK: out

    private func search(_ request: APIRequest) async throws -> APIReply {
        let query = try LogQuery(request, now: world.now)
        let findings = try await ingest.logs(query)
        return .json([
            "items": .array(findings.records.map(\.json)), "complete": .bool(findings.isComplete),
            "next": .of(findings.next?.description),
        ])
    }
}

extension LogLines.Refusal: JSONConvertible {
    var json: JSONValue {
        [
            "index": .int(Int64(index)), "reason": .string(flaw.rawValue),
            "message": .string("The record \(flaw.message)."),
        ]
    }
}

extension RecordFlaw {
    /// Of several records that are not told one by one.
    fileprivate func json(count: Int) -> JSONValue {
        [
            "index": .null, "reason": .string(rawValue), "count": .int(Int64(count)),
            "message": .string("\(count) of the records: each \(message)."),
        ]
    }
}

extension APIRequest {
    /// Characters of a correlation id that a header may bring.
    private static let correlationBytesMax = 200

    /// The correlation id that the sender names for all records of the request.
    private var statedCorrelationID: String? {
        guard let id = headers["x-correlation-id"], !id.isEmpty, id.utf8.count <= Self.correlationBytesMax,
            id.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        return id
    }

    func logOrigin(at now: Timestamp) -> LogOrigin {
        LogOrigin(arrival: now.microseconds * 1_000, correlationID: statedCorrelationID, agent: principal.agent)
    }
}

extension LogQuery {
    /// From the query of a request.
    public init(_ request: APIRequest, now: Timestamp) throws {
        self.init()
        id = request.queryValue("correlationId").flatMap { $0.isEmpty ? nil : $0 }
        let fields = [
            ("traceId", "trace_id"), ("service", "service"), ("agent", "agent_id"), ("session", "session_id"),
            ("tool", "tool"), ("logger", "logger"), ("category", "category"),
        ]
        for (parameter, field) in fields {
            guard let text = request.queryValue(parameter), !text.isEmpty else { continue }
            conditions.append(.field(field, .equal(field == "trace_id" ? text.lowercased() : text)))
        }
        let category = request.queryValue("category") ?? ""
        guard category.isEmpty || TelemetryCategory(rawValue: category) != nil else {
            let names = TelemetryCategory.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.invalid("category", "one of \(names)")
        }
        if id == nil, let trace = request.queryValue("traceId"), TraceID(trace) != nil { id = trace }
        if let level = request.queryValue("level"), !level.isEmpty {
            guard let severity = LogSeverity(known: level) else {
                throw Problem.invalid("level", "trace, debug, info, warning, error or fatal")
            }
            conditions.append(.severity(atLeast: severity))
        }
        for word in LogWords.split(request.queryValue("q") ?? "") { conditions.append(.words(word)) }
        guard conditions.count <= Self.conditionsMax else {
            throw Problem.invalid("q", "at most \(Self.conditionsMax) words")
        }
        times = try LogTime.range(request, now: now)
        switch request.queryValue("order") ?? "desc" {
        case "desc", "": isNewestFirst = true
        case "asc": isNewestFirst = false
        default: throw Problem.invalid("order", "`desc` for the newest first, or `asc`")
        }
        if let text = request.queryValue("limit") {
            guard let value = Int(text), value > 0 else {
                throw Problem.invalid("limit", "a whole number above zero is expected")
            }
            limit = min(value, Self.limitMax)
        }
        if let text = request.queryValue("after"), !text.isEmpty {
            guard let cursor = LogCursor(text) else { throw Problem.invalid("after", "the `next` of the page before") }
            after = cursor
        }
    }
}

/// What a person types to look for: words apart by spaces, or several together in quotes.
enum LogWords {
    static func split(_ text: String) -> [String] {
        var words: [String] = []
        var word = ""
        var isQuoted = false
        for character in text {
            if character == "\"" {
                isQuoted.toggle()
            } else if character.isWhitespace, !isQuoted {
                words.append(word)
                word = ""
            } else {
                word.append(character)
            }
        }
        return (words + [word]).filter { !$0.isEmpty }
    }
}

/// A moment as queries name it.
struct LogTime {
    /// Since 1970.
    let nanoseconds: Int64

    /// RFC 3339, whole nanoseconds, seconds with a fraction, or how long ago.
    init?(_ text: String, now: Timestamp) {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800]
        if let last = text.last, let unit = units[last], let count = Int64(text.dropLast()), count >= 0 {
            let (seconds, isOver) = count.multipliedReportingOverflow(by: unit)
            guard !isOver, seconds < 10_000_000_000 else { return nil }
            nanoseconds = max(0, now.microseconds - seconds * 1_000_000) * 1_000
        } else if let number = Int64(text) {
            guard number >= 0 else { return nil }
            // Seconds where it is as small as those are in our time.
            nanoseconds = number < 100_000_000_000 ? number * 1_000_000_000 : number
        } else if let time = Timestamp(rfc3339: text) {
            let (value, isOver) = time.microseconds.multipliedReportingOverflow(by: 1_000)
            guard !isOver, value >= 0 else { return nil }
            nanoseconds = value
        } else if let seconds = Double(text), seconds >= 0, seconds < 9e9 {
            nanoseconds = Int64(seconds * 1e9)
        } else {
            return nil
        }
    }
}
