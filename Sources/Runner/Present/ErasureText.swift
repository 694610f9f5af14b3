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
        for place in erasure["elsewhere"]?.array ?? [] {
            let rows = "left in \(Words.plain(place["name"])): \(count(place["rows"])) rows."
            lines.append("\(rows) \(Words.plain(place["note"]))")
        }
        if isDryRun { lines.append("Nothing was removed: this was a dry run.") }
        return lines.joined(separator: "\n")
    }

    private static func count(_ value: JSONValue?) -> Int64 { value?.int ?? 0 }
}
