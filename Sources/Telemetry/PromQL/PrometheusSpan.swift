import Kernel

extension Span {
    /// A length of time as Prometheus and Alertmanager write it: `1h30m`, `30s`; `nil` for any other text.
    public init?(prometheus text: String) {
        guard let milliseconds = PromQLLexer.duration(text) else { return nil }
        self = .milliseconds(milliseconds)
    }

    /// The same, written: the largest units first, `0s` for none.
    public var prometheusText: String {
        var rest = microseconds.magnitude / 1_000
        guard rest > 0 else { return "0s" }
        var text = ""
        let units: [(String, UInt64)] = [
            ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1),
        ]
        for (name, length) in units where rest >= length {
            text += "\(rest / length)\(name)"
            rest %= length
        }
        return text
    }
}
