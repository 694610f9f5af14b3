import Foundation
import Kernel
import Synchronization
import Testing

@testable import Telemetry

/// A clock that stands until it is set.
extension SetTime {
    convenience init(milliseconds: Int64) { self.init(Timestamp(microseconds: milliseconds * 1_000)) }

    func set(milliseconds: Int64) { set(Timestamp(microseconds: milliseconds * 1_000)) }
}

@Suite("Series over time")
struct SeriesStoreTests {
    /// A noon.
    private static let noon: Int64 = 20_000 * 86_400_000 + 43_200_000

    private static func labels(_ name: String, _ number: Int = 0) -> LabelSet {
        LabelSet([(LabelSet.metricName, name), ("n", "\(number)")])
    }

    private static func store(
        _ folder: String, _ time: SetTime, days: Int = 30, seriesMax: Int = 1_000
    ) throws -> SeriesStore {
        try SeriesStore(
            folder: folder, quota: 64 << 20, days: days, seriesMax: seriesMax,
            world: World(time: time, entropy: SystemEntropy()))
    }

    private static func batch(_ samples: [(LabelSet, Int64, Double)]) -> SampleBatch {
        var batch = SampleBatch()
        for (labels, time, value) in samples { batch.append(labels, Sample(time, value)) }
        return batch
    }

    private static func read(_ store: SeriesStore, _ name: String, _ times: ClosedRange<Int64>) throws -> [[Sample]] {
        try store.series(
            [LabelMatcher(LabelSet.metricName, .equal, name)], in: times, samplesMax: 1_000_000, isOver: { false }
        )
        .map { zip($0.times, $0.values).map { Sample($0, $1) } }
    }

    @Test("samples of every kind come out of a chunk as they went in")
    func chunk() {
        var values: [Double] = [0, -0.0, 1, 1.5, .infinity, -.infinity, .nan, Sample.stale, 5e-324, 1e308, 1e308]
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<100 { values.append(Double(bitPattern: generator.next())) }
        var time: Int64 = -5
        var samples: [Sample] = []
        for (index, value) in values.enumerated() {
            time += [1, 15_000, 15_001, 14_900, 60_000, 1 << 20, 1 << 40][index % 7]
            samples.append(Sample(time, value))
        }
        var chunk = SampleChunk()
        for sample in samples { chunk.append(sample.time, sample.value) }
        #expect(Self.samples(chunk.bytes, chunk.count) == samples)
        #expect(chunk.first == samples.first?.time && chunk.last == samples.last?.time)
        // Damaged ones end early, and are no trap.
        for length in 0..<chunk.bytes.count {
            #expect(Self.samples(Array(chunk.bytes.prefix(length)), chunk.count).count < samples.count)
        }
    }

    private static func samples(_ bytes: [UInt8], _ count: Int) -> [Sample] {
        bytes.withUnsafeBufferPointer { bytes in
            var reader = SampleChunkReader(bytes, count: count)
            var found: [Sample] = []
            while let sample = reader.next() { found.append(sample) }
            return found
        }
    }

    @Test("a sample takes few bytes")
    func size() {
        var (gauge, counter, still) = (SampleChunk(), SampleChunk(), SampleChunk())
        var total = 0.0
        for index in 0..<SampleChunk.samplesMax {
            let time = Self.noon + Int64(index) * 15_000 + Int64(index * 7 % 5)
            total += Double(index * 31 % 17)
            gauge.append(time, Double(index * 13 % 29))
            counter.append(time, total)
            still.append(time, 42)
        }
        #expect(Double(still.bytes.count) / 240 < 1.6)
        #expect(Double(gauge.bytes.count) / 240 < 3.5)
        #expect(Double(counter.bytes.count) / 240 < 4)
    }

    @Test("a batch is the same behind its bytes, and damaged bytes are none")
    func batch() throws {
        let batch = Self.batch([
            (Self.labels("a"), 5, 1), (Self.labels("b", 1), 3, .nan), (Self.labels("a"), 9, Sample.stale),
        ])
        let again = try SampleBatch(batch.bytes)
        #expect(again.series == batch.series)
        #expect(again.samples.map(\.sample) == batch.samples.map(\.sample))
        #expect(again.samples.map(\.series) == [0, 1, 0])
        #expect(throws: (any Error).self) { try SampleBatch(Array(batch.bytes.dropLast(3))) }
    }

    @Test("a sample is found at once, after a flush, and after a start; times only rise")
    func found() async throws {
        try await withTelemetryFolder { folder in
            let time = SetTime(milliseconds: Self.noon)
            let store = try Self.store(folder, time)
            let label = Self.labels("a")
            let counts = try await store.keep(
                Self.batch([
                    (label, Self.noon - 20, 1), (label, Self.noon - 10, 2), (label, Self.noon - 10, 2),
                    (label, Self.noon - 10, 3), (label, Self.noon - 15, 4), (label, Self.noon, 5),
                ]))
            #expect(counts.added == 3 && counts.duplicate == 1 && counts.refused == 2)
            let all = [[Sample(Self.noon - 20, 1), Sample(Self.noon - 10, 2), Sample(Self.noon, 5)]]
            let range = Self.noon - 100...Self.noon + 100
            #expect(try Self.read(store, "a", range) == all)
            #expect(try Self.read(store, "a", Self.noon - 12...Self.noon - 5) == [[Sample(Self.noon - 10, 2)]])
            try await store.flush()
            #expect(try Self.read(store, "a", range) == all)
            try await store.close()
            let again = try Self.store(folder, time)
            #expect(try Self.read(again, "a", range) == all)
            // The last of each series is known: the same is a duplicate, and an earlier one refused.
            let more = try await again.keep(
                Self.batch([(label, Self.noon, 5), (label, Self.noon - 1, 5), (label, Self.noon + 1, 6)]))
            #expect(more.duplicate == 1 && more.refused == 1 && more.added == 1)
            #expect(try Self.read(again, "a", range) == [all[0] + [Sample(Self.noon + 1, 6)]])
        }
    }

    @Test("what was acknowledged is there after a process that ended without a word, once")
    func crash() async throws {
        try await withTelemetryFolder { folder in
            let time = SetTime(milliseconds: Self.noon)
            let first = try Self.store(folder, time)
            for number in 0..<500 {
                let at = Self.noon + Int64(number) * 100
                try await first.keep(Self.batch([(Self.labels("a"), at, Double(number))]))
                if number == 100 || number == 377 { try await first.flush() }
            }
            let range = Self.noon...Self.noon + 50_000
            let all = try Self.read(first, "a", range)
            #expect(all.first?.count == 500)
            // Nothing is closed, and a part is not flushed.
            let second = try Self.store(folder, time)
            #expect(try Self.read(second, "a", range) == all)
            try await second.close()
            let third = try Self.store(folder, time)
            #expect(try Self.read(third, "a", range) == all)
        }
    }

    @Test("what memory lets go of is found in the files, across days, in its order")
    func files() async throws {
        try await withTelemetryFolder { folder in
            let time = SetTime(milliseconds: Self.noon)
            let store = try Self.store(folder, time)
            var all: [Sample] = []
            // A minute apart over two days and a half.
            for minute in 0..<3_600 {
                let sample = Sample(Self.noon + Int64(minute) * 60_000, Double(minute))
                time.set(milliseconds: sample.time)
                all.append(sample)
                guard minute % 50 == 49 else { continue }
                try await store.keep(Self.batch(all.suffix(50).map { (Self.labels("a"), $0.time, $0.value) }))
                if minute % 250 == 249 { try await store.flush() }
            }
            try await store.flush()
            #expect(store.extent.samples < 500)
            let end = try #require(all.last?.time)
            #expect(try Self.read(store, "a", Self.noon...end) == [all])
            let middle = Self.noon + 1_000 * 60_000...Self.noon + 3_500 * 60_000
            #expect(try Self.read(store, "a", middle) == [all.filter { middle.contains($0.time) }])
            #expect(try store.labelSets([], in: Self.noon...Self.noon + 1, isOver: { false }) == [Self.labels("a")])
            #expect(try store.labelSets([], in: 0...1, isOver: { false }).isEmpty)
            for selector in [Self.noon...end, end - 60_000...end] {
                #expect(throws: QueryFault.self) {
                    try store.series([], in: selector, samplesMax: 10_000, isOver: { true })
                }
            }
            #expect(throws: TooManySamples.self) {
                try store.series([], in: 0...end, samplesMax: 3_000, isOver: { false })
            }
            // Long behind, what is in the files alone begins anew without harm.
            let again = try Self.store(folder, time)
            #expect(try Self.read(again, "a", Self.noon...end) == [all])
        }
    }

    @Test("a day is forgotten by deleting its file")
    func retention() async throws {
        try await withTelemetryFolder { folder in
            let day: Int64 = 86_400_000
            let time = SetTime(milliseconds: Self.noon)
            let store = try Self.store(folder, time, days: 2)
            for number in 0..<4 {
                time.set(milliseconds: Self.noon + Int64(number) * day)
                try await store.keep(Self.batch([(Self.labels("a"), time.now.microseconds / 1_000, Double(number))]))
                try await store.flush()
            }
            #expect(try Self.read(store, "a", 0...Self.noon + 4 * day).first?.count == 4)
            #expect(try await store.forget() == 1)
            #expect(try Self.read(store, "a", 0...Self.noon + 4 * day).first?.map(\.value) == [1, 2, 3])
            #expect(!store.isTaken(Self.noon) && store.isTaken(Self.noon + day))
            #expect(store.isTaken(Self.noon + 3 * day + 600_000) && !store.isTaken(Self.noon + 3 * day + 600_001))
            #expect(!store.isTaken(0) && !store.isTaken(.max) && !store.isTaken(.min))
        }
    }

    @Test("series are bounded, and make room once they have ended")
    func bound() async throws {
        try await withTelemetryFolder { folder in
            let time = SetTime(milliseconds: Self.noon)
            let store = try Self.store(folder, time, seriesMax: 10)
            let counts = try await store.keep(Self.batch((0..<12).map { (Self.labels("a", $0), Self.noon, 1) }))
            #expect(counts.added == 10 && counts.refused == 2 && store.extent.series == 10)
            time.set(milliseconds: Self.noon + 3 * 3_600_000)
            try await store.flush()
            #expect(store.extent.series == 0)
            let more = try await store.keep(Self.batch([(Self.labels("b"), Self.noon + 3 * 3_600_000, 1)]))
            #expect(more.added == 1)
            #expect(try Self.read(store, "a", Self.noon...Self.noon).count == 10)
        }
    }

    @Test("a damaged file is told of and stands in nobody's way")
    func damage() async throws {
        try await withTelemetryFolder { folder in
            let time = SetTime(milliseconds: Self.noon)
            let store = try Self.store(folder, time)
            try await store.keep(Self.batch([(Self.labels("a"), Self.noon, 1)]))
            try await store.close()
            let old = SeriesFiles.day(Self.noon) - 1
            try Data("no database".utf8).write(to: URL(fileURLWithPath: "\(folder)/metrics-\(old).db"))
            let warnings = Mutex<[String]>([])
            let again = try SeriesStore(
                folder: folder, quota: 1 << 20, days: 30, world: World(time: time, entropy: SystemEntropy())
            ) { text in warnings.withLock { $0.append(text) } }
            #expect(try Self.read(again, "a", Self.noon - 86_400_000...Self.noon).count == 1)
            #expect(warnings.withLock { $0.contains { $0.contains("metrics-\(old).db") } })
        }
    }
}
