/// Which traces the archive may have (Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970): of a
/// trace that is new, as most are, the files need not be asked.
struct TraceFilter {
    /// With three million traces in it, one in sixty of the others is taken for one of them.
    static let bitsOrder = 25
    private static let probes = 4

    private let order: Int
    private var words: [UInt64]

    /// - Parameter order: Of how many bits, as a power of two.
    init(order: Int = bitsOrder) {
        self.order = order
        words = [UInt64](repeating: 0, count: 1 << (order - 6))
    }

    /// - Parameter key: See ``ArchiveKey/trace(_:)``.
    mutating func insert(_ key: Int64) { for bit in bits(key) { words[bit >> 6] |= 1 << UInt64(bit & 63) } }

    func mayContain(_ key: Int64) -> Bool {
        bits(key).allSatisfy { words[$0 >> 6] & 1 << UInt64($0 & 63) != 0 }
    }

    /// Places from two halves of one hash (Kirsch and Mitzenmacher, 2006).
    private func bits(_ key: Int64) -> some Sequence<Int> {
        let hash = UInt64(bitPattern: key) &* 0x9E37_79B9_7F4A_7C15
        let (first, second) = (hash >> 32, hash & 0xFFFF_FFFF | 1)
        return (0..<UInt64(Self.probes)).lazy.map { [order] in Int((first &+ $0 &* second) & (1 << UInt64(order) - 1)) }
    }
}
