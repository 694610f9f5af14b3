import Foundation
import Testing

@testable import Telemetry

@Suite("The wire format of telemetry")
struct WireTests {
    private static func fields(_ bytes: [UInt8]) throws -> [String] {
        try bytes.withUnsafeBytes { bytes in
            var reader = ProtobufReader(bytes)
            var found: [String] = []
            while let field = try reader.next() {
                let value =
                    switch field.value {
                    case .varint(let number): "varint \(number)"
                    case .fixed64(let number): "fixed64 \(number)"
                    case .fixed32(let number): "fixed32 \(number)"
                    case .bytes(let bytes): "bytes \(Array(bytes))"
                    }
                found.append("\(field.number) \(value)")
            }
            return found
        }
    }

    @Test("what is written is read")
    func written() throws {
        var writer = ProtobufWriter()
        writer.varint(1, 150)
        writer.varint(2, .max)
        writer.fixed64(3, 1_700_000_000_000_000_000)
        writer.fixed32(4, 7)
        writer.string(5, "ä")
        writer.message(536_870_911) { $0.varint(1, 0) }
        // The first two bytes of payload are the example of protobuf.dev, "Encoding".
        #expect(writer.bytes.prefix(3) == [0x08, 0x96, 0x01])
        #expect(
            try Self.fields(writer.bytes) == [
                "1 varint 150", "2 varint \(UInt64.max)", "3 fixed64 1700000000000000000", "4 fixed32 7",
                "5 bytes [195, 164]", "536870911 bytes [8, 0]",
            ])
    }

    @Test(
        "what leads out of the bytes is malformed",
        arguments: [
            [0x08], [0x08, 0x80], [0x0A, 0x05, 1, 2], [0x09, 1, 2, 3], [0x0D, 1], [0x0B], [0x0C], [0x0E], [0x00, 0x00],
            [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
            [0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        ] as [[UInt8]])
    func malformed(_ bytes: [UInt8]) {
        #expect(throws: ProtobufReader.Malformed.self) { try Self.fields(bytes) }
    }

    @Test("text is UTF-8 or is not", arguments: 0..<20)
    func text(_ offset: Int) {
        let prefix = [UInt8](repeating: 0x61, count: offset)
        func isValid(_ bytes: [UInt8]) -> Bool { (prefix + bytes).withUnsafeBytes { WireText.isValid($0) } }
        #expect(isValid([]))
        #expect(isValid([0xC3, 0xA4, 0x61]))
        #expect(!isValid([0xC3]))
        #expect(!isValid([0xFF, 0x61, 0x61]))
        #expect(!isValid([0xED, 0xA0, 0x80]))
    }

    @Test("values of every kind come back, to a depth")
    func values() throws {
        func any(_ body: (inout ProtobufWriter) -> Void) -> [UInt8] {
            var writer = ProtobufWriter()
            body(&writer)
            return writer.bytes
        }
        func read(_ bytes: [UInt8]) throws -> AttributeValue {
            try bytes.withUnsafeBytes {
                try AttributeValue.check($0)
                return try AttributeValue.read($0)
            }
        }
        #expect(try read([]) == .empty)
        #expect(try read(any { $0.string(1, "x") }) == .string("x"))
        #expect(try read(any { $0.varint(2, 1) }) == .bool(true))
        #expect(try read(any { $0.varint(3, UInt64(bitPattern: -5)) }) == .int(-5))
        #expect(try read(any { $0.fixed64(4, (0.5).bitPattern) }) == .double(0.5))
        #expect(try read(any { $0.bytes(7, [1, 2]) }) == .bytes([1, 2]))
        let inner = any { $0.string(1, "deep") }
        #expect(try read(any { $0.message(5) { $0.bytes(1, inner) } }) == .array([.string("deep")]))
        let member = any {
            $0.string(1, "k")
            $0.bytes(2, inner)
        }
        #expect(try read(any { $0.message(6) { $0.bytes(1, member) } }) == .map([Attribute("k", .string("deep"))]))
        var nested = inner
        for _ in 1..<AttributeValue.depthMax { nested = any { $0.message(5) { $0.bytes(1, nested) } } }
        #expect(throws: Never.self) { try read(nested) }
        nested = any { $0.message(5) { $0.bytes(1, nested) } }
        #expect(throws: RecordFlaw.nestedTooDeep) { try read(nested) }
        #expect(throws: RecordFlaw.invalidUTF8) { try read(any { $0.bytes(1, [0xFF]) }) }
    }

    // MARK: compression

    /// What the program `gzip` makes of a text.
    private static func gzip(_ text: String) throws -> [UInt8] {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-c"]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
        try input.fileHandleForWriting.close()
        let packed = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return Array(packed)
    }

    @Test("gzip is unpacked, member by member and within its bound")
    func gunzip() throws {
        let text = String(repeating: "telemetry ", count: 20_000)
        let packed = try Self.gzip(text)
        #expect(try Gzip.unpack(packed, max: 200_000) == Array(text.utf8))
        #expect(try Gzip.unpack(packed + packed, max: 400_000) == Array((text + text).utf8))
        #expect(throws: UnpackFault.tooLarge) { try Gzip.unpack(packed, max: 199_999) }
        #expect(throws: UnpackFault.malformed) { try Gzip.unpack(Array(packed.dropLast(9)), max: 200_000) }
        #expect(throws: UnpackFault.malformed) { try Gzip.unpack(Array("{\"a\":1}".utf8), max: 1_000) }
        #expect(throws: UnpackFault.malformed) { try Gzip.unpack([], max: 1_000) }
        var broken = packed
        broken[broken.count - 5] ^= 0xFF
        #expect(throws: UnpackFault.malformed) { try Gzip.unpack(broken, max: 200_000) }
    }

    @Test("what is packed comes back, within its bound")
    func zstandard() throws {
        let bytes = Array(String(repeating: "span ", count: 10_000).utf8)
        let packed = Zstandard.pack(bytes)
        #expect(packed.count < 500)
        #expect(try Zstandard.unpack(packed, max: bytes.count) == bytes)
        #expect(try Zstandard.unpack(Zstandard.pack([]), max: 10) == [])
        #expect(throws: UnpackFault.tooLarge) { try Zstandard.unpack(packed, max: bytes.count - 1) }
        #expect(throws: UnpackFault.malformed) { try Zstandard.unpack(Array(packed.dropLast(3)), max: bytes.count) }
        #expect(throws: UnpackFault.malformed) { try Zstandard.unpack([1, 2, 3, 4, 5, 6, 7, 8], max: 100) }
    }
}
