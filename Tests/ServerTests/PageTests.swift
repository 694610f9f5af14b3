import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Pages")
struct PageTests {
    @Test(arguments: PageFixture.lists)
    func showsAnEmptyStore(_ path: String) async throws {
        try await PageFixture.with { fixture in
            let html = try await fixture.page(path)
            #expect(html.hasPrefix("<!doctype html>"))
            #expect(html.contains("id=\"main\""))
            #expect(html.contains("id=\"live-status\""))
        }
    }

    @Test(arguments: ["/", "/agents", "/tasks", "/queues", "/reviews", "/schedules"])
    func namesTheCommandThatFillsAnEmptyPage(_ path: String) async throws {
        try await PageFixture.with { fixture in
            let html = try await fixture.page(path)
            #expect(html.contains("curl -X POST http://127.0.0.1:7070/api"))
        }
    }

    /// Text of agents and people stays text, wherever it turns up.
    @Test
    func escapesWhatAgentsWrite() async throws {
        try await PageFixture.with { fixture in
            let id = try await fixture.fill()
            let pages =
                PageFixture.lists + [
                    "/tasks/\(id)", "/agents/writer", "/reviews?task=\(id)", "/reviews?task=\(id)&view=content",
                    "/tasks?q=%3Cscript%3E&queue=%22%3E", "/events?type=%3Cscript%3E", "/agents?project=%22%3E%3Cb%3E",
                ]
            for path in pages {
                let html = try await fixture.page(path)
                #expect(!html.contains("<script>"), "\(path)")
                #expect(!html.contains("<img"), "\(path)")
                #expect(!html.contains("onerror=alert(1)>"), "\(path)")
            }
            for path in ["/", "/tasks", "/tasks/\(id)", "/reviews", "/events"] {
                let html = try await fixture.page(path)
                #expect(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;{{title}}{{{title}}}"), "\(path)")
            }
        }
    }

    /// No page needs what the content security policy forbids.
    @Test
    func needsNoInlineScriptOrStyle() async throws {
        try await PageFixture.with { fixture in
            let id = try await fixture.fill("plain")
            for path in PageFixture.lists + ["/tasks/\(id)", "/agents/writer"] {
                let html = try await fixture.page(path)
                #expect(!html.contains(" style=") && !html.contains("<style"), "\(path)")
                #expect(!html.contains("<script>") && !html.contains(" onclick="), "\(path)")
                #expect(!html.contains("hx-on") && !html.contains("javascript:"), "\(path)")
            }
        }
    }

    @Test
    func tellsATasksStory() async throws {
        try await PageFixture.with { fixture in
            let id = try await fixture.fill("A brief")
            let html = try await fixture.page("/tasks/\(id)")
            #expect(html.contains("data-task-id=\"\(id)\" data-state=\"in_review\""))
            #expect(html.contains("Why isn’t this running?"))
            #expect(html.contains("data-step=\"in_review\" data-state=\"in_review\""))
            #expect(html.contains("data-step=\"changes\""))
            #expect(html.contains("revision 2") && html.contains("revision 1"))
            #expect(html.contains("data-attempt=\"2\""))
            #expect(html.contains("Waited for by"))
            #expect(html.contains("data-action=\"cancel\"") && html.contains("data-action=\"hold\""))
        }
    }

    @Test
    func showsWhatChangedSinceTheReviewerLooked() async throws {
        try await PageFixture.with { fixture in
            let id = try await fixture.fill("same line")
            let html = try await fixture.page("/reviews?task=\(id)")
            #expect(html.contains("<tr data-op=\"-\">") && html.contains("<tr data-op=\"+\">"))
            #expect(html.contains("round 1") && html.contains("round 2"))
            #expect(html.contains("data-action=\"approve\"") && html.contains("data-action=\"changes\""))
            let whole = try await fixture.page("/reviews?task=\(id)&view=content")
            #expect(!whole.contains("<tr data-op=") && whole.contains("same line\nround 2"))
        }
    }

    @Test
    func offersAViewerNothingToChange() async throws {
        try await PageFixture.with { fixture in
            let id = try await fixture.fill("A brief")
            for path in ["/", "/tasks", "/tasks/\(id)", "/queues", "/reviews", "/agents/writer"] {
                let html = try await fixture.page(path, as: PageFixture.viewer)
                #expect(!html.contains("data-post=") && !html.contains("data-verdict="), "\(path)")
                #expect(!html.contains("href=\"/keys\"") && !html.contains("href=\"/audit\""), "\(path)")
            }
        }
    }

    @Test
    func keepsTheFilterInTheAddress() async throws {
        try await PageFixture.with { fixture in
            let id = try await fixture.fill("A brief")
            let html = try await fixture.page("/tasks?status=in_review&queue=briefs")
            #expect(html.contains("id=\"row-\(id)\""))
            #expect(html.contains("href=\"/tasks?status=ready&amp;queue=briefs\""))
            let none = try await fixture.page("/tasks?status=done")
            #expect(!none.contains("data-row") && none.contains("No task is like that"))
        }
    }

    @Test
    func pagesThroughManyTasks() async throws {
        try await PageFixture.with { fixture in
            for number in 1...5 {
                try await fixture.send(
                    "/api/v1/tasks", ["project": "demo", "queue": "q", "type": "t", "title": .string("No. \(number)")])
            }
            let first = try await fixture.page("/tasks?limit=3")
            // Tasks of one millisecond have no order among themselves.
            let shown = (1...5).filter { first.contains("No. \($0)") }
            #expect(shown.count == 3)
            #expect(first.contains("rel=\"next\""))
        }
    }

    @Test
    func showsARefusalAsAPage() async throws {
        try await PageFixture.with { fixture in
            let html = try await fixture.page("/tasks/nowhere", status: 404)
            #expect(html.contains("There is no task &quot;nowhere&quot;."))
            _ = try await fixture.page("/tasks?status=nonsense", status: 422)
        }
    }

    @Test
    func tellsWhatHappenedMeanwhile() async throws {
        try await PageFixture.with { fixture in
            _ = try await fixture.fill("A brief")
            let reply = try await fixture.call(.get, "/ui/digest?after=1&since=1795161600000")
            guard case .bytes(let bytes) = reply.body else { return }
            #expect(String(decoding: bytes, as: UTF8.self).contains("<b>2</b> handed in for review"))
        }
    }

    @Test
    func greetsStrangersWithTheSameFrame() {
        let reply = AccessPages.login(message: "This is <b>not</b> a key.", status: 401)
        guard case .bytes(let bytes) = reply.body else { return }
        let html = String(decoding: bytes, as: UTF8.self)
        #expect(reply.status == 401)
        #expect(html.contains("This is &lt;b&gt;not&lt;/b&gt; a key."))
        #expect(html.contains("name=\"key\"") && !html.contains("id=\"side\""))
    }
}

@Suite("Page templates")
struct PageTemplateTests {
    @Test
    func refusesATemplateWithRawValues() {
        #expect(throws: PageLibrary.Fault.self) { try PageLibrary([PageTemplate("a", "{{{name}}}")]) }
        #expect(throws: PageLibrary.Fault.self) { try PageLibrary([PageTemplate("a", "{{& name}}")]) }
        #expect(throws: PageLibrary.Fault.self) { try PageLibrary([PageTemplate("a", ""), PageTemplate("a", "")]) }
    }

    private struct Inner: PageView {
        let name: String?
    }

    private struct Outer: PageView {
        let name = "outer"
        let inner = [Inner(name: nil), Inner(name: "inner")]
    }

    @Test
    func hidesAnOuterValueBehindAnAbsentOne() throws {
        let library = try PageLibrary([PageTemplate("a", "{{#inner}}[{{#name}}{{name}}{{/name}}]{{/inner}}")])
        #expect(library.render("a", Outer()) == "[][inner]")
    }

    @Test(arguments: [
        (0, "0s"), (59, "59s"), (60, "1m"), (61, "1m 1s"), (600, "10m"), (3_661, "1h 1m"), (90_000, "1d 1h"),
    ])
    func writesSpans(_ seconds: Int64, _ text: String) {
        #expect(PageText.span(.seconds(seconds)) == text)
    }

    @Test
    func writesSizesNumbersAndMoney() {
        #expect(PageText.bytes(999) == "999 B")
        #expect(PageText.bytes(14_230) == "14.2 KB")
        #expect(PageText.bytes(212_000_000) == "212 MB")
        #expect(PageText.count(-1_234_567) == "-1,234,567")
        #expect(PageText.dollars(nano: 1_500_000_000) == "$1.50")
        #expect(PageText.dollars(nano: 1_230_000) == "$0.0012")
        #expect(PageText.label("in_review") == "In review")
        #expect(PagePath.agent("a b/c?") == "/agents/a%20b%2Fc%3F")
    }
}

@Suite("Line difference")
struct LineDiffTests {
    private func words(_ old: String, _ new: String) -> [String]? {
        LineDiff(from: old, to: new)?.lines.map { "\($0.kind.rawValue)\($0.old ?? 0),\($0.new ?? 0) \($0.text)" }
    }

    @Test
    func findsChanges() {
        #expect(words("a\nb\nc\n", "a\nx\nc\n") == [" 1,1 a", "-2,0 b", "+0,2 x", " 3,3 c"])
        #expect(words("", "a") == ["+0,1 a"])
        #expect(words("a\n", "a\n")?.count == 1)
    }

    @Test
    func leavesOutWhatIsFarFromAChange() {
        let old = (1...40).map(String.init).joined(separator: "\n")
        let new = (1...40).map { $0 == 20 ? "changed" : String($0) }.joined(separator: "\n")
        let lines = words(old, new)
        #expect(lines?.first == "…0,0 16 unchanged lines")
        #expect(lines?.last == "…0,0 17 unchanged lines")
        #expect(lines?.count == 10)
    }

    @Test
    func givesUpOnTextsThatAreTooLargeAndTooDifferent() {
        let old = (0..<LineDiff.linesMax).map { "a\($0)" }.joined(separator: "\n")
        #expect(LineDiff(from: old, to: "b\n") == nil)
        #expect(LineDiff(from: old, to: old + "\nb") != nil)
    }
}
