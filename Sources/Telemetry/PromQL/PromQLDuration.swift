/// Lengths of time as Prometheus writes them: `1h30m`.
public enum PromQLDuration {
    /// `nil` where the text is none.
    public static func milliseconds(_ text: String) -> Int64? { PromQLLexer.duration(text) }
}
