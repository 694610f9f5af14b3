import NIOCore

/// Runs tasks on a connection's own event loop, which saves two changes of thread for each request.
///
/// Only for what computes little between its waits: the loop serves other connections too.
final class LoopExecutor: TaskExecutor {
    /// Requests with longer bodies are handled on the shared pool.
    static let bodyBytesMax = 64 << 10
    /// The same for the doors of bulk, whose bodies are packed records by the hundred: a loop that reads one after the
    /// other would keep everybody else's requests waiting.
    static let bulkBytesMax = 4 << 10

    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
