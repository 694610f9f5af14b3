import Kernel

/// The text of a deliverable, as far as a page shows it. It is only ever shown as text.
struct DeliverablePreview: Sendable {
    /// Characters shown on a page.
    static let charactersMax = 60_000
    /// Bytes of a deliverable that a page reads; larger ones are downloaded.
    static let bytesMax: Int64 = 1 << 20
    /// Deliverables of one task whose content is shown.
    static let deliverablesMax = 8

    /// The text; `nil` where it is not text, too large or not to be had.
    let text: String?
    /// What to say in its place, or beside it.
    let note: String

    /// The contents of the newest revision of each deliverable, by id.
    static func latest(of all: [Deliverable], blobs: any Blobs) async -> [String: DeliverablePreview] {
        var newest: [String: Deliverable] = [:]
        for deliverable in all where deliverable.revision >= newest[deliverable.name]?.revision ?? 0 {
            newest[deliverable.name] = deliverable
        }
        var previews: [String: DeliverablePreview] = [:]
        for deliverable in newest.values.sorted(by: { $0.name < $1.name }).prefix(deliverablesMax) {
            previews[deliverable.id.text] = await load(deliverable, blobs: blobs)
        }
        return previews
    }

    static func load(_ deliverable: Deliverable, blobs: any Blobs) async -> DeliverablePreview {
        guard deliverable.size <= bytesMax else {
            return DeliverablePreview(text: nil, note: "Too large to be shown here.")
        }
        guard let bytes = try? await blobs.get(deliverable.sha256) else {
            return DeliverablePreview(text: nil, note: "Its content cannot be read.")
        }
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            return DeliverablePreview(text: nil, note: "It is not text.")
        }
        let shown = deliverable.isJSON ? pretty(bytes) ?? text : text
        let note =
            shown.count > charactersMax
            ? "Only the first \(PageText.count(Int64(charactersMax))) characters are shown." : ""
        return DeliverablePreview(text: clipped(shown), note: note)
    }

    static func clipped(_ text: String) -> String { PageText.clipped(text, charactersMax) }

    private static func pretty(_ bytes: [UInt8]) -> String? {
        (try? JSONParser.parse(bytes, depthMax: Limits.jsonDepthDefault))?.prettyText
    }
}

/// A revision of a deliverable on a task's page.
struct DeliverableView: PageView {
    struct Verdict: PageView {
        let state: String
        let stateLabel: String
    }

    private static let revisionsMax = 30

    let id: String
    let name: String
    let revision: Int64
    let verdict: Verdict?
    let contentType: String
    let size: String
    let sha256: String
    let shortSHA: String
    let at: TimeView
    let isOpen: Bool
    let hasPreview: Bool
    let preview: String?
    let previewNote: String
    let contentPath: String

    /// The newest revisions first.
    static func all(_ record: TaskRecord, previews: [String: DeliverablePreview], now: Timestamp) -> [DeliverableView] {
        let sorted = record.deliverables.sorted { ($0.revision, $1.name) > ($1.revision, $0.name) }
        let verdicts = Dictionary(record.reviews.map { ($0.sha256, $0.verdict) }, uniquingKeysWith: { _, last in last })
        return sorted.prefix(revisionsMax).enumerated().map { index, deliverable in
            DeliverableView(
                deliverable, verdict: verdicts[deliverable.sha256], preview: previews[deliverable.id.text],
                isOpen: index == 0, now: now)
        }
    }

    init(
        _ deliverable: Deliverable, verdict: ReviewVerdict?, preview: DeliverablePreview?, isOpen: Bool, now: Timestamp
    ) {
        id = deliverable.id.text
        name = deliverable.name
        revision = deliverable.revision
        self.verdict =
            deliverable.isApproved
            ? Verdict(state: "approved", stateLabel: "Approved")
            : verdict == .changes
                ? Verdict(state: "changes", stateLabel: "Changes asked for")
                : verdict == .reject ? Verdict(state: "rejected", stateLabel: "Rejected") : nil
        contentType = deliverable.contentType
        size = PageText.bytes(deliverable.size)
        sha256 = deliverable.sha256
        shortSHA = String(deliverable.sha256.prefix(12))
        at = .ago(deliverable.createdAt, now: now)
        self.isOpen = isOpen && preview?.text != nil
        hasPreview = preview?.text != nil
        self.preview = preview?.text
        previewNote = preview?.note ?? "An earlier revision."
        contentPath = deliverable.url
    }
}
