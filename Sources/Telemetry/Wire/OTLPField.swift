/// The numbers of the fields that are read or written here, by message (opentelemetry-proto 1.x: `trace/v1`,
/// `logs/v1`, `common/v1`, `resource/v1`, `collector/*/v1`; `google/rpc/status.proto`).
enum OTLPField {
    /// Requests, `ResourceSpans` and `ScopeSpans` are alike for all three signals: what is shared stands first.
    enum Request {
        static let resources = 1
    }

    enum PerResource {
        static let resource = 1
        static let scopes = 2
    }

    enum PerScope {
        static let scope = 1
        static let records = 2
    }

    enum Resource {
        static let attributes = 1
    }

    enum Scope {
        static let name = 1
        static let version = 2
        static let attributes = 3
    }

    enum Span {
        static let traceID = 1
        static let spanID = 2
        static let traceState = 3
        static let parentID = 4
        static let name = 5
        static let kind = 6
        static let startedAt = 7
        static let endedAt = 8
        static let attributes = 9
        static let droppedAttributes = 10
        static let events = 11
        static let droppedEvents = 12
        static let links = 13
        static let droppedLinks = 14
        static let status = 15
        static let flags = 16
    }

    enum Event {
        static let time = 1
        static let name = 2
        static let attributes = 3
        static let droppedAttributes = 4
    }

    enum Link {
        static let traceID = 1
        static let spanID = 2
        static let traceState = 3
        static let attributes = 4
        static let droppedAttributes = 5
        static let flags = 6
    }

    enum Log {
        static let time = 1
        static let severity = 2
        static let severityText = 3
        static let body = 5
        static let attributes = 6
        static let traceID = 9
        static let spanID = 10
        static let observedAt = 11
        static let eventName = 12
    }

    enum Status {
        static let message = 2
        static let code = 3
    }

    enum Metric {
        static let name = 1
        static let description = 2
        static let unit = 3
        static let gauge = 5
        static let sum = 7
        static let histogram = 9
        static let exponentialHistogram = 10
        static let summary = 11
    }

    /// `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram` and `Summary` (`metrics/v1`).
    enum MetricData {
        static let points = 1
        static let temporality = 2
        static let isMonotonic = 3
    }

    /// What the data points have in common, and what a `NumberDataPoint` has besides.
    enum Point {
        static let startedAt = 2
        static let time = 3
        static let double = 4
        static let int = 6
        static let attributes = 7
        static let flags = 8
        /// Of the flags: there was no value.
        static let noValue: UInt64 = 1
    }

    /// `HistogramDataPoint`; count and sum are alike in the others.
    enum HistogramPoint {
        static let count = 4
        static let sum = 5
        static let counts = 6
        static let bounds = 7
        static let attributes = 9
        static let flags = 10
    }

    enum ExponentialPoint {
        static let attributes = 1
        static let flags = 10
    }

    enum SummaryPoint {
        static let quantiles = 6
        static let quantile = 1
        static let value = 2
    }

    enum KeyValue {
        static let key = 1
        static let value = 2
    }

    enum AnyValue {
        static let string = 1
        static let bool = 2
        static let int = 3
        static let double = 4
        static let array = 5
        static let map = 6
        static let bytes = 7
    }

    /// `ArrayValue` and `KeyValueList`.
    enum Values {
        static let values = 1
    }

    enum Response {
        static let partialSuccess = 1
    }

    enum PartialSuccess {
        static let rejected = 1
        static let message = 2
    }

    enum RPCStatus {
        static let code = 1
        static let message = 2
    }
}
