import Kernel
import Synchronization
import Telemetry

/// Rules that are there for a while: those of drills.
public protocol TemporaryRules: Sendable {
    /// - Returns: Files of rules, as texts, by what stands for their names.
    func temporaryRules(in transaction: Transaction) throws -> [(name: String, text: String)]
}

/// Lets rules be evaluated, tells the alerts what comes of them, and keeps how far each is, over restarts.
public actor AlertRules {
    /// How often it is looked whether a group's time has come.
    public static let interval = Span.milliseconds(200)
    /// How often what fires is told again (Prometheus' `rules.alert.resend-delay`).
    static let resendAfter: Int64 = 60_000
    /// How often it is written down that somebody looked.
    static let noteEvery = Span.minutes(1)
    /// How often it is looked whether there are other rules for a while.
    static let temporaryInterval = Span.seconds(1)
    /// How often files of rules are looked at for changes.
    static let reloadInterval = Span.seconds(5)
    /// A replica that did not look for so long is not expected to come back.
    static let replicaForgottenAfter = Span.hours(24)

    /// When an alert was told at last, and whether as ended.
    private struct Telling {
        let at: Int64
        let isEnd: Bool
    }

    private let engine: RuleEngine
    private let service: AlertService
    private let sources: RuleBook.Sources
    private let temporary: (any TemporaryRules)?
    private let retentionDays: Int64
    private let storage: any Storage
    private let replica: String
    private let link: @Sendable (String) -> String
    private let world: World
    private let onWarning: @Sendable (String) -> Void
    /// Hears that all that was due was evaluated.
    private let onRound: @Sendable () -> Void
    private let states = AlertRuleStateStore()
    private nonisolated let turn = Turn()
    /// What is written down, by rule.
    private var kept: [String: [LabelSet: AlertRuleState]] = [:]
    private var told: [String: [LabelSet: Telling]] = [:]
    /// What failed at last, so that each fault is told once.
    private var faults: [String: String] = [:]
    private var notedAt: Timestamp?
    private var signature = ""
    private var lookedAt: Timestamp?
    private var temporaryAt: Timestamp?
    /// What was read of files, and what is there for a while.
    private var book = RuleBook()
    /// How often files were taken anew.
    private var bookRevision: Int64 = 0
    private var guests: [(name: String, text: String)] = []
    /// What rules had that are no more, until its end is written down.
    private var leaving: [(rule: String, instances: [AlertInstance])] = []
    /// Whether there are rules for a while, which want samples as often as they look.
    private nonisolated let hurry = Atomic(false)
    private var hasResumed = false
    /// Why alerts of rules were not taken at last.
    private var crowded: String?
    /// What waits for its time on this replica, by rule, with what its expression gave at last.
    private nonisolated let pendingNow = Mutex<[String: [AlertInstance]]>([:])

    /// - Parameters:
    ///   - retentionDays: For which alerts that ended are kept.
    ///   - replica: The data directory's own name: states belong to the series that they come from.
    ///   - link: Where the expression of an alert is shown, by its name.
    public init(
        engine: RuleEngine, service: AlertService, sources: RuleBook.Sources,
        temporary: (any TemporaryRules)? = nil, retentionDays: Int64 = 90, storage: any Storage, replica: String,
        world: World,
        link: @escaping @Sendable (String) -> String = { _ in "" }, onRound: @escaping @Sendable () -> Void = {},
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.engine = engine
        self.service = service
        self.sources = sources
        self.temporary = temporary
        self.retentionDays = retentionDays
        self.storage = storage
        self.replica = replica
        self.world = world
        self.link = link
        self.onWarning = onWarning
        self.onRound = onRound
    }

    private var source: String { "rules:\(replica)" }
    private var now: Int64 { world.now.microseconds / 1_000 }

    // MARK: Beginning

    /// Goes on where the last start ended. What fired then is said to fire still, until it is looked.
    ///
    /// The time for which nobody looked does not count towards a rule's `for` (Prometheus,
    /// `rules.Group.RestoreForState`).
    public func resume(_ book: RuleBook) async throws {
        let (rows, last) = try await storage.read { [states, replica] in
            (try states.all(replica: replica, in: $0), try states.lastRound(replica: replica, in: $0))
        }
        let away = max(0, now - (last ?? world.now).microseconds / 1_000)
        var known: [String: [AlertInstance]] = [:]
        for row in rows {
            kept[row.rule, default: [:]][row.instance.labels] = row
            known[row.rule, default: []].append(row.instance.resumed(at: now, after: away))
        }
        signature = RuleFileChanges.signature(sources.files)
        let guests = try await currentGuests() ?? []
        await load(book, guests, states: known)
        let absent = Set(leaving.map(\.rule))
        let firing = rows.filter { $0.instance.state == .firing && !absent.contains($0.rule) }.map {
            post($0.rule, $0.instance, lasting: 60_000)
        }
        // Those of rules that are no more leave their room to others.
        try await endLeaving()
        let intake = try await storage.write { [service, source] in
            try service.takeWhatFits(firing, origin: .rule, from: source, in: $0)
        }
        tell(intake)
        hasResumed = true
    }

    /// Evaluates these from now on. What rules had that are no more ends with ``endLeaving()``.
    private func load(
        _ book: RuleBook, _ guests: [(name: String, text: String)], states: [String: [AlertInstance]] = [:]
    ) async {
        self.book = book
        self.guests = guests
        hurry.store(!guests.isEmpty, ordering: .relaxed)
        leaving += await engine.load(RuleBook(book.entries + entries(of: guests)), states: states)
    }

    /// Rules that are no more whose alerts are ended with one write.
    private static let leavingMax = 100

    /// Ends what rules had that are no more; where that fails, with the next round.
    private func endLeaving() async throws {
        guard !leaving.isEmpty else { return }
        let gone = Array(leaving.prefix(Self.leavingMax))
        let posts = gone.flatMap(\.instances).filter { $0.state == .firing }.map {
            AlertPost(labels: $0.labels, annotations: $0.annotations, endsAt: world.now)
        }
        try await storage.write { [service, source, states, replica] transaction in
            try service.takeWhatFits(posts, origin: .rule, from: source, in: transaction)
            for (rule, instances) in gone {
                for one in instances { try states.remove(one.labels, of: rule, replica: replica, in: transaction) }
            }
        }
        leaving.removeFirst(gone.count)
        for (rule, _) in gone { (kept[rule], told[rule]) = (nil, nil) }
        show(gone.map { ($0.rule, []) })
    }

    // MARK: Rounds

    /// Evaluates the groups whose time has come. Whoever asks while that is under way has the next turn: what files
    /// and groups have is taken out for a moment, and a second round would find half of it.
    public nonisolated func step() async throws { try await turn.run { try await self.round() } }

    private func round() async throws {
        guard hasResumed else { return }
        await reload()
        if let guests = try await currentGuests(), guests.map(\.name) != self.guests.map(\.name) {
            await load(book, guests)
        }
        var failure: (any Error)?
        // Rules that are there go on, whatever becomes of those that are gone.
        do { try await endLeaving() } catch { failure = error }
        for due in await engine.due() {
            let round = await engine.evaluate(due)
            tell(round)
            // The others' time has come as well.
            do { try await take(round) } catch { failure = error }
        }
        if let failure { throw failure }
        if notedAt.map({ world.now - $0 >= Self.noteEvery || world.now < $0 }) ?? true {
            let now = world.now
            try await storage.write { [states, replica] in
                try states.noteRound(at: now, replica: replica, in: $0)
            }
            notedAt = now
        }
        onRound()
    }

    /// Ends what others told of and do not speak of any more.
    public func expire() async throws {
        guard hasResumed else { return }
        let isAny = try await storage.read { [service, world] in
            try !service.store.expired(at: world.now, limit: 1, in: $0).isEmpty
        }
        guard isAny else { return }
        _ = try await storage.write { [service] in try service.expire(in: $0) }
    }

    func forget() async throws {
        let (time, gone) = (world.now - .hours(24 * retentionDays), world.now - Self.replicaForgottenAfter)
        try await storage.write { [service, states, replica] transaction in
            try service.forget(before: time, in: transaction)
            try states.sweep(before: gone, except: replica, limit: AlertService.forgottenMax, in: transaction)
        }
    }

    /// Says what found no room, once for as long as it is so.
    private func tell(_ intake: AlertIntake) {
        let now = intake.problem?.detail
        if let now, crowded != now { onWarning("alerts of rules were not taken: \(now)") }
        crowded = now
    }

    private func tell(_ round: RuleEngine.Round) {
        var now: [String: String] = [:]
        for (rule, reason) in round.faults {
            let key = "\(round.group);\(rule)"
            now[key] = reason
            if faults[key] != reason { onWarning("the rule \(rule) of \(round.group) fails: \(reason)") }
        }
        for key in faults.keys where key.hasPrefix("\(round.group);") { faults[key] = now[key] }
        for (key, reason) in now { faults[key] = reason }
    }

    /// What one round changes.
    private struct Changes: Sendable {
        var puts: [AlertRuleState] = []
        var removals: [(rule: String, labels: LabelSet)] = []
        var posts: [AlertPost] = []
        var tellings: [(rule: String, labels: LabelSet, isEnd: Bool)] = []

        var isEmpty: Bool { puts.isEmpty && removals.isEmpty && posts.isEmpty }
    }

    /// Writes down what changed and tells what is to be told, in one transaction. Where that fails it is done with the
    /// next round: what counts is what was written.
    private func take(_ round: RuleEngine.Round) async throws {
        let changes = changes(of: round)
        defer { show(round.alerts) }
        guard !changes.isEmpty else { return }
        let intake = try await storage.write { [service, source, states, replica] transaction in
            let intake = try service.takeWhatFits(changes.posts, origin: .rule, from: source, in: transaction)
            for state in changes.puts { try states.put(state, replica: replica, in: transaction) }
            for gone in changes.removals {
                try states.remove(gone.labels, of: gone.rule, replica: replica, in: transaction)
            }
            return intake
        }
        if !changes.posts.isEmpty { tell(intake) }
        for state in changes.puts { kept[state.rule, default: [:]][state.instance.labels] = state }
        for gone in changes.removals {
            kept[gone.rule]?[gone.labels] = nil
            told[gone.rule]?[gone.labels] = nil
        }
        for one in changes.tellings where !intake.isRefused(one.labels) {
            told[one.rule, default: [:]][one.labels] = Telling(at: round.time, isEnd: one.isEnd)
        }
    }

    private func changes(of round: RuleEngine.Round) -> Changes {
        var changes = Changes()
        for (rule, instances) in round.alerts {
            var missing = Set((kept[rule] ?? [:]).keys)
            for instance in instances {
                missing.remove(instance.labels)
                if kept[rule]?[instance.labels]?.isSame(as: instance) != true {
                    changes.puts.append(AlertRuleState(rule: rule, instance: instance))
                }
                guard isToTell(instance, after: told[rule]?[instance.labels], at: round.time) else { continue }
                changes.posts.append(post(rule, instance, lasting: round.interval))
                changes.tellings.append((rule, instance.labels, instance.state == .inactive))
            }
            changes.removals += missing.map { (rule, $0) }
        }
        return changes
    }

    /// What is new, what ended, and what was last told some time ago (Prometheus, `rules.Alert.needsSending`).
    private func isToTell(_ instance: AlertInstance, after last: Telling?, at time: Int64) -> Bool {
        switch instance.state {
        case .pending: return false
        case .inactive: return instance.resolvedAt != nil && last?.isEnd != true
        case .firing:
            guard let last, !last.isEnd else { return true }
            return time - last.at >= Self.resendAfter
        }
    }

    private func post(_ rule: String, _ instance: AlertInstance, lasting interval: Int64) -> AlertPost {
        func moment(_ milliseconds: Int64) -> Timestamp { Timestamp(microseconds: milliseconds * 1_000) }
        let isOver = instance.state == .inactive
        return AlertPost(
            labels: instance.labels, annotations: instance.annotations, value: instance.value,
            activeAt: moment(instance.activeAt), startsAt: moment(instance.firedAt ?? instance.activeAt),
            // Several rounds may fail before it counts as ended (Prometheus, `rules.Group.Eval`: `ValidUntil`).
            endsAt: isOver
                ? moment(instance.resolvedAt ?? now) : moment(now + 4 * max(interval, Self.resendAfter)),
            generatorURL: link(instance.labels["alertname"]))
    }

    private func show(_ alerts: [(rule: String, instances: [AlertInstance])]) {
        pendingNow.withLock { now in
            for (rule, instances) in alerts { now[rule] = instances.filter { $0.state == .pending } }
            now = now.filter { !$0.value.isEmpty }
        }
    }

    // MARK: Other files

    /// What files have now, with another number once they were taken anew.
    public var files: (book: RuleBook, revision: Int64) { (book, bookRevision) }

    /// Takes the files anew where they changed. Files with faults change nothing: they are told, once.
    private func reload() async {
        guard lookedAt.map({ world.now - $0 >= Self.reloadInterval || world.now < $0 }) ?? true else { return }
        lookedAt = world.now
        let now = RuleFileChanges.signature(sources.files)
        guard now != signature else { return }
        signature = now
        do {
            let book = try RuleBook.load(sources)
            await load(book, guests)
            bookRevision += 1
            onWarning("the files of rules changed and were read anew: \(book.entries.count) groups")
        } catch {
            onWarning("the files of rules changed, but not all can be read, so the old rules stay:\n\(error)")
        }
    }

    // MARK: Rules for a while

    /// Whether there are rules for a while, which want samples as often as they look.
    public nonisolated var isHurried: Bool { hurry.load(ordering: .relaxed) }

    /// The rules for a while that there are now; `nil` where it is not time to look.
    private func currentGuests() async throws -> [(name: String, text: String)]? {
        guard let temporary,
            temporaryAt.map({ world.now - $0 >= Self.temporaryInterval || world.now < $0 }) ?? true
        else { return nil }
        let found = try await storage.read { try temporary.temporaryRules(in: $0) }
        temporaryAt = world.now
        return found
    }

    /// Those that cannot be read are left out: the others are not to wait for them.
    private func entries(of guests: [(name: String, text: String)]) -> [RuleBook.Entry] {
        guests.flatMap { name, text -> [RuleBook.Entry] in
            do {
                return try RuleReader.read(text).groups.map { group in
                    RuleBook.Entry(
                        file: name, group: group, interval: group.interval ?? RuleBook.intervalMin, isOfDrill: true)
                }
            } catch {
                onWarning("the rules \(name) cannot be read, and are left out: \(error)")
                return []
            }
        }
    }

    public nonisolated var loops: [Loop] {
        [
            Loop("alerts.rules", every: Self.interval) { try await self.step() },
            Loop("alerts.expiry", every: .seconds(1)) { try await self.expire() },
            Loop("alerts.retention", every: .minutes(10)) { try await self.forget() },
        ]
    }
}

extension AlertRules: PendingAlerts {
    /// What is written down of all replicas, with the numbers of this moment where they are this one's.
    public nonisolated func pending(in transaction: Transaction) throws -> [PendingAlert] {
        let now = pendingNow.withLock { $0 }
        let own = Dictionary(now.values.joined().map { ($0.labels, $0) }, uniquingKeysWith: { first, _ in first })
        return try service.pending(in: transaction).map { alert in
            guard let instance = own[alert.labels] else { return alert }
            var alert = alert
            (alert.annotations, alert.value) = (instance.annotations, instance.value)
            return alert
        }
    }
}

extension AlertInstance {
    /// For so many milliseconds after a start an alert does not end for want of samples, at most.
    static let heldMax: Int64 = 300_000

    /// As it goes on after nobody looked for so many milliseconds. They do not count for what waits for its time; and
    /// for as long again, nothing ends: series may have a gap of that length.
    func resumed(at now: Int64, after away: Int64) -> AlertInstance {
        guard state != .inactive else { return self }
        var resumed = AlertInstance(
            labels: labels, annotations: annotations, value: value, state: state,
            activeAt: state == .pending ? activeAt + away : activeAt)
        (resumed.firedAt, resumed.keptSince) = (firedAt, keptSince)
        resumed.heldUntil = now + min(away, Self.heldMax)
        return resumed
    }
}
