import Foundation
import Kernel

/// Turns OTLP's JSON into its protobuf form, so that there is one way in and one form that is kept (OTLP
/// specification, "JSON Protobuf Encoding": ids are hexadecimal, enumerations numbers, whole numbers of 64 bits text or
/// numbers, unknown members ignored).
enum OTLPJSON {
    /// An `ExportTraceServiceRequest`.
    ///
    /// - Parameter refuse: Hears of each span that has no protobuf form.
    /// - Throws: ``ProtobufReader/Malformed`` where the document is no such request.
    static func traces(
        _ document: JSONValue, refuse: (RecordFlaw) -> Void
    ) throws(ProtobufReader.Malformed) -> [UInt8] {
        try request(document, ("resourceSpans", "scopeSpans", "spans"), span, refuse)
    }

    /// An `ExportLogsServiceRequest`, likewise.
    static func logs(
        _ document: JSONValue, refuse: (RecordFlaw) -> Void
    ) throws(ProtobufReader.Malformed) -> [UInt8] {
        try request(document, ("resourceLogs", "scopeLogs", "logRecords"), logRecord, refuse)
    }

    private static func request(
        _ document: JSONValue, _ names: (resources: String, scopes: String, records: String),
        _ write: (JSONValue) throws(RecordFlaw) -> [UInt8], _ refuse: (RecordFlaw) -> Void
    ) throws(ProtobufReader.Malformed) -> [UInt8] {
        var writer = ProtobufWriter()
        for group in try objects(document, names.resources) {
            let resource = try resource(group)
            var scopes: [[UInt8]] = []
            for inner in try objects(group, names.scopes) {
                var scope = ProtobufWriter()
                if let message = try self.scope(inner) { scope.bytes(OTLPField.PerScope.scope, message) }
                for record in try objects(inner, names.records) {
                    do { scope.bytes(OTLPField.PerScope.records, try write(record)) } catch { refuse(error) }
                }
                scopes.append(scope.bytes)
            }
            writer.message(OTLPField.Request.resources) { group in
                if let resource { group.bytes(OTLPField.PerResource.resource, resource) }
                for scope in scopes { group.bytes(OTLPField.PerResource.scopes, scope) }
            }
        }
        return writer.bytes
    }

    // MARK: what is around the records

    static func objects(
        _ value: JSONValue, _ name: String
    ) throws(ProtobufReader.Malformed) -> [JSONValue] {
        guard let object = value.object else { throw ProtobufReader.Malformed() }
        guard let list = object[name], !list.isNull else { return [] }
        guard let elements = list.array, elements.allSatisfy({ $0.object != nil }) else {
            throw ProtobufReader.Malformed()
        }
        return elements
    }

    static func resource(_ group: JSONValue) throws(ProtobufReader.Malformed) -> [UInt8]? {
        guard let object = group["resource"]?.object else { return nil }
        var writer = ProtobufWriter()
        do { try write(attributes: object, OTLPField.Resource.attributes, to: &writer) } catch {
            throw ProtobufReader.Malformed()
        }
        return writer.bytes
    }

    static func scope(_ group: JSONValue) throws(ProtobufReader.Malformed) -> [UInt8]? {
        guard let object = group["scope"]?.object else { return nil }
        var writer = ProtobufWriter()
        do {
            if let name = try text(object, "name") { writer.string(OTLPField.Scope.name, name) }
            if let version = try text(object, "version") { writer.string(OTLPField.Scope.version, version) }
            try write(attributes: object, OTLPField.Scope.attributes, to: &writer)
        } catch { throw ProtobufReader.Malformed() }
        return writer.bytes
    }

    // MARK: spans

    private static func span(_ value: JSONValue) throws(RecordFlaw) -> [UInt8] {
        guard let object = value.object else { throw .malformed }
        var writer = ProtobufWriter()
        writer.bytes(OTLPField.Span.traceID, try id(object, "traceId") ?? [])
        writer.bytes(OTLPField.Span.spanID, try id(object, "spanId") ?? [])
        if let parent = try id(object, "parentSpanId"), !parent.isEmpty {
            writer.bytes(OTLPField.Span.parentID, parent)
        }
        if let state = try text(object, "traceState") { writer.string(OTLPField.Span.traceState, state) }
        if let name = try text(object, "name") { writer.string(OTLPField.Span.name, name) }
        if let kind = try count(object, "kind") { writer.varint(OTLPField.Span.kind, kind) }
        if let time = try count(object, "startTimeUnixNano") { writer.fixed64(OTLPField.Span.startedAt, time) }
        if let time = try count(object, "endTimeUnixNano") { writer.fixed64(OTLPField.Span.endedAt, time) }
        try write(attributes: object, OTLPField.Span.attributes, to: &writer)
        if let dropped = try count(object, "droppedAttributesCount") {
            writer.varint(OTLPField.Span.droppedAttributes, dropped)
        }
        for event in try list(object, "events") { writer.bytes(OTLPField.Span.events, try self.event(event)) }
        if let dropped = try count(object, "droppedEventsCount") {
            writer.varint(OTLPField.Span.droppedEvents, dropped)
        }
        for link in try list(object, "links") { writer.bytes(OTLPField.Span.links, try self.link(link)) }
        if let dropped = try count(object, "droppedLinksCount") {
            writer.varint(OTLPField.Span.droppedLinks, dropped)
        }
        if let status = object["status"]?.object {
            var inner = ProtobufWriter()
            if let message = try text(status, "message") { inner.string(OTLPField.Status.message, message) }
            if let code = try count(status, "code") { inner.varint(OTLPField.Status.code, code) }
            writer.bytes(OTLPField.Span.status, inner.bytes)
        }
        if let flags = try count(object, "flags") {
            writer.fixed32(OTLPField.Span.flags, UInt32(truncatingIfNeeded: flags))
        }
        return writer.bytes
    }

    private static func event(_ object: JSONObject) throws(RecordFlaw) -> [UInt8] {
        var writer = ProtobufWriter()
        if let time = try count(object, "timeUnixNano") { writer.fixed64(OTLPField.Event.time, time) }
        if let name = try text(object, "name") { writer.string(OTLPField.Event.name, name) }
        try write(attributes: object, OTLPField.Event.attributes, to: &writer)
        if let dropped = try count(object, "droppedAttributesCount") {
            writer.varint(OTLPField.Event.droppedAttributes, dropped)
        }
        return writer.bytes
    }

    private static func link(_ object: JSONObject) throws(RecordFlaw) -> [UInt8] {
        var writer = ProtobufWriter()
        if let trace = try id(object, "traceId") { writer.bytes(OTLPField.Link.traceID, trace) }
        if let span = try id(object, "spanId") { writer.bytes(OTLPField.Link.spanID, span) }
        if let state = try text(object, "traceState") { writer.string(OTLPField.Link.traceState, state) }
        try write(attributes: object, OTLPField.Link.attributes, to: &writer)
        if let dropped = try count(object, "droppedAttributesCount") {
            writer.varint(OTLPField.Link.droppedAttributes, dropped)
        }
        if let flags = try count(object, "flags") {
            writer.fixed32(OTLPField.Link.flags, UInt32(truncatingIfNeeded: flags))
        }
        return writer.bytes
    }

    // MARK: logs

    private static func logRecord(_ value: JSONValue) throws(RecordFlaw) -> [UInt8] {
        guard let object = value.object else { throw .malformed }
        var writer = ProtobufWriter()
        if let time = try count(object, "timeUnixNano") { writer.fixed64(OTLPField.Log.time, time) }
        if let time = try count(object, "observedTimeUnixNano") { writer.fixed64(OTLPField.Log.observedAt, time) }
        if let number = try count(object, "severityNumber") { writer.varint(OTLPField.Log.severity, number) }
        if let text = try text(object, "severityText") { writer.string(OTLPField.Log.severityText, text) }
        if let body = object["body"], !body.isNull { writer.bytes(OTLPField.Log.body, try any(body, depth: 0)) }
        try write(attributes: object, OTLPField.Log.attributes, to: &writer)
        if let trace = try id(object, "traceId"), !trace.isEmpty { writer.bytes(OTLPField.Log.traceID, trace) }
        if let span = try id(object, "spanId"), !span.isEmpty { writer.bytes(OTLPField.Log.spanID, span) }
        if let name = try text(object, "eventName") { writer.string(OTLPField.Log.eventName, name) }
        return writer.bytes
    }

    // MARK: values

    static func write(
        attributes object: JSONObject, _ number: Int, to writer: inout ProtobufWriter
    ) throws(RecordFlaw) {
        for attribute in try list(object, "attributes") { writer.bytes(number, try pair(attribute, depth: 0)) }
    }

    private static func pair(_ object: JSONObject, depth: Int) throws(RecordFlaw) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.string(OTLPField.KeyValue.key, try text(object, "key") ?? "")
        if let value = object["value"], !value.isNull {
            writer.bytes(OTLPField.KeyValue.value, try any(value, depth: depth))
        }
        return writer.bytes
    }

    private static func any(_ value: JSONValue, depth: Int) throws(RecordFlaw) -> [UInt8] {
        guard depth < AttributeValue.depthMax else { throw .nestedTooDeep }
        guard let object = value.object else { throw .malformed }
        var writer = ProtobufWriter()
        if let text = try text(object, "stringValue") { writer.string(OTLPField.AnyValue.string, text) }
        if let value = object["boolValue"], !value.isNull {
            guard let bool = value.bool else { throw .malformed }
            writer.varint(OTLPField.AnyValue.bool, bool ? 1 : 0)
        }
        if let value = object["intValue"], !value.isNull {
            writer.varint(OTLPField.AnyValue.int, UInt64(bitPattern: try int(value)))
        }
        if let value = object["doubleValue"], !value.isNull {
            guard let number = value.double ?? value.string.flatMap(Double.init) else { throw .malformed }
            writer.fixed64(OTLPField.AnyValue.double, number.bitPattern)
        }
        if let text = try text(object, "bytesValue") {
            guard let data = Data(base64Encoded: text) else { throw .malformed }
            writer.bytes(OTLPField.AnyValue.bytes, data)
        }
        if let inner = object["arrayValue"]?.object {
            var values = ProtobufWriter()
            for element in inner["values"]?.array ?? [] {
                values.bytes(OTLPField.Values.values, try any(element, depth: depth + 1))
            }
            writer.bytes(OTLPField.AnyValue.array, values.bytes)
        }
        if let inner = object["kvlistValue"]?.object {
            var values = ProtobufWriter()
            for member in try list(inner, "values") {
                values.bytes(OTLPField.Values.values, try pair(member, depth: depth + 1))
            }
            writer.bytes(OTLPField.AnyValue.map, values.bytes)
        }
        return writer.bytes
    }

    static func list(_ object: JSONObject, _ name: String) throws(RecordFlaw) -> [JSONObject] {
        guard let value = object[name], !value.isNull else { return [] }
        guard let elements = value.array else { throw .malformed }
        var objects: [JSONObject] = []
        for element in elements {
            guard let object = element.object else { throw .malformed }
            objects.append(object)
        }
        return objects
    }

    static func text(_ object: JSONObject, _ name: String) throws(RecordFlaw) -> String? {
        guard let value = object[name], !value.isNull else { return nil }
        guard let text = value.string else { throw .malformed }
        return text
    }

    /// The bytes of hexadecimal digits; empty where the text is none, which no id is.
    private static func id(_ object: JSONObject, _ name: String) throws(RecordFlaw) -> [UInt8]? {
        try text(object, name).map { Hexadecimal.decode($0) ?? [] }
    }

    static func int(_ value: JSONValue) throws(RecordFlaw) -> Int64 {
        guard let number = value.int ?? value.string.flatMap(Int64.init) else { throw .malformed }
        return number
    }

    /// A whole number that is not negative.
    static func count(_ object: JSONObject, _ name: String) throws(RecordFlaw) -> UInt64? {
        guard let value = object[name], !value.isNull else { return nil }
        guard let number = value.int.flatMap(UInt64.init(exactly:)) ?? value.string.flatMap(UInt64.init) else {
            throw .malformed
        }
        return number
    }
}
