import Kernel

/// An erasure as a proof for people: file by file what was found and removed, and what a second search found.
public enum ErasureText {
    public static func proof(_ erasure: JSONValue) -> String {
        var lines = ["\(Words.plain(erasure["id"])): \(Words.plain(erasure["state"]))"]
        lines.append("subject   hmac-sha256 \(Words.plain(erasure["subjectDigest"]))")
        if let error = erasure["error"]?.string { return (lines + [error]).joined(separator: "\n") }
        let isDryRun = erasure["dryRun"]?.bool ?? false
        for file in erasure["files"]?.array ?? [] {
            var line = "\(Words.plain(file["name"])): found \(count(file["found"])), removed \(count(file["removed"]))"
            if let held = file["held"]?.int, held > 0 { line += ", held \(held)" }
            if let left = file["remaining"]?.int { line += ", a second search found \(left)" }
            if let digest = file["sha256"]?.string { line += "\n  sha256 \(digest)" }
            lines.append(line)
        }
        lines.append("in all    found \(count(erasure["found"])), removed \(count(erasure["removed"]))")
        for member in erasure["foundIn"]?.object?.members ?? [] {
            lines.append("  in \(member.name): \(Words.plain(member.value))")
        }
        if let holds = erasure["holds"]?.array, !holds.isEmpty {
            lines.append("under holds that keep records: \(holds.compactMap(\.string).joined(separator: ", "))")
        }
        if let starts = erasure["starts"]?.int, starts > 1 {
            lines.append(
                "It went on after the server's end, \(starts - 1) times; the counts are those of the last part.")
        }
        lines += searched(erasure) + elsewhere(erasure["elsewhere"]?.array ?? [])
        if isDryRun { lines.append("Nothing was removed: this was a dry run.") }
        return lines.joined(separator: "\n")
    }

    /// What was gone through, also where nothing was found.
    private static func searched(_ erasure: JSONValue) -> [String] {
        guard let searched = erasure["searched"] else { return [] }
        let places = (searched["places"]?.array ?? []).compactMap(\.string)
        let all = ["\(count(searched["files"])) files of spans and logs"] + places
        return ["searched  " + all.joined(separator: ", ")]
    }

    /// Reeve's own records, which stay: where they are and what can be done.
    private static func elsewhere(_ places: [JSONValue]) -> [String] {
        let found = places.filter { count($0["rows"]) > 0 }
        let none = places.filter { count($0["rows"]) == 0 }.compactMap { $0["name"]?.string }
        var lines: [String] = []
        if !found.isEmpty { lines.append("NOT removed: Reeve's own records in the control store that have the text") }
        for place in found {
            lines += [
                "  \(Words.plain(place["name"])): \(count(place["rows"])) rows of the table "
                    + Words.plain(place["table"]),
                "    to see them: \(Words.plain(place["see"]))", "    \(Words.plain(place["note"]))",
            ]
        }
        if !none.isEmpty { lines.append("Reeve's own \(none.joined(separator: ", ")) do not have the text.") }
        return lines
    }

    private static func count(_ value: JSONValue?) -> Int64 { value?.int ?? 0 }
}
