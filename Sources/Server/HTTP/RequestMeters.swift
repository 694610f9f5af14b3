import Kernel
import Synchronization
import Telemetry

/// Counts requests by their route's pattern: how many, how they ended, how long they took, how many are answered now.
final class RequestMeters: Sendable {
    static let requests = Metric.counter(
        "reeve_http_requests_total",
        "Requests that ended, by the first digit of their status; `left` where the client went away before the end.",
        labels: ["route", "method", "status"])
    static let duration = Metric.histogram(
        "reeve_http_request_duration_seconds",
        "From a request's head to the end of its reply; long polls and streams take as long as they wait.",
        labels: ["route", "method"])
    static let inFlight = Metric.gauge(
        "reeve_http_requests_in_flight", "Requests that are answered at this moment, streams among them.")
    static let metrics = [requests, duration, inFlight]

    /// Of requests that no route takes.
    static let noRoute = "none"
    static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60]
    /// Each has sixteen lines; there are fewer routes.
    static let durationSeriesMax = 300

    private struct Key: Hashable {
        let route: ObjectIdentifier?
        /// The first digit of the status; 0 for none.
        let status: Int
    }

    private struct State {
        var requests = CounterFamily(RequestMeters.requests)
        var duration = HistogramFamily(
            RequestMeters.duration, bounds: RequestMeters.bounds, seriesMax: RequestMeters.durationSeriesMax)
        /// Where the series of a route are: as many as there are routes.
        var places: [Key: (requests: Int, duration: Int)] = [:]
    }

    private let state = Mutex(State())
    private let running = Atomic<Int>(0)

    /// - Parameter status: `nil` where the client left.
    func ended(_ route: Route?, status: Int?, after span: Span) {
        let key = Key(route: route.map { ObjectIdentifier($0) }, status: (status ?? 0) / 100)
        state.withLock { state in
            let places = state.places[key] ?? Self.find(key, route, &state)
            state.requests.add(1, at: places.requests)
            state.duration.observe(span.seconds, at: places.duration)
        }
    }

    private static func find(_ key: Key, _ route: Route?, _ state: inout State) -> (requests: Int, duration: Int) {
        let labels = [route?.path ?? noRoute, route?.method.rawValue ?? noRoute]
        let status = key.status == 0 ? "left" : "\(key.status)xx"
        let places = (state.requests.place(of: labels + [status]), state.duration.place(of: labels))
        state.places[key] = places
        return places
    }

    /// A request is being answered for as long as what this gives lives.
    func begin() -> InFlight { InFlight(self) }

    final class InFlight {
        private let meters: RequestMeters

        fileprivate init(_ meters: RequestMeters) {
            self.meters = meters
            meters.running.wrappingAdd(1, ordering: .relaxed)
        }

        deinit { meters.running.wrappingSubtract(1, ordering: .relaxed) }
    }
}

extension RequestMeters: MetricSource {
    func collect(into page: inout MetricPage) {
        let (requests, duration) = state.withLock { ($0.requests, $0.duration) }
        page.add(requests)
        page.add(duration)
        page.add(Self.inFlight, Double(running.load(ordering: .relaxed)))
    }
}
