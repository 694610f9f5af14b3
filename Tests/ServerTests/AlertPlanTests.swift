import Kernel
import Server
import Testing

@Suite("What is wrong with the settings of alerts")
struct AlertPlanTests {
    private static let hook: JSONValue = ["name": "a", "kind": "webhook", "url": "https://example.org/x"]

    /// A section, the setting's path, and what the finding says of it: what was read, and what is allowed.
    static let faults: [(section: JSONValue, path: String, words: [String])] = [
        (
            ["receivers": [["name": "a", "kind": "fax", "url": "https://x.org"]]], "alerts/receivers/0/kind",
            ["\"fax\"", "webhook", "pagerduty"]
        ),
        (
            ["receivers": [["name": "a", "kind": "webhook", "url": "ftp://x.org/s3cret"]]], "alerts/receivers/0/url",
            ["https://", "not one of ftp:"]
        ),
        (
            ["receivers": [["name": "a", "kind": "smtp", "url": "smtp://x.org", "to": "nobody"]]],
            "alerts/receivers/0/to", ["\"nobody\"", "oncall@example.org"]
        ),
        (["receivers": [hook], "route": ["receiver": "b"]], "alerts/route/receiver", ["\"b\""]),
        (
            ["receivers": [hook], "route": ["receiver": "a", "groupWait": "soon"]], "alerts/route/groupWait",
            ["\"soon\"", "30s"]
        ),
        (
            ["times": [["name": "x", "times": ["9-17"]]]], "alerts/times/0/times/0", ["\"9-17\"", "09:00-17:00"]
        ),
        (["receivers": "x"], "alerts/receivers", ["an array is expected", "not string"]),
    ]

    @Test("is told with its file, its path, what was read and what is allowed", arguments: faults.indices)
    func findings(_ index: Int) throws {
        let fault = Self.faults[index]
        var settings = Settings()
        (settings.alerts.document, settings.alerts.file) = (fault.section, "/etc/reeve/reeve.yaml")
        let problem = try #require(#expect(throws: Problem.self) { _ = try AlertPlan(settings) })
        #expect(problem.code == .invalidSettings)
        let findings = problem.members["findings"]?.array ?? []
        #expect(findings.map { $0["path"] } == [.string(fault.path)], "\(problem)")
        #expect(findings.first?["place"] == "/etc/reeve/reeve.yaml")
        let sentence = findings.first?["sentence"]?.string ?? ""
        for word in fault.words { #expect(sentence.contains(word), "\(sentence)") }
        #expect(!problem.detail.contains("s3cret"))
    }
}
