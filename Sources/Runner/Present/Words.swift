import Kernel

/// Values of the interface as words for people.
public enum Words {
    /// `3 s`, `12 m`, `5 h`, `2 d`: the age of a time, in its largest unit.
    public static func age(_ value: JSONValue?, at now: Timestamp) -> String {
        guard let time = value?.string.flatMap(Timestamp.init(rfc3339:)) else { return "-" }
        let seconds = (now - time).seconds
        return seconds < -1 ? "in \(span(-seconds))" : span(max(0, seconds))
    }

    public static func span(_ seconds: Double) -> String {
        switch seconds {
        case ..<100: "\(Int(seconds)) s"
        case ..<6_000: "\(Int(seconds / 60)) m"
        case ..<172_800: "\(Int(seconds / 3_600)) h"
        default: "\(Int(min(seconds, 1e12) / 86_400)) d"
        }
    }

    /// `HH:MM:SS` of a time, in UTC as everything in the interface.
    public static func clock(_ value: JSONValue?) -> String {
        guard let text = value?.string, text.count > 19 else { return "-" }
        return String(text.dropFirst(11).prefix(8))
    }

    /// `2026-11-20 08:15:30` of a time.
    public static func moment(_ value: JSONValue?) -> String {
        guard let text = value?.string, text.count > 19 else { return "-" }
        return text.prefix(10) + " " + text.dropFirst(11).prefix(8)
    }

    /// `512 B`, `3.4 MB` (powers of 1000).
    public static func bytes(_ value: JSONValue?) -> String {
        guard let count = value?.double else { return "-" }
        if count < 1_000 { return "\(Int(count)) B" }
        let units = ["kB", "MB", "GB", "TB"]
        var scaled = count / 1_000
        var unit = 0
        while scaled >= 1_000, unit < units.count - 1 {
            scaled /= 1_000
            unit += 1
        }
        let digits = scaled < 10 ? "\((scaled * 10).rounded() / 10)" : "\(Int(scaled.rounded()))"
        return "\(digits) \(units[unit])"
    }

    /// `$1.23` of nano-dollars, `$0.00123` of less than ten cents: down to the last digit that says something.
    public static func dollars(_ value: JSONValue?) -> String {
        guard let nano = value?.int else { return "-" }
        let (whole, rest) = nano.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
        var decimals = String(rest)
        decimals = String(repeating: "0", count: 9 - decimals.count) + decimals
        while decimals.count > 2, decimals.hasSuffix("0") { decimals.removeLast() }
        if nano.magnitude >= 100_000_000 { decimals = String(decimals.prefix(4)) }
        return "\(nano < 0 ? "-" : "")$\(whole).\(decimals)"
    }

    public static func percent(_ value: JSONValue?) -> String {
        guard let percent = value?.double else { return "-" }
        return "\((percent * 10).rounded() / 10) %"
    }

    /// A scalar as it is, `-` for nothing, compact JSON for the rest.
    public static func plain(_ value: JSONValue?) -> String {
        switch value {
        case nil, .null?: "-"
        case .string(let text)?: text
        // A whole number of seconds or bytes reads better without its fraction.
        case .double(let number)?: Int64(exactly: number).map { String($0) } ?? "\(number)"
        case .array(let values)?: values.isEmpty ? "-" : values.map { plain($0) }.joined(separator: ", ")
        case .object(let object)?:
            object.isEmpty ? "-" : object.members.map { "\($0.name)=\(plain($0.value))" }.joined(separator: " ")
        case let other?: other.text
        }
    }

    /// Every member of an object on a line of its own; what is absent or empty is left out.
    public static func details(_ value: JSONValue, at now: Timestamp) -> String {
        guard let object = value.object else { return value.prettyText }
        let shown = object.members.filter { plain($0.value) != "-" }
        let rows = shown.map { member -> [String] in
            let isTime = member.name.hasSuffix("At") || member.name == "at" || member.name.hasSuffix("Since")
            if isTime, member.value.string.flatMap(Timestamp.init(rfc3339:)) != nil {
                return [member.name, "\(moment(member.value)) (\(age(member.value, at: now)))"]
            }
            return [member.name, plain(member.value)]
        }
        return TextTable(["", ""], rows).lines().dropFirst().joined(separator: "\n")
    }
}
