import Kernel

/// What Vault's KV v2 says (its HTTP API, "KV secrets engine - version 2"), in its own words.
enum VaultReply {
    /// An answer with data.
    static func data(
        _ value: JSONValue, _ request: APIRequest, status: Int = 200, warnings: [String] = [],
        lease: (lease: SecretLease, now: Timestamp)? = nil
    ) -> APIReply {
        var reply = APIReply.json(
            [
                "request_id": .string(request.requestID), "lease_id": .string(lease?.lease.id.text ?? ""),
                "renewable": .bool(lease?.lease.isRenewable ?? false),
                "lease_duration": .int(lease.map { $0.lease.secondsLeft(at: $0.now) } ?? 0),
                "data": value, "wrap_info": .null, "warnings": warnings.isEmpty ? .null : .list(warnings),
                "auth": .null,
            ], status: status)
        reply.headers.append(("cache-control", "no-store"))
        return reply
    }

    /// A refusal: clients look at the status, and show the texts.
    static func refusal(_ problem: Problem) -> APIReply {
        let status =
            switch problem.code.status {
            // There is one answer to whoever may not, whatever the reason.
            case 401: 403
            case 409, 422: 400
            default: problem.code.status
            }
        let text = problem.hint.isEmpty ? problem.detail : "\(problem.detail) \(problem.hint)"
        let word = status == 403 && !text.hasPrefix("permission denied") ? "permission denied: " : ""
        // Clients tell an empty place from an error by the empty list.
        let errors: JSONValue = problem.code == .notFound ? [] : [.string(word + text)]
        var reply = APIReply.json(["errors": errors], status: status)
        if let seconds = problem.retryAfterSeconds { reply.headers.append(("retry-after", String(seconds))) }
        return reply
    }

    static func version(_ version: SecretVersion, of secret: KeptSecret) -> JSONValue {
        var object = times(version)
        object["custom_metadata"] = custom(secret)
        object["version"] = version.number.json
        return .object(object)
    }

    private static func times(_ version: SecretVersion) -> JSONObject {
        JSONObject([
            .init(name: "created_time", value: version.createdAt.json),
            .init(name: "deletion_time", value: version.deletedAt?.json ?? ""),
            .init(name: "destroyed", value: .bool(version.isDestroyed)),
        ])
    }

    private static func custom(_ secret: KeptSecret) -> JSONValue {
        secret.custom.isEmpty ? .null : .object(secret.custom)
    }

    static func metadata(_ secret: KeptSecret, _ versions: [SecretVersion]) -> JSONValue {
        var list = JSONObject()
        for version in versions { list[String(version.number)] = .object(times(version)) }
        return [
            "cas_required": .bool(secret.isCASRequired), "created_time": secret.createdAt.json,
            "current_version": secret.version.json, "custom_metadata": custom(secret), "delete_version_after": "0s",
            "max_versions": secret.versionsMax.json, "oldest_version": (versions.first?.number ?? 0).json,
            "updated_time": secret.updatedAt.json, "versions": .object(list),
        ]
    }

    /// A lease that runs.
    static func lease(_ lease: SecretLease, at now: Timestamp) -> JSONValue {
        [
            "id": .string(lease.id.text), "issue_time": lease.grantedAt.json, "expire_time": lease.expiresAt.json,
            "last_renewal": .of(lease.renewedAt), "renewable": .bool(lease.isRenewable),
            "ttl": .int(lease.secondsLeft(at: now)),
        ]
    }

    /// Whose key came: the key itself is not repeated.
    static func token(_ principal: Principal) -> JSONValue {
        [
            "accessor": .string(principal.keyID), "creation_time": 0, "creation_ttl": 0,
            "display_name": .string(principal.actor), "entity_id": "", "expire_time": .null, "explicit_max_ttl": 0,
            "id": .string(principal.keyID), "issue_time": .null, "meta": .null, "num_uses": 0, "orphan": true,
            "path": "auth/token/create", "policies": [.string(principal.role.rawValue)], "renewable": false,
            "ttl": 0, "type": "service",
        ]
    }
}
