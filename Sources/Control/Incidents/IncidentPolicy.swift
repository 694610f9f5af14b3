import Kernel

/// What an incident does by itself, and when.
public struct IncidentPolicy: Sendable {
    /// For how long its alerts must have stayed quiet before it counts as verified.
    public var quiet = Span.minutes(5)
    /// The same, where an alert came and went again and again.
    public var flappingQuiet = Span.minutes(30)
    /// So long after it was verified it is resolved; `nil` where only a person resolves.
    public var resolveAfter: Span? = .minutes(30)
    /// An alert that comes back within this time opens its incident again.
    public var reopenWithin = Span.minutes(30)
    /// How far back a new incident's timeline looks.
    public var lookBack = Span.minutes(30)
    /// How long after the end a postmortem is due.
    public var postmortemWithin = Span.hours(48)
    /// How long after the end an incident is kept with all that belongs to it, and how long drills are.
    public var kept = Span.hours(24 * 400)
    public var keptDrills = Span.hours(24 * 30)

    /// An alert that began so often within one incident flaps: its comings and goings are counted and told no more.
    public static let flapsFrom: Int64 = 5
    /// An alert that began so lately still flaps.
    public static let flapsWithin = Span.hours(1)
    /// What is tied to an incident by its surroundings joins it while it is no longer quiet than this.
    public static let tiesWithin = Span.minutes(30)

    public init() {}

    /// When something comes by itself; `nil` where nothing does.
    ///
    /// - Parameter lastFlap: When an alert of it that flaps began at last.
    func nextLook(at incident: Incident, lastFlap: Timestamp?) -> Timestamp? {
        guard incident.isOpen, let quietSince = incident.quietSince else { return nil }
        if let verifiedAt = incident.milestones[.verified] { return resolveAfter.map { verifiedAt + $0 } }
        let usual = quietSince + quiet
        guard let lastFlap else { return usual }
        return max(usual, min(quietSince + flappingQuiet, lastFlap + Self.flapsWithin))
    }

    public init(_ settings: Settings.Incidents) {
        quiet = .minutes(Int64(settings.quietMinutes))
        resolveAfter = settings.resolveMinutes > 0 ? .minutes(Int64(settings.resolveMinutes)) : nil
        reopenWithin = .minutes(Int64(settings.reopenMinutes))
        postmortemWithin = .hours(Int64(settings.postmortemHours))
        kept = .hours(24 * Int64(settings.retentionDays))
        keptDrills = .hours(24 * Int64(settings.drillDays))
    }
}

/// Whoever has to be content before an incident counts as verified: the verification steps of runbooks.
public protocol IncidentVerification: Sendable {
    /// What still has to pass, each in a few words; empty where nothing has to.
    func pending(_ incident: Incident, in transaction: Transaction) throws -> [String]
}
