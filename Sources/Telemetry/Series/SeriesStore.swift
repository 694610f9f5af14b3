import Foundation
import Kernel
import Synchronization

/// Series over time: the recent past in memory, all of it in files by day.
///
/// Samples are in a spool on the disk before ``keep(_:)`` returns and in a day's file some minutes later. What a crash
/// leaves in the spool is read again; samples that are there already change nothing.
public final class SeriesStore: SeriesReader, Sendable {
    /// Series with samples of late, at most; samples of further ones are refused.
    public static let seriesMax = 250_000
    /// Series of one metric that come from outside; those beyond are put together.
    public static let seriesOfMetricMax = 5_000
    /// What queries find in memory.
    static let recent = Span.hours(2)
    /// How often samples go to their files; more often where the spool fills.
    static let flushEvery = Span.minutes(5)
    /// How often that is looked at.
    public static let flushInterval = Span.seconds(10)
    /// How far ahead of the clock a sample may be.
    static let aheadMax = Span.minutes(10)
    /// Rounds in which what is on its way to memory gets there.
    private static let settleTries = 3
    private static let batchKind: UInt8 = 1

    /// What became of the samples of a batch.
    struct Counts: Sendable {
        var added = 0
        var duplicate = 0
        var refused = 0
    }

    private struct State {
        var memory: SeriesMemory
        /// The spool's entry up to which everything is in memory.
        var applied: Int64 = 0
        /// The moment from which on memory has all samples.
        var completeFrom: Int64
        var flushedAt: Timestamp
    }

    private let state: Mutex<State>
    private let files: SeriesFiles
    /// The same files, for those who look: they hold nothing up.
    private let reading: SeriesFiles
    private let spool: Spool
    private let world: World
    private let days: Int
    private let worker = DispatchQueue(label: "reeve.telemetry.series")

    /// - Parameters:
    ///   - folder: The folder of all telemetry, made where it is absent.
    ///   - quota: Bytes that the spool may take.
    ///   - days: How many whole days samples are kept behind today.
    ///   - onWarning: Hears of what cannot be read.
    public convenience init(
        folder: String, quota: Int, days: Int, world: World, onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        try self.init(
            folder: folder, quota: quota, days: days, seriesMax: Self.seriesMax, world: world, onWarning: onWarning)
    }

    init(
        folder: String, quota: Int, days: Int, seriesMax: Int, world: World,
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        self.world = world
        self.days = days
        DurableFile.clear("\(folder)/metric-spool")
        files = try SeriesFiles(folder: folder, onWarning: onWarning)
        reading = try SeriesFiles(folder: folder, onWarning: onWarning)
        let now = world.now
        let from = Self.milliseconds(now - Self.recent)
        var memory = SeriesMemory(seriesMax: seriesMax)
        try files.each([], in: from...Int64.max, isOver: { false }) { labels, row in
            row.data.withUnsafeBufferPointer { bytes in
                var reader = SampleChunkReader(bytes, count: row.samples)
                var samples: [Sample] = []
                while let sample = reader.next() { samples.append(sample) }
                memory.restore(labels, samples)
            }
        }
        var applied: Int64 = 0
        spool = try Spool(
            folder: "\(folder)/metric-spool", quota: quota, after: 0,
            replay: { number, entry in
                applied = number
                guard entry.kind == Self.batchKind, let batch = try? SampleBatch(entry.payload) else { return }
                _ = Self.apply(batch, to: &memory)
            }, damage: onWarning)
        state = Mutex(State(memory: memory, applied: applied, completeFrom: from, flushedAt: now))
    }

    static func milliseconds(_ time: Timestamp) -> Int64 { time.microseconds / 1_000 }

    /// Whether samples of this time are taken: no older than what is kept, and not ahead of the clock.
    func isTaken(_ time: Int64) -> Bool {
        let now = world.now
        return time <= Self.milliseconds(now + Self.aheadMax)
            && SeriesFiles.day(time) >= SeriesFiles.day(Self.milliseconds(now)) - days && time > 0
    }

    // MARK: Writing

    /// Keeps samples: they are on the disk, and found by queries, when this returns.
    ///
    /// Within a series times only rise: a sample of an earlier time, or of the same time and another value, is passed
    /// over.
    @discardableResult
    func keep(_ batch: SampleBatch) async throws(Spool.Fault) -> Counts {
        guard !batch.isEmpty else { return Counts() }
        let entry = SpoolEntry(kind: Self.batchKind, receivedAt: world.now.microseconds, payload: batch.bytes)
        let counts = CountsBox()
        try await spool.append(entry) { number in
            self.state.withLock { state in
                counts.value.withLock { $0 = Self.apply(batch, to: &state.memory) }
                state.applied = number
            }
        }
        return counts.value.withLock { $0 }
    }

    private final class CountsBox: Sendable {
        let value = Mutex(Counts())
    }

    private static func apply(_ batch: SampleBatch, to memory: inout SeriesMemory) -> Counts {
        var counts = Counts()
        for (place, sample) in batch.samples {
            switch memory.append(batch.series[place], sample) {
            case .added: counts.added += 1
            case .duplicate: counts.duplicate += 1
            case .outOfOrder, .tooManySeries: counts.refused += 1
            }
        }
        return counts
    }

    /// Looks at what there is, and holds writers up for so long.
    func withMemory<Value>(_ body: (SeriesMemory) throws -> Value) rethrows -> Value {
        try state.withLock { try body($0.memory) }
    }

    // MARK: To the files

    /// Puts samples into their files, where it is time.
    public func flushIfDue() async throws {
        let since = world.now - state.withLock { $0.flushedAt }
        guard since >= Self.flushEvery || since < .zero || spool.isPressed else { return }
        try await flush()
    }

    public func flush() async throws { try await onWorker { try self.flushNow() } }

    /// As ``flush()``, and nothing of what came before stands in the spool any more, however much comes meanwhile.
    private func flushWhole() throws {
        let end = spool.seal()
        for _ in 0..<Self.settleTries where spool.has(before: end) { try flushNow() }
        try flushNow()
    }

    private func flushNow() throws {
        struct Chunk {
            let place: Int32
            let labels: LabelSet
            let row: SeriesDayStore.Row
        }
        let (applied, chunks) = state.withLock { state in
            var chunks: [Int: [Chunk]] = [:]
            for (place, series) in state.memory.series where series.hasUnwritten {
                for chunk in series.chunks where chunk.written < chunk.samples.count {
                    let row = SeriesDayStore.Row(
                        first: chunk.samples.first, last: chunk.samples.last, samples: chunk.samples.count,
                        data: chunk.samples.bytes)
                    chunks[chunk.day, default: []].append(Chunk(place: place, labels: series.labels, row: row))
                }
            }
            return (state.applied, chunks)
        }
        for (day, ones) in chunks.sorted(by: { $0.key < $1.key }) {
            try files.write(ones.map { ($0.labels, $0.row) }, day: day)
        }
        try files.sync()
        let now = world.now
        state.withLock { state in
            for one in chunks.values.joined() {
                state.memory.note(written: one.row.samples, of: one.place, first: one.row.first)
            }
            let from = Self.milliseconds(now - Self.recent)
            state.memory.forget(before: from)
            state.completeFrom = max(state.completeFrom, from)
            state.flushedAt = now
        }
        spool.release(through: applied)
    }

    /// Deletes the files of days that are kept no longer, and says how many.
    @discardableResult
    public func forget() async throws -> Int {
        let first = SeriesFiles.day(Self.milliseconds(world.now)) - days
        return try await onWorker {
            // First whoever looks lets go of them: the disk has room only once nobody holds a file.
            try self.reading.letGo(before: first)
            return try self.files.drop(before: first)
        }
    }

    /// Removes the series of which a label has the subject, with all their samples; see ``ErasureReport``.
    public func erase(_ order: ErasureOrder) async throws -> [ErasureReport.File] {
        try await onWorker {
            let isMeant: (LabelSet) -> Bool = { order.subject.isMet(by: $0) }
            // Memory and the spool have none then that the files have not.
            try self.flushWhole()
            if !order.isDryRun {
                self.state.withLock { $0.memory.erase(where: isMeant) }
                // What came between is in the spool, and in memory no more.
                try self.flushWhole()
            }
            return try self.files.days().compactMap { day in
                var file = ErasureReport.File(name: "metrics-\(day).db")
                file.found = try self.files.erase(day, isDryRun: order.isDryRun, where: isMeant)
                guard file.found > 0 else { return nil }
                guard !order.isDryRun else { return file }
                file.removed = file.found
                file.remaining = try self.files.erase(day, isDryRun: true, where: isMeant)
                file.sha256 = try Digest.sha256(ofFile: self.files.path(day))
                return file
            }
        }
    }

    /// Puts the last into the files and closes them.
    public func close() async throws {
        spool.close()
        try await onWorker {
            try self.flushNow()
            try self.files.close()
            try self.reading.close()
        }
    }

    private func onWorker<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            worker.async { continuation.resume(with: Result { try body() }) }
        }
    }

    // MARK: Reading

    public func series(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [SeriesSamples] {
        let (recent, completeFrom) = try matching(matchers, isOver)
        var count = 0
        var found: [LabelSet: SeriesSamples] = [:]
        if times.lowerBound < completeFrom {
            let old = times.lowerBound...min(times.upperBound, completeFrom)
            try reading.each(matchers, in: old, isOver: isOver) { labels, row in
                row.data.withUnsafeBufferPointer { bytes in
                    var reader = SampleChunkReader(bytes, count: row.samples)
                    found[labels, default: SeriesSamples(labels)].append(&reader, in: old)
                }
                count += row.samples
                guard count <= samplesMax else { throw TooManySamples() }
            }
        }
        var result: [SeriesSamples] = []
        result.reserveCapacity(recent.count)
        for (index, one) in recent.enumerated() {
            if index % Self.seriesPerLook == 0, isOver() { throw QueryFault.timeout }
            var samples = SeriesSamples(one.labels)
            samples.reserve(one.samples(in: times))
            one.read(in: times, to: &samples)
            count += samples.times.count
            guard count <= samplesMax else { throw TooManySamples() }
            if let old = found.removeValue(forKey: one.labels) { samples.merge(old) }
            if !samples.times.isEmpty { result.append(samples) }
        }
        result += found.values.filter { !$0.times.isEmpty }
        return result.sorted { $0.labels < $1.labels }
    }

    /// Most often the last sample of all, which is known without looking into the others.
    public func lasts(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [(labels: LabelSet, sample: Sample)] {
        let (recent, completeFrom) = try matching(matchers, isOver)
        guard times.lowerBound >= completeFrom, recent.allSatisfy({ $0.last.time <= times.upperBound }) else {
            return try series(matchers, in: times, samplesMax: samplesMax, isOver: isOver).compactMap { one in
                guard let time = one.times.last, let value = one.values.last else { return nil }
                return (one.labels, Sample(time, value))
            }
        }
        guard recent.count <= samplesMax else { throw TooManySamples() }
        return recent.compactMap { $0.last.time >= times.lowerBound ? ($0.labels, $0.last) : nil }
    }

    /// How many series are looked at between two looks at the time.
    static let seriesPerLook = 100

    /// The series in memory that match, and the moment from which on they have all samples.
    ///
    /// Patterns are matched once the lock is let go of: a costly one must not hold writers up.
    private func matching(
        _ matchers: [LabelMatcher], _ isOver: () -> Bool
    ) throws -> ([SeriesMemory.Series], Int64) {
        let (candidates, completeFrom) = state.withLock { ($0.memory.candidates(matchers), $0.completeFrom) }
        var found: [SeriesMemory.Series] = []
        for (index, one) in candidates.enumerated() {
            if index % Self.seriesPerLook == 0, isOver() { throw QueryFault.timeout }
            if matchers.match(one.labels) { found.append(one) }
        }
        return (found, completeFrom)
    }

    public func labelSets(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, isOver: () -> Bool
    ) throws -> Set<LabelSet> {
        let (recent, completeFrom) = try matching(matchers, isOver)
        var found: Set<LabelSet> = []
        for one in recent
        where one.chunks.contains(where: { $0.samples.first <= times.upperBound && $0.samples.last >= times.lowerBound }
        ) { found.insert(one.labels) }
        if times.lowerBound < completeFrom {
            found.formUnion(
                try reading.labelSets(
                    matchers, in: times.lowerBound...min(times.upperBound, completeFrom), isOver: isOver))
        }
        return found
    }

    /// Series and samples in memory, and bytes of their chunks.
    public var extent: (series: Int, samples: Int, bytes: Int) {
        state.withLock { state in
            let extent = state.memory.extent
            return (state.memory.count, extent.samples, extent.bytes)
        }
    }
}
