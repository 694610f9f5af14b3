import Kernel
import Telemetry

/// On-call over HTTP.
public struct OnCallRoutes: Sendable {
    /// Notices shown of one escalation, the newest ones.
    static let noticesMax = 50
    /// How far is shown where a request does not say.
    static let rangeDefault = Span.hours(24 * 28)

    let service: OnCallService
    let exchange: Exchange
    let world: World

    public init(service: OnCallService, exchange: Exchange, world: World) {
        (self.service, self.exchange, self.world) = (service, exchange, world)
    }

    public var routes: [Route] {
        let (base, time): (String, JSONValue) = ("/api/v1/oncall", ["type": "string", "format": "date-time"])
        let (overrides, escalations) = ("\(base)/overrides", "\(base)/escalations")
        let schedule = ("schedule", ["type": "string"] as JSONValue, "One schedule; all unless given")
        return [
            Route(
                .get, base, .operateOrView, "Say who is on call in each schedule, and what says so",
                shape: .one("OnCall", query: [("at", time, "The moment; now unless given"), schedule]), handler: who),
            Route(
                .get, "\(base)/shifts", .operateOrView, "List the shifts of a range, times without anybody among them",
                shape: .one(
                    "OnCallShifts",
                    query: [
                        ("from", time, "Now unless given"),
                        ("until", time, "Four weeks on unless given; 366 days at most"), schedule,
                    ]), handler: shifts),
            Route(
                .get, escalations, .operateOrView, "List escalations with their notices, the newest first",
                shape: .list(
                    "Escalation",
                    query: [
                        (
                            "state", ["type": "string", "enum": .list(Escalation.State.allCases.map(\.rawValue))],
                            "Those in one state"
                        )
                    ]), handler: list),
            Route(
                .post, "\(escalations)/{id}/acknowledge", .operate, "Acknowledge an escalation: nobody else is told",
                shape: .one("Escalation"), handler: acknowledge),
            Route(
                .get, overrides, .operateOrView, "List overrides that were made here, in force or to come",
                shape: .list("OnCallOverride"), handler: listOverrides),
            Route(
                .post, overrides, .operate, "Have somebody take the duty for a while",
                shape: .one("OnCallOverride", body: "OnCallOverrideDraft", success: 201), handler: override),
            Route(
                .delete, "\(overrides)/{id}", .operate, "Remove an override, or end it now",
                shape: RouteShape(success: 204), handler: remove),
        ]
    }

    private func time(_ name: String, of request: APIRequest) throws -> Timestamp? {
        guard let text = request.queryValue(name) else { return nil }
        guard let time = Timestamp(rfc3339: text) else {
            throw Problem.invalid(name, "a time such as 2026-11-20T08:15:30Z is expected")
        }
        return time
    }

    private func who(_ request: APIRequest) async throws -> APIReply {
        let at = try time("at", of: request) ?? world.now
        guard let plan = service.plan else { return .json(["configured": false, "at": at.json, "schedules": []]) }
        let made = try await exchange.storage.read { try service.overrides(around: at, $0) }
        return .json(try plan.duties(at: at, schedule: request.queryValue("schedule"), overrides: made))
    }

    private func shifts(_ request: APIRequest) async throws -> APIReply {
        let from = try time("from", of: request) ?? world.now
        let until = try time("until", of: request) ?? from + Self.rangeDefault
        guard let plan = service.plan else { return .json(["configured": false, "items": []]) }
        // Judged before it is a range, which one that ends before it begins cannot be.
        let made =
            from < until ? try await exchange.storage.read { try service.overrides(in: from..<until, $0) } : []
        let items = try plan.shifts(in: (from, until), schedule: request.queryValue("schedule"), overrides: made)
        return .json(["configured": true, "items": .array(items)])
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let state = try request.queryValue("state").map { text in
            guard let state = Escalation.State(rawValue: text) else {
                let words = Escalation.State.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem.invalid("state", "one of \(words) is expected")
            }
            return state
        }
        let (items, next) = try await exchange.storage.read { transaction in
            let found = try service.store.list(state: state, page: page, in: transaction)
            let (items, next) = page.cut(found) { $0.id.text }
            return (try items.map { try json($0, transaction) }, next)
        }
        return .list(items, next: next)
    }

    private func json(_ escalation: Escalation, _ transaction: Transaction) throws -> JSONValue {
        escalation.json(
            notices: try service.store.notices(of: escalation.id, limit: Self.noticesMax, in: transaction))
    }

    private func acknowledge(_ request: APIRequest) async throws -> APIReply {
        guard let id = Identifier<Escalation>(request.parameter("id")) else {
            throw Problem.notFound("escalation", request.parameter("id"))
        }
        return try await exchange.commit(request) { transaction in
            .json(try json(try service.acknowledge(id, by: request.principal, in: transaction), transaction))
        }
    }

    // MARK: Overrides

    private func listOverrides(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let now = world.now
        let found = try await exchange.storage.read {
            try service.store.standing(after: now, page: page, in: $0)
        }
        let (items, next) = page.cut(found) { $0.label }
        return .list(items, next: next)
    }

    private func override(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["schedule", "person", "from", "until", "reason"])
        let (schedule, person) = (try fields.optionalName("schedule"), try fields.name("person"))
        guard let from = try fields.optionalTime("from"), let until = try fields.optionalTime("until") else {
            throw Problem.invalid("from", "`from` and `until` are needed")
        }
        let reason = try fields.optionalString("reason", max: OnCallService.reasonMax)
        return try await exchange.commit(request) { transaction in
            let override = try service.cover(
                schedule: schedule, person: person, from: from, until: until, reason: reason, by: request.principal,
                in: transaction)
            return .json(override.json, status: 201)
        }
    }

    private func remove(_ request: APIRequest) async throws -> APIReply {
        guard let id = Identifier<OnCallOverride>(request.parameter("id")) else {
            throw Problem.notFound("override", request.parameter("id"))
        }
        return try await exchange.commit(request) { transaction in
            try service.remove(id, by: request.principal, in: transaction)
            return .noContent
        }
    }
}
