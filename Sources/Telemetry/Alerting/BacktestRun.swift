/// A backtest under way: the steps behind it, and what is known of the alerts.
struct BacktestRun {
    private let backtest: RuleBacktest
    private let series: RecordedSeries
    private let evaluation: RuleEvaluation
    private let isOver: () -> Bool
    private let isForSmallValues: Bool
    private let keeps: Int64?
    /// What each recording made at the last step.
    private var made: [Set<LabelSet>]
    private var states = AlertStates()
    private var open: [LabelSet: BacktestReport.Episode] = [:]
    private var report: BacktestReport

    init(
        _ backtest: RuleBacktest, over reader: any SeriesReader, from: Int64, through: Int64, step: Int64,
        isOver: @escaping () -> Bool
    ) {
        self.backtest = backtest
        series = RecordedSeries(over: reader, names: Set(backtest.recordings.map(\.rule.name)))
        var evaluation = RuleEvaluation(reader: series)
        evaluation.isOver = isOver
        self.evaluation = evaluation
        self.isOver = isOver
        isForSmallValues = backtest.alert.query.expression.isForSmallValues
        keeps = backtest.keeps
        made = [Set<LabelSet>](repeating: [], count: backtest.recordings.count)
        report = BacktestReport(rule: backtest.alert.name, from: from, through: through, step: step)
    }

    // MARK: Steps

    /// Goes on by some steps, each a step behind the one before.
    mutating func advance(_ grid: QueryGrid) throws {
        for (place, recording) in backtest.recordings.enumerated() {
            try record(recording.rule, place, limit: recording.limit, grid)
        }
        let worth = try evaluation.worth(of: backtest.alert, over: grid)
        for (index, time) in grid.times.enumerated() {
            if case .failure(let fault) = worth[index] { note(fault) }
            try follow(worth[index], at: time)
        }
        if let keeps { series.forget(before: grid.end - keeps) }
        guard series.samples <= QueryLimits.samplesMax else { throw QueryFault.tooManySamples }
    }

    private mutating func record(
        _ rule: RuleProgram.Rule, _ place: Int, limit: Int, _ grid: QueryGrid
    ) throws {
        let worth = try evaluation.worth(of: rule, over: grid)
        for (index, time) in grid.times.enumerated() {
            do {
                let samples = try evaluation.recorded(rule, worth[index].get(), limit: limit)
                for (labels, value) in samples { series.add(labels, of: rule.name, time, value) }
                let now = Set(samples.map(\.labels))
                for labels in made[place].subtracting(now) { series.add(labels, of: rule.name, time, Sample.stale) }
                made[place] = now
            } catch { note(error) }
        }
    }

    private mutating func note(_ fault: any Error) {
        report.faults += 1
        if report.firstFault == nil { report.firstFault = "\(fault)" }
    }

    // MARK: Alerts

    private mutating func follow(
        _ worth: Result<[(labels: LabelSet, value: Double)], any Error>, at time: Int64
    ) throws {
        if time >= report.from { report.evaluations += 1 }
        if case .success(let samples) = worth, !samples.isEmpty || !states.instances.isEmpty {
            do {
                let found = try evaluation.found(
                    backtest.alert, backtest.states, in: samples, at: time, isAnnotated: false)
                for change in states.evaluate(found, backtest.states, at: time) { follow(change, at: time) }
                if backtest.limit > 0, found.count > backtest.limit {
                    note(
                        RuleEvaluation.Fault(
                            description: "exceeded limit of \(backtest.limit) with \(found.count) alerts"))
                    for labels in open.keys.sorted() { end(labels, at: time) }
                    states.clear()
                }
                for finding in found { raise(finding) }
            } catch let fault as RuleEvaluation.Fault { note(fault) }
        }
        if !open.isEmpty, time >= report.from, time < report.through { report.firing += report.step }
    }

    private mutating func follow(_ change: AlertStates.Change, at time: Int64) {
        switch change {
        case .fired(let alert):
            open[alert.labels] = BacktestReport.Episode(
                labels: alert.labels, activeAt: alert.activeAt, start: time, end: nil, peak: alert.value)
        case .resolved(let alert): end(alert.labels, at: time)
        }
    }

    private mutating func raise(_ finding: AlertStates.Finding) {
        guard let peak = open[finding.labels]?.peak else { return }
        let isFurther = isForSmallValues ? finding.value < peak : finding.value > peak
        if isFurther { open[finding.labels]?.peak = finding.value }
    }

    private mutating func end(_ labels: LabelSet, at time: Int64) {
        guard var episode = open.removeValue(forKey: labels) else { return }
        episode.end = time
        keep(episode)
    }

    /// What ended before the period is not its matter.
    private mutating func keep(_ episode: BacktestReport.Episode) {
        guard episode.end ?? .max > report.from else { return }
        report.count += 1
        report.episodes.append(episode)
        // They are sorted at the end; until then no more are in memory than twice what is told.
        if report.episodes.count > 2 * RuleBacktest.episodesMax { report.episodes.sortAndCut() }
    }

    func finished() -> BacktestReport {
        var run = self
        for labels in open.keys.sorted() {
            if let episode = run.open[labels] { run.keep(episode) }
        }
        run.report.episodes.sortAndCut()
        return run.report
    }

    // MARK: Samples

    /// Looks now and then whether there are samples of what the rule asks for.
    mutating func lookForSamples(of sources: [PromQLSelector]) throws {
        guard !sources.isEmpty else { return }
        let steps = (report.through - report.from) / report.step + 1
        let each = max(1, steps / Int64(RuleBacktest.looksMax))
        let count = Int((steps - 1) / each) + 1
        let grid = QueryGrid(start: report.from, step: each * report.step, count: count)
        var isThere = [Bool](repeating: false, count: count)
        var absent: Set<String> = []
        for selector in sources {
            var isAnywhere = false
            for (index, time) in grid.times.enumerated() {
                if isOver() { throw QueryFault.timeout }
                let last = selector.time.reference(time, (report.from, report.through))
                let found = try series.labelSets(
                    selector.matchers, in: last - QueryLimits.lookback...last, isOver: isOver)
                guard !found.isEmpty else { continue }
                (isThere[index], isAnywhere) = (true, true)
            }
            if !isAnywhere, let name = selector.matchers.metricName { absent.insert(name) }
        }
        report.withoutData = Double(isThere.count { !$0 }) / Double(count)
        report.absent = absent.sorted()
    }
}

extension [BacktestReport.Episode] {
    fileprivate mutating func sortAndCut() {
        sort { ($0.start, $0.labels) < ($1.start, $1.labels) }
        removeLast(Swift.max(0, count - RuleBacktest.episodesMax))
    }
}
