import Foundation
import Kernel
import Testing

@testable import Telemetry

@Suite("What traces belong to outlives the process")
struct TraceBindingsTests {
    private static let start = Timestamp(microseconds: 1_700_000_000_000_000)

    private static func open(
        _ folder: String, _ time: SetTime = SetTime(start), tracesMax: Int = 8
    ) throws -> (bindings: TraceBindings, file: TraceBindingsFile, warnings: [String]) {
        try DurableFile.makeFolder(folder)
        let bindings = TraceBindings(tracesMax: tracesMax, world: World(time: time, entropy: World.live.entropy))
        let file = TraceBindingsFile(folder: folder, bindings: bindings, tracesMax: 2 * tracesMax)
        var warnings: [String] = []
        file.load { warnings.append($0) }
        return (bindings, file, warnings)
    }

    private static func trace(_ number: Int) -> TraceID { TraceID(high: 9, low: UInt64(number)) }

    private static func known(_ bindings: TraceBindings, _ numbers: Range<Int>) -> [String?] {
        numbers.map { bindings.correlationID(of: trace($0)) }
    }

    private static func content(_ folder: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(folder)/bindings"))
    }

    @Test("a span that comes after a start has the id that its trace was given before")
    func spans() async throws {
        try await withRetentionBench { bench in
            bench.ingest.bindings.bind(RetentionBench.trace(1), to: "order-1")
            // Ends without a word, with this in the spool alone: the binding is in its file before.
            _ = try await bench.ingest.take(
                try OTLPJSON.traces(
                    SpanSamples.request([
                        SpanSamples.span(
                            SpanID(value: 1).description,
                            more: ["traceId": .string(RetentionBench.trace(1).description)])
                    ])
                ) { _ in }, agent: nil)
            try bench.startAnew()
            try await bench.span(2, of: 1)
            try await bench.span(3, of: 2)
            #expect(
                try await bench.ingest.trace(RetentionBench.trace(1)).map(\.correlationID) == ["order-1", "order-1"])
            #expect(try await bench.ingest.trace(RetentionBench.trace(2)).map(\.correlationID) == [nil])
        }
    }

    @Test("what was said last holds, and what is said between two writings is written once")
    func last() async throws {
        try await withTelemetryFolder { folder in
            let (bindings, file, _) = try Self.open(folder)
            bindings.bind(Self.trace(1), to: "old")
            file.write()
            bindings.bind(Self.trace(1), to: "new")
            bindings.bind(Self.trace(2), to: "two")
            file.write()
            let bytes = try Self.content(folder)
            for _ in 0..<3 {
                bindings.bind(Self.trace(2), to: "two")
                file.write()
            }
            #expect(try Self.content(folder) == bytes, "who says the same again costs nothing")
            #expect(Self.known(try Self.open(folder).bindings, 1..<4) == ["new", "two", nil])
        }
    }

    @Test("an end that is not whole costs itself alone, wherever it was cut", arguments: 1..<45)
    func torn(_ missing: Int) async throws {
        try await withTelemetryFolder { folder in
            let (bindings, file, _) = try Self.open(folder)
            for number in 1...3 {
                bindings.bind(Self.trace(number), to: "c-\(number)")
                file.write()
            }
            let bytes = try Self.content(folder)
            #expect(bytes.count > 3 * 44)
            try bytes.dropLast(missing).write(to: URL(fileURLWithPath: "\(folder)/bindings"))
            let (second, secondFile, warnings) = try Self.open(folder)
            #expect(Self.known(second, 1..<4) == ["c-1", "c-2", nil])
            #expect(warnings == [], "nobody was told of it")
            second.bind(Self.trace(4), to: "c-4")
            secondFile.write()
            #expect(Self.known(try Self.open(folder).bindings, 1..<5) == ["c-1", "c-2", nil, "c-4"])
        }
    }

    @Test("bytes that changed cost their entry, which is told")
    func damaged() async throws {
        try await withTelemetryFolder { folder in
            let (bindings, file, _) = try Self.open(folder)
            for number in 1...3 {
                bindings.bind(Self.trace(number), to: "c-\(number)")
                file.write()
            }
            var bytes = try Self.content(folder)
            bytes[bytes.count / 2] ^= 1
            try bytes.write(to: URL(fileURLWithPath: "\(folder)/bindings"))
            let (second, _, warnings) = try Self.open(folder)
            #expect(Self.known(second, 1..<4) == ["c-1", nil, "c-3"])
            #expect(warnings.count == 1)
            #expect(try Self.open(folder).warnings == [], "it was written anew")
        }
    }

    @Test("the file is written anew before it is larger than twice what is known")
    func bounded() async throws {
        try await withTelemetryFolder { folder in
            let (bindings, file, _) = try Self.open(folder)
            var largest = 0
            for number in 1...200 {
                bindings.bind(Self.trace(number), to: "c-\(number)")
                try file.keep()
                largest = max(largest, try Self.content(folder).count)
            }
            #expect(largest < 17 * 60)
            #expect(bindings.all().count <= 8)
            #expect(Self.known(try Self.open(folder).bindings, 200..<201) == ["c-200"])
            // More at one time than are told apart.
            for number in 300..<400 { bindings.bind(Self.trace(number), to: "c-\(number)") }
            try file.keep()
            #expect(try Self.content(folder).count < 17 * 60)
            #expect(Self.known(try Self.open(folder).bindings, 399..<400) == ["c-399"])
        }
    }

    @Test("a week after it was said it is forgotten, at a start and where the file is written anew")
    func old() async throws {
        try await withTelemetryFolder { folder in
            let time = SetTime(Self.start)
            let (bindings, file, _) = try Self.open(folder, time)
            bindings.bind(Self.trace(1), to: "c-1")
            file.write()
            time.set(Self.start + TraceBindings.keptFor)
            bindings.bind(Self.trace(2), to: "c-2")
            try file.keep()
            #expect(Self.known(try Self.open(folder, time).bindings, 1..<3) == ["c-1", "c-2"])
            time.set(Self.start + TraceBindings.keptFor + .seconds(1))
            #expect(Self.known(try Self.open(folder, time).bindings, 1..<3) == [nil, "c-2"])
            #expect(bindings.all().map(\.correlationID) == ["c-2"])
        }
    }

    @Test("where the file cannot be written nothing fails but its keeping, and the next one makes up for it")
    func failing() async throws {
        try await withTelemetryFolder { folder in
            let (bindings, file, _) = try Self.open(folder)
            let path = "\(folder)/bindings"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            bindings.bind(Self.trace(1), to: "c-1")
            file.write()
            #expect(throws: DurableFile.Failure.self) { try file.keep() }
            #expect(Self.known(bindings, 1..<2) == ["c-1"])
            try FileManager.default.removeItem(atPath: path)
            try file.keep()
            #expect(Self.known(try Self.open(folder).bindings, 1..<2) == ["c-1"])
        }
    }
}
