import CCompression
import Foundation

/// What a request left in the spool.
public struct SpoolEntry: Sendable, Equatable {
    /// What the payload is; the ingest gives it its meaning.
    public let kind: UInt8
    /// Microseconds since 1970.
    public let receivedAt: Int64
    public let payload: [UInt8]

    public init(kind: UInt8, receivedAt: Int64, payload: [UInt8]) {
        self.kind = kind
        self.receivedAt = receivedAt
        self.payload = payload
    }
}

/// The bytes of a spool's file: entries one behind the other, each
///
///     length of the rest (4 bytes) · its CRC-32 (4) · kind (1) · time (8) · payload
///
/// all numbers little-endian.
enum SpoolFile {
    static let frameBytes = 8
    private static let headBytes = 9

    static func append(_ entry: SpoolEntry, to bytes: inout [UInt8]) {
        let start = bytes.count
        bytes.reserveCapacity(start + frameBytes + headBytes + entry.payload.count)
        bytes.append(contentsOf: repeatElement(0, count: frameBytes))
        bytes.append(entry.kind)
        put(UInt64(bitPattern: entry.receivedAt), &bytes)
        bytes.append(contentsOf: entry.payload)
        let length = UInt32(bytes.count - start - frameBytes)
        let sum = bytes.withUnsafeBytes { checksum(UnsafeRawBufferPointer(rebasing: $0[(start + frameBytes)...])) }
        for index in 0..<4 {
            bytes[start + index] = UInt8(truncatingIfNeeded: length >> (8 * UInt32(index)))
            bytes[start + 4 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(index)))
        }
    }

    /// What was found in a file beside its entries.
    struct Finding: Equatable {
        /// Entries whose bytes have changed; those behind them are read all the same.
        var damaged = 0
        /// Bytes at the end that are no whole entry. A process that is killed leaves such, whose sender never heard
        /// that it was taken.
        var torn = 0
    }

    /// Shows the entries in their order, `nil` for one whose bytes have changed.
    static func read(_ bytes: [UInt8], _ body: (SpoolEntry?) -> Void) -> Finding {
        bytes.withUnsafeBytes { bytes in
            var finding = Finding()
            var position = 0
            while position < bytes.count {
                finding.torn = bytes.count - position
                guard finding.torn >= frameBytes + headBytes else { break }
                let length = Int(number(UInt32.self, bytes, position))
                let sum = number(UInt32.self, bytes, position + 4)
                let start = position + frameBytes
                guard length >= headBytes, length <= bytes.count - start else { break }
                let content = UnsafeRawBufferPointer(rebasing: bytes[start..<start + length])
                if checksum(content) == sum {
                    body(
                        SpoolEntry(
                            kind: content[0], receivedAt: Int64(bitPattern: number(UInt64.self, content, 1)),
                            payload: Array(content[headBytes...])))
                } else {
                    finding.damaged += 1
                    body(nil)
                }
                position = start + length
                finding.torn = 0
            }
            return finding
        }
    }

    private static func number<Number: FixedWidthInteger>(
        _: Number.Type, _ bytes: UnsafeRawBufferPointer, _ offset: Int
    ) -> Number {
        Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
    }

    private static func put(_ value: UInt64, _ bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: crc32_z(0, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
    }
}
