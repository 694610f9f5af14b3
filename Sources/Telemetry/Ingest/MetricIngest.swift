import Kernel
import Synchronization

/// Takes OTLP metrics in: their samples are on the disk before the sender hears of it.
public final class MetricIngest: Sendable {
    /// Deltas that are added up, by their series.
    static let totalsMax = 250_000
    /// Metrics that are described.
    static let aboutMax = 10_000
    /// The value of labels of a metric that has too many series.
    static let other = "__other__"

    public typealias Fault = TelemetryIngest.Fault

    private struct State {
        var ledger = TelemetryLedger()
        var about: [String: MetricAbout] = [:]
    }

    public let store: SeriesStore
    private let world: World
    private let watch: SecretWatch?
    private let state = Mutex(State())
    private let totals = Mutex([LabelSet: Sample]())
    private let ledgerFile: LedgerFile

    /// - Parameters:
    ///   - folder: That of all telemetry.
    ///   - watch: What must not stand in any label.
    ///   - onWarning: Hears of what cannot be read.
    public init(
        store: SeriesStore, folder: String, world: World, watch: SecretWatch? = nil,
        onWarning: (String) -> Void = { _ in }
    ) {
        self.store = store
        self.world = world
        self.watch = watch
        ledgerFile = LedgerFile(path: "\(folder)/metrics-ledger")
        let ledger = ledgerFile.load(onWarning).ledgers[.metrics]
        state.withLock { $0.ledger = ledger }
    }

    /// Keeps the ledger across a restart; called every few seconds.
    public func keepLedger() throws {
        var ledgers = TelemetryLedgers()
        ledgers[.metrics] = ledger
        try ledgerFile.keep(ledgers, through: 0)
    }

    /// Keeps what is left, once none come in any more.
    public func close() async throws {
        try keepLedger()
        try await store.close()
    }

    public var ledger: TelemetryLedger { state.withLock { $0.ledger } }

    /// What is known of the metrics that came in since the start.
    func about() -> [String: MetricAbout] { state.withLock { $0.about } }

    /// Takes the points of an OTLP `ExportMetricsServiceRequest`, and says which were refused.
    ///
    /// - Parameters:
    ///   - agent: Whose they are, where the key says so; it overrules what they say.
    ///   - refusedBefore: Points of the request that did not come so far.
    public func take(
        _ body: [UInt8], agent: String?, refusedBefore: [RecordFlaw: Int] = [:]
    ) async throws(Fault) -> [RecordFlaw: Int] {
        let body = watch.map { SecretSweep.clean(metrics: body, $0) } ?? body
        let request: MetricReader
        do {
            request = try MetricReader(body, agent: agent, now: SeriesStore.milliseconds(world.now))
        } catch { throw .malformed }
        var sorting = PointSorting(refused: request.refused.merging(refusedBefore, uniquingKeysWith: +))
        let added = totals.withLock { totals in sorting.sort(request.points, store, &totals) }
        do { try await store.keep(sorting.batch) } catch {
            // The sender comes again with the same deltas.
            totals.withLock { totals in
                for (labels, before) in added.reversed() { totals[labels] = before }
            }
            throw refusedWhole(error)
        }
        state.withLock { state in
            state.ledger.received += request.points.count + sorting.refused.values.reduce(0, +) - sorting.refusedPoints
            state.ledger.stored += sorting.stored
            state.ledger.duplicate += sorting.duplicate
            state.ledger.rejectedByReason.merge(sorting.refused, uniquingKeysWith: +)
            for (name, about) in request.about where state.about[name] != nil || state.about.count < Self.aboutMax {
                state.about[name] = about
            }
        }
        return sorting.refused
    }

    /// Counts a request for which there is no room.
    func noteCrowded() { state.withLock { $0.ledger.refusedRequests += 1 } }

    private func refusedWhole(_ fault: Spool.Fault) -> Fault {
        state.withLock { $0.ledger.refusedRequests += 1 }
        switch fault {
        case .full, .closed: return .overloaded
        case .tooLarge: return .tooLarge
        case .failed(let text): return .failed(text)
        }
    }
}

extension MetricIngest: SubjectKeeper {
    public var keeperName: String { "deltas" }

    /// Sums of deltas by their series, and, where the subject stands in them, what metrics say of themselves; see
    /// ``SeriesStore/erase(_:)`` for the series.
    public func erase(_ order: ErasureOrder) -> SubjectCount {
        let (subject, isDryRun) = (order.subject, order.isDryRun)
        let sums = totals.withLock { totals in
            let found = totals.keys.filter { subject.isMet(by: $0) }
            if !isDryRun { for labels in found { totals[labels] = nil } }
            return found.count
        }
        let described = state.withLock { state in
            let found = state.about.filter { subject.isMet(by: $0.value.help) || subject.isMet(by: $0.value.unit) }
            if !isDryRun { for name in found.keys { state.about[name] = nil } }
            return found.count
        }
        return SubjectCount(found: sums + described)
    }
}

/// What becomes of the points of one request.
private struct PointSorting {
    var refused: [RecordFlaw: Int]
    /// Of the points that were read, those that are refused here.
    var refusedPoints = 0
    var stored = 0
    var duplicate = 0
    var batch = SampleBatch()

    private var added: [(LabelSet, Sample?)] = []
    /// The last sample of each series in this request.
    private var lasts: [LabelSet: Sample] = [:]
    private var newSeries: [String: Int] = [:]
    /// Series that are put together: by the labels that are left of them.
    private var others: [LabelSet: Sample] = [:]
    /// What came in for those since the last request; one that is repeated counts again here.
    private var otherDeltas: [LabelSet: Sample] = [:]

    init(refused: [RecordFlaw: Int]) { self.refused = refused }

    private mutating func refuse(_ flaw: RecordFlaw) {
        refused[flaw, default: 0] += 1
        refusedPoints += 1
    }

    /// Sorts all points; the answer is what deltas were added to, as it was before.
    mutating func sort(
        _ points: [MetricPoint], _ store: SeriesStore, _ totals: inout [LabelSet: Sample]
    ) -> [(LabelSet, Sample?)] {
        store.withMemory { memory in
            for point in points {
                guard store.isTaken(point.time) else {
                    refuse(.outOfTime)
                    continue
                }
                if point.change == .delta, point.samples.contains(where: { isBeyond($0.labels, memory) }) {
                    for one in point.samples {
                        addOther(one.labels, Sample(point.time, one.value), .count, isDelta: true)
                    }
                    stored += 1
                    continue
                }
                let samples = point.change == .delta ? totalled(point, memory, &totals) : wholeSamples(point)
                if let samples { add(samples, memory) } else { refuse(.outOfOrder) }
            }
            for (labels, delta) in otherDeltas {
                let start = (totals[labels] ?? memory.last(labels))?.value ?? 0
                others[labels] = Sample(delta.time, start + delta.value)
                added.append((labels, totals[labels]))
                totals[labels] = others[labels]
            }
            for (labels, sample) in others.sorted(by: { $0.key < $1.key }) {
                let before = lasts[labels] ?? memory.last(labels)
                if before.map({ sample.time > $0.time }) ?? true { batch.append(labels, sample) }
            }
        }
        return added
    }

    private typealias PointSample = (labels: LabelSet, sample: Sample, part: MetricPoint.Part)

    private func wholeSamples(_ point: MetricPoint) -> [PointSample] {
        point.samples.map { ($0.labels, Sample(point.time, $0.value), $0.part) }
    }

    /// The sums of all deltas so far; `nil` for a point that comes too late.
    ///
    /// A sum goes on from the last sample that is there, so that a start of Reeve is no reset of the counter.
    private mutating func totalled(
        _ point: MetricPoint, _ memory: SeriesMemory, _ totals: inout [LabelSet: Sample]
    ) -> [PointSample]? {
        let before = point.samples.map { totals[$0.labels] ?? memory.last($0.labels) }
        if before.contains(where: { $0.map { $0.time > point.time } ?? false }) { return nil }
        // Sent again: what it said is in the sum.
        if let first = before.first ?? nil, first.time == point.time {
            return zip(point.samples, before).map { ($0.labels, $1 ?? Sample(point.time, 0), $0.part) }
        }
        return zip(point.samples, before).map { part, last in
            let start = last.map { $0.value.isNaN ? 0 : $0.value } ?? 0
            let sum = Sample(point.time, part.value.isStale ? part.value : start + part.value)
            if totals[part.labels] != nil || totals.count < MetricIngest.totalsMax {
                added.append((part.labels, totals[part.labels]))
                totals[part.labels] = sum
            }
            return (part.labels, sum, part.part)
        }
    }

    private mutating func add(_ samples: [PointSample], _ memory: SeriesMemory) {
        var outcomes: [SeriesMemory.Outcome] = []
        var isOther = false
        for one in samples {
            outcomes.append(outcome(one.labels, one.sample, memory))
            isOther = isOther || isBeyond(one.labels, memory)
        }
        if outcomes.contains(.outOfOrder) { return refuse(.outOfOrder) }
        if outcomes.contains(.tooManySeries) { return refuse(.tooManySeries) }
        if outcomes.allSatisfy({ $0 == .duplicate }) {
            duplicate += 1
            return
        }
        stored += 1
        for (one, outcome) in zip(samples, outcomes) where outcome == .added {
            if isOther {
                addOther(one.labels, one.sample, one.part)
            } else {
                if lasts[one.labels] == nil, !memory.contains(one.labels) {
                    newSeries[one.labels[LabelSet.metricName], default: 0] += 1
                }
                lasts[one.labels] = one.sample
                batch.append(one.labels, one.sample)
            }
        }
    }

    private func outcome(_ labels: LabelSet, _ sample: Sample, _ memory: SeriesMemory) -> SeriesMemory.Outcome {
        guard let last = lasts[labels] else {
            let outcome = memory.outcome(labels, sample)
            guard outcome == .added, !memory.contains(labels) else { return outcome }
            return memory.hasRoom(for: newSeries.values.reduce(0, +) + 1) ? .added : .tooManySeries
        }
        if sample.time > last.time { return .added }
        return sample == last ? .duplicate : .outOfOrder
    }

    /// Whether it would begin one series of its metric too many.
    private func isBeyond(_ labels: LabelSet, _ memory: SeriesMemory) -> Bool {
        guard lasts[labels] == nil, !memory.contains(labels) else { return false }
        let metric = labels[LabelSet.metricName]
        return memory.seriesCount(of: metric) + newSeries[metric, default: 0] >= SeriesStore.seriesOfMetricMax
    }

    private static let kept: Set<String> = [LabelSet.metricName, "job", "instance", "agent", "le", "quantile"]

    /// Counts of one request add up, as an exporter sends all that it counts with each; of values the largest is kept.
    private mutating func addOther(
        _ labels: LabelSet, _ sample: Sample, _ part: MetricPoint.Part, isDelta: Bool = false
    ) {
        let folded = LabelSet(
            labels.pairs.map { ($0.name, Self.kept.contains($0.name) ? $0.value : MetricIngest.other) })
        var sum = sample
        if let before = isDelta ? otherDeltas[folded] : others[folded] {
            let value = part == .count ? before.value + sample.value : max(before.value, sample.value)
            sum = Sample(max(before.time, sample.time), value)
        }
        if isDelta { otherDeltas[folded] = sum } else { others[folded] = sum }
    }
}
