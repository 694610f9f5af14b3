import Kernel

/// Vault's KV v2, mounted at `secret`, so that whatever reads secrets from Vault reads them here.
public struct VaultRoutes: Sendable {
    static let root = "/v1/secret"
    /// Versions that one request may name.
    static let versionsMax = 1_000

    let service: SecretService

    public init(service: SecretService) {
        self.service = service
    }

    public var routes: [Route] { dataRoutes + versionRoutes + metadataRoutes + listRoutes + systemRoutes + leaseRoutes }

    func route(
        _ method: APIRequest.Method, _ path: String, _ permission: Permission, _ summary: String,
        _ shape: RouteShape = RouteShape(reply: ["type": "object"]), _ handler: @escaping Route.Handler
    ) -> Route {
        Route(
            method, path, permission, summary, shape: shape, refusal: { problem, _ in VaultReply.refusal(problem) },
            handler: handler)
    }

    static let body = RouteShape(body: ["type": "object"], reply: ["type": "object"])
    static let changed = RouteShape(body: ["type": "object"], success: 204)
    private static let hidden = {
        var shape = RouteShape(reply: ["type": "object"])
        shape.isDescribed = false
        return shape
    }()

    private var dataRoutes: [Route] {
        let path = "\(Self.root)/data/{path*}"
        let version: (name: String, schema: JSONValue, summary: String) = (
            "version", ["type": "integer"], "An older version"
        )
        return [
            route(
                .get, path, .work, "Read a secret, as Vault does",
                RouteShape(query: [version], reply: ["type": "object"]), read),
            route(.post, path, .operate, "Write a new version of a secret, as Vault does", Self.body, write),
            route(.put, path, .operate, "Write a new version of a secret, as Vault does", Self.body, write),
            route(.patch, path, .operate, "Merge into a secret, as Vault does", Self.body, merge),
            route(
                .delete, path, .operate, "Delete the newest version of a secret, as Vault does",
                RouteShape(success: 204)
            ) { try await act(.deleted, $0, needsVersions: false) },
        ]
    }

    private var versionRoutes: [Route] {
        let acts: [(word: String, act: SecretService.Act, summary: String)] = [
            ("delete", .deleted, "Delete versions of a secret, as Vault does"),
            ("undelete", .undeleted, "Bring deleted versions of a secret back, as Vault does"),
            ("destroy", .destroyed, "Destroy versions of a secret for good, as Vault does"),
        ]
        return acts.flatMap { word, act, summary in
            [APIRequest.Method.post, .put].map { method in
                route(method, "\(Self.root)/\(word)/{path*}", .operate, summary, Self.changed) {
                    try await self.act(act, $0, needsVersions: true)
                }
            }
        }
    }

    private var metadataRoutes: [Route] {
        let path = "\(Self.root)/metadata/{path*}"
        let list: (name: String, schema: JSONValue, summary: String) = (
            "list", ["type": "string", "enum": ["true", "false"]], "List what stands below it"
        )
        return [
            route(
                .get, path, .work, "Show a secret's versions, as Vault does",
                RouteShape(query: [list], reply: ["type": "object"]), metadata),
            route(.post, path, .operate, "Say how a secret is kept, as Vault does", Self.changed) {
                try await describe($0, isPatch: false)
            },
            route(.put, path, .operate, "Say how a secret is kept, as Vault does", Self.changed) {
                try await describe($0, isPatch: false)
            },
            route(.patch, path, .operate, "Change how a secret is kept, as Vault does", Self.changed) {
                try await describe($0, isPatch: true)
            },
            route(.delete, path, .operate, "Forget a secret, as Vault does", RouteShape(success: 204)) { request in
                try await service.remove(try secretPath(request), by: request.principal)
                return .noContent
            },
        ]
    }

    /// `LIST` is a method of Vault's own; programs that have it not ask with `list=true`.
    private var listRoutes: [Route] {
        let root = "\(Self.root)/metadata"
        return [
            route(.get, root, .work, "List the first parts of paths, as Vault does", Self.hidden, names),
            route(.get, "\(root)/", .work, "List the first parts of paths, as Vault does", Self.hidden, names),
            route(.list, root, .work, "List the first parts of paths, as Vault does", Self.hidden, names),
            route(.list, "\(root)/", .work, "List the first parts of paths, as Vault does", Self.hidden, names),
            route(.list, "\(root)/{path*}", .work, "List what stands below a path, as Vault does", Self.hidden, names),
        ]
    }

    private var systemRoutes: [Route] {
        [
            route(.get, "\(Self.root)/config", .work, "How secrets are kept, as Vault says it") { request in
                let data: JSONValue = [
                    "cas_required": false, "delete_version_after": "0s",
                    "max_versions": KeptSecret.versionsDefault.json,
                ]
                return VaultReply.data(data, request)
            },
            route(
                .get, "/v1/auth/token/lookup-self", .roles(Set(Role.allCases)), "Whose key it is, as Vault says it"
            ) { VaultReply.data(VaultReply.token($0.principal), $0) },
            route(.get, "/v1/sys/health", .open, "Whether secrets can be read, as Vault says it", handler: health),
            route(.get, "/v1/sys/seal-status", .open, "Whether secrets can be read, as Vault says it") { _ in
                .json([
                    "type": "shamir", "initialized": true, "sealed": .bool(service.sealing.fault != nil), "t": 1,
                    "n": 1, "progress": 0, "nonce": "", "version": .string(ReeveVersion.current),
                    "storage_type": "reeve",
                ])
            },
            // Vault's own command asks this before it reads or writes.
            route(
                .get, "/v1/sys/internal/ui/mounts/{path*}", .roles(Set(Role.allCases)),
                "Which kind of store is mounted, as Vault says it", handler: mount),
        ]
    }

    private func route(
        _ method: APIRequest.Method, _ path: String, _ permission: Permission, _ summary: String,
        handler: @escaping Route.Handler
    ) -> Route { route(method, path, permission, summary, RouteShape(reply: ["type": "object"]), handler) }

    private func secretPath(_ request: APIRequest) throws -> SecretPath {
        let text = request.parameter("path")
        return try SecretPath(text.hasSuffix("/") ? String(text.dropLast()) : text)
    }

    // MARK: data

    private func read(_ request: APIRequest) async throws -> APIReply {
        var number: Int?
        if let text = request.queryValue("version"), text != "0" {
            guard let value = Int(text), value > 0 else {
                throw Problem(.badRequest, "version: a whole number is expected")
            }
            number = value
        }
        let reading = try await service.read(try secretPath(request), version: number, by: request.principal)
        let metadata = VaultReply.version(reading.version, of: reading.secret)
        return VaultReply.data(
            ["data": reading.data.map { .object($0) } ?? .null, "metadata": metadata], request,
            status: reading.data == nil ? 404 : 200)
    }

    private func write(_ request: APIRequest) async throws -> APIReply {
        try await change(request) { .put($0) }
    }

    private func merge(_ request: APIRequest) async throws -> APIReply {
        try await change(request) { .merge($0) }
    }

    private func change(
        _ request: APIRequest, _ change: (JSONObject) -> SecretService.Change
    ) async throws -> APIReply {
        let path = try secretPath(request)
        let fields = try request.fields()
        guard let data = fields.value("data")?.object else { throw Problem(.badRequest, "no data provided") }
        let (secret, version) = try await service.write(
            path, change(data), cas: try cas(fields.value("options")), by: request.principal)
        return VaultReply.data(
            VaultReply.version(version, of: secret), request, warnings: SecretService.warnings(of: data))
    }

    /// A number, or its digits as a text, which Vault takes too.
    private func cas(_ options: JSONValue?) throws -> Int? {
        guard let value = options?["cas"], !value.isNull else { return nil }
        guard let number = value.int ?? value.string.flatMap({ Int64($0) }), (0...Int64(Int32.max)).contains(number)
        else { throw Problem(.badRequest, "options/cas: a whole number is expected") }
        return Int(number)
    }

    private func act(
        _ act: SecretService.Act, _ request: APIRequest, needsVersions: Bool
    ) async throws -> APIReply {
        let path = try secretPath(request)
        var numbers: [Int] = []
        if needsVersions {
            let items = try request.fields().optionalArray("versions", max: Self.versionsMax) ?? []
            numbers = items.compactMap { $0.int ?? $0.string.flatMap { Int64($0) } }.map { Int(clamping: $0) }
            guard !items.isEmpty, numbers.count == items.count else {
                throw Problem(.badRequest, "No version number provided")
            }
        }
        do {
            try await service.act(act, on: path, versions: numbers, by: request.principal)
        } catch let problem as Problem where problem.code == .notFound {
            // As Vault does: nothing is there to be deleted, which is what was asked for.
            return .noContent
        }
        return .noContent
    }

    // MARK: metadata

    private func metadata(_ request: APIRequest) async throws -> APIReply {
        if request.queryValue("list") == "true" { return try await names(request) }
        let found = try await service.describe(try secretPath(request), by: request.principal)
        return VaultReply.data(VaultReply.metadata(found.secret, found.versions), request)
    }

    private func describe(_ request: APIRequest, isPatch: Bool) async throws -> APIReply {
        let path = try secretPath(request)
        let fields = try request.fields()
        var terms = SecretService.Terms(isPatch: isPatch)
        if let number = try fields.optionalInt("max_versions", in: 0...Int64(KeptSecret.versionsMax)) {
            terms.versionsMax = number == 0 ? KeptSecret.versionsDefault : Int(number)
        }
        terms.isCASRequired = try fields.optionalBool("cas_required")
        if let custom = fields.value("custom_metadata") {
            guard let object = custom.object, object.count <= KeptSecret.customMax,
                object.members.allSatisfy({ $0.name.utf8.count <= 128 && Self.isNote($0.value) })
            else {
                throw Problem(.badRequest, "custom_metadata: up to \(KeptSecret.customMax) short texts are expected")
            }
            terms.custom = object
        }
        try await service.set(terms, of: path, by: request.principal)
        return .noContent
    }

    private static func isNote(_ value: JSONValue) -> Bool {
        value.isNull || value.string.map { $0.utf8.count <= 512 } ?? false
    }

    private func names(_ request: APIRequest) async throws -> APIReply {
        let folder = request.parameters["path"] ?? ""
        let names = try await service.names(below: folder, by: request.principal)
        guard !names.isEmpty else { throw Problem.notFound("folder", folder) }
        return VaultReply.data(["keys": .list(names)], request)
    }

    // MARK: the system

    private func health(_ request: APIRequest) -> APIReply {
        let isSealed = service.sealing.fault != nil
        return .json(
            [
                "initialized": true, "sealed": .bool(isSealed), "standby": false, "performance_standby": false,
                "replication_performance_mode": "disabled", "replication_dr_mode": "disabled",
                "server_time_utc": (service.world.now.microseconds / 1_000_000).json,
                "version": .string(ReeveVersion.current), "cluster_name": "reeve",
            ], status: isSealed ? 503 : 200)
    }

    private func mount(_ request: APIRequest) async throws -> APIReply {
        guard request.parameter("path").split(separator: "/").first == "secret" else {
            throw Problem.notFound("mount", request.parameter("path"))
        }
        return VaultReply.data(
            [
                "path": "secret/", "type": "kv", "description": "", "local": false, "seal_wrap": false,
                "accessor": "reeve", "options": ["version": "2"], "config": [:], "uuid": "",
            ], request)
    }
}
