import Kernel

/// Leases of secrets, and which secret holds for somebody.
extension SecretRoutes {
    var leaseRoutes: [Route] {
        let root = "\(Self.root)/leases/{id}"
        return [
            Route(
                .post, "\(root)/renew", .work, "Let a lease of a secret run on, and learn of a newer version",
                shape: RouteShape(
                    body: ["type": "object", "properties": ["seconds": ["type": "integer"]]],
                    reply: RouteShape.ref("SecretLease")), handler: renew),
            Route(
                .post, "\(root)/revoke", .work, "End a lease of a secret", shape: RouteShape(success: 204),
                handler: revoke),
        ]
    }

    private func lease(_ request: APIRequest) throws -> Identifier<SecretLease> {
        let text = request.parameter("id")
        guard let id = Identifier<SecretLease>(text) else { throw Problem.notFound("lease", String(text.prefix(100))) }
        return id
    }

    /// Reads with a lease where the request asks for one.
    func reading(
        _ path: SecretPath, _ number: Int?, _ request: APIRequest
    ) async throws -> (SecretService.Reading, SecretLease?) {
        guard let text = request.queryValue("lease") else {
            return (try await service.read(path, version: number, by: request.principal), nil)
        }
        guard let seconds = Int64(text), SecretLease.seconds.contains(seconds) else {
            let range = SecretLease.seconds
            throw Problem.invalid("lease", "\(range.lowerBound) to \(range.upperBound) seconds are expected")
        }
        return try await service.lease(path, version: number, seconds: seconds, by: request.principal)
    }

    private func renew(_ request: APIRequest) async throws -> APIReply {
        let seconds = try request.optionalFields().optionalInt("seconds", in: SecretLease.seconds)
        let (lease, newest) = try await service.renewLease(
            try self.lease(request), seconds: seconds ?? SecretLease.secondsDefault, by: request.principal)
        return .json([
            "leaseId": .string(lease.id.text), "path": .string(lease.path.description), "version": lease.version.json,
            "newestVersion": newest.json, "leaseDuration": .int(lease.secondsLeft(at: service.world.now)),
            "renewable": .bool(lease.isRenewable), "expiresAt": lease.expiresAt.json,
        ])
    }

    private func revoke(_ request: APIRequest) async throws -> APIReply {
        try await service.revokeLease(try lease(request), by: request.principal)
        return .noContent
    }

    static let leaseSchema: JSONValue = [
        "type": "object", "required": ["leaseId", "path", "version", "newestVersion", "leaseDuration", "renewable"],
        "properties": [
            "leaseId": text, "path": text, "version": ["type": "integer"], "newestVersion": ["type": "integer"],
            "leaseDuration": ["type": "integer"], "renewable": ["type": "boolean"], "expiresAt": text,
        ],
    ]

    // MARK: which one holds

    static let lookup: [(name: String, schema: JSONValue, summary: String)] = [
        ("name", ["type": "string"], "The last part of the path"),
        ("user", ["type": "string"], "Whose own comes first"),
        ("project", ["type": "string"], "Whose comes next"),
        (
            "policy", ["type": "string", "enum": .list(SecretLookup.Policy.allCases.map(\.rawValue))],
            "Whether another one is used where the user has none"
        ),
        ("fallbackOn", ["type": "string"], "absent, or absent,expired: whether a deleted one is passed over too"),
    ]

    func resolve(_ request: APIRequest) async throws -> APIReply {
        guard let name = request.queryValue("name") else { throw Problem.invalid("name", "it is missing") }
        let policy = try request.queryValue("policy").map { text in
            guard let policy = SecretLookup.Policy(rawValue: text) else {
                throw Problem.invalid("policy", "fallback or strict_user is expected")
            }
            return policy
        }
        let lapses = (request.queryValue("fallbackOn") ?? "absent").split(separator: ",").map(String.init)
        guard lapses.contains("absent"), Set(lapses).isSubset(of: ["absent", "expired"]) else {
            throw Problem.invalid("fallbackOn", "absent or absent,expired is expected")
        }
        let lookup = try SecretLookup(
            name: name, user: request.queryValue("user"), project: request.queryValue("project"),
            policy: policy ?? .fallback, passesExpired: lapses.contains("expired"))
        return .json(try await service.resolve(lookup, by: request.principal))
    }

    static let resolutionSchema: JSONValue = [
        "type": "object", "required": ["name", "used", "scope", "version", "policy", "looked"],
        "properties": [
            "name": text, "used": text, "scope": text, "version": ["type": "integer"], "policy": text,
            "looked": [
                "type": "array",
                "items": [
                    "type": "object", "required": ["path", "state"], "properties": ["path": text, "state": text],
                ],
            ],
        ],
    ]
}
