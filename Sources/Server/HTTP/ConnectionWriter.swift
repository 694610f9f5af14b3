import Kernel
import NIOCore

extension NIOLoopBound where Value == ConnectionHandler {
    /// Runs on the connection's loop: at once where the caller is on it.
    func run(_ body: @escaping @Sendable (ConnectionHandler) -> Void) {
        if eventLoop.inEventLoop {
            body(value)
        } else {
            eventLoop.execute { body(value) }
        }
    }
}

/// A streamed reply's way to its connection.
struct ConnectionWriter: StreamWriter {
    let connection: NIOLoopBound<ConnectionHandler>

    func write(_ bytes: [UInt8]) async throws {
        try Task.checkCancellation()
        let promise = connection.eventLoop.makePromise(of: Void.self)
        connection.run { $0.writePiece(bytes, promise) }
        try await promise.futureResult.get()
    }
}
