import Kernel

/// How many batches and files there may be, and how large. Settings of the same names (`batches.*`) change some of it.
public struct BatchPolicy: Sendable {
    /// Bytes of an uploaded file. It is in memory while it comes in.
    public var fileBytes = 64 << 20
    /// Bytes of all files of one owner.
    public var keptBytes = 4 << 30
    /// Requests of one batch.
    public var lines = 50_000
    /// Model calls for batches at one time, in this process.
    public var parallel = 8
    /// How long files and batches that ended are kept.
    public var retention = Span.hours(24 * 30)

    /// How long a batch may take (OpenAI API reference, "Create batch": `24h` is the only window; Anthropic API
    /// reference, "Message Batches": 24 hours).
    static let window = Span.hours(24)
    /// Files of one owner.
    static let filesPerOwnerMax = 10_000
    /// Batches of one owner that have not ended.
    static let openPerOwnerMax = 100
    /// Batches that run at one time in this process; half of them at most are one owner's.
    static let drivenMax = 64
    /// Characters of a `custom_id`. Anthropic's have 64 (API reference, "Create a Message Batch").
    static let customIDCharacters = 512
    static let messageCustomIDCharacters = 64
    /// Nesting of a request: what a model's door takes (128), and what stands around it.
    static let jsonDepth = 132
    /// Bytes of all results of one batch: they are put together in memory.
    static let resultBytesMax: Int64 = 256 << 20
    /// Flaws of lines that a batch tells itself; the error file has all.
    static let flawsToldMax = 100
    /// Tries of a request whose provider fails at it.
    static let triesMax: Int64 = 6
    /// What an upload has beside its file.
    static let formBytes = 64 << 10
    /// Bytes of a request to make a batch of a file.
    static let createBytes = 64 << 10
    /// Bytes of a request that holds the batch itself: what other doors for models take.
    static let messageBatchBytes = 32 << 20

    public init() {}

    public init(_ settings: Settings.Batches) {
        fileBytes = settings.fileBytes
        keptBytes = settings.keptBytes
        lines = settings.lines
        parallel = settings.parallel
        retention = .hours(24 * Int64(settings.retentionDays))
    }
}
