/// Which runs of three bytes the texts of a block have, as one bit each of a table: whoever looks for a text need not
/// unpack a block that lacks one of its runs (Cox, "Regular Expression Matching with a Trigram Index", 2012).
///
/// Letters of ASCII count in either case.
struct TextSieve {
    private static let order = 17
    static let bytesMax = 1 << (order - 3)

    private var words: [UInt64]

    init() { words = [UInt64](repeating: 0, count: 1 << (Self.order - 6)) }

    /// From what ``packed`` wrote; `nil` where it is none of ours.
    init?(_ packed: [UInt8]) {
        guard let bytes = try? Zstandard.unpack(packed, max: Self.bytesMax), bytes.count == Self.bytesMax else {
            return nil
        }
        words = bytes.withUnsafeBytes { bytes in
            (0..<bytes.count / 8).map {
                UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self))
            }
        }
    }

    var packed: [UInt8] {
        Zstandard.pack(words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) } })
    }

    mutating func insert(_ text: UnsafeRawBufferPointer) {
        guard text.count >= 3 else { return }
        words.withUnsafeMutableBufferPointer { words in
            var run = Self.folded(text[0]) << 8 | Self.folded(text[1])
            for index in 2..<text.count {
                run = (run << 8 | Self.folded(text[index])) & 0xFF_FFFF
                let bit = Self.place(run)
                words[bit >> 6] |= 1 << UInt64(bit & 63)
            }
        }
    }

    /// Whether the block may have this text. Shorter ones than three bytes may be anywhere.
    func mayContain(_ text: String) -> Bool {
        let bytes = text.utf8.map(Self.folded)
        guard bytes.count >= 3 else { return true }
        return (2..<bytes.count).allSatisfy { index in
            let bit = Self.place(bytes[index - 2] << 16 | bytes[index - 1] << 8 | bytes[index])
            return words[bit >> 6] & 1 << UInt64(bit & 63) != 0
        }
    }

    @inline(__always)
    private static func place(_ run: UInt32) -> Int { Int((run &* 0x9E37_79B1) >> UInt32(32 - order)) }

    @inline(__always)
    private static func folded(_ byte: UInt8) -> UInt32 {
        UInt32(byte &- 0x41 < 26 ? byte | 0x20 : byte)
    }
}
