/// When each group of rules is evaluated: at moments of its own, an interval apart, so that not all come at once
/// (Prometheus, `rules.Group.EvalTimestamp`).
struct RuleSchedule: Sendable {
    /// A group whose time has come.
    struct Due: Sendable, Equatable {
        let number: Int
        /// The moment that it is evaluated for, in milliseconds.
        let time: Int64
        /// Moments before it that nobody came to.
        let missed: Int64
    }

    private struct Slot {
        let key: String
        let interval: Int64
        let offset: Int64
        var next: Int64
    }

    private var slots: [Slot]

    /// - Parameters:
    ///   - groups: What tells a group apart, and milliseconds.
    ///   - now: Milliseconds since 1970: none is due before.
    ///   - before: The schedule so far: what it had of a group with the same interval, it goes on with.
    init(_ groups: [(key: String, interval: Int64)], from now: Int64, goingOnFrom before: RuleSchedule? = nil) {
        let known = Dictionary((before?.slots ?? []).map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        slots = groups.map { key, interval in
            if let slot = known[key], slot.interval == interval { return slot }
            let offset = Int64(Self.hash(key) % UInt64(interval))
            let last = Self.last(before: now, interval, offset)
            return Slot(key: key, interval: interval, offset: offset, next: last < now ? last + interval : last)
        }
    }

    /// FNV-1a of 64 bits: the same in every process.
    private static func hash(_ text: String) -> UInt64 {
        text.utf8.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }

    /// The last moment of a group that is not behind `now`.
    private static func last(before now: Int64, _ interval: Int64, _ offset: Int64) -> Int64 {
        (now - offset) / interval * interval + offset
    }

    /// Those whose time has come, in the order of their times; each is given once.
    mutating func due(at now: Int64) -> [Due] {
        var found: [Due] = []
        for number in slots.indices {
            var slot = slots[number]
            // A clock that was set back must not keep a group waiting for the old time.
            if slot.next > now + slot.interval {
                slot.next = Self.last(before: now, slot.interval, slot.offset) + slot.interval
            }
            if slot.next <= now {
                let time = Self.last(before: now, slot.interval, slot.offset)
                found.append(Due(number: number, time: time, missed: (time - slot.next) / slot.interval))
                slot.next = time + slot.interval
            }
            slots[number] = slot
        }
        return found.sorted { ($0.time, $0.number) < ($1.time, $1.number) }
    }
}
