import Foundation
import Kernel
import Testing

@testable import Telemetry

@Suite("A subject is erased")
struct SubjectErasureTests {
    private static func order(
        _ text: String, isAnywhere: Bool = false, isDryRun: Bool = false, holds: [TelemetryHold] = []
    ) -> ErasureOrder {
        ErasureOrder(SubjectMatch(text, isAnywhere: isAnywhere), isDryRun: isDryRun, holds: holds)
    }

    static let attributes: [(name: String, value: JSONValue, subject: String, whole: Bool, anywhere: Bool)] = [
        ("user.id", "ada@example.org", "ada@example.org", true, true),
        ("enduser.id", "ada@example.org", "ada", false, true),
        ("user.id", "Ada@example.org", "ada@example.org", false, false),
        ("list", ["arrayValue": ["values": [["stringValue": "ada@example.org"]]]], "ada@example.org", true, true),
        (
            "map", ["kvlistValue": ["values": [["key": "who", "value": ["stringValue": "ada"]]]]], "ada", true, true
        ),
        ("number", 4711, "4711", true, true), ("number", 4711, "471", false, true),
        ("number", 4711, "04711", false, false), ("ada", "x", "ada", false, true),
        ("input.value", #"{"user":"ada"}"#, "ada", false, true),
    ]

    @Test("what is the subject's is known by whole values, or wherever it stands", arguments: attributes.indices)
    func matches(_ index: Int) async throws {
        let row = Self.attributes[index]
        try await withRetentionBench { bench in
            try await bench.span(1, of: 1, [(row.name, row.value)])
            for (isAnywhere, isFound) in [(false, row.whole), (true, row.anywhere)] {
                let report = try await bench.ingest.erase(
                    Self.order(row.subject, isAnywhere: isAnywhere, isDryRun: true))
                #expect(report.found == (isFound ? 1 : 0), "\(isAnywhere)")
                #expect(report.removed == 0)
            }
            #expect(try await bench.spans(1) == 1)
        }
    }

    private static let subject = "ada.lovelace@example.org"

    /// Records of the subject everywhere where they may be, each beside one that is somebody else's.
    private static func fill(_ bench: RetentionBench) async throws {
        for number in 1...40 as ClosedRange<UInt64> {
            let user: JSONValue = number % 4 == 0 ? .string(subject) : "somebody"
            try await bench.span(number, of: 1, [("user.id", user), ("text", .string("of \(number)"))])
        }
        try await bench.span(50, of: 2, resource: [("user.id", .string(subject))])
        try await bench.span(51, of: 2, [("correlation_id", .string(subject))], isFailed: true)
        try await bench.span(52, of: 3, [("user.id", .string(subject))], isPending: true)
        try await bench.log("hers") { $0.session = subject }
        try await bench.log("hers too") { $0.labels = LogLabels([(name: "user", value: subject)]) }
        try await bench.log("and hers") {
            $0.attributes["who"] = JSONValue.object(JSONObject([.init(name: "name", value: .string(subject))]))
        }
        try await bench.log("another's") { $0.session = "bob" }
    }

    @Test("nothing of it is left in any file, in its bytes or unpacked, and all else is")
    func everywhere() async throws {
        try await withRetentionBench { bench in
            try await Self.fill(bench)
            #expect(!(try bench.places(of: Self.subject).isEmpty))
            let packed = try bench.packed(of: Self.subject)
            #expect(packed.count > 10)
            let report = try await bench.ingest.erase(Self.order(Self.subject))
            let files = try bench.files()
            #expect(!packed.contains { bytes in files.contains { $0.bytes.range(of: bytes) != nil } })
            let counts: [Int] = [report.found, report.removed, report.held]
            #expect(counts == [16, 16, 0] as [Int])
            #expect(report.remaining == 0)
            #expect(report.places["user.id"] == 11)
            for file in report.files where file.name != "live" {
                let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(bench.folder)/\(file.name)"))
                #expect(file.sha256 == Digest.sha256(Array(bytes)))
            }
            #expect(try bench.places(of: Self.subject) == [])
            #expect(try await bench.spans(1) == 30)
            #expect(try await bench.spans(2) == 0)
            #expect(try await bench.spans(3) == 0)
            #expect(try await bench.messages() == ["another's"])
            let detail = try await bench.ingest.span(SpanID(value: 9), of: RetentionBench.trace(1))
            #expect(detail?.attributes["text"]?.string == "of 9")
            // Ingest goes on, and a start finds the same.
            try await bench.span(90, of: 1)
            try bench.startAnew()
            #expect(try await bench.spans(1) == 31)
            #expect(try bench.places(of: Self.subject) == [])
            let again = try await bench.ingest.erase(Self.order(Self.subject))
            #expect(again.files.isEmpty)
            #expect(again.digest == report.digest)
            #expect(again.digest != Digest.sha256(Self.subject))
        }
    }

    @Test("what was carried over is erased as well")
    func kept() async throws {
        try await withRetentionBench { bench in
            try await Self.fill(bench)
            var marks = RetentionEvidence()
            marks.traces = [RetentionBench.trace(1)]
            bench.pass(to: 31)
            try await bench.ingest.forget(TelemetryRetention(Settings.Telemetry()), marks)
            #expect(try await bench.spans(1) == 40)
            let report = try await bench.ingest.erase(Self.order(Self.subject))
            #expect(report.files.contains { $0.name.hasSuffix("-kept.db") && $0.removed == 11 })
            #expect(try await bench.spans(1) == 30)
            #expect(try bench.places(of: Self.subject) == [])
        }
    }

    @Test("what bodies have apart goes with the last that names it, and stays while another does")
    func pieces() async throws {
        try await withRetentionBench { bench in
            func text(_ word: String) -> JSONValue { .string(String(repeating: "\(word) and more. ", count: 200)) }
            try await bench.span(1, of: 1, [("input.value", text("told by \(Self.subject)")), ("b", text("shared"))])
            try await bench.span(2, of: 2, [("b", text("shared"))])
            #expect(try bench.ingest.deleteUnnamedPieces() == 0)
            let report = try await bench.ingest.erase(Self.order(Self.subject, isAnywhere: true))
            #expect(report.removed == 1 && report.remaining == 0)
            // The erasure did it.
            #expect(try bench.ingest.deleteUnnamedPieces() == 0)
            let part = try #require(bench.ingest.reading.allParts().first)
            #expect(try bench.ingest.reading.file(part).pieces() == 1)
            let span = try await bench.ingest.span(SpanID(value: 2), of: RetentionBench.trace(2))
            #expect(span?.attributes["b"] == .string(text("shared").string ?? ""))
        }
    }

    @Test("what bodies have apart goes with the next erasure where one was cut short before it")
    func piecesUnsettled() async throws {
        try await withRetentionBench { bench in
            bench.merges = false
            for number in 1...SubjectErasure.blocksPerWord {
                let text = String(repeating: "\(number) by \(Self.subject). ", count: 50)
                try await bench.span(UInt64(number), of: 1, [("input.value", .string(text))])
            }
            let part = try #require(bench.ingest.reading.allParts().first)
            #expect(try bench.ingest.reading.file(part).pieces() == SubjectErasure.blocksPerWord)
            await #expect(throws: SubjectErasure.Stopped.self) {
                try await bench.ingest.erase(Self.order(Self.subject, isAnywhere: true)) { _ in false }
            }
            #expect(try bench.ingest.reading.file(part).pieces() > 0)
            try bench.startAnew()
            let report = try await bench.ingest.erase(Self.order(Self.subject, isAnywhere: true))
            #expect(report.removed == 0 && report.remaining ?? 0 == 0)
            #expect(try bench.ingest.reading.file(part).pieces() == 0)
            #expect(try bench.places(of: Self.subject) == [])
        }
    }

    @Test("an erasure that ends in the middle is done by the next one")
    func interrupted() async throws {
        try await withRetentionBench { bench in
            bench.merges = false
            for number in 1...250 as ClosedRange<UInt64> {
                try await bench.span(number, of: 1, [("user.id", .string(Self.subject))])
            }
            await #expect(throws: SubjectErasure.Stopped.self) {
                try await bench.ingest.erase(Self.order(Self.subject)) { _ in false }
            }
            let left = try await bench.spans(1)
            #expect(left == 150)
            try bench.startAnew()
            let report = try await bench.ingest.erase(Self.order(Self.subject))
            #expect(report.removed == 150)
            #expect(report.remaining == 0)
            #expect(try bench.places(of: Self.subject) == [])
        }
    }

    @Test("what was cut short before a file's log was emptied leaves nothing once it is done again")
    func unsettled() async throws {
        try await withRetentionBench { bench in
            bench.merges = false
            for number in 1...SubjectErasure.blocksPerWord {
                try await bench.span(UInt64(number), of: 1, [("user.id", .string(Self.subject))])
            }
            let first = bench.ingest
            let part = try #require(first.reading.allParts().first)
            // Blocks are packed: their own bytes are looked for.
            let packed = try #require(try first.reading.file(part).body(of: 50))
            // All blocks are rewritten by then.
            await #expect(throws: SubjectErasure.Stopped.self) {
                try await first.erase(Self.order(Self.subject)) { _ in false }
            }
            #expect(try bench.files().contains { $0.bytes.range(of: Data(packed)) != nil })
            try bench.startAnew()
            let report = try await bench.ingest.erase(Self.order(Self.subject))
            #expect(report.found == 0)
            #expect(!(try bench.files().contains { $0.bytes.range(of: Data(packed)) != nil }))
            // It was there all the time.
            #expect(first.unkeptTraces == 0)
        }
    }

    @Test("what is under a hold stays, and the report says so")
    func held() async throws {
        try await withRetentionBench { bench in
            try await bench.span(1, of: 1, [("user.id", .string(Self.subject))])
            try await bench.span(2, of: 2, [("user.id", .string(Self.subject))])
            let hold = TelemetryHold(id: "hold_1", target: .trace(RetentionBench.trace(2)))
            let report = try await bench.ingest.erase(Self.order(Self.subject, holds: [hold]))
            let counts: [Int] = [report.found, report.removed, report.held]
            #expect(counts == [2, 1, 1] as [Int])
            #expect(report.remaining == 0)
            #expect(report.holds == ["hold_1"])
            #expect([try await bench.spans(1), try await bench.spans(2)] == [0, 1])
        }
    }

    @Test("a series with the subject in a label is gone from memory and from its day's file")
    func series() async throws {
        try await withTelemetryFolder { folder in
            let time = SetTime(RetentionBench.begun)
            let world = World(time: time, entropy: World.live.entropy)
            let store = try SeriesStore(folder: folder, quota: 1 << 20, days: 30, world: world)
            var batch = SampleBatch()
            for user in [Self.subject, "bob"] {
                batch.append(
                    LabelSet([("__name__", "requests"), ("user", user)]),
                    Sample(RetentionBench.begun.microseconds / 1_000, 1))
            }
            try await store.keep(batch)
            let files = try await store.erase(Self.order(Self.subject))
            #expect(files.map(\.found) == [1])
            #expect(files.map(\.removed) == [1])
            #expect(files.map(\.remaining) == [0])
            let left = try store.labelSets([], in: 0...Int64.max, isOver: { false })
            #expect(left.map { $0["user"] } == ["bob"])
            for name in try FileManager.default.contentsOfDirectory(atPath: folder) where name.hasPrefix("metrics-") {
                let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))
                #expect(bytes.range(of: Data(Self.subject.utf8)) == nil, "\(name)")
            }
            try await store.close()
        }
    }
}
