import Testing

@testable import Telemetry

/// How exact histograms are.
@Suite struct SpreadTests {
    static let bounds = [0.001, 0.01, 0.011, 0.1, 1, 10, 1_000]

    static func family(_ values: [Double], bounds: [Double] = bounds) -> (HistogramFamily, Spread) {
        var family = HistogramFamily(.histogram("h", "H."), bounds: bounds)
        for value in values { family.observe(value, []) }
        return (family, family.table.series.first?.value ?? Spread())
    }

    /// Spread over twelve orders of magnitude, the same in each run.
    static func values(_ count: Int) -> [Double] {
        var state: UInt64 = 7
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let scale = Double(state >> 40 & 0xFFF) / 4_096 * 12 - 5
            var power = 1.0
            for _ in 0..<Int(abs(scale)) { power *= scale < 0 ? 0.1 : 10 }
            return power * (1 + Double(state >> 11 & 0xFFFF) / 7_000)
        }
    }

    @Test("Counts by bounds are exact, of values at, just below and just above each bound too")
    func exactBounds() {
        let edges = Self.bounds.flatMap { [$0, $0.nextUp, $0.nextDown] }
        let values = Self.values(5_000) + edges + [0, -3, 1e300, 1e-300]
        let (family, spread) = Self.family(values)
        for (bound, count) in family.buckets(of: spread) {
            #expect(count == UInt64(values.count { $0 <= bound }), "at most \(bound)")
        }
    }

    @Test("Bounds that lie closer than buckets are wide are told apart")
    func closeBounds() {
        let bounds = [1, 1.0001, 1.0002, 1.02]
        let values = [0.9999, 1, 1.00005, 1.0001, 1.00015, 1.0002, 1.0003, 1.02, 1.03]
        let (family, spread) = Self.family(values, bounds: bounds)
        #expect(family.buckets(of: spread).map(\.count) == [2, 4, 6, 8, 9])
    }

    @Test("Quantiles are off by at most 1/128 of the value")
    func quantiles() throws {
        let values = Self.values(4_001)
        let (family, spread) = Self.family(values)
        let sorted = values.sorted()
        for share in [0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1] {
            let rank = max(1, Int((share * Double(values.count)).rounded(.up)))
            let exact = sorted[rank - 1]
            let found = try #require(family.quantile(share, of: spread))
            #expect(abs(found - exact) <= exact / 128, "\(share): \(found) for \(exact)")
        }
    }

    @Test("A quantile lies on the same side of a bound as the value")
    func quantilesBesideBounds() throws {
        for value in [0.01, 0.01.nextUp, 0.0109999, 0.011] {
            let (family, spread) = Self.family([value])
            let found = try #require(family.quantile(0.5, of: spread))
            for bound in Self.bounds { #expect((found <= bound) == (value <= bound), "\(value) at \(bound)") }
        }
    }

    @Test(arguments: [(-1.0, 0.0), (0, 0), (1e-9, 0), (1e30, 0x1p40), (1e300, 0x1p40)])
    func ends(value: Double, expected: Double) throws {
        let (family, spread) = Self.family([value], bounds: [5])
        #expect(spread.count == 1 && spread.sum == value)
        #expect(abs(try #require(family.quantile(0.5, of: spread)) - expected) <= 0x1p-20)
    }

    @Test func nothingHasNoQuantile() {
        let (family, spread) = Self.family([])
        #expect(family.quantile(0.5, of: spread) == nil)
    }

    @Test("Room is bounded whatever comes, and few values take little")
    func room() {
        #expect(Self.family([Double](repeating: 0.25, count: 10_000)).1.cells.count == 1)
        #expect(Self.family((0..<1_000).map { 0.2 + Double($0) / 5_000 }).1.cells.count <= 66)
        var family = HistogramFamily(.histogram("h", "H."), bounds: Self.bounds)
        var value = 1e-320
        while value < 1e300 {
            family.observe(value, [])
            value *= 1.003
        }
        #expect((family.table.series.first?.value.cells.count ?? 0) <= 60 * 64 + 2 + Self.bounds.count)
    }
}
