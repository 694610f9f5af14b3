import Testing

@testable import Telemetry

@Suite("When groups of rules are evaluated")
struct RuleScheduleTests {
    private static let start: Int64 = 1_767_225_600_000

    /// The moments at which a schedule that is asked at these moments gives its only group.
    private static func times(_ interval: Int64, asked: [Int64]) -> [RuleSchedule.Due] {
        var schedule = RuleSchedule([("a;b", interval)], from: start)
        return asked.flatMap { schedule.due(at: start + $0) }
    }

    @Test("each moment comes once, an interval behind the one before", arguments: [1_000, 15_000, 60_000, 3_600_000])
    func regular(_ interval: Int64) throws {
        let found = Self.times(interval, asked: Array(stride(from: 0, through: 5 * interval, by: 250)))
        #expect(found.count == 5 || found.count == 6)
        #expect(found.allSatisfy { $0.missed == 0 })
        let first = try #require(found.first).time
        #expect(found.map(\.time) == (0..<Int64(found.count)).map { first + $0 * interval })
        #expect(first - Self.start < interval)
    }

    @Test("who comes late evaluates once and says how often nobody came")
    func late() throws {
        let first = try #require(Self.times(60_000, asked: [60_000]).first).time - Self.start
        let found = Self.times(60_000, asked: [first, first + 59_999, first + 240_000, first + 240_001])
        #expect(found.map(\.missed) == [0, 3])
        #expect(found.map { $0.time - Self.start - first } == [0, 240_000])
    }

    @Test("an interval that nobody keeps is refused, where it stands")
    func shortInterval() throws {
        func faults(_ interval: String) -> [String] {
            let text = "groups:\n  - name: a\n    interval: \(interval)\n    rules: [{record: b, expr: c}]\n"
            do {
                _ = try RuleReader.read(text)
                return []
            } catch { return error.faults.map { "\($0.line):\($0.column)" } }
        }
        #expect(faults("500ms") == ["3:15"] && faults("999ms") == ["3:15"])
        #expect(faults("1s").isEmpty && faults("0s").isEmpty)
    }

    @Test("a schedule that goes on leaves out nothing that was due")
    func goesOn() {
        var before = RuleSchedule([("a;b", 60_000), ("a;c", 60_000)], from: Self.start)
        _ = before.due(at: Self.start + 60_000)
        let now = Self.start + 180_000
        var after = RuleSchedule([("a;c", 60_000), ("a;b", 30_000), ("a;d", 60_000)], from: now, goingOnFrom: before)
        // Two moments were left out of the group that goes on; the one with another interval begins anew.
        #expect(after.due(at: now).map { [Int64($0.number), $0.missed] } == [[0, 1]])
    }

    @Test("a clock that is set back stops no rule for longer than an interval")
    func setBack() {
        let found = Self.times(60_000, asked: [60_000, -36_000_000, -36_000_000 + 60_000])
        #expect(found.count == 2)
    }

    @Test("groups do not all come at the same moment, and come in the order of their times")
    func spread() {
        let groups = (0..<600).map { (key: "file;\($0)", interval: Int64(60_000)) }
        var schedule = RuleSchedule(groups, from: Self.start)
        var most = 0
        var all: [RuleSchedule.Due] = []
        for second in 1...60 {
            let due = schedule.due(at: Self.start + Int64(second) * 1_000)
            #expect(due.map(\.time) == due.map(\.time).sorted())
            most = max(most, due.count)
            all += due
        }
        #expect(Set(all.map(\.number)).count == 600)
        #expect(most < 40)
    }
}

@Suite("What rules of one moment made")
struct FreshSeriesTests {
    private static func read(_ reader: any SeriesReader, _ matcher: LabelMatcher, at time: Int64) throws -> [Double] {
        try reader.series([matcher], in: 0...time, samplesMax: 100, isOver: { false }).flatMap(\.values)
    }

    @Test("it is found by name and by other labels, behind what was kept, and at its moment alone")
    func found() throws {
        let kept = SeriesBench()
        let labels = LabelSet([(LabelSet.metricName, "up"), ("job", "x")])
        kept.add(labels, 1_000, 1)
        let fresh = FreshSeries(over: kept, at: 2_000)
        fresh.add(labels, 2)
        fresh.add(LabelSet([(LabelSet.metricName, "down"), ("job", "x")]), 3)
        #expect(try Self.read(fresh, LabelMatcher(LabelSet.metricName, .equal, "up"), at: 2_000) == [1, 2])
        #expect(try Self.read(fresh, LabelMatcher("job", .equal, "x"), at: 2_000).sorted() == [1, 2, 3])
        #expect(try Self.read(fresh, LabelMatcher("job", .equal, "x"), at: 1_999) == [1])
        #expect(try Self.read(fresh, LabelMatcher("job", .equal, "y"), at: 2_000).isEmpty)
        let sets = try fresh.labelSets([LabelMatcher("job", .equal, "x")], in: 0...2_000, isOver: { false })
        #expect(sets.count == 2)
    }
}
