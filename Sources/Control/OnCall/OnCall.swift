import Kernel

/// Who answers when something breaks, and whom to ask next: people, their schedules, the chains of escalation, and
/// which chain is for what. Made from a file; see ``OnCallReader``.
public struct OnCallPlan: Sendable, Equatable {
    /// Where a part stands in its file, both counted from 1.
    public struct Place: Sendable, Equatable {
        let line: Int
        let column: Int
    }

    /// What a fault needs: the failure of the machinery or of what an agent does.
    public enum Path: String, Sendable, CaseIterable {
        case infrastructure, behavioural
    }

    /// Somebody, and how they are told.
    public struct Person: Sendable, Equatable {
        let name: String
        /// Names of receivers of the settings.
        let receivers: [String]
        let email: String?
        /// The address of a topic.
        let ntfy: String?
        let place: Place

        /// All ways to them, each of which is used.
        var channels: [OnCallChannel] {
            receivers.map { .receiver($0) } + (email.map { [.email($0)] } ?? []) + (ntfy.map { [.ntfy($0)] } ?? [])
        }
    }

    /// Whom a step of a chain tells.
    public enum Target: Sendable, Equatable {
        /// Whoever is on call then.
        case schedule(String)
        case person(String)
        /// A receiver of the settings, whoever reads it.
        case receiver(String)

        var kind: String {
            switch self {
            case .schedule: "schedule"
            case .person: "person"
            case .receiver: "receiver"
            }
        }

        var name: String {
            switch self {
            case .schedule(let name), .person(let name), .receiver(let name): name
            }
        }
    }

    public enum Step: Sendable, Equatable {
        case notify(Target)
        case wait(Span)
    }

    /// Whom to tell, one after the other, until somebody acknowledges.
    public struct Chain: Sendable, Equatable {
        let name: String
        let steps: [Step]
        /// How many more times the steps are gone through.
        let repeats: Int
        let place: Place
    }

    /// Which chain a path takes, by severity.
    public struct Rule: Sendable, Equatable {
        var bySeverity: [String: String] = [:]
        var fallback: String?

        var chains: [String] { bySeverity.values.sorted() + (fallback.map { [$0] } ?? []) }
    }

    var people: [Person] = []
    var schedules: [OnCallSchedule] = []
    var chains: [Chain] = []
    var paths: [Path: Rule] = [:]
    /// The chain of what no path names.
    var fallback: String?

    /// What has to be in the settings for people to be told.
    var needs: [Need] = []

    /// Something that the file counts on, and where it does.
    struct Need: Sendable, Equatable {
        let channel: OnCallChannel
        let place: Place
    }

    public init() {}

    func person(_ name: String) -> Person? { people.first { $0.name == name } }
    func schedule(_ name: String) -> OnCallSchedule? { schedules.first { $0.name == name } }

    /// The chain for a path and a severity; `nil` where nobody is to be told.
    func chain(for path: Path, severity: String) -> Chain? {
        let rule = paths[path]
        guard let name = rule?.bySeverity[severity] ?? rule?.fallback ?? fallback else { return nil }
        return chains.first { $0.name == name }
    }

    /// The ways to whom a target means at a moment, with the person; none where nobody is on call.
    ///
    /// - Parameter overrides: Those that were made while Reeve runs.
    func recipients(
        of target: Target, at time: Timestamp, overrides: [OnCallOverride] = []
    ) -> [(person: String?, channel: OnCallChannel)] {
        switch target {
        case .receiver(let name): return [(nil, .receiver(name))]
        case .person(let name): return (person(name)?.channels ?? []).map { (name, $0) }
        case .schedule(let name):
            guard let schedule = schedule(name)?.with(overrides), let on = schedule.duty(at: time).person else {
                return []
            }
            return recipients(of: .person(on), at: time)
        }
    }
}

/// One way to somebody.
public enum OnCallChannel: Sendable, Hashable {
    /// A receiver of the settings, by its name.
    case receiver(String)
    /// An address of mail.
    case email(String)
    /// The address of an ntfy topic.
    case ntfy(String)

    var kind: String {
        switch self {
        case .receiver: "receiver"
        case .email: "email"
        case .ntfy: "ntfy"
        }
    }

    var address: String {
        switch self {
        case .receiver(let address), .email(let address), .ntfy(let address): address
        }
    }

    /// The address for people and logs: a topic is a password to whoever knows it.
    var shown: String {
        if case .ntfy(let address) = self { ReceiverURL.host(address) } else { address }
    }

    init?(kind: String, address: String) {
        switch kind {
        case "receiver": self = .receiver(address)
        case "email": self = .email(address)
        case "ntfy": self = .ntfy(address)
        default: return nil
        }
    }
}

extension OnCallPlan {
    /// Steps as they are kept with an escalation.
    static func json(_ steps: [Step]) -> JSONValue {
        .array(
            steps.map { step in
                switch step {
                case .notify(let target): ["notify": .string(target.kind), "name": .string(target.name)]
                case .wait(let span): ["waitSeconds": .double(span.seconds)]
                }
            })
    }

    static func steps(_ json: JSONValue) -> [Step] {
        (json.array ?? []).compactMap { step in
            if let seconds = step["waitSeconds"]?.double { return .wait(Span.seconds(seconds)) }
            guard let name = step["name"]?.string else { return nil }
            switch step["notify"]?.string {
            case "schedule": return .notify(.schedule(name))
            case "person": return .notify(.person(name))
            case "receiver": return .notify(.receiver(name))
            default: return nil
            }
        }
    }
}
