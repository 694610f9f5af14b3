import Kernel

/// A program that is run, as a span: told of when it begins and when it ends. What the program does hangs below it.
struct ProgramSpan: Sendable {
    /// So often a program that runs on is told of again.
    static let renewal = Span.hours(1)

    /// What the program hands on (W3C Trace Context §3.2).
    let traceparent: String
    /// What whoever started it passes on beside the trace.
    let tracestate: String?
    let correlationID: String
    private let parentID: String?
    private let name: String
    private let agent: String
    private let startedAt: Timestamp
    private let more: [(String, String)]

    /// - Parameters:
    ///   - parent: The `traceparent` of whoever has it run; a new trace begins where there is none, or none that is
    ///     valid.
    ///   - correlationID: The trace's id stands for it where there is none.
    ///   - more: Further attributes.
    init(
        _ words: [String], agent: String, parent: String?, tracestate: String? = nil, correlationID: String?,
        more: [(String, String)] = [], world: World
    ) {
        let given = parent.flatMap(Self.parts)
        let trace = given?.trace ?? Self.id(16, world)
        traceparent = "00-\(trace)-\(Self.id(8, world))-\(given?.flags ?? "01")"
        parentID = given?.span
        self.tracestate = given == nil ? nil : tracestate
        self.correlationID = correlationID ?? trace
        name = words.first.flatMap { $0.split(separator: "/").last.map(String.init) } ?? "program"
        self.agent = agent
        self.more = more
        startedAt = world.now
    }

    private static func id(_ bytes: Int, _ world: World) -> String {
        let made = Hexadecimal.encode(world.entropy.bytes(bytes))
        return made.allSatisfy { $0 == "0" } ? String(made.dropLast()) + "1" : made
    }

    private static func parts(_ traceparent: String) -> (trace: String, span: String, flags: String)? {
        let parts = traceparent.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard parts.map(\.utf8.count) == [2, 32, 16, 2], parts[0] == "00",
            parts.allSatisfy({ $0.utf8.allSatisfy { Hexadecimal.isDigit($0) && !(0x41...0x46).contains($0) } }),
            parts[1].contains(where: { $0 != "0" }), parts[2].contains(where: { $0 != "0" })
        else { return nil }
        return (parts[1], parts[2], parts[3])
    }

    var traceID: String { String(traceparent.dropFirst(3).prefix(32)) }
    private var spanID: String { String(traceparent.dropFirst(36).prefix(16)) }

    /// What the program finds in its environment. OpenTelemetry calls the first two so as well ("Environment Variables
    /// as Context Propagation Carriers").
    var environment: [String: String] {
        var environment = ["TRACEPARENT": traceparent, "REEVE_CORRELATION_ID": correlationID]
        // That of another trace must not be handed on.
        environment["TRACESTATE"] = tracestate ?? ""
        return environment
    }

    /// An OTLP request: that it began, or how it ended.
    func request(_ end: (how: ProcessEnd?, at: Timestamp)?) -> JSONValue {
        var span = JSONObject()
        span["traceId"] = .string(traceID)
        span["spanId"] = .string(spanID)
        span["parentSpanId"] = parentID.map { .string($0) }
        span["name"] = .string("run \(name)")
        span["kind"] = 1
        span["startTimeUnixNano"] = Self.time(startedAt)
        span["endTimeUnixNano"] = Self.time(end?.at ?? startedAt)
        var attributes = [
            Self.text("correlation_id", correlationID), Self.text("process.executable.name", name),
        ]
        attributes += more.map(Self.text)
        if let end {
            if case .exited(let status)? = end.how {
                attributes.append([
                    "key": "process.exit.code", "value": ["intValue": .string(String(status))],
                ])
            }
            let how = end.how?.description ?? "no status"
            if end.how != .exited(0) { span["status"] = ["code": 2, "message": .string(how)] }
        } else {
            attributes.append(Self.text("reeve.span.state", "pending"))
        }
        span["attributes"] = .array(attributes)
        return [
            "resourceSpans": [
                [
                    "resource": ["attributes": [Self.text("service.name", agent)]],
                    "scopeSpans": [["scope": ["name": "reeve.runner"], "spans": [.object(span)]]],
                ]
            ]
        ]
    }

    private static func time(_ time: Timestamp) -> JSONValue { .string("\(time.microseconds)000") }

    private static func text(_ name: String, _ value: String) -> JSONValue {
        ["key": .string(name), "value": ["stringValue": .string(value)]]
    }
}

extension ReeveClient {
    /// Tries once: a server that is away does without.
    func tell(_ span: ProgramSpan, ended end: (how: ProcessEnd?, at: Timestamp)? = nil) async {
        // Both headers: whatever comes of this trace belongs to that id.
        let client = with(headers: ["traceparent": span.traceparent, "x-correlation-id": span.correlationID])
        _ = try? await client.post("/v1/traces", span.request(end), patience: .none, timeout: .seconds(5))
    }

    /// Tells that a program ended, so that nobody waits for what it would have said.
    ///
    /// - Parameter isWhole: Whether all that its agent does has ended with it, and not the work in its trace alone.
    func tellEnd(
        of span: ProgramSpan, agent: String, _ end: ProcessEnd?, at time: Timestamp, isWhole: Bool
    ) async {
        await tell(span, ended: (end, time))
        var event = JSONObject()
        event["type"] = "runner.program_ended"
        event["agent"] = .string(agent)
        event["exit"] = .string(end?.description ?? "no status")
        if !isWhole { event["traceId"] = .string(span.traceID) }
        _ = try? await post("/api/events/ingest", .object(event), patience: .none, timeout: .seconds(5))
    }
}
