/// Takes a stream of server-sent events apart (WHATWG HTML, 9.2.6 Interpreting an event stream), as its bytes come.
///
/// It stands on the way of every streamed byte, so events that lie whole in what arrives are shown where they lie, and
/// only what is cut off at the end is copied. All bytes belong to exactly one event, so that forwarding
/// the bytes of each, and ``rest`` at the end, forwards the stream as it came.
struct ServerSentEvents: Sendable {
    /// Bytes of one event, data of several lines included.
    static let eventBytesMax = 16 << 20
    /// Nesting of an event's document.
    static let depthMax = 128

    /// An event grew beyond the bound; nothing more can be read of the stream.
    struct TooLarge: Error, Equatable {}

    /// Bytes that are added at a time to an event that was cut off.
    private static let pieceBytes = 4_096

    private let bytesMax: Int
    /// What has come of the event that is not over yet.
    private var pending: [UInt8] = []
    private var scan = Scan()

    init(eventBytesMax: Int = ServerSentEvents.eventBytesMax) {
        bytesMax = eventBytesMax
    }

    /// Bytes that came and belong to no event yet.
    var rest: [UInt8] { pending }

    /// Reads on, and calls `body` for each event that is now whole. An event without data, such as a comment, is shown
    /// as well: its bytes have to be forwarded too.
    mutating func feed(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (borrowing ServerSentEvent) throws -> Void) throws {
        try feed(bytes, alike: { _ in }) { event in
            try body(event)
            return nil
        }
    }

    /// The same, for a reader who needs to look at one of many alike only.
    ///
    /// - Parameters:
    ///   - alike: Gets each event that ``EventMemory`` knows, in its place among the others.
    ///   - body: Gets the others, and says where an event holds the text in which the next ones may differ.
    mutating func feed(
        _ bytes: UnsafeBufferPointer<UInt8>, alike: (KnownEvent) -> Void,
        _ body: (borrowing ServerSentEvent) throws -> Range<Int>?
    ) throws {
        var read = try completePending(bytes, alike, body)
        guard pending.isEmpty else { return }
        // What is left over is kept even where `body` throws.
        defer { pending.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[read...])) }
        try scan.events(in: bytes, &read, alike, body)
        guard bytes.count - read <= bytesMax else { throw TooLarge() }
    }

    /// Adds to the event that was cut off until it is whole, so that all that follows can be read where it lies. The
    /// answer is how many bytes that took.
    private mutating func completePending(
        _ bytes: UnsafeBufferPointer<UInt8>, _ alike: (KnownEvent) -> Void,
        _ body: (borrowing ServerSentEvent) throws -> Range<Int>?
    ) throws -> Int {
        guard !pending.isEmpty else { return 0 }
        var added = 0
        repeat {
            let piece = min(Self.pieceBytes, bytes.count - added)
            pending.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[added..<added + piece]))
            added += piece
            var read = 0
            do {
                try pending.withUnsafeBufferPointer { try scan.events(in: $0, &read, alike, body) }
            } catch {
                pending.removeFirst(read)
                pending.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[added...]))
                throw error
            }
            pending.removeFirst(read)
            if read > 0, pending.count <= piece {
                // What is left came with these bytes.
                added -= pending.count
                pending.removeAll(keepingCapacity: true)
            }
            guard pending.count <= bytesMax else { throw TooLarge() }
        } while !pending.isEmpty && added < bytes.count
        return added
    }

    mutating func feed(_ bytes: [UInt8], _ body: (borrowing ServerSentEvent) throws -> Void) throws {
        try bytes.withUnsafeBufferPointer { try feed($0, body) }
    }

    /// Shows what came without the empty line that ends an event, as servers leave it out behind the last one.
    mutating func finish(_ body: (borrowing ServerSentEvent) throws -> Void) throws {
        guard !pending.isEmpty else { return }
        let bytes = pending
        pending = []
        try bytes.withUnsafeBufferPointer { try scan.finish($0, body) }
    }
}

/// One event, where it lies. It cannot be kept: copy what is needed.
struct ServerSentEvent: ~Copyable {
    /// The event as it came, the line that ends it included.
    let bytes: UnsafeBufferPointer<UInt8>
    /// What follows `event:`; empty where nothing does.
    let name: UnsafeBufferPointer<UInt8>
    /// What follows `data:`, lines joined.
    let data: UnsafeBufferPointer<UInt8>
    /// Whether the line came that ends an event.
    let isTerminated: Bool

    var nameText: String { String(decoding: name, as: UTF8.self) }
    var dataText: String { String(decoding: data, as: UTF8.self) }
    /// OpenAI's last event.
    var isDone: Bool { data.count == 6 && data.elementsEqual("[DONE]".utf8) }

    func contains(_ marker: ByteMarker) -> Bool { marker.index(in: data) != nil }

    /// Whether the data holds a `usage` that is an object: most events of a stream that tells usage have `null` there.
    /// Text that a model wrote cannot look so, as its quotes are escaped.
    var holdsUsage: Bool {
        var start = 0
        while let found = ByteMarker.usage.index(in: data, from: start) {
            start = found + ByteMarker.usage.count
            let value = data[start...].first { byte in
                byte != UInt8(ascii: ":") && byte != UInt8(ascii: " ") && byte != 0x0A && byte != 0x0D && byte != 0x09
            }
            if value == UInt8(ascii: "{") { return true }
        }
        return false
    }
}

/// Bytes to look for in an event, by Horspool's rule: most bytes are never looked at.
struct ByteMarker: Sendable {
    private let pattern: [UInt8]
    /// How far to go on when the byte under the pattern's end is this one.
    private let skips: [UInt8]

    /// Usage as all three dialects write it.
    static let usage = ByteMarker("\"usage\"")

    /// Of at most 255 bytes.
    init(_ text: StaticString) {
        pattern = text.withUTF8Buffer { Array($0.prefix(255)) }
        var skips = [UInt8](repeating: UInt8(pattern.count), count: 256)
        for (index, byte) in pattern.dropLast().enumerated() { skips[Int(byte)] = UInt8(pattern.count - 1 - index) }
        self.skips = skips
    }

    var count: Int { pattern.count }

    /// Where the pattern first stands, at or behind `start`.
    func index(in bytes: UnsafeBufferPointer<UInt8>, from start: Int = 0) -> Int? {
        guard let end = pattern.last else { return start }
        let reach = pattern.count - 1
        return pattern.withUnsafeBufferPointer { pattern in
            skips.withUnsafeBufferPointer { skips in
                var position = start + reach
                while position < bytes.count {
                    let byte = bytes[position]
                    if byte == end {
                        var offset = 0
                        while offset < reach, bytes[position - reach + offset] == pattern[offset] { offset += 1 }
                        if offset == reach { return position - reach }
                    }
                    position += max(1, Int(skips[Int(byte)]))
                }
                return nil
            }
        }
    }
}
