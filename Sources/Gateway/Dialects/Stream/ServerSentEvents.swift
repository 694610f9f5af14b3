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
        var read = 0
        if pending.isEmpty {
            // What is left over is kept even where `body` throws.
            defer { pending.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[read...])) }
            try scan.events(in: bytes, &read, body)
        } else {
            pending.append(contentsOf: bytes)
            defer { pending.removeFirst(read) }
            try pending.withUnsafeBufferPointer { try scan.events(in: $0, &read, body) }
        }
        guard pending.count <= bytesMax else { throw TooLarge() }
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
