import Foundation
import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Receivers and routes in the settings")
struct NotificationSettingsTests {
    private static func read(_ text: String) throws -> NotificationSettings {
        try NotificationSettings(try JSONParser.parse(text))
    }

    private static let hook = #"{"name":"a","kind":"webhook","url":"https://example.org/x"}"#

    /// What is wrong, and the path that the refusal names.
    static let faults: [(String, String)] = [
        (#"{"receivers":[{"name":"a","kind":"fax","url":"https://x.org"}]}"#, "alerts/receivers/0/kind"),
        (#"{"receivers":[{"name":"a","kind":"webhook"}]}"#, "alerts/receivers/0/url"),
        (#"{"receivers":[{"name":"a","kind":"webhook","url":"ftp://x.org"}]}"#, "alerts/receivers/0/url"),
        (#"{"receivers":[{"name":"a","kind":"webhook","url":"https://u:p@x.org"}]}"#, "alerts/receivers/0/url"),
        (
            #"{"receivers":[{"name":"a","kind":"webhook","url":"https://x.org","secret":"s"}]}"#,
            "alerts/receivers/0/secret"
        ),
        (
            #"{"receivers":[{"name":"a","kind":"webhook","url":"https://x.org","urlFile":"f"}]}"#,
            "alerts/receivers/0/url"
        ),
        (
            #"{"receivers":[{"name":"a","kind":"webhook","urlFile":"u","secretFile":"f","secretEnvironment":"E"}]}"#,
            "alerts/receivers/0/secretEnvironment"
        ),
        (
            #"{"receivers":[{"name":"a","kind":"webhook","url":"https://x.org","headers":{"Host":"b"}}]}"#,
            "alerts/receivers/0/headers/Host"
        ),
        (
            #"{"receivers":[{"name":"a","kind":"webhook","url":"https://x.org","headers":{"X-A":"b\r\nC: d"}}]}"#,
            "alerts/receivers/0/headers/X-A"
        ),
        (#"{"receivers":[{"name":"a","kind":"ntfy","url":"https://ntfy.sh"}]}"#, "alerts/receivers/0/url"),
        (
            #"{"receivers":[{"name":"a","kind":"smtp","url":"smtp://x.org","to":"a@b\r\nRCPT TO:<c@d>"}]}"#,
            "alerts/receivers/0/to"
        ),
        (
            #"{"receivers":[{"name":"a","kind":"smtp","url":"smtp://x.org","username":"u"}]}"#,
            "alerts/receivers/0/username"
        ),
        (
            #"{"receivers":[{"name":"a","kind":"slack","urlFile":"https://hooks.slack.com/services/T0/B0/s3cret"}]}"#,
            "alerts/receivers/0/urlFile"
        ),
        ("{\"receivers\":[\(hook),\(hook)]}", "alerts/receivers/1/name"),
        ("{\"receivers\":[\(hook)],\"route\":{\"receiver\":\"b\"}}", "alerts/route/receiver"),
        ("{\"receivers\":[\(hook)],\"route\":{\"receiver\":\"a\",\"wait\":1}}", "alerts/route/wait"),
        ("{\"receivers\":[\(hook)],\"route\":{\"receiver\":\"a\",\"groupWait\":\"soon\"}}", "alerts/route/groupWait"),
        (
            "{\"receivers\":[\(hook)],\"route\":{\"receiver\":\"a\",\"groupInterval\":\"0s\"}}",
            "alerts/route/groupInterval"
        ),
        ("{\"receivers\":[\(hook)],\"route\":{\"receiver\":\"a\",\"matchers\":[\"a=b\"]}}", "alerts/route/matchers"),
        (
            "{\"receivers\":[\(hook)],\"route\":{\"receiver\":\"a\",\"routes\":[{\"matchers\":[\"a=~(\"]}]}}",
            "alerts/route/routes/0/matchers/0"
        ),
        (
            "{\"receivers\":[\(hook)],\"route\":{\"receiver\":\"a\",\"routes\":[{\"muteTimes\":[\"x\"]}]}}",
            "alerts/route/routes/0/muteTimes"
        ),
        (#"{"inhibit":[{"source":["a=b"]}]}"#, "alerts/inhibit/0/target"),
        (#"{"times":[{"name":"x","times":["9-17"]}]}"#, "alerts/times/0/times/0"),
        (#"{"times":[{"name":"x","location":"Nowhere/Here"}]}"#, "alerts/times/0/location"),
        ("{\"receivers\":[\(hook)],\"watchdog\":{\"interval\":\"1m\"}}", "alerts/watchdog/receiver"),
    ]

    @Test("the reference has each member of the section, and no other")
    func reference() {
        let listed = SettingsSections.all.first { $0.name == Settings.Alerts.section }?.members.map(\.name) ?? []
        #expect(listed.sorted() == AlertSettings.members.map { "alerts.\($0)" }.sorted())
    }

    @Test("what is wrong is refused with its path", arguments: faults)
    func refused(_ text: String, _ path: String) throws {
        #expect {
            try Self.read(text)
        } throws: {
            let problem = $0 as? Problem
            return problem?.field == path && problem?.detail.contains("s3cret") == false
        }
    }

    @Test("routes take what they do not say from those above, and defaults are Alertmanager's")
    func inherited() throws {
        let settings = try Self.read(
            """
            {"receivers":[\(Self.hook),{"name":"b","kind":"slack","urlFile":"slack.url"}],
             "route":{"receiver":"a","repeatInterval":"1h","routes":[
               {"matchers":["team=x"],"receiver":"b","groupWait":5,"continue":true},
               {"matchers":["team=x"]}]}}
            """)
        let root = try #require(settings.route)
        #expect(root.grouping == .by(["alertname", "agent_type", "provider"]))
        #expect((root.groupWait, root.groupInterval) == (.seconds(30), .minutes(5)))
        let taken = (settings.route?.matching(LabelSet([("team", "x")])) ?? [])
        #expect(taken.map(\.receiver) == ["b", "a"])
        #expect(taken.map(\.groupWait) == [.seconds(5), .seconds(30)])
        #expect(taken.map(\.repeatInterval) == [.hours(1), .hours(1)])
        #expect(Set(root.all.map(\.key)).count == 3)
    }

    @Test("one receiver needs no route, and none means that nobody is told")
    func small() throws {
        #expect(try Self.read("{\"receivers\":[\(Self.hook)]}").route?.receiver == "a")
        #expect(try Self.read(#"{"rules":["x.yml"]}"#).route == nil)
        #expect(try Self.read("null").receivers.isEmpty)
    }

    @Test("secrets are read when they are needed, and words about them have none in them")
    func secrets() async throws {
        try await TestStorage.withFolder { folder in
            let path = folder + "/key"
            #expect(throws: ReceiverSecret.Missing.self) { try ReceiverSecret.file("key").read(besides: path) }
            for (text, expected) in [("s3cret\n", "s3cret"), ("  \n", nil), ("two\nlines", nil)] {
                try text.write(toFile: path, atomically: true, encoding: .utf8)
                let read = try? ReceiverSecret.file("key").read(besides: folder + "/reeve.yaml")
                #expect(read == expected)
            }
            try "two\nlines".write(toFile: path, atomically: true, encoding: .utf8)
            let words = #expect(throws: ReceiverSecret.Missing.self) {
                try ReceiverSecret.file("key").read(besides: path)
            }
            #expect(words?.reason.contains("two") == false)
        }
    }
}

@Suite("Addresses that receivers may not have")
struct NetworkAddressTests {
    private static func bytes(_ text: String) throws -> [UInt8] {
        if text.contains(":") {
            var address = in6_addr()
            try #require(inet_pton(AF_INET6, text, &address) == 1)
            return withUnsafeBytes(of: address) { Array($0) }
        }
        var address = in_addr()
        try #require(inet_pton(AF_INET, text, &address) == 1)
        return withUnsafeBytes(of: address) { Array($0) }
    }

    @Test(
        "what is not public",
        arguments: [
            "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.8.8.8", "169.254.169.254",
            "172.16.0.1", "172.31.255.255", "192.168.1.1", "192.0.2.1", "198.18.0.1", "203.0.113.9", "224.0.0.1",
            "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1", "64:ff9b:1::1", "::127.0.0.1", "2001::1", "2001:db8::1", "2002:7f00:1::", "fc00::1",
            "fd12::1", "fe80::1", "fec0::1", "ff02::1", "fd00:ec2::254",
        ])
    func isPrivate(_ text: String) throws { #expect(NetworkAddress.isPrivate(try Self.bytes(text))) }

    @Test(
        "what is",
        arguments: [
            "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1",
            "198.20.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
        ])
    func isPublic(_ text: String) throws { #expect(!NetworkAddress.isPrivate(try Self.bytes(text))) }

    @Test("what has no length of an address is taken as not public")
    func otherLengths() {
        #expect(NetworkAddress.isPrivate([]))
        #expect(NetworkAddress.isPrivate([8, 8, 8]))
    }
}

@Suite("What receivers are told")
struct AlertFormatTests {
    private static let at = Timestamp(microseconds: 1_614_265_330_000_000)

    private static func bundle(_ items: [AlertBundle.Item]) -> AlertBundle {
        AlertBundle(
            receiver: "team", groupKey: "{}:{alertname=\"A\"}", groupLabels: LabelSet([("alertname", "A")]),
            externalURL: "https://reeve.example.org", items: items)
    }

    private static func item(_ name: String, summary: String = "it is so", endsAt: Timestamp? = nil) -> AlertBundle.Item
    {
        AlertBundle.Item(
            labels: LabelSet([("alertname", "A"), ("agent", name), ("severity", "critical")]),
            annotations: ["summary": summary], startsAt: at, endsAt: endsAt)
    }

    @Test("a signature is the one that the specification has as its example")
    func signature() throws {
        // standard-webhooks/spec, "Signature scheme"; the same vector stands in the libraries' tests.
        let headers = try #require(
            WebhookSignature.headers(
                id: "msg_p5jXN8AQM9LWM0D4loKWxJek", body: Array(#"{"test": 2432232314}"#.utf8),
                secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", now: Self.at))
        #expect(headers.map(\.name) == ["webhook-id", "webhook-timestamp", "webhook-signature"])
        #expect(headers[2].value == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        #expect(WebhookSignature.headers(id: "x", body: [], secret: "short", now: Self.at) == nil)
    }

    @Test("a webhook has the members of version 4, with the end of year 1 while it fires")
    func webhook() {
        let json = Self.bundle([Self.item("b", endsAt: Self.at), Self.item("a")]).json
        #expect(json["version"] == "4")
        #expect(json["status"] == "firing")
        #expect(json["groupKey"] == "{}:{alertname=\"A\"}")
        #expect(json["truncatedAlerts"] == 0)
        #expect(json["commonLabels"]?.object?.names == ["alertname", "severity"])
        let alerts = json["alerts"]?.array ?? []
        #expect(alerts.map { $0["status"] } == ["firing", "resolved"])
        #expect(alerts.first?["endsAt"] == "0001-01-01T00:00:00Z")
        // The one that amtool shows for these labels (Prometheus, `model.LabelSet.Fingerprint`).
        #expect(alerts.first?["fingerprint"]?.string?.utf8.count == 16)
        let many = Self.bundle((0..<AlertBundle.alertsMax + 2).map { Self.item("\($0)") })
        #expect(many.json["truncatedAlerts"] == 2)
    }

    @Test("no text of an alert's ends a header of a mail, or a line of its data")
    func mail() {
        var item = Self.item("x\r\nBcc: eve@example.org", summary: "one\r\n.\r\nRSET ü")
        item = AlertBundle.Item(
            labels: item.labels.setting("alertname", "A\r\nBcc: eve@example.org"), annotations: item.annotations,
            startsAt: item.startsAt)
        let text = AlertFormats.mail(
            Self.bundle([item]), from: "reeve@example.org", to: ["oncall@example.org"], id: "msg_1", now: Self.at)
        let lines = text.components(separatedBy: "\r\n")
        #expect(!lines.contains { $0.hasPrefix("Bcc") || $0.hasPrefix(".") })
        #expect(lines.allSatisfy { $0.utf8.count <= 100 && !$0.contains("\n") && !$0.contains("\r") })
        #expect(lines.contains("Date: Thu, 25 Feb 2021 15:02:10 +0000"))
    }

    @Test(
        "PagerDuty's four severities",
        arguments: [
            (["critical", "info"], "critical"), (["warning"], "warning"), (["info", "none"], "info"),
            (["none"], "info"), (["page"], "error"), ([""], "error"), (["none", "page"], "error"),
        ] as [([String], String)])
    func pagerDutySeverity(_ severities: [String], _ expected: String) throws {
        let items = severities.map { severity in
            AlertBundle.Item(
                labels: LabelSet([("alertname", "A"), ("severity", severity)]), annotations: [:], startsAt: Self.at)
        }
        let request = AlertFormats.pagerDuty(Self.bundle(items), url: "https://x.org", routingKey: "k")
        #expect(try JSONParser.parse(request.body)["payload"]?["severity"] == .string(expected))
    }

    @Test("an alert's text is no markup in a chat, and calls nobody")
    func chat() {
        let request = AlertFormats.slack(Self.bundle([Self.item("a", summary: "<!channel> & more")]), url: "https://x")
        let text = String(decoding: request.body, as: UTF8.self)
        #expect(!text.contains("<!channel>"))
        #expect(text.contains("&lt;!channel&gt; &amp; more"))
    }

    @Test("PagerDuty's events of one group have one key, and a resolve where nothing fires")
    func pagerDuty() throws {
        let firing = AlertFormats.pagerDuty(Self.bundle([Self.item("a")]), url: "http://x", routingKey: "r")
        let over = AlertFormats.pagerDuty(
            Self.bundle([Self.item("a", endsAt: Self.at)]), url: "https://x/v2/enqueue", routingKey: "r")
        let (one, two) = (try JSONParser.parse(firing.body), try JSONParser.parse(over.body))
        #expect(firing.url == "http://x/v2/enqueue")
        #expect(over.url == "https://x/v2/enqueue")
        #expect(one["dedup_key"] == two["dedup_key"])
        #expect([one["event_action"], two["event_action"]] == ["trigger", "resolve"])
        #expect(one["payload"]?["severity"] == "critical")
    }

    @Test("ntfy's topic is the last part of its address")
    func ntfy() throws {
        let request = AlertFormats.ntfy(Self.bundle([Self.item("a")]), url: "https://ntfy.sh/my-topic/")
        #expect(request.url == "https://ntfy.sh/")
        #expect(try JSONParser.parse(request.body)["topic"] == "my-topic")
    }

    @Test(
        "what a status means",
        arguments: [
            (200, NotificationOutcome.State.delivered), (202, .delivered), (302, .refused), (400, .refused),
            (404, .refused), (408, .failed), (429, .failed), (500, .failed), (503, .failed),
        ])
    func status(_ status: Int, _ state: NotificationOutcome.State) {
        #expect(NotificationOutcome.http(status, "").state == state)
    }
}
