import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Cron expressions")
struct CronExpressionTests {
    private func minute(_ text: String) throws -> Int64 {
        try #require(Timestamp(rfc3339: text + ":00Z")).microseconds / 60_000_000
    }

    private func text(_ minute: Int64) -> String {
        String(Timestamp(microseconds: minute * 60_000_000).rfc3339.prefix(16))
    }

    @Test(
        "the next minute of an expression",
        arguments: [
            ("* * * * *", "2026-11-20T08:15", "2026-11-20T08:16"),
            ("*/15 * * * *", "2026-11-20T08:15", "2026-11-20T08:30"),
            ("5-10/2 8 * * *", "2026-11-20T08:06", "2026-11-20T08:07"),
            ("30/10 * * * *", "2026-11-20T08:50", "2026-11-20T09:30"),
            ("0 9 * * mon-fri", "2026-11-20T09:00", "2026-11-23T09:00"),
            ("0 0 * * 0", "2026-11-20T00:00", "2026-11-22T00:00"),
            ("0 0 * * 7", "2026-11-20T00:00", "2026-11-22T00:00"),
            ("0 0 * * fri-sun", "2026-11-21T00:00", "2026-11-22T00:00"),
            ("0 0 * * 5-7", "2026-11-22T00:00", "2026-11-27T00:00"),
            ("0 0 31 * *", "2026-11-20T00:00", "2026-12-31T00:00"),
            ("0 0 29 2 *", "2026-01-01T00:00", "2028-02-29T00:00"),
            ("0 0 29 feb mon", "2026-02-23T00:00", "2027-02-01T00:00"),
            ("0 0 13 * 5", "2026-11-09T00:00", "2026-11-13T00:00"),
            ("0 0 13 * fri", "2026-11-13T00:00", "2026-11-20T00:00"),
            ("0 0 */2 * mon", "2026-11-20T00:00", "2026-11-23T00:00"),
            ("0 0 1,15 JAN,jul *", "2026-11-20T00:00", "2027-01-01T00:00"),
            ("59 23 31 12 *", "2026-12-31T23:59", "2027-12-31T23:59"),
            ("@hourly", "2026-11-20T08:15", "2026-11-20T09:00"),
            ("@daily", "2026-11-20T00:00", "2026-11-21T00:00"), ("@weekly", "2026-11-20T00:00", "2026-11-22T00:00"),
            ("@monthly", "2026-11-20T00:00", "2026-12-01T00:00"), ("@YEARLY", "2026-11-20T00:00", "2027-01-01T00:00"),
            ("  0   9 * *   1 ", "2026-11-20T00:00", "2026-11-23T09:00"),
            ("0 0 29 2 */7", "2026-01-01T00:00", "2032-02-29T00:00"),
        ])
    func next(expression: String, after: String, expected: String) throws {
        let found = try CronExpression(expression).next(afterMinute: minute(after))
        #expect(found.map(text) == expected)
    }

    @Test(
        "what is no expression is refused, and at once",
        arguments: [
            "", "* * * *", "* * * * * *", "60 * * * *",
            "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
            "a * * * *", "1- * * * *", "-1 * * * *", "5-1 * * * *",
            "*/0 * * * *", "*/60 * * * *", "*/-1 * * * *", ", * * * *",
            "1,,2 * * * *", "1/2/3 * * * *", "0 0 1--100000000 * *", "0 0 1-100000000 * *", "*/99999999999 * * * *",
            "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 feb *", "@reboot",
            "@", "0 0 L * *", "0 0 ? * *", "0 0 * jan-foo *",
            "0x1 * * * *", "١ * * * *", "*5 * * * *", "* * * * mon#2", "+1 * * * *",
        ])
    func refusals(expression: String) {
        #expect(throws: Problem.self) { try CronExpression(expression) }
    }

    @Test("an expression's length is bounded")
    func length() {
        let long = (0..<60).map(String.init).joined(separator: ",")
        #expect(throws: Never.self) { try CronExpression("\(long) * * * *") }
        #expect(throws: Problem.self) { try CronExpression("\(long),\(long) * * * *") }
    }

    @Test(
        "expressions in words",
        arguments: [
            ("0 9 * * mon-fri", "Weekdays at 09:00"),
            ("* * * * *", "Every minute"),
            ("*/15 * * * *", "Every 15 minutes"),
            ("@hourly", "Every hour"), ("20 * * * *", "Every hour at minute 20"), ("0 */6 * * *", "Every 6 hours"),
            ("@daily", "Every day at 00:00"), ("0 9,17 * * 6,0", "Weekends at 09:00 and 17:00"),
            ("30 8 * * mon,wed,sun", "Mondays, Wednesdays and Sundays at 08:30"),
            ("@monthly", "Day 1 of every month at 00:00"), ("@yearly", "Day 1 of January at 00:00"),
            ("0 0 1-5,10 * *", "Days 1–5 and 10 of every month at 00:00"),
            ("*/10 9-17 * * 1-5", "Weekdays, every 10 minutes from 09:00 to 17:50"),
            ("0 0 13 * 5", "Day 13 of every month and Fridays at 00:00"),
            ("0 6 * 7,8 *", "Every day in July and August at 06:00"), ("0 6 * 7 1", "Mondays in July at 06:00"),
            ("*/5 * * * 1-5", "Weekdays, every 5 minutes"),
            ("0 0 */10 * mon", "Days 1, 11, 21 and 31 of every month that fall on Mondays at 00:00"),
            ("0 8-18 * * *", "Every hour from 08:00 to 18:00"),
            ("15,45 1-3,5,7,9 * * *", "At minute 15 and 45 of each hour in the hours 1–3, 5, 7 and 9"),
        ])
    func words(expression: String, words: String) throws {
        #expect(try CronExpression(expression).description == words)
    }

    @Test("the next minute is later, matches, and skips none that does")
    func property() throws {
        let entropy = SeededEntropy(seed: 7)
        for _ in 0..<60 {
            guard let expression = try? CronExpression(CronSample.expression(entropy)) else { continue }
            var minute = Int64(entropy.int(in: 0...60_000_000))
            for _ in 0..<5 {
                let next = try #require(expression.next(afterMinute: minute))
                #expect(next > minute && expression.matches(minute: next))
                let skipped = (minute + 1..<next).prefix(3_000).contains { expression.matches(minute: $0) }
                #expect(!skipped, "\(expression.text) after \(minute)")
                minute = next
            }
        }
    }
}

/// Expressions drawn by chance.
enum CronSample {
    static func expression(_ entropy: SeededEntropy) -> String {
        let fields = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)].map { field($0.0, $0.1, entropy) }
        return fields.joined(separator: " ")
    }

    private static func field(_ low: Int, _ high: Int, _ entropy: SeededEntropy) -> String {
        let value = entropy.int(in: low...high)
        return switch entropy.int(in: 0...6) {
        case 0: "\(value)"
        case 1: "\(value)-\(entropy.int(in: value...high))"
        case 2: "*/\(entropy.int(in: 1...max(1, high / 2)))"
        case 3: "\(value),\(entropy.int(in: low...high))"
        default: "*"
        }
    }
}
