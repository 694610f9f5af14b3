/// The path of a file within a folder, `prompts/system.md`, of a form that can lead nowhere else on any system.
public enum RelativePath {
    public static let bytesMax = 400
    public static let depthMax = 8

    /// Why a path is none that may be written into a folder; `nil` where it is one.
    public static func fault(_ path: String) -> String? {
        guard !path.isEmpty else { return "it is empty" }
        guard path.utf8.count <= bytesMax else { return "it has more than \(bytesMax) bytes" }
        guard !path.hasPrefix("/") else { return "it begins with /, and leads out of the folder" }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= depthMax else { return "it is more than \(depthMax) folders deep" }
        for part in parts {
            guard !part.isEmpty else { return "it has an empty part" }
            // `..` leads out; what else begins with a dot is hidden, such as `.git` and `.env`.
            guard part.first != "." else { return "\"\(part.prefix(40))\" begins with a dot" }
        }
        let isClean = path.unicodeScalars.allSatisfy {
            $0 != "\\" && $0 != ":" && $0.properties.generalCategory != .control
                && $0.properties.generalCategory != .format
        }
        return isClean ? nil : "it may not contain \\, : or characters that do not show"
    }
}
