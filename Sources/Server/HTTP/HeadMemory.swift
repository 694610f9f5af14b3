import Kernel
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Remembers the heads of requests that came on a connection: a client sends the same one again and again, and what the
/// decoder read once need not be read twice.
///
/// It stands before the decoder and reads no HTTP itself. A head that is byte for byte one that the decoder made a
/// request of, but for the digits of its Content-Length, means the same one, and goes past the decoder with its body.
/// All else goes through it, in pieces that end where a request's head and its body do, so that the decoder never holds
/// a part of a request while another one passes by. Belongs to its connection's event loop.
final class HeadMemory: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Heads that are remembered for each connection.
    static let headsMax = 4
    /// Longer heads are not remembered.
    static let headBytesMax = 4 << 10
    /// Digits of a Content-Length that are read here.
    static let digitsMax = 10
    private static let list = Array("LIST ".utf8)
    private static let link = Array("LINK ".utf8)

    private struct Known {
        let bytes: [UInt8]
        /// The digits of the Content-Length; empty where there is none.
        let digits: Range<Int>
        let head: RequestHead
    }

    private enum Place {
        /// All that came was whole requests.
        case between
        /// In the body of a request whose head was known: so many bytes are missing.
        case body(Int)
        /// In the body of a request that the decoder reads.
        case decoding(Int)
        /// Only the decoder knows. It reads all that still comes.
        ///
        /// - Parameter isCounted: Whether it was handed whole requests before, so that as many ends as heads mean that
        ///   no body is being read.
        case lost(isCounted: Bool)
    }

    private let connection: ConnectionHandler
    private var place = Place.between
    private var known: [Known] = []
    private var count = 0
    /// Up to four bytes that a LIST may begin with: the decoder is to see them with the fifth.
    private var held: ByteBuffer?

    init(_ connection: ConnectionHandler) {
        self.connection = connection
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        connection.hear()
        if var start = held {
            held = nil
            start.writeBuffer(&bytes)
            bytes = start
        }
        while bytes.readableBytes > 0 {
            switch place {
            case .between: begin(&bytes, context)
            case .body(let missing):
                let piece = bytes.readSlice(length: min(missing, bytes.readableBytes)) ?? ByteBuffer()
                let rest = missing - piece.readableBytes
                place = rest == 0 ? .between : .body(rest)
                connection.arrive(.body(piece))
                if rest == 0 { connection.arrive(.end) }
            case .decoding(let missing):
                let piece = bytes.readSlice(length: min(missing, bytes.readableBytes)) ?? ByteBuffer()
                let rest = missing - piece.readableBytes
                decode(piece, context)
                place = rest > 0 ? .decoding(rest) : connection.decoded.ends == 1 ? .between : .lost(isCounted: false)
            case .lost(let isCounted):
                if isCounted, connection.decoded.heads == connection.decoded.ends {
                    guard !hold(bytes) else { return }
                    Self.rename(&bytes)
                }
                context.fireChannelRead(wrapInboundOut(bytes))
                return
            }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event, let held {
            // Nothing comes any more: the decoder says what that was.
            self.held = nil
            context.fireChannelRead(wrapInboundOut(held))
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Keeps the beginning of what may be a LIST until the rest of the word is there.
    private func hold(_ bytes: ByteBuffer) -> Bool {
        guard bytes.readableBytes < Self.list.count, Self.list.starts(with: bytes.readableBytesView) else {
            return false
        }
        held = bytes
        return true
    }

    /// NIO's decoder does not know Vault's LIST. It knows LINK, which nobody else uses and which is as long.
    private static func rename(_ head: inout ByteBuffer) {
        if head.readableBytesView.starts(with: list) { head.setBytes(link, at: head.readerIndex) }
    }

    private func decode(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        connection.decoded = ConnectionHandler.Decoded()
        context.fireChannelRead(wrapInboundOut(bytes))
    }

    private func begin(_ bytes: inout ByteBuffer, _ context: ChannelHandlerContext) {
        if let (head, length) = bytes.withUnsafeReadableBytes(recognise) {
            bytes.moveReaderIndex(forwardBy: length)
            let missing = head.declaredBytes ?? 0
            place = missing == 0 ? .between : .body(missing)
            connection.arrive(.head(head))
            if missing == 0 { connection.arrive(.end) }
            return
        }
        guard let length = bytes.withUnsafeReadableBytes(Self.headLength), var head = bytes.readSlice(length: length)
        else {
            if hold(bytes) {
                bytes.clear()
            } else {
                connection.decoded = ConnectionHandler.Decoded()
                place = .lost(isCounted: true)
            }
            return
        }
        Self.rename(&head)
        decode(head, context)
        let decoded = connection.decoded
        // What the decoder made of these bytes says whether they were a head, and what follows it.
        guard decoded.heads == 1, decoded.bodies == 0, let made = decoded.head, made.isFramedByLength,
            decoded.ends == ((made.declaredBytes ?? 0) == 0 ? 1 : 0)
        else {
            place = .lost(isCounted: true)
            return
        }
        let missing = made.declaredBytes ?? 0
        place = missing == 0 ? .between : .decoding(missing)
        remember(head, made)
    }

    // MARK: heads

    private func remember(_ bytes: ByteBuffer, _ head: RequestHead) {
        guard head.isKeepAlive, !head.expectsContinue, bytes.readableBytes <= Self.headBytesMax else { return }
        let bytes = Array(bytes.readableBytesView)
        guard let digits = Self.digits(bytes), digits.isEmpty == (head.declaredBytes == nil) else { return }
        count += 1
        let entry = Known(bytes: bytes, digits: digits, head: RequestHead(head, declaredBytes: nil, series: count))
        if known.count < Self.headsMax { known.append(entry) } else { known[count % Self.headsMax] = entry }
    }

    /// The known head that the bytes begin with, with what its Content-Length says this time, and its length.
    private func recognise(_ bytes: UnsafeRawBufferPointer) -> (RequestHead, Int)? {
        for one in known {
            let prefix = one.digits.lowerBound
            guard Self.equal(bytes, 0, one.bytes[..<prefix]) else { continue }
            var end = prefix
            var declared = 0
            while end < bytes.count, end - prefix <= Self.digitsMax, Self.isDigit(bytes[end]), !one.digits.isEmpty {
                declared = declared * 10 + Int(bytes[end] - UInt8(ascii: "0"))
                end += 1
            }
            guard one.digits.isEmpty || (1...Self.digitsMax).contains(end - prefix),
                Self.equal(bytes, end, one.bytes[one.digits.upperBound...])
            else { continue }
            let length = end + one.bytes.count - one.digits.upperBound
            return (RequestHead(one.head, declaredBytes: one.digits.isEmpty ? nil : declared), length)
        }
        return nil
    }

    private static func equal(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ wanted: ArraySlice<UInt8>) -> Bool {
        guard bytes.count - start >= wanted.count, let base = bytes.baseAddress else { return false }
        return wanted.withUnsafeBytes { wanted in
            guard let other = wanted.baseAddress else { return true }
            return memcmp(base + start, other, wanted.count) == 0
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Bytes up to and with the empty line; `nil` where there is none.
    private static func headLength(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        var start = 0
        while start + 4 <= bytes.count, let found = memchr(base + start, 0x0D, bytes.count - start - 3) {
            let at = base.distance(to: UnsafeRawPointer(found))
            if bytes[at + 1] == 0x0A, bytes[at + 2] == 0x0D, bytes[at + 3] == 0x0A { return at + 4 }
            start = at + 1
        }
        return nil
    }

    /// Where the digits of the Content-Length stand: an empty range at the end where there is no such header, `nil`
    /// where they are not alone on their line.
    private static func digits(_ bytes: [UInt8]) -> Range<Int>? {
        let name = Array("\ncontent-length:".utf8)
        var found: Range<Int>?
        for start in 0..<max(0, bytes.count - name.count) where bytes[start] == name[0] {
            let isName = zip(bytes[start...], name).allSatisfy { byte, wanted in
                byte == wanted || (0x41...0x5A).contains(byte) && byte | 0x20 == wanted
            }
            guard isName else { continue }
            guard found == nil else { return nil }
            let first = bytes[(start + name.count)...].firstIndex { $0 != 0x20 } ?? bytes.count
            let end = bytes[first...].firstIndex { !isDigit($0) } ?? bytes.count
            guard end > first, end < bytes.count, bytes[end] == 0x0D else { return nil }
            found = first..<end
        }
        return found ?? bytes.count..<bytes.count
    }
}
