import Foundation
import Kernel
import Telemetry

/// Says a bundle to a receiver in the receiver's own words, with its secrets read at this moment.
struct ReceiverVoice: Sendable {
    let receiver: AlertReceiver
    let settingsFile: String
    let externalURL: String
    let courier: any NotificationCourier
    let world: World

    /// What is said at one time.
    struct Saying: Sendable {
        let groupKey: String
        let groupLabels: LabelSet
        let items: [AlertBundle.Item]
        let messageID: String
        /// Whether somebody sees to it, where the receiver can be told of that.
        var isAcknowledged = false
    }

    func say(_ saying: Saying) async -> NotificationOutcome {
        var secrets: [String] = []
        do throws(ReceiverSecret.Missing) {
            let url = try read(receiver.urlSecret, &secrets) ?? receiver.url ?? ""
            if let fault = ReceiverURL.fault(url, kind: receiver.kind) {
                return NotificationOutcome(.refused, "the address is not acceptable: \(fault)")
            }
            let outcome = try await say(saying, url: url, &secrets)
            return cleaned(outcome, of: secrets, url: url)
        } catch {
            return NotificationOutcome(.failed, error.reason)
        }
    }

    private var caFile: String? { receiver.caFile.map { ReceiverSecret.path($0, besides: settingsFile) } }

    private func read(_ secret: ReceiverSecret?, _ secrets: inout [String]) throws(ReceiverSecret.Missing) -> String? {
        guard let secret else { return nil }
        let text = try secret.read(besides: settingsFile)
        secrets.append(text)
        return text
    }

    private func say(
        _ saying: Saying, url: String, _ secrets: inout [String]
    ) async throws(ReceiverSecret.Missing) -> NotificationOutcome {
        if receiver.kind == .alertmanager { return try await stream(saying.items, url: url, &secrets) }
        let bundle = AlertBundle(
            receiver: receiver.name, groupKey: saying.groupKey, groupLabels: saying.groupLabels,
            externalURL: externalURL, items: saying.items)
        if let mail = receiver.mail { return try await send(mail, bundle, saying, url: url, &secrets) }
        var request =
            switch receiver.kind {
            case .slack: AlertFormats.slack(bundle, url: url)
            case .ntfy: AlertFormats.ntfy(bundle, url: url)
            case .pagerduty:
                AlertFormats.pagerDuty(
                    bundle, url: url, routingKey: try read(receiver.routingKey, &secrets) ?? "",
                    isAcknowledged: saying.isAcknowledged)
            default: AlertFormats.webhook(bundle, url: url)
            }
        if let secret = try read(receiver.signing, &secrets) {
            guard
                let headers = WebhookSignature.headers(
                    id: saying.messageID, body: request.body, secret: secret, now: world.now)
            else { return NotificationOutcome(.failed, "the signing secret is no base64 of 24 to 64 bytes") }
            request.headers += headers
        }
        return await courier.send(try dressed(request, &secrets))
    }

    private func dressed(
        _ request: NotificationRequest, _ secrets: inout [String]
    ) throws(ReceiverSecret.Missing) -> NotificationRequest {
        var request = request
        request.headers += receiver.headers
        if let bearer = try read(receiver.bearer, &secrets) {
            request.headers.append(("authorization", "Bearer \(bearer)"))
        }
        request.allowPrivate = receiver.allowPrivate
        (request.timeout, request.caFile) = (receiver.timeout, caFile)
        return request
    }

    /// Another Alertmanager takes many alerts, some at a time; the first that it does not take ends the attempt.
    private func stream(
        _ items: [AlertBundle.Item], url: String, _ secrets: inout [String]
    ) async throws(ReceiverSecret.Missing) -> NotificationOutcome {
        var outcome = NotificationOutcome(.delivered)
        let end = world.now + NotificationService.roundFor
        for part in items.chunks(of: AlertFormats.streamMax) {
            outcome = await courier.send(
                try dressed(AlertFormats.alertmanager(part, url: url, now: world.now), &secrets))
            guard outcome.state == .delivered else { break }
            guard world.now < end else { return NotificationOutcome(.failed, "so many alerts took too long") }
        }
        return outcome
    }

    private func send(
        _ mail: AlertReceiver.Mail, _ bundle: AlertBundle, _ saying: Saying, url: String, _ secrets: inout [String]
    ) async throws(ReceiverSecret.Missing) -> NotificationOutcome {
        let password = try read(mail.password, &secrets)
        // As it goes over the line (RFC 4616).
        if let username = mail.username, let password { secrets.append("\0\(username)\0\(password)") }
        return await courier.send(
            NotificationMail(
                url: url, from: mail.from, to: mail.to,
                message: AlertFormats.mail(bundle, from: mail.from, to: mail.to, id: saying.messageID, now: world.now),
                username: mail.username, password: password, security: mail.security,
                allowPrivate: receiver.allowPrivate, timeout: receiver.timeout, caFile: caFile))
    }

    /// An answer without control characters and without what we sent as a secret, which some repeat.
    private func cleaned(_ outcome: NotificationOutcome, of secrets: [String], url: String) -> NotificationOutcome {
        let redaction = ReceiverRedaction(
            secrets: secrets + receiver.headers.map(\.value), addresses: [url],
            isHostSecret: receiver.urlSecret != nil)
        func clean(_ text: String) -> String {
            let plain = redaction(text).unicodeScalars.map {
                $0.properties.generalCategory == .control ? " " : Character($0)
            }
            return String(plain.prefix(NotificationDelivery.answerMax))
        }
        return NotificationOutcome(
            outcome.state, status: outcome.status, clean(outcome.answer), retryAfter: outcome.retryAfter,
            warning: outcome.warning.map(clean))
    }
}
