/// Goes through the blocks of all files in the order of time, a page of each file at a time.
struct BlockCursor {
    /// Blocks of a file whose extents are read at a time.
    static let pageBlocks = 256

    private struct File {
        let part: ArchivePart
        var page: [BlockExtent] = []
        var place = 0
        var isDone = false

        var next: BlockExtent? { place < page.count ? page[place] : nil }
    }

    private let archive: Archive
    private let times: Range<Int64>
    private let key: Int64?
    private let isNewestFirst: Bool
    private var files: [File]

    /// - Parameters:
    ///   - times: Nanoseconds since 1970; blocks with a record within.
    ///   - key: What their records are found by; `nil` for all. See ``ArchiveKey``.
    ///   - isNewestFirst: Whether those with the latest records come first, or with the earliest.
    ///   - isMeant: Whether a file's records can be meant.
    init(
        archive: Archive, kind: ArchivePart.Kind, times: Range<Int64>, key: Int64?, isNewestFirst: Bool,
        where isMeant: (ArchivePart) -> Bool = { _ in true }
    ) {
        self.archive = archive
        self.times = times
        self.key = key
        self.isNewestFirst = isNewestFirst
        files = archive.parts(kind).filter(isMeant).map { File(part: $0) }
        for index in files.indices { fill(&files[index]) }
    }

    /// The times of the next block, which is still to come.
    var ahead: ClosedRange<Int64>? { first.flatMap { files[$0].next?.times } }

    mutating func next() -> (part: ArchivePart, extent: BlockExtent)? {
        guard let index = first, let extent = files[index].next else { return nil }
        files[index].place += 1
        fill(&files[index])
        return (files[index].part, extent)
    }

    private func fill(_ file: inout File) {
        guard file.next == nil, !file.isDone else { return }
        let last = file.page.last
        file.page =
            archive.read(file.part) { store in
                isNewestFirst
                    ? try store.newest(times, key: key, behind: last, max: Self.pageBlocks)
                    : try store.oldest(times, key: key, behind: last, max: Self.pageBlocks)
            } ?? []
        file.place = 0
        file.isDone = file.page.count < Self.pageBlocks
    }

    /// The file whose next block begins first.
    private var first: Int? {
        files.indices.filter { files[$0].next != nil }.min { left, right in
            guard let left = files[left].next?.times, let right = files[right].next?.times else { return false }
            return isNewestFirst ? left.upperBound > right.upperBound : left.lowerBound < right.lowerBound
        }
    }
}
