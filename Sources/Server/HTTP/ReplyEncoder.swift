import Kernel
import NIOCore
import NIOHTTP1

/// Replies as bytes (RFC 9112 §4, §7.1): a whole reply is one buffer and one write.
///
/// NIO's own encoder takes a reply in three parts, each through every handler of the pipeline; that took a tenth of the
/// server's time.
enum ReplyEncoder {
    /// What a page may load: Reeve's own scripts and styles, nothing inline, nothing from elsewhere.
    private static let pageHeaders: StaticString = """
        content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
        connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r
        x-content-type-options: nosniff\r
        referrer-policy: same-origin\r\n
        """
    /// Data is no page, whatever a browser takes it for.
    private static let dataHeaders: StaticString = """
        content-security-policy: default-src 'none'; frame-ancestors 'none'\r
        x-content-type-options: nosniff\r
        referrer-policy: same-origin\r\n
        """
    private static let lineEnd: StaticString = "\r\n"
    /// About what the head of a reply takes.
    private static let headBytes = 768

    /// What a reply answers, and how its end shows.
    struct Framing {
        let version: HTTPVersion
        /// Whether the connection ends with the reply.
        let isLast: Bool
        /// A reply to HEAD has the headers of one to GET, and no content (RFC 9110 §9.3.2).
        let isHead: Bool

        /// HTTP/1.0 knows no chunks: the end of the connection is the end of the stream.
        var isChunked: Bool { version.major == 1 && version.minor >= 1 }
    }

    /// A reply whose body is known.
    static func whole(
        _ reply: APIReply, _ visit: Admission.Visit?, _ framing: Framing, _ allocator: ByteBufferAllocator
    ) -> ByteBuffer {
        var bytes: [UInt8] = []
        if case .bytes(let body) = reply.body { bytes = body }
        var buffer = wholeHead(reply, visit, framing, length: bytes.count, allocator)
        if !framing.isHead { buffer.writeBytes(bytes) }
        return buffer
    }

    /// The same, with a body that is in a buffer already.
    static func whole(
        _ reply: APIReply, _ visit: Admission.Visit?, _ framing: Framing, body: ByteBuffer,
        _ allocator: ByteBufferAllocator
    ) -> ByteBuffer {
        var buffer = wholeHead(reply, visit, framing, length: body.readableBytes, allocator)
        if !framing.isHead { buffer.writeImmutableBuffer(body) }
        return buffer
    }

    private static func wholeHead(
        _ reply: APIReply, _ visit: Admission.Visit?, _ framing: Framing, length: Int, _ allocator: ByteBufferAllocator
    ) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: headBytes + (framing.isHead ? 0 : length))
        writeHead(reply, visit, framing, to: &buffer)
        // A reply without content has no length either (RFC 9110 §8.6).
        if reply.status != 204, reply.status != 304 { write("content-length", String(length), to: &buffer) }
        buffer.writeStaticString(lineEnd)
        return buffer
    }

    /// The head of a reply whose body comes in pieces.
    static func streamHead(
        _ reply: APIReply, _ visit: Admission.Visit, _ framing: Framing, _ allocator: ByteBufferAllocator
    ) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: headBytes)
        writeHead(reply, visit, framing, to: &buffer)
        if framing.isChunked { buffer.writeStaticString("transfer-encoding: chunked\r\n") }
        buffer.writeStaticString(lineEnd)
        return buffer
    }

    /// A piece of a streamed body. An empty one has no bytes, as an empty chunk would end the stream.
    static func piece(_ bytes: ByteBuffer, isChunked: Bool, _ allocator: ByteBufferAllocator) -> ByteBuffer {
        guard isChunked, bytes.readableBytes > 0 else { return bytes }
        var buffer = allocator.buffer(capacity: bytes.readableBytes + 20)
        buffer.writeString(String(bytes.readableBytes, radix: 16))
        buffer.writeStaticString(lineEnd)
        buffer.writeImmutableBuffer(bytes)
        buffer.writeStaticString(lineEnd)
        return buffer
    }

    /// What ends a streamed body.
    static func streamEnd(_ framing: Framing, _ allocator: ByteBufferAllocator) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: 8)
        if framing.isChunked, !framing.isHead { buffer.writeStaticString("0\r\n\r\n") }
        return buffer
    }

    /// What a client that waits for leave to send its body is told (RFC 9110 §15.2.1).
    static func leaveToContinue(_ allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")
    }

    private static func writeHead(
        _ reply: APIReply, _ visit: Admission.Visit?, _ framing: Framing, to buffer: inout ByteBuffer
    ) {
        let status = HTTPResponseStatus(statusCode: reply.status)
        buffer.writeStaticString(framing.version.minor == 0 ? "HTTP/1.0 " : "HTTP/1.1 ")
        buffer.writeString(String(status.code))
        buffer.writeStaticString(" ")
        buffer.writeString(status.reasonPhrase)
        buffer.writeStaticString(lineEnd)
        var isPage = false
        var hasCacheControl = false
        var hasCorrelation = false
        for (name, value) in reply.headers {
            switch name {
            case "content-type": isPage = value.hasPrefix("text/html")
            case "cache-control": hasCacheControl = true
            case "x-correlation-id": hasCorrelation = true
            default: break
            }
            write(name, clean(value), to: &buffer)
        }
        if !hasCacheControl { buffer.writeStaticString("cache-control: no-store\r\n") }
        buffer.writeStaticString(isPage ? pageHeaders : dataHeaders)
        if let visit {
            write("x-request-id", visit.requestID, to: &buffer)
            if !hasCorrelation { write("x-correlation-id", visit.correlationID, to: &buffer) }
            write("traceparent", visit.traceparent, to: &buffer)
        }
        if framing.isLast { buffer.writeStaticString("connection: close\r\n") }
    }

    private static func write(_ name: String, _ value: String, to buffer: inout ByteBuffer) {
        buffer.writeString(name)
        buffer.writeStaticString(": ")
        buffer.writeString(value)
        buffer.writeStaticString(lineEnd)
    }

    /// A value as it may stand in a header (RFC 9110 §5.5). Some hold what a client sent, such as a file's name: with a
    /// line's end in it, its sender could write headers of its own.
    private static func clean(_ value: String) -> String {
        let isAllowed = { (byte: UInt8) in (byte >= 0x20 && byte != 0x7F) || byte == 0x09 }
        if value.utf8.allSatisfy(isAllowed) { return value }
        return String(decoding: value.utf8.map { isAllowed($0) ? $0 : UInt8(ascii: " ") }, as: UTF8.self)
    }
}
