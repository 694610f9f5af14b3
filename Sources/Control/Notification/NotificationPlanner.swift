import Kernel
import Telemetry

/// Says what a receiver is told at a moment, from what fires, what it was told before, and the routes (after
/// Alertmanager 0.25, `dispatch` and `notify`): pure, so that each of its rules is a row of a table.
struct NotificationPlanner: Sendable {
    let settings: NotificationSettings
    let receiver: AlertReceiver
    let standings: AlertStandings
    let now: Timestamp

    /// What belongs to one group at this moment.
    private struct Members {
        let route: AlertRoute
        let labels: LabelSet
        var firing: [Alert] = []
        var ended: [Alert] = []
    }

    /// - Parameters:
    ///   - ended: Alerts that ended of late, and all that were told of and have ended.
    func plan(firing: [Alert], ended: [Alert], groups: [NotificationGroup]) -> NotificationPlan {
        if receiver.kind == .alertmanager { return stream(firing: firing, ended: ended, groups: groups) }
        let members = members(firing, ended)
        var plan = NotificationPlan()
        var known: Set<String> = []
        for group in groups {
            known.insert(group.key)
            guard group.claimedUntil.map({ $0 <= now }) ?? true else { continue }
            guard let own = members[group.key] else {
                // Its route is gone, or all that it had is.
                if group.nextAt <= now { plan.removed.append(group) }
                continue
            }
            consider(group, own, &plan)
        }
        var room = max(0, NotificationGroup.groupsMax - groups.count)
        for (key, own) in members.sorted(by: { $0.key < $1.key }) where !known.contains(key) && !own.firing.isEmpty {
            guard room > 0 else {
                plan.crowded += own.firing.count
                continue
            }
            room -= 1
            let group = NotificationGroup(
                receiver: receiver.name, key: key, routeKey: own.route.key, labels: own.labels, createdAt: now,
                nextAt: now + own.route.groupWait)
            plan.added.append(group)
            consider(group, own, &plan)
        }
        return plan
    }

    private func members(_ firing: [Alert], _ ended: [Alert]) -> [String: Members] {
        var members: [String: Members] = [:]
        for (alerts, part) in [(firing, \Members.firing), (ended, \Members.ended)] {
            for alert in alerts {
                for route in settings.routes(for: alert) where route.receiver == receiver.name {
                    let labels = route.grouping.labels(of: alert.labels)
                    members["\(route.key):\(labels)", default: Members(route: route, labels: labels)][keyPath: part]
                        .append(alert)
                }
            }
        }
        return members
    }

    private func consider(_ group: NotificationGroup, _ own: Members, _ plan: inout NotificationPlan) {
        // What began so long ago that it has waited elsewhere waits no more.
        let isOverdue =
            group.flushedAt == nil && group.attempts == 0
            && own.firing.contains { $0.startsAt + own.route.groupWait <= now }
        guard group.nextAt <= now || isOverdue else { return }
        let isMuted = settings.isMuted(own.route, at: now)
        let told = isMuted ? [] : own.firing.filter { !standings.standing(of: $0).isSuppressed }
        let ends = isMuted ? [] : ends(of: group, own)
        let firing = Dictionary(told.map { ($0.labels.fingerprint, $0.id.text) }, uniquingKeysWith: { $1 })
        let resolved = Set(ends.map(\.labels.fingerprint))
        var after = group
        (after.flushedAt, after.nextAt) = (now, now + own.route.groupInterval)
        let reason = AlertNotice.reason(
            after: group.notice, firing: Set(firing.keys), resolved: resolved, sendsResolved: receiver.sendResolved,
            repeatInterval: own.route.repeatInterval, now: now)
        let hasEnds = resolved.contains { group.told[$0] != nil }
        guard let reason, !firing.isEmpty || hasEnds else {
            // A group that has nothing any more is forgotten with the round in which it would have been told.
            if own.firing.isEmpty, !isMuted, !hasEnds { plan.removed.append(group) } else { plan.passed.append(after) }
            return
        }
        let firingNow = Set(own.firing.map(\.labels.fingerprint))
        // What is silenced at this moment was told all the same, and its end is to be told.
        after.told = firing.merging(
            group.told.filter { firingNow.contains($0.key) }, uniquingKeysWith: { new, _ in new })
        (after.resolved, after.noticedAt, after.attempts) = (resolved, now, 0)
        let items = told.map(AlertBundle.Item.init) + (receiver.sendResolved ? ends.map(AlertBundle.Item.init) : [])
        if items.isEmpty {
            plan.passed.append(after)
        } else {
            plan.jobs.append(
                NotificationJob(
                    group: group, reason: reason, items: items, after: after, groupInterval: own.route.groupInterval))
        }
    }

    /// Ends that belong to what is told: of alerts that were told of, and of others since the group was looked at.
    /// A silence that came in between keeps no end from who was told of the beginning.
    private func ends(of group: NotificationGroup, _ own: Members) -> [Alert] {
        let firing = Set(own.firing.map(\.labels.fingerprint))
        var latest: [UInt64: Alert] = [:]
        for alert in own.ended {
            let fingerprint = alert.labels.fingerprint
            guard !firing.contains(fingerprint) else { continue }
            if group.told[fingerprint] == nil {
                guard alert.updatedAt > group.flushedAt ?? group.createdAt,
                    !standings.standing(of: alert).isSuppressed
                else { continue }
            }
            if let other = latest[fingerprint], other.startsAt > alert.startsAt { continue }
            latest[fingerprint] = alert
        }
        return latest.values.sorted { $0.labels < $1.labels }
    }
}

// MARK: - Another Alertmanager

extension NotificationPlanner {
    /// What fires is told again so often, before the other one forgets it (Prometheus, `rules.alert.resend-delay`).
    static let resendInterval = Span.minutes(1)
    /// For so long it counts as firing there (Prometheus: four times the delay).
    static let resendAhead = Span.minutes(4)
    static let streamKey = "stream"

    /// All alerts of the receiver together, at once and as they are.
    private func stream(firing: [Alert], ended: [Alert], groups: [NotificationGroup]) -> NotificationPlan {
        var plan = NotificationPlan()
        var isNew = false
        let group: NotificationGroup
        if let known = groups.first(where: { $0.key == Self.streamKey }) {
            guard known.claimedUntil.map({ $0 <= now }) ?? true else { return plan }
            group = known
        } else {
            isNew = true
            group = NotificationGroup(
                receiver: receiver.name, key: Self.streamKey, routeKey: "", labels: .none, createdAt: now, nextAt: now)
        }
        let told = firing.filter { alert in
            settings.routes(for: alert).contains {
                $0.receiver == receiver.name && !settings.isMuted($0, at: now)
            } && !standings.standing(of: alert).isSuppressed
        }
        let firingNow = Set(firing.map(\.labels.fingerprint))
        var ends: [UInt64: Alert] = [:]
        for alert in ended {
            let fingerprint = alert.labels.fingerprint
            guard group.told[fingerprint] != nil, !firingNow.contains(fingerprint) else { continue }
            if let other = ends[fingerprint], other.startsAt > alert.startsAt { continue }
            ends[fingerprint] = alert
        }
        let isDue = group.nextAt <= now
        guard isDue || group.attempts == 0 else { return plan }
        let fresh = isDue ? told : told.filter { group.told[$0.labels.fingerprint] != $0.id.text }
        var after = group
        after.told = told.reduce(into: group.told.filter { firingNow.contains($0.key) }) {
            $0[$1.labels.fingerprint] = $1.id.text
        }
        (after.flushedAt, after.noticedAt, after.attempts) = (now, now, 0)
        if isDue { after.nextAt = now + Self.resendInterval }
        guard !fresh.isEmpty || !ends.isEmpty else {
            // Made with the first alert, and gone with the last.
            guard !isNew else { return plan }
            if after.told.isEmpty { plan.removed.append(group) } else if isDue { plan.passed.append(after) }
            return plan
        }
        if isNew { plan.added.append(group) }
        let gone = ends.values.sorted { $0.labels < $1.labels }
        let reason: AlertNotice.Reason =
            fresh.contains { group.told[$0.labels.fingerprint] == nil }
            ? .newAlerts : fresh.isEmpty ? .someResolved : .repetition
        plan.jobs.append(
            NotificationJob(
                group: group, reason: group.noticedAt == nil ? .first : reason,
                items: fresh.map(AlertBundle.Item.init) + gone.map(AlertBundle.Item.init), after: after,
                groupInterval: Self.resendInterval))
        return plan
    }
}
