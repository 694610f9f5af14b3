/// Samples of one series in few bits: times by the change of their distance, values by the bits in which each differs
/// from the one before it (Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", 2015, §4.1).
///
/// A sample that comes as regularly as the last and is worth the same takes two bits.
struct SampleChunk: Sendable {
    /// Samples of a chunk: an hour of one every fifteen seconds.
    static let samplesMax = 240

    private(set) var bytes: [UInt8] = []
    private(set) var count = 0
    private(set) var first: Int64 = 0
    private(set) var last: Int64 = 0
    private(set) var lastValue = 0.0
    private var delta: Int64 = 0
    private var window = XORWindow()
    /// Bits of the last byte that are free.
    private var free = 0

    var isFull: Bool { count >= Self.samplesMax }

    /// - Parameter time: Later than the last one's.
    mutating func append(_ time: Int64, _ value: Double) {
        if count == 0 {
            first = time
            write(UInt64(bitPattern: time), 64)
            write(value.bitPattern, 64)
        } else {
            let delta = time - last
            append(change: delta - self.delta)
            self.delta = delta
            append(difference: value.bitPattern ^ lastValue.bitPattern)
        }
        last = time
        lastValue = value
        count += 1
    }

    /// Prefixes `0`, `10`, `110`, `1110`, `1111` and as many bits: fifteen seconds that come some milliseconds late or
    /// early need the second.
    private mutating func append(change: Int64) {
        if change == 0 { return write(0, 1) }
        for (index, width) in Self.widths.enumerated() where fits(change, width) {
            write((1 << UInt64(index + 2)) - 2, index + 2)
            return write(UInt64(bitPattern: change) & (1 << UInt64(width) - 1), width)
        }
        write(0b1111, 4)
        write(UInt64(bitPattern: change), 64)
    }

    fileprivate static let widths = [8, 14, 24]

    private func fits(_ value: Int64, _ bits: Int) -> Bool {
        value >= -(1 << Int64(bits - 1)) && value < 1 << Int64(bits - 1)
    }

    private mutating func append(difference: UInt64) {
        guard difference != 0 else { return write(0, 1) }
        let leading = min(31, difference.leadingZeroBitCount)
        let trailing = difference.trailingZeroBitCount
        if window.width > 0, leading >= window.leading, trailing >= window.trailing {
            write(0b10, 2)
        } else {
            window = XORWindow(leading: leading, width: 64 - leading - trailing)
            write(0b11, 2)
            write(UInt64(leading), 5)
            write(UInt64(window.width - 1), 6)
        }
        write(difference >> UInt64(window.trailing), window.width)
    }

    private mutating func write(_ value: UInt64, _ bits: Int) {
        var left = bits
        while left > 0 {
            if free == 0 {
                bytes.append(0)
                free = 8
            }
            let taken = min(free, left)
            let part = UInt8(truncatingIfNeeded: (value >> UInt64(left - taken)) & (1 << UInt64(taken) - 1))
            bytes[bytes.count - 1] |= part << UInt8(free - taken)
            free -= taken
            left -= taken
        }
    }
}

/// Which bits of a difference are written.
private struct XORWindow {
    var leading = 0
    var width = 0
    var trailing: Int { 64 - leading - width }
}

/// Reads what ``SampleChunk`` wrote; damaged bytes end it early.
struct SampleChunkReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var left: Int
    private var isFirst = true
    private var time: Int64 = 0
    private var bits: UInt64 = 0
    private var delta: Int64 = 0
    private var window = XORWindow()

    init(_ bytes: UnsafeBufferPointer<UInt8>, count: Int) {
        self.bytes = bytes
        left = count
    }

    mutating func next() -> Sample? {
        guard left > 0 else { return nil }
        left -= 1
        if isFirst {
            isFirst = false
            guard let time = read(64), let value = read(64) else { return nil }
            (self.time, bits) = (Int64(bitPattern: time), value)
        } else {
            guard let change = change(), let difference = difference() else { return nil }
            delta &+= change
            time &+= delta
            bits ^= difference
        }
        return Sample(time, Double(bitPattern: bits))
    }

    private mutating func change() -> Int64? {
        var ones = 0
        while ones < 4 {
            guard let bit = read(1) else { return nil }
            if bit == 0 { break }
            ones += 1
        }
        if ones == 0 { return 0 }
        let width = ones == 4 ? 64 : SampleChunk.widths[ones - 1]
        guard let value = read(width) else { return nil }
        let shift = Int64(64 - width)
        return (Int64(bitPattern: value) << shift) >> shift
    }

    private mutating func difference() -> UInt64? {
        guard let isOther = read(1) else { return nil }
        if isOther == 0 { return 0 }
        guard let isNew = read(1) else { return nil }
        if isNew == 1 {
            guard let leading = read(5), let width = read(6) else { return nil }
            window = XORWindow(leading: Int(leading), width: Int(width) + 1)
            guard window.trailing >= 0 else { return nil }
        }
        guard window.width > 0, let value = read(window.width) else { return nil }
        return value << UInt64(window.trailing)
    }

    private mutating func read(_ count: Int) -> UInt64? {
        guard position + count <= bytes.count * 8 else { return nil }
        let byte = position >> 3
        // Eight bytes at once have up to 57 bits from any bit of the first on.
        if count <= 56, byte + 8 <= bytes.count, let base = bytes.baseAddress {
            let word = UInt64(
                bigEndian: UnsafeRawPointer(base + byte).loadUnaligned(as: UInt64.self))
            let value = (word << UInt64(position & 7)) >> UInt64(64 - count)
            position += count
            return value
        }
        var value: UInt64 = 0
        var wanted = count
        while wanted > 0 {
            let free = 8 - position & 7
            let taken = min(free, wanted)
            let byte = UInt64(bytes[position >> 3]) >> UInt64(free - taken)
            value = value << UInt64(taken) | byte & (1 << UInt64(taken) - 1)
            position += taken
            wanted -= taken
        }
        return value
    }
}
