import Foundation
import Kernel
import Synchronization

/// All series that are kept, in a file for each day of their samples. To forget a day is to delete its file.
///
/// Work on it blocks its thread.
final class SeriesFiles: Sendable {
    /// Files that are open at a time.
    static let openFilesMax = 40

    private struct State {
        var open = OpenFiles<Int, SeriesDayStore>(max: SeriesFiles.openFilesMax)
        /// Ids of the series of the day that was written last.
        var known: (day: Int, ids: [LabelSet: Int64]) = (-1, [:])
    }

    static let millisecondsPerDay: Int64 = 86_400_000

    private let folder: String
    private let onWarning: @Sendable (String) -> Void
    private let state = Mutex(State())

    /// - Parameter onWarning: Hears of files that cannot be read; the others are.
    init(folder: String, onWarning: @escaping @Sendable (String) -> Void) throws {
        self.folder = folder
        self.onWarning = onWarning
        try DurableFile.makeFolder(folder)
    }

    /// Days since 1970, UTC.
    static func day(_ time: Int64) -> Int { Int(max(0, time) / millisecondsPerDay) }

    func path(_ day: Int) -> String { "\(folder)/metrics-\(day).db" }

    /// The days there are, the oldest first.
    func days() -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.compactMap { name -> Int? in
            guard name.hasPrefix("metrics-"), name.hasSuffix(".db") else { return nil }
            return Int(name.dropFirst(8).dropLast(3))
        }.sorted()
    }

    private func file(_ day: Int, _ state: inout State) throws -> SeriesDayStore {
        try state.open.file(day) { try SeriesDayStore(path: path(day)) }
    }

    // MARK: Writing

    /// Writes chunks that lie on one day.
    func write(_ chunks: [(labels: LabelSet, row: SeriesDayStore.Row)], day: Int) throws {
        try state.withLock { state in
            let file = try file(day, &state)
            if state.known.day != day { state.known = (day, [:]) }
            try file.write(chunks, known: &state.known.ids)
        }
    }

    /// Makes sure that all that was written survives the machine's end.
    func sync() throws {
        try state.withLock { state in for file in state.open.files { try file.sync() } }
    }

    /// Deletes the days before this one, and says how many.
    func drop(before day: Int) throws -> Int {
        let old = days().filter { $0 < day }
        try letGo(before: day)
        for day in old {
            for suffix in ["", "-wal", "-shm"] { unlink(path(day) + suffix) }
        }
        return old.count
    }

    /// Closes the files of the days before this one.
    func letGo(before day: Int) throws {
        try state.withLock { state in
            for file in state.open.take(state.open.names.filter { $0 < day }) { try file.close() }
        }
    }

    func close() throws { try letGo(before: .max) }

    /// Removes the series of a day that are as said, unless they are only looked for, and says how many they are.
    func erase(_ day: Int, isDryRun: Bool, where isMeant: (LabelSet) -> Bool) throws -> Int {
        try state.withLock { state in
            let file = try file(day, &state)
            let found = try file.series(metric: nil).filter { isMeant($0.labels) }
            guard !isDryRun else { return found.count }
            if !found.isEmpty { try file.erase(found.map(\.id)) }
            // Also where an erasure that was cut short did the rest.
            try file.settle()
            state.known = (-1, [:])
            return found.count
        }
    }

    // MARK: Reading

    /// What a day's file tells; `nil`, and a warning, for one that cannot be read: the others are.
    private func read<Value>(_ day: Int, _ body: (SeriesDayStore) throws -> Value) throws -> Value? {
        do { return try state.withLock { try body(try file(day, &$0)) } } catch {
            onWarning("metrics-\(day).db cannot be read: \(error)")
            return nil
        }
    }

    private func days(_ times: ClosedRange<Int64>) -> [Int] {
        let asked = Self.day(times.lowerBound)...max(Self.day(times.lowerBound), Self.day(times.upperBound))
        return days().filter(asked.contains)
    }

    /// Shows the chunks of matching series in these times, by series and time within a day, day by day.
    func each(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, isOver: () -> Bool,
        _ body: (LabelSet, SeriesDayStore.Row) throws -> Void
    ) throws {
        for day in days(times) {
            for series in try read(day, { try $0.series(metric: matchers.metricName) }) ?? [] {
                if isOver() { throw QueryFault.timeout }
                guard matchers.match(series.labels) else { continue }
                for row in try read(day, { try $0.chunks(series.id, in: times) }) ?? [] { try body(series.labels, row) }
            }
        }
    }

    func labelSets(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, isOver: () -> Bool
    ) throws -> Set<LabelSet> {
        var found: Set<LabelSet> = []
        for day in days(times) {
            let whole = Int64(day) * Self.millisecondsPerDay
            let isWhole = times.lowerBound <= whole && times.upperBound >= whole + Self.millisecondsPerDay
            for series in try read(day, { try $0.series(metric: matchers.metricName) }) ?? [] {
                if isOver() { throw QueryFault.timeout }
                guard matchers.match(series.labels) else { continue }
                if try isWhole || read(day, { try $0.has(series.id, in: times) }) == true {
                    found.insert(series.labels)
                }
            }
        }
        return found
    }
}
