import NIOCore
import NIOHTTP1

/// Sends requests that are bytes already, where NIO's own encoder would write each part for itself.
///
/// The decoder beside it has to hear of each request, as its answers belong to one: so what passes by it is a head, and
/// what comes out here are the bytes.
final class UpstreamEncoder: ChannelOutboundHandler {
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = ByteBuffer

    /// What the next head stands for.
    var pieces: [ByteBuffer] = []

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard let last = pieces.last else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        for piece in pieces.dropLast() { context.write(wrapOutboundOut(piece), promise: nil) }
        pieces = []
        context.write(wrapOutboundOut(last), promise: promise)
    }
}
