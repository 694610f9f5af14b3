import Kernel
import TestSupport
import Testing

@testable import Control

/// Budgets, as an operator meets them.
@Suite("Budgets: the page")
struct BudgetPageTests {
    private static func put(_ scope: String, _ json: JSONValue, on fixture: PageFixture) async throws {
        let draft = try BudgetDraft(Fields(json.object ?? JSONObject(), limits: Limits()))
        try await fixture.storage.write { [budgets = fixture.budgets] in
            _ = try budgets.put(
                BudgetScope(stored: scope), draft, ifMatch: nil, by: PageFixture.admin, in: $0)
        }
    }

    /// Books so much as a replica would.
    private static func spend(_ amounts: BudgetAmounts, of scope: String, on fixture: PageFixture) async throws {
        let storage = fixture.storage
        let vault = StoredBudgetVault(storage: storage, events: Events(world: fixture.world))
        let now = fixture.world.now
        let opening = try await vault.open("replica", at: now)
        let terms = try #require(opening.terms.first { $0.scope.description == scope })
        var message = BudgetMessage(replica: opening.replica, now: now, seen: opening.counter)
        message.report = BudgetReport(
            sequence: opening.synced + 1, lines: [.init(key: terms.key(at: now), spent: amounts, returned: .zero)])
        _ = try await vault.exchange(message)
    }

    @Test("A row for each budget: what is settled, left, and when it begins anew")
    func rows() async throws {
        try await PageFixture.with { fixture in
            try await Self.put("org", ["limit": ["usd": 10], "period": "month"], on: fixture)
            try await Self.put(
                "agent:writer", ["limit": ["usd": 2, "calls": 4], "period": "day", "mode": "elastic(20%)"],
                on: fixture)
            try await Self.put("task:task_1", ["limit": ["tokens": 1_000]], on: fixture)
            try await Self.put("key:key_1", ["limit": ["steps": 5], "mode": "observe"], on: fixture)
            try await Self.spend(
                BudgetAmounts(nanoUSD: 1_250_000_000, tokens: 900, calls: 4, steps: 4), of: "agent:writer", on: fixture)
            try await Self.spend(BudgetAmounts(tokens: 850, calls: 1, steps: 1), of: "task:task_1", on: fixture)
            let html = try await fixture.page("/budgets")
            #expect(html.contains("<h1>Budgets</h1><span class=\"sub\">4 budgets</span>"))
            #expect(html.contains("data-budget=\"agent:writer\" data-state=\"failed\""))
            #expect(html.contains("data-budget=\"task:task_1\" data-state=\"held\""))
            #expect(html.contains("data-budget=\"org\" data-state=\"done\""))
            #expect(html.contains("$1.25 of $2.00") && html.contains("4 of 4 calls"))
            #expect(html.contains("850 of 1,000 tokens") && html.contains("85 % used"))
            #expect(html.contains("<rect width=\"63\"") && html.contains("class=\"meter hot\""))
            #expect(html.contains("elastic(20%)") && html.contains("observe"))
            #expect(html.contains("each day") && html.contains("each month") && html.contains("never"))
            #expect(html.contains("href=\"/calls?agent=writer\"") && html.contains("href=\"/agents/writer\""))
            #expect(html.contains("href=\"/calls?task=task_1\"") && html.contains("data-poll"))
            #expect(html.contains("href=\"/budgets\" data-nav=\"budgets\" aria-current=\"page\""))
            #expect(html.contains("data-topics=\"budget call\""))
        }
    }

    @Test("Only those of one kind")
    func kinds() async throws {
        try await PageFixture.with { fixture in
            for scope in ["org", "agent:a", "agent:b", "tag:agent", "project:p"] {
                try await Self.put(scope, ["limit": ["calls": 1]], on: fixture)
            }
            let agents = try await fixture.page("/budgets?kind=agent")
            #expect(agents.contains("agent:a") && agents.contains("agent:b"))
            #expect(!agents.contains("data-budget=\"tag:agent\"") && !agents.contains("data-budget=\"org\""))
            let all = try await fixture.page("/budgets?kind=org")
            #expect(all.contains("data-budget=\"org\"") && !all.contains("data-budget=\"agent:a\""))
            #expect(try await fixture.page("/budgets?kind=session").contains("No budget of this kind"))
            _ = try await fixture.page("/budgets?kind=nothing", status: 422)
            let first = try await fixture.page("/budgets?kind=agent&limit=1")
            #expect(first.contains("href=\"/budgets?kind=agent&amp;after=agent%3Aa\""))
            let next = try await fixture.page("/budgets?kind=agent&limit=1&after=agent%3Aa")
            #expect(next.contains("data-budget=\"agent:b\"") && !next.contains("data-budget=\"agent:a\""))
        }
    }

    @Test("Without budgets the page says how to set one, to viewers too")
    func empty() async throws {
        try await PageFixture.with { fixture in
            let html = try await fixture.page("/budgets", as: PageFixture.viewer)
            #expect(html.contains("No budgets yet") && html.contains("/api/v1/budgets/agent:researcher"))
        }
    }

    @Test("What people name a scope is text and no markup")
    func hostile() async throws {
        try await PageFixture.with { fixture in
            try await Self.put("tag:<script>alert(1)</script>", ["limit": ["calls": 0]], on: fixture)
            let html = try await fixture.page("/budgets")
            #expect(!html.contains("<script>alert") && html.contains("&lt;script&gt;alert"))
        }
    }
}
