import Kernel

/// Who gets what of a split: everybody has a bucket from 0 to 9,999, and each variant has some of the buckets.
///
/// A variant whose share is raised keeps all whom it had, whatever becomes of the others and however many there are:
/// buckets only go from those that shrink to those that grow, and what was taken last is given up first. So the shares
/// are kept with the flag, and are not worked out anew from its percentages.
public struct FlagShares: Sendable, Equatable {
    /// A hundredth of a percent each.
    public static let buckets = 10_000
    /// Parts beyond which a split begins anew, as each is looked at with each evaluation.
    static let partsMax = 400

    /// What a variant is to have, in buckets.
    public struct Wish: Sendable, Equatable {
        public let variant: String
        public let buckets: Int

        public init(_ variant: String, _ buckets: Int) {
            self.variant = variant
            self.buckets = buckets
        }
    }

    public struct Part: Sendable, Equatable {
        public let variant: String
        public internal(set) var from: Int
        public internal(set) var to: Int

        var size: Int { to - from }
    }

    /// In the order in which they were taken.
    public private(set) var parts: [Part] = []

    /// Side by side, for a split that is new.
    public init(_ wishes: [Wish]) {
        var place = 0
        for wish in wishes where wish.buckets > 0 {
            parts.append(Part(variant: wish.variant, from: place, to: place + wish.buckets))
            place += wish.buckets
        }
    }

    public func variant(at bucket: Int) -> String? {
        parts.first { $0.from <= bucket && bucket < $0.to }?.variant
    }

    /// The shares after a change, with as few buckets in other hands as there can be.
    public func moved(to wishes: [Wish]) -> FlagShares {
        var moved = self
        var free: [(from: Int, to: Int)] = []
        for name in Set(parts.map(\.variant)).sorted() {
            let wanted = wishes.first { $0.variant == name }?.buckets ?? 0
            free += moved.giveUp(moved.size(of: name) - wanted, of: name)
        }
        for wish in wishes {
            var wanted = wish.buckets - moved.size(of: wish.variant)
            while wanted > 0, let piece = free.first {
                let taken = min(wanted, piece.to - piece.from)
                moved.take(piece.from, piece.from + taken, for: wish.variant)
                wanted -= taken
                if piece.from + taken == piece.to { free.removeFirst() } else { free[0].from += taken }
            }
        }
        return moved.parts.count > Self.partsMax ? FlagShares(wishes) : moved
    }

    private func size(of name: String) -> Int {
        parts.reduce(0) { $0 + ($1.variant == name ? $1.size : 0) }
    }

    /// What was taken last goes first.
    private mutating func giveUp(_ count: Int, of name: String) -> [(from: Int, to: Int)] {
        var (left, given): (Int, [(from: Int, to: Int)]) = (count, [])
        while left > 0, let index = parts.lastIndex(where: { $0.variant == name }) {
            let part = parts[index]
            let cut = max(part.from, part.to - left)
            given.append((cut, part.to))
            left -= part.to - cut
            if cut == part.from { parts.remove(at: index) } else { parts[index].to = cut }
        }
        return given
    }

    private mutating func take(_ from: Int, _ to: Int, for name: String) {
        if let last = parts.lastIndex(where: { $0.variant == name }), parts[last].to == from {
            parts[last].to = to
        } else {
            parts.append(Part(variant: name, from: from, to: to))
        }
    }

    // MARK: Kept

    var json: JSONValue {
        .array(parts.map { [.string($0.variant), .int(Int64($0.from)), .int(Int64($0.to))] })
    }

    /// What was kept; `nil` for what is no whole division.
    init?(_ json: JSONValue) {
        for item in json.array ?? [] {
            guard let fields = item.array, fields.count == 3, let name = fields[0].string,
                let from = fields[1].int, let to = fields[2].int, 0 <= from, from < to, to <= Int64(Self.buckets)
            else { return nil }
            parts.append(Part(variant: name, from: Int(from), to: Int(to)))
        }
        guard parts.reduce(0, { $0 + $1.size }) == Self.buckets else { return nil }
    }
}

/// Where everybody stands in a flag's splits.
enum FlagBucket {
    /// The first eight bytes of SHA-256 over salt, flag and targeting key, brought to 0...9,999 without a remainder
    /// that would favour some.
    static func of(salt: String, flag: String, targetingKey: String) -> Int {
        // A zero byte cannot stand in any of them, so no two triples give the same text.
        let bytes = Array(salt.utf8) + [0] + Array(flag.utf8) + [0] + Array(targetingKey.utf8)
        return Int(Digest.word(bytes).multipliedFullWidth(by: UInt64(FlagShares.buckets)).high)
    }
}
