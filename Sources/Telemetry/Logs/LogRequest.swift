import Kernel

/// The log records of an OTLP `ExportLogsServiceRequest`: one that cannot be taken costs the others nothing.
struct LogRequest {
    private(set) var rows = LogRows()
    private(set) var refused: [RecordFlaw: Int] = [:]

    /// - Throws: ``ProtobufReader/Malformed`` where the bytes are no such request.
    init(_ body: [UInt8], origin: LogOrigin) throws(ProtobufReader.Malformed) {
        var (rows, refused): (LogRows, [RecordFlaw: Int]) = (LogRows(), [:])
        let result = body.withUnsafeBytes { body in
            Result { () throws(ProtobufReader.Malformed) in
                var groups = LogGroups()
                try OTLPRequest.walk(body) { resource, scope, message in
                    let result = Result { () throws(RecordFlaw) in
                        guard rows.count < TelemetryLimits.logsPerRequest else { throw .tooMany }
                        let record = try OTLPLogReader.read(message, of: try groups.group(resource, scope), origin)
                        let row = LogRow.encode(record)
                        guard row.count <= TelemetryLimits.logBytes else { throw .tooLarge }
                        rows.append(row)
                    }
                    if case .failure(let flaw) = result { refused[flaw, default: 0] += 1 }
                }
            }
        }
        try result.get()
        (self.rows, self.refused) = (rows, refused)
    }
}

/// What a resource and a scope say of all their records.
struct LogGroup {
    var service = SpanHead.unknownService
    var scope: String?
    var attributes: [Attribute] = []
}

/// Each group is read once.
private struct LogGroups {
    private var known: (resource: UnsafeRawPointer?, scope: UnsafeRawPointer?, group: Result<LogGroup, RecordFlaw>)?

    mutating func group(
        _ resource: UnsafeRawBufferPointer?, _ scope: UnsafeRawBufferPointer?
    ) throws(RecordFlaw) -> LogGroup {
        if let known, known.resource == resource?.baseAddress, known.scope == scope?.baseAddress {
            return try known.group.get()
        }
        let group = Result { () throws(RecordFlaw) in try Self.read(resource, scope) }
        known = (resource?.baseAddress, scope?.baseAddress, group)
        return try group.get()
    }

    private static func read(
        _ resource: UnsafeRawBufferPointer?, _ scope: UnsafeRawBufferPointer?
    ) throws(RecordFlaw) -> LogGroup {
        var group = LogGroup()
        for message in [resource, scope] where (message?.count ?? 0) > TelemetryLimits.resourceBytes { throw .tooLarge }
        if let resource {
            group.attributes = try .read(resource, field: OTLPField.Resource.attributes)
            if let name = group.attributes["service.name"]?.string, !name.isEmpty { group.service = name }
            group.attributes.removeAll { $0.name == "service.name" }
        }
        if let scope {
            var reader = ProtobufReader(scope)
            while let field = try reader.field() {
                guard field.number == OTLPField.Scope.name, let bytes = field.bytes else { continue }
                let name = try WireText.read(bytes)
                group.scope = name.isEmpty ? nil : name
            }
        }
        return group
    }
}

/// Reads an OTLP `LogRecord` in the schema that all logs share.
enum OTLPLogReader {
    static func read(
        _ message: UnsafeRawBufferPointer, of group: LogGroup, _ origin: LogOrigin
    ) throws(RecordFlaw) -> LogRecord {
        guard message.count <= TelemetryLimits.recordBytes else { throw .tooLarge }
        var record = LogRecord(at: origin.arrival)
        var (time, observedAt, severity): (UInt64, UInt64, UInt64) = (0, 0, 0)
        var attributes: [Attribute] = []
        var (body, event): (AttributeValue?, String?)
        var reader = ProtobufReader(message)
        while let field = try reader.field() {
            switch (field.number, field.value) {
            case (OTLPField.Log.time, .fixed64(let value)): time = value
            case (OTLPField.Log.observedAt, .fixed64(let value)): observedAt = value
            case (OTLPField.Log.severity, .varint(let value)): severity = value
            case (OTLPField.Log.severityText, .bytes(let bytes)): record.level = try WireText.read(bytes)
            case (OTLPField.Log.body, .bytes(let bytes)): body = try AttributeValue.read(bytes)
            case (OTLPField.Log.traceID, .bytes(let bytes)): record.traceID = TraceID(bytes)?.description
            case (OTLPField.Log.spanID, .bytes(let bytes)): record.spanID = SpanID(bytes)?.description
            case (OTLPField.Log.eventName, .bytes(let bytes)): event = try WireText.read(bytes)
            case (OTLPField.Log.attributes, .bytes(let bytes)):
                let pair = try AttributePair(bytes)
                let value = try pair.value.map { bytes throws(RecordFlaw) in try AttributeValue.read(bytes) }
                attributes.append(Attribute(try WireText.read(pair.name), value ?? .empty))
            default: break
            }
        }
        if let stated = [time, observedAt].first(where: { $0 > 0 }) { record.time = Int64(clamping: stated) }
        if record.level.isEmpty || severity > 0 && record.level == LogRecord(at: 0).level {
            record.level = LogSeverity(otlp: severity).name
        }
        record.service = group.service
        record.logger = group.scope
        record.message = text(of: body) ?? event ?? ""
        fill(&record, attributes, event, group, origin)
        return record
    }

    private static func text(of body: AttributeValue?) -> String? {
        switch body {
        case nil, .empty?: nil
        case .string(let text)?: text
        case let value?: value.json.text
        }
    }

    private static func fill(
        _ record: inout LogRecord, _ attributes: [Attribute], _ event: String?, _ group: LogGroup, _ origin: LogOrigin
    ) {
        var rest = attributes
        for (name, field) in LogRole.names {
            guard record[keyPath: field] == nil, let index = rest.firstIndex(where: { $0.name == name }),
                let text = rest[index].value.string, !text.isEmpty
            else { continue }
            record[keyPath: field] = text
            rest.remove(at: index)
        }
        if let index = rest.firstIndex(where: { $0.name == "turn" }), let turn = rest[index].value.int {
            record.turn = turn
            rest.remove(at: index)
        }
        if let index = rest.firstIndex(where: { $0.name == "duration_ms" }), let value = rest[index].value.json.double {
            record.durationMs = value
            rest.remove(at: index)
        }
        record.correlationID = record.correlationID ?? origin.correlationID
        if let agent = origin.agent { record.agent = agent }
        let stated = rest.first { $0.name == "category" }?.value.string.flatMap(TelemetryCategory.init(rawValue:))
        record.category = stated ?? record.derivedCategory
        if let event, event != record.message { rest.append(Attribute("event.name", .string(event))) }
        var object = JSONObject()
        for attribute in rest + group.attributes where object[attribute.name] == nil {
            object.append(attribute.name, attribute.value.json)
        }
        record.attributes = object
    }
}

extension LogSeverity {
    /// From a `SeverityNumber` (OpenTelemetry, "Logs Data Model").
    init(otlp number: UInt64) {
        switch number {
        case 1...4: self = .trace
        case 5...8: self = .debug
        case 13...16: self = .warning
        case 17...20: self = .error
        case 21...24: self = .fatal
        default: self = .info
        }
    }
}
