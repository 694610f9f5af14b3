import Gateway
import Kernel
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
    /// Called once connections are accepted, with the real port.
    let onListening: @Sendable (Int) async -> Void

    func run() async throws {
        HTTPCodecs.prepare()
        let server = try await bind()
        let connections = connections
        await withTaskCancellationOrGracefulShutdownHandler {
            await onListening(server.localAddress?.port ?? 0)
            try? await server.closeFuture.get()
            await connections.ended()
        } onCancelOrGracefulShutdown: {
            server.close(promise: nil)
            connections.drain()
            _ = server.eventLoop.scheduleTask(in: .seconds(Self.drainSeconds)) { connections.closeAll() }
        }
    }

    private func bind() async throws -> any Channel {
        let (responder, connections) = (responder, connections)
        do {
            return try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.backlog, value: 1_024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try Self.set(up: channel, responder, connections)
                    }
                }
                .bind(host: host, port: port).get()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw Problem(
                .conflict, "\(host):\(port) is taken by another program.",
                hint: "Choose another port with --port, or end the other program.")
        }
    }

    /// NIO reads HTTP/1.1, but for what ``HeadMemory`` knows, and ``ConnectionHandler`` does the rest.
    private static func set(up channel: any Channel, _ responder: Responder, _ connections: ConnectionSet) throws {
        let pipeline = channel.pipeline.syncOperations
        let connection = ConnectionHandler(
            responder: responder, connections: connections, executor: LoopExecutor(channel.eventLoop))
        try pipeline.addHandler(HeadMemory(connection))
        try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder()))
        try pipeline.addHandler(connection)
    }
}
