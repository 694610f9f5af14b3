import Kernel

/// The part of a secret's page that says how far its rotation is, who still has the old value, and what can be done.
struct SecretRotationPanel: PageView {
    struct User: PageView {
        let actor: String
        let link: LinkView?
        let used: TimeView
        /// What keeps the old value with them.
        let holds: String

        init(_ user: RotationUser, now: Timestamp) {
            actor = user.actor
            link = .agent(user.agent)
            used = .ago(user.lastUsedAt, now: now)
            let begun =
                switch user.running {
                case 0: "nothing that runs"
                case 1: "1 task, session or lease"
                default: "\(user.running) tasks, sessions or leases"
                }
            holds = user.hasMoved && user.running == 0 ? "has the new one" : begun
        }
    }

    /// A version that can be cut.
    struct Known: PageView {
        let number: String
        let label: String
    }

    /// A step that can be taken now.
    struct Act: PageView {
        let verb: String
        let label: String
        let path: String
        let done: String
        let confirm: String
        let isDanger: Bool
    }

    /// What it waits for, and until when.
    struct Wait: PageView {
        let what: String
        let until: TimeView?

        init(_ wait: SecretRotation.Wait, now: Timestamp) {
            (what, until) = (wait.what, .ago(wait.until, now: now))
        }
    }

    let apiPath: String
    let state: String
    let stateLabel: String
    /// What becomes what; `nil` where nothing is being replaced.
    let versions: String?
    let facts: [FactView]
    let waitsFor: [Wait]
    let hasUsers: Bool
    let users: [User]
    let acts: [Act]
    let canStage: Bool
    /// Whether it still has to be proven, by a word where nothing can be called.
    let canVouch: Bool
    /// Versions that somebody may have, so that others could come to know them.
    let known: [Known]
    let canCut: Bool

    init(_ view: SecretRotationView, _ api: String) {
        let now = view.now
        apiPath = "\(api)/rotation"
        let open = view.kept.flatMap { $0.rotation.state.isOver ? nil : $0 }
        (state, stateLabel) = Self.state(view, open?.rotation.state)
        versions = open.map { "version \($0.rotation.oldVersion) becomes \($0.rotation.newVersion)" }
        facts = Self.facts(view, open)
        waitsFor = view.waitsFor.map { Wait($0, now: now) }
        users = view.users.map { User($0, now: now) }
        hasUsers = !users.isEmpty
        let allowed = open?.rotation.allowed ?? []
        acts = allowed.compactMap { Self.act($0, api) }
        canStage = open == nil && view.secret.version > 0
        canVouch = allowed.contains(.verify)
        let good = open?.rotation.acceptedVersions ?? [view.secret.version].filter { $0 > 0 }
        known = good.sorted().map { number in
            let isGivenOut = number == view.secret.version
            return Known(number: "\(number)", label: isGivenOut ? "\(number), which is given out" : "\(number)")
        }
        canCut = !known.isEmpty
    }

    private static func state(
        _ view: SecretRotationView, _ state: SecretRotation.State?
    ) -> (state: String, label: String) {
        switch state {
        case .staged: ("scheduled", "Staged")
        case .verified: ("ready", "Verified")
        case .overlap: ("running", "Overlap")
        case .draining: ("draining", "Draining")
        case .retired, .returned, nil:
            view.secret.dueAt.map { $0 <= view.now } ?? false ? ("waiting", "Due") : ("none", "None under way")
        }
    }

    private static func facts(_ view: SecretRotationView, _ open: SecretRotationStore.Kept?) -> [FactView] {
        let (now, secret) = (view.now, view.secret)
        var facts = [
            FactView(name: "Value's age", time: secret.writtenAt.map { .span($0, now: now) }),
            FactView(name: "Due", time: .ago(secret.dueAt, now: now)),
        ]
        if let open {
            let hours = open.rotation.overlap.microseconds / Span.hours(1).microseconds
            facts += [
                FactView(name: "Overlap", value: "\(hours) h"),
                FactView(name: "Staged", time: .ago(open.rotation.stagedAt, now: now)),
                FactView(name: "Given out", time: .ago(open.rotation.issuedAt, now: now)),
            ]
        }
        if let probe = secret.probe { facts.append(FactView(name: "Proven by", value: "a call to \(probe.url)")) }
        return facts.filter { $0.value != nil || $0.time != nil }
    }

    private static func act(_ verb: SecretRotation.Verb, _ api: String) -> Act? {
        func act(_ label: String, _ done: String, _ confirm: String, isDanger: Bool = false) -> Act {
            Act(
                verb: verb.rawValue, label: label, path: "\(api)/rotation/\(verb.rawValue)", done: done,
                confirm: confirm, isDanger: isDanger)
        }
        switch verb {
        case .verify: return act("Call with it", "The call went well: it is verified", "Make the call that proves it?")
        case .issue:
            return act("Give it out", "Who asks gets the new value", "Give the new value to all who ask from now on?")
        case .retire: return act("Let the old one go", "The old value is gone", "Let the old value go for good?")
        case .return:
            return act(
                "Go back", "The old value is given out again",
                "Give the old value out again? The new one is destroyed.", isDanger: true)
        case .drain, .compromise: return nil
        }
    }
}
