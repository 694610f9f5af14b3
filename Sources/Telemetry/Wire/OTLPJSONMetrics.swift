import Foundation
import Kernel

extension OTLPJSON {
    /// An `ExportMetricsServiceRequest`.
    ///
    /// - Parameter refuse: Hears of each data point that has no protobuf form.
    /// - Throws: ``ProtobufReader/Malformed`` where the document is no such request.
    static func metrics(
        _ document: JSONValue, refuse: (RecordFlaw) -> Void
    ) throws(ProtobufReader.Malformed) -> [UInt8] {
        var writer = ProtobufWriter()
        for group in try objects(document, "resourceMetrics") {
            let resource = try resource(group)
            var scopes: [[UInt8]] = []
            for inner in try objects(group, "scopeMetrics") {
                var scope = ProtobufWriter()
                if let message = try self.scope(inner) { scope.bytes(OTLPField.PerScope.scope, message) }
                for metric in try objects(inner, "metrics") {
                    scope.bytes(OTLPField.PerScope.records, try self.metric(metric, refuse: refuse))
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

    private static let forms = [
        ("gauge", OTLPField.Metric.gauge), ("sum", OTLPField.Metric.sum),
        ("histogram", OTLPField.Metric.histogram),
        ("exponentialHistogram", OTLPField.Metric.exponentialHistogram), ("summary", OTLPField.Metric.summary),
    ]

    private static func point(_ object: JSONObject, of field: Int) throws(RecordFlaw) -> [UInt8] {
        switch field {
        case OTLPField.Metric.histogram: try histogram(object)
        case OTLPField.Metric.exponentialHistogram: try exponential(object)
        case OTLPField.Metric.summary: try summary(object)
        default: try number(object)
        }
    }

    private static func metric(
        _ value: JSONValue, refuse: (RecordFlaw) -> Void
    ) throws(ProtobufReader.Malformed) -> [UInt8] {
        guard let object = value.object else { throw ProtobufReader.Malformed() }
        var writer = ProtobufWriter()
        do {
            if let name = try text(object, "name") { writer.string(OTLPField.Metric.name, name) }
            if let unit = try text(object, "unit") { writer.string(OTLPField.Metric.unit, unit) }
            if let help = try text(object, "description") { writer.string(OTLPField.Metric.description, help) }
        } catch { throw ProtobufReader.Malformed() }
        for (name, field) in forms {
            guard let data = object[name], let members = data.object else { continue }
            var inner = ProtobufWriter()
            for point in try objects(data, "dataPoints") {
                guard let point = point.object else { continue }
                do { inner.bytes(OTLPField.MetricData.points, try self.point(point, of: field)) } catch {
                    refuse(error)
                }
            }
            do {
                if let temporality = try count(members, "aggregationTemporality") {
                    inner.varint(OTLPField.MetricData.temporality, temporality)
                }
            } catch { throw ProtobufReader.Malformed() }
            if members["isMonotonic"]?.bool == true { inner.varint(OTLPField.MetricData.isMonotonic, 1) }
            writer.bytes(field, inner.bytes)
        }
        return writer.bytes
    }

    // MARK: data points

    private static func begin(
        _ object: JSONObject, attributes: Int, flags: Int
    ) throws(RecordFlaw) -> ProtobufWriter {
        var writer = ProtobufWriter()
        try write(attributes: object, attributes, to: &writer)
        if let time = try count(object, "startTimeUnixNano") { writer.fixed64(OTLPField.Point.startedAt, time) }
        if let time = try count(object, "timeUnixNano") { writer.fixed64(OTLPField.Point.time, time) }
        if let bits = try count(object, "flags") { writer.varint(flags, bits) }
        return writer
    }

    private static func number(_ object: JSONObject) throws(RecordFlaw) -> [UInt8] {
        var writer = try begin(object, attributes: OTLPField.Point.attributes, flags: OTLPField.Point.flags)
        if let value = object["asInt"], !value.isNull {
            writer.fixed64(OTLPField.Point.int, UInt64(bitPattern: try int(value)))
        }
        if let value = try double(object, "asDouble") { writer.fixed64(OTLPField.Point.double, value.bitPattern) }
        return writer.bytes
    }

    private static func counted(_ object: JSONObject, to writer: inout ProtobufWriter) throws(RecordFlaw) {
        if let count = try count(object, "count") { writer.fixed64(OTLPField.HistogramPoint.count, count) }
        if let sum = try double(object, "sum") { writer.fixed64(OTLPField.HistogramPoint.sum, sum.bitPattern) }
    }

    private static func histogram(_ object: JSONObject) throws(RecordFlaw) -> [UInt8] {
        var writer = try begin(
            object, attributes: OTLPField.HistogramPoint.attributes, flags: OTLPField.HistogramPoint.flags)
        try counted(object, to: &writer)
        for value in object["bucketCounts"]?.array ?? [] {
            let count = try int(value)
            guard count >= 0 else { throw .malformed }
            writer.fixed64(OTLPField.HistogramPoint.counts, UInt64(count))
        }
        for value in object["explicitBounds"]?.array ?? [] {
            guard let bound = number(value) else { throw .malformed }
            writer.fixed64(OTLPField.HistogramPoint.bounds, bound.bitPattern)
        }
        return writer.bytes
    }

    private static func exponential(_ object: JSONObject) throws(RecordFlaw) -> [UInt8] {
        var writer = try begin(
            object, attributes: OTLPField.ExponentialPoint.attributes, flags: OTLPField.ExponentialPoint.flags)
        try counted(object, to: &writer)
        return writer.bytes
    }

    private static func summary(_ object: JSONObject) throws(RecordFlaw) -> [UInt8] {
        var writer = try begin(object, attributes: OTLPField.Point.attributes, flags: OTLPField.Point.flags)
        try counted(object, to: &writer)
        for one in try list(object, "quantileValues") {
            var inner = ProtobufWriter()
            inner.fixed64(OTLPField.SummaryPoint.quantile, (try double(one, "quantile") ?? 0).bitPattern)
            inner.fixed64(OTLPField.SummaryPoint.value, (try double(one, "value") ?? 0).bitPattern)
            writer.bytes(OTLPField.SummaryPoint.quantiles, inner.bytes)
        }
        return writer.bytes
    }

    /// A number, or one of the words that protobuf's JSON has for what is none.
    private static func number(_ value: JSONValue) -> Double? {
        value.double
            ?? value.string.flatMap { $0 == "Infinity" ? .infinity : $0 == "-Infinity" ? -.infinity : Double($0) }
    }

    private static func double(_ object: JSONObject, _ name: String) throws(RecordFlaw) -> Double? {
        guard let value = object[name], !value.isNull else { return nil }
        guard let number = number(value) else { throw .malformed }
        return number
    }
}
