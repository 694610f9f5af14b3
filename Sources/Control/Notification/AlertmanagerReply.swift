import Kernel
import Telemetry

/// Alertmanager's API v2 in its own words (Alertmanager 0.25, `api/v2`).
enum AlertmanagerReply {
    static let filtersMax = 100

    /// A refusal there is a text as JSON.
    static func refusal(_ problem: Problem) -> APIReply {
        // What cannot be read, and what is not acceptable, is the same there.
        let status = problem.code.status == 422 ? 400 : problem.code.status == 409 ? 500 : problem.code.status
        let text = problem.hint.isEmpty ? problem.detail : "\(problem.detail) \(problem.hint)"
        let word = [401, 403].contains(status) ? "\(problem.code.name): " : ""
        var reply = APIReply.json(.string(word + text), status: status)
        if let seconds = problem.retryAfterSeconds { reply.headers.append(("retry-after", String(seconds))) }
        return reply
    }

    /// The matchers of all `filter`.
    static func matchers(_ request: APIRequest) throws -> [LabelMatcher] {
        let texts = request.query.filter { $0.name == "filter" }.map(\.value)
        guard texts.count <= filtersMax else { throw Problem(.badRequest, "At most \(filtersMax) filters are taken.") }
        return try texts.flatMap { try AlertMatcherText.parse($0, field: "filter") }
    }

    /// Whether names and values are what a filter asks for; one of an empty value asks whether the name is there
    /// (`matchFilterLabels`).
    static func isMatch(_ pairs: [(name: String, value: String)], _ matchers: [LabelMatcher]) -> Bool {
        matchers.allSatisfy { matcher in
            // Of a name that stands twice the last one counts.
            let value = pairs.last { $0.name == matcher.name }?.value
            if matcher.value.isEmpty, matcher.isEqual == (value == nil) { return true }
            return matcher.matches(value ?? "")
        }
    }

    static func alert(_ alert: Alert, _ standing: AlertStanding, receivers: [String]) -> JSONValue {
        [
            "annotations": alert.annotations.sortedObject,
            "endsAt": (alert.endsAt ?? alert.updatedAt + AlertService.resolveAfter).json,
            "fingerprint": .string(alert.fingerprint),
            "receivers": .array(receivers.map { ["name": .string($0)] }),
            "startsAt": alert.startsAt.json,
            "status": [
                "inhibitedBy": .list(standing.inhibitedBy), "silencedBy": .list(standing.silencedBy),
                "state": .string(standing.isSuppressed ? "suppressed" : "active"),
            ],
            "updatedAt": alert.updatedAt.json, "generatorURL": .string(alert.generatorURL),
            "labels": alert.labels.object,
        ]
    }

    static func silence(_ silence: Silence, now: Timestamp) -> JSONValue {
        [
            "id": .string(silence.id), "status": ["state": .string(silence.state(at: now).rawValue)],
            "updatedAt": silence.updatedAt.json, "comment": .string(silence.comment),
            "createdBy": .string(silence.createdBy), "endsAt": silence.endsAt.json,
            "matchers": .array(silence.matchers.map(\.object)), "startsAt": silence.startsAt.json,
        ]
    }
}

/// What is sent to Alertmanager's API v2.
enum AlertmanagerPost {
    /// Alerts of one request, and of one change of the store.
    static let alertsMax = 5_000
    static let togetherMax = 500

    struct Fault: Error, Sendable {
        let reason: String
        /// Whether it is larger than ``Alert/bytesMax``.
        var isOfSize = false
    }

    /// One alert.
    static func read(_ item: JSONValue, now: Timestamp) -> Result<AlertPost, Fault> {
        do throws(Fault) {
            let labels = try texts(item["labels"], of: "label", max: Alert.labelMax)
            let annotations = try texts(item["annotations"], of: "annotation", max: Alert.annotationMax)
            let set = LabelSet(labels)
            guard !set.isEmpty else { throw Fault(reason: "at least one label pair required") }
            let url = try text(item, "generatorURL")
            guard url.utf8.count <= Alert.annotationMax else { throw Fault(reason: "the generatorURL is too long") }
            let (startsAt, endsAt) = (try time(item, "startsAt"), try time(item, "endsAt"))
            if let startsAt, let endsAt, endsAt < startsAt {
                throw Fault(reason: "start time must be before end time")
            }
            let post = AlertPost(
                labels: set, annotations: Dictionary(annotations, uniquingKeysWith: { $1 }),
                startsAt: startsAt ?? endsAt.map { min($0, now) }, endsAt: endsAt, generatorURL: url)
            guard post.bytes <= Alert.bytesMax else {
                throw Fault(
                    reason: "the alert \"\(set["alertname"].prefix(80))\" has \(post.bytes) bytes of labels, "
                        + "annotations and generatorURL; \(Alert.bytesMax) are the most",
                    isOfSize: true)
            }
            return .success(post)
        } catch {
            return .failure(error)
        }
    }

    private static func texts(
        _ value: JSONValue?, of noun: String, max: Int
    ) throws(Fault) -> [(String, String)] {
        guard let value else { return [] }
        guard let members = value.object?.members else { throw Fault(reason: "the \(noun)s are no object") }
        guard members.count <= Alert.labelsMax else {
            throw Fault(reason: "at most \(Alert.labelsMax) \(noun)s are allowed")
        }
        var found: [(String, String)] = []
        for member in members {
            guard isLabelName(member.name) else {
                throw Fault(reason: "invalid \(noun) set: invalid name \"\(member.name.prefix(80))\"")
            }
            guard let text = member.value.string else { throw Fault(reason: "the \(noun) \(member.name) is no text") }
            guard text.unicodeScalars.count <= max else {
                throw Fault(reason: "the \(noun) \(member.name) has more than \(max) characters")
            }
            found.append((member.name, text))
        }
        return found
    }

    /// Prometheus' data model, "Metric names and labels".
    static func isLabelName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(48...57).contains(first), name.utf8.count <= 256 else { return false }
        return name.utf8.allSatisfy { byte in
            byte == UInt8(ascii: "_") || (48...57).contains(byte) || (65...90).contains(byte)
                || (97...122).contains(byte)
        }
    }

    /// Empty where it is left out.
    private static func text(_ item: JSONValue, _ name: String) throws(Fault) -> String {
        guard let value = item[name] else { return "" }
        guard let text = value.string else { throw Fault(reason: "\(name) is no text") }
        return text
    }

    /// `nil` where it is left out, which Go's clients write as the year 1.
    private static func time(_ item: JSONValue, _ name: String) throws(Fault) -> Timestamp? {
        guard let value = item[name] else { return nil }
        guard let text = value.string else { throw Fault(reason: "\(name) is no time") }
        if text.hasPrefix("0001-01-01T") { return nil }
        guard let time = Timestamp(rfc3339: text) else { throw Fault(reason: "\(name) is no time of RFC 3339") }
        return time
    }

    // MARK: Silences

    /// A silence as Alertmanager takes it; in place of `endsAt` a `duration` such as `2h` may stand, which pages send.
    static func silence(_ body: JSONValue, by principal: Principal, now: Timestamp) throws -> SilenceService.Draft {
        func refused(_ reason: String) -> Problem { Problem(.badRequest, reason) }
        guard body.object != nil else { throw refused("A silence is expected.") }
        let items = body["matchers"]?.array ?? []
        guard (1...AlertMatcherText.matchersMax).contains(items.count) else {
            throw refused("invalid silence: 1 to \(AlertMatcherText.matchersMax) matchers are required")
        }
        let matchers = try items.map { item in
            guard let matcher = LabelMatcher(object: item), isLabelName(matcher.name),
                matcher.value.unicodeScalars.count <= Alert.labelMax
            else { throw refused("invalid silence: invalid label matcher \(item.text.prefix(200))") }
            return matcher
        }
        guard !matchers.allSatisfy({ $0.matches("") }) else {
            throw refused("invalid silence: at least one matcher must not match the empty string")
        }
        // Nobody would be told of anything any more, and the tool that was mistyped would not say so.
        guard body["everything"]?.bool == true || !Silence.isOfEverything(matchers) else {
            throw Problem(
                .badRequest, "invalid silence: its matchers match every alert.",
                hint: "Name what is not to be told, such as agent=\"writer\"; or send it with \"everything\": true.")
        }
        do throws(Fault) {
            let startsAt = try time(body, "startsAt")
            let duration = try text(body, "duration")
            let span = duration.isEmpty ? nil : Span(prometheus: duration)
            guard duration.isEmpty || span != nil else { throw Fault(reason: "duration is no time such as 2h") }
            guard let endsAt = try time(body, "endsAt") ?? span.map({ (startsAt ?? now) + $0 }) else {
                throw Fault(reason: "endsAt is missing")
            }
            guard endsAt > now else { throw Fault(reason: "end time can't be in the past") }
            guard startsAt.map({ $0 < endsAt }) ?? true else {
                throw Fault(reason: "start time must be before end time")
            }
            let (author, comment) = (try text(body, "createdBy"), try text(body, "comment"))
            guard author.unicodeScalars.count <= 200, comment.unicodeScalars.count <= Silence.commentMax else {
                throw Fault(reason: "createdBy has at most 200 characters, comment \(Silence.commentMax)")
            }
            let id = try text(body, "id")
            return SilenceService.Draft(
                id: id.isEmpty ? nil : id, matchers: matchers, startsAt: startsAt, endsAt: endsAt,
                createdBy: author.isEmpty ? principal.actor : author, comment: comment)
        } catch {
            throw refused("invalid silence: \(error.reason)")
        }
    }
}
