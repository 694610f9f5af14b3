/// The forms in which metrics are shown.
public enum MetricFormat: Sendable, CaseIterable {
    case text, openMetrics

    public var contentType: String {
        switch self {
        case .text: MetricText.contentType
        case .openMetrics: OpenMetricsText.contentType
        }
    }

    public func bytes(of page: MetricPage) -> [UInt8] {
        switch self {
        case .text: MetricText.bytes(of: page)
        case .openMetrics: OpenMetricsText.bytes(of: page)
        }
    }

    /// The one that a client likes best (RFC 9110 §12.5.1): OpenMetrics where it asks for version 1.0.0, or for none,
    /// and likes nothing better. Who takes neither gets text, as with Prometheus' own libraries.
    ///
    /// - Parameter accept: The header's value.
    public init(accept: String?) {
        // A longer one is no client's.
        guard let accept, accept.utf8.count <= Self.acceptBytesMax else {
            self = .text
            return
        }
        var openMetrics = 0.0
        var text = 0.0
        for part in accept.lowercased().split(separator: ",") {
            let range = MediaRange(part)
            switch range.name {
            case "application/openmetrics-text":
                if ["1.0.0", nil].contains(range.version) { openMetrics = max(openMetrics, range.quality) }
            case "text/plain":
                if ["0.0.4", nil].contains(range.version) { text = max(text, range.quality) }
            case "text/*", "*/*": text = max(text, range.quality)
            default: break
            }
        }
        self = openMetrics > 0 && openMetrics >= text ? .openMetrics : .text
    }

    static let acceptBytesMax = 4_096

    private struct MediaRange {
        var name = ""
        var version: String?
        /// 0 where it is no number from 0 to 1.
        var quality = 1.0

        init(_ text: Substring) {
            let parts = text.split(separator: ";").map(Self.trimmed)
            name = parts.first ?? ""
            for part in parts.dropFirst() {
                let pair = part.split(separator: "=", maxSplits: 1).map(Self.trimmed)
                guard pair.count == 2 else { continue }
                let value = pair[1].filter { $0 != "\"" }
                switch pair[0] {
                case "version": version = value
                case "q": quality = Double(value).flatMap { (0...1).contains($0) ? $0 : nil } ?? 0
                default: break
                }
            }
        }

        private static func trimmed(_ text: Substring) -> String {
            String(text.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
        }
    }
}
