import Kernel

/// Who is on call, the next four weeks, and what waits for somebody.
public struct OnCallPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let service: OnCallService

    static let weeks: Int64 = 4
    /// Escalations, overrides and findings shown.
    static let rowsMax = 50
    /// Schedules whose calendar is shown.
    static let schedulesMax = 20

    public init(shell: PageShell, storage: any Storage, service: OnCallService) {
        (self.shell, self.storage, self.service) = (shell, storage, service)
    }

    public var routes: [Route] { [shell.route("/oncall", .operateOrView, "On-call", handler: show)] }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let range = now - OnCallSchedule.behind..<now + OnCallSchedule.ahead
        let (made, standing, open) = try await storage.read { [service] transaction in
            let standing = try service.store.standing(after: now, page: Page(limit: Self.rowsMax), in: transaction)
            let open = try service.store.open(limit: Self.rowsMax, in: transaction).map { escalation in
                let notices = try service.store.notices(
                    of: escalation.id, limit: OnCallRoutes.noticesMax, in: transaction)
                return OnCallEscalationView(escalation, notices, now: now)
            }
            return (try service.overrides(in: range, transaction), Array(standing.prefix(Self.rowsMax)), open)
        }
        let schedules = (service.plan?.schedules ?? []).map { $0.with(made) }
        let duties = schedules.map { OnCallDutyView($0, now: now) }
        let nobody = duties.count { $0.person == nil }
        let findings = service.plan.map { $0.findings(in: now..<now + .hours(24 * 7 * Self.weeks)) } ?? []
        let view = OnCallView(
            subtitle: service.plan == nil
                ? "" : PageText.plural(duties.count, "schedule") + (nobody > 0 ? ", \(nobody) with nobody" : ""),
            isConfigured: service.plan != nil,
            notConfigured: EmptyView(
                headline: "No on-call yet",
                explanation: "Nobody is told of incidents. Write who answers when, and name the file in the settings:",
                command: "oncall:\n  file: oncall.yaml"),
            hasFindings: !findings.isEmpty, findings: findings.prefix(Self.rowsMax).map(\.text), duties: duties,
            hasEscalations: !open.isEmpty, escalations: open,
            calendars: schedules.prefix(Self.schedulesMax).map { OnCallCalendarView($0, now: now) },
            people: (service.plan?.people ?? []).map(\.name), schedules: schedules.map(\.name),
            hasOverrides: !standing.isEmpty, overrides: standing.map { OnCallOverrideView($0, now: now) })
        return try await shell.page(
            "On-call", at: .oncall, template: "oncall", view: view, topics: ["oncall"], request: request)
    }
}

struct OnCallView: PageView {
    let subtitle: String
    let isConfigured: Bool
    let notConfigured: EmptyView
    let hasFindings: Bool
    let findings: [String]
    let duties: [OnCallDutyView]
    let hasEscalations: Bool
    let escalations: [OnCallEscalationView]
    let calendars: [OnCallCalendarView]
    let people: [String]
    let schedules: [String]
    let hasOverrides: Bool
    let overrides: [OnCallOverrideView]
}

/// Who is on now in one schedule.
struct OnCallDutyView: PageView {
    let schedule: String
    let state: String
    let person: String?
    let because: String
    let until: TimeView
    let next: String?

    init(_ schedule: OnCallSchedule, now: Timestamp) {
        let (shift, following) = schedule.shift(at: now)
        self.schedule = schedule.name
        person = shift.duty.person
        state = OnCallPieceView.state(shift.duty)
        because = OnCallPieceView.words(shift.duty)
        until = .ago(shift.until, now: now)
        next = following?.duty.person ?? following.map { _ in "nobody" }
    }
}

/// The next weeks of one schedule, by its own clock.
struct OnCallCalendarView: PageView {
    let id: String
    let schedule: String
    let zone: String
    let weekdays: [String]
    let weeks: [OnCallWeekView]

    init(_ schedule: OnCallSchedule, now: Timestamp) {
        self.schedule = schedule.name
        id = PagePath.encoded(schedule.name)
        zone = schedule.clock.name
        let today = WallClock.parts(of: schedule.clock.shown(at: now)).day
        weekdays = (0..<7).map { WallClock.weekdayText(ofDay: today + $0) }
        let moments = (0...OnCallPages.weeks * 7).map { schedule.clock.moment(of: (today + $0) * WallClock.day) }
        // Wider than what is shown, so that shifts at its ends are whole.
        let shifts = schedule.shifts(
            in: moments[0] - OnCallSchedule.behind..<moments[moments.count - 1] + OnCallSchedule.behind)
        let people = schedule.candidates
        weeks = (0..<OnCallPages.weeks).map { week in
            OnCallWeekView(
                days: (week * 7..<week * 7 + 7).map { index in
                    OnCallDayView(
                        schedule, day: today + index, moments[Int(index)]..<moments[Int(index) + 1], shifts, people,
                        now: now)
                })
        }
    }
}

struct OnCallWeekView: PageView {
    let days: [OnCallDayView]
}

struct OnCallDayView: PageView {
    let date: String
    let label: String
    let isToday: Bool
    let pieces: [OnCallPieceView]

    init(
        _ schedule: OnCallSchedule, day: Int64, _ range: Range<Timestamp>, _ shifts: [OnCallShift],
        _ people: [String], now: Timestamp
    ) {
        date = String(WallClock.text(of: day * WallClock.day).prefix(10))
        label = "\(WallClock.weekdayText(ofDay: day)) \(date.suffix(5))"
        isToday = range.contains(now)
        pieces = shifts.filter { $0.from < range.upperBound && range.lowerBound < $0.until }.map { shift in
            OnCallPieceView(
                schedule, shift, max(shift.from, range.lowerBound)..<min(shift.until, range.upperBound), people,
                now: now)
        }
    }
}

/// A part of a day that one person has.
struct OnCallPieceView: PageView {
    let person: String
    let state: String
    let from: String
    let title: String
    /// Whether somebody else may still take it.
    let isToCome: Bool
    let choices: [OnCallChoiceView]
    /// The shift that it is a part of; `nil` where it is all of it.
    let whole: String?
    let wholeChoices: [OnCallChoiceView]

    /// What is longer may have its end beyond what is looked at.
    private static let wholeMax = OnCallSchedule.behind

    /// - Parameter range: The part of the shift that lies in the day.
    init(
        _ schedule: OnCallSchedule, _ shift: OnCallShift, _ range: Range<Timestamp>, _ people: [String],
        now: Timestamp
    ) {
        let duty = shift.duty
        person = duty.person ?? "nobody"
        state = Self.state(duty)
        let (start, end) = (schedule.clockText(range.lowerBound), schedule.clockText(range.upperBound))
        from = String(start.suffix(5))
        title = "\(start) to \(end), \(Self.words(duty))"
        isToCome = range.upperBound > now
        let others = isToCome ? people.filter { $0 != duty.person } : []
        choices = others.map { OnCallChoiceView(schedule.name, $0, max(now, range.lowerBound)..<range.upperBound) }
        let isPart = shift.from..<shift.until != range && shift.until - shift.from <= Self.wholeMax
        whole =
            isPart && isToCome
            ? "\(schedule.clockText(max(now, shift.from))) to \(schedule.clockText(shift.until))" : nil
        wholeChoices =
            isPart ? others.map { OnCallChoiceView(schedule.name, $0, max(now, shift.from)..<shift.until) } : []
    }

    static func state(_ duty: OnCallDuty) -> String {
        switch duty.reason {
        case .layer: "idle"
        case .override: "in_review"
        case .nobody: "broken"
        }
    }

    static func words(_ duty: OnCallDuty) -> String {
        switch duty.reason {
        case .layer(let name): "by the layer \(name)"
        case .override(let name): "by an override (\(name))"
        case .nobody: "nobody has it"
        }
    }
}

/// Somebody who may take a piece: what a click sends.
struct OnCallChoiceView: PageView {
    let name: String
    let body: String

    init(_ schedule: String, _ name: String, _ range: Range<Timestamp>) {
        self.name = name
        let body: JSONValue = [
            "schedule": .string(schedule), "person": .string(name), "from": range.lowerBound.json,
            "until": range.upperBound.json,
        ]
        self.body = body.text
    }
}

/// What waits for somebody, and who was told.
struct OnCallEscalationView: PageView {
    let id: String
    let title: String
    let incident: String
    let severity: String
    let path: String
    let state: String
    let stateLabel: String
    let started: TimeView
    let next: TimeView?
    let told: String
    let failed: String?
    let acknowledged: String?
    let apiPath: String

    init(_ escalation: Escalation, _ notices: [OnCallNotice], now: Timestamp) {
        id = escalation.id.text
        (title, incident, severity) = (escalation.title, escalation.incident, escalation.severity)
        path = escalation.path.rawValue
        state =
            switch escalation.state {
            case .open: "running"
            case .acknowledged, .ended: "done"
            case .exhausted: "broken"
            }
        stateLabel = escalation.state == .exhausted ? "Nobody answered" : PageText.label(escalation.state.rawValue)
        started = .ago(escalation.startedAt, now: now)
        next = .ago(escalation.nextAt, now: now)
        let sent = notices.filter { $0.state == .sent && $0.action == .page }
            .compactMap { $0.person ?? $0.channel?.shown }
        told = sent.isEmpty ? "nobody yet" : Self.unique(sent).joined(separator: ", ")
        let failures = notices.filter { $0.error != nil && $0.state != .sent }
        failed = failures.last.map { notice in
            "\(notice.person ?? notice.channel?.shown ?? ""): \(PageText.clipped(notice.error ?? "", 120))"
        }
        acknowledged = escalation.acknowledgedBy
        apiPath = "/api/v1/oncall/escalations/\(id)/acknowledge"
    }

    private static func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }
}

/// An override that was made here.
struct OnCallOverrideView: PageView {
    let id: String
    let schedule: String
    let person: String
    let from: TimeView
    let until: TimeView
    let by: String
    let reason: String?
    let apiPath: String

    init(_ override: OnCallOverride, now: Timestamp) {
        id = override.label
        (schedule, person, reason) = (override.schedule, override.person, override.reason)
        (from, until) = (.ago(override.from, now: now), .ago(override.until, now: now))
        by = override.createdBy ?? ""
        apiPath = "/api/v1/oncall/overrides/\(id)"
    }
}

extension OnCallSchedule {
    /// People shown to take a piece of it; others by the form.
    private static let candidatesMax = 12

    fileprivate var candidates: [String] {
        var seen: Set<String> = []
        return Array(layers.flatMap(\.people).filter { seen.insert($0).inserted }.prefix(Self.candidatesMax))
    }
}
