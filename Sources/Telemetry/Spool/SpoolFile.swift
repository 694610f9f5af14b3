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

    /// The entries up to the end, or to the first that is not whole.
    ///
    /// - Returns: Whether the bytes ended with an entry. A process that is killed leaves a torn one at most, whose
    ///   sender never heard that it was taken.
    static func read(_ bytes: [UInt8], _ body: (SpoolEntry) -> Void) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var position = 0
            while position < bytes.count {
                guard bytes.count - position >= frameBytes + headBytes else { return false }
                let length = Int(number(UInt32.self, bytes, position))
                let sum = number(UInt32.self, bytes, position + 4)
                let start = position + frameBytes
                guard length >= headBytes, length <= bytes.count - start else { return false }
                let content = UnsafeRawBufferPointer(rebasing: bytes[start..<start + length])
                guard checksum(content) == sum else { return false }
                body(
                    SpoolEntry(
                        kind: content[0], receivedAt: Int64(bitPattern: number(UInt64.self, content, 1)),
                        payload: Array(content[headBytes...])))
                position = start + length
            }
            return true
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
