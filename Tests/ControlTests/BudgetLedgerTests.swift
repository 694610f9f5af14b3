import Kernel
import Testing

@testable import Control

/// The rules of lending, without a store.
@Suite struct BudgetLedgerTests {
    private static let now = Timestamp(microseconds: 1_795_161_600_000_000)

    private func entry(
        _ name: String = "a", usd: Int64? = 100, calls: Int64? = nil, mode: BudgetMode = .strict
    ) -> BudgetLedger.Entry {
        let terms = BudgetTerms(
            id: name, scope: BudgetScope(.agent, name), limit: BudgetLimit(nanoUSD: usd, calls: calls), period: .day,
            mode: mode, revision: 1)
        return BudgetLedger.Entry(key: terms.key(at: Self.now), terms: terms)
    }

    private func ledger(_ entries: BudgetLedger.Entry...) -> BudgetLedger {
        BudgetLedger(now: Self.now, entries: Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0) }))
    }

    private func wish(
        _ entries: BudgetLedger.Entry..., usd: Int64, block: Int64 = 0, isLast: Bool = false
    ) -> BudgetWish {
        BudgetWish(
            want: BudgetAmounts(nanoUSD: usd, calls: 1),
            lines: entries.map { .init(key: $0.key, block: BudgetAmounts(nanoUSD: block)) }, isLast: isLast)
    }

    @Test(
        arguments: [
            // settled, mine, others', block, want, and what is lent
            (0, 0, 0, 0, 10, 10), (0, 0, 0, 15, 10, 25), (0, 0, 0, 40, 10, 25), (0, 0, 0, 0, 100, 100),
            (90, 0, 0, 50, 10, 10), (0, 60, 30, 5, 10, 10), (20, 20, 20, 50, 4, 10),
        ] as [(Int64, Int64, Int64, Int64, Int64, Int64)])
    func lends(settled: Int64, mine: Int64, others: Int64, block: Int64, want: Int64, lent: Int64) {
        var entry = entry()
        entry.settled.nanoUSD = settled
        entry.granted.nanoUSD = mine
        entry.lentElsewhere.nanoUSD = others
        var ledger = ledger(entry)
        #expect(ledger.lend(wish(entry, usd: want, block: block)) == .granted)
        #expect(ledger.entries[entry.key]?.granted.nanoUSD == mine + lent)
    }

    @Test func whatWasSetApartIsDrawnFirstAndStaysForOthersWhereOneIsRefused() {
        var entry = entry()
        entry.granted.nanoUSD = 30
        entry.lentElsewhere.nanoUSD = 60
        var ledger = ledger(entry)
        ledger.setApart(BudgetAmounts(nanoUSD: 30), of: entry.key)
        // 30 of its own and 10 that are left: 45 is too much, 40 is not.
        #expect(ledger.lend(wish(entry, usd: 45, isLast: true)) == .inFlight(entry.key))
        #expect(ledger.lend(wish(entry, usd: 35, isLast: true)) == .granted)
        #expect(ledger.entries[entry.key]?.granted.nanoUSD == 35)
        #expect(ledger.lend(wish(entry, usd: 6, isLast: true)) == .inFlight(entry.key))
        #expect(ledger.lend(wish(entry, usd: 5, isLast: true)) == .granted)
        #expect(ledger.entries[entry.key]?.granted.nanoUSD == 40)
    }

    @Test func allOrNothingInAllWindows() {
        let (wide, narrow) = (entry("wide"), entry("narrow", usd: 5))
        var ledger = ledger(wide, narrow)
        #expect(ledger.lend(wish(wide, narrow, usd: 6)) == .exceeded(narrow.key, .usd))
        #expect(ledger.entries[wide.key] == wide)
        #expect(ledger.lend(wish(wide, narrow, usd: 5)) == .granted)
        #expect(ledger.entries[wide.key]?.granted.nanoUSD == 5)
        #expect(ledger.entries[narrow.key]?.granted.nanoUSD == 5)
    }

    @Test func refusalsTellWhatIsSpentFromWhatIsHeld() {
        var entry = entry(calls: 3)
        entry.settled = BudgetAmounts(nanoUSD: 40, calls: 2)
        entry.lentElsewhere = BudgetAmounts(nanoUSD: 50)
        var ledger = ledger(entry)
        #expect(ledger.lend(wish(entry, usd: 61)) == .exceeded(entry.key, .usd))
        #expect(ledger.entries[entry.key]?.isRefused == true)
        #expect(ledger.lend(wish(entry, usd: 60)) == .inFlight(entry.key))
        #expect(ledger.entries[entry.key]?.wantedUntil == Self.now + .seconds(1))
        // Behind one that waits nothing passes, but for a last try.
        #expect(ledger.lend(wish(entry, usd: 1)) == .inFlight(entry.key))
        #expect(ledger.lend(wish(entry, usd: 1, isLast: true)) == .granted)
        #expect(ledger.lend(wish(entry, usd: 1, isLast: true)) == .inFlight(entry.key))
    }

    @Test func aCallLargerThanTheCapUsesNothingUp() {
        let entry = entry(usd: 10)
        var ledger = ledger(entry)
        #expect(ledger.lend(wish(entry, usd: 11)) == .exceeded(entry.key, .usd))
        #expect(ledger.entries[entry.key]?.isRefused == false)
        #expect(ledger.passMarks().isEmpty)
    }

    @Test func whoIsWantedGetsNoMoreThanItLacks() {
        var entry = entry()
        entry.wantedUntil = Self.now + .milliseconds(1)
        var ledger = ledger(entry)
        #expect(ledger.lend(wish(entry, usd: 10, block: 10)) == .granted)
        ledger.lendAhead(.init(key: entry.key, block: BudgetAmounts(nanoUSD: 10)))
        #expect(ledger.entries[entry.key]?.granted.nanoUSD == 10)
    }

    @Test func modes() {
        let (elastic, observe) = (entry("e", mode: .elastic(percent: 20)), entry("o", mode: .observe))
        var ledger = ledger(elastic, observe)
        #expect(ledger.lend(wish(elastic, observe, usd: 121)) == .exceeded(elastic.key, .usd))
        #expect(ledger.lend(wish(elastic, observe, usd: 120)) == .granted)
        #expect(ledger.entries[elastic.key]?.granted.nanoUSD == 120)
        #expect(ledger.entries[observe.key]?.granted == .zero)
        #expect(ledger.lend(wish(observe, usd: 10_000)) == .granted)
    }

    @Test func bookingKeepsOthersCovered() {
        var entry = entry()
        entry.granted.nanoUSD = 20
        var ledger = ledger(entry)
        // One call cost 18 where it held 10, and the other one still holds 10.
        ledger.book(
            .init(key: entry.key, spent: BudgetAmounts(nanoUSD: 18), returned: .zero, breaches: 1))
        ledger.publish(BudgetAmounts(nanoUSD: 10), of: entry.key)
        let booked = ledger.entries[entry.key]
        #expect(booked?.settled.nanoUSD == 18)
        #expect(booked?.granted.nanoUSD == 10)
        #expect(booked?.breaches == 1)
        // Where nothing is left it is booked all the same, and nothing more is lent.
        ledger.book(.init(key: entry.key, spent: BudgetAmounts(nanoUSD: 95), returned: .zero, breaches: 1))
        #expect(ledger.entries[entry.key]?.settled.nanoUSD == 113)
        #expect(ledger.lend(wish(entry, usd: 0)) == .exceeded(entry.key, .usd))
    }

    @Test func marksArePassedOnceEach() {
        let entry = entry()
        var ledger = ledger(entry)
        ledger.book(.init(key: entry.key, spent: BudgetAmounts(nanoUSD: 79), returned: .zero))
        #expect(ledger.passMarks().isEmpty)
        ledger.book(.init(key: entry.key, spent: BudgetAmounts(nanoUSD: 1), returned: .zero))
        #expect(ledger.passMarks().map(\.mark) == [.softLimit])
        ledger.book(.init(key: entry.key, spent: BudgetAmounts(nanoUSD: 20), returned: .zero))
        #expect(ledger.passMarks().map(\.mark) == [.exhausted])
        ledger.book(.init(key: entry.key, spent: BudgetAmounts(nanoUSD: 20), returned: .zero))
        #expect(ledger.passMarks().isEmpty)
    }
}
