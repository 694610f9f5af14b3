import Kernel
import Testing

/// Scopes, periods, limits and sums of budgets.
@Suite struct BudgetMoneyTests {
    private func at(_ text: String) throws -> Timestamp { try #require(Timestamp(rfc3339: text)) }

    @Test(
        arguments: [
            ("org", .org, ""), ("project:default", .project, "default"), ("agent:researcher", .agent, "researcher"),
            ("task:task_01", .task, "task_01"), ("session:s 1", .session, "s 1"), ("key:key_9", .key, "key_9"),
            ("tag:team:blue", .tag, "team:blue"),
        ] as [(String, BudgetScope.Kind, String)])
    func scopesAreRead(text: String, kind: BudgetScope.Kind, name: String) throws {
        let scope = try BudgetScope(text, path: "scope", limits: Limits())
        #expect(scope == BudgetScope(kind, name))
        #expect(scope.description == text)
        #expect(BudgetScope(stored: text) == scope)
    }

    @Test(arguments: [
        "", "Org", "org:", "org:x", "agent", "agent:", "agent:a/b", "agent:..", "user:x", ":x", "tag:\n", "agent: ",
    ])
    func otherTextsAreNoScopes(text: String) {
        #expect(throws: Problem.self) { try BudgetScope(text, path: "scope", limits: Limits()) }
    }

    @Test(
        arguments: [
            (.day, "2026-11-20T08:15:30.5Z", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"),
            (.day, "2026-11-20T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"),
            (.day, "2026-11-19T23:59:59.999999Z", "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z"),
            (.month, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            (.month, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ] as [(BudgetPeriod, String, String, String)])
    func windowsAreThoseOfUTC(period: BudgetPeriod, time: String, start: String, end: String) throws {
        let window = period.window(at: try at(time))
        #expect(window.start == (try at(start)))
        #expect(window.end == (try at(end)))
    }

    @Test func aTotalNeverEndsAndWildClocksDoNotTrap() {
        #expect(BudgetPeriod.total.window(at: Timestamp(microseconds: 5)).start.microseconds == 0)
        #expect(BudgetPeriod.total.window(at: Timestamp(microseconds: 5)).end == .distantFuture)
        for period in BudgetPeriod.allCases {
            for time in [Int64.min, -1, 0, .max] {
                let window = period.window(at: Timestamp(microseconds: time))
                #expect(window.start < window.end)
            }
        }
        #expect(BudgetPeriod.day.window(at: Timestamp(microseconds: -1)).start.microseconds == -86_400_000_000)
    }

    @Test func windowNamesAreReadBack() {
        let key = BudgetWindowKey(budgetID: "budget_1", period: .day, start: Timestamp(microseconds: -5))
        #expect(key.text == "budget_1:day:-5")
        #expect(BudgetWindowKey(key.text) == key)
        for text in ["", "a:b", ":day:1", "a:week:1", "a:day:x", "a:day:1:2"] { #expect(BudgetWindowKey(text) == nil) }
    }

    @Test(
        arguments: [
            (#""strict""#, "strict"), (#""observe""#, "observe"), (#""elastic(20%)""#, "elastic(20%)"),
            (#""elastic(5)""#, "elastic(5%)"), (#"{"elastic":1000}"#, "elastic(1000%)"),
        ])
    func modesAreRead(json: String, text: String) throws {
        #expect(try BudgetMode(JSONParser.parse(json), path: "mode").text == text)
    }

    @Test(arguments: [
        #""elastic""#, #""elastic()""#, #""elastic(0%)""#, #""elastic(1001%)""#, #""Strict""#, "1", "{}",
        #"{"elastic":1.5}"#, #"{"elastic":1,"x":2}"#, #""elastic(1%%)""#,
    ])
    func otherModesAreRefused(json: String) {
        #expect(throws: Problem.self) { try BudgetMode(JSONParser.parse(json), path: "mode") }
    }

    private func limit(_ json: String) throws -> BudgetLimit {
        let object = try JSONParser.parse(json).object
        return try BudgetLimit(Fields(object ?? JSONObject(), limits: Limits(), path: "limit"))
    }

    @Test func limitsAreExactToTheNanoDollar() throws {
        #expect(try limit(#"{"usd":0.000000001}"#).nanoUSD == 1)
        #expect(try limit(#"{"usd":"1234567.123456789"}"#).nanoUSD == 1_234_567_123_456_789)
        #expect(try limit(#"{"usd":5,"tokens":7}"#) == BudgetLimit(nanoUSD: 5_000_000_000, tokens: 7))
        #expect(try limit(#"{"calls":0}"#).calls == 0)
        #expect(BudgetLimit(nanoUSD: 1_234_567_123_456_789).json.text == #"{"usd":"1234567.123456789"}"#)
        #expect(BudgetLimit(nanoUSD: 50_000_000, steps: 3).json.text == #"{"usd":0.05,"steps":3}"#)
        #expect(BudgetLimit(nanoUSD: 2_000_000_000).json.text == #"{"usd":2}"#)
    }

    @Test(arguments: [
        "{}", #"{"usd":null}"#, #"{"usd":-1}"#, #"{"usd":0.0000000001}"#, #"{"usd":1e12}"#, #"{"usd":true}"#,
        #"{"tokens":1.5}"#, #"{"calls":-1}"#, #"{"euro":1}"#, #"{"steps":1000000000000001}"#,
    ])
    func otherLimitsAreRefused(json: String) {
        #expect(throws: Problem.self) { try limit(json) }
    }

    @Test func capsFollowTheMode() {
        let limit = BudgetLimit(nanoUSD: 1_001, calls: 10)
        let none = BudgetAmounts.noLimit
        #expect(limit.cap(.strict) == BudgetAmounts(nanoUSD: 1_001, tokens: none, calls: 10, steps: none))
        #expect(
            limit.cap(.elastic(percent: 15)) == BudgetAmounts(nanoUSD: 1_151, tokens: none, calls: 11, steps: none))
        #expect(limit.cap(.observe) == .unlimited)
        #expect(BudgetLimit(nanoUSD: .max - 1).cap(.elastic(percent: 1_000)).nanoUSD == .max - 1)
    }

    @Test func sharesAreReckonedExactly() {
        let limit = BudgetLimit(nanoUSD: 1_000, tokens: 10)
        #expect(limit.fraction(BudgetAmounts(nanoUSD: 250, tokens: 5)) == 0.5)
        #expect(limit.isReached(80, by: BudgetAmounts(nanoUSD: 800)))
        #expect(!limit.isReached(80, by: BudgetAmounts(nanoUSD: 799, tokens: 7, calls: 1_000)))
        #expect(BudgetLimit(nanoUSD: 0).fraction(.zero) == 1)
        #expect(BudgetLimit(nanoUSD: 0).isReached(100, by: .zero))
        let huge = BudgetLimit(tokens: .max - 1)
        #expect(!huge.isReached(100, by: BudgetAmounts(tokens: .max - 2)))
    }

    @Test func sumsSaturate() {
        let most = BudgetAmounts(nanoUSD: .max, tokens: .min)
        #expect((most + BudgetAmounts(nanoUSD: 1, tokens: -1)) == most)
        #expect((most - BudgetAmounts(nanoUSD: -1, tokens: 1)) == most)
        let cap = BudgetAmounts(nanoUSD: 10, tokens: .max, calls: 3, steps: .max)
        let used = BudgetAmounts(nanoUSD: 12, tokens: 5, calls: 1, steps: .max)
        #expect(used.left(of: cap) == BudgetAmounts(nanoUSD: -2, tokens: .max, calls: 2, steps: .max))
        #expect(used.limited(by: cap) == BudgetAmounts(nanoUSD: 12, calls: 1))
        #expect(used.unit(above: cap) == .usd)
        #expect(!used.fits(cap))
        #expect(used.clamped.json(limitedBy: cap).text == #"{"nanoUSD":12,"tokens":null,"calls":1,"steps":null}"#)
    }
}
