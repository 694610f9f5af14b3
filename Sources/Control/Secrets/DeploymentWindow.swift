import Kernel

/// Tells when nothing may change that agents get, as something is being deployed.
public protocol DeploymentWindow: Sendable {
    /// Why nothing may change now, in words; `nil` where it may.
    func closed(at now: Timestamp, in transaction: Transaction) throws -> String?
}

/// Several: one that is closed closes all.
public struct DeploymentWindows: DeploymentWindow {
    private let parts: [any DeploymentWindow]

    public init(_ parts: [any DeploymentWindow] = []) { self.parts = parts }

    public func closed(at now: Timestamp, in transaction: Transaction) throws -> String? {
        for part in parts {
            if let reason = try part.closed(at: now, in: transaction) { return reason }
        }
        return nil
    }
}

/// Times of the week in which values of secrets may, or may not, be changed, as the settings have them:
/// `deny 0 9 * * mon-fri 8h Europe/Berlin; allow 0 2 * * * 4h UTC`.
///
/// Inside one that denies nothing changes, whatever else allows it. Where some allow, it changes inside those alone.
public struct RotationCalendar: DeploymentWindow {
    public static let windowsMax = 50
    /// Such as a week of freeze.
    public static let lengthMax = Span.hours(24 * 31)

    private struct Window: Sendable {
        let denies: Bool
        let ticks: CronTicks
        let length: Span
        let text: String

        func contains(_ now: Timestamp) -> Bool {
            !ticks.newest(after: now - length, through: now, limit: 1).ticks.isEmpty
        }
    }

    private let windows: [Window]

    /// Never closed.
    public static let always = RotationCalendar(windows: [])

    private init(windows: [Window]) { self.windows = windows }

    /// - Parameter field: What an error calls it.
    public init(_ text: String, field: String = "secrets.rotationWindows") throws {
        let texts = text.split(separator: ";").map { $0.split(whereSeparator: \.isWhitespace).map(String.init) }
            .filter { !$0.isEmpty }
        guard texts.count <= Self.windowsMax else {
            throw Problem.invalid(field, "at most \(Self.windowsMax) windows are allowed")
        }
        windows = try texts.map { try Self.window($0, field) }
    }

    private static func window(_ words: [String], _ field: String) throws -> Window {
        guard words.count >= 4, let kind = words.first, kind == "deny" || kind == "allow",
            let length = span(words[words.count - 2]), let zone = words.last
        else {
            throw Problem.invalid(
                field, "\"\(words.joined(separator: " ").prefix(200))\" is no window",
                hint: "Write allow or deny, the five fields of cron, how long it is (30m, 8h, 2d; at most "
                    + "\(lengthMax.microseconds / Span.hours(24).microseconds)d) and a time zone, such as "
                    + "deny 0 9 * * mon-fri 8h Europe/Berlin.")
        }
        let expression = try CronExpression(words[1..<(words.count - 2)].joined(separator: " "), field: field)
        return Window(
            denies: kind == "deny", ticks: try CronTicks(expression, timeZone: zone, field: field), length: length,
            text: words.joined(separator: " "))
    }

    private static func span(_ text: String) -> Span? {
        guard let unit = text.last, let number = Int64(text.dropLast()), (1...100_000).contains(number) else {
            return nil
        }
        let units: [Character: Int64] = ["m": 1, "h": 60, "d": 24 * 60]
        guard let minutes = units[unit] else { return nil }
        let span = Span.minutes(number * minutes)
        return span <= lengthMax ? span : nil
    }

    /// Why nothing may change now.
    public func closed(at now: Timestamp) -> String? {
        if let window = windows.first(where: { $0.denies && $0.contains(now) }) {
            return "the window \"\(window.text)\" of the settings to end"
        }
        let allowed = windows.filter { !$0.denies }
        guard !allowed.isEmpty, !allowed.contains(where: { $0.contains(now) }) else { return nil }
        return "a window of the settings that allows it: \(allowed.map(\.text).joined(separator: "; "))"
    }

    public func closed(at now: Timestamp, in transaction: Transaction) throws -> String? { closed(at: now) }
}

extension ProblemCode {
    /// Something is being deployed, or the settings' windows are closed.
    public static let deploymentWindow = ProblemCode("deployment_window", 409, "Nothing may change at this time")
}
