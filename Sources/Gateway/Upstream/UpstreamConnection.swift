import NIOCore
import NIOHTTP1

/// Whoever waits for a provider's answer. All of it happens on the connection's event loop, in this order: the head,
/// pieces of the body, the end; or a fault at any point, which is the last thing heard.
protocol UpstreamListener: AnyObject {
    func upstreamAnswered(_ head: HTTPResponseHead)
    func upstreamSent(_ bytes: ByteBuffer)
    /// All that came at once was told: what was written because of it may go out.
    func upstreamRested()
    func upstreamEnded()
    func upstreamFailed(_ fault: UpstreamFault)
}

/// How an exchange with a provider breaks without an answer.
enum UpstreamFault: Error, Sendable, Equatable {
    /// No connection came about: refused, unknown host, no TLS.
    case unreachable
    /// The connection ended before the answer was whole.
    case reset
    /// The provider's bytes are no HTTP.
    case malformed
}

/// A POST to a provider, as it is to be sent. An ordinary one is one piece, and so one write.
struct UpstreamRequest {
    /// Longer bodies go out in pieces of their own rather than being copied.
    private static let gatheredMax = 64 << 10
    /// About what a head takes.
    private static let headBytes = 1_024

    let pieces: [ByteBuffer]

    init(head: ByteBuffer, body: [ByteBuffer], length: Int) {
        guard length <= Self.gatheredMax else {
            pieces = [head] + body
            return
        }
        var whole = head
        for piece in body { whole.writeImmutableBuffer(piece) }
        pieces = [whole]
    }

    /// What a buffer for the head needs, with room for a body that goes out with it.
    static func capacity(_ length: Int) -> Int { headBytes + (length <= gatheredMax ? length : 0) }
}

/// One connection to a provider, for one exchange after the other. Belongs to one event loop.
final class UpstreamConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = Never
    typealias OutboundOut = HTTPClientRequestPart

    private let encoder: UpstreamEncoder
    private let onIdle: (UpstreamConnection) -> Void
    private let onClosed: (UpstreamConnection) -> Void
    private var context: ChannelHandlerContext?
    private var listener: (any UpstreamListener)?
    /// Whether the connection can serve another exchange after this one.
    private var isReusable = true
    private var isPaused = false
    private var isReadPending = false
    /// Its exchanges so far: the first byte of a connection that served before may meet a provider that just closed it.
    private(set) var exchanges = 0

    /// - Parameter encoder: The connection's own, behind it in its pipeline.
    init(
        _ encoder: UpstreamEncoder, onIdle: @escaping (UpstreamConnection) -> Void,
        onClosed: @escaping (UpstreamConnection) -> Void
    ) {
        self.encoder = encoder
        self.onIdle = onIdle
        self.onClosed = onClosed
    }

    /// What the decoder has to hear of each request: that an answer follows, and to which method.
    private static let anyPost = HTTPRequestHead(version: .http1_1, method: .POST, uri: "/")

    var isOpen: Bool { context?.channel.isActive == true }

    /// Sends a request; the connection has to be idle.
    func send(_ request: UpstreamRequest, to listener: any UpstreamListener) {
        guard let context else { return listener.upstreamFailed(.reset) }
        self.listener = listener
        exchanges += 1
        isReusable = true
        encoder.pieces = request.pieces
        context.writeAndFlush(wrapOutboundOut(.head(Self.anyPost)), promise: nil)
    }

    /// Nobody waits for the answer any more: what still comes of it is of no use, so the connection goes.
    func abandon() {
        listener = nil
        context?.close(promise: nil)
    }

    /// While the caller does not read, the provider is not read either, so that nothing piles up in between.
    func pause() { isPaused = true }

    func resume() {
        isPaused = false
        guard isReadPending else { return }
        isReadPending = false
        context?.read()
    }

    func close() { context?.close(promise: nil) }

    // MARK: what the channel says

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        fail(.reset)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(.reset)
        onClosed(self)
        context.fireChannelInactive()
    }

    func read(context: ChannelHandlerContext) {
        if isPaused { isReadPending = true } else { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            isReusable = head.isKeepAlive
            listener?.upstreamAnswered(head)
        case .body(let bytes): listener?.upstreamSent(bytes)
        case .end:
            let ended = listener
            listener = nil
            isPaused = false
            if isReusable, ended != nil { onIdle(self) } else { context.close(promise: nil) }
            ended?.upstreamEnded()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        listener?.upstreamRested()
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // An answer that ends before its end is cut, however its length was told.
        let isCut = (error as? HTTPParserError) == .invalidEOFState
        fail(error is HTTPParserError && !isCut ? .malformed : .reset)
        context.close(promise: nil)
    }

    private func fail(_ fault: UpstreamFault) {
        guard let listener else { return }
        self.listener = nil
        listener.upstreamFailed(fault)
    }
}
