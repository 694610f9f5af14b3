/// The recent past of all series.
struct SeriesMemory {
    /// A chunk that takes no more samples, or is still filled.
    struct Chunk {
        var samples = SampleChunk()
        /// Samples of it that are in its day's file.
        var written = 0
        let day: Int
    }

    struct Series {
        let labels: LabelSet
        var chunks: [Chunk] = []
        var last = Sample(.min, 0)
        /// Whether the last chunk came from its file, and is followed by a new one.
        var isRestored = false

        var hasUnwritten: Bool { chunks.contains { $0.written < $0.samples.count } }
    }

    /// What becomes of a sample.
    enum Outcome: Equatable {
        case added
        /// The very sample is there.
        case duplicate
        /// There is a later one, or another of the same time.
        case outOfOrder
        case tooManySeries
    }

    private(set) var series: [Int32: Series] = [:]
    private var places: [LabelSet: Int32] = [:]
    /// The series that have a label of this value, by a set of that one label; in rising order.
    private var postings: [LabelSet: [Int32]] = [:]
    private var next: Int32 = 0
    private let seriesMax: Int

    init(seriesMax: Int) { self.seriesMax = seriesMax }

    var count: Int { series.count }

    func seriesCount(of metric: String) -> Int { postings[Self.name(metric)]?.count ?? 0 }

    func hasRoom(for series: Int) -> Bool { count + series <= seriesMax }

    func contains(_ labels: LabelSet) -> Bool { places[labels] != nil }

    func last(_ labels: LabelSet) -> Sample? { places[labels].flatMap { series[$0]?.last } }

    private static func name(_ metric: String) -> LabelSet { LabelSet([(LabelSet.metricName, metric)]) }

    // MARK: Writing

    /// What would become of a sample.
    func outcome(_ labels: LabelSet, _ sample: Sample) -> Outcome {
        guard let last = last(labels) else { return count < seriesMax ? .added : .tooManySeries }
        if sample.time > last.time { return .added }
        return sample == last ? .duplicate : .outOfOrder
    }

    mutating func append(_ labels: LabelSet, _ sample: Sample) -> Outcome {
        let outcome = outcome(labels, sample)
        guard outcome == .added else { return outcome }
        let place = places[labels] ?? add(labels)
        let day = SeriesFiles.day(sample.time)
        series[place]?.append(sample, day: day)
        return .added
    }

    private mutating func add(_ labels: LabelSet) -> Int32 {
        let place = next
        next += 1
        places[labels] = place
        series[place] = Series(labels: labels)
        for pair in labels.singles { postings[pair, default: []].append(place) }
        return place
    }

    /// Takes up a chunk that is in its day's file.
    mutating func restore(_ labels: LabelSet, _ samples: [Sample]) {
        guard count < seriesMax || contains(labels) else { return }
        let place = places[labels] ?? add(labels)
        var chunk: Chunk?
        for sample in samples where sample.time > series[place]?.last.time ?? .min {
            if chunk == nil { chunk = Chunk(day: SeriesFiles.day(sample.time)) }
            chunk?.samples.append(sample.time, sample.value)
            series[place]?.last = sample
        }
        guard var chunk else { return }
        chunk.written = chunk.samples.count
        series[place]?.chunks.append(chunk)
        series[place]?.isRestored = true
    }

    /// Notes that these samples are in their day's file.
    mutating func note(written: Int, of place: Int32, first: Int64) {
        guard let index = series[place]?.chunks.lastIndex(where: { $0.samples.first == first }) else { return }
        series[place]?.chunks[index].written = written
    }

    /// Lets go of chunks that are in their files and ended before this time, and of series that have no other.
    mutating func forget(before time: Int64) {
        var touched: Set<LabelSet> = []
        var gone: Set<Int32> = []
        for (place, one) in series {
            guard let first = one.chunks.first, first.samples.last < time else { continue }
            let kept = one.chunks.filter { $0.samples.last >= time || $0.written < $0.samples.count }
            if kept.isEmpty {
                gone.insert(place)
                places[one.labels] = nil
                touched.formUnion(one.labels.singles)
            } else if kept.count < one.chunks.count {
                series[place]?.chunks = kept
            }
        }
        drop(gone, touched)
    }

    /// Forgets the series that are as said.
    mutating func erase(where isMeant: (LabelSet) -> Bool) {
        var touched: Set<LabelSet> = []
        var gone: Set<Int32> = []
        for (place, one) in series where isMeant(one.labels) {
            gone.insert(place)
            places[one.labels] = nil
            touched.formUnion(one.labels.singles)
        }
        drop(gone, touched)
    }

    private mutating func drop(_ gone: Set<Int32>, _ touched: Set<LabelSet>) {
        for place in gone { series[place] = nil }
        for pair in touched {
            let left = postings[pair]?.filter { !gone.contains($0) } ?? []
            postings[pair] = left.isEmpty ? nil : left
        }
    }

    // MARK: Reading

    /// The fewest series among which those must be that all matchers accept.
    func candidates(_ matchers: [LabelMatcher]) -> [Series] {
        let lists = matchers.compactMap(\.single).map { postings[$0] ?? [] }
        guard let shortest = lists.min(by: { $0.count < $1.count }) else { return Array(series.values) }
        return shortest.compactMap { series[$0] }
    }

    /// Bytes of all chunks, and their samples.
    var extent: (bytes: Int, samples: Int) {
        series.values.reduce(into: (0, 0)) { sum, one in
            for chunk in one.chunks {
                sum.0 += chunk.samples.bytes.count
                sum.1 += chunk.samples.count
            }
        }
    }
}

extension SeriesMemory.Series {
    fileprivate mutating func append(_ sample: Sample, day: Int) {
        if let last = chunks.last, !last.samples.isFull, last.day == day, !isRestored {
            chunks[chunks.count - 1].samples.append(sample.time, sample.value)
        } else {
            isRestored = false
            var chunk = SeriesMemory.Chunk(day: day)
            chunk.samples.append(sample.time, sample.value)
            chunks.append(chunk)
        }
        last = sample
    }

    /// How many samples of these times there may be at most.
    func samples(in times: ClosedRange<Int64>) -> Int {
        chunks.reduce(0) { sum, chunk in
            let isTouched = chunk.samples.last >= times.lowerBound && chunk.samples.first <= times.upperBound
            return sum + (isTouched ? chunk.samples.count : 0)
        }
    }

    /// Adds the samples of these times, which come after those that there are.
    func read(in times: ClosedRange<Int64>, to output: inout SeriesSamples) {
        for chunk in chunks where chunk.samples.last >= times.lowerBound && chunk.samples.first <= times.upperBound {
            chunk.samples.bytes.withUnsafeBufferPointer { bytes in
                var reader = SampleChunkReader(bytes, count: chunk.samples.count)
                output.append(&reader, in: times)
            }
        }
    }
}

extension SeriesSamples {
    mutating func reserve(_ count: Int) {
        times.reserveCapacity(count)
        values.reserveCapacity(count)
    }

    mutating func append(_ reader: inout SampleChunkReader, in asked: ClosedRange<Int64>) {
        while let sample = reader.next(), sample.time <= asked.upperBound {
            guard sample.time >= asked.lowerBound, sample.time > times.last ?? .min else { continue }
            times.append(sample.time)
            values.append(sample.value)
        }
    }

    /// Puts the samples of both together, in their order; of the same time this one's count.
    mutating func merge(_ other: SeriesSamples) {
        guard let first = other.times.first else { return }
        if times.isEmpty || times[times.count - 1] < first {
            times += other.times
            values += other.values
            return
        }
        var merged = SeriesSamples(labels)
        var (left, right) = (0, 0)
        while left < times.count || right < other.times.count {
            let isLeft = right >= other.times.count || (left < times.count && times[left] <= other.times[right])
            if isLeft {
                if right < other.times.count, times[left] == other.times[right] { right += 1 }
                merged.times.append(times[left])
                merged.values.append(values[left])
                left += 1
            } else {
                merged.times.append(other.times[right])
                merged.values.append(other.values[right])
                right += 1
            }
        }
        self = merged
    }
}

extension LabelSet {
    /// Each label as a set of its own.
    var singles: [LabelSet] { pairs.map { LabelSet([($0.name, $0.value)]) } }
}
