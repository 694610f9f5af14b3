import Kernel

/// A body that differs from the one that came in at a few places, as pieces of both, so that nothing is copied and
/// everything else stays the very same bytes: a provider's prompt cache knows them by that.
struct BodyEdits: Sendable, Equatable {
    enum Piece: Sendable, Equatable {
        /// These bytes of the original.
        case original(Range<Int>)
        case inserted([UInt8])
    }

    /// Edits of one body.
    static let editsMax = 64

    private struct Edit: Sendable, Equatable {
        let range: Range<Int>
        let bytes: [UInt8]
    }

    /// In order, without overlap.
    private var edits: [Edit] = []

    init() {}

    var isEmpty: Bool { edits.isEmpty }
    /// By how much the new body is longer.
    var growth: Int { edits.reduce(0) { $0 + $1.bytes.count - $1.range.count } }

    /// Puts other bytes in the place of a range; an empty range inserts. Says `false`, and changes nothing, where the
    /// range overlaps an earlier edit or there are too many.
    @discardableResult
    mutating func replace(_ range: Range<Int>, with bytes: [UInt8]) -> Bool {
        let index = edits.firstIndex { $0.range.lowerBound >= range.upperBound } ?? edits.endIndex
        let isFree = index == edits.startIndex || edits[index - 1].range.upperBound <= range.lowerBound
        guard isFree, edits.count < Self.editsMax, range.lowerBound >= 0 else { return false }
        edits.insert(Edit(range: range, bytes: bytes), at: index)
        return true
    }

    /// The new body of an original of `count` bytes; ranges beyond its end are cut.
    func pieces(of count: Int) -> [Piece] {
        var pieces: [Piece] = []
        var position = 0
        for edit in edits {
            let range = edit.range.clamped(to: position..<max(position, count))
            if range.lowerBound > position { pieces.append(.original(position..<range.lowerBound)) }
            if !edit.bytes.isEmpty { pieces.append(.inserted(edit.bytes)) }
            position = range.upperBound
        }
        if position < count { pieces.append(.original(position..<count)) }
        return pieces
    }

    /// The new body in one piece, for who needs it so.
    func applied(to original: [UInt8]) -> [UInt8] {
        guard !edits.isEmpty else { return original }
        var result: [UInt8] = []
        result.reserveCapacity(max(0, original.count + growth))
        for piece in pieces(of: original.count) {
            switch piece {
            case .original(let range): result += original[range]
            case .inserted(let bytes): result += bytes
            }
        }
        return result
    }
}

extension TopLevelScan {
    /// Where the value of a wanted member stands.
    func range(of name: String, in wanted: Wanted) -> Range<Int>? {
        wanted.names.firstIndex(of: name).flatMap { ranges.indices.contains($0) ? ranges[$0] : nil }
    }

    /// The value of a wanted member, read from the scanned bytes; `nil` where it is absent or no valid JSON inside.
    func value(of name: String, in wanted: Wanted, _ bytes: UnsafeRawBufferPointer) -> JSONValue? {
        guard let range = range(of: name, in: wanted), range.upperBound <= bytes.count else { return nil }
        return try? JSONParser.parse(UnsafeRawBufferPointer(rebasing: bytes[range]), depthMax: Self.depthMax)
    }

    func value(of name: String, in wanted: Wanted, _ bytes: [UInt8]) -> JSONValue? {
        bytes.withUnsafeBytes { value(of: name, in: wanted, $0) }
    }

    /// Puts a value in the place of a member's, or the member in front of all others where it is absent.
    func set(_ name: String, to value: JSONValue, in wanted: Wanted, _ edits: inout BodyEdits) {
        if let range = range(of: name, in: wanted) {
            edits.replace(range, with: value.bytes)
        } else {
            edits.replace(
                start..<start, with: JSONValue.string(name).bytes + [0x3A] + value.bytes + (isEmpty ? [] : [0x2C]))
        }
    }
}
