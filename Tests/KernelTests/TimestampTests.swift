import TestSupport
import Testing

@testable import Kernel

struct TimestampTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("1970-01-01T00:00:00.000001Z", 1),
            ("2000-02-29T12:00:00Z", 951_825_600_000_000),
            ("2026-11-20T08:15:30.5Z", 1_795_162_530_500_000), ("2026-11-20t08:15:30.500000z", 1_795_162_530_500_000),
            ("2026-11-20 08:15:30.500000999Z", 1_795_162_530_500_000),
            ("2026-11-20T10:15:30.5+02:00", 1_795_162_530_500_000),
            ("2026-11-19T21:00:30.5-11:15", 1_795_162_530_500_000),
            ("2026-11-20T08:15:30.5-00:00", 1_795_162_530_500_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000), ("2100-02-28T00:00:00Z", 4_107_456_000_000_000),
            ("2400-02-29T00:00:00Z", 13_574_563_200_000_000), ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
            ("1969-12-31T23:00:00-01:00", nil), ("1970-01-01T01:00:00+01:00", 0),
        ] as [(String, Int64?)])
    func reads(_ text: String, _ microseconds: Int64?) {
        #expect(Timestamp(rfc3339: text)?.microseconds == microseconds)
    }

    @Test(
        arguments: [
            "", "2026", "2026-11-20", "2026-11-20T08:15Z", "2026-11-20T08:15:30", "2026-11-20T08:15:30+0200",
            "2026-11-20T08:15:30+2:00", "2026-11-20T08:15:30.Z", "2026-11-20T08:15:30.1234567890Z",
            "2026-11-20T08:15:30,5Z",
            "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-11-31T00:00:00Z", "2026-11-00T00:00:00Z",
            "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T08:60:00Z",
            "2026-11-20T08:15:61Z", "2026-11-20T08:15:30+24:00", "2026-11-20T08:15:30+01:60", "2026-11-20T08:15:30ZZ",
            " 2026-11-20T08:15:30Z", "2026-11-20T08:15:30Z\n", "02026-11-20T08:15:30Z", "-2026-11-20T08:15:30Z",
            "2026-11-20T08:15:3OZ", "２026-11-20T08:15:30Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:60Z", "10000-01-01T00:00:00Z",
        ])
    func refuses(_ text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test func whatIsWrittenReadsTheSameAndSortsTheSame() {
        let entropy = SeededEntropy(seed: 7)
        var moments = (0..<2_000).map { _ in
            Timestamp(microseconds: Int64(entropy.int(in: 0...253_402_300_799_999_999)))
        }
        moments += (0..<2_000).map { Timestamp(microseconds: Int64($0) * 86_400_000_000) }
        for moment in moments {
            #expect(moment.rfc3339.utf8.count == 27)
            #expect(Timestamp(rfc3339: moment.rfc3339) == moment)
        }
        #expect(moments.sorted().map(\.rfc3339) == moments.map(\.rfc3339).sorted())
    }

    @Test func daysFollowEachOtherThroughFourCenturies() {
        var expected: (year: Int64, month: Int64, day: Int64) = (1970, 1, 1)
        for number in 0..<(Int64(146_097) + 1) {
            #expect(Timestamp.civil(fromDays: number) == expected)
            #expect(Timestamp.days(year: expected.year, month: expected.month, day: expected.day) == number)
            if expected.day < Timestamp.daysIn(expected.month, of: expected.year) {
                expected.day += 1
            } else {
                expected = expected.month < 12 ? (expected.year, expected.month + 1, 1) : (expected.year + 1, 1, 1)
            }
        }
    }

    @Test func writesMomentsBeforeTheEpoch() {
        #expect(Timestamp(microseconds: -1).rfc3339 == "1969-12-31T23:59:59.999999Z")
    }

    @Test func theEndsOfTimeDoNotTrap() {
        #expect(Timestamp.distantFuture + .seconds(1) == .distantFuture)
        #expect(Timestamp(microseconds: .min) - .seconds(1) == Timestamp(microseconds: .min))
        #expect(Timestamp(microseconds: 1) - Span(microseconds: .min) == .distantFuture)
        #expect(Timestamp(microseconds: -1) + Span(microseconds: .min) == Timestamp(microseconds: .min))
        #expect(Span.seconds(Int64.max) == Span(microseconds: .max))
        #expect(Span.seconds(-1e300) == Span(microseconds: .min))
        #expect(!Timestamp.distantFuture.rfc3339.isEmpty)
    }

    @Test func spansAreRoundedToTheMicrosecond() {
        #expect(Span.seconds(0.1) == Span(microseconds: 100_000))
        #expect(Span.seconds(1.000_000_4) == Span(microseconds: 1_000_000))
        #expect(Span.hours(24) == .minutes(1_440))
        #expect(Timestamp(microseconds: 5) - Timestamp(microseconds: 7) == Span(microseconds: -2))
    }
}
