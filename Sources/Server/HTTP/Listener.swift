import Gateway
import HummingbirdCore
import Kernel
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle

/// Accepts connections until it is told to stop, then lets the requests in flight finish, for a bounded time.
struct Listener: Service {
    /// Seconds that requests in flight have to finish in once the server stops.
    static let drainSeconds: Int64 = 10

    let host: String
    let port: Int
    let responder: Responder
    let connections: ConnectionSet
    let logger: Logger
    /// Called once connections are accepted, with the real port.
    let onListening: @Sendable (Int) async -> Void

    func run() async throws {
        HTTPCodecs.prepare()
        let channel = ConnectionChannel(responder: responder, connections: connections)
        let onListening = onListening
        let server = Server(
            childChannelSetup: channel,
            configuration: ServerConfiguration(address: .hostname(host, port: port), backlog: 1_024),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
        do {
            try await withGracefulShutdownHandler {
                try await server.run()
            } onGracefulShutdown: {
                connections.drain()
                _ = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: .seconds(Self.drainSeconds)) {
                    connections.closeAll()
                }
            }
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw Problem(
                .conflict, "\(host):\(port) is taken by another program.",
                hint: "Choose another port with --port, or end the other program.")
        }
    }
}

/// How a connection is set up: NIO reads HTTP/1.1, but for what ``HeadMemory`` knows, and
/// ``ConnectionHandler`` does the rest.
private struct ConnectionChannel: ServerChildChannel {
    let responder: Responder
    let connections: ConnectionSet

    struct Value: ServerChildChannelValue {
        let channel: any Channel
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            let connection = ConnectionHandler(
                responder: responder, connections: connections, executor: LoopExecutor(channel.eventLoop))
            try pipeline.addHandler(HeadMemory(connection))
            try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder()))
            try pipeline.addHandler(connection)
            return Value(channel: channel)
        }
    }

    func handle(value: Value, logger: Logger) async {
        try? await value.channel.closeFuture.get()
    }
}
