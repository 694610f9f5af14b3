import Kernel

/// Takes the values of known secrets, and what looks like a key, out of records before they are kept, wherever they
/// came in.
struct SecretSweep {
    /// What a message of Protocol Buffers is, as far as there are texts in it. What is not among its fields here is a
    /// text, or bytes that are looked through as one.
    private enum Shape {
        case row, request, resourceSpans, resource, scopeSpans, scope, span, event, link, attribute, value, list, pairs
        case metrics, resourceMetrics, scopeMetrics, metric, points, number, histograms, histogram, exponentials
        case exponential, exemplar

        /// The message that a field holds; `nil` where it holds none.
        func message(_ field: Int) -> Shape? {
            switch (self, field) {
            case (.request, 1): .resourceSpans
            case (.resourceSpans, 1): .resource
            case (.resourceSpans, 2): .scopeSpans
            case (.resource, 1), (.span, 9), (.event, 3), (.link, 4), (.scope, 3), (.pairs, 1): .attribute
            case (.scopeSpans, 1): .scope
            case (.scopeSpans, 2): .span
            case (.span, 11): .event
            case (.span, 13): .link
            // A status: its message is a text.
            case (.span, 15): .row
            case (.metrics, 1): .resourceMetrics
            case (.resourceMetrics, 1): .resource
            case (.resourceMetrics, 2): .scopeMetrics
            case (.scopeMetrics, 1): .scope
            case (.scopeMetrics, 2): .metric
            // Gauges, sums and summaries have their labels at the same place.
            case (.metric, 5), (.metric, 7), (.metric, 11): .points
            case (.metric, 9): .histograms
            case (.metric, 10): .exponentials
            case (.histograms, 1): .histogram
            case (.exponentials, 1): .exponential
            case (.histogram, 9), (.exponential, 1): .attribute
            case (.histogram, 8), (.exponential, 11): .exemplar
            case (.points, 1): .number
            case (.metric, 12), (.number, 7), (.exemplar, 7): .attribute
            case (.number, 5): .exemplar
            case (.attribute, 2): .value
            case (.value, 5): .list
            case (.value, 6): .pairs
            case (.list, 1): .value
            default: nil
            }
        }
    }

    /// Deeper values are refused by the door anyway.
    private static let depthMax = 12 + 2 * AttributeValue.depthMax

    private let look: SecretLook
    private var finds = SecretFinds()

    private init(_ look: SecretLook) { self.look = look }

    /// Rows of logs.
    static func clean(_ rows: LogRows, _ watch: SecretWatch) -> LogRows {
        let look = watch.look
        // One look at all of them: nearly always there is nothing.
        guard look.mayFind(rows.bytes) else { return rows }
        var sweep = SecretSweep(look)
        var lines = look.patterns.hasKeys ? KeyLines() : nil
        var clean = LogRows()
        do {
            try rows.each { row in clean.append(try sweep.row(row, &lines)) }
        } catch { return rows }
        if let count = lines?.count, count > 0 { sweep.finds.merge(.keys(count)) }
        guard !sweep.finds.isEmpty else { return rows }
        watch.note(sweep.finds, at: "logs")
        return clean
    }

    /// The bytes of an OTLP `ExportTraceServiceRequest`.
    static func clean(spans body: [UInt8], _ watch: SecretWatch) -> [UInt8] {
        clean(body, as: .request, watch, at: "spans")
    }

    /// The bytes of an OTLP `ExportMetricsServiceRequest`.
    static func clean(metrics body: [UInt8], _ watch: SecretWatch) -> [UInt8] {
        clean(body, as: .metrics, watch, at: "metrics")
    }

    private static func clean(_ body: [UInt8], as shape: Shape, _ watch: SecretWatch, at door: String) -> [UInt8] {
        let look = watch.look
        guard look.mayFind(body) else { return body }
        var sweep = SecretSweep(look)
        // What cannot be read is refused by whoever reads it next.
        guard let clean = try? body.withUnsafeBytes({ try sweep.message($0, shape, depth: 0) }),
            !sweep.finds.isEmpty
        else { return body }
        watch.note(sweep.finds, at: door)
        return clean
    }

    /// A row, and the line of a private key that it may be.
    private mutating func row(_ row: UnsafeRawBufferPointer, _ lines: inout KeyLines?) throws -> [UInt8] {
        let clean = try message(row, .row, depth: 0)
        guard let line = try LogRow.Fields(row)[LogRow.Field.message], let mark = lines?.take(line) else {
            return clean
        }
        return try clean.withUnsafeBytes { try LogRow.replacing(LogRow.Field.message, of: $0, with: mark) }
    }

    private mutating func message(
        _ bytes: UnsafeRawBufferPointer, _ shape: Shape, depth: Int
    ) throws(ProtobufReader.Malformed) -> [UInt8] {
        guard depth <= Self.depthMax else { throw ProtobufReader.Malformed() }
        return try ProtobufWriter.rewriting(bytes) { field, inner throws(ProtobufReader.Malformed) in
            if let shape = shape.message(field) { return try message(inner, shape, depth: depth + 1) }
            let (clean, found) = look.redact(Array(inner))
            if !found.isEmpty { finds.merge(found) }
            return clean
        }
    }
}
