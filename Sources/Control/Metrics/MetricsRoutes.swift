import Kernel
import Telemetry

/// What Prometheus scrapes.
public struct MetricsRoutes: Sendable {
    let house: HouseMetrics
    let sources: [any MetricSource]

    public init(house: HouseMetrics, sources: [any MetricSource]) {
        self.house = house
        self.sources = sources
    }

    public var routes: [Route] {
        var shape = RouteShape(reply: ["type": "string"])
        shape.contentType = "text/plain"
        shape.otherTypes = ["application/openmetrics-text"]
        return [
            Route(
                .get, "/metrics", .read,
                "Metrics, as Prometheus reads them (text format 0.0.4, or OpenMetrics 1.0.0 where Accept asks for it)",
                shape: shape, handler: scrape)
        ]
    }

    /// All metrics of this moment.
    ///
    /// - Parameter agent: Whose they are, of metrics that tell agents apart; `nil` for all.
    public func page(agent: String? = nil) async -> MetricPage {
        var page = MetricPage(agent: agent)
        await house.collect(into: &page)
        for source in sources { source.collect(into: &page) }
        return page
    }

    /// An agent's key sees its own agent's series alone, of metrics that tell agents apart.
    private func scrape(_ request: APIRequest) async -> APIReply {
        let page = await page(agent: request.principal.agent)
        let format = MetricFormat(accept: request.headers["accept"])
        let headers = [("content-type", format.contentType), ("cache-control", "no-store"), ("vary", "accept")]
        return APIReply(status: 200, headers: headers, body: .bytes(format.bytes(of: page)))
    }
}
