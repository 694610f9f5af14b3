import Foundation

/// Whether files of rules are still what they were.
public enum RuleFileChanges {
    /// Names, sizes and times of files: another text once one of them changes.
    public static func signature(_ files: [String]) -> String {
        files.map { file in
            var found = stat()
            guard stat(file, &found) == 0 else { return "\(file) absent" }
            return "\(file) \(found.st_ino) \(found.st_size) \(found.st_mtim.tv_sec).\(found.st_mtim.tv_nsec)"
        }.joined(separator: "\n")
    }
}
