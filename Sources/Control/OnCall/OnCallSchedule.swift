import Kernel

/// Who has the duty when: layers of people who take turns by the clock on the wall, and overrides above them.
///
/// At a moment the override counts that was written last, else of the layers that are on then the one with the highest
/// priority, and among equals the one that was written last.
public struct OnCallSchedule: Sendable, Equatable {
    /// People who take turns.
    struct Layer: Sendable, Equatable {
        /// The shortest turn: an hour of the wall's clock, in microseconds.
        static let lengthMin = WallClock.hour
        static let lengthMax = 366 * WallClock.day

        let name: String
        let people: [String]
        /// The reading at which the first turn begins.
        let starts: Int64
        /// Microseconds of a turn, as the wall's clock has it: a turn of a day may take 23 or 25 hours.
        let length: Int64
        let priority: Int
        /// When it is on; always where there is none.
        let windows: [Window]
        let place: OnCallPlan.Place

        /// Who has the turn at a reading of the clock; nobody before the first turn and outside of its windows.
        func person(at reading: Int64) -> String? {
            guard reading >= starts, windows.isEmpty || windows.contains(where: { $0.contains(reading) }) else {
                return nil
            }
            return people[Int((reading - starts) / length % Int64(people.count))]
        }

        /// The readings within a range at which somebody may come or go.
        func edges(in range: Range<Int64>) -> [Int64] {
            guard range.upperBound > starts else { return [] }
            let first = max(0, (range.lowerBound - starts) / length)
            let turns = stride(from: starts + first * length, to: range.upperBound, by: Int64.Stride(length))
            return turns.filter { range.contains($0) } + windows.flatMap { $0.edges(in: range) }
        }
    }

    /// Times of the day, on some days of the week. One that ends before it begins goes on past midnight.
    struct Window: Sendable, Equatable {
        /// Minutes of the day; the end may be 1,440.
        let from: Int64
        let to: Int64
        /// 0 for Sunday; the days on which it begins.
        let weekdays: Set<Int>

        func contains(_ reading: Int64) -> Bool {
            let (day, inDay) = WallClock.parts(of: reading)
            let minute = inDay / WallClock.minute
            let isToday = weekdays.contains(WallClock.weekday(ofDay: day))
            guard from >= to else { return isToday && (from..<to).contains(minute) }
            return isToday && minute >= from
                || minute < to && weekdays.contains(WallClock.weekday(ofDay: day - 1))
        }

        func edges(in range: Range<Int64>) -> [Int64] {
            let days = WallClock.parts(of: range.lowerBound).day...WallClock.parts(of: range.upperBound).day
            return days.flatMap { day in
                [from, to].map { day * WallClock.day + $0 * WallClock.minute }
            }.filter { range.contains($0) }
        }
    }

    let name: String
    let clock: WallClock
    let layers: [Layer]
    var overrides: [OnCallOverride]
    /// Whether times without anybody are meant to be.
    let allowsGaps: Bool
    let place: OnCallPlan.Place

    /// With overrides that were made while Reeve runs, which stand above those of the file.
    func with(_ made: [OnCallOverride]) -> OnCallSchedule {
        var schedule = self
        schedule.overrides += made.filter { $0.schedule == name }
        return schedule
    }
}

/// Somebody takes the duty for a while, whoever's turn it is.
public struct OnCallOverride: Sendable, Equatable, Identified {
    public static let idPrefix = "cover"

    /// `nil` where it stands in the file.
    var id: Identifier<OnCallOverride>?
    let schedule: String
    let person: String
    let from: Timestamp
    var until: Timestamp
    var reason: String?
    var createdAt: Timestamp?
    var createdBy: String?
    /// Where it stands in the file.
    var place: OnCallPlan.Place?

    func contains(_ time: Timestamp) -> Bool { from <= time && time < until }

    /// What names it to people: its id, or its line of the file.
    var label: String { id?.text ?? place.map { "line \($0.line)" } ?? "" }
}

/// Who has the duty at a moment, and what says so.
public struct OnCallDuty: Sendable, Equatable {
    public enum Reason: Sendable, Equatable {
        /// A layer, by its name.
        case layer(String)
        /// An override, by its id or its line of the file.
        case override(String)
        case nobody
    }

    public let person: String?
    public let reason: Reason

    static let nobody = OnCallDuty(person: nil, reason: .nobody)
}

/// The duty for as long as it stays the same.
public struct OnCallShift: Sendable, Equatable {
    public let from: Timestamp
    public let until: Timestamp
    public let duty: OnCallDuty
}

extension OnCallSchedule {
    /// The longest range that is asked for at once.
    static let rangeMax = Span.hours(24 * 366)
    /// How far is looked for the beginning and the end of a shift.
    static let behind = Span.hours(24 * 8)
    static let ahead = Span.hours(24 * 36)

    func duty(at time: Timestamp) -> OnCallDuty {
        if let cover = overrides.last(where: { $0.contains(time) }) {
            return OnCallDuty(person: cover.person, reason: .override(cover.label))
        }
        let reading = clock.reading(at: time)
        guard let layer = layersOn(at: reading).last, let person = layer.person(at: reading) else { return .nobody }
        return OnCallDuty(person: person, reason: .layer(layer.name))
    }

    /// Those of the highest priority that are on, in the order of the file.
    func layersOn(at reading: Int64) -> [Layer] {
        let on = layers.filter { $0.person(at: reading) != nil }
        guard let top = on.map(\.priority).max() else { return [] }
        return on.filter { $0.priority == top }
    }

    /// The moments within a range at which anything may change, its beginning among them.
    func edges(in range: Range<Timestamp>) -> [Timestamp] {
        // A little wider, as a reading that a change left out belongs to the moment behind it.
        let readings =
            clock.reading(at: range.lowerBound) - WallClock.day..<clock.reading(at: range.upperBound) + WallClock.day
        let turns = layers.flatMap { $0.edges(in: readings) }
        var moments = Set(Set(turns).map { clock.moment(of: $0) })
        moments.formUnion(overrides.flatMap { [$0.from, $0.until] })
        moments.insert(range.lowerBound)
        return moments.filter { range.contains($0) }.sorted()
    }

    /// The shifts of a range without a hole between them: a time without anybody is one too.
    func shifts(in range: Range<Timestamp>) -> [OnCallShift] {
        var shifts: [OnCallShift] = []
        let edges = edges(in: range)
        for (index, edge) in edges.enumerated() {
            let end = index + 1 < edges.count ? edges[index + 1] : range.upperBound
            let duty = duty(at: edge)
            if let last = shifts.last, last.duty == duty {
                shifts[shifts.count - 1] = OnCallShift(from: last.from, until: end, duty: duty)
            } else {
                shifts.append(OnCallShift(from: edge, until: end, duty: duty))
            }
        }
        return shifts
    }

    /// The shift of a moment and the next one; an end that is more than a month off is cut.
    func shift(at time: Timestamp) -> (shift: OnCallShift, next: OnCallShift?) {
        let shifts = shifts(in: time - Self.behind..<time + Self.ahead)
        let index = shifts.firstIndex { $0.until > time } ?? 0
        return (shifts[index], index + 1 < shifts.count ? shifts[index + 1] : nil)
    }
}
