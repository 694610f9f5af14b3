import Kernel

/// Secrets over Reeve's own interface. A path has two or three segments, or comes as one with its slashes encoded.
public struct SecretRoutes: Sendable {
    static let root = "/api/v1/secrets"
    static let paths = ["{path}", "{scope}/{name}", "{scope}/{owner}/{name}"]
    /// Those whose end cannot be taken for a part of the path.
    private static let plainPaths = paths.dropFirst()

    let service: SecretService

    public init(service: SecretService) {
        self.service = service
    }

    public var routes: [Route] {
        [
            Route(
                .get, Self.root, .work, "List secrets without their values; an agent's key sees what it was granted",
                shape: .list("Secret", query: Self.filters), handler: list),
            Route(
                .get, "\(Self.root)/{path*}", .work, "Show a secret without its values, with its versions",
                shape: .one("SecretDetails"), handler: show),
            Route(
                .put, "\(Self.root)/{path*}", .operate, "Write a new version of a secret",
                shape: .one("Secret", body: "SecretDraft"), handler: put),
            Route(
                .delete, "\(Self.root)/{path*}", .operate,
                "Delete the newest version of a secret, so that it can be brought back; all of it with `all=true`",
                shape: RouteShape(
                    query: [("all", ["type": "string", "enum": ["true", "false"]], "Whether nothing is kept of it")],
                    success: 204), handler: remove),
        ] + Self.paths.flatMap(below) + Self.plainPaths.flatMap(belowGrants) + leaseRoutes + [
            Route(
                .get, "\(Self.root)/resolve", .work,
                "Which secret of a name holds: the user's, the project's, the organisation's or the platform's",
                shape: RouteShape(query: Self.lookup, reply: RouteShape.ref("SecretResolution")), handler: resolve)
        ]
    }

    private func belowGrants(_ path: String) -> [Route] {
        let shape = RouteShape(reply: Self.grantSchema)
        return [
            Route(
                .put, "\(Self.root)/\(path)/grants/{agent}", .operate, "Let one more agent read a secret", shape: shape
            ) { try await change($0, SecretService.grant) },
            Route(
                .delete, "\(Self.root)/\(path)/grants/{agent}", .operate, "Let an agent no longer read a secret",
                shape: shape
            ) { try await change($0, SecretService.revoke) },
        ]
    }

    private func below(_ path: String) -> [Route] {
        [
            Route(
                .get, "\(Self.root)/\(path)/value", .work, "Read a secret; the reading stands in the audit",
                shape: RouteShape(
                    query: [
                        ("version", ["type": "integer", "minimum": 1], "An older version"),
                        (
                            "lease", ["type": "integer", "minimum": .int(SecretLease.seconds.lowerBound)],
                            "Seconds for which it will be used; the answer then names a lease"
                        ),
                    ],
                    reply: RouteShape.ref("SecretValue")), handler: value),
            Route(
                .get, "\(Self.root)/\(path)/grants", .operate, "List the agents that may read a secret",
                shape: RouteShape(reply: Self.grantSchema), handler: grants),
            Route(
                .put, "\(Self.root)/\(path)/grants", .operate, "Say which agents may read a secret",
                shape: RouteShape(body: Self.grantSchema, reply: Self.grantSchema), handler: setGrants),
        ]
    }

    private static let filters: [(name: String, schema: JSONValue, summary: String)] = [
        (
            "scope", ["type": "string", "enum": .list(SecretPath.Scope.allCases.map(\.rawValue))],
            "Those of one scope"
        ),
        ("owner", ["type": "string"], "Those of one owner"),
    ]

    private static let grantSchema: JSONValue = [
        "type": "object", "required": ["agents"],
        "properties": ["agents": ["type": "array", "items": ["type": "string"]]],
    ]

    static func path(_ request: APIRequest) throws -> SecretPath {
        if let path = request.parameters["path"] { return try SecretPath(path) }
        return try SecretPath(
            ["scope", "owner", "name"].compactMap { request.parameters[$0] }.joined(separator: "/"))
    }

    static func scope(_ request: APIRequest) throws -> SecretPath.Scope? {
        guard let text = request.queryValue("scope"), !text.isEmpty else { return nil }
        guard let scope = SecretPath.Scope(rawValue: text) else {
            throw Problem.invalid("scope", "user, org, project or platform is expected")
        }
        return scope
    }

    // MARK: secrets

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let scope = try Self.scope(request)
        let views = try await service.list(
            scope: scope, owner: request.queryValue("owner"), page: page, by: request.principal)
        let (items, next) = page.cut(views, cursor: { $0.secret.path.description })
        return .list(items, next: next)
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let path = try Self.path(request)
        let found = try await service.describe(path, by: request.principal)
        let secret = found.secret
        let agent = request.principal.agent
        let view = SecretView(
            secret: secret, holders: found.holders.filter { agent == nil || $0.agent == agent },
            rotation: found.rotation, now: service.world.now)
        var object = view.json.object ?? JSONObject()
        object["casRequired"] = .bool(secret.isCASRequired)
        object["versionsMax"] = secret.versionsMax.json
        object["metadata"] = .object(secret.custom)
        object["versions"] = .array(
            found.versions.map { version in
                [
                    "version": version.number.json, "createdAt": version.createdAt.json,
                    "createdBy": .string(version.createdBy), "deletedAt": .of(version.deletedAt),
                    "destroyed": .bool(version.isDestroyed),
                ]
            })
        return .json(.object(object))
    }

    private func put(_ request: APIRequest) async throws -> APIReply {
        let path = try Self.path(request)
        let fields = try request.fields()
        try fields.refuseOthers(than: ["value", "data", "cas"])
        let cas = try fields.optionalInt("cas", in: 0...Int64(Int32.max)).map(Int.init)
        guard let object = try Self.data(fields) else {
            throw Problem.invalid("value", "either value or data is expected")
        }
        let (secret, _) = try await service.write(path, .put(object), cas: cas, by: request.principal)
        var view = SecretView(secret: secret, holders: [], now: service.world.now).json.object ?? JSONObject()
        let warnings = SecretService.warnings(of: object)
        if !warnings.isEmpty { view["warnings"] = .list(warnings) }
        return .json(.object(view))
    }

    /// A value from outside: one, or several by their names; `nil` where there is neither.
    static func data(_ fields: Fields) throws -> JSONObject? {
        let value = try fields.optionalString("value", max: KeptSecret.dataBytesMax)
        guard let data = fields.value("data") else {
            return value.map { JSONObject([.init(name: "value", value: .string($0))]) }
        }
        guard value == nil else { throw Problem.invalid("value", "either value or data is expected") }
        guard let object = data.object else { throw Problem.invalid("data", "an object is expected") }
        return object
    }

    private func remove(_ request: APIRequest) async throws -> APIReply {
        let path = try Self.path(request)
        if request.queryValue("all") == "true" {
            try await service.remove(path, by: request.principal)
        } else {
            try await service.act(.deleted, on: path, versions: [], by: request.principal)
        }
        return .noContent
    }

    private func value(_ request: APIRequest) async throws -> APIReply {
        let path = try Self.path(request)
        let number = try request.queryValue("version").map { text in
            guard let number = Int(text), number > 0 else {
                throw Problem.invalid("version", "a whole number above zero is expected")
            }
            return number
        }
        let (reading, lease) = try await self.reading(path, number, request)
        guard let data = reading.data else {
            throw Problem(
                .notFound, "Version \(reading.version.number) of \(path) was deleted.",
                hint: "Bring it back with POST /v1/secret/undelete/\(path), or write a new one.")
        }
        var reply = APIReply.json([
            "path": .string(path.description), "version": reading.version.number.json, "data": .object(data),
            "leaseId": .of(lease?.id.text), "leaseDuration": .int(lease?.secondsLeft(at: service.world.now) ?? 0),
            "renewable": .bool(lease != nil),
        ])
        reply.headers.append(("cache-control", "no-store"))
        return reply
    }

    // MARK: grants

    private func grants(_ request: APIRequest) async throws -> APIReply {
        .json(["agents": .list(try await service.grants(of: Self.path(request)))])
    }

    private func setGrants(_ request: APIRequest) async throws -> APIReply {
        let path = try Self.path(request)
        guard let agents = try request.fields().optionalNames("agents", max: KeptSecret.grantsMax) else {
            throw Problem.invalid("agents", "it is missing")
        }
        return .json(["agents": .list(try await service.grant(path, to: agents, by: request.principal))])
    }

    private func change(
        _ request: APIRequest,
        _ verb: (SecretService) -> (SecretPath, String, Principal) async throws -> [String]
    ) async throws -> APIReply {
        let agent = try Fields.checkedName(request.parameter("agent"), path: "agent", limits: request.limits)
        return .json(["agents": .list(try await verb(service)(Self.path(request), agent, request.principal))])
    }

    // MARK: shapes

    static let text: JSONValue = ["type": "string"]
    private static let maybe: JSONValue = ["type": ["string", "null"]]

    private static let secretProperties: JSONValue = [
        "path": text, "scope": ["type": "string", "enum": .list(SecretPath.Scope.allCases.map(\.rawValue))],
        "owner": maybe, "name": text, "version": ["type": "integer"], "age": ["type": ["integer", "null"]],
        "createdAt": text, "updatedAt": text,
        "holders": [
            "type": "array",
            "items": [
                "type": "object", "required": ["actor", "agent", "version", "lastUsedAt"],
                "properties": [
                    "actor": text, "agent": maybe, "version": ["type": ["integer", "null"]], "lastUsedAt": maybe,
                    "leasedUntil": maybe,
                ],
            ],
        ],
        "rotation": ["type": "object", "properties": ["dueAt": maybe, "due": ["type": "boolean"], "state": maybe]],
        "warnings": ["type": "array", "items": text],
    ]

    private static let required: JSONValue = [
        "path", "scope", "owner", "name", "version", "age", "holders", "rotation",
    ]

    /// The JSON shapes that `openapi.json` names.
    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("Secret", ["type": "object", "required": required, "properties": secretProperties]),
        (
            "SecretDetails",
            [
                "type": "object", "required": ["path", "version", "versions"],
                "properties": ["versions": ["type": "array"]],
            ]
        ),
        (
            "SecretDraft",
            [
                "type": "object", "additionalProperties": false,
                "properties": [
                    "value": ["type": "string", "description": "The value; stands as `value` in `data`"],
                    "data": ["type": "object", "description": "Several values by their names"],
                    "cas": ["type": "integer", "minimum": 0, "description": "The version that must be the newest"],
                ],
            ]
        ),
        (
            "SecretValue",
            [
                "type": "object", "required": ["path", "version", "data"],
                "properties": [
                    "path": text, "version": ["type": "integer"], "data": ["type": "object"], "leaseId": maybe,
                    "leaseDuration": ["type": "integer"], "renewable": ["type": "boolean"],
                ],
            ]
        ),
        ("SecretLease", leaseSchema), ("SecretResolution", resolutionSchema),
    ]
}
