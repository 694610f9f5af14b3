import NIOCore
import NIOHTTP1

/// Requests to providers as bytes (RFC 9112 §3): head and body of an ordinary call are one buffer and one write.
///
/// It stands where NIO's own encoder would, which writes each part for itself. The decoder beside it still hears of
/// every request's head, as it has to know what its answers belong to; the body does not pass by it.
final class UpstreamEncoder: ChannelOutboundHandler {
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = ByteBuffer

    /// Longer bodies go out in pieces of their own rather than being copied.
    private static let gatheredMax = 64 << 10
    private static let headBytes = 1_024

    /// What follows the next head.
    var body: [ByteBuffer] = []

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .head(let head) = unwrapOutboundIn(data) else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        let pieces = body
        body = []
        let length = pieces.reduce(0) { $0 + $1.readableBytes }
        let isGathered = length <= Self.gatheredMax
        var buffer = context.channel.allocator.buffer(capacity: Self.headBytes + (isGathered ? length : 0))
        Self.write(head, to: &buffer)
        if isGathered { for piece in pieces { buffer.writeImmutableBuffer(piece) } }
        guard !isGathered, let last = pieces.last else {
            return context.write(wrapOutboundOut(buffer), promise: promise)
        }
        context.write(wrapOutboundOut(buffer), promise: nil)
        for piece in pieces.dropLast() { context.write(wrapOutboundOut(piece), promise: nil) }
        context.write(wrapOutboundOut(last), promise: promise)
    }

    /// The caller says how long the body is; nothing is chunked.
    private static func write(_ head: HTTPRequestHead, to buffer: inout ByteBuffer) {
        buffer.writeString(head.method.rawValue)
        buffer.writeStaticString(" ")
        buffer.writeString(head.uri)
        buffer.writeStaticString(" HTTP/1.1\r\n")
        for (name, value) in head.headers {
            buffer.writeString(name)
            buffer.writeStaticString(": ")
            buffer.writeString(value)
            buffer.writeStaticString("\r\n")
        }
        buffer.writeStaticString("\r\n")
    }
}
