/// One data point of OTLP, as the samples that it becomes.
struct MetricPoint {
    enum Change {
        /// Each sample is worth what it says.
        case whole
        /// Each is what came in since the last.
        case delta
    }

    /// What a sample of it is, for series that are put together.
    enum Part {
        case value
        /// Sums of several series are the sum of all.
        case count
    }

    var samples: [(labels: LabelSet, value: Double, part: Part)] = []
    let time: Int64
    let change: Change
}

/// What a metric is, for those who ask.
struct MetricAbout: Sendable, Equatable {
    let kind: String
    let help: String
    let unit: String
}

/// Reads an OTLP `ExportMetricsServiceRequest` (`opentelemetry-proto`, `metrics/v1`).
struct MetricReader {
    private(set) var points: [MetricPoint] = []
    private(set) var about: [String: MetricAbout] = [:]
    private(set) var refused: [RecordFlaw: Int] = [:]

    /// Labels of a point, and bytes of a value.
    static let labelsMax = 64
    static let valueBytesMax = 2_048

    private let agent: String?
    private let now: Int64
    private var seen = 0

    private struct Metric {
        let name: String
        let field: Int
        let isMonotonic: Bool
        let temporality: UInt64
    }

    /// - Parameters:
    ///   - agent: Whose points they are, where the key says so; it overrules what they say.
    ///   - now: The time of points that have none, in milliseconds.
    /// - Throws: ``ProtobufReader/Malformed`` where the bytes are no such request.
    init(_ body: [UInt8], agent: String?, now: Int64) throws(ProtobufReader.Malformed) {
        self.agent = agent
        self.now = now
        var failure: ProtobufReader.Malformed?
        body.withUnsafeBytes { bytes in
            do throws(ProtobufReader.Malformed) { try read(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    private mutating func refuse(_ flaw: RecordFlaw, _ count: Int = 1) { refused[flaw, default: 0] += count }

    private mutating func read(_ body: UnsafeRawBufferPointer) throws(ProtobufReader.Malformed) {
        for group in try Self.messages(OTLPField.Request.resources, in: body) {
            let resource = try Self.messages(OTLPField.PerResource.resource, in: group).first
            let shared = Result { () throws(RecordFlaw) in try labels(of: resource) }
            for inner in try Self.messages(OTLPField.PerResource.scopes, in: group) {
                for metric in try Self.messages(OTLPField.PerScope.records, in: inner) { try read(metric, shared) }
            }
        }
    }

    /// The messages that stand under a number.
    private static func messages(
        _ number: Int, in message: UnsafeRawBufferPointer
    ) throws(ProtobufReader.Malformed) -> [UnsafeRawBufferPointer] {
        var found: [UnsafeRawBufferPointer] = []
        var reader = ProtobufReader(message)
        while let field = try reader.next() {
            if field.number == number, let bytes = field.bytes { found.append(bytes) }
        }
        return found
    }

    /// `job` and `instance`, from who the resource says it is.
    private func labels(of resource: UnsafeRawBufferPointer?) throws(RecordFlaw) -> [String: String] {
        var labels: [String: String] = [:]
        if let resource {
            guard resource.count <= TelemetryLimits.resourceBytes else { throw .tooLarge }
            let attributes = try [Attribute].read(resource, field: OTLPField.Resource.attributes)
            if let name = attributes["service.name"]?.string {
                labels["job"] = attributes["service.namespace"]?.string.map { "\($0)/\(name)" } ?? name
            }
            if let instance = attributes["service.instance.id"]?.string { labels["instance"] = instance }
        }
        if let agent { labels["agent"] = agent }
        return labels
    }

    // MARK: Metrics

    private mutating func read(
        _ message: UnsafeRawBufferPointer, _ shared: Result<[String: String], RecordFlaw>
    ) throws(ProtobufReader.Malformed) {
        var texts: [Int: UnsafeRawBufferPointer] = [:]
        var data: (field: Int, message: UnsafeRawBufferPointer)?
        var reader = ProtobufReader(message)
        while let field = try reader.next() {
            guard let bytes = field.bytes else { continue }
            switch field.number {
            case OTLPField.Metric.name, OTLPField.Metric.unit, OTLPField.Metric.description:
                texts[field.number] = bytes
            case OTLPField.Metric.gauge, OTLPField.Metric.sum, OTLPField.Metric.histogram,
                OTLPField.Metric.exponentialHistogram, OTLPField.Metric.summary:
                data = (field.number, bytes)
            default: break
            }
        }
        guard let data else { return }
        let metric = Result { () throws(RecordFlaw) in try self.metric(texts, data) }
        for point in try Self.messages(OTLPField.MetricData.points, in: data.message) {
            seen += 1
            guard seen <= TelemetryLimits.recordsPerRequest else {
                refuse(.tooMany)
                continue
            }
            do throws(RecordFlaw) {
                let made = try self.point(point, of: try metric.get(), try shared.get())
                points.append(made)
            } catch { refuse(error) }
        }
    }

    private mutating func metric(
        _ texts: [Int: UnsafeRawBufferPointer], _ data: (field: Int, message: UnsafeRawBufferPointer)
    ) throws(RecordFlaw) -> Metric {
        func text(_ number: Int) throws(RecordFlaw) -> String {
            guard let bytes = texts[number] else { return "" }
            guard bytes.count <= Self.valueBytesMax else { throw .tooLarge }
            return try WireText.read(bytes)
        }
        var isMonotonic = false
        var temporality: UInt64 = 0
        var reader = ProtobufReader(data.message)
        while let field = try reader.field() {
            if field.number == OTLPField.MetricData.temporality { temporality = field.varint ?? 0 }
            if field.number == OTLPField.MetricData.isMonotonic { isMonotonic = field.varint ?? 0 != 0 }
        }
        let unit = try text(OTLPField.Metric.unit)
        let isSum = data.field == OTLPField.Metric.sum
        let isGauge = data.field == OTLPField.Metric.gauge
        let raw = try text(OTLPField.Metric.name)
        guard !raw.isEmpty else { throw .malformed }
        let name = MetricName.of(raw, unit: unit, isCounter: isSum && isMonotonic, isGauge: isGauge)
        let isWhole = isGauge || data.field == OTLPField.Metric.summary
        guard isWhole || temporality == Self.cumulative || temporality == Self.delta else { throw .noTemporality }
        let kind =
            switch data.field {
            case OTLPField.Metric.summary: "summary"
            case OTLPField.Metric.histogram: "histogram"
            case OTLPField.Metric.sum where isMonotonic: "counter"
            case OTLPField.Metric.exponentialHistogram: "unknown"
            default: "gauge"
            }
        about[name] = MetricAbout(kind: kind, help: try text(OTLPField.Metric.description), unit: "")
        return Metric(name: name, field: data.field, isMonotonic: isMonotonic, temporality: temporality)
    }

    /// `AggregationTemporality`.
    private static let delta: UInt64 = 1
    private static let cumulative: UInt64 = 2

    // MARK: Data points

    /// What stands in any of them; which fields those are depends on the message.
    private struct Fields {
        var time: UInt64 = 0
        var flags: UInt64 = 0
        var value: Double?
        var count: UInt64 = 0
        var sum: Double?
        var counts: [UInt64] = []
        var bounds: [Double] = []
        var quantiles: [(share: Double, value: Double)] = []
    }

    private func point(
        _ message: UnsafeRawBufferPointer, of metric: Metric, _ shared: [String: String]
    ) throws(RecordFlaw) -> MetricPoint {
        guard message.count <= TelemetryLimits.recordBytes else { throw .tooLarge }
        let isHistogram = metric.field == OTLPField.Metric.histogram
        let isExponential = metric.field == OTLPField.Metric.exponentialHistogram
        let attributes =
            isHistogram
            ? OTLPField.HistogramPoint.attributes
            : isExponential ? OTLPField.ExponentialPoint.attributes : OTLPField.Point.attributes
        var labels = MetricName.labels(try [Attribute].read(message, field: attributes))
        labels.merge(shared) { $1 }
        guard labels.count <= Self.labelsMax, labels.values.allSatisfy({ $0.utf8.count <= Self.valueBytesMax }) else {
            throw .tooLarge
        }
        let fields = try fields(message, metric, flags: isHistogram || isExponential)
        let milliseconds = Int64(fields.time / 1_000_000)
        let isDelta = metric.temporality == Self.delta && metric.field != OTLPField.Metric.gauge
        var point = MetricPoint(
            time: milliseconds > 0 ? milliseconds : now,
            change: isDelta && metric.field != OTLPField.Metric.summary ? .delta : .whole)
        let isMissing = fields.flags & OTLPField.Point.noValue != 0
        func add(_ suffix: String, _ value: Double, _ extra: (String, String)? = nil, _ part: MetricPoint.Part) {
            var all = labels
            if let extra { all[extra.0] = extra.1 }
            all[LabelSet.metricName] = metric.name + suffix
            point.samples.append((LabelSet(all.map { ($0.key, $0.value) }), isMissing ? Sample.stale : value, part))
        }
        switch metric.field {
        case OTLPField.Metric.gauge, OTLPField.Metric.sum:
            guard let value = fields.value ?? (isMissing ? 0 : nil) else { throw .malformed }
            add("", value, nil, metric.field == OTLPField.Metric.sum ? .count : .value)
            return point
        case OTLPField.Metric.histogram:
            guard fields.counts.isEmpty || fields.counts.count == fields.bounds.count + 1,
                zip(fields.bounds, fields.bounds.dropFirst()).allSatisfy({ $0 < $1 })
            else { throw .malformed }
            var below = 0.0
            for (bound, count) in zip(fields.bounds, fields.counts) {
                below += Double(count)
                add("_bucket", below, ("le", QueryText.number(bound)), .count)
            }
            add("_bucket", Double(fields.count), ("le", "+Inf"), .count)
        case OTLPField.Metric.summary:
            for one in fields.quantiles { add("", one.value, ("quantile", QueryText.number(one.share)), .value) }
        default: break
        }
        add("_count", Double(fields.count), nil, .count)
        if let sum = fields.sum { add("_sum", sum, nil, .count) }
        return point
    }

    private func fields(
        _ message: UnsafeRawBufferPointer, _ metric: Metric, flags: Bool
    ) throws(RecordFlaw) -> Fields {
        var fields = Fields()
        let isNumber = metric.field == OTLPField.Metric.gauge || metric.field == OTLPField.Metric.sum
        let isHistogram = metric.field == OTLPField.Metric.histogram
        let flagsField = flags ? OTLPField.HistogramPoint.flags : OTLPField.Point.flags
        var reader = ProtobufReader(message)
        while let field = try reader.field() {
            switch (field.number, field.value) {
            case (OTLPField.Point.time, .fixed64(let time)): fields.time = time
            case (flagsField, .varint(let bits)): fields.flags = bits
            case (OTLPField.Point.double, .fixed64(let bits)) where isNumber:
                fields.value = Double(bitPattern: bits)
            case (OTLPField.Point.int, .fixed64(let bits)) where isNumber:
                fields.value = Double(Int64(bitPattern: bits))
            case (OTLPField.HistogramPoint.count, .fixed64(let count)): fields.count = count
            case (OTLPField.HistogramPoint.sum, .fixed64(let bits)): fields.sum = Double(bitPattern: bits)
            case (OTLPField.HistogramPoint.counts, _) where isHistogram: fields.counts += try Self.words(field.value)
            case (OTLPField.HistogramPoint.bounds, _) where isHistogram:
                fields.bounds += try Self.words(field.value).map(Double.init(bitPattern:))
            case (OTLPField.SummaryPoint.quantiles, .bytes(let inner)) where metric.field == OTLPField.Metric.summary:
                fields.quantiles.append(try Self.quantile(inner))
            default: break
            }
        }
        guard fields.bounds.count <= Self.bucketsMax, fields.quantiles.count <= Self.bucketsMax else { throw .tooLarge }
        return fields
    }

    /// Buckets of a histogram, and quantiles of a summary.
    static let bucketsMax = 500

    /// Numbers of eight bytes, packed or one by one.
    private static func words(_ value: ProtobufReader.Value) throws(RecordFlaw) -> [UInt64] {
        switch value {
        case .fixed64(let word): return [word]
        case .bytes(let bytes):
            guard bytes.count % 8 == 0, bytes.count / 8 <= bucketsMax + 1 else { throw .malformed }
            return stride(from: 0, to: bytes.count, by: 8).map {
                UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt64.self))
            }
        default: throw .malformed
        }
    }

    private static func quantile(_ message: UnsafeRawBufferPointer) throws(RecordFlaw) -> (Double, Double) {
        var (share, value) = (0.0, 0.0)
        var reader = ProtobufReader(message)
        while let field = try reader.field() {
            guard let bits = field.fixed64 else { continue }
            if field.number == OTLPField.SummaryPoint.quantile { share = Double(bitPattern: bits) }
            if field.number == OTLPField.SummaryPoint.value { value = Double(bitPattern: bits) }
        }
        return (share, value)
    }
}
