import Kernel
import NIOCore
import NIOHTTP1
import NIOPosix

/// Serves a ``ScriptedModel`` over HTTP/1.1 on the loopback address, faults included.
public struct ScriptedServer: Sendable {
    /// Bytes of a request's body at most.
    static let bodyBytesMax = 64 << 20

    public static let loopback = "127.0.0.1"

    private let model: ScriptedModel
    private let time: any TimeSource

    public init(_ model: ScriptedModel, time: any TimeSource = SystemTime()) {
        self.model = model
        self.time = time
    }

    /// Listens and calls `onListening` with the port; returns when the caller's task is cancelled.
    public func run(port: Int, onListening: @Sendable (Int) -> Void) async throws {
        let listener = try await listen(port: port)
        onListening(listener.port)
        try await listener.run()
    }

    /// Listens on the loopback address until it is closed.
    ///
    /// - Parameter port: 0 for one that is free.
    func listen(port: Int) async throws -> ScriptedListener {
        HTTPCodecs.prepare()
        let (model, time) = (model, time)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(ScriptedConnection(model, time))
                }
            }
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .bind(host: Self.loopback, port: port).get()
        return ScriptedListener(channel: channel, port: channel.localAddress?.port ?? port)
    }
}

/// A scripted model's open port.
struct ScriptedListener: Sendable {
    fileprivate let channel: any Channel
    let port: Int

    /// Returns when it is closed, or the caller's task is cancelled.
    func run() async throws {
        try await withTaskCancellationHandler {
            try await channel.closeFuture.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Takes no more connections; those that are there end by themselves.
    func close() async { try? await channel.close().get() }
}

/// One connection. All state belongs to its event loop.
private final class ScriptedConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let model: ScriptedModel
    private let time: any TimeSource
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var sending: Task<Void, Never>?

    init(_ model: ScriptedModel, _ time: any TimeSource) {
        self.model = model
        self.time = time
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
        case .body(let buffer):
            guard body.count + buffer.readableBytes <= ScriptedServer.bodyBytesMax else {
                return context.close(promise: nil)
            }
            body.append(contentsOf: buffer.readableBytesView)
        case .end: answer(context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        sending?.cancel()
        context.fireChannelInactive()
    }

    private func answer(_ context: ChannelHandlerContext) {
        guard let head else { return }
        var headers: [String: String] = [:]
        for (name, value) in head.headers { headers[name.lowercased()] = value }
        let path = head.uri.split(separator: "?", maxSplits: 1).first.map(String.init) ?? head.uri
        let reply = model.reply(head.method.rawValue, path, headers: headers, body: body)
        sending = ScriptedSending(reply: reply, channel: context.channel, keepsAlive: head.isKeepAlive, time: time)
            .start()
    }
}

/// One reply on its way.
private struct ScriptedSending: Sendable {
    let reply: ScriptedReply
    let channel: any Channel
    let keepsAlive: Bool
    let time: any TimeSource

    func start() -> Task<Void, Never> { Task { await run() } }

    private func run() async {
        do {
            var isHeadSent = !reply.hasHead
            for step in reply.steps {
                switch step {
                case .wait(let span): try await time.sleep(for: span)
                case .send(let bytes):
                    if !isHeadSent {
                        channel.write(HTTPServerResponsePart.head(head), promise: nil)
                        isHeadSent = true
                    }
                    let buffer = channel.allocator.buffer(bytes: bytes)
                    try await channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(buffer))).get()
                case .hang: try await time.sleep(for: .hours(24))
                case .cut: return try await channel.close().get()
                }
            }
            try await channel.writeAndFlush(HTTPServerResponsePart.end(nil)).get()
            if !keepsAlive { try await channel.close().get() }
        } catch {
            channel.close(promise: nil)
        }
    }

    private var head: HTTPResponseHead {
        var headers = HTTPHeaders(reply.headers)
        if !reply.isStream {
            let length = reply.steps.reduce(0) { count, step in
                if case .send(let bytes) = step { count + bytes.count } else { count }
            }
            headers.add(name: "content-length", value: String(length))
        }
        if !keepsAlive { headers.add(name: "connection", value: "close") }
        return HTTPResponseHead(version: .http1_1, status: .init(statusCode: reply.status), headers: headers)
    }
}
