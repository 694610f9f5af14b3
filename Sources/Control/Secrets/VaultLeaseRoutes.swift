import Kernel

/// Vault's `sys/leases`, for leases that were asked for at Reeve's own address. Whoever holds one looks it up, renews
/// and ends it; to everybody else there is no such lease.
extension VaultRoutes {
    private static let leases = "/v1/sys/leases"

    var leaseRoutes: [Route] {
        let verbs: [(paths: [String], summary: String, shape: RouteShape, handler: Route.Handler)] = [
            (["\(Self.leases)/lookup"], "Show a lease, as Vault does", Self.body, lookUp),
            (
                ["\(Self.leases)/renew", "/v1/sys/renew"], "Let a lease run on, as Vault does", Self.body, renew
            ),
            (
                ["\(Self.leases)/revoke", "/v1/sys/revoke"], "End a lease, as Vault does", Self.changed, revoke
            ),
        ]
        return verbs.flatMap { paths, summary, shape, handler in
            // Vault takes the id in the address too; what it calls old stands beside what it calls new.
            let all = paths + (paths.count > 1 ? paths.map { "\($0)/{id}" } : [])
            return all.flatMap { path in
                [APIRequest.Method.post, .put].map { method in
                    var shape = shape
                    shape.isDescribed = path == paths[0]
                    shape.isBodyRequired = !path.hasSuffix("}")
                    return route(method, path, .work, summary, shape, handler)
                }
            }
        }
    }

    /// The id that a request names; `nil` where it cannot be one of a lease.
    private func lease(_ request: APIRequest, _ fields: Fields) throws -> Identifier<SecretLease>? {
        let text = try fields.optionalString("lease_id", max: 1_000).flatMap { $0.isEmpty ? nil : $0 }
        guard let text = text ?? request.parameters["id"] else {
            throw Problem(.badRequest, "lease_id must be specified")
        }
        return Identifier<SecretLease>(text)
    }

    private func lookUp(_ request: APIRequest) async throws -> APIReply {
        let now = service.world.now
        guard let id = try lease(request, try request.optionalFields()),
            let lease = try await known(id, request.principal), lease.isRunning(at: now)
        else { throw Problem(.badRequest, "invalid lease") }
        return VaultReply.data(VaultReply.lease(lease, at: now), request)
    }

    private func known(_ id: Identifier<SecretLease>, _ principal: Principal) async throws -> SecretLease? {
        do {
            return try await service.lease(id, by: principal)
        } catch let problem as Problem where problem.code == .notFound {
            return nil
        }
    }

    private func renew(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.optionalFields()
        guard let id = try lease(request, fields), let lease = try await known(id, request.principal),
            lease.revokedAt == nil
        else { throw Problem(.badRequest, "lease not found") }
        guard lease.isRunning(at: service.world.now) else { throw Problem(.badRequest, "lease expired") }
        let asked = try increment(fields)
        let seconds = min(max(asked, SecretLease.seconds.lowerBound), SecretLease.seconds.upperBound)
        do {
            let renewed = try await service.renewLease(id, seconds: seconds, by: request.principal).lease
            let warnings =
                asked > seconds ? ["A renewal lasts \(seconds) s at most, so that is what was given."] : []
            return VaultReply.data(
                .null, request, warnings: warnings, lease: (lease: renewed, now: service.world.now))
        } catch let problem as Problem where problem.code == .leaseLost {
            throw Problem(.badRequest, problem.detail, hint: problem.hint)
        }
    }

    /// Seconds: a number, or a text as Vault has it (`1800`, `30m`). Without one, and with 0, as long as a lease lasts.
    private func increment(_ fields: Fields) throws -> Int64 {
        guard let value = fields.value("increment"), !value.isNull else { return SecretLease.secondsDefault }
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600]
        let seconds =
            value.int
            ?? value.string.flatMap { text in
                if let number = Int64(text) { return number }
                guard let unit = text.last.flatMap({ units[$0] }), let number = Int64(text.dropLast()),
                    !number.multipliedReportingOverflow(by: unit).overflow
                else { return nil }
                return number * unit
            }
        guard let seconds, seconds >= 0 else {
            throw Problem(.badRequest, "increment: a number of seconds, or a text such as 30m, is expected")
        }
        return seconds == 0 ? SecretLease.secondsDefault : seconds
    }

    /// To end what is over, or what there is not, changes nothing: as in Vault.
    private func revoke(_ request: APIRequest) async throws -> APIReply {
        guard let id = try lease(request, try request.optionalFields()),
            try await known(id, request.principal) != nil
        else { return .noContent }
        try await service.revokeLease(id, by: request.principal)
        return .noContent
    }
}
