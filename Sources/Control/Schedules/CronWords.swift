import Kernel

/// An expression as a sentence, for people: "Weekdays at 09:00".
extension CronExpression: CustomStringConvertible {
    public var description: String {
        let day = dayWords
        let time = timeWords
        if day == nil, let every = time.every { return every.capitalizedFirst }
        return "\((day ?? "every day").capitalizedFirst)\(time.every == nil ? "" : ",") \(time.every ?? time.at)"
    }

    /// When within a day: either at certain times, or again and again.
    private var timeWords: (at: String, every: String?) {
        let minuteList = Self.values(minutes, 0...59)
        let hourList = Self.values(hours, 0...23)
        let isEveryHour = hourList.count == 24
        let pace = Self.step(minuteList, of: 60)
        if isEveryHour {
            if minuteList.count == 60 { return ("", "every minute") }
            if minuteList == [0] { return ("", "every hour") }
            if let pace { return ("", "every \(pace) minutes") }
            return ("", "every hour at minute \(Self.list(minuteList.map(String.init)))")
        }
        if minuteList == [0], let hours = Self.step(hourList, of: 24) { return ("", "every \(hours) hours") }
        if minuteList.count * hourList.count <= 6 {
            let times = hourList.flatMap { hour in minuteList.map { Self.clock(hour, $0) } }
            return ("at " + Self.list(times), nil)
        }
        let span = Self.hourSpan(hourList, lastMinute: minuteList.last ?? 0)
        if minuteList.count == 60 { return ("", "every minute \(span)") }
        if let pace { return ("", "every \(pace) minutes \(span)") }
        if minuteList == [0] { return ("", "every hour \(span)") }
        return ("", "at minute \(Self.list(minuteList.map(String.init))) of each hour \(span)")
    }

    /// On which days; `nil` for every day.
    private var dayWords: String? {
        let dayList = Self.values(days, 1...31)
        let monthList = Self.values(months, 1...12)
        let weekdayList = Self.values(weekdays, 0...6)
        let monthWords = monthList.count == 12 ? nil : Self.list(monthList.map { Self.monthWords[$0 - 1] })
        let hasDays = dayList.count < 31
        let hasWeekdays = weekdayList.count < 7
        var words: [String] = []
        if hasDays {
            let days = "\(dayList.count == 1 ? "day" : "days") \(Self.list(Self.spans(dayList)))"
            words.append("\(days) of \(monthWords ?? "every month")")
        }
        if hasWeekdays { words.append(Self.weekdayWords(weekdayList)) }
        if !hasDays, let monthWords { words.append(hasWeekdays ? "in \(monthWords)" : "every day in \(monthWords)") }
        guard hasDays, hasWeekdays else { return words.isEmpty ? nil : words.joined(separator: " ") }
        return words.joined(separator: needsBothDays ? " that fall on " : " and ")
    }

    private static let monthWords = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
    private static let weekdayNames = [
        "Sundays", "Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays",
    ]

    private static func weekdayWords(_ list: [Int]) -> String {
        switch list {
        case [1, 2, 3, 4, 5]: "weekdays"
        case [0, 6]: "weekends"
        default:
            // The week begins on Monday, so that Sunday comes last.
            Self.list(list.sorted { ($0 + 6) % 7 < ($1 + 6) % 7 }.map { weekdayNames[$0] })
        }
    }

    private static func values(_ bits: UInt64, _ range: ClosedRange<Int>) -> [Int] {
        range.filter { bits & 1 << UInt64($0) != 0 }
    }

    /// The step of values that begin at zero and go all the way round, such as 0, 15, 30, 45.
    private static func step(_ values: [Int], of whole: Int) -> Int? {
        guard values.count > 1, values[0] == 0, whole % values.count == 0 else { return nil }
        let step = whole / values.count
        return values == Array(stride(from: 0, to: whole, by: step)) ? step : nil
    }

    private static func hourSpan(_ hours: [Int], lastMinute: Int) -> String {
        guard let first = hours.first, let last = hours.last else { return "" }
        if hours == Array(first...last) { return "from \(clock(first, 0)) to \(clock(last, lastMinute))" }
        return "in the hours \(list(spans(hours)))"
    }

    private static func clock(_ hour: Int, _ minute: Int) -> String {
        "\(hour < 10 ? "0" : "")\(hour):\(minute < 10 ? "0" : "")\(minute)"
    }

    /// Runs of three and more as `1–5`.
    private static func spans(_ values: [Int]) -> [String] {
        var runs: [ClosedRange<Int>] = []
        for value in values {
            if let last = runs.last, last.upperBound + 1 == value {
                runs[runs.count - 1] = last.lowerBound...value
            } else {
                runs.append(value...value)
            }
        }
        return runs.flatMap { run -> [String] in
            run.count > 2 ? ["\(run.lowerBound)–\(run.upperBound)"] : run.map(String.init)
        }
    }

    private static func list(_ words: [String]) -> String {
        guard words.count > 1, let last = words.last else { return words.first ?? "" }
        return words.dropLast().joined(separator: ", ") + " and " + last
    }
}

extension String {
    fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
