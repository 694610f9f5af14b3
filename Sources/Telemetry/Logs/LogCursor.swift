/// Where a page of log records ended.
public struct LogCursor: Sendable, Equatable, CustomStringConvertible {
    /// Records of one moment that can be passed over.
    static let skipMax = 100_000

    /// The time of the last record, nanoseconds since 1970.
    let time: Int64
    /// Records of that time which were shown.
    let skip: Int

    init(time: Int64, skip: Int) {
        self.time = time
        self.skip = skip
    }

    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let time = Int64(parts[0]), let skip = Int(parts[1]), (0...Self.skipMax).contains(skip)
        else { return nil }
        self.init(time: time, skip: skip)
    }

    public var description: String { "\(time).\(skip)" }
}
