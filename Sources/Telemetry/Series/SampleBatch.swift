/// Samples of many series, as they come in and as they wait in the spool.
struct SampleBatch: Sendable {
    /// The series, each once.
    private(set) var series: [LabelSet] = []
    /// Samples with the place of their series in ``series``.
    private(set) var samples: [(series: Int, sample: Sample)] = []
    private var places: [LabelSet: Int] = [:]

    var isEmpty: Bool { samples.isEmpty }
    var count: Int { samples.count }

    mutating func append(_ labels: LabelSet, _ sample: Sample) {
        let place = places[labels] ?? series.count
        if place == series.count {
            places[labels] = place
            series.append(labels)
        }
        samples.append((place, sample))
    }

    /// Columns of the batch, packed.
    var bytes: [UInt8] {
        var writer = ColumnWriter()
        writer.append(series.count)
        for labels in series { labels.bytes.withUnsafeBytes { writer.append($0) } }
        writer.append(samples.count)
        var last: Int64 = 0
        for (place, sample) in samples {
            writer.append(place)
            writer.append(signed: sample.time &- last)
            last = sample.time
        }
        for (_, sample) in samples { writer.append(whole: sample.value.bitPattern) }
        return Zstandard.pack(writer.bytes)
    }

    /// Bytes of an unpacked batch.
    private static let bytesMax = 1 << 30

    init() {}

    /// - Throws: Where the bytes are no batch.
    init(_ bytes: [UInt8]) throws {
        var reader = ColumnReader(try Zstandard.unpack(bytes, max: Self.bytesMax))
        for _ in 0..<(try reader.length()) {
            let labels = Array(try reader.slice())
            guard LabelSet.isWhole(labels) else { throw ColumnReader.Damaged() }
            series.append(LabelSet(bytes: labels))
        }
        var heads: [(Int, Int64)] = []
        var time: Int64 = 0
        for _ in 0..<(try reader.length()) {
            let place = try reader.count()
            guard place < series.count else { throw ColumnReader.Damaged() }
            time &+= try reader.signed()
            heads.append((place, time))
        }
        for (place, time) in heads { samples.append((place, Sample(time, Double(bitPattern: try reader.whole())))) }
    }
}

extension LabelSet {
    /// Whether the bytes are labels: pairs of texts that are ended.
    static func isWhole(_ bytes: [UInt8]) -> Bool {
        (bytes.last ?? 0) == 0 && bytes.count { $0 == 0 } % 2 == 0
    }
}
