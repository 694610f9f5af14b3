import Kernel
import NIOCore

/// Whose keys a call goes out with.
extension ModelCall {
    /// What came of looking for a key.
    private enum Search {
        case found(ProviderKeys.Resolution)
        /// The vault has to be asked for this one first.
        case unknown(SecretPath)
        /// No key is to be used instead of this one, for this reason.
        case stopped(DialectError, isBrought: Bool)
    }

    /// Settles whose key each target is asked with. Leaves out the targets for whose provider there is none that the
    /// caller may use; what was resolved stands in the record, the key itself nowhere.
    ///
    /// Where kept keys are not at hand, nothing is settled and ``missingKeys`` says which: see ``withKeys(_:)``.
    func resolveKeys() throws {
        missingKeys = []
        resolutions = targets.map { _ in nil }
        let plain = targets.allSatisfy { $0.provider.keys.isPlain }
        guard !plain else { return }
        let names = callerNames
        let project = knownProject()
        var refusals: [Int: DialectError] = [:]
        for (index, state) in targets.enumerated() where !state.provider.keys.isPlain {
            let keys = state.provider.keys
            if keys.asksForProject, project == nil, record.agent != nil {
                isMissingProject = true
                continue
            }
            let candidates = keys.candidates(users: names, project: project)
            switch search(candidates[...], keys) {
            case .found(let resolution): resolutions[index] = resolution
            case .unknown(let path): missingKeys.insert(path)
            case .stopped(let error, let isBrought):
                // Another provider would be asked with a key of somebody else's.
                if isBrought { throw error }
                refusals[index] = error
            }
        }
        guard missingKeys.isEmpty, !isMissingProject else { return }
        noteKeys(refused: Set(refusals.keys))
        guard !refusals.isEmpty else { return }
        resolutions = resolutions.enumerated().filter { refusals[$0.offset] == nil }.map(\.element)
        targets = targets.enumerated().filter { refusals[$0.offset] == nil }.map(\.element)
        if targets.isEmpty, let first = refusals.min(by: { $0.key < $1.key }) { throw first.value }
    }

    private var callerNames: [String] { [request.principal.agent, request.principal.name].compactMap(\.self) }

    private func knownProject() -> String? {
        isMissingProject = false
        if record.project == nil, let agent = record.agent { record.project = gateway.projects?.known(agent) }
        if record.project == nil, gateway.projects == nil { return "default" }
        return record.project
    }

    private func noteKeys(refused: Set<Int>) {
        var sources = JSONObject()
        for (index, state) in targets.enumerated() {
            if refused.contains(index) {
                sources[state.target.label] = "refused"
            } else if let resolution = resolutions[index] {
                sources[state.target.label] = .string(resolution.words)
            }
        }
        record.notes["keys"] = .object(sources)
    }

    /// The first of these keys that there is.
    private func search(_ candidates: ArraySlice<ProviderKeys.Candidate>, _ keys: ProviderKeys) -> Search {
        var absent: ProviderKeys.Candidate?
        for candidate in candidates {
            guard case .kept(let path) = candidate.source else { return .found(.init(candidate)) }
            guard let finding = keyFindings[path] ?? gateway.keys.kept.known(path) else { return .unknown(path) }
            // The call stays with what it found, whatever is written meanwhile.
            keyFindings[path] = finding
            switch finding {
            case .key(_, let version): return .found(.init(candidate, version: version))
            case .absent: absent = candidate
            case .gone where keys.fallbackOn.contains(.expired): absent = candidate
            case .gone(let version):
                return .stopped(.keyDeleted(candidate, version: version), isBrought: candidate.level.isBrought)
            case .fault(let reason):
                return .stopped(.keyUnavailable(candidate, reason), isBrought: candidate.level.isBrought)
            }
        }
        if keys.policy == .strictUser { return .stopped(missing(nil), isBrought: false) }
        guard let absent else { return .found(.init(level: .none, source: nil)) }
        return .stopped(missing(absent), isBrought: false)
    }

    /// There is no key for a provider: the caller's own, or the one that the settings name.
    private func missing(_ candidate: ProviderKeys.Candidate?) -> DialectError {
        if let candidate, candidate.level == .platform { return .keyMissing(candidate) }
        return DialectError(
            .permission, code: "provider_key_missing",
            "The providers of `\(record.model)` take calls with their callers' own keys only, and there is none for "
                + "\(request.principal.agent ?? request.principal.name). Whoever runs Reeve can name one in the "
                + "provider's settings\(candidate.map { ", or keep it as \($0.words)" } ?? "").")
    }

    func resolution(for index: Int) -> ProviderKeys.Resolution {
        if resolutions.indices.contains(index), let resolution = resolutions[index] { return resolution }
        return targets[index].provider.keys.resolve(users: [])
    }

    /// The key itself, for the line that it goes out in.
    func key(of resolution: ProviderKeys.Resolution) -> String? {
        guard case .kept(let path)? = resolution.source else { return gateway.keys.key(resolution.source) }
        guard case .key(let value, _)? = keyFindings[path] else { return nil }
        return value.text
    }

    // MARK: keys that are not at hand

    /// Goes on when all keys are at hand that the call needs.
    func withKeys(_ body: @escaping @Sendable (ModelCall) -> Void) {
        guard !missingKeys.isEmpty || isMissingProject else { return body(self) }
        fetchKeys { call in
            do {
                try call.resolveKeys()
            } catch {
                return call.fail(error as? DialectError ?? DialectError(.server, "Reeve failed at this call."), nil)
            }
            call.withKeys(body)
        }
    }

    /// Asks for what is missing. Each round settles at least one key of each target for this call, so that there are at
    /// most as many as a target has keys to choose from.
    private func fetchKeys(_ body: @escaping @Sendable (ModelCall) -> Void) {
        let (paths, keys, caller) = (missingKeys, gateway.keys.kept, request.principal)
        let (projects, agent) = (isMissingProject ? gateway.projects : nil, record.agent)
        later({ () async -> ([SecretPath: KeptKeys.Finding], String?) in
            var found: [SecretPath: KeptKeys.Finding] = [:]
            for path in paths { found[path] = await keys.find(path, for: caller) }
            guard let projects, let agent else { return (found, nil) }
            return (found, await projects.find(agent))
        }) { call, found in
            guard !call.hasEnded else { return }
            call.keyFindings.merge(found.0) { _, new in new }
            if let project = found.1 { call.record.project = project }
            body(call)
        }
    }

    // MARK: keys that are refused

    /// An attempt failed by a key that its owner brought: the next one is tried where the settings allow it, and
    /// otherwise the call fails. Nobody else pays in silence. `false` where the key is not what is wrong.
    func keyFailed(_ attempt: CallAttempt, _ failure: FailureClass) -> Bool {
        let lapse: ProviderKeys.Lapse
        switch failure {
        case .unauthorized, .forbidden: lapse = .expired
        case .quotaExhausted: lapse = .quota
        default: return false
        }
        guard !hasBegun, !hasLeft, resolutions.indices.contains(attempt.index),
            let refused = resolutions[attempt.index], refused.level.isBrought
        else { return false }
        let now = gateway.world.now
        note(attempt, failure.name, at: now)
        // Nothing is wrong with the target: others' calls go on.
        attempt.state.record(attempt.permit, .abandoned, at: now)
        self.attempt = nil
        attempt.exchange?.detach()
        keysRefused.append(.string("\(attempt.state.target.label): \(refused.words), \(failure.name)"))
        record.notes["keysRefused"] = .array(keysRefused)
        plan?.rekeyed(failure, at: now)
        let keys = attempt.state.provider.keys
        guard keys.fallbackOn.contains(lapse) else {
            fail(.keyRefused(refused, by: attempt.state.provider.name, lapse), nil)
            return true
        }
        tryNextKey(after: refused, lapse, at: attempt.index)
        return true
    }

    private func tryNextKey(after refused: ProviderKeys.Resolution, _ lapse: ProviderKeys.Lapse, at index: Int) {
        guard !hasEnded else { return }
        let keys = targets[index].provider.keys
        let candidates = keys.candidates(users: callerNames, project: record.project)
        let place = candidates.firstIndex { $0.level == refused.level && $0.owner == refused.owner }
        let rest = candidates[(place.map { $0 + 1 } ?? candidates.endIndex)...]
        guard !rest.isEmpty else { return fail(.keyRefused(refused, by: targets[index].provider.name, lapse), nil) }
        switch search(rest, keys) {
        case .found(let resolution):
            resolutions[index] = resolution
            noteKeys(refused: [])
            decide()
        case .unknown(let path):
            missingKeys = [path]
            fetchKeys { call in
                call.missingKeys = []
                call.tryNextKey(after: refused, lapse, at: index)
            }
        case .stopped(let error, _): fail(error, nil)
        }
    }
}

extension DialectError {
    /// The key that the settings name is not there.
    static func keyMissing(_ candidate: ProviderKeys.Candidate) -> DialectError {
        DialectError(
            .badGateway, code: "provider_key_missing",
            "The provider's key, \(candidate.words), is not there. Whoever runs Reeve has to keep it.")
    }

    static func keyDeleted(_ candidate: ProviderKeys.Candidate, version: Int) -> DialectError {
        DialectError(
            .permission, code: "provider_key_deleted",
            "The key of \(candidate.words), version \(version), was deleted, and no other one is used instead. Keep a "
                + "new one, or forget this one for good.")
    }

    static func keyUnavailable(_ candidate: ProviderKeys.Candidate, _ reason: String) -> DialectError {
        DialectError(
            .unavailable, code: "provider_key_unavailable",
            "The key of \(candidate.words) cannot be used (\(reason)), and no other one is used instead. Whoever runs "
                + "Reeve has to see to it.")
    }

    /// The provider does not take the key that its owner brought.
    static func keyRefused(
        _ resolution: ProviderKeys.Resolution, by provider: String, _ lapse: ProviderKeys.Lapse
    ) -> DialectError {
        let isSpent = lapse == .quota
        return DialectError(
            .permission, code: isSpent ? "provider_key_spent" : "provider_key_refused",
            "The provider `\(provider)` \(isSpent ? "says that nothing is left for" : "refuses") the key of "
                + "\(resolution.words), and no other one is used instead. Whose key it is has to "
                + "\(isSpent ? "see to its account" : "renew it").")
    }
}
