/// Cuts a stream of bytes into lines of bounded length. Bytes that are not UTF-8 become U+FFFD; a line longer than
/// `lineBytesMax` is cut there, its rest dropped up to the next line feed, and marked.
public struct LineSplitter: Sendable {
    public struct Line: Sendable, Equatable {
        let bytes: [UInt8]
        /// The line was longer and its rest was dropped.
        public let isCut: Bool

        /// Made when it is asked for: of a flood, most lines are dropped unread.
        public var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    public let lineBytesMax: Int
    private var pending: [UInt8] = []
    private var isDropping = false

    public init(lineBytesMax: Int = 16 << 10) {
        self.lineBytesMax = lineBytesMax
    }

    /// The lines that `bytes` completes.
    public mutating func feed(_ bytes: ArraySlice<UInt8>) -> [Line] {
        var lines: [Line] = []
        var rest = bytes
        // By stretches rather than by bytes: a chatty program writes megabytes a second.
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            take(rest[..<end], &lines)
            if !isDropping { lines.append(line(isCut: false)) }
            isDropping = false
            rest = rest[(end + 1)...]
        }
        take(rest, &lines)
        return lines
    }

    private mutating func take(_ stretch: ArraySlice<UInt8>, _ lines: inout [Line]) {
        guard !isDropping, !stretch.isEmpty else { return }
        let room = lineBytesMax - pending.count
        pending.append(contentsOf: stretch.prefix(room))
        guard stretch.count > room else { return }
        lines.append(line(isCut: true))
        isDropping = true
    }

    /// What came after the last line feed, at the end of the stream.
    public mutating func finish() -> Line? {
        pending.isEmpty || isDropping ? nil : line(isCut: false)
    }

    private mutating func line(isCut: Bool) -> Line {
        defer { pending = [] }
        if !isCut, pending.last == UInt8(ascii: "\r") { pending.removeLast() }
        return Line(bytes: pending, isCut: isCut)
    }
}

/// The last bytes of a stream, up to a limit: what a failed program said at the end.
public struct ByteTail: Sendable {
    public let limit: Int
    private var bytes: [UInt8] = []

    public init(limit: Int) {
        self.limit = limit
    }

    public mutating func append(_ more: some Collection<UInt8>) {
        bytes.append(contentsOf: more.suffix(limit))
        // Trimmed in strides, so that a chatty stream does not move the whole tail at each write.
        if bytes.count > limit * 2 { bytes.removeFirst(bytes.count - limit) }
    }

    /// The last `count` lines, as text.
    public func lastLines(_ count: Int) -> String {
        let text = String(decoding: bytes.suffix(limit), as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: true).map { line in
            line.last == "\r" ? line.dropLast() : line
        }
        return lines.suffix(count).joined(separator: "\n")
    }
}

/// The first bytes of a stream, up to a limit, and whether there were more.
public struct ByteHead: Sendable {
    public let limit: Int
    public private(set) var bytes: [UInt8] = []
    public private(set) var isCut = false

    public init(limit: Int) {
        self.limit = limit
    }

    public mutating func append(_ more: some Collection<UInt8>) {
        let room = limit - bytes.count
        if more.count > room { isCut = true }
        bytes.append(contentsOf: more.prefix(room))
    }
}
