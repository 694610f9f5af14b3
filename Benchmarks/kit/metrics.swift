// What it takes to count: `Benchmarks/metrics` builds this with the sources of `Sources/Telemetry/Metrics`.

@main struct CountingBenchmark {
    static let rounds = 5
    static let count = 2_000_000

    static func main() {
        var counter = CounterFamily(.counter("calls_total", "Calls.", labels: ["model", "agent"], open: ["agent"]))
        var counters: [Int] = []
        for number in 0..<100 { counters.append(counter.place(of: ["model-\(number % 5)", "agent-\(number)"])) }
        report("counter_add") { number in counter.add(1, at: counters[number % 100]) }

        var histogram = HistogramFamily(
            .histogram("took_seconds", "Took.", labels: ["model"], open: ["model"]),
            bounds: (0..<14).map { 0.01 * Double(1 << $0) })
        var places: [Int] = []
        for number in 0..<20 { places.append(histogram.place(of: ["model-\(number)"])) }
        // From 5 ms to some 80 s, as model calls take.
        let values = (0..<4_096).map { (number: Int) -> Double in
            let doublings = Double(1 << (number % 14))
            return 0.005 * doublings * (1 + Double(number * 37 % 101) / 101)
        }
        report("histogram_observe") { number in
            histogram.observe(values[number & 4_095], at: places[number % 20])
        }
        let spread = histogram.table.series[0].value
        print("histogram_series_bytes \(spread.bytes)")
    }

    static func report(_ name: String, _ body: (Int) -> Void) {
        let clock = ContinuousClock()
        var best = Double.infinity
        for _ in 0..<rounds {
            let took = clock.measure { for number in 0..<count { body(number) } }
            let nanoseconds = Double(took.components.seconds) * 1e9 + Double(took.components.attoseconds) / 1e9
            best = min(best, nanoseconds / Double(count))
        }
        print("\(name)_ns \(best)")
    }
}
