/// A file that is opened at its first use and stays open for the next.
protocol OpenFile {
    func close() throws
}

/// Files that are open, a bounded number at a time: those that were not used for longest are closed.
struct OpenFiles<Name: Hashable, File: OpenFile> {
    let max: Int
    private var open: [Name: (file: File, usedAt: Int)] = [:]
    private var uses = 0

    init(max: Int) { self.max = max }

    var files: [File] { open.values.map(\.file) }
    var names: [Name] { Array(open.keys) }

    /// The file of this name, which `make` opens where it is not open.
    mutating func file(_ name: Name, make: () throws -> File) throws -> File {
        uses += 1
        if let known = open[name] {
            open[name]?.usedAt = uses
            return known.file
        }
        if open.count >= max, let oldest = open.min(by: { $0.value.usedAt < $1.value.usedAt }) {
            open[oldest.key] = nil
            try oldest.value.file.close()
        }
        let file = try make()
        open[name] = (file, uses)
        return file
    }

    /// Lets go of those of these names that are open, for the caller to close.
    mutating func take(_ names: some Sequence<Name>) -> [File] {
        names.compactMap { open.removeValue(forKey: $0)?.file }
    }
}
