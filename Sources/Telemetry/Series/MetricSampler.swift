import Kernel
import Synchronization

/// Makes samples of Reeve's own metrics, so that their past can be asked for without anybody who scrapes them.
public final class MetricSampler: Sendable {
    private let store: SeriesStore
    private let world: World
    private let instance: String
    private let page: @Sendable () async -> MetricPage
    /// The series of the last round.
    private let seen = Mutex(Set<LabelSet>())

    /// - Parameters:
    ///   - instance: The label of all of them, as a scrape would set it: host and port.
    ///   - page: All metrics of the moment.
    public init(
        store: SeriesStore, instance: String, world: World, page: @escaping @Sendable () async -> MetricPage
    ) {
        self.store = store
        self.world = world
        self.instance = instance
        self.page = page
    }

    /// Samples every number once; what was there the last time and is not any more ends.
    public func sample() async throws {
        let page = await page()
        let time = SeriesStore.milliseconds(world.now)
        var batch = SampleBatch()
        var now: Set<LabelSet> = []
        page.eachSample { sample in
            var labels = sample.labels.map { ($0.name, $0.value) }
            labels += [(LabelSet.metricName, sample.name), ("job", "reeve"), ("instance", instance)]
            let series = LabelSet(labels)
            now.insert(series)
            batch.append(series, Sample(time, sample.value))
        }
        let gone = seen.withLock { seen in
            defer { seen = now }
            return seen.subtracting(now)
        }
        for series in gone { batch.append(series, Sample(time, Sample.stale)) }
        try await store.keep(batch)
    }
}
