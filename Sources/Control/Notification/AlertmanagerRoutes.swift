import Kernel
import Telemetry

/// Alertmanager's API v2, so that any Prometheus may send its alerts here, and amtool and its like may look at them and
/// silence them (Alertmanager 0.25, `api/v2/openapi.yaml`).
public struct AlertmanagerRoutes: Sendable {
    static let root = "/api/v2"

    let notification: NotificationService
    let alerts: AlertService
    let exchange: Exchange
    let world: World
    let startedAt: Timestamp

    public init(notification: NotificationService, alerts: AlertService, exchange: Exchange, world: World) {
        (self.notification, self.alerts, self.exchange, self.world) = (notification, alerts, exchange, world)
        startedAt = world.now
    }

    public var routes: [Route] {
        [
            route(
                .get, "alerts", .operateOrView, "List what fires, as Alertmanager does",
                RouteShape(query: Self.alertQuery, reply: Self.list("AlertmanagerAlert")), list),
            route(
                .post, "alerts", .tell, "Take in alerts as Alertmanager does",
                RouteShape(body: Self.list("AlertmanagerPost")), post),
            route(
                .get, "alerts/groups", .operateOrView, "List what fires in the groups that receivers are told of",
                RouteShape(query: Self.alertQuery, reply: Self.list("AlertmanagerGroup")), groups),
            route(
                .get, "silences", .operateOrView, "List silences, those that ended of late among them",
                RouteShape(query: [Self.filter], reply: Self.list("AlertmanagerSilence")), listSilences),
            route(
                .post, "silences", .operate, "Make or change a silence",
                RouteShape(
                    body: RouteShape.ref("AlertmanagerSilenceDraft"),
                    reply: [
                        "type": "object", "required": ["silenceID"], "properties": ["silenceID": ["type": "string"]],
                    ]),
                postSilence),
            route(
                .get, "silence/{id}", .operateOrView, "Show a silence",
                RouteShape(reply: RouteShape.ref("AlertmanagerSilence")), showSilence),
            route(.delete, "silence/{id}", .operate, "End a silence", RouteShape(), deleteSilence),
            route(
                .get, "receivers", .operateOrView, "List the receivers' names",
                RouteShape(reply: Self.list("AlertmanagerReceiver")), receivers),
            route(
                .get, "status", .operateOrView, "The version, and where alerts go",
                RouteShape(reply: ["type": "object", "required": ["cluster", "versionInfo", "config", "uptime"]]),
                status),
        ]
    }

    private func route(
        _ method: APIRequest.Method, _ path: String, _ permission: Permission, _ summary: String, _ shape: RouteShape,
        _ handler: @escaping Route.Handler
    ) -> Route {
        Route(
            method, "\(Self.root)/\(path)", permission, summary, shape: shape,
            refusal: { problem, _ in AlertmanagerReply.refusal(problem) }, handler: handler)
    }

    // MARK: Alerts

    private func post(_ request: APIRequest) async throws -> APIReply {
        guard let items = try request.json().array else {
            throw Problem(.badRequest, "A list of alerts is expected.")
        }
        guard items.count <= AlertmanagerPost.alertsMax else {
            throw Problem(.badRequest, "At most \(AlertmanagerPost.alertsMax) alerts are taken at a time.")
        }
        let read = items.map { AlertmanagerPost.read($0, now: world.now) }
        let posts = read.compactMap { try? $0.get() }
        let source = "key:\(request.principal.keyID)"
        for case .failure(let fault) in read where fault.isOfSize { alerts.meters.count(.size) }
        var lack: Problem?
        // Not in one piece: the store has one writer for all.
        for part in posts.chunks(of: AlertmanagerPost.togetherMax) {
            let intake = try await exchange.storage.write { [alerts] transaction in
                try alerts.takeWhatFits(Array(part), origin: .external, from: source, in: transaction)
            }
            lack = lack ?? intake.problem
        }
        if let lack { throw lack }
        let faults = read.compactMap { result -> String? in
            if case .failure(let fault) = result { fault.reason } else { nil }
        }
        // Those that are right were taken all the same.
        guard faults.isEmpty else { throw Problem(.badRequest, faults.prefix(10).joined(separator: "; ")) }
        return .json([:])
    }

    /// What fires, with how it stands.
    private func standing(_ request: APIRequest) async throws -> [(alert: Alert, standing: AlertStanding)] {
        let matchers = try AlertmanagerReply.matchers(request)
        func flag(_ name: String) throws -> Bool {
            switch request.queryValue(name) {
            case nil, "true": true
            case "false": false
            default: throw Problem(.badRequest, "parameter \(name) in query must be of type boolean")
            }
        }
        let (active, silenced, inhibited) = (try flag("active"), try flag("silenced"), try flag("inhibited"))
        _ = try flag("unprocessed")
        let (firing, standings) = try await exchange.storage.read { [alerts, notification] transaction in
            let firing = try alerts.firing(in: transaction)
            return (firing, try notification.standings(of: firing, in: transaction))
        }
        return firing.compactMap { alert in
            guard AlertmanagerReply.isMatch(alert.labels.pairs, matchers) else { return nil }
            let standing = standings.standing(of: alert)
            let isShown =
                (active || standing.isSuppressed) && (silenced || standing.silencedBy.isEmpty)
                && (inhibited || standing.inhibitedBy.isEmpty)
            return isShown ? (alert, standing) : nil
        }
    }

    private func receiverFilter(_ request: APIRequest) throws -> LabelMatcher? {
        guard let text = request.queryValue("receiver"), !text.isEmpty else { return nil }
        guard let matcher = try? LabelMatcher("receiver", .matches, text) else {
            throw Problem(.badRequest, "failed to parse receiver param: it is no regular expression")
        }
        return matcher
    }

    private func receivers(of alert: Alert) -> [String] {
        var names: [String] = []
        for route in notification.settings.routes(for: alert) where !names.contains(route.receiver) {
            names.append(route.receiver)
        }
        return names
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let filter = try receiverFilter(request)
        let found = try await standing(request).map { ($0.alert, $0.standing, receivers(of: $0.alert)) }
            .filter { row in filter.map { filter in row.2.contains { filter.matches($0) } } ?? true }
            .sorted { $0.0.fingerprint < $1.0.fingerprint }
        return .json(.array(found.map { AlertmanagerReply.alert($0.0, $0.1, receivers: $0.2) }))
    }

    private func groups(_ request: APIRequest) async throws -> APIReply {
        let filter = try receiverFilter(request)
        var groups: [String: (labels: LabelSet, receiver: String, alerts: [JSONValue])] = [:]
        for (alert, standing) in try await standing(request) {
            let object = AlertmanagerReply.alert(alert, standing, receivers: receivers(of: alert))
            for route in notification.settings.routes(for: alert) {
                guard filter.map({ $0.matches(route.receiver) }) ?? true else { continue }
                let labels = route.grouping.labels(of: alert.labels)
                groups["\(labels)\0\(route.receiver)", default: (labels, route.receiver, [])].alerts.append(object)
            }
        }
        return .json(
            .array(
                groups.sorted { $0.key < $1.key }.map { _, group in
                    [
                        "labels": group.labels.object, "receiver": ["name": .string(group.receiver)],
                        "alerts": .array(group.alerts),
                    ]
                }))
    }

    // MARK: Silences

    private func listSilences(_ request: APIRequest) async throws -> APIReply {
        let matchers = try AlertmanagerReply.matchers(request)
        let now = world.now
        let store = notification.silences.store
        let found = try await exchange.storage.read { transaction in
            try store.open(at: now, in: transaction) + store.expired(at: now, limit: 1_000, in: transaction)
        }
        let order: [Silence.State] = [.active, .pending, .expired]
        let shown = order.flatMap { state in
            found.filter { silence in
                silence.state(at: now) == state
                    && AlertmanagerReply.isMatch(silence.matchers.map { ($0.name, $0.value) }, matchers)
            }
        }
        return .json(.array(shown.map { AlertmanagerReply.silence($0, now: now) }))
    }

    private func showSilence(_ request: APIRequest) async throws -> APIReply {
        let id = request.parameter("id")
        let store = notification.silences.store
        guard let silence = try await exchange.storage.read({ try store.silence(id, in: $0) }) else {
            throw Problem.notFound("silence", id)
        }
        return .json(AlertmanagerReply.silence(silence, now: world.now))
    }

    private func postSilence(_ request: APIRequest) async throws -> APIReply {
        let draft = try AlertmanagerPost.silence(try request.json(), by: request.principal, now: world.now)
        return try await exchange.commit(request) { [notification] transaction in
            let silence = try notification.silences.set(draft, by: request.principal, in: transaction)
            return .json(["silenceID": .string(silence.id)])
        }
    }

    private func deleteSilence(_ request: APIRequest) async throws -> APIReply {
        try await exchange.commit(request) { [notification] transaction in
            try notification.silences.expire(request.parameter("id"), by: request.principal, in: transaction)
            return .json([:])
        }
    }

    // MARK: The rest

    private func receivers(_ request: APIRequest) async throws -> APIReply {
        .json(.array(notification.settings.receivers.map { ["name": .string($0.name)] }))
    }

    private func status(_ request: APIRequest) async throws -> APIReply {
        .json([
            "cluster": ["status": "disabled", "peers": .array([])],
            "versionInfo": [
                "version": .string(ReeveVersion.current), "revision": "", "branch": "reeve", "buildUser": "",
                "buildDate": "", "goVersion": "",
            ],
            "config": ["original": .string(notification.settings.alertmanagerText)],
            "uptime": startedAt.json,
        ])
    }
}
