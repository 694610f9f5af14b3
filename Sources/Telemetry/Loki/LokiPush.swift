import Kernel

/// A push of Loki's (Loki documentation, "HTTP API", "Ingest logs"): streams of lines, each with its labels.
struct LokiPush {
    /// Why a push is refused; all of it is, as there.
    struct Failure: Error, Equatable {
        let reason: String
    }

    /// Labels of a stream.
    static let labelsMax = 50
    /// Bytes of a label's value.
    static let valueBytesMax = 2_048

    private(set) var rows = LogRows()
    private(set) var refused: [RecordFlaw: Int] = [:]

    private let origin: LogOrigin
    private let streams: StreamLabels
    private let depthMax: Int

    private init(_ origin: LogOrigin, _ streams: StreamLabels, depthMax: Int) {
        self.origin = origin
        self.streams = streams
        self.depthMax = depthMax
    }

    // MARK: JSON

    /// - Parameter body: `{"streams":[{"stream":{…},"values":[["<nanoseconds>","line",{…}]]}]}`.
    static func json(
        _ body: [UInt8], origin: LogOrigin, streams: StreamLabels, depthMax: Int
    ) throws(Failure) -> LokiPush {
        var push = LokiPush(origin, streams, depthMax: depthMax)
        let document: JSONValue
        do { document = try JSONParser.parse(body, depthMax: depthMax) } catch {
            throw Failure(reason: "the body is no JSON document")
        }
        guard let list = document["streams"]?.array, !list.isEmpty else {
            throw Failure(reason: "`streams` is a list of at least one stream")
        }
        for stream in list {
            guard let object = stream["stream"]?.object else {
                throw Failure(reason: "a stream has no `stream` labels")
            }
            var labels: [(name: String, value: String)] = []
            for member in object.members {
                guard let value = member.value.string else {
                    throw Failure(reason: "the label \"\(member.name.prefix(80))\" is no text")
                }
                labels.append((member.name, value))
            }
            let head = try push.head(labels)
            guard let values = stream["values"]?.array, !values.isEmpty else {
                throw Failure(reason: "a stream has no `values`")
            }
            for value in values { try push.take(value, head) }
        }
        return push
    }

    private mutating func take(_ value: JSONValue, _ head: StreamHead) throws(Failure) {
        guard let parts = value.array, parts.count == 2 || parts.count == 3, let line = parts[1].string else {
            throw Failure(
                reason: "a value is [\"<nanoseconds>\", \"line\"], with an object of metadata behind them at most")
        }
        guard let text = parts[0].string, let time = Int64(text) else {
            throw Failure(reason: "a timestamp is a text of whole nanoseconds since 1970")
        }
        var metadata: [(name: String, value: String)] = []
        if parts.count == 3 {
            guard let object = parts[2].object else { throw Failure(reason: "metadata is an object") }
            for member in object.members {
                guard let value = member.value.string else {
                    throw Failure(reason: "the metadata \"\(member.name.prefix(80))\" is no text")
                }
                metadata.append((member.name, value))
            }
        }
        take(line, at: time, head, metadata)
    }

    // MARK: protobuf

    private enum Field {
        static let streams = 1
        static let labels = 1
        static let entries = 2
        static let time = 1
        static let line = 2
        static let metadata = 3
        static let seconds = 1
        static let nanoseconds = 2
        static let name = 1
        static let value = 2
    }

    /// - Parameter body: A `logproto.PushRequest` (grafana/loki, "pkg/push/push.proto").
    static func protobuf(_ body: [UInt8], origin: LogOrigin, streams: StreamLabels, depthMax: Int) throws -> LokiPush {
        var push = LokiPush(origin, streams, depthMax: depthMax)
        try body.withUnsafeBytes { body in
            var reader = ProtobufReader(body)
            while let field = try reader.next() {
                guard field.number == Field.streams, let stream = field.bytes else { continue }
                try push.take(stream: stream)
            }
        }
        return push
    }

    private mutating func take(stream: UnsafeRawBufferPointer) throws {
        var head: StreamHead?
        var entries: [UnsafeRawBufferPointer] = []
        var reader = ProtobufReader(stream)
        while let field = try reader.next() {
            guard let bytes = field.bytes else { continue }
            switch field.number {
            case Field.labels:
                do { head = try self.head(LogQL.labels(try WireText.read(bytes)).pairs) } catch let error
                    as LogQL.Failure
                {
                    throw Failure(reason: "the labels of a stream cannot be read: \(error.reason)")
                }
            case Field.entries: entries.append(bytes)
            default: break
            }
        }
        guard let head else { throw Failure(reason: "a stream has no labels") }
        guard !entries.isEmpty else { throw Failure(reason: "a stream has no entries") }
        for entry in entries { try take(entry: entry, head) }
    }

    private mutating func take(entry: UnsafeRawBufferPointer, _ head: StreamHead) throws {
        var (seconds, nanoseconds): (Int64, Int64) = (0, 0)
        var line = ""
        var metadata: [(name: String, value: String)] = []
        var reader = ProtobufReader(entry)
        while let field = try reader.next() {
            guard let bytes = field.bytes else { continue }
            switch field.number {
            case Field.time:
                var inner = ProtobufReader(bytes)
                while let part = try inner.next() {
                    guard let value = part.varint else { continue }
                    if part.number == Field.seconds { seconds = Int64(bitPattern: value) }
                    if part.number == Field.nanoseconds { nanoseconds = Int64(bitPattern: value) }
                }
            case Field.line: line = try WireText.read(bytes)
            case Field.metadata:
                var pair = (name: "", value: "")
                var inner = ProtobufReader(bytes)
                while let part = try inner.next() {
                    guard let bytes = part.bytes else { continue }
                    if part.number == Field.name { pair.name = try WireText.read(bytes) }
                    if part.number == Field.value { pair.value = try WireText.read(bytes) }
                }
                metadata.append(pair)
            default: break
            }
        }
        let (whole, isOver) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !isOver, (0..<1_000_000_000).contains(nanoseconds) else {
            throw Failure(reason: "a timestamp is out of range")
        }
        take(line, at: whole + nanoseconds, head, metadata)
    }

    // MARK: both

    /// What a stream says of all its lines.
    private struct StreamHead {
        let labels: LogLabels
        let metadata: [(name: String, value: String)]
    }

    private func head(_ pairs: [(name: String, value: String)]) throws(Failure) -> StreamHead {
        guard !pairs.isEmpty else { throw Failure(reason: "a stream has no labels") }
        guard pairs.count <= Self.labelsMax else {
            throw Failure(reason: "a stream has more than \(Self.labelsMax) labels")
        }
        for (name, value) in pairs {
            guard LogQL.isLabelName(name) else {
                throw Failure(reason: "\"\(name.prefix(80))\" is no name of a label: letters, digits and _ are")
            }
            guard value.utf8.count <= Self.valueBytesMax else {
                throw Failure(reason: "the label \"\(name.prefix(80))\" has more than \(Self.valueBytesMax) bytes")
            }
        }
        let (labels, metadata) = streams.divide(pairs)
        return StreamHead(labels: labels, metadata: metadata)
    }

    private mutating func take(
        _ line: String, at time: Int64, _ head: StreamHead, _ metadata: [(name: String, value: String)]
    ) {
        guard rows.count < TelemetryLimits.logsPerRequest else {
            refused[.tooMany, default: 0] += 1
            return
        }
        var record = lifted(line, at: time) ?? LogRecord(at: time, message: line)
        record.labels = head.labels
        for (name, value) in head.metadata + metadata { record.note(name, value) }
        for (name, value) in head.labels.pairs { record.noteLabel(name, value) }
        if record.correlationID == nil { record.correlationID = origin.correlationID }
        if let agent = origin.agent { record.agent = agent }
        if record.category == .system { record.category = record.derivedCategory }
        let row = LogRow.encode(record)
        guard row.count <= TelemetryLimits.logBytes else {
            refused[.tooLarge, default: 0] += 1
            return
        }
        rows.append(row)
    }

    /// The record that a line is in JSON.
    private func lifted(_ line: String, at time: Int64) -> LogRecord? {
        guard line.utf8.first == UInt8(ascii: "{"), let document = try? JSONParser.parse(line, depthMax: depthMax)
        else {
            return nil
        }
        return try? LogReader.read(document, from: origin, time: time, line: line)
    }
}

extension LogRecord {
    init(at time: Int64, message: String) {
        self.init(at: time)
        self.message = message
    }

    /// Takes metadata: a field of the schema that the line has not said itself, or an attribute.
    fileprivate mutating func note(_ name: String, _ value: String) {
        guard !value.isEmpty else { return }
        switch name {
        case "correlation_id", "correlationId": correlationID = correlationID ?? value
        case "trace_id", "traceId", "traceID": traceID = traceID ?? value
        case "span_id", "spanId", "spanID": spanID = spanID ?? value
        case "session_id", "sessionId": session = session ?? value
        case "turn" where Int64(value) != nil: turn = turn ?? Int64(value)
        case "duration_ms" where Double(value) != nil: durationMs = durationMs ?? Double(value)
        case "tool": tool = tool ?? value
        case "logger": logger = logger ?? value
        case "agent_id", "agent": agent = agent ?? value
        default: if attributes[name] == nil { attributes.append(name, .string(value)) }
        }
    }

    /// A label may say what service and how grave it is.
    fileprivate mutating func noteLabel(_ name: String, _ value: String) {
        switch name {
        case "service_name", "service", "app", "application", "job":
            if service == SpanHead.unknownService { service = value }
        case "level", "severity", "detected_level": if level == LogRecord(at: 0).level { level = value }
        case "agent_id", "agent": agent = agent ?? value
        case "logger": logger = logger ?? value
        case "tool": tool = tool ?? value
        case "category": category = TelemetryCategory(rawValue: value) ?? category
        default: break
        }
    }
}
