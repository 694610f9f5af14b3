import Kernel
import Testing

@testable import Control

@Suite("Windows in which secrets are rotated")
struct RotationCalendarTests {
    private static func time(_ text: String) throws -> Timestamp { try #require(Timestamp(rfc3339: text)) }

    @Test(
        "what denies wins, and where some allow nothing else does",
        arguments: [
            // Monday, in Berlin an hour ahead of UTC.
            ("deny 0 9 * * mon-fri 8h Europe/Berlin", "2026-11-23T07:59:59Z", false),
            ("deny 0 9 * * mon-fri 8h Europe/Berlin", "2026-11-23T08:00:00Z", true),
            ("deny 0 9 * * mon-fri 8h Europe/Berlin", "2026-11-23T15:59:59Z", true),
            ("deny 0 9 * * mon-fri 8h Europe/Berlin", "2026-11-23T16:00:00Z", false),
            ("deny 0 9 * * mon-fri 8h Europe/Berlin", "2026-11-22T12:00:00Z", false),
            ("allow 0 2 * * * 4h UTC", "2026-11-23T01:59:59Z", true),
            ("allow 0 2 * * * 4h UTC", "2026-11-23T02:00:00Z", false),
            ("allow 0 2 * * * 4h UTC; deny @daily 3h UTC", "2026-11-23T02:00:00Z", true),
            ("allow 0 2 * * * 4h UTC; deny @daily 3h UTC", "2026-11-23T03:00:00Z", false),
            // The clocks go forward at 1:00 UTC: the window that begins in the gap begins right behind it.
            ("deny 30 2 * * * 1h Europe/Berlin", "2026-03-29T01:00:00Z", true),
            // They go back: 2:30 comes twice, and the window with it once.
            ("deny 30 2 25 10 * 30m Europe/Berlin", "2026-10-25T00:45:00Z", true),
            ("deny 30 2 25 10 * 30m Europe/Berlin", "2026-10-25T01:45:00Z", false),
            (" ; ", "2026-11-23T02:00:00Z", false),
        ])
    func windows(text: String, at moment: String, isClosed: Bool) throws {
        let calendar = try RotationCalendar(text)
        #expect((calendar.closed(at: try Self.time(moment)) != nil) == isClosed)
    }

    @Test(
        "what is no window",
        arguments: [
            "deny", "maybe @daily 3h UTC", "deny @daily 3h", "deny @daily 3x UTC", "deny @daily 0h UTC",
            "deny 61 * * * * 1h UTC", "deny @daily 3h Nowhere/None", "deny @daily 32d UTC", "deny 0 0 30 2 * 1h UTC",
            Array(repeating: "deny @daily 1h UTC", count: RotationCalendar.windowsMax + 1).joined(separator: ";"),
        ])
    func noWindow(text: String) {
        #expect(throws: Problem.self) { try RotationCalendar(text) }
    }
}
