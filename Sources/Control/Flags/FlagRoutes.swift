import Kernel

/// Flags over HTTP, for those who set them. Programs evaluate them through ``OFREPRoutes``.
public struct FlagRoutes: Sendable {
    let service: FlagService
    let exchange: Exchange

    public init(service: FlagService, exchange: Exchange) {
        self.service = service
        self.exchange = exchange
    }

    public var routes: [Route] {
        [
            Route(
                .get, "/api/v1/flags", .read, "List flags by key", shape: .list("Flag"), handler: list),
            Route(.get, "/api/v1/flags/{key}", .read, "Show a flag", shape: .one("Flag"), handler: show),
            Route(
                .put, "/api/v1/flags/{key}", .operate, "Make a flag, or replace what it says; takes If-Match",
                shape: .one("Flag", body: "FlagDraft"), handler: put),
            Route(
                .delete, "/api/v1/flags/{key}", .operate, "Delete a flag; takes If-Match",
                shape: RouteShape(success: 204), handler: remove),
            Route(
                .post, "/api/v1/flags/{key}/on", .operate, "Switch a flag on; takes If-Match",
                shape: .one("Flag", body: "FlagReason", isBodyRequired: false)
            ) { try await turn($0, on: true) },
            Route(
                .post, "/api/v1/flags/{key}/off", .operate, "Switch a flag off; takes If-Match",
                shape: .one("Flag", body: "FlagReason", isBodyRequired: false)
            ) { try await turn($0, on: false) },
            Route(
                .get, "/api/v1/flags/{key}/history", .read,
                "What a flag was, the newest first, with who changed what and why", shape: .list("FlagVersion"),
                handler: history),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let flags = try await exchange.storage.read { try service.flags(page: page, in: $0) }
        let (items, next) = page.cut(flags, cursor: \.key)
        return .list(items, next: next)
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let key = request.parameter("key")
        return Self.reply(try await exchange.storage.read { try service.flag(key, in: $0) })
    }

    private func put(_ request: APIRequest) async throws -> APIReply {
        let key = request.parameter("key")
        var fields = try request.fields()
        let reason = try fields.optionalString("reason", max: FlagService.reasonMax)
        var object = fields.object
        object["reason"] = nil
        fields = Fields(object, limits: request.limits)
        let salt = Hexadecimal.encode(service.world.entropy.bytes(8))
        // Without a salt of its own it keeps the one that it has.
        let known = try await exchange.storage.read { try service.store.flag(key, in: $0)?.definition.salt }
        let definition = try FlagDefinition(fields, salt: known ?? salt)
        let ifMatch = request.headers["if-match"]
        let flag = try await exchange.storage.write { transaction in
            try service.put(
                key, definition, reason: reason, ifMatch: ifMatch, by: request.principal, in: transaction)
        }
        try await service.book.refresh()
        return Self.reply(flag)
    }

    private func remove(_ request: APIRequest) async throws -> APIReply {
        let reason = try request.optionalFields().optionalString("reason", max: FlagService.reasonMax)
        let reply = try await exchange.commit(request) { transaction in
            try service.remove(
                request.parameter("key"), reason: reason, ifMatch: request.headers["if-match"],
                by: request.principal, in: transaction)
            return .noContent
        }
        try await service.book.refresh()
        return reply
    }

    private func turn(_ request: APIRequest, on isOn: Bool) async throws -> APIReply {
        let reason = try request.optionalFields().optionalString("reason", max: FlagService.reasonMax)
        let reply = try await exchange.commit(request) { transaction in
            Self.reply(
                try service.turn(
                    request.parameter("key"), on: isOn, reason: reason, ifMatch: request.headers["if-match"],
                    by: request.principal, in: transaction))
        }
        try await service.book.refresh()
        return reply
    }

    private func history(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let cursor = try page.sequenceCursor()
        let before = cursor == 0 ? .max : cursor
        let key = request.parameter("key")
        let found = try await exchange.storage.read {
            try service.history(of: key, before: before, limit: page.limit, in: $0)
        }
        let (items, next) = page.cut(found) { String($0.record.version) }
        return .list(items.map { $0.record.json(since: $0.previous) }, next: next)
    }

    private static func reply(_ flag: FeatureFlag) -> APIReply {
        var reply = APIReply.json(flag.json)
        reply.headers.append(("etag", flag.etag))
        return reply
    }
}
