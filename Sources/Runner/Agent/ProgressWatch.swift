import Kernel

/// Tells a program that hangs from one that is merely quiet: progress is output, or more than a trace of CPU time.
/// Pure: it is fed with readings.
public struct ProgressWatch: Sendable, Equatable {
    public let timeout: Span
    /// Below this share of a core, CPU time counts as idle ticking of timers.
    public static let cpuShare = 0.01

    private var progressedAt: Timestamp
    private var readAt: Timestamp
    private var outputBytes: Int64 = 0
    private var cpuSeconds: Double = 0

    public init(timeout: Span, startedAt: Timestamp) {
        self.timeout = timeout
        self.progressedAt = startedAt
        self.readAt = startedAt
    }

    /// How often to read: four times within the timeout, at most every 5 s.
    public var interval: Span { min(.seconds(5), timeout * 0.25) }

    /// Takes a reading; `true` where the program has made no progress for the whole timeout.
    public mutating func isHung(outputBytes: Int64, cpuSeconds: Double, at now: Timestamp) -> Bool {
        let worked = cpuSeconds - self.cpuSeconds
        if outputBytes != self.outputBytes || worked >= (now - readAt).seconds * Self.cpuShare && worked > 0 {
            progressedAt = now
        }
        self.outputBytes = outputBytes
        self.cpuSeconds = cpuSeconds
        readAt = now
        return now - progressedAt >= timeout
    }
}
