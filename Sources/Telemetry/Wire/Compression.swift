import CCompression

/// Bytes that cannot be unpacked.
enum UnpackFault: Error, Equatable {
    case malformed
    case tooLarge
    /// There is no room for what comes of it at this moment.
    case noRoom
}

/// gzip (RFC 1952), as clients send it, and take it.
public enum Gzip {
    /// Fast: text shrinks to a sixth all the same.
    private static let level: Int32 = 1

    public static func pack(_ bytes: [UInt8]) -> [UInt8] {
        var stream = z_stream()
        precondition(reeve_gzip_begin(&stream, level) == Z_OK, "only memory can lack")
        defer { deflateEnd(&stream) }
        var bytes = bytes
        return [UInt8](unsafeUninitializedCapacity: Int(deflateBound(&stream, UInt(bytes.count)))) { output, count in
            bytes.withUnsafeMutableBufferPointer { input in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                precondition(deflate(&stream, Z_FINISH) == Z_STREAM_END, "the output is as large as the bound")
            }
            count = output.count - Int(stream.avail_out)
        }
    }

    /// Unpacks a body of one or more members.
    ///
    /// - Parameters:
    ///   - max: The bytes that may come of it: a few thousand bytes can stand for gigabytes.
    ///   - hasRoom: Asked for the bytes of each piece that comes of it.
    static func unpack(
        _ packed: [UInt8], max: Int, hasRoom: (Int) -> Bool = { _ in true }
    ) throws(UnpackFault) -> [UInt8] {
        var stream = z_stream()
        guard reeve_gunzip_begin(&stream) == Z_OK else { throw .malformed }
        defer { inflateEnd(&stream) }
        var output: [UInt8] = []
        output.reserveCapacity(min(max, packed.count * 4))
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        var packed = packed
        let status = packed.withUnsafeMutableBufferPointer { input -> Result<Void, UnpackFault> in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(clamping: input.count)
            while true {
                let (code, count) = piece.withUnsafeMutableBufferPointer { piece in
                    stream.next_out = piece.baseAddress
                    stream.avail_out = UInt32(piece.count)
                    let code = inflate(&stream, Z_NO_FLUSH)
                    return (code, piece.count - Int(stream.avail_out))
                }
                guard output.count + count <= max else { return .failure(.tooLarge) }
                guard hasRoom(count) else { return .failure(.noRoom) }
                output.append(contentsOf: piece[..<count])
                switch code {
                case Z_STREAM_END:
                    guard stream.avail_in > 0 else { return .success(()) }
                    // Another member follows.
                    guard inflateReset(&stream) == Z_OK else { return .failure(.malformed) }
                // Without progress there is nothing more to come: the end is missing.
                case Z_OK where count > 0 || stream.avail_in > 0: continue
                default: return .failure(.malformed)
                }
            }
        }
        try status.get()
        return output
    }
}

/// Zstandard (RFC 8878), for what is kept.
enum Zstandard {
    /// Fast, and within a tenth of what slower levels save on telemetry.
    static let level: Int32 = 1

    static func pack(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { output, count in
            count = bytes.withUnsafeBytes {
                ZSTD_compress(output.baseAddress, output.count, $0.baseAddress, $0.count, level)
            }
            precondition(ZSTD_isError(count) == 0, "the output is as large as the bound, so only memory can lack")
        }
    }

    /// - Parameter max: The bytes that may come of it.
    static func unpack(_ packed: [UInt8], max: Int) throws(UnpackFault) -> [UInt8] {
        let size = packed.withUnsafeBytes { ZSTD_getFrameContentSize($0.baseAddress, $0.count) }
        guard size <= UInt64(max) else { throw size > UInt64.max - 2 ? .malformed : .tooLarge }
        var isWhole = true
        let output = [UInt8](unsafeUninitializedCapacity: Int(size)) { output, count in
            count = packed.withUnsafeBytes {
                ZSTD_decompress(output.baseAddress, output.count, $0.baseAddress, $0.count)
            }
            if ZSTD_isError(count) != 0 {
                count = 0
                isWhole = false
            }
        }
        guard isWhole else { throw .malformed }
        return output
    }
}

/// Snappy's block format (google/snappy, "format_description.txt"), as Prometheus' and Loki's protocols have it.
enum Snappy {
    /// - Parameters:
    ///   - max: The bytes that may come of it.
    ///   - hasRoom: Asked for all of them.
    static func unpack(
        _ packed: [UInt8], max: Int, hasRoom: (Int) -> Bool = { _ in true }
    ) throws(UnpackFault) -> [UInt8] {
        var size = 0
        let start = packed.withUnsafeBytes { bytes in
            snappy_uncompressed_length(bytes.bindMemory(to: CChar.self).baseAddress, bytes.count, &size)
        }
        guard start == SNAPPY_OK else { throw .malformed }
        guard size <= max else { throw .tooLarge }
        guard hasRoom(size) else { throw .noRoom }
        var isWhole = false
        let output = [UInt8](unsafeUninitializedCapacity: size) { output, count in
            count = size
            isWhole =
                packed.withUnsafeBytes { bytes in
                    output.withMemoryRebound(to: CChar.self) { output in
                        snappy_uncompress(
                            bytes.bindMemory(to: CChar.self).baseAddress, bytes.count, output.baseAddress, &count)
                    }
                } == SNAPPY_OK
            if !isWhole { count = 0 }
        }
        guard isWhole else { throw .malformed }
        return output
    }

    static func pack(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: snappy_max_compressed_length(bytes.count)) { output, count in
            count = output.count
            let status = bytes.withUnsafeBytes { bytes in
                output.withMemoryRebound(to: CChar.self) { output in
                    snappy_compress(
                        bytes.bindMemory(to: CChar.self).baseAddress, bytes.count, output.baseAddress, &count)
                }
            }
            precondition(status == SNAPPY_OK, "the output is as large as the bound")
        }
    }
}
