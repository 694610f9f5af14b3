import Foundation
import Kernel

/// A query with its expression read, to be worked out against any reader.
public struct PromQLQuery: Sendable {
    public let expression: PromQLNode
    public let text: String
    private let samplesMax: Int

    /// - Parameter samplesMax: Samples, and points of results, that it may have in memory at a time.
    /// - Throws: ``PromQLSyntaxError``.
    public init(_ text: String, samplesMax: Int = QueryLimits.samplesMax) throws {
        self.text = text
        self.samplesMax = samplesMax
        expression = try PromQLParser.parse(text)
    }

    /// A series of a result, without the moments at which it is worth nothing.
    public struct Series: Sendable, Equatable {
        public let labels: LabelSet
        public let samples: [Sample]

        public init(_ labels: LabelSet, _ samples: [Sample]) {
            self.labels = labels
            self.samples = samples
        }
    }

    /// What came of it, by its type.
    public enum Answer: Sendable, Equatable {
        case scalar(Sample)
        case string(String, at: Int64)
        /// With one sample each, at the moment that was asked for.
        case vector([Series])
        case matrix([Series])
    }

    /// Works it out for one moment.
    ///
    /// - Parameters:
    ///   - time: Milliseconds since 1970.
    ///   - isOver: Whether its time has run out; asked now and then.
    /// - Throws: ``QueryFault``, or what the reader throws.
    public func answer(
        at time: Int64, from reader: any SeriesReader, isOver: @escaping () -> Bool = { false }
    ) throws -> Answer { try answer(at: time, from: reader, isOver: isOver, memo: nil) }

    func answer(
        at time: Int64, from reader: any SeriesReader, isOver: @escaping () -> Bool, memo: EvaluationMemo?
    ) throws -> Answer {
        let grid = QueryGrid(start: time, step: 1, count: 1)
        let evaluation = Evaluation(
            reader: reader, bounds: (time, time), samplesMax: samplesMax, isOver: isOver, memo: memo)
        switch expression.type {
        case .string: return .string(try evaluation.string(expression), at: time)
        case .scalar: return .scalar(Sample(time, try evaluation.scalar(expression, grid)[0]))
        case .vector:
            return .vector(
                try evaluation.vector(expression, grid).compactMap { column in
                    column.isEmpty ? nil : Series(column.labels, [Sample(time, column.values[0])])
                })
        case .range:
            let source = try evaluation.rangeSource(expression, grid)
            let end = source.reference(time)
            let series = source.series.map { series in
                Series(
                    series.labels,
                    zip(series.times, series.values)
                        .filter { $0.0 >= end - source.range && $0.0 <= end }.map { Sample($0.0, $0.1) })
            }
            return .matrix(series.filter { !$0.samples.isEmpty }.sorted { $0.labels < $1.labels })
        }
    }

    /// Works it out for each step between two moments.
    ///
    /// - Parameters:
    ///   - step: Milliseconds, above zero; ``QueryLimits/pointsMax`` steps at most.
    ///   - isOver: Whether its time has run out; asked now and then.
    /// - Throws: ``QueryFault``, or what the reader throws.
    public func answer(
        from start: Int64, through end: Int64, step: Int64, from reader: any SeriesReader,
        isOver: @escaping () -> Bool = { false }
    ) throws -> [Series] {
        guard end >= start, step > 0 else { throw QueryFault.execution("the range has no steps") }
        let count = (end - start) / step + 1
        guard count <= QueryLimits.pointsMax + 1 else {
            throw QueryFault.execution("exceeded maximum resolution of 11,000 points per timeseries")
        }
        let grid = QueryGrid(start: start, step: step, count: Int(count))
        let isScalar = expression.type == .scalar
        return try columns(over: grid, from: reader, isOver: isOver).map { column in
            let pairs = zip(grid.times, column.values).filter { isScalar || !$1.isStale }
            return Series(column.labels, pairs.map { Sample($0, $1) })
        }.filter { !$0.samples.isEmpty }.sorted { $0.labels < $1.labels }
    }

    /// What it is worth at each moment of a grid; a scalar is a column without labels.
    ///
    /// - Throws: ``QueryFault``, or what the reader throws.
    func columns(
        over grid: QueryGrid, from reader: any SeriesReader, isOver: @escaping () -> Bool
    ) throws -> [QueryColumn] {
        let evaluation = Evaluation(
            reader: reader, bounds: (grid.start, grid.end), samplesMax: samplesMax, isOver: isOver)
        return switch try evaluation.value(expression, grid) {
        case .scalar(let values): [QueryColumn(labels: .none, values: values)]
        case .vector(let columns): columns
        }
    }
}
