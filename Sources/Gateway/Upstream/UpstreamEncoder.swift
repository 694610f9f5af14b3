import NIOCore
import NIOHTTP1

/// Requests to providers as bytes (RFC 9112 §3): head and body of an ordinary call are one buffer and one write.
///
/// It stands where NIO's own encoder would, which writes each part for itself. The decoder beside it still hears of
/// every request, as it has to know what its answers belong to.
final class UpstreamEncoder: ChannelOutboundHandler {
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = ByteBuffer

    /// Longer bodies go out in pieces of their own rather than being copied.
    private static let gatheredMax = 64 << 10
    private static let headBytes = 1_024

    private var gathered = ByteBuffer()

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head):
            gathered = context.channel.allocator.buffer(capacity: Self.headBytes)
            Self.write(head, to: &gathered)
            promise?.succeed(())
        case .body(.byteBuffer(let piece)):
            if gathered.readableBytes + piece.readableBytes <= Self.gatheredMax {
                gathered.writeImmutableBuffer(piece)
                promise?.succeed(())
            } else {
                send(context, nil)
                context.write(wrapOutboundOut(piece), promise: promise)
            }
        case .body(.fileRegion): promise?.fail(ChannelError.operationUnsupported)
        case .end: send(context, promise)
        }
    }

    private func send(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        guard gathered.readableBytes > 0 else {
            promise?.succeed(())
            return
        }
        context.write(wrapOutboundOut(gathered), promise: promise)
        gathered = ByteBuffer()
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
