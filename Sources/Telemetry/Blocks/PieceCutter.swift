/// Finds what of a span's bytes is worth to be kept apart, once for all spans that have it: texts that are large, and
/// in spans that are long what stands between them.
///
/// An agent sends its whole context with each turn, as JSON in one attribute or as an attribute for each message. What
/// is found is where bytes begin and end, by what lies before them alone: so a context that grew has the pieces of the
/// one before, and the pieces put together again are the bytes that came, whether they are JSON or not.
struct PieceCutter {
    /// Bytes of a value that is kept apart; less costs more to name than to have twice.
    static let valueMin = 512
    /// Bytes of a value in which texts and members are looked for.
    static let scannedMin = 2 << 10
    /// Bytes of a span of which also what lies between large texts is kept apart.
    static let longMin = 8 << 10
    /// Bytes between two large texts that are kept apart: in OpenLLMetry's attributes a message's role and number.
    static let betweenMin = 24
    /// Bytes after which small members are kept apart together.
    static let runMin = 1 << 10
    /// Bytes of a plain text that is cut in parts, and of these: at the end of a line, else at the greatest length.
    static let textMin = 16 << 10
    static let partMin = 4 << 10
    static let partMax = 16 << 10
    /// Pieces of a span; the rest of it stays as it is.
    static let piecesMax = 16_384

    private let span: UnsafeRawBufferPointer
    private let isLong: Bool
    private var ranges: [Range<Int>] = []
    /// Where the last piece ends. The first byte stays, so that each piece stands behind a byte of its span.
    private var start = 1

    private init(_ span: UnsafeRawBufferPointer) {
        self.span = span
        isLong = span.count >= Self.longMin
    }

    /// Where the pieces of an OTLP `Span` lie, in their order.
    static func pieces(of span: UnsafeRawBufferPointer) -> [Range<Int>] {
        var cutter = PieceCutter(span)
        cutter.cut()
        return cutter.ranges
    }

    private mutating func cut() {
        walk(0..<span.count) { cutter, number, field in
            switch number {
            case OTLPField.Span.attributes: cutter.pair(field, depth: 0)
            case OTLPField.Span.events: cutter.pairs(field, OTLPField.Event.attributes, depth: 0)
            case OTLPField.Span.links: cutter.pairs(field, OTLPField.Link.attributes, depth: 0)
            default: break
            }
        }
    }

    // MARK: what is looked into

    /// Shows the fields of a message that can have something large.
    private mutating func walk(_ message: Range<Int>, _ body: (inout PieceCutter, Int, Range<Int>) -> Void) {
        var reader = ProtobufReader(UnsafeRawBufferPointer(rebasing: span[message]))
        while let field = try? reader.next() {
            let end = message.lowerBound + reader.position
            if let bytes = field.bytes, bytes.count >= Self.valueMin {
                body(&self, field.number, end - bytes.count..<end)
            }
            border(end)
        }
    }

    private mutating func pairs(_ message: Range<Int>, _ number: Int, depth: Int) {
        walk(message) { cutter, found, field in if found == number { cutter.pair(field, depth: depth) } }
    }

    /// A `KeyValue`.
    private mutating func pair(_ message: Range<Int>, depth: Int) {
        walk(message) { cutter, number, field in
            if number == OTLPField.KeyValue.value { cutter.value(field, depth: depth) }
        }
    }

    /// An `AnyValue`.
    private mutating func value(_ message: Range<Int>, depth: Int) {
        guard depth < AttributeValue.depthMax else { return }
        walk(message) { cutter, number, field in
            switch number {
            case OTLPField.AnyValue.string: cutter.text(field)
            case OTLPField.AnyValue.bytes: cutter.keep(field)
            case OTLPField.AnyValue.map: cutter.pairs(field, OTLPField.Values.values, depth: depth + 1)
            case OTLPField.AnyValue.array:
                cutter.walk(field) { cutter, number, element in
                    if number == OTLPField.Values.values { cutter.value(element, depth: depth + 1) }
                }
            default: break
            }
        }
    }

    private mutating func text(_ range: Range<Int>) {
        let first = span[range].first { $0 > UInt8(ascii: " ") }
        guard range.count >= Self.scannedMin, first == UInt8(ascii: "[") || first == UInt8(ascii: "{") else {
            return plain(range)
        }
        document(range)
    }

    /// JSON, or what begins like it: its large texts, and its members where they are small. A text that does not end
    /// ends with the range.
    private mutating func document(_ range: Range<Int>) {
        var position = range.lowerBound
        while position < range.upperBound {
            switch span[position] {
            case UInt8(ascii: "\""):
                let begin = position + 1
                var end = begin
                while end < range.upperBound, span[end] != UInt8(ascii: "\"") {
                    end += span[end] == UInt8(ascii: "\\") ? 2 : 1
                }
                end = min(end, range.upperBound)
                if end - begin >= Self.valueMin { plain(begin..<end) }
                position = end + 1
            case UInt8(ascii: ","):
                position += 1
                border(position)
            default: position += 1
            }
        }
    }

    private mutating func plain(_ range: Range<Int>) {
        guard range.count >= Self.textMin else { return keep(range) }
        var begin = range.lowerBound
        while range.upperBound - begin > Self.partMin {
            let latest = min(begin + Self.partMax, range.upperBound)
            let line = span[begin + Self.partMin..<latest].firstIndex(of: UInt8(ascii: "\n"))
            let end = line.map { $0 + 1 } ?? latest
            keep(begin..<end)
            begin = end
        }
        if begin < range.upperBound { keep(begin..<range.upperBound) }
    }

    // MARK: what is kept apart

    /// Ends a run of small members here, if it is long enough.
    private mutating func border(_ position: Int) {
        if isLong, position - start >= Self.runMin { add(start..<position) }
    }

    private mutating func keep(_ range: Range<Int>) {
        if isLong, range.lowerBound - start >= Self.betweenMin { add(start..<range.lowerBound) }
        if range.lowerBound >= start { add(range) }
    }

    private mutating func add(_ range: Range<Int>) {
        guard ranges.count < Self.piecesMax, !range.isEmpty else { return }
        ranges.append(range)
        start = range.upperBound
    }
}
