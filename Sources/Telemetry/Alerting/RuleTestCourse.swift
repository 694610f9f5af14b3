/// A rule test under way: the rules over its series, and the alerts that it looks for.
struct RuleTestCourse {
    private let groups: [RuleProgram.Group]
    private let evaluation: RuleEvaluation
    private let bench: SeriesBench
    private let interval: Int64
    private var runner = RuleRunner()
    /// What could not be evaluated, each once.
    private(set) var faults: [String] = []
    /// What fires of each alert that is looked for.
    private(set) var firing: [[AlertInstance]] = []

    init(
        _ groups: [RuleProgram.Group], by evaluation: RuleEvaluation, over bench: SeriesBench, every interval: Int64
    ) {
        (self.groups, self.evaluation, self.bench, self.interval) = (groups, evaluation, bench, interval)
    }

    /// - Parameters:
    ///   - end: The last moment, in milliseconds from the first one.
    ///   - looked: The alerts; what is asked for between two evaluations is as it was at the first of them.
    mutating func run(through end: Int64, looking looked: [RuleTestFile.ExpectedAlerts]) {
        var firing: [[AlertInstance]] = looked.map { _ in [] }
        defer { self.firing = firing }
        let (bench, interval) = (bench, interval)
        let isStepwise = groups.flatMap(\.rules).isStepwise(withAlerts: true)
        let count = Int(end / interval) + 1
        var seen: Set<String> = []
        for first in stride(from: 0, to: count, by: isStepwise ? 1 : RuleRunner.sweepMax) {
            let steps = isStepwise ? 1 : Swift.min(RuleRunner.sweepMax, count - first)
            let grid = QueryGrid(start: Int64(first) * interval, step: interval, count: steps)
            let wanted = looked.enumerated().filter { (grid.start..<grid.end + interval).contains($1.time) }
            do {
                let faults = try runner.sweep(groups, by: evaluation, over: grid) {
                    bench.add($0, $1, $2)
                } look: { rule, time, instances in
                    for (place, one) in wanted
                    where one.name == rule.name && (time..<time + interval).contains(one.time) {
                        firing[place] += instances.filter { $0.state == .firing }
                    }
                }
                for fault in faults {
                    let text = "group \(fault.group), rule \(fault.rule): \(fault.reason)"
                    guard seen.insert(text).inserted else { continue }
                    self.faults.append("\(text) (first at \(QueryText.time(fault.time)) s)")
                }
            } catch {
                faults.append("\(error)")
                return
            }
        }
    }
}
