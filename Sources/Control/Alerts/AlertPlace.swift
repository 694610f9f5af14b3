import Kernel

/// Where an alert stands in a list that is read page by page, by how it stood when the first page was read.
///
/// What fires goes on to fire or ends, what waits fires or is gone: by the moment of the first page its place stays
/// what it was, so that nobody meets it twice and nobody misses one that stayed.
struct AlertPlace: Sendable, Comparable {
    private enum Rank: Int64 {
        case firing, pending, resolved
    }

    let asOf: Timestamp
    private let rank: Int64
    private let time: Int64
    private let key: String

    init(_ view: AlertView, asOf: Timestamp) {
        self.asOf = asOf
        guard let alert = view.alert else {
            (rank, time) = (Rank.pending.rawValue, view.activeAt.microseconds)
            key = view.labels.fingerprintText
            return
        }
        // When it was heard of counts, and not when it is said to have been: others tell of the past.
        if !alert.isFiring, alert.updatedAt <= asOf {
            // The newest end first.
            (rank, time) = (Rank.resolved.rawValue, -(alert.endsAt ?? alert.updatedAt).microseconds)
            key = alert.id.text
        } else if alert.startsAt > asOf, alert.activeAt <= asOf {
            (rank, time) = (Rank.pending.rawValue, alert.activeAt.microseconds)
            key = alert.fingerprint
        } else {
            (rank, time) = (Rank.firing.rawValue, alert.startsAt.microseconds)
            key = alert.id.text
        }
    }

    /// - Returns: `nil` for a text that no page has given.
    init?(cursor: String) {
        let parts = cursor.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, let asOf = Int64(parts[0]), let rank = Int64(parts[1]), let time = Int64(parts[2])
        else { return nil }
        self.asOf = Timestamp(microseconds: asOf)
        (self.rank, self.time, key) = (rank, time, String(parts[3]))
    }

    var cursor: String { "\(asOf.microseconds).\(rank).\(time).\(key)" }

    static func < (left: AlertPlace, right: AlertPlace) -> Bool {
        (left.rank, left.time, left.key) < (right.rank, right.time, right.key)
    }
}

/// An alert of a list, and where it stands.
struct PlacedAlert: Sendable {
    let view: AlertView
    let place: AlertPlace

    init(_ view: AlertView, asOf time: Timestamp) {
        self.view = view
        place = AlertPlace(view, asOf: time)
    }
}
