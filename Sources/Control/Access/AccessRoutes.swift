import Kernel

/// Keys, sessions and logins over HTTP.
public struct AccessRoutes: Sendable {
    let service: AccessService
    let exchange: Exchange
    /// Where the first key stands; `nil` where there is no such file.
    let adminKeyFile: AdminKeyFile?

    public init(service: AccessService, exchange: Exchange, adminKeyFile: AdminKeyFile? = nil) {
        self.service = service
        self.exchange = exchange
        self.adminKeyFile = adminKeyFile
    }

    public var routes: [Route] {
        keyRoutes + loginRoutes
    }

    private var keyRoutes: [Route] {
        [
            Route(
                .post, "/api/v1/keys", .operate, "Makes a key; its secret is shown this once",
                shape: RouteShape(body: Self.draftSchema, success: 201, reply: Self.issuedSchema), handler: create),
            Route(
                .get, "/api/v1/keys", .administer, "Keys, without their secrets",
                shape: .list(of: Self.keySchema), handler: list),
            Route(
                .post, "/api/v1/keys/{id}/rotate", .operate,
                "Makes a key in the place of another, which stays in force for an overlap; its secret is shown once",
                shape: RouteShape(
                    body: Self.rotationSchema, isBodyRequired: false, success: 201, reply: Self.issuedSchema),
                handler: rotate),
            Route(
                .delete, "/api/v1/keys/{id}", .administer, "Revokes a key at once, with its sessions",
                shape: RouteShape(success: 204), handler: revoke),
            Route(
                .get, "/api/v1/me", .roles(Set(Role.allCases)), "Whose key the request came with",
                shape: RouteShape(reply: Self.meSchema), handler: me),
            Route(
                .post, "/api/v1/login-links", .administer, "Makes a login link that works once, for an hour",
                shape: RouteShape(isBodyRequired: false, success: 201, reply: Self.linkSchema), handler: createLink),
        ]
    }

    private var loginRoutes: [Route] {
        [
            Route(.get, "/login", .open, "The login page; with a token, the way in", shape: .page, handler: loginPage),
            Route(.post, "/login", .open, "Logs a browser in with a key", shape: .page, handler: login),
            Route(
                .post, "/logout", .roles(Set(Role.allCases)), "Ends the browser's session", shape: .page,
                handler: logout),
        ]
    }

    // MARK: keys

    private func create(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let issued = try service.draft(
            role: fields.choice("role", Role.self), name: fields.name("name"), agent: fields.optionalName("agent"),
            by: request.principal)
        let shown: JSONValue = [
            "id": issued.key.id.json, "key": .string(issued.secret), "role": .string(issued.key.role.rawValue),
            "name": .string(issued.key.name), "agent": .of(issued.key.agent), "createdAt": issued.key.createdAt.json,
        ]
        return try await commitOnce(request, showing: shown, without: "key") { transaction in
            try service.issue(issued, by: request.principal, in: transaction)
        }
    }

    private func rotate(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.optionalFields()
        try fields.refuseOthers(than: ["overlapHours", "untilUnused"])
        let most = AccessService.keyOverlapMax.microseconds / Span.hours(1).microseconds
        let overlap = try fields.optionalInt("overlapHours", in: 0...most).map(Span.hours) ?? AccessService.keyOverlap
        let waits = try fields.optionalBool("untilUnused") ?? false
        let text = request.parameter("id")
        guard let id = Identifier<AccessKey>(text) else { throw Problem.notFound("key", text) }
        let old = try await exchange.storage.read { try service.key(id, in: $0) }
        let issued = try service.draft(role: old.role, name: old.name, agent: old.agent, by: request.principal)
        let shown: JSONValue = [
            "id": issued.key.id.json, "key": .string(issued.secret), "role": .string(issued.key.role.rawValue),
            "name": .string(issued.key.name), "agent": .of(issued.key.agent), "createdAt": issued.key.createdAt.json,
            "replaces": id.json, "retiresAt": (issued.key.createdAt + overlap).json,
        ]
        return try await commitOnce(request, showing: shown, without: "key") { transaction in
            _ = try service.replace(
                id, by: issued, overlap: overlap, waitsForUse: waits, as: request.principal, in: transaction)
        } then: {
            guard old.role == .admin, let words = await renewed(id, issued.secret) else { return JSONObject() }
            return JSONObject([.init(name: "adminKeyFile", value: .string(words))])
        }
    }

    /// What became of the file of the first key; `nil` where that is not the one that was rotated. The rotation stands
    /// whatever becomes of it: the old key is good for the overlap, and the new one is in the answer.
    private func renewed(_ old: Identifier<AccessKey>, _ secret: String) async -> String? {
        do {
            guard try await adminKeyFile?.replace(old, by: secret, in: service) == true else { return nil }
            return "\(AdminKeyFile.name) in the data directory holds the new key."
        } catch {
            return "\(AdminKeyFile.name) in the data directory could not be written: put the new key into it."
        }
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let keys = try await exchange.storage.read {
            try service.list(after: page.after, limit: page.limit + 1, in: $0)
        }
        let (items, next) = page.cut(keys, cursor: \.id.text)
        return .list(items, next: next)
    }

    private func revoke(_ request: APIRequest) async throws -> APIReply {
        let text = request.parameter("id")
        guard let id = Identifier<AccessKey>(text) else { throw Problem.notFound("key", text) }
        return try await exchange.commit(request) { transaction in
            try service.revoke(id, by: request.principal, in: transaction)
            return .noContent
        }
    }

    private func me(_ request: APIRequest) async throws -> APIReply {
        let principal = request.principal
        return .json([
            "keyId": .string(principal.keyID), "name": .string(principal.name),
            "role": .string(principal.role.rawValue), "agent": .of(principal.agent),
        ])
    }

    private func createLink(_ request: APIRequest) async throws -> APIReply {
        let link = service.draftLink()
        let host = request.headers["host"].map { "http://\($0)" } ?? ""
        let shown: JSONValue = ["url": .string(host + link.location), "expiresAt": link.expiresAt.json]
        return try await commitOnce(request, showing: shown, without: "url") { transaction in
            try service.issue(link, for: request.principal, in: transaction)
        }
    }

    /// Commits a change whose reply holds a secret. What is kept under the idempotency key goes without the secret, so
    /// that the store never has it: a repeated request gets everything else.
    private func commitOnce(
        _ request: APIRequest, showing shown: JSONValue, without secret: String,
        _ body: @escaping @Sendable (Transaction) throws -> Void,
        then finish: () async -> JSONObject = { JSONObject() }
    ) async throws -> APIReply {
        var kept = shown.object ?? JSONObject()
        kept[secret] = nil
        let keptReply = APIReply.created(.object(kept))
        let reply = try await exchange.commit(request) { transaction in
            try body(transaction)
            return keptReply
        }
        guard !reply.headers.contains(where: { $0.name == "idempotency-replayed" }) else { return reply }
        var told = shown.object ?? JSONObject()
        for member in await finish().members { told[member.name] = member.value }
        return .created(.object(told))
    }

    // MARK: logins

    private func loginPage(_ request: APIRequest) async throws -> APIReply {
        guard let token = request.queryValue("token") else { return AccessPages.login() }
        // Programs that preview links ask with HEAD first; that must not use the link up.
        guard !request.isHead else { return AccessPages.login() }
        try service.checkLogins(from: request.remoteAddress)
        let session = try await service.openSession(linkToken: token, remoteAddress: request.remoteAddress)
        guard let session else {
            service.noteFailedLogin(from: request.remoteAddress)
            return AccessPages.login(
                message: "This login link was used before, or is more than an hour old. Make a new one with "
                    + "POST /api/v1/login-links, or log in with a key.", status: 401)
        }
        return welcome(session)
    }

    private func login(_ request: APIRequest) async throws -> APIReply {
        try service.checkLogins(from: request.remoteAddress)
        let key = try request.formValue("key") ?? ""
        let trimmed = key.filter { !$0.isWhitespace }
        let session = try await service.openSession(key: trimmed, remoteAddress: request.remoteAddress)
        guard let session else {
            service.noteFailedLogin(from: request.remoteAddress)
            return AccessPages.login(message: "This is not a key in force.", status: 401)
        }
        return welcome(session)
    }

    private func welcome(_ session: String) -> APIReply {
        var reply = APIReply.redirect("/")
        let seconds = AccessService.sessionLifetime.microseconds / 1_000_000
        reply.headers.append(("set-cookie", cookie(session, maxAge: seconds)))
        return reply
    }

    private func logout(_ request: APIRequest) async throws -> APIReply {
        if let session = Cookies.value(Credential.cookieName, in: request.headers["cookie"]) {
            try await service.closeSession(session, by: request.principal)
        }
        var reply = APIReply.redirect("/login")
        reply.headers.append(("set-cookie", cookie("", maxAge: 0)))
        return reply
    }

    private func cookie(_ value: String, maxAge: Int64) -> String {
        "\(Credential.cookieName)=\(value); Path=/; HttpOnly; SameSite=Lax; Max-Age=\(maxAge)"
    }
}

/// The `Cookie` header (RFC 6265 §4.2).
public enum Cookies {
    /// The value of the first cookie of that name.
    public static func value(_ name: String, in header: String?) -> String? {
        guard let header else { return nil }
        for part in header.split(separator: ";") {
            let pair = part.drop { $0 == " " }
            guard pair.hasPrefix(name), pair.dropFirst(name.count).first == "=" else { continue }
            return String(pair.dropFirst(name.count + 1))
        }
        return nil
    }
}

extension AccessRoutes {
    private static let nullableString: JSONValue = ["type": ["string", "null"]]
    private static let string: JSONValue = ["type": "string"]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let role: JSONValue = ["type": "string", "enum": .list(Role.allCases.map(\.rawValue))]

    private static let draftSchema: JSONValue = [
        "type": "object", "required": ["role", "name"],
        "properties": ["role": role, "name": string, "agent": nullableString],
    ]

    private static let rotationSchema: JSONValue = [
        "type": "object", "additionalProperties": false,
        "properties": [
            "overlapHours": ["type": "integer", "minimum": 0, "maximum": 720],
            "untilUnused": ["type": "boolean"],
        ],
    ]

    private static let issuedSchema: JSONValue = [
        "type": "object", "required": ["id", "role", "name", "agent"],
        "properties": [
            "id": string, "key": string, "role": role, "name": string, "agent": nullableString, "createdAt": time,
            "replaces": string, "retiresAt": time, "adminKeyFile": string,
        ],
    ]

    private static let keySchema: JSONValue = [
        "type": "object",
        "properties": [
            "id": string, "role": role, "name": string, "agent": nullableString, "createdAt": time,
            "createdBy": string, "lastUsedAt": nullableString, "revokedAt": nullableString,
            "retiresAt": nullableString, "replacedBy": nullableString,
        ],
    ]

    private static let meSchema: JSONValue = [
        "type": "object",
        "properties": ["keyId": string, "name": string, "role": role, "agent": nullableString],
    ]

    private static let linkSchema: JSONValue = [
        "type": "object", "properties": ["url": string, "expiresAt": time],
    ]
}
