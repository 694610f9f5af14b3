/// Every bound that a client can run into, with its default. Settings of the same name (`limits.*`) change them.
public struct Limits: Sendable {
    /// Bytes of a request's body.
    public var bodyBytes = 10 << 20
    /// Seconds that a request's body may take to come, and one more for each 10 kB of it.
    public var bodySeconds = 30
    /// Nesting of a JSON body.
    public var jsonDepth = Limits.jsonDepthDefault
    /// Characters of a name (agent, project, queue, task type, file).
    public var nameCharacters = 200
    /// Seconds that a lease may be asked for.
    public var leaseSeconds = 86_400
    /// Requests a second for one key.
    public var keyRequestsPerSecond = 50_000
    /// Requests a second from one address without a valid key.
    public var addressRequestsPerSecond = 1_000
    /// Failed logins a minute from one address.
    public var failedLoginsPerMinute = 20
    /// Rows of one page of a list.
    public var pageRows = 500
    /// Seconds that a long poll may wait.
    public var claimWaitSeconds = 30
    /// Tasks of one claim, one batch completion, or events of one batch.
    public var batchItems = 1_000
    /// Tasks of one graph.
    public var graphTasks = 1_000
    /// Tasks that one task may depend on.
    public var dependenciesPerTask = 1_000
    /// Deliverable revisions of one task.
    public var deliverablesPerTask = 1_000
    /// Live streams (SSE) at one time.
    public var eventStreams = 1_000
    /// Programs that wait for changes of flags (SSE) at one time.
    public var flagStreams = 10_000
    /// Events that a stream may lag behind before it is dropped with a resume point.
    public var eventStreamLag = 10_000

    public init() {}

    public static let jsonDepthDefault = 64
    /// Our own documents may wrap a client's.
    public static let jsonDepthStored = 512
    /// Rows of a list where nothing is asked for.
    public static let pageRowsDefault = 50
}
