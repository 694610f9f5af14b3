import Kernel

/// What of a replica's files is news to those who read the event log. Pure.
///
/// A replica that was there before tells what became of its own files. One that is new, as each is of a container
/// without a disk, has nothing to compare with but others whose files come from the same place: it tells what differs
/// from them, as a thing of this replica, and no more once another one has it so.
struct FileChangeNews: Sendable {
    /// Changes of one file that are told one by one; more at once are one entry with their names.
    static let singlyMax = 10
    /// Entries of one part at one time; what is beyond them is one more.
    static let entriesMax = 50
    /// A replica that was not there for so long runs no more.
    static let aliveFor = Span.minutes(5)

    let part: FileChangePart
    let things: FileChangeThings
    /// What this replica was told last.
    let own: FileChangeStore.Row?
    /// What others of its origin were told last, the latest change first.
    let others: [FileChangeStore.Row]
    let now: Timestamp

    var changes: [FileChange] { own.map(since) ?? differences }

    private func since(_ own: FileChangeStore.Row) -> [FileChange] {
        // What another one was told last: where it has it so too, it has told of it.
        let latest = others.first.flatMap { $0.changedAt > own.changedAt ? $0.things : nil }
        return FileChange.between(own.things, things).filter { change in
            guard let latest, !part.isLocal(change.name) else { return true }
            return latest.byName[change.name] != things.byName[change.name]
        }
    }

    /// What a replica begins with that no other has.
    private var differences: [FileChange] {
        let running = others.filter { now - $0.seenAt <= Self.aliveFor }
        // The first of all has nothing to compare with.
        guard let newest = running.first ?? others.first else { return [] }
        let own = things.withoutLocal(part)
        let found = FileChange.between(newest.things.withoutLocal(part), own).filter { change in
            !running.contains { $0.things.byName[change.name] == own.byName[change.name] }
        }
        // Where none of the others runs, what it begins with is what holds.
        return running.isEmpty ? found : found.map(\.ofOneReplica)
    }

    /// The data of each event that tells of them.
    ///
    /// - Parameters:
    ///   - file: Where they stand, unless they say it themselves.
    ///   - replica: Whose files they are.
    func told(file: String, replica: String) -> [JSONValue] {
        let changes = changes
        let groups = Dictionary(grouping: changes) { $0.file ?? "" }.sorted { $0.key < $1.key }
        let entries = groups.flatMap { own, changes -> [JSONObject] in
            guard changes.count > Self.singlyMax else { return changes.map { $0.data(part, file: file) } }
            return [FileChange.data(of: changes, in: own.isEmpty ? file : own)]
        }
        var told = Array(entries.prefix(Self.entriesMax))
        if entries.count > Self.entriesMax {
            let known = Set(told.compactMap { $0["name"]?.string })
            told.append(FileChange.data(of: changes.filter { !known.contains($0.name) }, in: "…"))
        }
        return told.map { object in
            var object = object
            object.append("replica", .string(replica))
            return .object(object)
        }
    }
}

extension FileChange {
    /// Names that one entry of many changes has, and those that its summary has.
    static let namesMax = 200
    private static let namesShown = 5

    /// Many at once as one.
    static func data(of changes: [FileChange], in file: String) -> JSONObject {
        let counts = [Verb.added, .changed, .removed].compactMap { verb in
            let count = changes.count { $0.verb == verb }
            return count == 0 ? nil : "\(count) \(verb.rawValue)"
        }
        let names = changes.prefix(namesShown).map { String($0.name.prefix(80)) }.joined(separator: ", ")
        let rest = changes.count > namesShown ? " and \(changes.count - namesShown) more" : ""
        let isOfOne = changes.contains(where: \.isOfOneReplica)
        return JSONObject([
            .init(name: "name", value: .string(file.split(separator: "/").last.map(String.init) ?? "files")),
            .init(name: "change", value: .string(Verb.changed.rawValue)),
            .init(
                name: "summary",
                value: .string(
                    (isOfOne ? oneReplica : "") + "\(counts.joined(separator: ", ")): \(names)\(rest)")),
            .init(name: "count", value: .int(Int64(changes.count))),
            .init(name: "names", value: .list(changes.prefix(namesMax).map(\.name))),
        ])
    }
}
