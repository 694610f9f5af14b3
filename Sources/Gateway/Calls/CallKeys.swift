import Kernel

/// Whose keys a call goes out with.
extension ModelCall {
    /// Leaves out the targets for whose provider the caller has to bring a key and has none (`keyPolicy: strict_user`).
    /// What was resolved stands in the record; the key itself nowhere.
    func resolveKeys() throws {
        resolutions = targets.map { state in
            guard let keys = Self.keys(of: state) else { return nil }
            return keys.resolve(users: [request.principal.agent, request.principal.name].compactMap(\.self))
        }
        guard resolutions.contains(where: { $0 != nil }) else { return }
        var sources = JSONObject()
        for (state, resolution) in zip(targets, resolutions) {
            if let resolution { sources[state.target.label] = .string(resolution.words) }
        }
        record.notes.append("keys", .object(sources))
        let isMissing = resolutions.map { $0?.isRefused == true }
        guard isMissing.contains(true) else { return }
        targets = zip(targets, isMissing).filter { !$0.1 }.map(\.0)
        resolutions = resolutions.filter { $0?.isRefused != true }
        guard targets.isEmpty else { return }
        throw DialectError(
            .permission, code: "provider_key_missing",
            "The providers of `\(record.model)` take calls with their callers' own keys only, and there is none for "
                + "\(request.principal.agent ?? request.principal.name). Whoever runs Reeve can name one in the "
                + "provider's settings.")
    }

    /// `nil` where there is only the platform's key, or none: there is nothing to resolve then.
    private static func keys(of state: TargetState) -> ProviderKeys? {
        let keys = state.provider.keys
        return keys.users.isEmpty && keys.organisations.isEmpty && keys.policy == .fallback ? nil : keys
    }

    func resolution(for index: Int) -> ProviderKeys.Resolution {
        if resolutions.indices.contains(index), let resolution = resolutions[index] { return resolution }
        return targets[index].provider.keys.resolve(users: [])
    }
}
