import Kernel
import Telemetry

/// Alerts over HTTP.
public struct AlertRoutes: Sendable {
    /// How far back alerts that ended are listed.
    static let endedSpan = Span.hours(24)
    /// Alerts that ended, in one list.
    static let endedMax = 1_000

    let service: AlertService
    let pending: any PendingAlerts
    let quieting: (any AlertQuieting)?
    let storage: any Storage
    let world: World

    public init(
        service: AlertService, pending: any PendingAlerts, quieting: (any AlertQuieting)? = nil,
        storage: any Storage, world: World
    ) {
        self.service = service
        self.pending = pending
        self.quieting = quieting
        self.storage = storage
        self.world = world
    }

    public var routes: [Route] {
        var list = RouteShape.list("Alert")
        list.query.append(
            (
                "state", ["type": "string"],
                "Of these states alone, with commas between: pending, firing, suppressed, resolved. All but those "
                    + "that are resolved where there is none"
            ))
        return [
            Route(
                .get, "/api/v1/alerts", .operateOrView,
                "List alerts: those that fire, those that wait to, and the "
                    + "last day's that are resolved where these are asked for", shape: list, handler: self.list),
            Route(
                .get, "/api/v1/alerts/{id}", .operateOrView, "Show an alert", shape: .one("Alert"), handler: show),
        ]
    }

    private func states(_ request: APIRequest) throws -> Set<AlertView.State> {
        guard let names = request.queryList("state"), !names.isEmpty else { return [.firing, .suppressed, .pending] }
        return Set(
            try names.map { name in
                guard let state = AlertView.State(rawValue: name) else {
                    let known = AlertView.State.allCases.map(\.rawValue).joined(separator: ", ")
                    throw Problem.invalid("state", "\"\(name)\" is no state; there are \(known)")
                }
                return state
            })
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let after = try page.after.map { text in
            guard let place = AlertPlace(cursor: text) else {
                throw Problem.invalid("after", "it is no cursor of this list", hint: "Use the `next` of a page.")
            }
            return place
        }
        let time = after?.asOf ?? world.now
        let views = try await views(try states(request), asOf: time)
        let rest = views.filter { one in after.map { $0 < one.place } ?? true }
        let (items, next) = page.cut(rest, cursor: \.place.cursor)
        return .list(items.map(\.view), next: next)
    }

    /// Those that fire first, then those that wait, then those that ended: by how they stood at a moment, so that a
    /// list has the same order from its first page to its last, whatever begins and ends meanwhile.
    func views(_ states: Set<AlertView.State>, asOf time: Timestamp) async throws -> [PlacedAlert] {
        let since = time - Self.endedSpan
        let all = try await storage.read { [service, pending, quieting] transaction -> [AlertView] in
            let firing = try service.firing(in: transaction)
            let quiet = try quieting?.quiet(among: firing, in: transaction) ?? [:]
            let ended =
                states.contains(.resolved)
                ? try service.ended(since: since, limit: Self.endedMax, in: transaction) : []
            let waiting = states.contains(.pending) ? try pending.pending(in: transaction) : []
            return firing.map { AlertView($0, quiet[$0.id] ?? AlertStanding()) } + ended.map { AlertView($0) }
                + waiting.map { AlertView($0) }
        }
        return all.filter { states.contains($0.state) }.map { PlacedAlert($0, asOf: time) }
            .sorted { $0.place < $1.place }
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        guard let id = Identifier<Alert>(request.parameter("id")) else {
            throw Problem.notFound("alert", request.parameter("id"))
        }
        let view = try await storage.read { [service, quieting] transaction -> AlertView? in
            guard let alert = try service.alert(id, in: transaction) else { return nil }
            let quiet = alert.isFiring ? try quieting?.quiet(among: [alert], in: transaction)[id] : nil
            return AlertView(alert, quiet ?? AlertStanding())
        }
        guard let view else { throw Problem.notFound("alert", id.text) }
        return .json(view.json)
    }
}
