import Foundation
import Kernel
import Telemetry

/// What receivers of each kind are told, in their own words.
enum AlertFormats {
    /// Where PagerDuty takes events.
    static let pagerDutyURL = "https://events.pagerduty.com/v2/enqueue"
    /// Characters of a summary (PagerDuty, Events API v2).
    static let summaryMax = 1_024
    /// Characters of a text that people read.
    static let textMax = 3_000
    /// Alerts that another Alertmanager is told of at a time.
    static let streamMax = 256

    // MARK: Webhook and Alertmanager

    static func webhook(_ bundle: AlertBundle, url: String) -> NotificationRequest {
        NotificationRequest(url: url, json: bundle.json)
    }

    /// `POST /api/v2/alerts` of another Alertmanager: no label is added, and what fires has its end a while ahead.
    static func alertmanager(_ items: ArraySlice<AlertBundle.Item>, url: String, now: Timestamp) -> NotificationRequest
    {
        let alerts = items.map { item -> JSONValue in
            [
                "labels": item.labels.object, "annotations": item.annotations.sortedObject,
                "startsAt": item.startsAt.json, "generatorURL": .string(item.generatorURL),
                "endsAt": (item.endsAt ?? now + NotificationPlanner.resendAhead).json,
            ]
        }
        return NotificationRequest(url: joined(url, "/api/v2/alerts"), json: .array(alerts))
    }

    /// An address with a path behind it, unless it has that already.
    private static func joined(_ url: String, _ path: String) -> String {
        var base = url[...]
        while base.last == "/" { base.removeLast() }
        return base.hasSuffix(path) ? String(base) : base + path
    }

    // MARK: PagerDuty

    /// One event of PagerDuty's for the whole group, known again by its key.
    static func pagerDuty(
        _ bundle: AlertBundle, url: String, routingKey: String, isAcknowledged: Bool = false
    ) -> NotificationRequest {
        let action = bundle.isFiring ? (isAcknowledged ? "acknowledge" : "trigger") : "resolve"
        let isBase = URLComponents(string: url)?.path.split(separator: "/").isEmpty ?? false
        return NotificationRequest(
            url: isBase ? joined(url, "/v2/enqueue") : url,
            json: [
                "routing_key": .string(routingKey), "event_action": .string(action),
                "dedup_key": .string(Digest.sha256(bundle.groupKey)), "client": "Reeve",
                "client_url": .string(bundle.link),
                "payload": [
                    "summary": .string(clipped(bundle.title, summaryMax)), "source": .string(bundle.externalURL),
                    "severity": .string(pagerDutySeverity(bundle)), "class": .string(bundle.commonLabels["alertname"]),
                    "custom_details": [
                        "alerts": .string(clipped(text(bundle), textMax)), "count": .int(Int64(bundle.items.count)),
                    ],
                ],
            ])
    }

    /// The worst of what fires, in PagerDuty's four words; what is none of them is an error, but `none` is no more than
    /// something to know.
    private static func pagerDutySeverity(_ bundle: AlertBundle) -> String {
        let severities = Set(bundle.items.filter(\.isFiring).map { $0.labels["severity"] })
        if let known = ["critical", "error", "warning", "info"].first(where: severities.contains) { return known }
        return severities == ["none"] ? "info" : "error"
    }

    // MARK: Chat, push and mail

    /// An incoming webhook of Slack's, which Mattermost and Rocket.Chat take as well.
    static func slack(_ bundle: AlertBundle, url: String) -> NotificationRequest {
        let colour = bundle.isFiring ? (bundle.commonLabels["severity"] == "critical" ? "danger" : "warning") : "good"
        let title = slackEscaped(bundle.title)
        return NotificationRequest(
            url: url,
            json: [
                "text": .string(title),
                "attachments": [
                    [
                        "color": .string(colour), "title": .string(title), "fallback": .string(title),
                        "title_link": .string(bundle.link),
                        "text": .string(slackEscaped(clipped(text(bundle), textMax))),
                    ]
                ],
            ])
    }

    /// The three signs that would be markup (Slack, "Escaping text"): an alert's text calls nobody.
    private static func slackEscaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }

    /// ntfy's publishing as JSON, where the topic is the address' last part (docs.ntfy.sh/publish).
    static func ntfy(_ bundle: AlertBundle, url: String) -> NotificationRequest {
        var base = url[...]
        while base.last == "/" { base.removeLast() }
        let topic = base.lastIndex(of: "/").map { String(base[base.index(after: $0)...]) } ?? ""
        let priority = bundle.isFiring ? (bundle.commonLabels["severity"] == "critical" ? 5 : 4) : 3
        return NotificationRequest(
            url: String(base.dropLast(topic.count)),
            json: [
                "topic": .string(topic), "title": .string(clipped(bundle.title, 250)),
                "message": .string(clipped(text(bundle), textMax)), "priority": .int(Int64(priority)),
                "tags": [.string(bundle.isFiring ? "rotating_light" : "white_check_mark")],
                "click": .string(bundle.link),
            ])
    }

    /// A mail in plain text. Base64 keeps any line of an alert's within it, and no line of it begins with a dot.
    static func mail(_ bundle: AlertBundle, from: String, to: [String], id: String, now: Timestamp) -> String {
        let body = "\(text(bundle))\n\n\(bundle.link)\n"
        let encoded = Data(body.utf8).base64EncodedString(options: [
            .lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed,
        ])
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = .gmt
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss Z"
        let date = formatter.string(from: Date(timeIntervalSince1970: Double(now.microseconds) / 1e6))
        return [
            "From: Reeve <\(from)>", "To: \(to.joined(separator: ", "))", "Subject: \(headerText(bundle.title))",
            "Date: \(date)", "Message-ID: <\(id).\(now.microseconds)@reeve>", "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64", "",
            encoded, "",
        ].joined(separator: "\r\n")
    }

    /// A header's value as encoded words (RFC 2047), whatever it has in it: no text of an alert's ends a line.
    static func headerText(_ text: String) -> String {
        var words: [String] = []
        var piece: [UInt8] = []
        func finish() {
            guard !piece.isEmpty else { return }
            words.append("=?utf-8?B?\(Data(piece).base64EncodedString())?=")
            piece = []
        }
        for character in clipped(text, 200) {
            let bytes = Array(String(character).utf8.prefix(45))
            // 75 characters are the most of a word (RFC 2047 §2).
            if piece.count + bytes.count > 45 { finish() }
            piece += bytes
        }
        finish()
        return words.joined(separator: "\r\n ")
    }

    /// The alerts of a bundle for people, a line each.
    static func text(_ bundle: AlertBundle) -> String {
        let lines = bundle.items.map(line)
        return (lines + (bundle.truncated > 0 ? ["and \(bundle.truncated) more"] : [])).joined(separator: "\n")
    }

    /// One alert for people.
    static func line(_ item: AlertBundle.Item) -> String {
        let summary = item.annotations["summary"] ?? "\(item.labels)"
        let link = item.annotations["runbook_url"].map { " \($0)" } ?? ""
        return (item.isFiring ? summary : "resolved: \(summary)") + link
    }

    private static func clipped(_ text: String, _ max: Int) -> String {
        text.unicodeScalars.count <= max
            ? text : String(String.UnicodeScalarView(text.unicodeScalars.prefix(max - 1))) + "…"
    }
}
